//! Lines of a file: writing them, and reading them back without trusting them.
//!
//! A line is the JSON of a [`Record`] with one more key at its end, `"crc"`: eight hex digits of the
//! CRC32C over the bytes of the line before `,"crc"`, continued from the checksum of the line before. A
//! line that was changed, removed, repeated or moved breaks the chain from there on. This framing is
//! the same in all versions of the format.

use super::error::SnapshotError;
use super::record::{FORMAT, Header, Kind, LINE_BYTES_MAX, MAGIC, Record};
use serde::Deserialize;
use std::io::{BufRead, Read};
use std::path::Path;

/// `,"crc":"` + 8 digits + `"}` + the line's end.
const TAIL_KEY: &[u8] = b",\"crc\":\"";
const TAIL_LEN: usize = TAIL_KEY.len() + 8 + 2;

/// The checksum of the lines so far.
pub(super) type Chain = u32;

/// Adds a line to `out`. `false`, and nothing is changed, if no reader would take it.
#[must_use]
pub(super) fn append(chain: &mut Chain, out: &mut Vec<u8>, record: &Record) -> bool {
    let start = out.len();
    serde_json::to_writer(&mut *out, record).expect("records are JSON, and memory takes all bytes");
    let closing = out.pop();
    assert_eq!(closing, Some(b'}'), "a record is a JSON object");
    let crc = crc32c::crc32c_append(*chain, &out[start..]);
    out.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}\n").as_bytes());
    if out.len() - start > LINE_BYTES_MAX {
        out.truncate(start);
        return false;
    }
    *chain = crc;
    true
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    Record(Box<Record>),
    /// The file ends behind a whole line.
    End,
    /// The file ends in the middle of a line, after so many bytes of it, as that of a writer does that was
    /// stopped.
    Torn(u64),
}

/// Reads records one at a time; holds one line.
pub(super) struct Lines<'a, R: BufRead> {
    path: &'a Path,
    input: R,
    text: Vec<u8>,
    /// Whole lines read so far, their bytes, and their checksum.
    pub(super) count: u64,
    pub(super) offset: u64,
    pub(super) chain: Chain,
}

impl<'a, R: BufRead> Lines<'a, R> {
    /// Reads the header: `wanted` is what the file is to be.
    pub(super) fn open(
        path: &'a Path,
        input: R,
        wanted: Option<Kind>,
    ) -> Result<(Self, Header), SnapshotError> {
        let mut lines = Self { path, input, text: Vec::new(), count: 0, offset: 0, chain: 0 };
        let header = lines.header()?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != header.file) {
            return Err(SnapshotError::OtherKind { path: path.to_owned(), found: header.file, wanted });
        }
        Ok((lines, header))
    }

    fn header(&mut self) -> Result<Header, SnapshotError> {
        let path = self.path.to_owned();
        let foreign = |why: &str| SnapshotError::Foreign { path: path.clone(), why: why.to_owned() };
        let begun = self.line()?;
        if self.text.is_empty() {
            return Err(foreign("it is empty"));
        }
        let shared = self.text.len().min(MAGIC.len());
        if self.text[..shared] != MAGIC.as_bytes()[..shared] {
            return Err(foreign("it begins with something else"));
        }
        if !begun {
            return Err(self.torn("its header is not whole"));
        }
        let (json, crc) = self.checked()?;
        // Before anything else of it: a later format may have other fields.
        let version: Version = serde_json::from_slice(&json).map_err(|e| self.damaged(e.to_string()))?;
        if version.format > FORMAT {
            return Err(SnapshotError::Newer { path, found: version.format });
        }
        match serde_json::from_slice(&json).map_err(|e| self.damaged(e.to_string()))? {
            Record::Header(header) => {
                self.passed(crc);
                Ok(header)
            }
            _ => Err(foreign("its first line is no header")),
        }
    }

    pub(super) fn next(&mut self) -> Result<Next, SnapshotError> {
        let whole = self.line()?;
        if self.text.is_empty() {
            return Ok(Next::End);
        }
        if !whole {
            if self.text.len() > LINE_BYTES_MAX {
                return Err(self.damaged(format!("the line is longer than {LINE_BYTES_MAX} bytes")));
            }
            // A stopped writer leaves the beginning of a line, never more than a line.
            let bytes = self.text.len() as u64;
            self.text.pop();
            if self.checked().is_ok() {
                return Err(self.damaged("the line is whole, and something else than its end follows".into()));
            }
            return Ok(Next::Torn(bytes));
        }
        let (json, crc) = self.checked()?;
        match serde_json::from_slice(&json).map_err(|e| self.damaged(e.to_string()))? {
            Record::Header(_) => Err(self.damaged("a second header".into())),
            record => {
                self.passed(crc);
                Ok(Next::Record(Box::new(record)))
            }
        }
    }

    /// Reads up to the end of the line, which is cut off; `false` if the file ends before that.
    fn line(&mut self) -> Result<bool, SnapshotError> {
        self.text.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.text)
            .map_err(|error| SnapshotError::io(self.path, "read it", &error))?;
        let whole = self.text.last() == Some(&b'\n');
        if whole {
            self.text.pop();
            if self.text.is_empty() {
                return Err(self.damaged("an empty line".into()));
            }
        }
        Ok(whole)
    }

    /// The JSON of the line, if its checksum holds.
    fn checked(&self) -> Result<(Vec<u8>, Chain), SnapshotError> {
        let Some((body, digits)) = split(&self.text) else {
            return Err(self.damaged("the line carries no checksum".into()));
        };
        let crc = crc32c::crc32c_append(self.chain, body);
        if digits != format!("{crc:08x}").as_bytes() {
            return Err(self.damaged(format!(
                "its checksum is {}, and its bytes (and the lines before) give {crc:08x}",
                String::from_utf8_lossy(digits)
            )));
        }
        Ok(([body, b"}"].concat(), crc))
    }

    fn passed(&mut self, crc: Chain) {
        self.chain = crc;
        self.count += 1;
        self.offset += self.text.len() as u64 + 1;
    }

    /// At the line that was read last and has not passed.
    pub(super) fn damaged(&self, why: String) -> SnapshotError {
        SnapshotError::Damaged { path: self.path.to_owned(), line: self.count + 1, offset: self.offset, why }
    }

    /// At the line that has just passed its checksum: what it says cannot be.
    pub(super) fn wrong(&self, why: String) -> SnapshotError {
        let offset = self.offset - self.text.len() as u64 - 1;
        SnapshotError::Damaged { path: self.path.to_owned(), line: self.count, offset, why }
    }

    pub(super) fn torn(&self, why: &str) -> SnapshotError {
        SnapshotError::Torn {
            path: self.path.to_owned(),
            line: self.count + 1,
            offset: self.offset,
            why: why.to_owned(),
        }
    }

    pub(super) fn trailing(&self) -> SnapshotError {
        SnapshotError::Trailing { path: self.path.to_owned(), line: self.count + 1, offset: self.offset }
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Body (without its closing brace) and checksum digits.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.len().checked_sub(TAIL_LEN)?;
    let (body, tail) = line.split_at(at);
    let digits = tail.strip_prefix(TAIL_KEY)?.strip_suffix(b"\"}")?;
    (body.first() == Some(&b'{')).then_some((body, digits))
}
