//! What an event can be, with the keys that JSON has for it.

use crate::bus::events::{Event, EventKind, Helper};
use crate::bus::slot::Stage;
use crate::bus::written::{OwnWord, stamp_word};
use crate::process::reap::HowEnded;
use crate::wire::{AnswerStatus, TaskId};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What happened. Its serialized name is `kind`; `docs/status.md` lists the kinds with their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum What {
    /// `None`: the fleet wrote a stage that this program does not know.
    Stage {
        stage: Option<Stage>,
    },
    Started {
        pid: u64,
        incarnation: u64,
    },
    Died {
        pid: u64,
        how: String,
    },
    Stopped {
        pid: u64,
        how: String,
    },
    Recovered {
        after_ns: u64,
        requeued: u64,
    },
    GivenUp {
        deaths: u64,
    },
    Suspected {
        since_ns: u64,
        pid: u64,
    },
    Healed {
        since_ns: u64,
        pid: u64,
    },
    Hung {
        since_ns: u64,
        pid: u64,
    },
    ForkRefused {
        errno: u64,
        message: String,
        retry_ns: u64,
    },
    Recycled {
        pid: u64,
        reason: RecycleReason,
    },
    Scaled {
        from: u64,
        to: u64,
        by: ScaledBy,
    },
    Retried {
        task: String,
        attempt: u64,
        reason: TaskReason,
    },
    DeadLetter {
        task: String,
        attempt: u64,
        reason: TaskReason,
    },
    /// It was answered, with a failure. `how` a command ended; `None` of an agent program.
    TaskFailed {
        task: String,
        attempt: u64,
        how: Option<String>,
    },
    Cancelled {
        task: String,
    },
    LateAnswer {
        task: String,
    },
    Revived {
        task: String,
    },
    Paused {
        for_ns: u64,
    },
    Settled {
        returned: u64,
        reported: u64,
    },
    Adopted {
        pid: u64,
        dead_pid: u64,
    },
    /// A word that only this process may write was not what it had written, and was put back.
    Overwritten {
        /// `None` if the coordinator wrote one that this program does not know.
        word: Option<&'static str>,
        found: u64,
    },
    /// A process without a place, of which the fleet always has one, ended as nothing had asked it to.
    HelperDied {
        /// Its name in `ps`; `None` if the fleet wrote one that this program does not know.
        name: Option<&'static str>,
        /// 0 if it is not known.
        pid: u64,
        how: String,
    },
    /// Overwritten before they were read. The event's number is that of the first one missing.
    Missed {
        count: u64,
    },
}

/// Why a worker was replaced between two tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecycleReason {
    /// It had done as many tasks as a worker may do.
    TaskLimit,
    /// Its memory had grown too much.
    Growth,
    /// Its state could not be reset after a task.
    ResetFailed,
    /// The coordinator wrote a reason that this program does not know.
    Unknown,
}

impl RecycleReason {
    fn from_raw(raw: u64) -> Self {
        match raw {
            1 => Self::TaskLimit,
            2 => Self::Growth,
            3 => Self::ResetFailed,
            _ => Self::Unknown,
        }
    }
}

/// In words.
impl fmt::Display for RecycleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TaskLimit => "it had done its number of tasks",
            Self::Growth => "its memory had grown too much",
            Self::ResetFailed => "its state could not be reset",
            Self::Unknown => "for a reason that this program does not know",
        })
    }
}

/// What changed the number of processes that a fleet wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaledBy {
    Load,
    Operator,
    /// The fleet wrote a cause that this program does not know.
    Unknown,
}

impl ScaledBy {
    fn from_raw(raw: u64) -> Self {
        match raw {
            1 => Self::Load,
            2 => Self::Operator,
            _ => Self::Unknown,
        }
    }
}

/// The word that JSON has for it.
impl fmt::Display for ScaledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Why an attempt or a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskReason {
    /// The worker answered, and the answer reports a failure: a command that ended badly, or an agent program that
    /// reports one.
    Failed,
    Refused,
    TimedOut,
    WorkerDied,
    WorkerDead,
    WorkerHung,
    AgentDied,
    Late,
    Duplicate,
    Damaged,
    Returned,
    Cancelled,
    /// The coordinator wrote a status that this program does not know.
    Unknown,
}

impl TaskReason {
    /// From the status that ended the attempt or the task.
    pub(in crate::client) fn of(status: Option<AnswerStatus>) -> Self {
        match status {
            Some(AnswerStatus::Ok | AnswerStatus::AgentFailed) => Self::Failed,
            Some(AnswerStatus::Refused) => Self::Refused,
            Some(AnswerStatus::TimedOut) => Self::TimedOut,
            Some(AnswerStatus::WorkerDied) => Self::WorkerDied,
            Some(AnswerStatus::WorkerDead) => Self::WorkerDead,
            Some(AnswerStatus::WorkerHung) => Self::WorkerHung,
            Some(AnswerStatus::AgentDied) => Self::AgentDied,
            Some(AnswerStatus::Late) => Self::Late,
            Some(AnswerStatus::Duplicate) => Self::Duplicate,
            Some(AnswerStatus::Damaged) => Self::Damaged,
            Some(AnswerStatus::Returned) => Self::Returned,
            Some(AnswerStatus::Cancelled) => Self::Cancelled,
            None => Self::Unknown,
        }
    }

    fn from_raw(raw: u64) -> Self {
        Self::of(u32::try_from(raw).ok().and_then(AnswerStatus::from_raw))
    }
}

/// In words.
impl fmt::Display for TaskReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "it failed",
            Self::Refused => "its worker could not do it",
            Self::TimedOut => "it timed out",
            Self::WorkerDied => "its worker died with the task in hand",
            Self::WorkerDead => "its worker was already dead",
            Self::WorkerHung => "its worker hung with the task in hand, and was killed",
            Self::AgentDied => "its agent program ended with the task in hand",
            Self::Late => "its answer came too late",
            Self::Duplicate => "it had already been answered",
            Self::Damaged => "its entry in the task table was damaged",
            Self::Returned => "its coordinator died and had no successor",
            Self::Cancelled => "it was cancelled",
            Self::Unknown => "for a reason that this program does not know",
        })
    }
}

impl What {
    /// `epoch` is the fleet's, the first part of a task's id.
    pub(super) fn of(event: &Event, epoch: u32) -> Self {
        let [first, second, third, fourth] = event.details;
        let how = || HowEnded::from_raw(second as i32).in_fleet().to_string();
        let task = || TaskId { epoch, sender: second as u32, sequence: first }.to_string();
        match event.kind {
            EventKind::Stage => Self::Stage { stage: u32::try_from(first).ok().and_then(Stage::from_raw) },
            EventKind::Started => Self::Started { pid: first, incarnation: second },
            EventKind::Died => Self::Died { pid: first, how: how() },
            EventKind::Stopped => Self::Stopped { pid: first, how: how() },
            EventKind::Recovered => Self::Recovered { after_ns: first, requeued: second },
            EventKind::GivenUp => Self::GivenUp { deaths: first },
            EventKind::Suspected => Self::Suspected { since_ns: first, pid: second },
            EventKind::Healed => Self::Healed { since_ns: first, pid: second },
            EventKind::Hung => Self::Hung { since_ns: first, pid: second },
            EventKind::Refused => Self::ForkRefused {
                errno: first,
                message: std::io::Error::from_raw_os_error(first as i32).to_string(),
                retry_ns: second,
            },
            EventKind::Recycled => Self::Recycled { pid: first, reason: RecycleReason::from_raw(second) },
            EventKind::Scaled => Self::Scaled { from: first, to: second, by: ScaledBy::from_raw(third) },
            EventKind::Retried => {
                Self::Retried { task: task(), attempt: third, reason: TaskReason::from_raw(fourth) }
            }
            EventKind::DeadLetter => {
                Self::DeadLetter { task: task(), attempt: third, reason: TaskReason::from_raw(fourth) }
            }
            EventKind::TaskFailed => Self::TaskFailed {
                task: task(),
                attempt: third,
                how: (fourth != 0).then(|| HowEnded::from_raw(fourth as i32).to_string()),
            },
            EventKind::Cancelled => Self::Cancelled { task: task() },
            EventKind::Late => Self::LateAnswer { task: task() },
            EventKind::Revived => Self::Revived { task: task() },
            EventKind::Paused => Self::Paused { for_ns: first },
            EventKind::Settled => Self::Settled { returned: first, reported: second },
            EventKind::Adopted => Self::Adopted { pid: first, dead_pid: second },
            EventKind::Overwritten => {
                let word = OwnWord::from_raw(first).map(|word| match word {
                    OwnWord::Stamp => stamp_word(third),
                    word => word.name(),
                });
                Self::Overwritten { word, found: second }
            }
            EventKind::HelperDied => {
                Self::HelperDied { name: Helper::from_raw(third).map(Helper::name), pid: first, how: how() }
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ns: &u64| Duration::from_nanos(*ns).as_secs_f64() * 1e3;
        match self {
            Self::Stage { stage: Some(stage) } => stage.fmt(f),
            Self::Stage { stage: None } => f.write_str("unknown stage"),
            Self::Started { pid, incarnation } => write!(f, "started pid {pid} incarnation {incarnation}"),
            Self::Died { pid, how } => write!(f, "died pid {pid} {how}"),
            Self::Stopped { pid, how } => write!(f, "stopped pid {pid} {how}"),
            Self::Recovered { after_ns, requeued } => {
                write!(f, "recovered after {:.3} ms, {requeued} tasks requeued", ms(after_ns))
            }
            Self::GivenUp { deaths } => write!(f, "given-up after {deaths} deaths"),
            Self::Suspected { since_ns, pid } => {
                write!(f, "suspected pid {pid}, no progress for {:.3} ms", ms(since_ns))
            }
            Self::Healed { since_ns, pid } => {
                write!(f, "healed pid {pid}, suspected for {:.3} ms", ms(since_ns))
            }
            Self::Hung { since_ns, pid } => {
                write!(f, "hung pid {pid}, no progress for {:.3} ms", ms(since_ns))
            }
            Self::ForkRefused { errno, message, retry_ns } => {
                write!(f, "fork-refused errno {errno} ({message}), next try in {:.3} ms", ms(retry_ns))
            }
            Self::Recycled { pid, reason } => write!(f, "recycled pid {pid}: {reason}"),
            Self::Scaled { from, to, by } => write!(f, "scaled from {from} to {to} by {by}"),
            Self::Retried { task, attempt, reason } => {
                write!(f, "retried task {task} attempt {attempt}: {reason}")
            }
            Self::DeadLetter { task, attempt, reason } => {
                write!(f, "dead-letter task {task} attempt {attempt}: {reason}")
            }
            Self::TaskFailed { task, attempt, how } => {
                let how = how.as_deref().unwrap_or("the agent program reported a failure");
                write!(f, "task-failed {task} attempt {attempt}: {how}")
            }
            Self::Cancelled { task } => write!(f, "cancelled task {task}"),
            Self::LateAnswer { task } => write!(f, "late-answer task {task}"),
            Self::Revived { task } => write!(f, "revived task {task}"),
            Self::Paused { for_ns } => write!(f, "paused for {:.3} ms", ms(for_ns)),
            Self::Settled { returned, reported } => {
                write!(f, "settled: {returned} tasks returned, {reported} reported")
            }
            Self::Adopted { pid, dead_pid } => write!(f, "adopted by pid {pid}, pid {dead_pid} is dead"),
            Self::Overwritten { word, found } => {
                let word = word.unwrap_or("a word");
                write!(f, "overwritten: {word} was {found}, which this process had not written")
            }
            Self::HelperDied { name, pid, how } => {
                write!(f, "helper-died {} pid {pid} {how}", name.unwrap_or("unknown"))
            }
            Self::Missed { count } => write!(f, "missed {count} events, overwritten before they were read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind has the keys that the documentation lists.
    #[test]
    fn every_kind_is_documented_with_its_keys() {
        let documents = include_str!("../../../../docs/status.md").split("| kind | keys").nth(1).unwrap();
        let mut kinds: Vec<What> = (1..=64)
            .filter_map(EventKind::from_raw)
            .map(|kind| What::of(&Event { number: 1, at_ns: 1, kind, place: 0, details: [1; 4] }, 1))
            .collect();
        kinds.push(What::Missed { count: 1 });
        assert_eq!(kinds.len(), 24);
        for kind in kinds {
            let serde_json::Value::Object(mut keys) = serde_json::to_value(&kind).unwrap() else { panic!() };
            let name = keys.remove("kind").unwrap();
            let row = format!("| `{}` | ", name.as_str().unwrap());
            let row = documents.lines().find_map(|line| line.strip_prefix(&row)).expect(&row);
            let mut listed: Vec<_> =
                row.split(" | ").next().unwrap().split(", ").map(|key| key.trim_matches('`')).collect();
            listed.sort_unstable();
            assert_eq!(keys.keys().collect::<Vec<_>>(), listed, "{row}");
        }
    }

    #[test]
    fn every_status_is_a_reason_with_words() {
        let all: std::collections::HashSet<_> =
            (0..=13).map(|raw| TaskReason::from_raw(raw).to_string()).collect();
        // A command that ends badly and an agent program that reports a failure have the same.
        assert_eq!(all.len(), 13);
        assert_eq!(TaskReason::from_raw(u64::MAX), TaskReason::Unknown);
    }
}
