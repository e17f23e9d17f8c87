//! What a client asks for.

use crate::wire::TaskKind;
use crate::wire::place::WorkerRef;
use std::time::Duration;
use thiserror::Error;

/// Which worker is to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    Worker(WorkerRef),
    /// Any worker of any coordinator: where there is room.
    Any,
}

/// How long it may take, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From sending it to its end, including all attempts and pauses.
    pub deadline: Duration,
    /// For one attempt, from its beginning; `None` if only the deadline counts.
    pub timeout: Option<Duration>,
    /// How many workers may begin it; `None` for the fleet's default.
    pub attempts_max: Option<u8>,
    /// A refusal, or a command that ends badly, is a failed attempt: the task is tried again, and fails when no attempt
    /// is left.
    pub retry_failures: bool,
    /// Only the death of a worker, which says nothing about the task, is followed by another attempt. A time-out is not.
    pub deaths_only: bool,
    /// Output that has no room in a message is kept whole, in files that the sender removes: see
    /// [`crate::wire::spooled`]. Otherwise it is cut off.
    pub whole: bool,
}

impl Terms {
    /// A deadline and nothing else.
    pub fn within(deadline: Duration) -> Self {
        Self {
            deadline,
            timeout: None,
            attempts_max: None,
            retry_failures: false,
            deaths_only: false,
            whole: false,
        }
    }
}

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
    /// Run a command with its surroundings, as JSON: see `crate::wire::command`.
    Command(&'a [u8]),
    /// Give this line of JSON to the worker's long-lived agent.
    Agent(&'a [u8]),
    /// Leave traces in the worker, or look for them.
    Canary(&'a [u8]),
}

impl<'a> Task<'a> {
    /// Kind, parameter and body, as they are sent.
    pub(crate) fn parts(self) -> (TaskKind, u64, &'a [u8]) {
        match self {
            Task::Echo(body) => (TaskKind::Echo, 0, body),
            Task::Sleep(time) => (TaskKind::Sleep, time.as_nanos() as u64, &[]),
            Task::Compute(time) => (TaskKind::Compute, time.as_nanos() as u64, &[]),
            Task::Exec(body) => (TaskKind::Exec, 0, body),
            Task::Command(body) => (TaskKind::Command, 0, body),
            Task::Agent(body) => (TaskKind::Agent, 0, body),
            Task::Canary(body) => (TaskKind::Canary, 0, body),
        }
    }
}

/// Why a task was not accepted. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    #[error("the worker has no room for another waiting task")]
    Backpressure,
    #[error("there is no such worker")]
    NoSuchRecipient,
    #[error("the worker's coordinator is dead")]
    DeadRecipient,
    #[error("the task is larger than the fleet's maximum payload")]
    TooLarge,
}
