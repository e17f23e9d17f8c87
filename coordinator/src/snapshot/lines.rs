//! Lines of a file: writing them, and reading them back without trusting them.
//!
//! The framing is that of [`notation::framed`], in all versions of the format; the JSON of a line is a [`Record`].

use super::error::SnapshotError;
use super::record::{FORMAT, Header, Kind, LINE_BYTES_MAX, MAGIC, Record};
use notation::framed::{self, Chain, Checked, TooLong};
use serde::Deserialize;
use std::io::BufRead;
use std::path::Path;

/// Adds a line to `out`. If no reader would accept it, nothing is changed.
pub(super) fn append(chain: &mut Chain, out: &mut Vec<u8>, record: &Record) -> Result<(), TooLong> {
    framed::append(chain, out, record, LINE_BYTES_MAX)
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    Record(Box<Record>),
    /// The file ends behind a whole line.
    End,
    /// The file ends after this many bytes of a line, as it does when its writer was stopped.
    Torn(u64),
}

/// Reads records one at a time; holds one line.
pub(super) struct Lines<'a, R: BufRead> {
    path: &'a Path,
    lines: framed::Lines<R>,
}

impl<'a, R: BufRead> Lines<'a, R> {
    /// Reads the header; `wanted` is the kind that the file must have.
    pub(super) fn open(
        path: &'a Path,
        input: R,
        wanted: Option<Kind>,
    ) -> Result<(Self, Header), SnapshotError> {
        let mut lines = Self { path, lines: framed::Lines::new(input, LINE_BYTES_MAX) };
        let header = lines.header()?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != header.file) {
            return Err(SnapshotError::OtherKind { path: path.to_owned(), found: header.file, wanted });
        }
        Ok((lines, header))
    }

    /// Whole lines read so far.
    pub(super) fn count(&self) -> u64 {
        self.lines.count()
    }

    /// The bytes of these lines.
    pub(super) fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// The checksum of these lines.
    pub(super) fn chain(&self) -> Chain {
        self.lines.chain()
    }

    fn header(&mut self) -> Result<Header, SnapshotError> {
        let path = self.path.to_owned();
        let foreign = |why: &str| SnapshotError::Foreign { path: path.clone(), why: why.to_owned() };
        let found = self.advance()?;
        if found == framed::Next::End {
            return Err(foreign("it is empty"));
        }
        let text = self.lines.text();
        let shared = text.len().min(MAGIC.len());
        if text[..shared] != MAGIC.as_bytes()[..shared] {
            return Err(foreign("it begins with something else"));
        }
        if found != framed::Next::Whole {
            return Err(self.torn("its header is not complete"));
        }
        let checked = self.checked()?;
        // Before anything else: a later format may have other fields.
        let version: Version = self.parse(&checked)?;
        if version.format > FORMAT {
            return Err(SnapshotError::Newer { path, found: version.format });
        }
        match self.parse(&checked)? {
            Record::Header(header) => {
                self.lines.accept(&checked);
                Ok(header)
            }
            _ => Err(foreign("its first line is not a header")),
        }
    }

    pub(super) fn next(&mut self) -> Result<Next, SnapshotError> {
        match self.advance()? {
            framed::Next::End => Ok(Next::End),
            framed::Next::TooLong => {
                Err(self.damaged(format!("the line is longer than {LINE_BYTES_MAX} bytes")))
            }
            framed::Next::Torn if self.lines.has_changed_end() => {
                Err(self.damaged("the line is complete, but another byte follows in place of its end".into()))
            }
            framed::Next::Torn => Ok(Next::Torn(self.lines.text().len() as u64)),
            framed::Next::Whole => {
                let checked = self.checked()?;
                match self.parse(&checked)? {
                    Record::Header(_) => Err(self.damaged("it is a second header".into())),
                    record => {
                        self.lines.accept(&checked);
                        Ok(Next::Record(Box::new(record)))
                    }
                }
            }
        }
    }

    fn advance(&mut self) -> Result<framed::Next, SnapshotError> {
        self.lines.advance().map_err(|error| SnapshotError::io(self.path, "read it", &error))
    }

    fn checked(&self) -> Result<Checked, SnapshotError> {
        self.lines.check().map_err(|error| self.damaged(error.to_string()))
    }

    fn parse<'de, T: Deserialize<'de>>(&self, checked: &'de Checked) -> Result<T, SnapshotError> {
        serde_json::from_slice(&checked.json).map_err(|error| self.damaged(error.to_string()))
    }

    /// The line that was read last, and was not accepted, is damaged.
    pub(super) fn damaged(&self, why: String) -> SnapshotError {
        let (line, offset) = (self.count() + 1, self.offset());
        SnapshotError::Damaged { path: self.path.to_owned(), line, offset, why }
    }

    /// The line that was read last, and has the right checksum, contradicts others.
    pub(super) fn contradicts(&self, why: String) -> SnapshotError {
        let offset = self.offset() - self.lines.text().len() as u64 - 1;
        SnapshotError::Damaged { path: self.path.to_owned(), line: self.count(), offset, why }
    }

    pub(super) fn torn(&self, why: &str) -> SnapshotError {
        let (line, offset) = (self.count() + 1, self.offset());
        SnapshotError::Torn { path: self.path.to_owned(), line, offset, why: why.to_owned() }
    }

    pub(super) fn trailing(&self) -> SnapshotError {
        SnapshotError::Trailing { path: self.path.to_owned(), line: self.count() + 1, offset: self.offset() }
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}
