//! A file that is there whole or not at all: written under another name, brought to the disk, renamed.

use super::error::SnapshotError;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Whether a file of that name may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
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
                why: "something that is no file has that name (choose another one)".into(),
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
            // Of a process that had this pid before, and is dead.
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
        self.file.as_ref().expect("it is taken away by `publish` alone")
    }

    /// Appends; what was written before counts for the limit of a file's size.
    pub(super) fn write(&mut self, before: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let wanted = bytes.len() as u64;
        may_grow(before + wanted)
            .and_then(|()| self.file().write_all(bytes))
            .map_err(|error| SnapshotError::sized(&self.path, "write it", wanted, &error))
    }

    /// As [`lock`].
    pub(super) fn lock(&self) -> Result<(), SnapshotError> {
        lock(self.file(), &self.path)
    }

    /// Gives the file its name, once the disk has it; then the disk has its name too.
    pub(super) fn publish(mut self, taken: Taken) -> Result<File, SnapshotError> {
        let path = &self.path;
        self.file().sync_all().map_err(|error| SnapshotError::io(path, "bring it to the disk", &error))?;
        let renamed = match taken {
            Taken::Replace => rustix::fs::rename(&self.temporary, path),
            Taken::Refuse => {
                rustix::fs::renameat_with(CWD, &self.temporary, CWD, path, RenameFlags::NOREPLACE)
            }
        };
        renamed.map_err(|errno| SnapshotError::io(path, "give it its name", &errno.into()))?;
        let file = self.file.take().expect("it is taken away by `publish` alone");
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|error| SnapshotError::io(path, "bring its name to the disk", &error))?;
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

/// Beyond the limit the kernel would not only refuse: it would send SIGXFSZ, which ends the process.
pub(super) fn may_grow(bytes: u64) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if bytes > limit => Err(rustix::io::Errno::FBIG.into()),
        _ => Ok(()),
    }
}

/// For this process alone, until it closes the file or ends.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), SnapshotError> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SnapshotError::Locked { path: path.to_owned() }),
        Err(errno) => Err(SnapshotError::io(path, "lock it", &errno.into())),
    }
}
