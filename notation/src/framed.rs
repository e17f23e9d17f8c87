//! Files of framed lines: one JSON object a line, each with a checksum that continues the line before.
//!
//! A line is the JSON of a record with one more key at its end, `"crc"`: eight lower-case hex digits of the
//! CRC32C (Castagnoli) over the line's bytes before `,"crc"`, continued from the checksum of the line before
//! (0 before the first). So the checksums form a chain: a line that was changed is found on its own line, and
//! one that was removed, repeated or moved on the next one. Run logs, backups and journals are such files.
//!
//! Here is the framing alone. What a record says, and what becomes of a file that is cut short, is for the
//! module that owns the format.

use serde::Serialize;
use std::io::{self, BufRead, Read as _};

/// `,"crc":"` + 8 digits + `"}`.
const KEY: &[u8] = b",\"crc\":\"";
const TAIL_LEN: usize = KEY.len() + 8 + 2;

/// The checksum of the lines so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain(u32);

impl Chain {
    /// Before the first line of a file.
    pub const START: Self = Self(0);

    /// Eight lower-case hex digits, as the lines carry it.
    pub fn hex(self) -> String {
        format!("{:08x}", self.0)
    }

    fn over(self, body: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, body))
    }
}

/// The line would be longer than any reader of the format accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the line has {bytes} bytes; the maximum is {bytes_max}")]
pub struct TooLong {
    pub bytes: usize,
    pub bytes_max: usize,
}

/// Adds `record` to `out` as one line, its end included, and moves the chain on. If the line would be longer
/// than `bytes_max`, nothing is changed.
///
/// # Panics
/// If `record` does not serialise to a JSON object with at least one key: that is a bug of the format.
pub fn append(
    chain: &mut Chain,
    out: &mut Vec<u8>,
    record: &impl Serialize,
    bytes_max: usize,
) -> Result<(), TooLong> {
    let start = out.len();
    serde_json::to_writer(&mut *out, record).expect("a record is JSON, and memory takes all bytes");
    let closing = out.pop();
    assert_eq!(closing, Some(b'}'), "a record is a JSON object");
    let next = chain.over(&out[start..]);
    out.extend_from_slice(KEY);
    out.extend_from_slice(next.hex().as_bytes());
    out.extend_from_slice(b"\"}\n");
    let bytes = out.len() - start;
    if bytes > bytes_max {
        out.truncate(start);
        return Err(TooLong { bytes, bytes_max });
    }
    *chain = next;
    Ok(())
}

/// Why a whole line is not the one that was written there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("the line carries no checksum")]
    Unmarked,
    #[error("its checksum is {found}, and its bytes (and the lines before) give {wanted}")]
    Mismatch { found: String, wanted: String },
}

/// What [`Lines::advance`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A line with its end; [`Lines::check`] looks into it.
    Whole,
    /// The file ends behind a whole line.
    End,
    /// The file ends in the middle of a line, as that of a writer does that was stopped.
    Torn,
    /// No end within the most bytes that a line may have.
    TooLong,
}

/// A line whose checksum holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The record, without the checksum.
    pub json: Vec<u8>,
    chain: Chain,
}

/// Reads framed lines one at a time; holds one. A line counts only once it has been accepted.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    bytes_max: usize,
    text: Vec<u8>,
    count: u64,
    offset: u64,
    chain: Chain,
}

impl<R: BufRead> Lines<R> {
    /// `bytes_max` is the most that a line may have, its end included.
    pub fn new(input: R, bytes_max: usize) -> Self {
        Self { input, bytes_max, text: Vec::new(), count: 0, offset: 0, chain: Chain::START }
    }

    /// Reads up to the end of the next line.
    pub fn advance(&mut self) -> io::Result<Next> {
        self.text.clear();
        let limit = self.bytes_max as u64 + 1;
        let bytes = (&mut self.input).take(limit).read_until(b'\n', &mut self.text)?;
        if bytes == 0 {
            return Ok(Next::End);
        }
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
            return Ok(Next::Whole);
        }
        Ok(if bytes > self.bytes_max { Next::TooLong } else { Next::Torn })
    }

    /// The line that was read last, without its end.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Holds the line that was read last against its checksum and the lines before.
    pub fn check(&self) -> Result<Checked, LineError> {
        let (body, found) = split(&self.text).ok_or(LineError::Unmarked)?;
        let chain = self.chain.over(body);
        let wanted = chain.hex();
        if found != wanted.as_bytes() {
            return Err(LineError::Mismatch { found: String::from_utf8_lossy(found).into_owned(), wanted });
        }
        Ok(Checked { json: [body, b"}"].concat(), chain })
    }

    /// True if all that is wrong with a torn line is that another byte stands in place of its end. A writer that was
    /// stopped leaves no such line: the byte was changed.
    pub fn has_changed_end(&self) -> bool {
        let whole = self.text.split_last().and_then(|(_, line)| split(line));
        whole.is_some_and(|(body, found)| found == self.chain.over(body).hex().as_bytes())
    }

    /// Counts the line as read: what follows continues its checksum.
    pub fn accept(&mut self, checked: &Checked) {
        self.chain = checked.chain;
        self.count += 1;
        self.offset += self.text.len() as u64 + 1;
    }

    /// Lines accepted so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of the lines accepted so far: where the next line begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of the lines accepted so far.
    pub fn chain(&self) -> Chain {
        self.chain
    }
}

/// Body (without its closing brace) and checksum digits.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.len().checked_sub(TAIL_LEN)?;
    let (body, tail) = line.split_at(at);
    let digits = tail.strip_prefix(KEY)?.strip_suffix(b"\"}")?;
    (body.first() == Some(&b'{')).then_some((body, digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(records: &[serde_json::Value]) -> Vec<u8> {
        let (mut chain, mut out) = (Chain::START, Vec::new());
        for record in records {
            append(&mut chain, &mut out, record, 1 << 16).unwrap();
        }
        out
    }

    /// The records of a file, or at which line it is not what was written.
    fn read(bytes: &[u8]) -> Result<Vec<serde_json::Value>, u64> {
        let mut lines = Lines::new(bytes, 1 << 16);
        let mut records = Vec::new();
        loop {
            match lines.advance().unwrap() {
                Next::End => return Ok(records),
                Next::Whole => {
                    let checked = lines.check().map_err(|_| lines.count() + 1)?;
                    lines.accept(&checked);
                    records.push(serde_json::from_slice(&checked.json).unwrap());
                }
                Next::Torn | Next::TooLong => return Err(lines.count() + 1),
            }
        }
    }

    fn three() -> [serde_json::Value; 3] {
        [serde_json::json!({"a": 1}), serde_json::json!({"b": "}"}), serde_json::json!({"c": [1, 2]})]
    }

    #[test]
    fn a_line_is_written_as_the_formats_document_it() {
        let text = String::from_utf8(file(&three()[..1])).unwrap();
        let crc = crc32c::crc32c(br#"{"a":1"#);
        assert_eq!(text, format!("{{\"a\":1,\"crc\":\"{crc:08x}\"}}\n"));
    }

    #[test]
    fn a_removed_a_repeated_and_a_moved_line_break_the_chain() {
        let whole = file(&three());
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(read(&whole).unwrap(), three());
        assert_eq!(read(&[lines[0], lines[2]].concat()), Err(2));
        assert_eq!(read(&[lines[0], lines[0], lines[1]].concat()), Err(2));
        assert_eq!(read(&[lines[1], lines[0], lines[2]].concat()), Err(1));
    }

    #[test]
    fn a_changed_end_is_told_from_a_line_cut_short() {
        let whole = file(&three()[..1]);
        let found = |bytes: &[u8]| {
            let mut lines = Lines::new(bytes, 1 << 16);
            (lines.advance().unwrap(), lines.has_changed_end())
        };
        assert_eq!(found(&[&whole[..whole.len() - 1], b"x"].concat()), (Next::Torn, true));
        assert_eq!(found(&whole[..whole.len() - 1]), (Next::Torn, false));
    }

    #[test]
    fn a_line_that_is_too_long_changes_nothing() {
        let (mut chain, mut out) = (Chain::START, Vec::new());
        append(&mut chain, &mut out, &three()[0], 64).unwrap();
        let before = (chain, out.clone());
        assert!(append(&mut chain, &mut out, &serde_json::json!({"a": "x".repeat(99)}), 64).is_err());
        assert_eq!((chain, out), before);
    }

    /// The line, counted from 1, that the next byte after these belongs to.
    fn line_after(bytes: &[u8]) -> u64 {
        bytes.split(|byte| *byte == b'\n').count() as u64
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_found_on_its_line(at in 0_usize..200, to in any::<u8>()) {
            let mut bytes = file(&three());
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            let line = line_after(&bytes[..at]);
            bytes[at] = to;
            prop_assert_eq!(read(&bytes), Err(line));
        }

        #[test]
        fn a_file_cut_short_is_torn_or_ends_behind_a_line(at in 0_usize..200) {
            let whole = file(&three());
            let cut = &whole[..at % whole.len()];
            match read(cut) {
                Ok(records) => prop_assert!(cut.is_empty() || cut.ends_with(b"\n"), "{records:?}"),
                Err(line) => prop_assert_eq!(line, line_after(cut)),
            }
        }
    }
}
