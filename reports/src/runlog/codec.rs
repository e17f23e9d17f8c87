//! Lines of the log: writing them, and reading them back without trusting them.
//!
//! A line is the JSON of a [`Record`] with one more key at its end, `"crc"`: eight hex digits of the
//! CRC32C over the bytes of the line before `,"crc"`, continued from the checksum of the line before. The
//! checksums so form a chain: a line that was changed, removed or swapped breaks it from there on.
//! This framing is the same in all versions of the format; only the JSON inside may grow.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::Deserialize;

use super::event::{Event, FORMAT, FormatVersion, Record};

/// The longest line that is read: a sweep over 100,000 agents at 100 bytes each, and as much again.
pub const LINE_BYTES_MAX: usize = 20 << 20;

/// `,"crc":"` + 8 digits + `"}`.
const TAIL_KEY: &[u8] = b",\"crc\":\"";
const TAIL_LEN: usize = TAIL_KEY.len() + 8 + 2;

/// Appends events to a stream. Only one writer may own a log.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    seq: u64,
    crc: u32,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Self {
        Self { out, seq: 0, crc: 0, line: Vec::new() }
    }

    /// Writes one line and returns what it says, so that a live view sees what a reader will see.
    pub fn append(&mut self, t_ns: u64, event: Event) -> io::Result<Record> {
        let record = Record { seq: self.seq, t_ns, event };
        self.line.clear();
        serde_json::to_writer(&mut self.line, &record)?;
        let closing = self.line.pop();
        assert_eq!(closing, Some(b'}'), "a record is a JSON object");
        let crc = crc32c::crc32c_append(self.crc, &self.line);
        write!(self.line, ",\"crc\":\"{crc:08x}\"}}")?;
        self.line.push(b'\n');
        assert!(self.line.len() <= LINE_BYTES_MAX, "a line that no reader would accept");
        // One call a line: a full disk tears at most the last one.
        self.out.write_all(&self.line)?;
        self.crc = crc;
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
        "the run log has format {}.{}, and this program reads {}.x",
        found.major, found.minor, FORMAT.major
    )]
    VersionUnsupported { found: FormatVersion },
    #[error("a record is missing before line {line} (byte {offset}): number {wanted} was due, {found} came")]
    SequenceGap { line: u64, offset: u64, wanted: u64, found: u64 },
    #[error("the run log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads records one at a time; holds one line. After an error it is at its end.
#[derive(Debug)]
pub struct Reader<R: BufRead> {
    input: R,
    line: Vec<u8>,
    /// Of the lines read so far.
    lines: u64,
    offset: u64,
    crc: u32,
    seq: u64,
    format: Option<FormatVersion>,
    unknown: u64,
    done: bool,
}

/// Opens a log on disk.
pub fn open(path: &Path) -> io::Result<Reader<BufReader<File>>> {
    Ok(Reader::new(BufReader::with_capacity(1 << 18, File::open(path)?)))
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            lines: 0,
            offset: 0,
            crc: 0,
            seq: 0,
            format: None,
            unknown: 0,
            done: false,
        }
    }

    /// Good lines read so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Events of a newer minor version that this one does not know; they were skipped.
    pub fn unknown_events(&self) -> u64 {
        self.unknown
    }

    fn damaged(&self, what: impl Into<String>) -> LogError {
        LogError::Damaged { line: self.lines + 1, offset: self.offset, what: what.into() }
    }

    fn read(&mut self) -> Result<Line, LogError> {
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let got = (&mut self.input).take(limit).read_until(b'\n', &mut self.line)?;
        if got == 0 {
            return if self.lines == 0 { Err(LogError::Empty) } else { Ok(Line::None) };
        }
        if self.line.last() != Some(&b'\n') {
            return Err(if got > LINE_BYTES_MAX {
                self.damaged(format!("the line is longer than {LINE_BYTES_MAX} bytes"))
            } else {
                LogError::Torn { line: self.lines + 1, offset: self.offset }
            });
        }
        let first = self.lines == 0;
        let Some((body, crc)) = split(&self.line[..self.line.len() - 1]) else {
            return Err(if first {
                LogError::BadHeader { what: "its first line carries no checksum".into() }
            } else {
                self.damaged("the line carries no checksum")
            });
        };
        let wanted = crc32c::crc32c_append(self.crc, body);
        if crc != format!("{wanted:08x}").as_bytes() {
            return Err(self.damaged(format!(
                "its checksum is {}, and its bytes (and the lines before) give {wanted:08x}",
                String::from_utf8_lossy(crc)
            )));
        }
        let mut json = body.to_vec();
        json.push(b'}');
        let record = self.parse(&json, first)?;
        self.crc = wanted;
        self.offset += got as u64;
        self.lines += 1;
        self.seq += 1;
        Ok(record)
    }

    fn parse(&mut self, json: &[u8], first: bool) -> Result<Line, LogError> {
        let frame: Frame = serde_json::from_slice(json).map_err(|e| self.damaged(e.to_string()))?;
        if first {
            if frame.ev != "header" {
                return Err(LogError::BadHeader { what: "its first line is not a header".into() });
            }
            let found = frame
                .format
                .ok_or_else(|| LogError::BadHeader { what: "its header names no format".into() })?;
            if found.major != FORMAT.major {
                return Err(LogError::VersionUnsupported { found });
            }
            self.format = Some(found);
        }
        if frame.seq != self.seq {
            let (line, offset) = (self.lines + 1, self.offset);
            return Err(LogError::SequenceGap { line, offset, wanted: self.seq, found: frame.seq });
        }
        match serde_json::from_slice(json) {
            Ok(record) => Ok(Line::Known(Box::new(record))),
            Err(_) if self.is_newer() && !KNOWN.contains(&frame.ev.as_str()) => {
                self.unknown += 1;
                Ok(Line::Unknown)
            }
            Err(e) if first => Err(LogError::BadHeader { what: e.to_string() }),
            Err(e) => Err(self.damaged(e.to_string())),
        }
    }

    fn is_newer(&self) -> bool {
        self.format.is_some_and(|f| f.minor > FORMAT.minor)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.read() {
                Ok(Line::Known(record)) => return Some(Ok(*record)),
                Ok(Line::Unknown) => {}
                Ok(Line::None) => self.done = true,
                Err(e) => {
                    self.done = true;
                    return Some(Err(e));
                }
            }
        }
        None
    }
}

enum Line {
    Known(Box<Record>),
    /// Of a newer minor version.
    Unknown,
    /// A clean end.
    None,
}

/// What every version of the format says of a line.
#[derive(Deserialize)]
struct Frame {
    seq: u64,
    ev: String,
    format: Option<FormatVersion>,
}

/// The names of [`Event`]'s kinds; a test holds the two equal.
const KNOWN: [&str; 15] = [
    "header",
    "phase",
    "agents",
    "agent-replaced",
    "agent-exit",
    "round",
    "task-failed",
    "latency",
    "sample",
    "sample-missed",
    "alert",
    "clock",
    "ledger",
    "verify",
    "end",
];

/// Body (without its closing brace) and checksum digits.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.len().checked_sub(TAIL_LEN)?;
    let (body, tail) = line.split_at(at);
    let digits = tail.strip_prefix(TAIL_KEY)?.strip_suffix(b"\"}")?;
    (body.first() == Some(&b'{')).then_some((body, digits))
}

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
