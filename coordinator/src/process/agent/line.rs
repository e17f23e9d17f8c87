//! The lines between a worker and its agent program.

use super::fault::AgentFault;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes that are shown of an invalid line.
const SHOWN_MAX: usize = 200;

/// Bytes of a line that may be no object: of a longer one the rest is not kept.
pub(super) const STRAY_MAX: usize = 1 << 16;

/// What an agent program is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The task's. The program gets it with a suffix that is different each time.
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
    /// It could not do the task; with `retry: false`, another attempt would fail as well.
    Failed { error: String, retry: Option<bool> },
}

impl Request<'_> {
    /// The line as it is sent under this id; `left_ns` is the time left. The error is why the task is not JSON.
    pub(super) fn line(&self, id: &str, left_ns: u64) -> Result<Vec<u8>, String> {
        let value: &RawValue = serde_json::from_slice(self.task).map_err(|error| error.to_string())?;
        let id = serde_json::to_string(id).map_err(|error| error.to_string())?;
        // JSON has line ends between tokens and nowhere else: blanks in their place make it one line.
        let task = value.get().replace(['\n', '\r'], " ");
        let (attempt, ms) = (self.attempt, left_ns / 1_000_000);
        Ok(format!("{{\"id\":{id},\"attempt\":{attempt},\"task\":{task},\"timeout_ms\":{ms}}}\n")
            .into_bytes())
    }
}

#[derive(Debug)]
pub(super) enum Line {
    Progress,
    Reply(Reply),
    /// An answer to something else, with the id that it has.
    Other(String),
    /// Not part of the protocol.
    Stray,
}

/// Unknown keys are ignored.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    ok: Option<&'a RawValue>,
    #[serde(default, borrow)]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default, borrow)]
    retry: Option<&'a RawValue>,
    #[serde(default, borrow)]
    progress: Option<&'a RawValue>,
    #[serde(default, borrow)]
    task: Option<&'a RawValue>,
}

impl Line {
    /// Parses a line without its end, from a program that was asked for `id`.
    ///
    /// # Errors
    /// The line has the id but is not an answer, or it is an answer without an id.
    pub(super) fn parse(line: &[u8], id: &str) -> Result<Self, AgentFault> {
        let invalid = |why: String| {
            let line = String::from_utf8_lossy(&line[..line.len().min(SHOWN_MAX)]).into_owned();
            AgentFault::Invalid { line, why, log: String::new() }
        };
        let Some(raw) = Raw::of(line) else {
            return spoilt(line, id).map_or(Ok(Self::Stray), |why| Err(invalid(why)));
        };
        match raw.id() {
            Some(found) if found == id => raw.reply().map_err(|why| invalid(why.to_owned())),
            Some(found) if raw.ok.is_some() => Ok(Self::Other(found)),
            None if raw.ok.is_some() => {
                Err(invalid("it has no `id`, or one that is not a string".to_owned()))
            }
            _ => Ok(Self::Stray),
        }
    }
}

impl<'a> Raw<'a> {
    /// `None` if the line is not one object.
    fn of(line: &'a [u8]) -> Option<Self> {
        line.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(line).ok())?
    }

    fn id(&self) -> Option<String> {
        serde_json::from_str(self.id?.get()).ok()
    }

    fn reply(&self) -> Result<Line, &'static str> {
        let Some(ok) = self.ok else {
            if self.task.is_some() {
                // The question, as it was.
                return Ok(Line::Stray);
            }
            return self.progress.map(|_| Line::Progress).ok_or("it has neither `ok` nor `progress`");
        };
        if serde_json::from_str(ok.get()).map_err(|_| "`ok` must be true or false")? {
            let result = self.result.map_or("null", RawValue::get);
            return Ok(Line::Reply(Reply::Done(result.as_bytes().to_vec())));
        }
        let error = match self.error {
            Some(error) => serde_json::from_str(error.get()).map_err(|_| "`error` must be a string")?,
            None => "the agent program gives no reason".to_owned(),
        };
        let retry = self.retry.map(|retry| serde_json::from_str(retry.get())).transpose();
        Ok(Line::Reply(Reply::Failed { error, retry: retry.map_err(|_| "`retry` must be true or false")? }))
    }
}

/// Why a line that is not one object is an answer to `id` all the same, and cannot be used; `None` if it is part of the
/// program's log, which may have the task in it, and its id.
fn spoilt(line: &[u8], id: &str) -> Option<String> {
    if !contains(line, id.as_bytes()) {
        return None;
    }
    let begin = line.len() - line.trim_ascii_start().len();
    let is_object = line[begin..].starts_with(b"{");
    if line.len() <= STRAY_MAX {
        for at in (begin..line.len()).filter(|at| line[*at] == b'{') {
            let first = serde_json::Deserializer::from_slice(&line[at..]).into_iter::<Raw<'_>>().next();
            let Some(Ok(raw)) = first else { continue };
            if raw.id().is_some_and(|found| found == id) {
                let side = if at > begin { "before" } else { "behind" };
                return raw.ok.map(|_| format!("other text stands {side} it on its line"));
            }
        }
    }
    // What shows the task is the question, and no answer.
    if contains(line, b"\"ok\"") || is_object && !contains(line, b"task") {
        let error = serde_json::from_slice::<Raw<'_>>(line).err()?;
        return Some(format!("it is not valid JSON: {error}"));
    }
    None
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len().max(1)).any(|window| window == part)
}
