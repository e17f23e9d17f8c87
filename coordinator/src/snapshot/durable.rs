//! A file that is there completely or not at all: written under another name, flushed to the disk, renamed.
//!
//! Not by `tempfile`: its errors hide the kernel's reason, which is what a user can act on.

use super::error::SnapshotError;
use super::record::MAGIC;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that is locked for longer has an owner that lives,
const LOCKED_FOR: Duration = Duration::from_millis(300);
/// and is tried this often until then.
const LOOK: Duration = Duration::from_millis(5);

/// A file is made again this often, should another process take it for left behind before it is locked.
const TRIES: u32 = 3;

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
        sweep(path);
        let mut staged = staged_prefix(name);
        staged.push(std::process::id().to_string());
        let staged = path.with_file_name(staged);
        for _ in 0..TRIES {
            let file = create(&staged).map_err(|errno| refused(errno.into()))?;
            // As long as it is locked, no other process takes it for left behind. Not every file system has locks.
            let locked = lock(&file, path);
            if is_at(&file, &staged) {
                let staged = Self { path: path.to_owned(), temporary: staged, file: Some(file) };
                return match locked {
                    Err(error @ SnapshotError::Locked { .. }) => Err(error),
                    _ => Ok(staged),
                };
            }
        }
        Err(refused(io::Error::other(format!("{} was removed while it was made", staged.display()))))
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
        File::open(parent(path))
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

/// What the temporary names for a file begin with; the process that writes it follows.
fn staged_prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".unfinished-");
    prefix
}

fn create(staged: &Path) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::open(staged, flags, Mode::RUSR | Mode::WUSR);
    let file = match open() {
        // Left by a dead process that had this pid, where there are no locks to find that out by.
        Err(Errno::EXIST) if begun(staged).is_some() => {
            let _ = std::fs::remove_file(staged);
            open()
        }
        other => other,
    };
    Ok(File::from(file?))
}

/// Removes what processes left that were killed while they wrote `path`: it has a temporary name of its own, no process
/// writes it, and it begins as such a file does.
fn sweep(path: &Path) {
    let Some(prefix) = path.file_name().map(staged_prefix) else { return };
    for entry in std::fs::read_dir(parent(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.as_bytes().strip_prefix(prefix.as_bytes());
        if pid.is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit)) {
            remove_if_left(&path.with_file_name(name));
        }
    }
}

fn remove_if_left(staged: &Path) {
    let Some(file) = begun(staged) else { return };
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&file, staged) {
        // The next one finds it again.
        let _ = std::fs::remove_file(staged);
    }
}

/// A file of this user's that begins as a backup or a journal does, or ends before that shows.
fn begun(staged: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(staged, flags, Mode::empty()).ok()?);
    let found = file.metadata().ok()?;
    let is_own = found.is_file() && found.uid() == rustix::process::geteuid().as_raw();
    let mut begun = Vec::new();
    let is_read = is_own && (&file).take(MAGIC.len() as u64).read_to_end(&mut begun).is_ok();
    (is_read && MAGIC.as_bytes().starts_with(&begun)).then_some(file)
}

/// Whether it still has its name.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: Metadata| (found.dev(), found.ino());
    let now = std::fs::symlink_metadata(path).map(identity);
    now.is_ok_and(|now| file.metadata().is_ok_and(|then| identity(then) == now))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_a_killed_writer_left_is_removed_and_nothing_that_lives_or_is_the_users() {
        let desk = tempfile::tempdir().unwrap();
        let path = |name: &str| desk.path().join(name);
        let left =
            [(".saved.unfinished-1", MAGIC), (".saved.unfinished-2", ""), (".saved.unfinished-3", "{\"rec")];
        let others = [
            (".saved.unfinished-4", "mine"),
            (".saved.unfinished-", ""),
            (".saved.unfinished-1x", ""),
            (".saved.1", ""),
            (".other.unfinished-1", MAGIC),
        ];
        for (name, text) in left.into_iter().chain(others) {
            fs::write(path(name), text).unwrap();
        }
        let living = path(".saved.unfinished-5");
        fs::write(&living, MAGIC).unwrap();
        let locked = File::open(&living).unwrap();
        lock(&locked, &living).unwrap();
        std::os::unix::fs::symlink("elsewhere", path(".saved.unfinished-6")).unwrap();
        let staged = Staged::create(&path("saved")).unwrap();
        for (name, _) in left {
            assert!(!path(name).exists(), "{name}");
        }
        for (name, text) in others {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), text, "{name}");
        }
        assert!(living.exists() && path(".saved.unfinished-6").is_symlink());
        // One that is being written is not taken for left behind.
        sweep(&path("saved"));
        staged.publish(Existing::Replace).unwrap();
        assert!(path("saved").exists());
    }
}
