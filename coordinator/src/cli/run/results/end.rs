//! How a task ended: from its outcome, or from the record of one.

use super::super::source::Source;
use super::Status;
use crate::client::{Answer, Failure, HowEnded, Outcome, Usage};
use crate::snapshot::record::AnswerRecord;
use crate::wire::spooled::{Part, Spooled};
use crate::wire::{AnswerStatus, TaskId, TaskKind};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The output of a task, and what it used.
#[derive(Debug, Default)]
pub(in crate::cli) struct Output<'a> {
    pub(in crate::cli) stdout: Source<'a>,
    pub(in crate::cli) stderr: Source<'a>,
    /// The answer of an agent program, as JSON.
    pub(in crate::cli) result: Option<Cow<'a, RawValue>>,
    /// The files with all of it.
    spooled: Option<Spooled>,
    pub(in crate::cli) truncated: bool,
    /// Exit status, or minus the signal.
    pub(in crate::cli) code: Option<i32>,
    pub(in crate::cli) attempt: Option<u32>,
    /// On the clock of `now_ns`; 0 if it is unknown, and `finished_ns` is then the time it took.
    pub(in crate::cli) started_ns: u64,
    pub(in crate::cli) finished_ns: u64,
    pub(in crate::cli) usage: Option<Usage>,
}

impl Output<'_> {
    /// Its result is written: removes the files that had it.
    pub(in crate::cli) fn remove(&self) {
        self.spooled.iter().for_each(Spooled::remove);
    }

    pub(in crate::cli) fn spooled(&self) -> Option<Spooled> {
        self.spooled.clone()
    }

    /// The output of an agent program: its answer, and its log.
    fn into_result(self) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("the answer cannot be read: {error}");
        let result = match &self.stdout {
            Source::Bytes(bytes) => serde_json::from_slice(bytes).ok().map(Cow::Borrowed),
            whole @ Source::File(_) => {
                let mut bytes = Vec::new();
                let add = |piece: &[u8]| {
                    bytes.extend_from_slice(piece);
                    Ok(())
                };
                whole.read(add).map_err(|error| wrong(&error))?;
                let text = String::from_utf8(bytes).map_err(|error| wrong(&error))?;
                Some(Cow::Owned(RawValue::from_string(text).map_err(|error| wrong(&error))?))
            }
        };
        Ok(Self { result, stdout: Source::default(), ..self })
    }

    /// Opens the files with all of it, which `body` names.
    fn open(self, body: &[u8], id: TaskId) -> Result<Self, String> {
        let spooled = Spooled::parse(body, id).ok_or("the worker does not say where the output is")?;
        let open = |part: &Option<Part>| part.as_ref().map_or(Ok(Source::default()), Source::open);
        let (stdout, stderr) = (open(&spooled.stdout)?, open(&spooled.stderr)?);
        Ok(Self { stdout, stderr, spooled: Some(spooled), ..self })
    }
}

/// How a task ended, with its output.
#[derive(Debug)]
pub(in crate::cli) struct End<'a> {
    pub(in crate::cli) status: Status,
    pub(in crate::cli) output: Output<'a>,
    /// What went wrong, if anything.
    pub(in crate::cli) error: Option<String>,
}

impl<'a> End<'a> {
    /// The end of a task of this kind.
    pub(in crate::cli) fn of(outcome: &'a Outcome<'_>, kind: TaskKind) -> Self {
        match &outcome.result {
            Ok(answer) => Self::answered(outcome.id, answer, Some(kind)),
            Err(failure) => Self::bad(outcome.id, failure, outcome.attempt.map(u32::from)),
        }
    }

    fn answered(id: TaskId, answer: &Answer<'a>, kind: Option<TaskKind>) -> Self {
        let output = Output {
            truncated: answer.truncated,
            attempt: Some(answer.attempt.into()),
            started_ns: answer.started_ns,
            finished_ns: answer.finished_ns,
            usage: answer.usage,
            ..Output::default()
        };
        let (first, rest) = answer.body.split_at(answer.stdout_len.min(answer.body.len()));
        let (stdout, stderr) = (Source::Bytes(first), Source::Bytes(rest));
        let opened =
            if answer.spooled { output.open(first, id) } else { Ok(Output { stdout, stderr, ..output }) };
        match kind {
            None | Some(TaskKind::Exec | TaskKind::Command) => {
                let well = answer.code == 0;
                let end = Self {
                    status: if well { Status::Ok } else { Status::Failed },
                    output: Output::default(),
                    error: (!well).then(|| HowEnded::from_raw(answer.code).to_string()),
                };
                end.with(opened.map(|output| Output { code: Some(answer.code), ..output }))
            }
            Some(TaskKind::Agent) => Self::ok(opened.and_then(Output::into_result)),
            Some(TaskKind::Echo | TaskKind::Sleep | TaskKind::Compute | TaskKind::Canary) => {
                let whole = |output| Output {
                    stdout: Source::Bytes(answer.body),
                    stderr: Source::default(),
                    ..output
                };
                Self::ok(opened.map(whole))
            }
        }
    }

    fn ok(output: Result<Output<'a>, String>) -> Self {
        Self { status: Status::Ok, output: Output::default(), error: None }.with(output)
    }

    /// With its output. If that is lost, the task has failed: its result is not whole.
    fn with(self, output: Result<Output<'a>, String>) -> Self {
        match output {
            Ok(output) => Self { output, ..self },
            Err(why) => {
                let error = self.error.map_or_else(String::new, |error| format!("{error}; "));
                Self {
                    status: Status::Failed,
                    error: Some(format!("{error}its output is lost: {why}")),
                    ..self
                }
            }
        }
    }

    /// The end of a task before its fleet was backed up.
    pub(in crate::cli) fn before(id: TaskId, answer: &'a AnswerRecord, kind: Option<TaskKind>) -> Self {
        let body = &answer.body.0;
        let found = Answer {
            body,
            attempt: answer.attempt,
            started_ns: 0,
            finished_ns: answer.took_ns,
            code: answer.code,
            stdout_len: answer.stdout_len as usize,
            truncated: answer.truncated,
            spooled: answer.spooled,
            usage: answer.usage.map(|used| Usage {
                user_us: used.user_us,
                system_us: used.system_us,
                max_rss: used.max_rss,
            }),
        };
        if answer.status == AnswerStatus::Ok {
            let end = Self::answered(id, &found, kind);
            let status = if answer.failed { Status::Failed } else { end.status };
            return Self { status, ..end };
        }
        let because = || String::from_utf8_lossy(body).into_owned();
        let (status, error) = match answer.status {
            AnswerStatus::AgentFailed => (Status::Failed, because()),
            AnswerStatus::AgentDied => (Status::Died, because()),
            AnswerStatus::Refused => (Status::Refused, because()),
            AnswerStatus::TimedOut => (Status::TimedOut, "not finished in time".to_owned()),
            AnswerStatus::Cancelled => (Status::Cancelled, Failure::Cancelled.to_string()),
            AnswerStatus::Damaged => {
                (Status::Died, "found damaged in its coordinator's task table".to_owned())
            }
            AnswerStatus::WorkerHung => (Status::Died, "its worker hung, and was killed".to_owned()),
            _ => (Status::Died, "its worker died".to_owned()),
        };
        let output = match answer.status {
            AnswerStatus::TimedOut | AnswerStatus::Cancelled if answer.took_ns > 0 => {
                Self::answered(id, &found, kind).output
            }
            _ => Output { attempt: Some(answer.attempt.into()), ..Output::default() },
        };
        Self { status, output, error: Some(error) }
    }

    fn bad(id: TaskId, failure: &'a Failure, attempt: Option<u32>) -> Self {
        let (status, partial) = match failure {
            Failure::AgentFailed(..) => (Status::Failed, None),
            Failure::Failed(partial) => (Status::Failed, Some(partial)),
            Failure::AttemptTimedOut(_, partial) => (Status::TimedOut, Some(partial)),
            Failure::TimedOut(_) => (Status::TimedOut, None),
            Failure::Cancelled => (Status::Cancelled, None),
            Failure::Ended(partial) => (Status::Cancelled, Some(partial)),
            Failure::Refused(..) => (Status::Refused, None),
            _ => (Status::Died, None),
        };
        let output = match partial {
            None => Ok(Output { attempt, ..Output::default() }),
            Some(partial) => {
                let output = Output {
                    stdout: Source::Bytes(&partial.stdout),
                    stderr: Source::Bytes(&partial.stderr),
                    truncated: partial.truncated,
                    code: Some(partial.how.raw()),
                    attempt: Some(partial.attempt.into()),
                    started_ns: partial.started_ns,
                    finished_ns: partial.finished_ns,
                    usage: partial.usage,
                    ..Output::default()
                };
                if partial.spooled { output.open(&partial.stdout, id) } else { Ok(output) }
            }
        };
        let error = match failure {
            Failure::Failed(partial) => partial.how.to_string(),
            Failure::AttemptTimedOut(time, _) => format!("timed out after {time:?}"),
            Failure::TimedOut(time) => format!("not finished within its deadline of {time:?}"),
            Failure::Refused(_, why) => why.clone(),
            other => other.to_string(),
        };
        Self { status, output: Output::default(), error: Some(error) }.with(output)
    }
}
