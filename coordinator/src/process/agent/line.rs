//! The lines between a worker and its agent program.

mod readable;

use super::fault::AgentFault;
use readable::interoperable;
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
            _ => match wrapped(line, id) {
                Some(_) => Err(invalid("it stands inside another value".to_owned())),
                None => Ok(Self::Stray),
            },
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
        let is_given = |value: Option<&RawValue>| value.is_some_and(|value| value.get() != "null");
        if serde_json::from_str(ok.get()).map_err(|_| "`ok` must be true or false")? {
            if is_given(self.error) {
                return Err("it has an `error`, although its `ok` is true");
            }
            let result = self.result.map_or("null", RawValue::get);
            interoperable(result)?;
            return Ok(Line::Reply(Reply::Done(result.as_bytes().to_vec())));
        }
        if is_given(self.result) {
            return Err("it has a `result`, although its `ok` is false");
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
    if let Some((at, is_answer)) = object_with(line, id) {
        let side = if at > begin { "before" } else { "behind" };
        return is_answer.then(|| format!("other text stands {side} it on its line"));
    }
    // What shows the task is the question, and no answer.
    if contains(line, b"\"ok\"") || is_object && !contains(line, b"task") {
        let error = serde_json::from_slice::<Raw<'_>>(line).err()?;
        return Some(format!("it is not valid JSON: {error}"));
    }
    None
}

/// Where the first object of a line begins that has this id, and whether it is meant as an answer: what shows the task is the
/// question. A long line is not searched.
fn object_with(line: &[u8], id: &str) -> Option<(usize, bool)> {
    if line.len() > STRAY_MAX {
        return None;
    }
    (0..line.len()).filter(|at| line[*at] == b'{').find_map(|at| {
        let first = serde_json::Deserializer::from_slice(&line[at..]).into_iter::<Raw<'_>>().next();
        let raw = first?.ok()?;
        raw.id().is_some_and(|found| found == id).then(|| (at, raw.ok.is_some() || raw.task.is_none()))
    })
}

/// Where an answer to `id` begins that stands inside an object without that id.
fn wrapped(line: &[u8], id: &str) -> Option<usize> {
    if !contains(line, id.as_bytes()) {
        return None;
    }
    if line.len() > STRAY_MAX {
        let mut marks = Marks::default();
        marks.look(line, id);
        return marks.is_answer().then_some(0);
    }
    object_with(line, id).and_then(|(at, is_answer)| is_answer.then_some(at))
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len().max(1)).any(|window| window == part)
}

/// What a line that is too long to be kept shows of an answer, a piece at a time.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The id that was asked for, elsewhere than in the question.
    id: bool,
    ok: bool,
    /// The end of the last piece, in which a mark may begin.
    end: Vec<u8>,
}

impl Marks {
    /// What follows the id in the question.
    const OF_QUESTION: &[u8] = b"\",\"attempt\":";

    pub(super) fn look(&mut self, piece: &[u8], id: &str) {
        let kept = std::mem::take(&mut self.end);
        let text = [&kept[..], piece].concat();
        // A mark that is not wholly there yet is looked for in the next piece.
        let longest = id.len() + Self::OF_QUESTION.len();
        let mut from = 0;
        while let Some(at) = text[from..].windows(id.len()).position(|window| window == id.as_bytes()) {
            let behind = &text[from + at + id.len()..];
            self.id |= behind.len() >= Self::OF_QUESTION.len() && !behind.starts_with(Self::OF_QUESTION);
            from += at + id.len();
        }
        self.ok |= contains(&text, b"\"ok\"");
        self.end = text[text.len().saturating_sub(longest - 1)..].to_vec();
    }

    pub(super) fn is_answer(&self) -> bool {
        self.id && self.ok
    }
}
