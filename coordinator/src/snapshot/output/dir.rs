//! The directory beside a backup: this user's own, never reached through a link, and locked while a backup is made.

use super::super::durable::{lock, may_grow};
use super::super::error::SnapshotError;
use super::leftover::{self, Leftover};
use crate::wire::spooled::Part;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const COPY: &str = "copy output into it";
/// Bytes that are copied at a time.
const PIECE: usize = 1 << 18;

#[derive(Debug)]
pub(super) struct Dir {
    path: PathBuf,
    file: File,
    /// It was not there before this backup, or before one that was interrupted.
    pub(super) is_new: bool,
}

/// Why there is no copy.
#[derive(Debug)]
pub(super) enum Uncopied {
    /// What was to be copied is not there, or not all of it, or cannot be read.
    Lost(String),
    Refused(SnapshotError),
}

/// Whose error ended a copy.
#[derive(Debug)]
enum Failed {
    Source(io::Error),
    Target(io::Error),
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

    /// Copies what `part` names into the file `name`, which must not be there.
    pub(super) fn copy(&self, part: &Part, name: &str) -> Result<(), Uncopied> {
        let lost = |error: io::Error| self.unread(part, &error);
        // It must not wait for a writer, should a pipe have taken its name.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let from = File::options().read(true).custom_flags(flags.bits() as i32).open(&part.path);
        let from = from.map_err(lost)?;
        let found = from.metadata().map_err(lost)?;
        if !found.is_file() || found.len() < part.len {
            return Err(changed(part));
        }
        self.copy_from(from, part, name)
    }

    fn copy_from(&self, from: impl Read, part: &Part, name: &str) -> Result<(), Uncopied> {
        let mut to = self.create(name).map_err(|errno| self.refused(part, &errno.into()))?;
        let copied = may_grow(part.len)
            .map_err(Failed::Target)
            .and_then(|()| transfer(from.take(part.len), &mut to))
            .and_then(|copied| to.sync_all().map(|()| copied).map_err(Failed::Target));
        let failed = match copied {
            Ok(copied) if copied == part.len => return Ok(()),
            Ok(_) => changed(part),
            Err(Failed::Source(error)) => self.unread(part, &error),
            Err(Failed::Target(error)) => self.refused(part, &error),
        };
        self.unlink(name);
        Err(failed)
    }

    fn unread(&self, part: &Part, error: &io::Error) -> Uncopied {
        if is_own(error) { self.refused(part, error) } else { Uncopied::Lost(error.to_string()) }
    }

    fn refused(&self, part: &Part, error: &io::Error) -> Uncopied {
        Uncopied::Refused(SnapshotError::sized(&self.path, COPY, part.len, error))
    }

    fn create(&self, name: &str) -> rustix::io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.file, name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    /// What a backup that was interrupted has noted here; `None` if nothing was, or if it was interrupted before it copied.
    pub(super) fn leftover(&self) -> Option<Leftover> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.file, leftover::NAME, flags, Mode::empty()).ok()?);
        let is_file = file.metadata().is_ok_and(|found| found.is_file());
        is_file.then(|| Leftover::read(BufReader::new(file))).flatten()
    }

    /// Notes which copies are about to be made, and which of the backup before they replace. None of the copies is there.
    pub(super) fn begin(&self, noted: &Leftover) -> Result<(), SnapshotError> {
        if noted.is_empty() {
            return Ok(());
        }
        let refused =
            |errno: Errno, name: &str| SnapshotError::io(&self.path.join(name), COPY, &errno.into());
        for name in noted.copies() {
            match rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                found => return Err(refused(found.err().unwrap_or(Errno::EXIST), name)),
            }
        }
        let taken = |errno: Errno| refused(errno, leftover::NAME);
        let mut file = match self.create(leftover::NAME) {
            Err(Errno::EXIST) if self.is_noted() => {
                self.unlink(leftover::NAME);
                self.create(leftover::NAME)
            }
            created => created,
        }
        .map_err(taken)?;
        let text = noted.text();
        let written =
            may_grow(text.len() as u64).and_then(|()| file.write_all(&text)).and_then(|()| file.sync_all());
        written.map_err(|error| {
            self.unlink(leftover::NAME);
            SnapshotError::sized(&self.path, COPY, text.len() as u64, &error)
        })?;
        self.sync()
    }

    /// Whether what has the name of a note is one, or the beginning of one.
    fn is_noted(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.file, leftover::NAME, flags, Mode::empty());
        opened.is_ok_and(|file| leftover::begins_one(File::from(file)))
    }

    /// The copies that were noted are complete and named by a backup, or gone.
    pub(super) fn end(&self) {
        if self.is_noted() {
            self.unlink(leftover::NAME);
        }
    }

    /// True if it was a file, and is gone.
    fn unlink(&self, name: &str) -> bool {
        let found = rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_file =
            found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
        is_file && rustix::fs::unlinkat(&self.file, name, AtFlags::empty()).is_ok()
    }

    /// Removes these files; true if one was there.
    pub(super) fn remove<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        names.filter(|name| self.unlink(name)).count() > 0
    }

    /// Removes the directory if it is empty, and if that is because of `removed` files or because it was made for them.
    pub(super) fn leave(self, removed: bool) {
        if removed || self.is_new {
            // Fails unless it is empty.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// Whether it is for want of what this process needs, whatever the file is.
fn is_own(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

fn changed(part: &Part) -> Uncopied {
    Uncopied::Lost(format!("it had {} bytes, and was changed", part.len))
}

/// Copies all that there is; returns how many bytes that were. Not by `io::copy`, whose error may be of either end.
fn transfer(mut from: impl Read, to: &mut impl Write) -> Result<u64, Failed> {
    let (mut piece, mut copied) = (vec![0; PIECE], 0);
    loop {
        let bytes = match from.read(&mut piece) {
            Ok(0) => return Ok(copied),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failed::Source(error)),
        };
        to.write_all(&piece[..bytes]).map_err(Failed::Target)?;
        copied += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives some bytes, and then an error.
    struct Failing(&'static [u8], Errno);

    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(self.1.into()),
                bytes => Ok(bytes),
            }
        }
    }

    fn part(path: PathBuf, len: u64) -> Part {
        Part { path, len, stays: true }
    }

    #[test]
    fn a_disk_that_fails_below_the_output_loses_it_and_no_more() {
        let desk = tempfile::tempdir().unwrap();
        let dir = Dir::make(&desk.path().join("saved.output")).unwrap();
        for (errno, is_lost) in [(Errno::IO, true), (Errno::STALE, true), (Errno::NOMEM, false)] {
            let copied = dir.copy_from(Failing(b"123", errno), &part("/a".into(), 5), "copy");
            // The next backup may have the memory.
            assert_eq!(matches!(&copied, Err(Uncopied::Lost(_))), is_lost, "{copied:?}");
            assert_eq!(std::fs::read_dir(desk.path().join("saved.output")).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_disk_that_fails_below_the_copies_refuses_the_backup() {
        let failed = transfer(&b"12345"[..], &mut &mut [0; 3][..]).unwrap_err();
        assert!(matches!(failed, Failed::Target(_)), "{failed:?}");
        let desk = tempfile::tempdir().unwrap();
        let dir = Dir::make(&desk.path().join("saved.output")).unwrap();
        let name = "n".repeat(300);
        let copied = dir.copy_from(&b"12345"[..], &part("/a".into(), 5), &name);
        assert!(matches!(&copied, Err(Uncopied::Refused(_))), "{copied:?}");
    }
}
