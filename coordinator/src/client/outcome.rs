//! What a client receives, and what it counts.

use crate::process::reap::HowEnded;
use crate::wire::place::WorkerRef;
use crate::wire::spooled::Spooled;
use crate::wire::{TaskId, Usage};
use std::time::Duration;
use thiserror::Error;

/// Why an accepted task will not be answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("{0} died with the task in hand ({how})", how = .1.in_fleet())]
    WorkerDied(WorkerRef, HowEnded),
    #[error("{0} was already dead ({how})", how = .1.in_fleet())]
    WorkerDead(WorkerRef, HowEnded),
    #[error("{0} refused: {1}")]
    Refused(WorkerRef, String),
    /// With the agent program's reason.
    #[error("{1}")]
    AgentFailed(WorkerRef, String),
    #[error("{1}")]
    AgentDied(WorkerRef, String),
    #[error("coord/{0} died ({how})", how = .1.in_fleet())]
    CoordinatorDied(u32, HowEnded),
    #[error("coord/{0} did not report the outcome within {1:?}")]
    CoordinatorSilent(u32, Duration),
    #[error("coord/{0} sent an invalid record: {1}")]
    CoordinatorBroken(u32, String),
    /// With the name of the word, as in `bus::fields`.
    #[error("another program overwrote {1} in the memory of coord/{0}")]
    Damaged(u32, String),
    /// It is neither in the rings nor in the task table of the coordinator that had it.
    #[error("another program overwrote the memory of coord/{0}: the task is not there any more")]
    Missing(u32),
    #[error("{0} hung with the task in hand, and was killed ({how})", how = .1.in_fleet())]
    WorkerHung(WorkerRef, HowEnded),
    #[error("cancelled")]
    Cancelled,
    /// As it was asked to end, with what it had output.
    #[error("cancelled")]
    Ended(Box<Partial>),
    #[error("no attempt finished within {0:?}")]
    AttemptTimedOut(Duration, Box<Partial>),
    #[error("the command {how} in each attempt", how = .0.how)]
    Failed(Box<Partial>),
    #[error("no coordinator was able to take it within {0:?}")]
    Unassigned(Duration),
    #[error("the supervisor died, and the fleet with it")]
    SupervisorDied,
    #[error("the fleet was stopped")]
    FleetEnded,
}

impl Failure {
    /// Whether something has become of the task itself. If not, its fleet has ended before it did: another fleet may do it.
    pub fn is_of_task(&self) -> bool {
        !matches!(self, Self::SupervisorDied | Self::FleetEnded)
    }
}

impl Failure {
    /// The task was answered, and the answer is a failure.
    pub fn is_an_answer(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::AgentFailed(..))
    }
}

/// What a command had output by the time its last attempt failed, or when it was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    pub how: HowEnded,
    pub attempt: u8,
    pub started_ns: u64,
    pub finished_ns: u64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub truncated: bool,
    /// `stdout` is a [`crate::wire::spooled::Spooled`], and `stderr` the beginning of it.
    pub spooled: bool,
    pub usage: Option<Usage>,
}

/// An answer, still in the client's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub body: &'a [u8],
    /// 1, plus one for each worker that died with the task in hand.
    pub attempt: u8,
    /// At the worker, on the clock of [`now_ns`].
    pub started_ns: u64,
    pub finished_ns: u64,
    /// Of a command: exit status, or minus the signal.
    pub code: i32,
    /// Of a command: how many bytes of the body are stdout; the rest is stderr. Of an agent program: its result; the rest
    /// is its log.
    pub stdout_len: usize,
    /// Of a command: its output was larger than the fleet's `payload_max`, and was cut off.
    pub truncated: bool,
    /// The first `stdout_len` bytes of the body are a [`crate::wire::spooled::Spooled`], and the rest is the beginning of
    /// stderr.
    pub spooled: bool,
    /// Of a command, if it was measured.
    pub usage: Option<Usage>,
}

/// What became of a task.
#[derive(Debug)]
pub struct Outcome<'a> {
    pub id: TaskId,
    pub worker: WorkerRef,
    /// How many workers have begun it; `None` if the fleet has not reported it.
    pub attempt: Option<u8>,
    /// As given to [`Client::send`].
    pub tag: u64,
    pub sent_ns: u64,
    pub received_ns: u64,
    pub result: Result<Answer<'a>, Failure>,
}

impl Outcome<'_> {
    /// Where its output is that the message had no room for.
    pub fn spooled(&self) -> Option<Spooled> {
        let body = match &self.result {
            Ok(answer) if answer.spooled => answer.body.get(..answer.stdout_len)?,
            Err(
                Failure::Failed(partial) | Failure::AttemptTimedOut(_, partial) | Failure::Ended(partial),
            ) if partial.spooled => &partial.stdout,
            _ => return None,
        };
        Spooled::parse(body, self.id)
    }
}

/// Messages that were published, and how many times: those of one time went together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batches {
    pub messages: u64,
    pub batches: u64,
}

/// An answer to a task that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surplus {
    pub id: TaskId,
    /// The coordinator that sent it.
    pub coordinator: u32,
}

#[derive(Debug)]
pub enum Event<'a> {
    /// Exactly one for each accepted task.
    Outcome(Outcome<'a>),
    /// An answer came after its task had been given up.
    Late(Surplus),
    /// A second answer.
    Duplicate(Surplus),
    /// The same answer once more: a coordinator died after publishing it, and its successor could not know that. The
    /// task was not done twice.
    Repeated(TaskId),
    /// The outcome of a dead letter that an operator had made a task again. Not counted in the client's ledger.
    Revived(Outcome<'a>),
    /// The outcome of a task of an earlier client of the fleet. Not counted in the client's ledger.
    Inherited(Outcome<'a>),
}

/// accepted = answered + failed + returned + `in_flight`. Answered says nothing about success: a command that ends badly
/// has answered, and is one of `failed_tasks`. Failed is what was not answered. A task that one coordinator returns and another takes is
/// accepted twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ledger {
    pub accepted: u64,
    pub answered: u64,
    /// Of the answered: with a failure.
    pub failed_tasks: u64,
    /// Not answered, for whatever reason.
    pub failed: u64,
    pub in_flight: u64,
    /// Given back for another coordinator.
    pub returned: u64,
    pub late: u64,
    pub duplicates: u64,
}

impl std::ops::AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        // A coordinator's counts are read from memory that any process of this user may write.
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.accepted, other.accepted);
        add(&mut self.answered, other.answered);
        add(&mut self.failed_tasks, other.failed_tasks);
        add(&mut self.failed, other.failed);
        add(&mut self.in_flight, other.in_flight);
        add(&mut self.returned, other.returned);
        add(&mut self.late, other.late);
        add(&mut self.duplicates, other.duplicates);
    }
}
