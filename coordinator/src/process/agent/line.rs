//! The lines between a worker and its agent program.

use super::{AgentFault, SHOWN_MAX};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// What an agent program is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub id: &'a str,
    /// 1 for the first.
    pub attempt: u8,
    /// One value of JSON.
    pub task: &'a [u8],
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// JSON, as the program wrote it.
    Done(Vec<u8>),
    /// It could not do the task; with `retry`, another attempt may succeed.
    Failed { error: String, retry: bool },
}

impl Request<'_> {
    /// The line as it is sent; `left_ns` is the time left. The error is why the task is not JSON.
    pub(super) fn line(&self, left_ns: u64) -> Result<Vec<u8>, String> {
        let value: &RawValue = serde_json::from_slice(self.task).map_err(|error| error.to_string())?;
        let id = serde_json::to_string(self.id).map_err(|error| error.to_string())?;
        // JSON has line ends between tokens and nowhere else: blanks in their place make it one line.
        let task = value.get().replace(['\n', '\r'], " ");
        let (attempt, ms) = (self.attempt, left_ns / 1_000_000);
        Ok(format!("{{\"id\":{id},\"attempt\":{attempt},\"task\":{task},\"timeout_ms\":{ms}}}\n")
            .into_bytes())
    }
}

pub(super) enum Line {
    Progress,
    Reply(Reply),
}

/// Unknown keys are ignored.
#[derive(Deserialize)]
struct Raw<'a> {
    id: String,
    #[serde(default)]
    ok: Option<bool>,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    retry: bool,
    #[serde(default)]
    progress: Option<IgnoredAny>,
}

impl Line {
    /// Parses a line without its end, from a program that was asked for `id`. A result has at most `result_max` bytes.
    pub(super) fn parse(line: &[u8], id: &str, result_max: usize) -> Result<Self, AgentFault> {
        if line.len() > result_max {
            return Err(AgentFault::TooLong(result_max));
        }
        let invalid = |why: String| {
            let line = String::from_utf8_lossy(&line[..line.len().min(SHOWN_MAX)]).into_owned();
            AgentFault::Invalid { line, why, stderr: String::new() }
        };
        let raw: Raw<'_> = serde_json::from_slice(line).map_err(|error| invalid(error.to_string()))?;
        if raw.id != id {
            return Err(AgentFault::WrongId { asked: id.to_owned(), found: raw.id });
        }
        match raw.ok {
            Some(true) => {
                let result = raw.result.map_or("null", RawValue::get);
                Ok(Self::Reply(Reply::Done(result.as_bytes().to_vec())))
            }
            Some(false) => {
                let error = raw.error.unwrap_or_else(|| "the agent program gives no reason".to_owned());
                Ok(Self::Reply(Reply::Failed { error, retry: raw.retry }))
            }
            None if raw.progress.is_some() => Ok(Self::Progress),
            None => Err(invalid("it has neither `ok` nor `progress`".to_owned())),
        }
    }
}
