//! Why a backup or a journal cannot be read or written: where, what, and what to do.

use crate::bus::error::Cause;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

use super::record::{FORMAT, Kind};

/// Lines count from 1, bytes from 0.
#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("{path}: cannot {what}: {why}")]
    Refused { path: PathBuf, what: &'static str, why: String },
    #[error("{path}: this is neither a backup nor a journal of a fleet: {why}")]
    Foreign { path: PathBuf, why: String },
    #[error("{path}: this is a {found}, and a {wanted} is needed")]
    OtherKind { path: PathBuf, found: Kind, wanted: Kind },
    #[error("{path}: it has format {found}, and this program reads formats up to {FORMAT}")]
    Newer { path: PathBuf, found: u32 },
    /// Its writer was stopped, or the file was cut short.
    #[error("{path}: it is incomplete, it ends at line {line} (byte {offset}): {why}")]
    Torn { path: PathBuf, line: u64, offset: u64, why: String },
    #[error("{path}: it is damaged at line {line} (byte {offset}): {why}")]
    Damaged { path: PathBuf, line: u64, offset: u64, why: String },
    #[error("{path}: something follows its last line, at line {line} (byte {offset})")]
    Trailing { path: PathBuf, line: u64, offset: u64 },
    #[error("{path}: another process is appending to it")]
    Locked { path: PathBuf },
    /// Another program has removed, cut off, moved or replaced it while it was written.
    #[error("{path}: cannot append to it: {what}")]
    Lost { path: PathBuf, what: &'static str },
    /// A write may or may not have reached the disk; only reading the file again can tell.
    #[error("{path}: an earlier write failed, so it is not known what the disk holds")]
    Unsure { path: PathBuf },
}

impl SnapshotError {
    pub(crate) fn io(path: &Path, what: &'static str, error: &io::Error) -> Self {
        Self::sized(path, what, 0, error)
    }

    /// `wanted` is in bytes.
    pub(super) fn sized(path: &Path, what: &'static str, wanted: u64, error: &io::Error) -> Self {
        let why = Errno::from_io_error(error)
            .map_or_else(|| error.to_string(), |errno| Cause::of(path, what, wanted, errno).to_string());
        Self::Refused { path: path.to_owned(), what, why }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Refused { what: "read it", .. } => {
                "give the path of a file that `coordinator backup` or `run --journal` has written"
            }
            Self::Refused { .. } => "",
            Self::Foreign { .. } => "give a file that `coordinator backup` or `run --journal` has written",
            Self::OtherKind { .. } => "give the other file, or choose another name for this one",
            Self::Newer { .. } => "use the program that wrote it, or a newer one",
            Self::Torn { .. } | Self::Damaged { .. } | Self::Trailing { .. } => {
                "nothing of it was used: take an earlier backup, or another copy of this one"
            }
            Self::Locked { .. } => "end that process first, or choose another file",
            Self::Lost { .. } => {
                "find the program that did that; the results, if they go to a file, say which tasks are done"
            }
            Self::Unsure { .. } => "check the disk, then open the file again",
        }
    }
}
