//! Standard output, where results go to a file that a shell has opened: what other programs do to that file meanwhile.

use super::written::{CUT, GONE, TORN};
use rustix::fs::{FileType, Stat, fstat};

/// What is known of standard output.
#[derive(Debug)]
pub(in crate::cli) struct Standing {
    /// How long the file was after the last line; `None` unless it is a regular file with a name.
    len: Option<i64>,
    /// Its reader did not read when a signal asked to stop: it is not waited for again.
    pub(super) is_stalled: bool,
    /// It ends with a part of a line.
    pub(super) is_torn: bool,
}

impl Standing {
    pub(in crate::cli) fn now() -> Self {
        let len = file().filter(|found| found.st_nlink > 0).map(|found| found.st_size);
        Self { len, is_stalled: false, is_torn: false }
    }

    /// What was written before is still where it was asked for.
    pub(super) fn check(&self) -> Result<(), String> {
        let (Some(len), Some(found)) = (self.len, file()) else { return Ok(()) };
        match (found.st_nlink, found.st_size < len) {
            (0, _) => Err(format!("the file of standard output {GONE}")),
            (_, true) => Err(format!("the file of standard output {CUT}")),
            _ => Ok(()),
        }
    }

    /// What is written now begins a line.
    pub(super) fn is_whole(&self) -> Result<(), String> {
        if self.is_torn { Err(format!("cannot write to standard output: {TORN}")) } else { Ok(()) }
    }

    /// A line was written.
    pub(super) fn note(&mut self) {
        if let (Some(len), Some(found)) = (&mut self.len, file()) {
            *len = found.st_size.max(*len);
        }
    }
}

fn file() -> Option<Stat> {
    let found = fstat(rustix::stdio::stdout()).ok()?;
    (FileType::from_raw_mode(found.st_mode) == FileType::RegularFile).then_some(found)
}
