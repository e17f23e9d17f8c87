//! What a program links to launch a fleet, to send it tasks and to read its status.
//!
//! The client keeps a ledger of its own: *accepted = answered + failed + returned + in flight*. It takes over no count
//! from the coordinators, so that the two ledgers can be compared.
//!
//! A task for any worker is kept here until it is answered: a task that a coordinator returns, or did not take before it
//! ended, goes to another coordinator.

mod answers;
mod beats;
mod coordinators;
pub mod dead_letters;
pub mod events;
pub mod launch;
pub(crate) mod left;
mod missing;
pub mod operator;
pub mod orders;
mod outcome;
pub mod status;
mod task;
mod withdraw;

use crate::bus::directory::control_path;
use crate::bus::error::BusError;
pub use crate::bus::fault::outlive_regions;
pub use crate::bus::fields;
use crate::bus::ring::Record;
use crate::bus::slot::Stage;
use crate::bus::sync::{AtomicU64, Ordering};
use crate::bus::view::Control;
use crate::bus::written::Foreign;
use crate::config::FleetShape;
pub use crate::os::clock::now_ns;
pub use crate::os::identity::{ELSEWHERE, Identity, Presence, boot_id, namespace};
pub use crate::process::descent::{Stranger, left_of_named};
pub use crate::process::fork::own_session;
pub use crate::process::host::{UserProcesses, user_processes};
pub use crate::process::reap::HowEnded;
pub use crate::wire::place::{PlaceId, Role, WorkerRef};
use crate::wire::{ANY, ControlHeader, DEATHS_ONLY, Order, RETRY_FAILURES, TaskHeader, TaskKind, WHOLE};
pub use crate::wire::{TaskId, Usage};
pub use beats::Beat;
use coordinators::Link;
use events::What;
pub use outcome::{Answer, Batches, Event, Failure, Ledger, Outcome, Partial, Surplus};
use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use task::{Address, SendError, Task, Terms};

/// A coordinator gives a task up at its deadline. If it has not reported that this long after the deadline, the client
/// gives the task up itself.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// How many tasks that the client gave up are remembered, to tell a late answer from a second one.
const GIVEN_UP_MAX: usize = 4096;
/// How often a sleeping client checks whether its fleet is still there.
const LOOK: Duration = Duration::from_millis(100);
/// How often a task goes to another coordinator after its coordinator was lost.
const RESENT_MAX: u8 = 3;

/// A task that has not ended, as the client knows it.
struct InFlight {
    /// The coordinator that has it; `None` while no coordinator has it.
    coordinator: Option<u32>,
    /// The position of its record in that coordinator's ring.
    position: u64,
    /// The worker that it is addressed to, if it is for one worker.
    worker: Option<WorkerRef>,
    tag: u64,
    sent_ns: u64,
    deadline_ns: u64,
    terms: Terms,
    /// Header and body of a task that may have to go to another coordinator.
    resend: Option<(TaskHeader, Vec<u8>)>,
    resent: u8,
    /// It is not sent to another coordinator any more.
    cancelled: bool,
}

/// Orders to scale a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleOrders {
    /// How many there were; wraps around.
    pub given: u32,
    /// As the newest wants them: coordinators, and workers of each; 0 where no order has said how many.
    pub coordinators: u32,
    pub workers: u32,
}

/// The client of a fleet, of which there is one at a time.
pub struct Client {
    control: Control,
    dir: PathBuf,
    /// This process.
    own: Identity,
    /// By number; `None` where there has been no coordinator yet.
    links: Vec<Option<Link>>,
    supervisor_lost: bool,
    /// Since when the fleet has had no supervisor; 0 while it has one.
    unsupervised_ns: u64,
    sender: u32,
    next_sequence: u64,
    in_flight: HashMap<u64, InFlight>,
    /// Tasks that no coordinator has at the moment, the oldest first.
    unassigned: VecDeque<u64>,
    /// The counts of tasks without a coordinator.
    unassigned_ledger: Ledger,
    /// Addressed tasks in flight, by worker.
    waiting: Vec<u32>,
    /// The coordinator with which the search for room begins.
    turn: usize,
    earliest_ns: u64,
    looked_ns: u64,
    /// When tasks were last looked for in the rings and tables, and those that were nowhere then.
    searched_ns: u64,
    missing: HashSet<u64>,
    /// Tasks that the client alone has given up, the newest last: their answers are late, and not duplicates.
    given_up: VecDeque<u64>,
    /// As this process has written it.
    moves: u32,
    /// What it has found in its own words since it was last asked, the oldest first.
    overwritten: Vec<Foreign>,
    batches: Batches,
    /// Tasks for one coordinator that go out at once.
    batch_max: NonZeroU32,
    record: Record,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("ledger", &self.ledger()).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The next client need not check whether this one is alive.
        let place = &self.control.state().client_pid;
        let _ = place.compare_exchange(self.own.pid, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

impl Client {
    /// Attaches to the fleet in `dir`. A fleet has one client at a time. After its end another client may attach, which
    /// also gets the outcomes of the earlier client's tasks ([`Event::Inherited`]).
    pub fn attach(dir: &Path) -> Result<Self, BusError> {
        let control = Control::attach(&control_path(dir))?;
        coordinators::become_client(&control, dir)?;
        let moves = control.state().client_moves.load(Ordering::Acquire);
        let sender = control.state().clients.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        let shape = control.shape();
        let workers = shape.coordinators() * shape.workers_per_coordinator();
        let mut client = Self {
            control,
            dir: dir.to_owned(),
            own: Identity::own(),
            links: (0..shape.coordinators()).map(|_| None).collect(),
            supervisor_lost: false,
            unsupervised_ns: 0,
            sender,
            next_sequence: 0,
            in_flight: HashMap::new(),
            unassigned: VecDeque::new(),
            unassigned_ledger: Ledger::default(),
            waiting: vec![0; workers as usize],
            turn: 0,
            earliest_ns: u64::MAX,
            looked_ns: 0,
            searched_ns: 0,
            missing: HashSet::new(),
            given_up: VecDeque::new(),
            moves,
            overwritten: Vec::new(),
            batches: Batches::default(),
            batch_max: NonZeroU32::MAX,
            record: Record::empty(),
        };
        client.meet_coordinators()?;
        Ok(client)
    }

    pub fn shape(&self) -> &FleetShape {
        self.control.shape()
    }

    fn place(&self, worker: WorkerRef) -> usize {
        (worker.coordinator * self.shape().workers_per_coordinator() + worker.worker) as usize
    }

    /// As [`Client::submit`], to one worker and with a deadline only.
    pub fn send(
        &mut self,
        worker: WorkerRef,
        task: Task<'_>,
        timeout: Duration,
        tag: u64,
    ) -> Result<TaskId, SendError> {
        self.submit(Address::Worker(worker), task, &Terms::within(timeout), tag)
    }

    /// Sends a task; `tag` comes back with the outcome. It goes out with the next [`Client::flush`].
    pub fn submit(
        &mut self,
        address: Address,
        task: Task<'_>,
        terms: &Terms,
        tag: u64,
    ) -> Result<TaskId, SendError> {
        let (kind, parameter, body) = task.parts();
        if body.len() > self.shape().payload_max() as usize {
            return Err(SendError::TooLarge);
        }
        let (index, worker) = match address {
            Address::Worker(worker) if !worker.is_within(self.shape()) => {
                return Err(SendError::NoSuchRecipient);
            }
            Address::Worker(worker) => {
                if self.waiting[self.place(worker)] >= self.shape().depth() {
                    return Err(SendError::Backpressure);
                }
                (worker.coordinator, Some(worker))
            }
            Address::Any => (self.choose_coordinator()?, None),
        };
        let sent_ns = now_ns();
        let id =
            TaskId { epoch: self.control.stamped().epoch, sender: self.sender, sequence: self.next_sequence };
        let deadline_ns = sent_ns.saturating_add(terms.deadline.as_nanos() as u64);
        let header = TaskHeader { id, deadline_ns, parameter, sent_ns, ..header_of(worker, kind, terms) };
        let position = self.push_task(index, &header, body)?;
        if let Some(worker) = worker {
            let place = self.place(worker);
            self.waiting[place] += 1;
        }
        self.next_sequence += 1;
        self.earliest_ns = self.earliest_ns.min(deadline_ns);
        let resend = worker.is_none().then(|| (header, body.to_vec()));
        let task = InFlight {
            coordinator: Some(index),
            position,
            worker,
            tag,
            sent_ns,
            deadline_ns,
            terms: *terms,
            resend,
            resent: 0,
            cancelled: false,
        };
        self.in_flight.insert(id.sequence, task);
        Ok(id)
    }

    /// Cancels a task, an earlier client's too. Its outcome comes as that of any other: cancelled, or the one it had before.
    pub fn cancel(&mut self, id: TaskId) -> Result<(), SendError> {
        self.order_end(id, Order::Cancel)
    }

    /// As [`Self::cancel`], but the outcome of a command that is running comes when it has ended, within its grace, and with
    /// what it has output: [`Failure::Ended`].
    pub fn end(&mut self, id: TaskId) -> Result<(), SendError> {
        self.order_end(id, Order::End)
    }

    fn order_end(&mut self, id: TaskId, order: Order) -> Result<(), SendError> {
        if id.sender != self.sender {
            return self.end_left(id, order);
        }
        let Some(task) = self.in_flight.get_mut(&id.sequence) else { return Ok(()) };
        let Some(index) = task.coordinator else {
            task.cancelled = true;
            return Ok(());
        };
        let order = ControlHeader { id, order: order as u32, all: 0, spare: [0; 4] };
        // The task may not have been published yet, and the order must not overtake it.
        self.flush();
        let link = self.links[index as usize].as_mut().ok_or(SendError::DeadRecipient)?;
        link.order(&order).map_err(|_| SendError::Backpressure)?;
        self.control.coordinator(index).bell.ring();
        // The coordinator may already have returned it.
        if let Some(task) = self.in_flight.get_mut(&id.sequence) {
            task.cancelled = true;
        }
        Ok(())
    }

    /// Publishes the tasks that were submitted, and wakes their coordinators.
    pub fn flush(&mut self) {
        for index in 0..self.links.len() as u32 {
            self.flush_to(index);
        }
    }

    pub(super) fn flush_to(&mut self, index: u32) {
        let Some(link) = &mut self.links[index as usize] else { return };
        let staged = std::mem::take(&mut link.staged);
        if staged > 0 {
            self.batches.batches += 1;
            self.batches.messages += u64::from(staged);
            link.tasks.publish();
            self.control.coordinator(index).bell.ring();
        }
    }

    /// From now on at most `messages` tasks wait for [`Client::flush`] at one coordinator; the last of them takes them along.
    /// With 1 each task goes out at once. At first there is no such bound.
    pub fn limit_batches(&mut self, messages: NonZeroU32) {
        self.batch_max = messages;
    }

    /// How the tasks went out.
    pub fn batches(&self) -> Batches {
        self.batches
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// True when the supervisor or every coordinator is gone: no more answers will come.
    pub fn is_lost(&self) -> bool {
        self.supervisor_lost || self.links.iter().flatten().all(|link| link.lost.is_some())
    }

    /// Takes the events that have come in; returns how many there were.
    pub fn poll(&mut self, mut each: impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        for index in 0..self.links.len() {
            events += self.drain(index, &mut each);
        }
        let now = now_ns();
        if now.saturating_sub(self.looked_ns) >= LOOK.as_nanos() as u64 {
            self.looked_ns = now;
            events += self.look_for_losses(&mut each);
            events += self.look_for_missing(now, &mut each);
        }
        if !self.unassigned.is_empty() {
            events += self.resend(now, &mut each);
        }
        let grace = ANSWER_GRACE.as_nanos() as u64;
        if now >= self.earliest_ns.saturating_add(grace) {
            events += self.expire(now, &mut each);
        }
        self.publish_moves(!self.unassigned.is_empty());
        events
    }

    /// Sleeps until something has come in or `timeout` is over.
    pub fn wait(&mut self, timeout: Duration) {
        let links = &mut self.links;
        self.control
            .client_bell()
            .wait(timeout.min(LOOK), || links.iter_mut().flatten().any(|link| link.answers.is_ready()));
    }

    /// The client's own counts, summed.
    pub fn ledger(&self) -> Ledger {
        let mut sum = self.unassigned_ledger;
        for link in self.links.iter().flatten() {
            sum += link.ledger;
        }
        sum
    }

    /// The client's own counts for one coordinator.
    pub fn ledger_of(&self, coordinator: u32) -> Ledger {
        self.links[coordinator as usize].as_ref().map_or_else(Ledger::default, |link| link.ledger)
    }

    /// Answers that a coordinator's successor has repeated.
    pub fn repeated(&self) -> u64 {
        self.links.iter().flatten().map(|link| link.repeated).sum()
    }

    /// Unexpected deaths of coordinators and workers that their parents have seen.
    pub fn deaths(&self) -> u64 {
        self.control.deaths()
    }

    /// Words of this client that another program has overwritten, and that were put back, since the last call: no process of
    /// the fleet names them in its events.
    pub fn overwritten(&mut self) -> Vec<What> {
        self.reassert_words();
        std::mem::take(&mut self.overwritten)
            .into_iter()
            .map(|Foreign { word, found, .. }| What::Overwritten { word: Some(word.name()), found })
            .collect()
    }

    /// Workers that have ended in order so far because others were to take their places: worn, grown or poisoned.
    pub fn recycled(&self) -> u64 {
        let of = |link: &Link| {
            let counters = link.region.counters();
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            read(&counters.recycled).wrapping_add(read(&counters.poisoned))
        };
        self.links.iter().flatten().map(of).fold(0, u64::wrapping_add)
    }

    /// How many supervisors the fleet has had; each but the first has adopted it from one that died.
    pub fn supervisors(&self) -> u32 {
        self.control.state().supervisors.load(Ordering::Acquire).max(1)
    }

    /// What operators have ordered so far, and how often.
    pub fn scale_orders(&self) -> ScaleOrders {
        let orders = self.control.orders();
        // Before the two: an order writes this last.
        let given = orders.scaled.load(Ordering::Acquire);
        let workers = orders.workers.load(Ordering::Relaxed);
        ScaleOrders { given, coordinators: orders.coordinators.load(Ordering::Relaxed), workers }
    }

    /// The status of the fleet.
    pub fn status(&self) -> status::FleetStatus {
        status::read(&self.control, |index| {
            self.links.get(index as usize).and_then(|link| link.as_ref().map(|link| link.region))
        })
    }

    /// An operator has ordered a pause.
    pub fn is_paused(&self) -> bool {
        self.control.orders().pause.load(Ordering::Acquire) != 0
    }

    /// The fleet has ended, or is stopping.
    pub fn is_ending(&self) -> bool {
        matches!(self.control.stage(), Stage::Stopping | Stage::Stopped)
    }
}

/// The parts of a header that do not depend on the moment of sending; the other ones are 0.
fn header_of(worker: Option<WorkerRef>, kind: TaskKind, terms: &Terms) -> TaskHeader {
    TaskHeader {
        id: TaskId { epoch: 0, sender: 0, sequence: 0 },
        deadline_ns: 0,
        parameter: 0,
        sent_ns: 0,
        entry: 0,
        lease: 0,
        timeout_ms: terms.timeout.map_or(0, |time| time.as_millis().clamp(1, u32::MAX.into()) as u32),
        worker: worker.map_or(ANY, |worker| worker.worker as u16),
        kind: kind as u8
            | if terms.retry_failures { RETRY_FAILURES } else { 0 }
            | if terms.deaths_only { DEATHS_ONLY } else { 0 }
            | if terms.whole { WHOLE } else { 0 },
        attempts_max: terms.attempts_max.unwrap_or(0),
    }
}
