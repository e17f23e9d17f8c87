//! What the bus can refuse, in words for the one who meets it.

use rustix::io::Errno;
use std::path::{Path, PathBuf};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum BusError {
    #[error(
        "{path}: cannot reserve {bytes} bytes of shared memory: {errno} (make /dev/shm larger, or the fleet smaller)"
    )]
    NoSpace { path: PathBuf, bytes: u64, errno: Errno },
    #[error("{path}: cannot {what}: {errno}")]
    Io { path: PathBuf, what: &'static str, errno: Errno },
    #[error("{path}: refused, {why}")]
    Refused { path: PathBuf, why: String },
    #[error("{path}: this end of the ring is already taken")]
    EndTaken { path: PathBuf },
}

impl BusError {
    pub(crate) fn io(path: &Path, what: &'static str, errno: Errno) -> Self {
        Self::Io { path: path.to_owned(), what, errno }
    }

    pub(crate) fn refused(path: &Path, why: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), why: why.into() }
    }
}
