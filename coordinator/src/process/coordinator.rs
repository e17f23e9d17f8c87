//! A coordinator: between one client and its workers. Owns the task table of its region.
//!
//! The loop takes what has arrived (tasks from the client, answers from the workers, deaths, deadlines), decides by
//! `plan`, and sleeps on one bell when nothing is left to do. It may be killed at any instruction; `takeover` is what its
//! successor does then.

#[path = "coordinator/answers.rs"]
mod answers;
#[path = "coordinator/control.rs"]
mod control;
#[path = "coordinator/dead_letters.rs"]
mod dead_letters;
#[path = "coordinator/overwritten.rs"]
mod overwritten;
#[path = "coordinator/peers.rs"]
pub mod peers;
#[path = "coordinator/pool.rs"]
mod pool;
#[path = "coordinator/table.rs"]
mod table;
#[path = "coordinator/takeover.rs"]
mod takeover;
#[path = "coordinator/tasks.rs"]
mod tasks;
#[path = "coordinator/workers.rs"]
mod workers;

use super::fork;
use crate::bus::doorbell::Doorbell;
use crate::bus::events::{EventKind, EventLog, SELF};
use crate::bus::ring::{Consumer, Producer, Record, RingError};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::{AtomicU64, Ordering};
use crate::bus::view::{Control, Region};
use crate::bus::written::{WrittenCell, WrittenStamp};
use crate::config::{Policy, Span};
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::health::Watch;
use crate::plan::restart::Restarts;
use crate::plan::scaling::Scaler;
use crate::wire::TaskId;
use crate::wire::place::PlaceId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;
use table::Table;
pub(super) use table::{is_ending, is_leased};

use overwritten::OwnWords;
pub use takeover::{hand_back, run_successor};
pub(crate) use workers::{take_consumer, take_producer};

/// Without work the rings are scanned this often, in case a wake-up was lost when its writer died.
const TICK: Duration = Duration::from_millis(100);
/// While answers wait for room in the client's ring.
const BLOCKED: Duration = Duration::from_millis(2);
/// From the first fork until the last worker has attached.
const START_MAX: Duration = Duration::from_secs(30);
/// How long workers have to end by themselves, beside the grace that a command gets. Less than the supervisor gives a
/// coordinator.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// A fork that the kernel refuses for now is tried again this often at the start.
const FORK_TRIES: u32 = 5;

/// This process's ends of a worker's rings.
struct Rings {
    tasks: Producer,
    answers: Consumer,
}

/// A worker's place.
struct Link {
    /// `None` where the place is closed: no worker is there, and none will be started.
    rings: Option<Rings>,
    /// Of the worker that is running here now.
    pid: Option<Pid>,
    /// What this process has written about it, and about those before it.
    written: Option<WrittenCell>,
    /// The same in its orders: since when it is suspected, or 0.
    suspected_ns: u64,
    /// It has been seen at work.
    lived: bool,
    /// Queued in the table, waiting for room in the worker's ring.
    waiting: VecDeque<u32>,
    given_up: VecDeque<TaskId>,
    /// Something was staged since the last publication.
    touched: bool,
    restarts: Restarts,
    /// Records in its ring that it has not answered.
    outstanding: u32,
    /// It is in the list of idle workers.
    listed: bool,
    /// It gets no more tasks, and ends when it has done those that it has.
    retiring: bool,
    /// It was killed because it made no progress.
    hung: bool,
    watch: Watch,
}

struct Coordinator {
    index: u32,
    control: Control,
    region: Region,
    policy: Policy,
    /// Of the region, while this process has it.
    epoch: u32,
    /// As it was when this process began.
    stamp: WrittenStamp,
    /// This process; `None` if `/proc` could not be read.
    own: Option<Identity>,
    /// `None` until it serves.
    own_words: Option<OwnWords>,
    /// Of workers, as this process has published them.
    deaths: u64,
    table: Table,
    bell: &'static Doorbell,
    from_client: Consumer,
    to_client: Producer,
    from_client_control: Consumer,
    from_operator: Consumer,
    events: EventLog,
    links: Vec<Link>,
    /// Queued in the table for any worker: the first idle one takes it.
    for_any_worker: VecDeque<u32>,
    /// Workers that may be idle; checked once more before a task is given to one.
    idle: VecDeque<u32>,
    /// Queued in the table, and not before a time: when, the entry, its generation.
    later: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// Dead letters for which the table had no room yet.
    to_revive: VecDeque<u32>,
    /// How many workers are wanted, within which bounds, and the last order of an operator that was followed.
    wanted: u32,
    span: Span,
    scaler: Scaler,
    scaled: u32,
    peers: peers::Peers,
    /// Consecutive forks that the kernel refused.
    refused: u32,
    /// Workers whose rings have something staged since the last publication, and how many tasks that is.
    touched: Vec<u32>,
    staged: u32,
    by_pid: HashMap<Pid, u32>,
    /// Workers to be started: when, and at which place.
    due: VecDeque<(u64, u32)>,
    free: Vec<u32>,
    /// Returned by a predecessor, and reported once more: the client may have sent them here again meanwhile.
    returned: Vec<(TaskId, u32)>,
    /// Entries done or failed whose outcome has not been reported to the client.
    unreported: VecDeque<u32>,
    /// Outcomes staged in the client's ring, and not published yet.
    reported: Vec<u32>,
    /// No deadline in the table is before this.
    earliest_ns: u64,
    /// The client wrote an invalid record: nothing more is read from its ring.
    client_broken: bool,
    /// The same for the control rings of the client and of the operator.
    orders_broken: [bool; 2],
    /// The dead workers' rings are being read: their records were made under a predecessor.
    taking_over: bool,
    /// A worker that dies now is replaced.
    serving: bool,
    /// This process has told its workers to end. A word in shared memory that says so does not prove it.
    stopping: bool,
    /// Room for the numbers of ready workers and for a body, kept between rounds.
    ready: Vec<usize>,
    body: Vec<u8>,
}

/// Runs coordinator `index`, the first of its region. `report` is called once, when its workers are up or cannot be
/// started. Returns the exit status.
pub fn run(
    control: Control,
    region: Region,
    index: u32,
    policy: Policy,
    report: impl FnOnce(Result<(), String>),
) -> i32 {
    region.state().epoch.store(1, Ordering::Release);
    if let Err(errno) = fork::ring_on_child(&control.coordinator(index).bell) {
        report(Err(format!("cannot watch its workers: {errno}")));
        return 70;
    }
    let Ok(mut coordinator) = Coordinator::new(control, region, index, policy) else {
        report(Err("another process holds its rings to the client".to_owned()));
        return 70;
    };
    coordinator.free = (0..coordinator.table.len()).rev().collect();
    if let Err(why) = coordinator.start_all() {
        report(Err(why));
        return 20;
    }
    let ready = coordinator.wait_for_workers(0);
    let up = ready.is_ok();
    if up {
        control.coordinator(index).process.set_life(Life::Live);
    }
    report(ready);
    if up {
        coordinator.serve();
    }
    coordinator.stop();
    if up {
        coordinator.end_in_order();
        return 0;
    }
    20
}

impl Coordinator {
    fn new(control: Control, region: Region, index: u32, policy: Policy) -> Result<Self, RingError> {
        let workers = region.shape().workers_per_coordinator();
        let span = policy.workers.within(workers);
        // As the predecessor had it, if there was one.
        let before = control.workers_wanted(index);
        let by_hand = control.workers_ordered();
        let wanted = match (before, by_hand) {
            (0, 0) => span.start,
            (0, wanted) | (wanted, _) => wanted.clamp(1, workers),
        };
        Ok(Self {
            index,
            control,
            region,
            policy,
            epoch: region.state().epoch.load(Ordering::Relaxed),
            stamp: region.written_stamp(),
            deaths: control.coordinator(index).own.deaths.load(Ordering::Relaxed),
            own: Identity::of(std::process::id()),
            own_words: None,
            table: Table::new(region),
            bell: &control.coordinator(index).bell,
            from_client: take_consumer(region.client_down())?,
            to_client: take_producer(region.client_up())?,
            from_client_control: take_consumer(region.client_control())?,
            from_operator: take_consumer(region.operator_control())?,
            events: EventLog::new(region.events()),
            links: (0..workers).map(|_| Link::new(None)).collect(),
            for_any_worker: VecDeque::new(),
            idle: VecDeque::new(),
            later: BinaryHeap::new(),
            to_revive: VecDeque::new(),
            wanted,
            span,
            scaler: Scaler::default(),
            // An order that the predecessor has not followed is followed now.
            scaled: control.coordinator(index).own.scaled.load(Ordering::Acquire),
            peers: peers::Peers::new(control, index, policy),
            refused: 0,
            touched: Vec::with_capacity(workers as usize),
            staged: 0,
            by_pid: HashMap::new(),
            due: VecDeque::new(),
            free: Vec::new(),
            returned: Vec::new(),
            unreported: VecDeque::new(),
            reported: Vec::new(),
            earliest_ns: u64::MAX,
            client_broken: false,
            orders_broken: [false; 2],
            taking_over: false,
            serving: false,
            stopping: false,
            ready: Vec::with_capacity(workers as usize),
            body: Vec::new(),
        })
    }

    fn start_all(&mut self) -> Result<(), String> {
        let mut short = false;
        for number in 0..self.links.len() as u32 {
            let name = PlaceId::worker(self.index, number);
            let taken = || format!("another process holds the rings of {name}");
            // Our ends first: the child inherits the claim on neither.
            let tasks = self.region.worker_down(number).producer().ok_or_else(taken)?;
            let answers = self.region.worker_up(number).consumer().ok_or_else(taken)?;
            self.links[number as usize].rings = Some(Rings { tasks, answers });
            if number >= self.wanted || short {
                continue;
            }
            if let Some(max) = self.policy.spawn_max {
                self.wait_for_workers(max.get() - 1)?;
            }
            match self.start_with_retries(number) {
                Ok(()) => {}
                // The missing ones are started as soon as that is possible.
                Err(errno) if self.policy.partial && number > 0 => {
                    short = true;
                    add(&self.region.counters().refused);
                    self.events.write(
                        now_ns(),
                        EventKind::Refused,
                        number,
                        &[errno as u64, TICK.as_nanos() as u64],
                    );
                }
                Err(errno) => {
                    return Err(format!(
                        "cannot start {name}: {errno} (has a limit on processes been reached?)"
                    ));
                }
            }
        }
        Ok(())
    }

    /// EAGAIN and ENOMEM may pass; anything else is final.
    fn start_with_retries(&mut self, number: u32) -> nix::Result<()> {
        let mut pause = Duration::from_millis(5);
        for _ in 1..FORK_TRIES {
            match self.start_worker(number) {
                Err(nix::Error::EAGAIN | nix::Error::ENOMEM) => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                done => return done,
            }
        }
        self.start_worker(number)
    }

    /// Until all but the last `starting` of the workers that were forked have attached, in the order of their places.
    fn wait_for_workers(&mut self, starting: u32) -> Result<(), String> {
        let deadline = now_ns() + START_MAX.as_nanos() as u64;
        // At the lowest places: all that are wanted, or as many as could be forked.
        let workers = self.links.iter().filter(|link| link.pid.is_some()).count() as u32;
        let mut seen = 0;
        loop {
            if fork::child_ended() {
                self.reap();
            }
            while seen < workers && self.region.worker(seen).process.life() != Life::Starting {
                if self.region.worker(seen).process.life() != Life::Live {
                    return Err(format!("{} ended while it started", PlaceId::worker(self.index, seen)));
                }
                seen += 1;
            }
            if workers - seen <= starting {
                return Ok(());
            }
            if is_stopping(self.control) || self.peers.has_lost_its_supervisor() {
                return Err("it was stopped while its workers started".to_owned());
            }
            if now_ns() > deadline {
                return Err(format!(
                    "{} did not attach within {START_MAX:?}",
                    PlaceId::worker(self.index, seen)
                ));
            }
            let region = self.region;
            self.bell.wait(Duration::from_millis(20), || {
                region.worker(seen).process.life() != Life::Starting || fork::child_ended_pending()
            });
        }
    }

    fn serve(&mut self) {
        self.serving = true;
        self.own_words = Some(OwnWords::of(self.control.coordinator(self.index)));
        let mut record = Record::empty();
        self.publish_status(self.census());
        let mut next_scan = Self::tick_after(now_ns());
        while !is_stopping(self.control) {
            if fork::child_ended() {
                if self.peers.has_lost_its_supervisor() {
                    break;
                }
                self.reap();
                self.peers.check_parent(now_ns());
            }
            self.take_orders(&mut record);
            self.take_tasks(&mut record);
            self.take_answers(&mut record);
            if let Some(ticket) = self.pause_wanted() {
                self.pause(ticket, &mut record);
            }
            let now = now_ns();
            if now >= self.earliest_ns {
                self.expire(now);
            }
            if self.later.peek().is_some_and(|Reverse((at_ns, ..))| *at_ns <= now) {
                self.resume(now);
            }
            if now >= next_scan {
                for number in 0..self.links.len() {
                    self.drain(number, &mut record);
                }
                if self.peers.has_lost_its_supervisor() {
                    break;
                }
                self.tick(now);
                next_scan = Self::tick_after(now);
                if self.is_retiring() && self.is_drained() {
                    self.control.coordinator(self.index).own.closed.store(1, Ordering::Release);
                    break;
                }
            }
            self.report_outcomes();
            self.start_due(now);
            self.sleep(now, next_scan);
        }
    }

    /// This coordinator is surplus: it takes what was sent to it, and clients send it nothing more.
    fn is_retiring(&self) -> bool {
        self.control.coordinator(self.index).retire.load(Ordering::Acquire) != 0
    }

    fn sleep(&mut self, now: u64, next_scan: u64) {
        let due = self.due.front().map_or(u64::MAX, |(at_ns, _)| *at_ns);
        if due <= now {
            return;
        }
        let later = self.later.peek().map_or(u64::MAX, |Reverse((at_ns, ..))| *at_ns);
        let wake = next_scan.min(self.earliest_ns).min(due).min(later);
        let mut timeout = Duration::from_nanos(wake.saturating_sub(now));
        if !self.unreported.is_empty() {
            timeout = timeout.min(BLOCKED);
        }
        let (ready, control) = (self.region.ready(), self.control);
        let room = !self.free.is_empty() && !self.client_broken;
        let (client, orders) =
            (&mut self.from_client, [&mut self.from_client_control, &mut self.from_operator]);
        let broken = self.orders_broken;
        self.bell.wait(timeout, || {
            !ready.is_clear()
                || (room && client.is_ready())
                || orders.into_iter().zip(broken).any(|(ring, broken)| !broken && ring.is_ready())
                || control.orders().pause.load(Ordering::Acquire) != 0
                || has_to_stop(control)
        });
    }

    /// The last word of a coordinator that was asked to end. A supervisor that is not its parent learns so how it ended.
    fn end_in_order(&self) {
        let entry = self.control.coordinator(self.index);
        if is_stopping(self.control) || entry.retire.load(Ordering::Acquire) != 0 {
            entry.process.set_life(Life::Stopped);
        }
    }

    fn stop(&mut self) {
        (self.serving, self.stopping) = (false, true);
        self.due.clear();
        self.region.state().stopping.store(1, Ordering::Release);
        for number in 0..self.links.len() as u32 {
            self.region.worker(number).bell.wake();
        }
        // Without a supervisor the fleet ends at once.
        let grace = if self.peers.has_lost_its_supervisor() {
            Duration::ZERO
        } else {
            STOP_GRACE + self.policy.stop.grace
        };
        let deadline = now_ns() + grace.as_nanos() as u64;
        let mut killed = false;
        loop {
            fork::child_ended();
            self.reap();
            let now = now_ns();
            // Bounded: SIGKILL cannot be refused, only delayed.
            if self.by_pid.is_empty()
                && (!self.end_orphans() || now >= deadline + STOP_GRACE.as_nanos() as u64)
            {
                return;
            }
            if now >= deadline && !killed {
                for pid in self.by_pid.keys() {
                    let _ = kill(*pid, Signal::SIGKILL);
                }
                killed = true;
            }
            let left = if killed { TICK } else { Duration::from_nanos(deadline.saturating_sub(now)) };
            self.bell.wait(left.min(TICK), fork::child_ended_pending);
        }
    }
}

fn is_stopping(control: Control) -> bool {
    matches!(control.stage(), Stage::Stopping | Stage::Stopped)
}

/// The loop must not go on sleeping.
fn has_to_stop(control: Control) -> bool {
    !matches!(control.stage(), Stage::Ready | Stage::Starting) || fork::child_ended_pending()
}

fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
