//! Which harness writes a run.
//!
//! It has the run's first log locked, and the kernel says which process that is. Processes of the fleet inherit the lock: where
//! a harness was killed, the last of them to end frees it.

use crate::system::Identity;
use reports::run_dir::layout::RUN_LOG;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The log of a run that is being written, or was until its harness was killed; nothing of one that is over.
pub fn locked(run: &Path) -> io::Result<Option<File>> {
    let file = File::open(run.join(RUN_LOG))?;
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    None,
    /// Its pid.
    Process(i32),
    /// It was killed, and its fleet has not ended yet.
    Killed,
    /// One that this process cannot see.
    Unknown,
}

impl Writer {
    /// Of the run in this directory.
    pub fn of(run: &Path) -> io::Result<Self> {
        locked(run)?.map_or(Ok(Self::None), |file| Self::holding(&file))
    }

    /// The one that has a file locked.
    pub fn holding(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
        let locks = procfs::locks().map_err(io::Error::other)?;
        let is_its =
            |lock: &procfs::Lock| (lock.devmaj, lock.devmin, lock.inode) == (major, minor, metadata.ino());
        let pid = locks.iter().find(|lock| is_its(lock)).and_then(|lock| lock.pid).filter(|pid| *pid > 0);
        let lives = |pid: i32| {
            u32::try_from(pid).ok().and_then(Identity::of).is_some_and(|process| process.is_alive())
        };
        Ok(match pid {
            None => Self::Unknown,
            Some(pid) if lives(pid) => Self::Process(pid),
            Some(_) => Self::Killed,
        })
    }
}
