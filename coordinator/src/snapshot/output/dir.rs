//! The directory beside a backup: this user's own, never reached through a link, and locked while a backup is made.

use super::super::durable::{lock, may_grow};
use super::super::error::SnapshotError;
use crate::wire::spooled::Part;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const COPY: &str = "copy output into it";

#[derive(Debug)]
pub(super) struct Dir {
    path: PathBuf,
    file: File,
    /// It was not there before.
    is_new: bool,
}

/// Why there is no copy.
#[derive(Debug)]
pub(super) enum Uncopied {
    /// What was to be copied is not there, or not all of it.
    Lost(String),
    Refused(SnapshotError),
}

impl Dir {
    pub(super) fn make(path: &Path) -> Result<Self, SnapshotError> {
        let is_new = match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(SnapshotError::io(path, COPY, &errno.into())),
        };
        let found = Self::open(path)?;
        found
            .map(|dir| Self { is_new, ..dir })
            .ok_or_else(|| SnapshotError::io(path, COPY, &Errno::NOENT.into()))
    }

    /// `None` if there is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, SnapshotError> {
        let refused = |why: String| SnapshotError::Refused { path: path.to_owned(), what: COPY, why };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(refused("it is a link, or not a directory (choose another name)".to_owned()));
            }
            Err(errno) => return Err(SnapshotError::io(path, COPY, &errno.into())),
        };
        let owner = rustix::fs::fstat(&file).map_err(|errno| SnapshotError::io(path, COPY, &errno.into()))?;
        if owner.st_uid != rustix::process::geteuid().as_raw() {
            return Err(refused(format!("it belongs to user {} (choose another name)", owner.st_uid)));
        }
        // Not every file system has locks.
        if let Err(error @ SnapshotError::Locked { .. }) = lock(&file, path) {
            return Err(error);
        }
        Ok(Some(Self { path: path.to_owned(), file, is_new: false }))
    }

    pub(super) fn sync(&self) -> Result<(), SnapshotError> {
        self.file.sync_all().map_err(|error| SnapshotError::io(&self.path, "sync it", &error))
    }

    /// Copies what `part` names into the file `name`.
    pub(super) fn copy(&self, part: &Part, name: &str) -> Result<(), Uncopied> {
        let refused =
            |error: io::Error| Uncopied::Refused(SnapshotError::sized(&self.path, COPY, part.len, &error));
        // It must not wait for a writer, should a pipe have taken its name.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let from = File::options().read(true).custom_flags(flags.bits() as i32).open(&part.path);
        let from = from.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
                Uncopied::Lost(error.to_string())
            }
            _ => refused(error),
        })?;
        let found = from.metadata().map_err(refused)?;
        let changed = || Uncopied::Lost(format!("it had {} bytes, and was changed", part.len));
        if !found.is_file() || found.len() < part.len {
            return Err(changed());
        }
        let mut to = self.create(name).map_err(|errno| refused(errno.into()))?;
        let copied = may_grow(part.len)
            .and_then(|()| io::copy(&mut from.take(part.len), &mut to))
            .and_then(|copied| to.sync_all().map(|()| copied));
        if copied.as_ref().is_ok_and(|copied| *copied == part.len) {
            return Ok(());
        }
        self.unlink(name);
        Err(copied.map_or_else(refused, |_| changed()))
    }

    fn create(&self, name: &str) -> rustix::io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(Errno::EXIST) => {
                self.unlink(name);
                open()
            }
            done => done,
        };
        Ok(File::from(file?))
    }

    /// True if it was a file, and is gone.
    fn unlink(&self, name: &str) -> bool {
        let found = rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_file =
            found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
        is_file && rustix::fs::unlinkat(&self.file, name, AtFlags::empty()).is_ok()
    }

    /// Removes these files, and then the directory if it has become empty by that.
    pub(super) fn remove<'a>(self, names: impl Iterator<Item = &'a str>) {
        let removed = names.filter(|name| self.unlink(name)).count();
        if removed > 0 || self.is_new {
            // Fails unless it is empty.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}
