//! A file that is there completely or not at all: written under another name, flushed to the disk, renamed.
//!
//! Not by `tempfile`: its errors hide the kernel's reason, which is what a user can act on.

use super::error::SnapshotError;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that is locked for longer has an owner that lives,
const LOCKED_FOR: Duration = Duration::from_millis(300);
/// and is tried this often until then.
const LOOK: Duration = Duration::from_millis(5);

/// What becomes of a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Replace,
    Refuse,
}

/// Removed again unless it is [`Staged::publish`]ed.
pub(super) struct Staged {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<File>,
}

impl Staged {
    /// Beside `path`, readable for its owner alone.
    pub(super) fn create(path: &Path) -> Result<Self, SnapshotError> {
        let refused = |error: io::Error| SnapshotError::io(path, "write it", &error);
        let Some(name) = path.file_name() else {
            return Err(refused(io::ErrorKind::InvalidFilename.into()));
        };
        if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(SnapshotError::Refused {
                path: path.to_owned(),
                what: "write it",
                why: "something that is not a regular file has that name (choose another one)".into(),
            });
        }
        let mut staged = std::ffi::OsString::from(".");
        staged.push(name);
        staged.push(format!(".{}", std::process::id()));
        let staged = path.with_file_name(staged);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let open = || rustix::fs::open(&staged, flags, mode);
        let file = match open() {
            // Left by a dead process that had this pid.
            Err(rustix::io::Errno::EXIST) => {
                let _ = std::fs::remove_file(&staged);
                open()
            }
            other => other,
        };
        let file = File::from(file.map_err(|errno| refused(errno.into()))?);
        Ok(Self { path: path.to_owned(), temporary: staged, file: Some(file) })
    }

    fn file(&self) -> &File {
        self.file.as_ref().expect("only `publish` takes the file, and it consumes this")
    }

    /// Appends; `before` bytes have been written already, and count towards the limit on a file's size.
    pub(super) fn write(&mut self, before: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let wanted = bytes.len() as u64;
        may_grow(before + wanted)
            .and_then(|()| self.file().write_all(bytes))
            .map_err(|error| SnapshotError::sized(&self.path, "write it", wanted, &error))
    }

    /// Locks the file: see [`lock`].
    pub(super) fn lock(&self) -> Result<(), SnapshotError> {
        lock(self.file(), &self.path)
    }

    /// Flushes the file to the disk, gives it its name, and flushes that too.
    pub(super) fn publish(mut self, existing: Existing) -> Result<File, SnapshotError> {
        let path = &self.path;
        self.file().sync_all().map_err(|error| SnapshotError::io(path, "flush it to the disk", &error))?;
        let renamed = match existing {
            Existing::Replace => rustix::fs::rename(&self.temporary, path),
            Existing::Refuse => {
                rustix::fs::renameat_with(CWD, &self.temporary, CWD, path, RenameFlags::NOREPLACE)
            }
        };
        renamed.map_err(|errno| SnapshotError::io(path, "rename it into place", &errno.into()))?;
        let file = self.file.take().expect("only `publish` takes the file, and it consumes this");
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|error| SnapshotError::io(path, "flush its name to the disk", &error))?;
        Ok(file)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Fails if a file of this size is beyond the limit: there the kernel would also send SIGXFSZ, which ends the process.
pub(super) fn may_grow(bytes: u64) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if bytes > limit => Err(rustix::io::Errno::FBIG.into()),
        _ => Ok(()),
    }
}

/// Locks the file for this process alone, until it closes the file or ends. A process that was killed while it started
/// another one leaves its lock to that for a moment, which is waited for.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), SnapshotError> {
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if begun.elapsed() < LOCKED_FOR => std::thread::sleep(LOOK),
            Err(Errno::WOULDBLOCK) => return Err(SnapshotError::Locked { path: path.to_owned() }),
            Err(errno) => return Err(SnapshotError::io(path, "lock it", &errno.into())),
        }
    }
}
