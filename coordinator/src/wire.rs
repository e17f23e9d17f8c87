//! What passes through the rings: ids, message types and their encoding. Data only.

use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::bus::ring::HEADER;

/// Who sent a task, and which one it is: made by construction, never random, never a clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TaskId {
    /// Of the fleet.
    pub epoch: u32,
    /// Counts the clients that have attached to the fleet.
    pub sender: u32,
    pub sequence: u64,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.epoch, self.sender, self.sequence)
    }
}

/// Record kinds, client → coordinator → worker.
pub const TASK: u32 = 1;
/// Record kinds, worker → coordinator → client.
pub const ANSWER: u32 = 2;

/// A task's fixed part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TaskHeader {
    pub id: TaskId,
    /// CLOCK_MONOTONIC; after it the task is failed.
    pub deadline_ns: u64,
    /// What the workload wants to know: nanoseconds to sleep or to compute.
    pub parameter: u64,
    /// CLOCK_MONOTONIC, at the client.
    pub sent_ns: u64,
    /// Number of the worker within the coordinator.
    pub worker: u32,
    /// In the coordinator's task table; filled in by the coordinator and echoed by the worker.
    pub entry: u32,
    /// See [`lease`]; filled in by the coordinator and echoed by the worker.
    pub lease: u32,
    /// A [`TaskKind`].
    pub kind: u32,
}
const _: () = assert!(size_of::<TaskHeader>() == HEADER);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TaskKind {
    /// The body comes back unchanged.
    Echo = 1,
    /// Sleeps `parameter` ns.
    Sleep = 2,
    /// Burns `parameter` ns of CPU time.
    Compute = 3,
    /// The body is a command: arguments, each ended by a NUL.
    Exec = 4,
}

impl TaskKind {
    pub fn from_raw(raw: u32) -> Option<Self> {
        [Self::Echo, Self::Sleep, Self::Compute, Self::Exec].into_iter().find(|kind| *kind as u32 == raw)
    }
}

/// An answer's fixed part. Times are CLOCK_MONOTONIC, at the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct AnswerHeader {
    pub id: TaskId,
    pub started_ns: u64,
    pub finished_ns: u64,
    pub worker: u32,
    pub entry: u32,
    /// See [`lease`].
    pub lease: u32,
    /// An [`AnswerStatus`].
    pub status: u32,
    /// Of a command: its exit status, or minus the signal that ended it. Of a task failed by a death:
    /// the wait status.
    pub code: i32,
    /// Of a command: the body is this many bytes of stdout, then stderr. The top bit says that
    /// something was cut off.
    pub stdout_len: u32,
}
const _: () = assert!(size_of::<AnswerHeader>() == HEADER);

/// The top bit of [`AnswerHeader::stdout_len`].
pub const TRUNCATED: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum AnswerStatus {
    Ok = 1,
    /// The worker could not do it; the body says why.
    Refused = 2,
    /// The coordinator waited until the deadline.
    TimedOut = 3,
    /// The worker died with the task in its hands.
    WorkerDied = 4,
    /// The worker was dead before the task came.
    WorkerDead = 5,
    /// An answer that came after its task was given up. Counted, never used.
    Late = 6,
    /// A second answer. Counted, never used.
    Duplicate = 7,
    /// A successor found words in the task's entry that cannot be.
    Damaged = 8,
}

impl AnswerStatus {
    pub fn from_raw(raw: u32) -> Option<Self> {
        use AnswerStatus::{Damaged, Duplicate, Late, Ok, Refused, TimedOut, WorkerDead, WorkerDied};
        [Ok, Refused, TimedOut, WorkerDied, WorkerDead, Late, Duplicate, Damaged]
            .into_iter()
            .find(|status| *status as u32 == raw)
    }
}

/// Which lease of a task: {epoch of the region: 24, attempt: 8}. An answer of another epoch than the
/// coordinator's own was made under one who is dead.
pub fn lease(epoch: u32, attempt: u8) -> u32 {
    epoch << 8 | u32::from(attempt)
}

/// The attempt in a [`lease`].
pub fn attempt_of(lease: u32) -> u8 {
    lease as u8
}

/// The epoch in a [`lease`]: its low 24 bits.
pub fn epoch_of(lease: u32) -> u32 {
    lease >> 8
}

/// Splits an [`TaskKind::Exec`] body into its arguments; `None` if it is not one.
pub fn arguments(body: &[u8]) -> Option<Vec<&[u8]>> {
    let body = body.strip_suffix(&[0])?;
    Some(body.split(|byte| *byte == 0).collect())
}

/// The body of an [`TaskKind::Exec`] task. `None` if an argument contains a NUL.
pub fn command_body<S: AsRef<str>>(arguments: &[S]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for argument in arguments {
        if argument.as_ref().as_bytes().contains(&0) {
            return None;
        }
        body.extend_from_slice(argument.as_ref().as_bytes());
        body.push(0);
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_its_body() {
        let body = command_body(&["sh", "-c", "", "echo 'a b'"]).unwrap();
        assert_eq!(arguments(&body).unwrap(), [&b"sh"[..], b"-c", b"", b"echo 'a b'"]);
        assert_eq!(arguments(b"no end"), None);
        assert_eq!(command_body(&["a\0b"]), None);
    }
}
