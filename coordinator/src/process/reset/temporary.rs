//! A worker's temporary directory: made once, emptied between tasks, removed at its end.
//!
//! It copes with whatever a task leaves there: trees deeper than there are descriptors, directories without permissions,
//! links. No link is ever followed, and nothing is opened by a path of more than one name.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// The directory for output that no message has room for.
const SPOOL: &str = "spool";

const OPEN: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory of this user. What is in it belongs to the worker's tasks.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    dir: OwnedFd,
}

/// Where the workers of a fleet have their temporary directories. `created_unix_ns` is the fleet's own.
pub fn of_fleet(created_unix_ns: u64) -> PathBuf {
    std::env::temp_dir().join(name_of(created_unix_ns))
}

fn name_of(created_unix_ns: u64) -> String {
    let uid = rustix::process::geteuid().as_raw();
    format!("coordinator-{uid}-{created_unix_ns:x}")
}

/// Removes a fleet's temporary directories, after all its processes have ended: what has its name in `temporary`, if it is of
/// this user and no other may enter it. It is not an error if there are none.
pub fn remove_of_fleet(temporary: &Path, created_unix_ns: u64) -> io::Result<()> {
    let path = temporary.join(name_of(created_unix_ns));
    match Temporary::open(&path).and_then(Temporary::private) {
        Ok(temporary) => temporary.remove_alone(),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Where the workers of a fleet spool output that no message has room for: removed with its temporary directories.
pub fn spool_of_fleet(created_unix_ns: u64) -> PathBuf {
    of_fleet(created_unix_ns).join(SPOOL)
}

/// The same, of a fleet whose `TMPDIR` is another one.
pub fn spool_in(temporary: &Path, created_unix_ns: u64) -> PathBuf {
    temporary.join(name_of(created_unix_ns)).join(SPOOL)
}

/// Makes a directory that only this user may enter, unless it is there.
///
/// # Errors
/// It cannot be made, or belongs to another user, or is a link.
pub fn private(path: &Path) -> io::Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    // A directory of another user would be a trap.
    Temporary::open(path)?;
    Ok(())
}

impl Temporary {
    /// Makes `path`, and the directory that it is in; what a predecessor has left there is removed.
    pub fn make(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::INVAL.into());
        };
        private(parent)?;
        let inside = Self::open(parent)?;
        match rustix::fs::mkdirat(&inside.dir, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let made = Self::open(path)?;
        made.empty()?;
        Ok(made)
    }

    /// Only a directory of this user's, and never through a link.
    fn open(path: &Path) -> rustix::io::Result<Self> {
        let handle = rustix::fs::open(path, OPEN | OFlags::PATH, Mode::empty())?;
        if rustix::fs::fstat(&handle)?.st_uid != rustix::process::geteuid().as_raw() {
            return Err(Errno::PERM);
        }
        Ok(Self { path: path.to_owned(), dir: readable(&handle)? })
    }

    /// As [`private`] has made it.
    fn private(self) -> rustix::io::Result<Self> {
        let mode = rustix::fs::fstat(&self.dir)?.st_mode;
        if mode & (Mode::RWXG | Mode::RWXO).bits() == 0 { Ok(self) } else { Err(Errno::PERM) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::process) fn fd(&self) -> RawFd {
        self.dir.as_raw_fd()
    }

    /// Removes what is in it, and returns how many entries that were. Fails if something stays, or if the directory
    /// itself is not there any more.
    pub fn empty(&self) -> io::Result<usize> {
        if !self.is_in_place() {
            return Err(io::Error::other("the temporary directory was moved away"));
        }
        self.empty_anywhere()
    }

    fn is_in_place(&self) -> bool {
        let own = rustix::fs::fstat(&self.dir);
        let found = rustix::fs::lstat(&self.path);
        own.is_ok_and(|own| found.is_ok_and(|found| id(&own) == id(&found)))
    }

    fn empty_anywhere(&self) -> io::Result<usize> {
        let own = rustix::fs::fstat(&self.dir)?;
        if own.st_mode & 0o777 != 0o700 {
            rustix::fs::fchmod(&self.dir, Mode::RWXU)?;
        }
        let found = names(self.dir.as_fd())?.len();
        let mut moved = 0;
        loop {
            let left = names(self.dir.as_fd())?;
            if left.is_empty() {
                return Ok(found);
            }
            for (name, kind) in left {
                self.remove_entry(&name, kind, &mut moved)?;
            }
        }
    }

    /// Removes an entry. The directories in a directory are moved up here and removed in another round, so that the depth
    /// of a tree costs neither descriptors nor stack.
    fn remove_entry(&self, name: &CStr, kind: FileType, moved: &mut u64) -> rustix::io::Result<()> {
        if kind != FileType::Directory {
            match unlink(self.dir.as_fd(), name, AtFlags::empty()) {
                Err(Errno::ISDIR) => {}
                done => return done,
            }
        }
        let handle = match rustix::fs::openat(&self.dir, name, OPEN | OFlags::PATH, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let inside = readable(&handle)?;
        for (name, kind) in names(inside.as_fd())? {
            if kind != FileType::Directory {
                match unlink(inside.as_fd(), &name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => {}
                    done => {
                        done?;
                        continue;
                    }
                }
            }
            // It must be writable to be moved, since its `..` changes.
            let below = rustix::fs::openat(&inside, &*name, OPEN | OFlags::PATH, Mode::empty())?;
            readable(&below)?;
            self.bring_up(inside.as_fd(), &name, moved)?;
        }
        unlink(self.dir.as_fd(), name, AtFlags::REMOVEDIR)
    }

    fn bring_up(&self, from: BorrowedFd<'_>, name: &CStr, moved: &mut u64) -> rustix::io::Result<()> {
        loop {
            *moved += 1;
            let new = CString::new(format!(".moved-{moved}")).map_err(|_| Errno::INVAL)?;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(from, name, &self.dir, &*new, flags) {
                Err(Errno::EXIST) => {}
                done => return done,
            }
        }
    }

    /// Empties and removes it, and what it is in if nothing else is there.
    pub fn remove(self) -> io::Result<()> {
        if !self.is_in_place() {
            return self.remove_moved();
        }
        self.remove_alone()?;
        if let Some(parent) = self.path.parent() {
            // Fails if other workers still have theirs there.
            let _ = rustix::fs::unlinkat(CWD, parent, AtFlags::REMOVEDIR);
        }
        Ok(())
    }

    /// A directory further up was moved away: it is removed where it is now, by way of its own `..`.
    fn remove_moved(&self) -> io::Result<()> {
        self.empty_anywhere()?;
        let fleet = rustix::fs::openat(&self.dir, c"..", OPEN | OFlags::PATH, Mode::empty())?;
        remove_as(&fleet, &self.path, &self.dir)?;
        if let Some(path) = self.path.parent() {
            let above = rustix::fs::openat(&fleet, c"..", OPEN | OFlags::PATH, Mode::empty())?;
            // These fail if something of others is still there.
            let _ = rustix::fs::unlinkat(&fleet, SPOOL, AtFlags::REMOVEDIR);
            let _ = remove_as(&above, path, &fleet);
        }
        Ok(())
    }

    fn remove_alone(&self) -> io::Result<()> {
        self.empty()?;
        Ok(rustix::fs::unlinkat(CWD, &self.path, AtFlags::REMOVEDIR)?)
    }
}

/// Removes the empty directory `dir` from the one that it is in, if it still has the name that it has in `path`.
fn remove_as(parent: &OwnedFd, path: &Path, dir: &OwnedFd) -> io::Result<()> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let (own, found) =
        (rustix::fs::fstat(dir)?, rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?);
    if id(&own) != id(&found) {
        return Err(Errno::NOENT.into());
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

fn id(found: &rustix::fs::Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}

/// The same directory, opened for reading, with all the permissions that its owner needs to remove what is in it.
fn readable(handle: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    if rustix::fs::fstat(handle)?.st_mode & 0o700 != 0o700 {
        // A descriptor of this kind cannot be changed itself; its name in `/proc` leads to the directory and
        // nowhere else.
        rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
    }
    rustix::fs::openat(handle, c".", OPEN | OFlags::RDONLY, Mode::empty())
}

fn names(dir: BorrowedFd<'_>) -> rustix::io::Result<Vec<(CString, FileType)>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}

/// Succeeds if the entry is gone already.
fn unlink(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(dir, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn is_empty(path: &Path) -> bool {
        fs::read_dir(path).unwrap().next().is_none()
    }

    #[test]
    fn whatever_a_task_leaves_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        let made = Temporary::make(&root.path().join("fleet/0.0")).unwrap();
        let at = made.path().to_owned();
        fs::write(at.join("file"), "x").unwrap();
        fs::write(at.join(".moved-1"), "in the way").unwrap();
        symlink(&outside, at.join("link")).unwrap();
        fs::create_dir_all(at.join("a/b/c/b")).unwrap();
        symlink(&outside, at.join("a/b/link")).unwrap();
        symlink("nowhere", at.join("a/dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at.join("a/socket")).unwrap();
        for closed in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(at.join(closed), fs::Permissions::from_mode(0o000)).unwrap();
        }
        fs::set_permissions(&at, fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(made.empty().unwrap(), 4);
        assert!(is_empty(&at) && outside.join("precious").exists());
        assert_eq!(made.empty().unwrap(), 0);
        made.remove().unwrap();
        assert!(!root.path().join("fleet").exists());
    }

    #[test]
    fn no_tree_is_too_deep() {
        let root = tempfile::tempdir().unwrap();
        let made = Temporary::make(&root.path().join("fleet/0.0")).unwrap();
        let mut dir = made.dir.try_clone().unwrap();
        for _ in 0..1200 {
            rustix::fs::mkdirat(&dir, c"d", Mode::RWXU).unwrap();
            dir = rustix::fs::openat(&dir, c"d", OPEN, Mode::empty()).unwrap();
        }
        drop(dir);
        assert_eq!(made.empty().unwrap(), 1);
        assert!(is_empty(made.path()));
    }

    #[test]
    fn what_was_moved_away_is_removed_where_it_is_now() {
        let root = tempfile::tempdir().unwrap();
        let (here, there) = (root.path().join("tmp"), root.path().join("moved"));
        fs::create_dir(&here).unwrap();
        let made = Temporary::make(&here.join("fleet/0.0")).unwrap();
        fs::create_dir(here.join("fleet/spool")).unwrap();
        fs::write(made.path().join("left"), "").unwrap();
        fs::write(here.join("precious"), "").unwrap();
        fs::rename(&here, &there).unwrap();
        assert!(made.empty().is_err());
        made.remove().unwrap();
        let left: Vec<_> = fs::read_dir(&there).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["precious"]);
    }

    #[test]
    fn a_successor_finds_nothing_of_its_predecessor() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("fleet/0.0");
        let before = Temporary::make(&path).unwrap();
        fs::write(path.join("left"), "").unwrap();
        drop(before);
        Temporary::make(&path).unwrap();
        assert!(is_empty(&path));
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        symlink(&outside, root.path().join("link")).unwrap();
        assert!(Temporary::make(&root.path().join("link")).is_err());
        assert!(Temporary::make(&root.path().join("link/0.0")).is_err());
        // And if it comes later, nothing behind it is touched.
        let made = Temporary::make(&root.path().join("fleet/0.0")).unwrap();
        fs::remove_dir(made.path()).unwrap();
        symlink(&outside, made.path()).unwrap();
        assert!(made.empty().is_err());
        assert!(outside.join("precious").exists());
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let root = rustix::process::geteuid().is_root();
        if !crate::process::skips::has_or_skips("root, to make a directory of another user", root) {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("0.0");
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert_eq!(Temporary::make(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
