//! The records of backups and journals. The names of fields and their meaning are the file format.

use crate::config::{FleetShape, PAYLOAD_MAX, ShapeError};
use crate::os::identity::boot_id;
use crate::wire::{AnswerStatus, TaskId, TaskKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The newest format that is read, and the one that is written.
pub const FORMAT: u32 = 1;

/// Every file begins with these bytes.
pub(super) const MAGIC: &str = r#"{"rec":"header","file":"coordinator-"#;

/// A body in which each byte is a control character takes six bytes each in JSON; the rest of a record
/// fits what is left.
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
    /// Of a backup: one for each coordinator that is or was there.
    Counters(Counters),
    /// Of a backup: accepted, and not ended.
    Task(OpenTask),
    /// Of a backup: ended, and its client may not have heard of it.
    Untold(Untold),
    /// Of a backup: given up.
    DeadLetter(DeadLetter),
    /// Of a backup: its last line.
    End {
        records: u64,
    },
    /// Of a journal.
    Accepted {
        number: u64,
        task: OpenTask,
    },
    /// Of a journal.
    Ended {
        number: u64,
        how: super::journal::Ended,
    },
    /// Of a journal: what stands since the last of these counts from here on.
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
    /// How its supervisor was started, as `coordinator up` takes it; empty if that is not known.
    pub options: Vec<String>,
    /// Coordinators that lived, of those that the shape has room for (0: as the options say),
    pub coordinators: u32,
    /// and the most workers that one of them had.
    pub workers: u32,
    /// Of the fleet.
    pub epoch: u32,
    /// Of the machine that the fleet ran on: 32 hexadecimal digits.
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

/// What a coordinator had counted: accepted = answered + failed + returned + `in_flight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub coordinator: u32,
    /// Of its region: one more than it had deaths.
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
    /// In a worker's hands.
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
    /// A command that ends badly is an attempt that failed, and no answer.
    pub retry_failures: bool,
    /// Only a worker's death is followed by another attempt.
    #[serde(default)]
    pub deaths_only: bool,
    pub state: Progress,
    /// What its client calls it; the fleet does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a task from a list: what its results say beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
    pub body: Body,
}

/// What a list says of a task, and the fleet does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// 1 for the first.
    pub number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Body>,
    /// Of what it runs, as in its result.
    pub task_hash: String,
}

/// An answer as a file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    pub worker: u32,
    #[serde(with = "status_text")]
    pub status: AnswerStatus,
    /// True for a failure, whatever the status: a command that ended badly in its last attempt.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Used>,
    pub body: Body,
}

/// What a command took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Microseconds of CPU time.
    pub user_us: u64,
    pub system_us: u64,
    /// Bytes.
    pub max_rss: u64,
}

/// Ended, and its answer was still to be told. It is not done again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    #[serde(with = "id_text")]
    pub id: TaskId,
    pub coordinator: u32,
    /// Absent if it is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "kind_text::option")]
    pub kind: Option<TaskKind>,
    pub answer: AnswerRecord,
}

/// Given up after its last attempt, and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub task: OpenTask,
    /// In words.
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
        super::parse_id(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no task's id")))
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
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no kind of task")))
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
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no status of an answer")))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::file::Snapshot;
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn task(sequence: u64, body: &[u8]) -> OpenTask {
        OpenTask {
            id: TaskId { epoch: 1, sender: 2, sequence },
            coordinator: 1,
            worker: (!sequence.is_multiple_of(2)).then_some(3),
            kind: TaskKind::Exec,
            parameter: 7,
            timeout_ns: 30_000_000_000,
            lifetime_ns: 90_000_000_000,
            attempts: 1,
            attempts_max: 3,
            retry_failures: true,
            deaths_only: false,
            state: Progress::Leased,
            name: Some("\"a\" \n".into()),
            listed: (sequence > 1).then(|| Listed {
                number: 3,
                input: Some(Body(vec![0xff])),
                task_hash: "00ff".into(),
            }),
            body: Body(body.to_vec()),
        }
    }

    /// One record of each kind.
    pub(in super::super) fn sample() -> Snapshot {
        let shape = FleetShape::new(3, 20, 4096, 2).unwrap();
        let answer = AnswerRecord {
            worker: 4,
            status: AnswerStatus::WorkerDied,
            failed: true,
            code: -9,
            attempt: 3,
            took_ns: 5,
            stdout_len: 0,
            truncated: false,
            usage: Some(Used { user_us: 1, system_us: 2, max_rss: 3 }),
            body: Body(vec![0xff, 0xfe]),
        };
        Snapshot {
            header: Header::new(
                Kind::Backup,
                "demo",
                &shape,
                &["--depth".into(), "2".into()],
                1,
                1_700_000_000,
            ),
            counters: vec![Counters {
                coordinator: 0,
                epoch: 2,
                accepted: 9,
                answered: 4,
                failed: 2,
                returned: 0,
                in_flight: 3,
                late: 1,
                duplicates: 0,
            }],
            tasks: vec![task(1, b"echo\0hello\0"), task(2, &[])],
            untold: vec![Untold {
                id: TaskId { epoch: 1, sender: 2, sequence: 3 },
                coordinator: 2,
                kind: Some(TaskKind::Exec),
                answer: answer.clone(),
            }],
            dead: vec![DeadLetter { task: task(4, b"x\0"), reason: "it died".into(), answer: Some(answer) }],
        }
    }

    #[test]
    fn the_header_begins_with_the_magic() {
        let shape = FleetShape::new(1, 1, 1, 1).unwrap();
        let header = Header::new(Kind::Backup, "a", &shape, &[], 1, 0);
        let text = serde_json::to_string(&Record::Header(header)).unwrap();
        assert!(text.starts_with(MAGIC), "{text}");
    }

    #[test]
    fn a_command_is_readable_in_the_file() {
        let body = Body(crate::wire::command_body(&["echo", "a b"]).unwrap());
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"text":"echo\u0000a b\u0000"}"#);
        assert_eq!(serde_json::to_string(&Body(vec![0xff, 0])).unwrap(), r#"{"hex":"ff00"}"#);
        assert!(serde_json::from_str::<Body>(r#"{"hex":"ff0"}"#).is_err());
    }

    proptest! {
        #[test]
        fn every_body_survives(bytes: Vec<u8>) {
            let text = serde_json::to_string(&Body(bytes.clone())).unwrap();
            prop_assert!(text.len() <= 6 * bytes.len() + 16);
            prop_assert_eq!(serde_json::from_str::<Body>(&text).unwrap().0, bytes);
        }

        #[test]
        fn every_id_survives(epoch: u32, sender: u32, sequence: u64) {
            let id = TaskId { epoch, sender, sequence };
            prop_assert_eq!(parse_id(&id.to_string()), Some(id));
        }
    }
}
