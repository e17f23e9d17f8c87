//! A fleet's directory held open: looked at and removed as the directory that it is, whatever its name leads to.

use super::{CLIENTS, CONTROL, PREFIX_OF_REGION, in_words};
use crate::bus::error::BusError;
use crate::bus::fault;
use crate::bus::mapping::PrivateDir;
use crate::bus::view::{Head, Stamped, peek_in};
use notation::visible;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, lstat, openat, statat, unlinkat};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

const OPEN: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);
/// Names of others' files that a message shows.
const NAMES_MAX: usize = 3;

/// Device and inode.
pub(super) type FileId = (u64, u64);

pub(super) fn id(stat: &Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

#[derive(Debug)]
pub struct Held {
    fd: OwnedFd,
    id: FileId,
    path: PathBuf,
}

impl Held {
    /// # Errors
    /// It is not a directory, or cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(dir, OPEN, Mode::empty()).map_err(|errno| in_words(dir, errno))?;
        Self::of(fd, dir).map_err(|errno| in_words(dir, errno))
    }

    pub(super) fn of(fd: OwnedFd, path: &Path) -> rustix::io::Result<Self> {
        Ok(Self { id: id(&fstat(&fd)?), fd, path: path.to_owned() })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The beginning of its control file.
    pub fn head(&self) -> Result<Head, BusError> {
        peek_in(self.fd.as_fd(), CONTROL.as_ref(), &super::control_path(&self.path))
    }

    pub(crate) fn raw(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Its control file is that of the fleet that was stamped so.
    pub fn is_of(&self, stamped: &Stamped) -> bool {
        let same = |head: Head| (head.boot, head.created_unix_ns) == (stamped.boot, stamped.created_unix_ns);
        self.head().is_ok_and(same)
    }

    /// The same directory on a descriptor of its own, after a check of its owner and mode.
    pub fn private(&self) -> Result<PrivateDir, BusError> {
        PrivateDir::within(self.fd.as_fd(), &self.path)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// It has not been removed, whatever its name is now.
    pub fn exists(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 0)
    }

    /// Its name still leads to it.
    pub fn is_in_place(&self) -> bool {
        lstat(&self.path).is_ok_and(|found| id(&found) == self.id)
    }

    /// Removes it: the files first, never below, never through a link. Another directory that has its name stays, and so does
    /// what another program has put into it.
    ///
    /// # Errors
    /// Something in it cannot be removed, or is not the fleet's: then all the rest is removed.
    pub fn remove(&self) -> io::Result<()> {
        let refused = |errno| in_words(&self.path, errno);
        fault::forget_fleet(self.raw());
        if !self.exists() {
            return Ok(());
        }
        // It is of this user; without these permissions nothing in it can be removed.
        let _ = rustix::fs::fchmod(&self.fd, Mode::RWXU);
        let (mut foreign, mut kept) = (Vec::new(), None);
        for name in names(self.fd.as_fd()).map_err(refused)? {
            let text = name.to_string_lossy();
            let is_directory = || {
                statat(&self.fd, &name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_dir())
            };
            if !(is_of_a_fleet(&text) || is_staged(&text) || is_of_its_clients(&text)) || is_directory() {
                foreign.push(text.into_owned());
                continue;
            }
            match unlinkat(&self.fd, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => kept = kept.or(Some(errno)),
            }
        }
        if let Some(errno) = kept {
            return Err(refused(errno));
        }
        if !foreign.is_empty() {
            return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, left_alone(foreign)));
        }
        let parent = openat(&self.fd, c"..", OPEN, Mode::empty()).map_err(refused)?;
        let is_own = |name: &CStr| {
            statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| id(&found) == self.id)
        };
        let usual = self.path.file_name().and_then(|name| CString::new(name.as_encoded_bytes()).ok());
        let name = match usual.filter(|name| is_own(name)) {
            Some(name) => Some(name),
            // It has been moved, or something is mounted on it.
            None => self.name_in(parent.as_fd()).map_err(refused)?,
        };
        match name.map(|name| unlinkat(&parent, &name, AtFlags::REMOVEDIR)) {
            Some(Ok(()) | Err(Errno::NOENT)) => Ok(()),
            Some(Err(errno)) => Err(refused(errno)),
            None if !self.exists() => Ok(()),
            None => Err(refused(Errno::NOENT)),
        }
    }

    /// Its name in the directory that it lies in, by the inode there: that of a mount on it is another one.
    fn name_in(&self, parent: BorrowedFd<'_>) -> rustix::io::Result<Option<CString>> {
        for entry in Dir::read_from(parent)? {
            let entry = entry?;
            if entry.ino() == self.id.1 && ![c".", c".."].contains(&entry.file_name()) {
                return Ok(Some(entry.file_name().to_owned()));
            }
        }
        Ok(None)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        fault::forget_fleet(self.raw());
    }
}

/// What is said of files that others have put into a fleet's directory: of so many names, the first few.
fn left_alone(mut names: Vec<String>) -> String {
    names.sort_unstable();
    let shown: Vec<_> =
        names.iter().take(NAMES_MAX).map(|name| format!("`{}`", visible::line(name))).collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (are, them) = if names.len() == 1 { ("does", "it") } else { ("do", "them") };
    format!(
        "{}{more} in it {are} not belong to the fleet, and {them_was} left alone; the fleet's own files are removed: find out who \
         put {them} there, and remove the directory",
        shown.join(", "),
        them_was = if names.len() == 1 { "was" } else { "were" },
    )
}

pub(super) fn names(dir: BorrowedFd<'_>) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// A region in the making.
pub(super) fn is_staged(name: &str) -> bool {
    name.strip_prefix('.').is_some_and(is_of_a_fleet)
}

/// Their journal grows and is rewritten, so nothing about it can be held against it.
pub(super) fn is_of_its_clients(name: &str) -> bool {
    name == CLIENTS || name.strip_prefix('.').is_some_and(|name| name.starts_with(CLIENTS))
}

pub(super) fn is_of_a_fleet(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX_OF_REGION);
    name == CONTROL || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn made() -> (tempfile::TempDir, Held) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("coord-x");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        for name in ["control", "c0"] {
            fs::write(dir.join(name), [7; 8192]).unwrap();
        }
        let held = Held::open(&dir).unwrap();
        (root, held)
    }

    #[test]
    fn what_another_program_has_put_there_stays_and_is_named_and_the_rest_is_removed() {
        let (_root, held) = made();
        fs::create_dir_all(held.path().join("c7/below")).unwrap();
        fs::write(held.path().join("precious"), "data").unwrap();
        fs::write(held.path().join("clients"), "").unwrap();
        let error = held.remove().unwrap_err();
        let said = "`c7`, `precious` in it do not belong to the fleet, and were left alone;";
        assert!(error.to_string().starts_with(said), "{error}");
        let mut left: Vec<_> =
            fs::read_dir(held.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort_unstable();
        assert_eq!(left, ["c7", "precious"]);
        assert!(held.path().join("c7/below").exists());
        fs::remove_dir_all(held.path().join("c7")).unwrap();
        fs::remove_file(held.path().join("precious")).unwrap();
        held.remove().unwrap();
        assert!(!held.exists());
    }

    #[test]
    fn a_message_about_any_number_of_files_is_one_short_line() {
        let (_root, held) = made();
        for name in 0..500 {
            fs::write(held.path().join(format!("{name:03}\u{1b}[2J\n{}", "x".repeat(200))), "").unwrap();
        }
        let said = held.remove().unwrap_err().to_string();
        assert!(said.contains(" and 497 more in it do not belong to the fleet"), "{said}");
        assert!(said.len() < 1_000 && !said.chars().any(char::is_control), "{said}");
        assert_eq!(
            left_alone(vec!["a".to_owned()]).split(';').next().unwrap(),
            "`a` in it does not belong to the fleet, and was left alone"
        );
    }
}
