//! The records of backups and journals. The names of fields and their meaning are the file format.

use crate::client::{Failure, Outcome, Partial};
use crate::config::{FleetShape, PAYLOAD_MAX, ShapeError};
use crate::os::identity::boot_id;
use crate::wire::{AnswerStatus, TaskId, TaskKind, Usage};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The newest format that is read, and the one that is written.
pub const FORMAT: u32 = 2;

/// Every file begins with these bytes.
pub(super) const MAGIC: &str = r#"{"rec":"header","file":"coordinator-"#;

/// The longest line, in bytes. A control character in a body takes six bytes in JSON; the other fields fit in the rest.
pub const LINE_BYTES_MAX: usize = 6 * 2 * PAYLOAD_MAX as usize + (1 << 20);

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    #[serde(rename = "coordinator-backup")]
    Backup,
    #[serde(rename = "coordinator-journal")]
    Journal,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backup => "backup",
            Self::Journal => "journal",
        })
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rec", rename_all = "kebab-case")]
pub(super) enum Record {
    Header(Header),
    /// In a backup: one for each coordinator that is or was in the fleet.
    Counters(Counters),
    /// In a backup: accepted, and not ended.
    Task(OpenTask),
    /// In a backup: ended, and the outcome may not have reached its client.
    Untold(Untold),
    /// In a backup: failed for good, and kept.
    DeadLetter(DeadLetter),
    /// In a backup: the last line.
    End {
        records: u64,
    },
    /// In a journal.
    Accepted {
        number: u64,
        task: OpenTask,
    },
    /// In a journal.
    Ended {
        number: u64,
        how: super::journal::Ended,
    },
    /// In a journal: how an open task has ended, while its result is not written.
    Outcome {
        number: u64,
        coordinator: u32,
        answer: AnswerRecord,
    },
    /// In a journal: the file that results go to from here on.
    Results {
        path: Body,
    },
    /// In a journal: the records since the last commit count from here on.
    Commit {
        records: u64,
    },
}

/// What was backed up, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub file: Kind,
    pub format: u32,
    pub fleet: String,
    pub shape: Shape,
    /// The options of its supervisor, as `coordinator up` takes them; empty if they are not known.
    pub options: Vec<String>,
    /// Coordinators that were alive, of those that the shape has room for (0: as in the options),
    pub coordinators: u32,
    /// and the most workers that one of them had.
    pub workers: u32,
    /// Of the fleet.
    pub epoch: u32,
    /// The boot id of the host that the fleet ran on: 32 hexadecimal digits.
    pub boot: String,
    /// Nanoseconds since 1970. For people, never for decisions.
    pub taken_unix_ns: u64,
    /// The program that wrote the file.
    pub program: String,
}

impl Header {
    pub fn new(
        file: Kind,
        fleet: &str,
        shape: &FleetShape,
        options: &[String],
        epoch: u32,
        taken_unix_ns: u64,
    ) -> Self {
        Self {
            file,
            format: FORMAT,
            fleet: fleet.to_owned(),
            shape: Shape::of(shape),
            options: options.to_vec(),
            coordinators: shape.coordinators(),
            workers: shape.workers_per_coordinator(),
            epoch,
            boot: format!("{:032x}", boot_id()),
            taken_unix_ns,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A [`FleetShape`] as a file holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub coordinators: u32,
    pub workers_per_coordinator: u32,
    /// Bytes.
    pub payload_max: u32,
    pub depth: u32,
}

impl Shape {
    pub fn of(shape: &FleetShape) -> Self {
        Self {
            coordinators: shape.coordinators(),
            workers_per_coordinator: shape.workers_per_coordinator(),
            payload_max: shape.payload_max(),
            depth: shape.depth(),
        }
    }

    pub fn fleet_shape(&self) -> Result<FleetShape, ShapeError> {
        FleetShape::new(self.coordinators, self.workers_per_coordinator, self.payload_max, self.depth)
    }
}

/// The ledger of a coordinator: accepted = answered + failed + returned + `in_flight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub coordinator: u32,
    /// The epoch of its region: one more than the coordinator's deaths.
    pub epoch: u32,
    pub accepted: u64,
    pub answered: u64,
    pub failed: u64,
    pub returned: u64,
    pub in_flight: u64,
    pub late: u64,
    pub duplicates: u64,
}

/// How far an open task had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    Queued,
    /// Given to a worker.
    Leased,
}

/// Accepted, and neither answered nor given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTask {
    /// `epoch.sender.sequence`.
    #[serde(with = "id_text")]
    pub id: TaskId,
    pub coordinator: u32,
    /// Absent if any worker of the coordinator will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u32>,
    #[serde(with = "kind_text")]
    pub kind: TaskKind,
    pub parameter: u64,
    /// Of one attempt; 0 if only the lifetime counts.
    pub timeout_ns: u64,
    /// From its acceptance to its deadline, all attempts together.
    pub lifetime_ns: u64,
    /// Begun so far.
    pub attempts: u8,
    /// 0: as the fleet's policy says.
    pub attempts_max: u8,
    /// If the command exits with an error, the attempt has failed and there is no answer.
    pub retry_failures: bool,
    /// Only after a worker's death is there another attempt.
    #[serde(default)]
    pub deaths_only: bool,
    /// Its output is not cut off.
    #[serde(default)]
    pub whole: bool,
    pub state: Progress,
    /// What its client calls it; the fleet does not know this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For a task from a list: what its results contain besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
    pub body: Body,
}

/// What a list contains about a task, unknown to the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// 1 for the first.
    pub number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Body>,
    /// Of what it runs, as in its result.
    pub task_hash: String,
    /// How many results the task had when it was submitted; more than 0 if it is done once more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub results_before: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An answer as a file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    pub worker: u32,
    #[serde(with = "status_text")]
    pub status: AnswerStatus,
    /// True for a failure, whatever the status: a command that exited with an error in its last attempt.
    pub failed: bool,
    /// Of a command: its exit status, or minus the signal that ended it.
    pub code: i32,
    pub attempt: u8,
    /// From its start at the worker to its end.
    pub took_ns: u64,
    /// Of a command: the body is this many bytes of stdout, then stderr.
    pub stdout_len: u32,
    /// There was more output.
    pub truncated: bool,
    /// The body is this many bytes that say where the output is, then the beginning of stderr: see
    /// [`crate::wire::spooled`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spooled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Used>,
    pub body: Body,
}

impl AnswerRecord {
    /// Of an outcome; `None` if that only reports that the task's coordinator or fleet is lost.
    pub fn of(outcome: &Outcome<'_>) -> Option<Self> {
        let plain = |status, code, body: &[u8]| Self {
            worker: outcome.worker.worker,
            status,
            failed: status != AnswerStatus::Ok,
            code,
            attempt: outcome.attempt.unwrap_or(0),
            took_ns: 0,
            stdout_len: 0,
            truncated: false,
            spooled: false,
            usage: None,
            body: Body(body.to_vec()),
        };
        let partial = |status, partial: &Partial| Self {
            failed: true,
            attempt: partial.attempt,
            took_ns: partial.finished_ns.saturating_sub(partial.started_ns),
            stdout_len: partial.stdout.len() as u32,
            truncated: partial.truncated,
            spooled: partial.spooled,
            usage: partial.usage.map(Used::of),
            ..plain(status, partial.how.raw(), &[&partial.stdout[..], &partial.stderr].concat())
        };
        Some(match &outcome.result {
            Ok(answer) => Self {
                attempt: answer.attempt,
                took_ns: answer.finished_ns.saturating_sub(answer.started_ns),
                stdout_len: answer.stdout_len as u32,
                truncated: answer.truncated,
                spooled: answer.spooled,
                usage: answer.usage.map(Used::of),
                ..plain(AnswerStatus::Ok, answer.code, answer.body)
            },
            Err(Failure::Failed(found)) => partial(AnswerStatus::Ok, found),
            Err(Failure::AttemptTimedOut(_, found)) => partial(AnswerStatus::TimedOut, found),
            Err(Failure::TimedOut(_)) => plain(AnswerStatus::TimedOut, 0, &[]),
            Err(Failure::WorkerDied(_, how)) => plain(AnswerStatus::WorkerDied, how.raw(), &[]),
            Err(Failure::WorkerDead(_, how)) => plain(AnswerStatus::WorkerDead, how.raw(), &[]),
            Err(Failure::WorkerHung(_, how)) => plain(AnswerStatus::WorkerHung, how.raw(), &[]),
            Err(Failure::Refused(_, why)) => plain(AnswerStatus::Refused, 0, why.as_bytes()),
            Err(Failure::AgentFailed(_, why)) => plain(AnswerStatus::AgentFailed, 0, why.as_bytes()),
            Err(Failure::AgentDied(_, why)) => plain(AnswerStatus::AgentDied, 0, why.as_bytes()),
            Err(Failure::Damaged(..) | Failure::Missing(_)) => plain(AnswerStatus::Damaged, 0, &[]),
            Err(Failure::Ended(found)) => partial(AnswerStatus::Cancelled, found),
            Err(Failure::Cancelled) => plain(AnswerStatus::Cancelled, 0, &[]),
            Err(
                Failure::CoordinatorDied(..)
                | Failure::CoordinatorSilent(..)
                | Failure::CoordinatorBroken(..)
                | Failure::Unassigned(_)
                | Failure::SupervisorDied
                | Failure::FleetEnded,
            ) => return None,
        })
    }
}

/// What a command used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Microseconds of CPU time.
    pub user_us: u64,
    pub system_us: u64,
    /// Bytes.
    pub max_rss: u64,
}

impl Used {
    pub fn of(usage: Usage) -> Self {
        Self { user_us: usage.user_us, system_us: usage.system_us, max_rss: usage.max_rss }
    }
}

/// Ended, and its answer was still to be reported. It is not done again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    #[serde(with = "id_text")]
    pub id: TaskId,
    pub coordinator: u32,
    /// Absent if it is no longer known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "kind_text::option")]
    pub kind: Option<TaskKind>,
    /// As in [`OpenTask`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
    pub answer: AnswerRecord,
}

/// Failed for good, and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub task: OpenTask,
    /// For people.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerRecord>,
}

/// Bytes, as text wherever they are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BodyText<T> {
    Text(T),
    /// Two digits a byte, lower case.
    Hex(T),
}

impl Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => BodyText::Text(text).serialize(out),
            Err(_) => BodyText::Hex(hex(&self.0).as_str()).serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match BodyText::<String>::deserialize(input)? {
            BodyText::Text(text) => Ok(Self(text.into_bytes())),
            BodyText::Hex(digits) => unhex(digits.as_bytes())
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom("a body's digits are not hexadecimal")),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

mod id_text {
    use super::TaskId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &TaskId, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<TaskId, D::Error> {
        let text = String::deserialize(input)?;
        super::parse_id(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not the id of a task")))
    }
}

/// `epoch.sender.sequence`, as [`TaskId`] shows itself.
pub(super) fn parse_id(text: &str) -> Option<TaskId> {
    let mut parts = text.split('.');
    let id = TaskId {
        epoch: parts.next()?.parse().ok()?,
        sender: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(id)
}

/// The words are those of the type, in lower case: `echo`, `exec`, `timedout`.
fn word(value: &impl fmt::Debug) -> String {
    format!("{value:?}").to_ascii_lowercase()
}

mod kind_text {
    use super::{TaskKind, word};
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(kind: &TaskKind, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&word(kind))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<TaskKind, D::Error> {
        let text = String::deserialize(input)?;
        (0..=u8::MAX)
            .filter_map(TaskKind::from_raw)
            .find(|kind| word(kind) == text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a kind of task")))
    }

    pub(super) mod option {
        use super::{Deserializer, Serializer, TaskKind};

        #[expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde calls it so")]
        pub(in super::super) fn serialize<S: Serializer>(
            kind: &Option<TaskKind>,
            out: S,
        ) -> Result<S::Ok, S::Error> {
            match kind {
                Some(kind) => super::serialize(kind, out),
                None => out.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            input: D,
        ) -> Result<Option<TaskKind>, D::Error> {
            super::deserialize(input).map(Some)
        }
    }
}

mod status_text {
    use super::{AnswerStatus, word};
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(status: &AnswerStatus, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&word(status))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<AnswerStatus, D::Error> {
        let text = String::deserialize(input)?;
        (0..=u8::MAX)
            .filter_map(|raw| AnswerStatus::from_raw(raw.into()))
            .find(|status| word(status) == text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not the status of an answer")))
    }
}

#[cfg(test)]
pub(super) mod tests;
