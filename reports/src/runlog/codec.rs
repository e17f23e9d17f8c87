//! Lines of the log: writing them, and reading them back without trusting them.
//!
//! A line is the JSON of a [`Record`], framed by [`notation::framed`]: checksummed, and chained to the line
//! before. `needed` says whether a reader that does not know the kind of event can still judge the run. The
//! figures of a `sample` are packed by [`sweep`], in the columns that the header lists. The framing, `seq`,
//! `t_ns` and `ev` are the same in all versions of the format; only the JSON beside them may grow.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use notation::framed::{self, Chain, LineError, Lines, Next};
use serde::{Deserialize, Serialize};

use super::columns::{self, Mapping};
use super::event::{AgentSample, Event, FORMAT, FormatVersion, Record};
use super::sweep::{self, Column, Decoder, Encoder};
use super::v1;

/// The longest line that is read: a sweep over 100,000 agents at 100 bytes each, and as much again.
pub const LINE_BYTES_MAX: usize = 20 << 20;

/// Appends events to a stream. Only one writer may own a log.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    seq: u64,
    chain: Chain,
    line: Vec<u8>,
    sweeps: Encoder,
}

/// A line of format 2, in the order of its keys.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    t_ns: u64,
    needed: bool,
    #[serde(flatten)]
    event: &'a Event,
    /// Of a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<Column>>,
    /// Of a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<String>,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Self {
        let sweeps = Encoder::new(columns::all().len());
        Self { out, seq: 0, chain: Chain::START, line: Vec::new(), sweeps }
    }

    /// Writes one line and returns what it says, so that a live view sees what a reader will see.
    pub fn append(&mut self, t_ns: u64, event: Event) -> io::Result<Record> {
        let (columns, rows) = match &event {
            Event::Header(_) => (Some(columns::all()), None),
            Event::Sample(sample) => (None, Some(self.sweeps.encode(&columns::sweep_of(&sample.agents)))),
            Event::Phase(_)
            | Event::Agents(_)
            | Event::AgentReplaced(_)
            | Event::AgentExit(_)
            | Event::Command(_)
            | Event::Incident(_)
            | Event::Fault(_)
            | Event::Scaled(_)
            | Event::DeathNoticed(_)
            | Event::Resized(_)
            | Event::Round(_)
            | Event::TaskFailed(_)
            | Event::Latency(_)
            | Event::WorkloadLatency(_)
            | Event::SampleMissed(_)
            | Event::Alert(_)
            | Event::Clock(_)
            | Event::Checkpoint(_)
            | Event::Threshold(_)
            | Event::Workers(_)
            | Event::Ledger(_)
            | Event::Verify(_)
            | Event::End(_) => (None, None),
        };
        let line = Line { seq: self.seq, t_ns, needed: event.is_needed(), event: &event, columns, rows };
        self.line.clear();
        framed::append(&mut self.chain, &mut self.line, &line, LINE_BYTES_MAX)
            .expect("no event is as long as a line may be");
        // One call a line: a full disk tears at most the last one.
        self.out.write_all(&self.line)?;
        let record = Record { seq: self.seq, t_ns, event };
        self.seq += 1;
        Ok(record)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub fn get_ref(&self) -> &W {
        &self.out
    }

    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Why a log cannot be read on. Lines count from 1, offsets from 0.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the run log is empty")]
    Empty,
    #[error("the run log is damaged at line {line} (byte {offset}): {what}")]
    Damaged { line: u64, offset: u64, what: String },
    /// The writer was stopped in the middle of its last line. What stands before it is good.
    #[error("the run log ends in the middle of line {line} (byte {offset})")]
    Torn { line: u64, offset: u64 },
    #[error("this is not a run log: {what}")]
    BadHeader { what: String },
    #[error(
        "the run log has format {}.{}, and this program reads 1.x and {}.x",
        found.major, found.minor, FORMAT.major
    )]
    VersionUnsupported { found: FormatVersion },
    #[error("a record is missing before line {line} (byte {offset}): number {wanted} was due, {found} came")]
    SequenceGap { line: u64, offset: u64, wanted: u64, found: u64 },
    #[error("the run log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Kinds that are listed by name.
const KINDS_LISTED_MAX: usize = 5;
/// Letters of a name that another program has chosen.
const KIND_CHARS_MAX: usize = 40;

/// What a log says that this program does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Events that judging does not need.
    pub skipped: u64,
    /// Events that it does.
    pub needed: u64,
    /// The first few kinds of either.
    pub skipped_kinds: Vec<String>,
    pub needed_kinds: Vec<String>,
}

impl Unknown {
    fn note(&mut self, what: &str, needed: bool) {
        let (count, kinds) = if needed {
            (&mut self.needed, &mut self.needed_kinds)
        } else {
            (&mut self.skipped, &mut self.skipped_kinds)
        };
        *count += 1;
        let what: String = what.chars().filter(|c| !c.is_control()).take(KIND_CHARS_MAX).collect();
        if kinds.len() < KINDS_LISTED_MAX && !kinds.contains(&what) {
            kinds.push(what);
        }
    }

    /// Of the segments of a run together.
    pub fn add(&mut self, other: &Self) {
        for (kinds, needed) in [(&other.skipped_kinds, false), (&other.needed_kinds, true)] {
            for kind in kinds {
                self.note(kind, needed);
            }
        }
        self.skipped += other.skipped - other.skipped_kinds.len() as u64;
        self.needed += other.needed - other.needed_kinds.len() as u64;
    }
}

/// Reads records one at a time; holds one line. After an error it is at its end.
#[derive(Debug)]
pub struct Reader<R: BufRead> {
    lines: Lines<R>,
    seq: u64,
    format: Option<FormatVersion>,
    /// Of a log of format 2.
    sweeps: Option<(Decoder, Mapping)>,
    unknown: Unknown,
    done: bool,
}

/// Opens a log on disk.
pub fn open(path: &Path) -> io::Result<Reader<BufReader<File>>> {
    Ok(Reader::new(BufReader::with_capacity(1 << 18, open_file(path)?)))
}

/// Opens a file to read it. A pipe is refused before it can make anyone wait for its writer, and a device
/// before it is read without end.
pub fn open_file(path: &Path) -> io::Result<File> {
    let found = std::fs::metadata(path)?;
    // A directory is refused by the read, with its own word.
    if !found.is_file() && !found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe or a device, and not a file"));
    }
    File::open(path)
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Self {
        Self {
            lines: Lines::new(input, LINE_BYTES_MAX),
            seq: 0,
            format: None,
            sweeps: None,
            unknown: Unknown::default(),
            done: false,
        }
    }

    /// Good lines read so far.
    pub fn lines(&self) -> u64 {
        self.lines.count()
    }

    /// The checksum of the last good line, as its eight hex digits.
    pub fn crc(&self) -> String {
        self.lines.chain().hex()
    }

    /// What was read so far and is not known here.
    pub fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    fn damaged(&self, what: impl Into<String>) -> LogError {
        LogError::Damaged { line: self.lines.count() + 1, offset: self.lines.offset(), what: what.into() }
    }

    fn read(&mut self) -> Result<Got, LogError> {
        let first = self.lines.count() == 0;
        match self.lines.advance()? {
            Next::Whole => {}
            Next::End if first => return Err(LogError::Empty),
            Next::End => return Ok(Got::Nothing),
            Next::Torn => {
                return Err(LogError::Torn { line: self.lines.count() + 1, offset: self.lines.offset() });
            }
            Next::TooLong => {
                return Err(self.damaged(format!("the line is longer than {LINE_BYTES_MAX} bytes")));
            }
        }
        let checked = self.lines.check().map_err(|error| match error {
            LineError::Unmarked if first => {
                LogError::BadHeader { what: "its first line carries no checksum".into() }
            }
            LineError::Unmarked | LineError::Mismatch { .. } => self.damaged(error.to_string()),
        })?;
        let got = self.parse(&checked.json, first)?;
        self.lines.accept(&checked);
        self.seq += 1;
        Ok(got)
    }

    fn parse(&mut self, json: &[u8], first: bool) -> Result<Got, LogError> {
        let frame: Frame = serde_json::from_slice(json).map_err(|e| self.damaged(e.to_string()))?;
        if first {
            self.begin(&frame)?;
        }
        if frame.seq != self.seq {
            let (line, offset) = (self.lines.count() + 1, self.lines.offset());
            return Err(LogError::SequenceGap { line, offset, wanted: self.seq, found: frame.seq });
        }
        let format = self.format.unwrap_or(FORMAT);
        let got =
            if format.major == 1 { self.old_event(json, &frame, format) } else { self.event(json, &frame) };
        let event = match got {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(Got::Skipped),
            Err(what) if first => return Err(LogError::BadHeader { what }),
            Err(what) => return Err(self.damaged(what)),
        };
        Ok(Got::Known(Box::new(Record { seq: frame.seq, t_ns: frame.t_ns, event })))
    }

    /// What the header says about the rest of the log.
    fn begin(&mut self, frame: &Frame) -> Result<(), LogError> {
        let bad = |what: &str| LogError::BadHeader { what: what.to_owned() };
        if frame.ev != "header" {
            return Err(bad("its first line is not a header"));
        }
        let found = frame.format.ok_or_else(|| bad("its header names no format"))?;
        self.format = Some(found);
        if found.major == FORMAT.major {
            let columns = frame.columns.as_deref().ok_or_else(|| bad("its header lists no columns"))?;
            let decoder = Decoder::new(columns.len()).map_err(|e| bad(&e.to_string()))?;
            self.sweeps = Some((decoder, Mapping::new(columns)));
        } else if found.major != 1 {
            return Err(LogError::VersionUnsupported { found });
        }
        Ok(())
    }

    /// `None` if it is of a kind that is not known here. The error is a sentence fragment.
    fn event(&mut self, json: &[u8], frame: &Frame) -> Result<Option<Event>, String> {
        let needed = frame.needed.ok_or("the line does not say whether judging needs it")?;
        if !KNOWN.contains(&frame.ev.as_str()) {
            self.unknown.note(&frame.ev, needed);
            return Ok(None);
        }
        let mut event: Event = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if needed != event.is_needed() {
            self.unknown.note(&format!("{} that says the opposite of whether it is needed", frame.ev), true);
        }
        if let Event::Sample(sample) = &mut event {
            sample.agents = self.rows(frame)?;
        }
        Ok(Some(event))
    }

    fn rows(&mut self, frame: &Frame) -> Result<Vec<AgentSample>, String> {
        let rows = frame.rows.as_deref().ok_or("the sample has no rows")?;
        let (decoder, mapping) = self.sweeps.as_mut().ok_or("the log has no columns")?;
        let sweep: sweep::Sweep = decoder.decode(rows).map_err(|e| e.to_string())?;
        let unpacked =
            mapping.unpack(&sweep).map_err(|column| format!("a value of `{column}` is out of range"))?;
        if let Some(column) = unpacked.lacks {
            self.unknown.note(&format!("sample without {column}"), true);
        }
        Ok(unpacked.agents)
    }

    fn old_event(
        &mut self,
        json: &[u8],
        frame: &Frame,
        format: FormatVersion,
    ) -> Result<Option<Event>, String> {
        if format.minor > v1::MINOR && !v1::KNOWN.contains(&frame.ev.as_str()) {
            // Its lines do not say whether judging needs them.
            self.unknown.note(&frame.ev, true);
            return Ok(None);
        }
        v1::upgrade(json).map(Some).map_err(|e| e.to_string())
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.read() {
                Ok(Got::Known(record)) => return Some(Ok(*record)),
                Ok(Got::Skipped) => {}
                Ok(Got::Nothing) => self.done = true,
                Err(e) => {
                    self.done = true;
                    return Some(Err(e));
                }
            }
        }
        None
    }
}

enum Got {
    Known(Box<Record>),
    /// Of a kind that is not known here.
    Skipped,
    /// A clean end.
    Nothing,
}

/// What a line says beside its event.
#[derive(Deserialize)]
struct Frame {
    seq: u64,
    t_ns: u64,
    ev: String,
    /// From format 2 on.
    needed: Option<bool>,
    format: Option<FormatVersion>,
    columns: Option<Vec<Column>>,
    rows: Option<String>,
}

/// The names of [`Event`]'s kinds; a test holds the two equal.
const KNOWN: [&str; 25] = [
    "header",
    "phase",
    "agents",
    "agent-replaced",
    "agent-exit",
    "command",
    "death-noticed",
    "incident",
    "fault",
    "scaled",
    "resized",
    "round",
    "task-failed",
    "latency",
    "workload-latency",
    "sample",
    "sample-missed",
    "alert",
    "threshold",
    "workers",
    "clock",
    "checkpoint",
    "ledger",
    "verify",
    "end",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_kinds_are_the_kinds_of_the_schema() {
        let error = serde_json::from_str::<Event>(r#"{"ev":"no-such"}"#).unwrap_err().to_string();
        for kind in KNOWN {
            assert!(error.contains(&format!("`{kind}`")), "{kind} is not in: {error}");
        }
        assert_eq!(error.matches('`').count() / 2, KNOWN.len() + 1);
    }

    #[test]
    fn an_empty_file_is_named_as_such() {
        let mut reader = Reader::new(&b""[..]);
        assert!(matches!(reader.next(), Some(Err(LogError::Empty))));
        assert!(reader.next().is_none());
    }

    #[test]
    fn another_file_is_not_a_run_log() {
        let mut reader = Reader::new(&b"name = \"x\"\n"[..]);
        assert!(matches!(reader.next(), Some(Err(LogError::BadHeader { .. }))));
    }
}
