//! Lines of JSON for whoever waits for them.

use super::{UNFIT, USAGE, complain};
use crate::client::{Answer, Failure, Outcome};
use crate::snapshot::record::{AnswerRecord, OpenTask};
use crate::wire::{TaskId, TaskKind};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

/// One result.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    /// Its id in the fleet that was backed up.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// It was answered, and as a command it ended well.
    pub(super) ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// Of a command: its exit status, or minus the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u8>,
    /// At the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<Text>,
    /// Of a task that is no command.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Text>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// Answered before the backup, and told now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    before: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What is no text comes as numbers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Bytes { bytes: Vec<u8> },
}

fn text(bytes: &[u8]) -> Text {
    match std::str::from_utf8(bytes) {
        Ok(text) => Text::Text(text.to_owned()),
        Err(_) => Text::Bytes { bytes: bytes.to_vec() },
    }
}

fn is_command(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Exec | TaskKind::Command)
}

impl<'a> Line<'a> {
    fn new(id: TaskId) -> Self {
        Self {
            id: id.to_string(),
            name: None,
            ok: false,
            worker: None,
            code: None,
            attempt: None,
            seconds: None,
            stdout: None,
            stderr: None,
            answer: None,
            truncated: false,
            before: false,
            error: None,
        }
    }

    fn output(&mut self, body: &[u8], stdout_len: usize) {
        let (stdout, stderr) = body.split_at(stdout_len.min(body.len()));
        (self.stdout, self.stderr) = (Some(text(stdout)), Some(text(stderr)));
    }

    /// What has become of a task now.
    pub(super) fn of(task: &'a OpenTask, outcome: &Outcome<'_>) -> Self {
        let mut line = Self { name: task.name.as_deref(), ..Self::new(task.id) };
        line.worker = Some(outcome.worker.to_string());
        match &outcome.result {
            Ok(answer) => line.answered(task.kind, answer),
            Err(why) => {
                line.error = Some(why.to_string());
                if let Failure::Failed(partial) | Failure::AttemptTimedOut(_, partial) = why {
                    line.output(&[&*partial.stdout, &*partial.stderr].concat(), partial.stdout.len());
                    (line.attempt, line.truncated) = (Some(partial.attempt), partial.truncated);
                }
            }
        }
        line
    }

    fn answered(&mut self, kind: TaskKind, answer: &Answer<'_>) {
        self.attempt = Some(answer.attempt);
        let took = answer.finished_ns.saturating_sub(answer.started_ns);
        self.seconds = Some(Duration::from_nanos(took).as_secs_f64());
        self.truncated = answer.truncated;
        self.ok = true;
        if is_command(kind) {
            self.ok = answer.code == 0;
            self.code = Some(answer.code);
            self.output(answer.body, answer.stdout_len);
        } else {
            self.answer = Some(text(answer.body));
        }
    }

    /// What had become of a task before. Of what kind it was is not known any more.
    pub(super) fn before(id: TaskId, coordinator: u32, answer: &AnswerRecord) -> Self {
        let mut line = Self::new(id);
        line.before = true;
        line.worker = Some(format!("worker/{coordinator}.{}", answer.worker));
        (line.attempt, line.truncated) = (Some(answer.attempt), answer.truncated);
        line.seconds = Some(Duration::from_nanos(answer.took_ns).as_secs_f64());
        line.code = Some(answer.code);
        line.output(&answer.body.0, answer.stdout_len as usize);
        line.ok = !answer.failed && answer.code == 0;
        if answer.failed {
            line.error = Some(format!("{:?}", answer.status).to_ascii_lowercase());
        }
        line
    }

    /// One that no fleet would take.
    pub(super) fn refused(task: &'a OpenTask, why: impl std::fmt::Display) -> Self {
        Self { name: task.name.as_deref(), error: Some(why.to_string()), ..Self::new(task.id) }
    }
}

/// Where lines go. What is wrong has been said.
pub(super) struct Results {
    out: BufWriter<Box<dyn Write>>,
    file: Option<File>,
    name: String,
}

impl Results {
    /// A new file, or standard output.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, u8> {
        let Some(path) = path else {
            let out = BufWriter::new(Box::new(std::io::stdout()) as Box<dyn Write>);
            return Ok(Self { out, file: None, name: "standard output".to_owned() });
        };
        let name = path.display().to_string();
        let refused = |error: std::io::Error| {
            let hint = match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    "nothing is overwritten: choose another name, or move it away"
                }
                _ => "",
            };
            complain(format!("{name}: {error}"), hint);
            USAGE
        };
        let file = File::options().write(true).create_new(true).open(path).map_err(refused)?;
        let other = file.try_clone().map_err(refused)?;
        Ok(Self { out: BufWriter::new(Box::new(other)), file: Some(file), name })
    }

    pub(super) fn line(&mut self, line: &impl Serialize) -> Result<(), u8> {
        let mut text = serde_json::to_vec(line).expect("lines are JSON, and memory takes all bytes");
        text.push(b'\n');
        self.out.write_all(&text).map_err(|error| self.unwritten(&error))
    }

    pub(super) fn flush(&mut self) -> Result<(), u8> {
        self.out.flush().map_err(|error| self.unwritten(&error))
    }

    /// To the disk, where it is a file: before anybody forgets the task.
    pub(super) fn sync(&mut self) -> Result<(), u8> {
        self.flush()?;
        match &self.file {
            Some(file) => file.sync_data().map_err(|error| self.unwritten(&error)),
            None => Ok(()),
        }
    }

    fn unwritten(&self, error: &std::io::Error) -> u8 {
        complain(format!("cannot write to {}: {error}", self.name), "");
        UNFIT
    }
}
