//! What a program links to launch a fleet, to send it tasks and to read how it is.
//!
//! The client keeps a ledger of its own: *accepted = answered + failed + returned + in flight*. It believes no
//! count of the other side's; the two are there to be compared.
//!
//! A task for any worker is kept here until it is answered: what a coordinator returns, or could not take any more
//! before it ended, goes to another one.

mod coordinators;
pub mod events;
pub mod launch;
pub mod letters;
pub mod operator;
pub mod orders;
mod outcome;
pub mod status;
mod task;

use crate::bus::directory::control_path;
use crate::bus::error::BusError;
use crate::bus::ring::Record;
use crate::bus::slot::Stage;
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::config::FleetShape;
pub use crate::os::clock::now_ns;
pub use crate::os::identity::{Identity, Presence};
pub use crate::process::reap::HowEnded;
pub use crate::wire::place::{PlaceId, Role, WorkerRef};
use crate::wire::{
    ANY, AnswerHeader, AnswerStatus, ControlHeader, DEATHS_ONLY, FAILED, Order, RETRY_FAILURES, REVIVED,
    TRUNCATED, TaskHeader, USAGE_LEN, WITH_USAGE, attempt_of,
};
pub use crate::wire::{TaskId, Usage};
use coordinators::Link;
pub use outcome::{Answer, Event, Failure, Ledger, Outcome, Partial};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use task::{Address, SendError, Task, Terms};
use zerocopy::FromBytes;

/// The coordinator gives a task up at its deadline; if it does not even say that by then, the client
/// gives the coordinator up for this task.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// Tasks given up by the client that are remembered, to tell a late answer from a second one.
const GIVEN_UP_MAX: usize = 4096;
/// A sleeping client looks this often whether its fleet is still there.
const LOOK: Duration = Duration::from_millis(100);
/// A task goes to another coordinator so often after one that was lost with it.
const RESENT_MAX: u8 = 3;

/// A task that has not ended, as this end knows it.
struct InFlight {
    /// Where it is; `None` while no coordinator has it.
    coordinator: Option<u32>,
    /// Which record of its ring.
    position: u64,
    /// Whose it is, if it is not anybody's.
    worker: Option<WorkerRef>,
    tag: u64,
    sent_ns: u64,
    deadline_ns: u64,
    terms: Terms,
    /// Header and body, of a task that may have to go to another coordinator.
    again: Option<(TaskHeader, Vec<u8>)>,
    resent: u8,
    /// It is not sent to anybody any more.
    cancelled: bool,
}

/// The one client of a fleet.
pub struct Client {
    control: Control,
    dir: PathBuf,
    /// By number; `None` where none has been yet.
    links: Vec<Option<Link>>,
    supervisor_lost: bool,
    /// Since when the fleet has had no supervisor; 0 while it has.
    alone_ns: u64,
    sender: u32,
    next_sequence: u64,
    in_flight: HashMap<u64, InFlight>,
    /// Tasks that no coordinator has at the moment, the oldest first.
    homeless: VecDeque<u64>,
    /// What became of those that never found one again.
    nowhere: Ledger,
    /// Addressed tasks in flight, by worker.
    waiting: Vec<u32>,
    /// Where the search for room begins.
    turn: usize,
    earliest_ns: u64,
    looked_ns: u64,
    /// Given up by this end alone, the newest last: what comes of them is late, and no second answer.
    given_up: VecDeque<u64>,
    record: Record,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("ledger", &self.ledger()).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The next one need not ask whether this one lives.
        let (own, place) = (Identity::own(), &self.control.state().client_pid);
        let _ = place.compare_exchange(own.pid, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

impl Client {
    /// Attaches to the fleet in `dir`. A fleet has one client at a time; after the end of one another may come, and
    /// hears what becomes of its tasks too ([`Event::Inherited`]).
    pub fn attach(dir: &Path) -> Result<Self, BusError> {
        let control = Control::attach(&control_path(dir))?;
        coordinators::become_client(&control, dir)?;
        let sender = control.state().clients.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        let shape = control.shape();
        let workers = shape.coordinators() * shape.workers_per_coordinator();
        let mut client = Self {
            control,
            dir: dir.to_owned(),
            links: (0..shape.coordinators()).map(|_| None).collect(),
            supervisor_lost: false,
            alone_ns: 0,
            sender,
            next_sequence: 0,
            in_flight: HashMap::new(),
            homeless: VecDeque::new(),
            nowhere: Ledger::default(),
            waiting: vec![0; workers as usize],
            turn: 0,
            earliest_ns: u64::MAX,
            looked_ns: 0,
            given_up: VecDeque::new(),
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

    /// As [`Client::submit`], to one worker and with one time for all.
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
            Address::Any => (self.roomiest()?, None),
        };
        let sent_ns = now_ns();
        let id =
            TaskId { epoch: self.control.stamped().epoch, sender: self.sender, sequence: self.next_sequence };
        let deadline_ns = sent_ns.saturating_add(terms.deadline.as_nanos() as u64);
        let header = TaskHeader {
            id,
            deadline_ns,
            parameter,
            sent_ns,
            entry: 0,
            lease: 0,
            timeout_ms: terms.timeout.map_or(0, |time| time.as_millis().clamp(1, u32::MAX.into()) as u32),
            worker: worker.map_or(ANY, |worker| worker.worker as u16),
            kind: kind as u8
                | if terms.retry_failures { RETRY_FAILURES } else { 0 }
                | if terms.deaths_only { DEATHS_ONLY } else { 0 },
            attempts_max: terms.attempts_max.unwrap_or(0),
        };
        let position = self.hand_in(index, &header, body)?;
        if let Some(worker) = worker {
            let place = self.place(worker);
            self.waiting[place] += 1;
        }
        self.next_sequence += 1;
        self.earliest_ns = self.earliest_ns.min(deadline_ns);
        let again = worker.is_none().then(|| (header, body.to_vec()));
        let task = InFlight {
            coordinator: Some(index),
            position,
            worker,
            tag,
            sent_ns,
            deadline_ns,
            terms: *terms,
            again,
            resent: 0,
            cancelled: false,
        };
        self.in_flight.insert(id.sequence, task);
        Ok(id)
    }

    /// Asks for the end of a task that is not wanted any more. Its outcome comes as that of any other: cancelled, or what
    /// it had become before.
    pub fn cancel(&mut self, id: TaskId) -> Result<(), SendError> {
        let Some(task) = self.in_flight.get_mut(&id.sequence).filter(|_| id.sender == self.sender) else {
            return Ok(());
        };
        let Some(index) = task.coordinator else {
            task.cancelled = true;
            return Ok(());
        };
        let order = ControlHeader { id, order: Order::Cancel as u32, all: 0, spare: [0; 4] };
        // It may not be on its way yet, and the order must not be there before it.
        self.flush();
        let link = self.links[index as usize].as_mut().ok_or(SendError::DeadRecipient)?;
        link.order(&order).map_err(|_| SendError::Backpressure)?;
        self.control.coordinator(index).bell.ring();
        // The coordinator may have handed it back already.
        if let Some(task) = self.in_flight.get_mut(&id.sequence) {
            task.cancelled = true;
        }
        Ok(())
    }

    /// Shows what was sent to the coordinators.
    pub fn flush(&mut self) {
        for (link, index) in self.links.iter_mut().zip(0..) {
            let Some(link) = link else { continue };
            if std::mem::take(&mut link.staged) {
                link.tasks.publish();
                self.control.coordinator(index).bell.ring();
            }
        }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// True when the supervisor or every coordinator is gone: nothing will be answered any more.
    pub fn is_lost(&self) -> bool {
        self.supervisor_lost || self.links.iter().flatten().all(|link| link.lost.is_some())
    }

    /// Takes what has come in; returns how many events there were.
    pub fn poll(&mut self, mut each: impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        for index in 0..self.links.len() {
            events += self.drain(index, &mut each);
        }
        let now = now_ns();
        if now.saturating_sub(self.looked_ns) >= LOOK.as_nanos() as u64 {
            self.looked_ns = now;
            events += self.look_for_losses(&mut each);
        }
        if !self.homeless.is_empty() {
            events += self.send_again(now, &mut each);
        }
        let grace = ANSWER_GRACE.as_nanos() as u64;
        if now >= self.earliest_ns.saturating_add(grace) {
            events += self.expire(now, &mut each);
        }
        self.note_moves(!self.homeless.is_empty());
        events
    }

    fn take(&mut self, index: usize, record: &Record, each: &mut impl FnMut(Event<'_>)) {
        let answer = AnswerHeader::read_from_bytes(&record.header).expect("headers have one size");
        let status = AnswerStatus::from_raw(answer.status);
        let Some(link) = &mut self.links[index] else { return };
        if status == Some(AnswerStatus::Late) {
            link.ledger.late += 1;
            return each(Event::Late(answer.id));
        }
        if answer.id.sender == self.sender
            && status != Some(AnswerStatus::Duplicate)
            && link.is_repeated(&answer)
        {
            link.repeated += 1;
            return each(Event::Repeated(answer.id));
        }
        let inherited = answer.id.sender != self.sender;
        if status != Some(AnswerStatus::Duplicate) && (inherited || answer.status & REVIVED != 0) {
            let outcome = strange(index as u32, &answer, &record.body);
            return each(if inherited { Event::Inherited(outcome) } else { Event::Revived(outcome) });
        }
        let here = self
            .in_flight
            .get(&answer.id.sequence)
            .is_some_and(|task| task.coordinator == Some(index as u32));
        let given_up = self.given_up.contains(&answer.id.sequence);
        if !here && given_up {
            self.given_up.retain(|sequence| *sequence != answer.id.sequence);
            if matches!(status, Some(AnswerStatus::Ok | AnswerStatus::Refused)) {
                link.ledger.late += 1;
                each(Event::Late(answer.id));
            }
            // That the coordinator has given it up too is no news.
            return;
        }
        if status == Some(AnswerStatus::Duplicate) || !here {
            link.ledger.duplicates += 1;
            return each(Event::Duplicate(answer.id));
        }
        if status == Some(AnswerStatus::Returned) {
            let left = u8::try_from(answer.code).unwrap_or(1).max(1);
            if self.take_back(answer.id.sequence, Why::Returned(left)) {
                return;
            }
        }
        let Some(task) = self.in_flight.remove(&answer.id.sequence) else { return };
        let result = outcome_of(index as u32, &answer, &record.body, Some(&task));
        self.settle(answer.id, &task, who(index as u32, &answer, &task), result, each);
    }

    fn settle(
        &mut self,
        id: TaskId,
        task: &InFlight,
        worker: WorkerRef,
        result: Result<Answer<'_>, Failure>,
        each: &mut impl FnMut(Event<'_>),
    ) {
        if let Some(worker) = task.worker {
            let place = self.place(worker);
            self.waiting[place] -= 1;
        }
        let link = task.coordinator.and_then(|index| self.links[index as usize].as_mut());
        let ledger = link.map_or(&mut self.nowhere, |link| &mut link.ledger);
        ledger.in_flight -= 1;
        if result.is_ok() {
            ledger.answered += 1;
        } else {
            ledger.failed += 1;
        }
        each(Event::Outcome(Outcome {
            id,
            worker,
            tag: task.tag,
            sent_ns: task.sent_ns,
            received_ns: now_ns(),
            result,
        }));
    }

    fn expire(&mut self, now: u64, each: &mut impl FnMut(Event<'_>)) -> usize {
        let grace = ANSWER_GRACE.as_nanos() as u64;
        let mut expired = Vec::new();
        self.earliest_ns = u64::MAX;
        for (sequence, task) in &self.in_flight {
            if task.deadline_ns.saturating_add(grace) <= now {
                expired.push(*sequence);
            } else {
                self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            }
        }
        expired.sort_unstable();
        let silent = |task: &InFlight| match task.coordinator {
            Some(index) => {
                Failure::CoordinatorSilent(index, task.terms.deadline.saturating_add(ANSWER_GRACE))
            }
            None => Failure::Homeless(task.terms.deadline),
        };
        self.fail(&expired, silent, each)
    }

    fn fail(
        &mut self,
        sequences: &[u64],
        why: impl Fn(&InFlight) -> Failure,
        each: &mut impl FnMut(Event<'_>),
    ) -> usize {
        for sequence in sequences {
            if let Some(task) = self.in_flight.remove(sequence) {
                let id =
                    TaskId { epoch: self.control.stamped().epoch, sender: self.sender, sequence: *sequence };
                let failure = why(&task);
                if self.given_up.len() == GIVEN_UP_MAX {
                    self.given_up.pop_front();
                }
                self.given_up.push_back(*sequence);
                self.homeless.retain(|homeless| homeless != sequence);
                let worker = task.worker.unwrap_or(WorkerRef::none(task.coordinator.unwrap_or(0)));
                self.settle(id, &task, worker, Err(failure), each);
            }
        }
        sequences.len()
    }

    /// Sleeps until something has come in or `timeout` is over.
    pub fn wait(&mut self, timeout: Duration) {
        let links = &mut self.links;
        self.control
            .client_bell()
            .wait(timeout.min(LOOK), || links.iter_mut().flatten().any(|link| link.answers.is_ready()));
    }

    /// This end's counts, summed.
    pub fn ledger(&self) -> Ledger {
        let mut sum = self.nowhere;
        for link in self.links.iter().flatten() {
            sum += link.ledger;
        }
        sum
    }

    /// This end's counts for one coordinator.
    pub fn ledger_of(&self, coordinator: u32) -> Ledger {
        self.links[coordinator as usize].as_ref().map_or_else(Ledger::default, |link| link.ledger)
    }

    /// Answers that came once more from a coordinator's successor.
    pub fn repeated(&self) -> u64 {
        self.links.iter().flatten().map(|link| link.repeated).sum()
    }

    /// Deaths of coordinators and workers that nobody asked for, and that their parents have seen.
    pub fn deaths(&self) -> u64 {
        self.control.state().deaths.load(Ordering::Acquire)
    }

    /// Who is there, and what is in flight.
    pub fn status(&self) -> status::FleetStatus {
        status::read(&self.control, |index| {
            self.links.get(index as usize).and_then(|link| link.as_ref().map(|link| link.region))
        })
    }

    /// The supervisor says that the fleet has ended, or is about to.
    pub fn is_ending(&self) -> bool {
        matches!(self.control.stage(), Stage::Stopping | Stage::Stopped)
    }
}

/// Why a task goes to another coordinator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The one that had it counted it, and gave it back with so many attempts.
    Returned(u8),
    /// The one that it was sent to ended before it took it.
    NeverTaken,
    /// The one that had it is lost, and what it knew with it.
    Lost,
}

/// The outcome of a task that is not in this end's book.
fn strange<'a>(index: u32, answer: &AnswerHeader, body: &'a [u8]) -> Outcome<'a> {
    Outcome {
        id: answer.id,
        worker: WorkerRef { coordinator: index, worker: answer.worker },
        tag: 0,
        sent_ns: 0,
        received_ns: now_ns(),
        result: outcome_of(index, answer, body, None),
    }
}

/// Who carried it out; of a task for one worker: that one.
fn who(index: u32, answer: &AnswerHeader, task: &InFlight) -> WorkerRef {
    task.worker.unwrap_or(WorkerRef { coordinator: index, worker: answer.worker })
}

/// What an answer says.
fn outcome_of<'a>(
    index: u32,
    answer: &AnswerHeader,
    body: &'a [u8],
    task: Option<&InFlight>,
) -> Result<Answer<'a>, Failure> {
    let mut output = body;
    let mut usage = None;
    if answer.stdout_len & WITH_USAGE != 0
        && let Some((rest, last)) = body.split_last_chunk::<USAGE_LEN>()
    {
        (output, usage) = (rest, Usage::read_from_bytes(last).ok());
    }
    let stdout_len = ((answer.stdout_len & !(TRUNCATED | WITH_USAGE)) as usize).min(output.len());
    let truncated = answer.stdout_len & TRUNCATED != 0;
    let how = HowEnded::from_raw(answer.code);
    let worker = WorkerRef { coordinator: index, worker: answer.worker };
    let attempt = attempt_of(answer.lease);
    let partial = || {
        Box::new(Partial {
            how,
            attempt,
            started_ns: answer.started_ns,
            finished_ns: answer.finished_ns,
            stdout: output[..stdout_len].to_vec(),
            stderr: output[stdout_len..].to_vec(),
            truncated,
            usage,
        })
    };
    match AnswerStatus::from_raw(answer.status) {
        Some(AnswerStatus::Ok) if answer.status & FAILED != 0 => Err(Failure::Failed(partial())),
        Some(AnswerStatus::Ok) => Ok(Answer {
            body: output,
            attempt,
            started_ns: answer.started_ns,
            finished_ns: answer.finished_ns,
            code: answer.code,
            stdout_len,
            truncated,
            usage,
        }),
        // Its coordinator says so at the deadline, the worker at the end of an attempt.
        Some(AnswerStatus::TimedOut) => Err(match task.map(|task| task.terms) {
            Some(Terms { timeout: Some(timeout), .. }) if answer.started_ns > 0 => {
                Failure::AttemptTimedOut(timeout, partial())
            }
            terms => Failure::TimedOut(terms.map_or(Duration::ZERO, |terms| terms.deadline)),
        }),
        Some(AnswerStatus::WorkerDied) => Err(Failure::WorkerDied(worker, how)),
        Some(AnswerStatus::WorkerDead) => Err(Failure::WorkerDead(worker, how)),
        Some(AnswerStatus::WorkerHung) => Err(Failure::WorkerHung(worker, how)),
        Some(AnswerStatus::Cancelled) => Err(Failure::Cancelled),
        Some(AnswerStatus::Refused) => {
            Err(Failure::Refused(worker, String::from_utf8_lossy(output).into_owned()))
        }
        Some(AnswerStatus::Damaged) => Err(Failure::Damaged(index)),
        Some(AnswerStatus::Returned) => Err(Failure::Homeless(Duration::ZERO)),
        Some(AnswerStatus::Late | AnswerStatus::Duplicate) | None => {
            Err(Failure::CoordinatorBroken(index, format!("an answer of status {}", answer.status)))
        }
    }
}
