//! What passes through the rings: ids, message types and their encoding. Data only.

pub mod command;
pub mod place;
pub mod sabotage;
pub mod spooled;

use crate::bus::ring::HEADER;
use crate::raw::raw_enum;
use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

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
/// Record kinds, client or operator → coordinator, in the control rings.
pub const CONTROL: u32 = 3;

/// The address of a task that any worker of its coordinator may carry out.
pub const ANY: u16 = u16::MAX;

/// A task's fixed part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TaskHeader {
    pub id: TaskId,
    /// CLOCK_MONOTONIC; after it the task is failed, whatever attempts are left.
    pub deadline_ns: u64,
    /// An argument of the workload: nanoseconds to sleep or to compute.
    pub parameter: u64,
    /// CLOCK_MONOTONIC, at the client.
    pub sent_ns: u64,
    /// In the coordinator's task table; filled in by the coordinator and echoed by the worker.
    pub entry: u32,
    /// See [`lease`]; filled in by the coordinator and echoed by the worker.
    pub lease: u32,
    /// Of one attempt, from its beginning; 0 if only the deadline counts.
    pub timeout_ms: u32,
    /// Number of the worker within the coordinator, or [`ANY`].
    pub worker: u16,
    /// A [`TaskKind`], and [`RETRY_FAILURES`], [`WAS_DEAD_LETTER`], [`DEATHS_ONLY`], [`WHOLE`] and [`ENDING`].
    pub kind: u8,
    /// How many workers may begin it; 0 for the fleet's policy.
    pub attempts_max: u8,
}
const _: () = assert!(size_of::<TaskHeader>() == HEADER);

/// In [`TaskHeader::kind`]: a refusal by the worker, or a command that ends badly, counts as a failed attempt, and
/// the task is tried again as long as it has attempts left.
pub const RETRY_FAILURES: u8 = 1 << 7;

/// In [`TaskHeader::kind`]: it was a dead letter, and its failure was reported to its client. Set only by the
/// coordinator.
pub const WAS_DEAD_LETTER: u8 = 1 << 6;

/// In [`TaskHeader::kind`]: another attempt follows the death of a worker, but not a time-out.
pub const DEATHS_ONLY: u8 = 1 << 5;

/// In [`TaskHeader::kind`]: output that has no room in the answer is spooled into files, which its client reads and
/// removes. Without it, such output is cut off.
pub const WHOLE: u8 = 1 << 4;

/// In [`TaskHeader::kind`]: it is cancelled, and its worker ends it and answers with what it has output. Set only by the
/// coordinator, in its table.
pub const ENDING: u8 = 1 << 3;

raw_enum! {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum TaskKind: u8 ignoring (RETRY_FAILURES | WAS_DEAD_LETTER | DEATHS_ONLY | WHOLE | ENDING) {
        /// The body comes back unchanged.
        Echo = 1,
        /// Sleeps `parameter` ns.
        Sleep = 2,
        /// Burns `parameter` ns of CPU time.
        Compute = 3,
        /// The body is a command: arguments, each ended by a NUL.
        Exec = 4,
        /// The body is a command with its surroundings, as JSON.
        Command = 5,
        /// The body is a line of JSON for the long-lived agent that the worker keeps.
        Agent = 6,
        /// Leaves traces in the worker, or looks for traces that an earlier task left.
        /// Or, if the body says so, has a defect: see [`sabotage`].
        Canary = 7,
    }
}

impl TaskHeader {
    /// The one worker that may carry it out; `None` if any may.
    pub fn place(&self) -> Option<u32> {
        (self.worker != ANY).then_some(self.worker.into())
    }

    pub fn retries_failures(&self) -> bool {
        self.kind & RETRY_FAILURES != 0
    }

    pub fn retries_deaths_only(&self) -> bool {
        self.kind & DEATHS_ONLY != 0
    }

    pub fn wants_whole_output(&self) -> bool {
        self.kind & WHOLE != 0
    }

    pub fn was_dead_letter(&self) -> bool {
        self.kind & WAS_DEAD_LETTER != 0
    }

    pub fn is_ending(&self) -> bool {
        self.kind & ENDING != 0
    }

    /// How many workers may begin it.
    pub fn attempts(&self, policy: u8) -> u8 {
        if self.attempts_max == 0 { policy } else { self.attempts_max }
    }

    /// From its sending to its deadline.
    pub fn lifetime_ns(&self) -> u64 {
        self.deadline_ns.saturating_sub(self.sent_ns)
    }

    /// When an attempt that began at `started_ns` is over.
    pub fn attempt_ends_ns(&self, started_ns: u64) -> u64 {
        if self.timeout_ms == 0 {
            return self.deadline_ns;
        }
        started_ns.saturating_add(u64::from(self.timeout_ms) * 1_000_000).min(self.deadline_ns)
    }
}

/// An order by a client or an operator to a coordinator; read before any task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ControlHeader {
    /// The task in question; ignored if `all` is 1 and the [`Order`] may apply to all.
    pub id: TaskId,
    /// An [`Order`].
    pub order: u32,
    pub all: u32,
    /// Zeros.
    pub spare: [u64; 4],
}
const _: () = assert!(size_of::<ControlHeader>() == HEADER);

raw_enum! {
    pub enum Order: u32 {
        /// The task fails as cancelled, and its process is ended.
        Cancel = 1,
        /// A dead letter becomes a task again, with all its attempts and its whole time.
        Revive = 2,
        /// A dead letter is forgotten.
        Drop = 3,
        /// As `Cancel`, but of a command that is running the output is wanted: its outcome comes when it has ended.
        End = 4,
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
    /// An [`AnswerStatus`], and [`REVIVED`], [`FAILED`] and [`FINAL`].
    pub status: u32,
    /// Of a command: its exit status, or minus the signal that ended it. Of a task failed by a death:
    /// the wait status. Of an agent program that ended: as of a command. Of a damaged task: 1 + the number of the word in
    /// [`EntryWords`](crate::bus::slot::EntryWords), 0 if it is not known.
    pub code: i32,
    /// Of a command: the body is this many bytes of stdout, then stderr, then usage (see [`USAGE_LEN`]). With
    /// [`SPOOLED`], this many bytes that say where both are, then the beginning of stderr. The top bit is set if output
    /// was cut off. See [`output_len`].
    pub stdout_len: u32,
}
const _: () = assert!(size_of::<AnswerHeader>() == HEADER);

/// The top bit of [`AnswerHeader::stdout_len`].
pub const TRUNCATED: u32 = 1 << 31;

/// In [`AnswerHeader::stdout_len`]: the body ends with a [`Usage`], which is not part of the output.
pub const WITH_USAGE: u32 = 1 << 30;

/// In [`AnswerHeader::stdout_len`]: the body begins with a [`spooled::Spooled`] instead of stdout.
pub const SPOOLED: u32 = 1 << 29;

/// The bytes in [`AnswerHeader::stdout_len`], without its flags.
pub fn output_len(stdout_len: u32) -> usize {
    (stdout_len & !(TRUNCATED | WITH_USAGE | SPOOLED)) as usize
}

/// Bytes of a [`Usage`].
pub const USAGE_LEN: usize = size_of::<Usage>();

/// The resources that a command used, at the end of its answer's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Usage {
    /// Microseconds of CPU time.
    pub user_us: u64,
    pub system_us: u64,
    /// Bytes.
    pub max_rss: u64,
}

/// In [`AnswerHeader::status`]: the task was a dead letter that an operator revived; its failure was reported to its
/// client before.
pub const REVIVED: u32 = 1 << 31;

/// In [`AnswerHeader::status`]: the command ended badly, and its task counts that as a failure.
pub const FAILED: u32 = 1 << 30;

/// In [`AnswerHeader::status`]: the agent program reports that another attempt would fail as well.
pub const FINAL: u32 = 1 << 29;

raw_enum! {
    pub enum AnswerStatus: u32 ignoring (REVIVED | FAILED | FINAL) {
        Ok = 1,
        /// The worker could not do it; the body holds the reason.
        Refused = 2,
        /// The coordinator waited until the deadline, or the worker until the end of the attempt.
        TimedOut = 3,
        /// The worker died while it carried the task out.
        WorkerDied = 4,
        /// The worker was dead before the task came.
        WorkerDead = 5,
        /// An answer that came after its task was given up. Counted, never used.
        Late = 6,
        /// A second answer. Counted, never used.
        Duplicate = 7,
        /// The task's entry was overwritten.
        Damaged = 8,
        /// No worker here will begin it, and any that began it is dead: to be sent to another coordinator.
        Returned = 9,
        /// Cancelled by its client or an operator. From a worker: as [`Order::End`] has it, and the body is the command's
        /// output.
        Cancelled = 10,
        /// The worker hung while it carried the task out, and was ended.
        WorkerHung = 11,
        /// The agent program reports a failure, or its answer is invalid; the body holds the reason.
        AgentFailed = 12,
        /// The agent program ended with the task in hand; the body holds the reason.
        AgentDied = 13,
    }
}

/// Which lease of a task: {epoch of the region: 24, attempt: 8}. An answer of another epoch than the
/// coordinator's own was made under a predecessor, which is dead.
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

/// Splits an [`TaskKind::Exec`] body into its arguments; `None` if it is malformed.
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
