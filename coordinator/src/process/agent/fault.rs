//! Why an agent program did not do its task.

use crate::process::exec::{CutShort, ExecError, StopReason};
use crate::process::reap::HowEnded;
use std::time::Duration;
use thiserror::Error;

/// Why a program did not do its task. Except for `Task`, the program has been ended. A `log` is the end of what it wrote
/// since its last answer, in one line.
#[derive(Debug, Error)]
pub enum AgentFault {
    #[error("the task is not one value of JSON: {0}")]
    Task(String),
    #[error(transparent)]
    Start(ExecError),
    #[error("the agent program {how} before it read its first task, {starts} times in a row{}", and_log(.log))]
    NotReady { how: String, starts: u32, log: String },
    #[error("the agent program had not read its first task {after:?} after its start{}", and_log(.log))]
    SlowStart { after: Duration, log: String },
    #[error("the agent program {how} with the task in hand{}", and_log(.log))]
    Ended { how: HowEnded, log: String },
    #[error("the agent program closed its standard output with the task in hand{}", and_log(.log))]
    Closed { log: String },
    #[error("the agent program closed its standard input before it had read all of the task{}", and_log(.log))]
    Unread { log: String },
    #[error("the agent program wrote an invalid answer ({why}): {line}{}", and_log(.log))]
    Invalid { line: String, why: String, log: String },
    #[error("the agent program answered task {found:?} and was asked for {asked:?}")]
    WrongId { asked: String, found: String },
    #[error("the agent program wrote a line of more than {0} bytes, the most that an answer may have")]
    TooLong(usize),
    #[error("the agent program had not answered when its time was over{}", and_log(.log))]
    TimedOut { log: String },
    #[error("the agent program was ended: its task is not wanted any more")]
    Asked(StopReason),
    #[error("cannot communicate with the agent program: {0}")]
    Pipe(#[from] std::io::Error),
}

fn and_log(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; its log: {log}") }
}

/// What a fault says about the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: no program was there to begin it.
    Refused,
    /// Nothing: the program that had begun it is gone.
    Died(HowEnded),
    /// The program answered, and the answer cannot be used.
    Failed,
    /// It was cut short.
    Cut(CutShort),
}

impl AgentFault {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Task(_) | Self::Start(_) | Self::NotReady { .. } | Self::SlowStart { .. } => Blame::Refused,
            Self::Ended { how, .. } => Blame::Died(*how),
            Self::Closed { .. } | Self::Unread { .. } | Self::Pipe(_) => Blame::Died(HowEnded::Unseen),
            Self::Invalid { .. } | Self::WrongId { .. } | Self::TooLong(_) => Blame::Failed,
            Self::TimedOut { .. } => Blame::Cut(CutShort::TimedOut),
            Self::Asked(why) => Blame::Cut(CutShort::Asked(*why)),
        }
    }

    /// Its answer stands behind so much other text on its line that the line was not kept.
    pub(super) fn behind_too_much(log: String) -> Self {
        let why = "other text stands before it on its line".to_owned();
        Self::Invalid { line: "[too long to be shown]".to_owned(), why, log }
    }

    /// The fault, with the program's log where it has room for one.
    #[must_use]
    pub(super) fn with_log(self, end: String) -> Self {
        match self {
            Self::Invalid { line, why, .. } => Self::Invalid { line, why, log: end },
            other => other,
        }
    }
}
