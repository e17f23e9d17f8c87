//! A file with a list, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

/// The longest line, in bytes. A task of the largest size fits, however it is written.
pub(super) const LINE_MAX: usize = 8 << 20;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;

/// A file, line by line.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) name: String,
    from: BufReader<File>,
    end: u8,
    /// Of the line that was read last; 1 for the first.
    pub(super) number: u64,
    pub(super) text: Vec<u8>,
}

impl Lines {
    /// Each line ends with `end`.
    pub(super) fn new(name: String, file: File, end: u8) -> Self {
        Self { name, from: BufReader::with_capacity(BUFFER, file), end, number: 0, text: Vec::new() }
    }

    /// Continues with the first line of `file`.
    pub(super) fn read_from(&mut self, file: File) -> io::Result<()> {
        self.from = BufReader::with_capacity(BUFFER, file);
        self.rewind()
    }

    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.number = 0;
        self.from.rewind()
    }

    /// The next line into `text`; `false` if it is too long, and only its beginning is there.
    pub(super) fn next(&mut self) -> io::Result<Option<bool>> {
        self.text.clear();
        let limit = LINE_MAX as u64 + 1;
        if (&mut self.from).take(limit).read_until(self.end, &mut self.text)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.text.last() == Some(&self.end) {
            self.text.pop();
            return Ok(Some(true));
        }
        if (self.text.len() as u64) < limit {
            return Ok(Some(true));
        }
        self.from.skip_until(self.end)?;
        Ok(Some(false))
    }

    /// Whether the line is not a task. A byte order mark at the beginning of the file is removed.
    pub(super) fn is_blank(&mut self, json: bool) -> bool {
        if json && self.number == 1 && self.text.starts_with(b"\xef\xbb\xbf") {
            self.text.drain(..3);
        }
        if json { self.text.trim_ascii().is_empty() } else { self.text.is_empty() }
    }
}
