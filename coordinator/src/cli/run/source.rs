//! The output of a task: in memory, or in a file, of which never more than a piece is read at a time.

use crate::wire::spooled::Part;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::cell::RefCell;
use std::fmt::{self, Display};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// Bytes that are read or written at once. A line of results up to this size is one write.
pub(super) const PIECE: usize = 1 << 16;
/// The same for what becomes base64: whole groups of three.
const PIECE_OF_THREES: usize = PIECE / 4 * 3;

#[derive(Debug)]
pub(in crate::cli) enum Source<'a> {
    Bytes(&'a [u8]),
    File(Whole),
}

/// A file with all of the output.
#[derive(Debug)]
pub(in crate::cli) struct Whole {
    file: File,
    part: Part,
    /// Why it could not be read while it was written as JSON.
    error: RefCell<Option<io::Error>>,
}

impl Default for Source<'_> {
    fn default() -> Self {
        Self::Bytes(&[])
    }
}

impl Source<'_> {
    /// The error is the path, and why it cannot be read.
    pub(super) fn open(part: &Part) -> Result<Self, String> {
        let wrong = |error: &dyn Display| format!("{}: {error}", part.path.display());
        // It must not wait for a writer, should a pipe have taken its name.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let file = File::options().read(true).custom_flags(flags.bits() as i32).open(&part.path);
        let file = file.map_err(|error| wrong(&error))?;
        let found = file.metadata().map_err(|error| wrong(&error))?;
        if !found.is_file() || found.len() < part.len {
            return Err(wrong(&format_args!("it had {} bytes, and was changed", part.len)));
        }
        Ok(Self::File(Whole { file, part: part.clone(), error: RefCell::default() }))
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Passes all of it to `each`, a piece at a time.
    ///
    /// # Errors
    /// It cannot be read, or the error of `each`.
    pub(super) fn read(&self, each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.read_by(PIECE, each)
    }

    fn read_by(&self, most: usize, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => each(bytes),
            Self::File(Whole { file, part, .. }) => {
                let unread = |error: io::Error| {
                    io::Error::new(error.kind(), format!("cannot read {}: {error}", part.path.display()))
                };
                let mut buffer = vec![0; most];
                let mut at = 0;
                while at < part.len {
                    let piece =
                        &mut buffer[..usize::try_from(part.len - at).map_or(most, |left| left.min(most))];
                    file.read_exact_at(piece, at).map_err(unread)?;
                    each(piece)?;
                    at += piece.len() as u64;
                }
                Ok(())
            }
        }
    }

    /// As [`Self::read`], as text; false if it is none, and then not all of it was passed on.
    fn read_text(&self, mut each: impl FnMut(&str) -> io::Result<()>) -> io::Result<bool> {
        // The beginning of a character that ends in the next piece.
        let mut begun = Vec::new();
        let mut is_text = true;
        self.read(|piece| {
            if !is_text {
                return Ok(());
            }
            begun.extend_from_slice(piece);
            let valid = match std::str::from_utf8(&begun) {
                Ok(text) => text.len(),
                Err(error) => {
                    is_text = error.error_len().is_none();
                    error.valid_up_to()
                }
            };
            each(std::str::from_utf8(&begun[..valid]).unwrap_or_default())?;
            begun.drain(..valid);
            Ok(())
        })?;
        Ok(is_text && begun.is_empty())
    }

    /// As JSON: a string of the text, or of its base64.
    pub(super) fn written(&self) -> Written<'_> {
        let is_text = match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).is_ok(),
            Self::File(whole) => self.read_text(|_| Ok(())).unwrap_or_else(|error| {
                whole.error.replace(Some(error));
                false
            }),
        };
        Written { source: self, is_text }
    }

    /// The error that was met while it was written as JSON, which stands for less than all of it then.
    pub(super) fn read_error(&self) -> io::Result<()> {
        match self {
            Self::File(whole) => whole.error.take().map_or(Ok(()), Err),
            Self::Bytes(_) => Ok(()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Written<'a> {
    source: &'a Source<'a>,
    is_text: bool,
}

impl Written<'_> {
    pub(super) fn is_text(&self) -> bool {
        self.is_text
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.source {
            Source::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => serializer.serialize_str(&STANDARD.encode(bytes)),
            },
            Source::File(_) => serializer.collect_str(self),
        }
    }
}

impl Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unwritten = Ok(());
        let mut put = |text: &str| {
            unwritten = f.write_str(text);
            if unwritten.is_ok() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
        };
        let read = if self.is_text {
            self.source.read_text(put).map(|_| ())
        } else {
            self.source.read_by(PIECE_OF_THREES, |piece| put(&STANDARD.encode(piece)))
        };
        unwritten?;
        // What formats it has no place for an error of its own.
        if let (Err(error), Source::File(whole)) = (read, self.source) {
            whole.error.replace(Some(error));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn whole(path: &Path, bytes: &[u8]) -> Source<'static> {
        std::fs::write(path, bytes).unwrap();
        Source::open(&Part { path: path.to_owned(), len: bytes.len() as u64, stays: true }).unwrap()
    }

    #[test]
    fn a_file_becomes_the_same_json_as_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output");
        // A character of three bytes across each border of two pieces.
        let wide = "\u{20ac}".repeat(PIECE);
        let broken = [wide.as_bytes(), b"\xe2\x82"].concat();
        let binary: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 1).collect();
        for bytes in [&b"a\n\"\\\0"[..], wide.as_bytes(), &wide.as_bytes()[..PIECE / 3 * 3], &broken, &binary]
        {
            let (source, wanted) = (whole(&path, bytes), Source::Bytes(bytes));
            assert_eq!(source.written().is_text(), wanted.written().is_text());
            let json = |source: &Source<'_>| serde_json::to_string(&source.written()).unwrap();
            assert!(json(&source) == json(&wanted), "{} bytes", bytes.len());
            source.read_error().unwrap();
        }
    }

    #[test]
    fn a_file_that_has_shrunk_is_an_error_and_never_less_output() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output");
        for byte in [b'x', 0xff] {
            let bytes = vec![byte; 3 * PIECE];
            let source = whole(&path, &bytes);
            let written = source.written();
            File::options().write(true).open(&path).unwrap().set_len(PIECE as u64).unwrap();
            serde_json::to_string(&written).unwrap();
            assert!(source.read_error().unwrap_err().to_string().contains("cannot read"));
            assert!(source.read(|_| Ok(())).is_err());
            let part = Part { path: path.clone(), len: bytes.len() as u64, stays: true };
            assert!(Source::open(&part).unwrap_err().contains("was changed"));
        }
    }
}
