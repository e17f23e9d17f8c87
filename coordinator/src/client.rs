//! What a program links to launch a fleet, to send it tasks and to read how it is.
//!
//! The client keeps a ledger of its own: *accepted = answered + failed + in flight*. It believes no
//! count of the other side's; the two are there to be compared.

pub mod events;
pub mod launch;
pub mod letters;
pub mod operator;
pub mod orders;
pub mod status;

use crate::bus::directory::{control_path, region_path};
use crate::bus::error::BusError;
use crate::bus::ring::{Consumer, HEADER, Producer, Record};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Region};
use crate::config::FleetShape;
pub use crate::plan::routing::WorkerRef;
pub use crate::process::clock::now_ns;
pub use crate::process::identity::{Identity, Presence};
pub use crate::process::reap::HowEnded;
pub use crate::wire::TaskId;
use crate::wire::{ANSWER, AnswerHeader, AnswerStatus, TASK, TRUNCATED, TaskHeader, TaskKind, attempt_of};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use zerocopy::{FromBytes, IntoBytes};

/// The coordinator gives a task up at its deadline; if it does not even say that by then, the client
/// gives the coordinator up for this task.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// Tasks given up by the client that are remembered, to tell a late answer from a second one.
const GIVEN_UP_MAX: usize = 4096;
/// A sleeping client looks this often whether its fleet is still there.
const LOOK: Duration = Duration::from_millis(100);

/// What a worker is to do.
#[derive(Debug, Clone, Copy)]
pub enum Task<'a> {
    /// Send this back.
    Echo(&'a [u8]),
    Sleep(Duration),
    /// Burn this much CPU time.
    Compute(Duration),
    /// Run a command, encoded by [`crate::wire::command_body`].
    Exec(&'a [u8]),
}

/// Why a task was not accepted. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    #[error("the worker has as many tasks waiting as it may have")]
    Backpressure,
    #[error("there is no such worker")]
    NoSuchRecipient,
    #[error("the worker's coordinator is dead")]
    DeadRecipient,
    #[error("the payload is larger than the fleet was made for")]
    TooLarge,
}

/// Why an accepted task will not be answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("{0} died with the task in hand ({how})", how = .1.in_fleet())]
    WorkerDied(WorkerRef, HowEnded),
    #[error("{0} was dead already ({how})", how = .1.in_fleet())]
    WorkerDead(WorkerRef, HowEnded),
    #[error("{0} refused: {1}")]
    Refused(WorkerRef, String),
    #[error("coord/{0} died ({how})", how = .1.in_fleet())]
    CoordinatorDied(u32, HowEnded),
    #[error("coord/{0} did not say within {1:?} what became of it")]
    CoordinatorSilent(u32, Duration),
    #[error("coord/{0} wrote what cannot be: {1}")]
    CoordinatorBroken(u32, String),
    #[error("a successor of coord/{0} found the task damaged in its table")]
    Damaged(u32),
    #[error("the supervisor died, and the fleet with it")]
    SupervisorDied,
}

/// An answer, still in the client's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub body: &'a [u8],
    /// 1, and one more for each worker that died with the task in hand.
    pub attempt: u8,
    /// At the worker, on the clock of [`now_ns`].
    pub started_ns: u64,
    pub finished_ns: u64,
    /// Of a command: exit status, or minus the signal.
    pub code: i32,
    /// Of a command: how much of the body is stdout; the rest is stderr.
    pub stdout_len: usize,
    /// Of a command: there was more output than the fleet's payload holds.
    pub truncated: bool,
}

/// What became of a task.
#[derive(Debug)]
pub struct Outcome<'a> {
    pub id: TaskId,
    pub worker: WorkerRef,
    /// As given to [`Client::send`].
    pub tag: u64,
    pub sent_ns: u64,
    pub received_ns: u64,
    pub result: Result<Answer<'a>, Failure>,
}

#[derive(Debug)]
pub enum Event<'a> {
    /// Exactly one for each accepted task.
    Outcome(Outcome<'a>),
    /// An answer came after its task had been given up.
    Late(TaskId),
    /// A second answer.
    Duplicate(TaskId),
    /// The same answer once more: a coordinator died after it had told, and its successor could not
    /// know. Nothing was done twice.
    Repeated(TaskId),
}

/// accepted = answered + failed + `in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ledger {
    pub accepted: u64,
    pub answered: u64,
    pub failed: u64,
    pub in_flight: u64,
    pub late: u64,
    pub duplicates: u64,
}

impl std::ops::AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        // What a coordinator counts is read from where anybody of its user's may write.
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.accepted, other.accepted);
        add(&mut self.answered, other.answered);
        add(&mut self.failed, other.failed);
        add(&mut self.in_flight, other.in_flight);
        add(&mut self.late, other.late);
        add(&mut self.duplicates, other.duplicates);
    }
}

/// What makes an answer itself: sequence, lease, end and status.
type Told = (u64, u32, u64, u32);

struct Link {
    region: Region,
    tasks: Producer,
    answers: Consumer,
    ledger: Ledger,
    /// The last that was told from each entry of the coordinator's table. An entry has no other task
    /// before its coordinator knows that it has told, so what is told once more is always the last.
    told: Vec<Option<Told>>,
    repeated: u64,
    lost: Option<Failure>,
    staged: bool,
}

struct InFlight {
    worker: WorkerRef,
    tag: u64,
    sent_ns: u64,
    deadline_ns: u64,
    timeout: Duration,
}

/// The one client of a fleet.
pub struct Client {
    control: Control,
    links: Vec<Link>,
    supervisor: Identity,
    supervisor_lost: bool,
    sender: u32,
    next_sequence: u64,
    in_flight: HashMap<u64, InFlight>,
    /// Tasks in flight, by worker.
    waiting: Vec<u32>,
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

impl Client {
    /// Attaches to the fleet in `dir`. A fleet has one client at a time.
    pub fn attach(dir: &Path) -> Result<Self, BusError> {
        let control = Control::attach(&control_path(dir))?;
        let stamped = *control.stamped();
        let shape = stamped.shape;
        let mut links = Vec::new();
        for index in 0..shape.coordinators() {
            let path = region_path(dir, index);
            let region = Region::attach(&path, &stamped, index)?;
            let taken = || BusError::EndTaken { path: path.clone() };
            links.push(Link {
                region,
                tasks: region.client_down().producer().ok_or_else(taken)?,
                answers: region.client_up().consumer().ok_or_else(taken)?,
                ledger: Ledger::default(),
                told: vec![None; region.table().len()],
                repeated: 0,
                lost: None,
                staged: false,
            });
        }
        let sender = control.state().clients.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        let workers = shape.coordinators() * shape.workers_per_coordinator();
        Ok(Self {
            control,
            links,
            supervisor: stamped.owner,
            supervisor_lost: false,
            sender,
            next_sequence: 0,
            in_flight: HashMap::new(),
            waiting: vec![0; workers as usize],
            earliest_ns: u64::MAX,
            looked_ns: 0,
            given_up: VecDeque::new(),
            record: Record::empty(),
        })
    }

    pub fn shape(&self) -> &FleetShape {
        self.control.shape()
    }

    fn place(&self, worker: WorkerRef) -> usize {
        (worker.coordinator * self.shape().workers_per_coordinator() + worker.worker) as usize
    }

    /// Sends a task to `worker`; `tag` comes back with the outcome. It goes out with the next
    /// [`Client::flush`].
    pub fn send(
        &mut self,
        worker: WorkerRef,
        task: Task<'_>,
        timeout: Duration,
        tag: u64,
    ) -> Result<TaskId, SendError> {
        if !worker.is_within(self.shape()) {
            return Err(SendError::NoSuchRecipient);
        }
        let (kind, parameter, body) = match task {
            Task::Echo(body) => (TaskKind::Echo, 0, body),
            Task::Sleep(time) => (TaskKind::Sleep, time.as_nanos() as u64, &[][..]),
            Task::Compute(time) => (TaskKind::Compute, time.as_nanos() as u64, &[][..]),
            Task::Exec(body) => (TaskKind::Exec, 0, body),
        };
        if body.len() > self.shape().payload_max() as usize {
            return Err(SendError::TooLarge);
        }
        let place = self.place(worker);
        if self.waiting[place] >= self.shape().depth() {
            return Err(SendError::Backpressure);
        }
        let sent_ns = now_ns();
        let id =
            TaskId { epoch: self.control.stamped().epoch, sender: self.sender, sequence: self.next_sequence };
        let deadline_ns = sent_ns.saturating_add(timeout.as_nanos() as u64);
        let header = TaskHeader {
            id,
            deadline_ns,
            parameter,
            sent_ns,
            entry: 0,
            lease: 0,
            timeout_ms: 0,
            worker: worker.worker as u16,
            kind: kind as u8,
            attempts_max: 0,
        };
        let link = &mut self.links[worker.coordinator as usize];
        if link.lost.is_some() {
            return Err(SendError::DeadRecipient);
        }
        let mut bytes = [0; HEADER];
        bytes.copy_from_slice(header.as_bytes());
        link.tasks.push(TASK, &bytes, body).map_err(|_| SendError::Backpressure)?;
        link.staged = true;
        link.ledger.accepted += 1;
        link.ledger.in_flight += 1;
        self.waiting[place] += 1;
        self.next_sequence += 1;
        self.earliest_ns = self.earliest_ns.min(deadline_ns);
        self.in_flight.insert(id.sequence, InFlight { worker, tag, sent_ns, deadline_ns, timeout });
        Ok(id)
    }

    /// Shows what was sent to the coordinators.
    pub fn flush(&mut self) {
        for (link, index) in self.links.iter_mut().zip(0..) {
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
        self.supervisor_lost || self.links.iter().all(|link| link.lost.is_some())
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
        let grace = ANSWER_GRACE.as_nanos() as u64;
        if now >= self.earliest_ns.saturating_add(grace) {
            events += self.expire(now, &mut each);
        }
        events
    }

    fn drain(&mut self, index: usize, each: &mut impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        let mut record = std::mem::replace(&mut self.record, Record::empty());
        loop {
            match self.links[index].answers.pop(&mut record) {
                Ok(true) if record.kind == ANSWER => {
                    events += 1;
                    self.take(index, &record, each);
                }
                Ok(false) => break,
                Ok(true) => {
                    events += self.lose(
                        index,
                        &Failure::CoordinatorBroken(index as u32, "an unknown kind of record".into()),
                        each,
                    );
                    break;
                }
                Err(error) => {
                    events +=
                        self.lose(index, &Failure::CoordinatorBroken(index as u32, error.to_string()), each);
                    break;
                }
            }
        }
        self.record = record;
        self.links[index].answers.acknowledge();
        events
    }

    fn take(&mut self, index: usize, record: &Record, each: &mut impl FnMut(Event<'_>)) {
        let answer = AnswerHeader::read_from_bytes(&record.header).expect("headers have one size");
        let status = AnswerStatus::from_raw(answer.status);
        let ledger = &mut self.links[index].ledger;
        if status == Some(AnswerStatus::Late) {
            ledger.late += 1;
            return each(Event::Late(answer.id));
        }
        if self.is_repeated(index, &answer, status) {
            self.links[index].repeated += 1;
            return each(Event::Repeated(answer.id));
        }
        let ledger = &mut self.links[index].ledger;
        let here = self.in_flight.get(&answer.id.sequence).is_some_and(|task| {
            task.worker == WorkerRef { coordinator: index as u32, worker: answer.worker }
        });
        let given_up = answer.id.sender == self.sender && self.given_up.contains(&answer.id.sequence);
        if !here && given_up {
            self.given_up.retain(|sequence| *sequence != answer.id.sequence);
            if matches!(status, Some(AnswerStatus::Ok | AnswerStatus::Refused)) {
                ledger.late += 1;
                each(Event::Late(answer.id));
            }
            // That the coordinator has given it up too is no news.
            return;
        }
        if status == Some(AnswerStatus::Duplicate) || answer.id.sender != self.sender || !here {
            ledger.duplicates += 1;
            return each(Event::Duplicate(answer.id));
        }
        let Some(task) = self.in_flight.remove(&answer.id.sequence) else { return };
        let stdout_len = ((answer.stdout_len & !TRUNCATED) as usize).min(record.body.len());
        let how = HowEnded::from_raw(answer.code);
        let result = match status {
            Some(AnswerStatus::Ok) => Ok(Answer {
                body: &record.body,
                attempt: attempt_of(answer.lease),
                started_ns: answer.started_ns,
                finished_ns: answer.finished_ns,
                code: answer.code,
                stdout_len,
                truncated: answer.stdout_len & TRUNCATED != 0,
            }),
            Some(AnswerStatus::TimedOut) => Err(Failure::TimedOut(task.timeout)),
            Some(AnswerStatus::WorkerDied) => Err(Failure::WorkerDied(task.worker, how)),
            Some(AnswerStatus::WorkerDead) => Err(Failure::WorkerDead(task.worker, how)),
            Some(AnswerStatus::Refused) => {
                Err(Failure::Refused(task.worker, String::from_utf8_lossy(&record.body).into_owned()))
            }
            Some(AnswerStatus::Damaged) => Err(Failure::Damaged(index as u32)),
            Some(
                AnswerStatus::Late
                | AnswerStatus::Duplicate
                | AnswerStatus::Returned
                | AnswerStatus::Cancelled
                | AnswerStatus::WorkerHung,
            )
            | None => Err(Failure::CoordinatorBroken(
                index as u32,
                format!("an answer of status {}", answer.status),
            )),
        };
        self.settle(answer.id, &task, result, each);
    }

    /// Only a successor repeats anything.
    fn is_repeated(&mut self, index: usize, answer: &AnswerHeader, status: Option<AnswerStatus>) -> bool {
        if answer.id.sender != self.sender || status == Some(AnswerStatus::Duplicate) {
            return false;
        }
        // By its own word, which it writes before it tells anything; its parent may not have counted it yet.
        let is_successor = self.links[index].region.state().epoch.load(Ordering::Acquire) > 1;
        let Some(last) = self.links[index].told.get_mut(answer.entry as usize) else { return false };
        let told = (answer.id.sequence, answer.lease, answer.finished_ns, answer.status);
        let before = last.replace(told);
        is_successor && before == Some(told)
    }

    fn settle(
        &mut self,
        id: TaskId,
        task: &InFlight,
        result: Result<Answer<'_>, Failure>,
        each: &mut impl FnMut(Event<'_>),
    ) {
        let place = self.place(task.worker);
        self.waiting[place] -= 1;
        let ledger = &mut self.links[task.worker.coordinator as usize].ledger;
        ledger.in_flight -= 1;
        if result.is_ok() {
            ledger.answered += 1;
        } else {
            ledger.failed += 1;
        }
        each(Event::Outcome(Outcome {
            id,
            worker: task.worker,
            tag: task.tag,
            sent_ns: task.sent_ns,
            received_ns: now_ns(),
            result,
        }));
    }

    fn look_for_losses(&mut self, each: &mut impl FnMut(Event<'_>)) -> usize {
        let mut events = 0;
        if !self.supervisor_lost && self.control.stage() != Stage::Stopped && self.supervisor.is_gone() {
            self.supervisor_lost = true;
        }
        for index in 0..self.links.len() {
            if self.links[index].lost.is_some() {
                continue;
            }
            let process = &self.control.coordinator(index as u32).process;
            let failure = if matches!(process.life(), Life::Dead | Life::Stopped) {
                let how = HowEnded::from_raw(process.wait_status.load(Ordering::Relaxed));
                Failure::CoordinatorDied(index as u32, how)
            } else if self.supervisor_lost {
                Failure::SupervisorDied
            } else {
                continue;
            };
            // What it had published before it died counts.
            events += self.drain(index, each);
            events += self.lose(index, &failure, each);
        }
        events
    }

    /// Fails everything in flight at a coordinator.
    fn lose(&mut self, index: usize, failure: &Failure, each: &mut impl FnMut(Event<'_>)) -> usize {
        self.links[index].lost = Some(failure.clone());
        let mut lost: Vec<u64> = self
            .in_flight
            .iter()
            .filter(|(_, task)| task.worker.coordinator as usize == index)
            .map(|(sequence, _)| *sequence)
            .collect();
        lost.sort_unstable();
        self.fail(&lost, |_| failure.clone(), each)
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
        let silent = |task: &InFlight| {
            Failure::CoordinatorSilent(task.worker.coordinator, task.timeout + ANSWER_GRACE)
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
                self.settle(id, &task, Err(failure), each);
            }
        }
        sequences.len()
    }

    /// Sleeps until something has come in or `timeout` is over.
    pub fn wait(&mut self, timeout: Duration) {
        let links = &mut self.links;
        self.control
            .client_bell()
            .wait(timeout.min(LOOK), || links.iter_mut().any(|link| link.answers.is_ready()));
    }

    /// This end's counts, summed.
    pub fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        for link in &self.links {
            sum += link.ledger;
        }
        sum
    }

    /// This end's counts for one coordinator.
    pub fn ledger_of(&self, coordinator: u32) -> Ledger {
        self.links[coordinator as usize].ledger
    }

    /// Answers that came once more from a coordinator's successor.
    pub fn repeated(&self) -> u64 {
        self.links.iter().map(|link| link.repeated).sum()
    }

    /// Deaths of coordinators and workers that nobody asked for, and that their parents have seen.
    pub fn deaths(&self) -> u64 {
        self.control.state().deaths.load(Ordering::Acquire)
    }

    /// Who is there, and what is in flight.
    pub fn status(&self) -> status::FleetStatus {
        status::read(&self.control, |index| self.links.get(index as usize).map(|link| link.region))
    }
}
