//! A fleet's directory held open: looked at and removed as the directory that it is, whatever its name leads to.

use super::{CLIENTS, CONTROL, PREFIX_OF_REGION, in_words};
use crate::bus::error::BusError;
use crate::bus::fault;
use crate::bus::mapping::PrivateDir;
use crate::bus::view::{Head, Stamped, peek_in};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, lstat, openat, statat, unlinkat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

const OPEN: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);
const PERMISSIONS: u32 = 0o7777;

/// Device and inode.
type FileId = (u64, u64);

fn id(stat: &Stat) -> FileId {
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
            foreign.sort_unstable();
            return Err(io::Error::new(
                io::ErrorKind::DirectoryNotEmpty,
                format!(
                    "{} in it is not of the fleet and was left alone; the fleet's own files are removed: find out who \
                     put it there, and remove the directory",
                    foreign.join(", ")
                ),
            ));
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

fn names(dir: BorrowedFd<'_>) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// What a file of a fleet must remain.
#[derive(Debug, Clone, Copy)]
struct Kept {
    id: FileId,
    bytes: i64,
    blocks: i64,
    permissions: u32,
    owner: Owned,
    links: u64,
}

impl Kept {
    fn of(stat: &Stat) -> Self {
        Self {
            id: id(stat),
            bytes: stat.st_size,
            blocks: stat.st_blocks,
            permissions: stat.st_mode & PERMISSIONS,
            owner: Owned::of(stat),
            links: stat.st_nlink,
        }
    }

    /// What has been done to it, if anything.
    fn change(&self, now: Result<Stat, Errno>) -> Option<String> {
        let now = match now {
            Ok(stat) => Self::of(&stat),
            Err(Errno::NOENT) => return Some("was removed".to_owned()),
            Err(errno) => return Some(format!("cannot be looked at: {}", io::Error::from(errno))),
        };
        if now.id != self.id {
            Some("was replaced by another file".to_owned())
        } else if now.bytes != self.bytes {
            Some(format!("has {} bytes instead of {}", now.bytes, self.bytes))
        } else if now.blocks < self.blocks {
            Some(format!("has holes: {} of its {} blocks are left", now.blocks, self.blocks))
        } else if now.permissions != self.permissions {
            Some(format!("has mode {:03o} instead of {:03o}", now.permissions, self.permissions))
        } else if now.links > self.links {
            Some(format!("has {} names instead of {}", now.links, self.links))
        } else {
            self.owner.change(now.owner)
        }
    }
}

/// Whose a file or a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owned {
    user: u32,
    group: u32,
}

impl Owned {
    fn of(stat: &Stat) -> Self {
        Self { user: stat.st_uid, group: stat.st_gid }
    }

    /// What has been done to it, if anything.
    fn change(self, now: Self) -> Option<String> {
        if now.user != self.user {
            Some(format!("belongs to user {} instead of {}", now.user, self.user))
        } else if now.group != self.group {
            Some(format!("belongs to group {} instead of {}", now.group, self.group))
        } else {
            None
        }
    }
}

/// Looks again and again whether a fleet's directory and files are what they were. Each of them is named once.
#[derive(Debug, Default)]
pub struct Integrity {
    files: BTreeMap<CString, Option<Kept>>,
    moved: bool,
    opened: bool,
    foreign: bool,
    /// Of the directory; `None` before the first look.
    owner: Option<Owned>,
    disowned: bool,
    /// Files that are being changed on purpose: what happens to them is not looked at.
    declared: BTreeSet<CString>,
}

impl Integrity {
    /// Whether the file of a coordinator's region is being changed on purpose from now on. When it is not any more, it must be
    /// again what it was.
    pub fn declare(&mut self, coordinator: u32, is_changed: bool) {
        let Ok(name) = CString::new(format!("{PREFIX_OF_REGION}{coordinator}")) else { return };
        if is_changed {
            self.declared.insert(name);
        } else {
            self.declared.remove(&name);
        }
    }

    /// What has been done to the directory and its files since the last look, in words. Regions that have been added
    /// meanwhile belong to it.
    pub fn look(&mut self, held: &Held) -> Vec<String> {
        let mut found = Vec::new();
        let dir = held.path.display();
        let Ok(stat) = fstat(&held.fd) else { return found };
        if !self.moved && (stat.st_nlink == 0 || !held.is_in_place()) {
            self.moved = true;
            let what = if stat.st_nlink == 0 { "was removed" } else { "was moved away" };
            let other = lstat(&held.path).is_ok();
            let other = if other { ", and something else is in its place" } else { "" };
            found.push(format!("{dir} {what}{other}"));
        }
        if !self.opened && stat.st_mode & PERMISSIONS != 0o700 {
            self.opened = true;
            found.push(format!("{dir} has mode {:03o} instead of 700", stat.st_mode & PERMISSIONS));
        }
        let owner = *self.owner.get_or_insert(Owned::of(&stat));
        if !self.disowned
            && let Some(what) = owner.change(Owned::of(&stat))
        {
            self.disowned = true;
            found.push(format!("{dir} {what}"));
        }
        let look = |name: &CStr| statat(&held.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        for (name, kept) in &mut self.files {
            if self.declared.contains(name) {
                continue;
            }
            if let Some(what) = kept.as_ref().and_then(|kept| kept.change(look(name))) {
                found.push(format!("{dir}/{} {what}", name.to_string_lossy()));
                *kept = None;
            }
        }
        for name in names(held.fd.as_fd()).unwrap_or_default() {
            if self.files.contains_key(&name) {
                continue;
            }
            if is_of_a_fleet(&name.to_string_lossy()) {
                if let Ok(stat) = look(&name) {
                    self.files.insert(name, Some(Kept::of(&stat)));
                }
            } else if !is_staged(&name.to_string_lossy())
                && !is_of_its_clients(&name.to_string_lossy())
                && !std::mem::replace(&mut self.foreign, true)
            {
                found.push(format!("{dir}/{} is not a file of the fleet", name.to_string_lossy()));
            }
        }
        found
    }
}

/// A region in the making.
fn is_staged(name: &str) -> bool {
    name.strip_prefix('.').is_some_and(is_of_a_fleet)
}

/// Their journal grows and is rewritten, so nothing about it can be held against it.
fn is_of_its_clients(name: &str) -> bool {
    name == CLIENTS || name.strip_prefix('.').is_some_and(|name| name.starts_with(CLIENTS))
}

fn is_of_a_fleet(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX_OF_REGION);
    name == CONTROL || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn made() -> (tempfile::TempDir, Held, Integrity) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("coord-x");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        for name in ["control", "c0"] {
            fs::write(dir.join(name), [7; 8192]).unwrap();
        }
        let (held, mut integrity) = (Held::open(&dir).unwrap(), Integrity::default());
        assert_eq!(integrity.look(&held), Vec::<String>::new());
        (root, held, integrity)
    }

    #[test]
    fn whatever_is_done_to_a_directory_or_a_file_is_named_once() {
        type Deed = fn(&Path);
        let cases: [(&str, Deed); 9] = [
            ("c0 has 2 names instead of 1", |dir| {
                fs::hard_link(dir.join("c0"), dir.with_file_name("stolen")).unwrap();
            }),
            ("c0 has 4096 bytes instead of 8192", |dir| {
                fs::File::options().write(true).open(dir.join("c0")).unwrap().set_len(4096).unwrap();
            }),
            ("control has 8193 bytes instead of 8192", |dir| {
                fs::File::options().write(true).open(dir.join("control")).unwrap().set_len(8193).unwrap();
            }),
            ("c0 was removed", |dir| fs::remove_file(dir.join("c0")).unwrap()),
            ("c0 was replaced by another file", |dir| {
                fs::write(dir.join(".new"), [7; 8192]).unwrap();
                fs::rename(dir.join(".new"), dir.join("c0")).unwrap();
            }),
            ("control has mode 4755 instead of", |dir| {
                let all = fs::Permissions::from_mode(0o4755);
                fs::set_permissions(dir.join("control"), all).unwrap();
            }),
            ("coord-x has mode 755 instead of 700", |dir| {
                fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
            }),
            ("coord-x was moved away", |dir| fs::rename(dir, dir.with_file_name("away")).unwrap()),
            ("foreign is not a file of the fleet", |dir| fs::write(dir.join("foreign"), "").unwrap()),
        ];
        for (wanted, deed) in cases {
            let (_root, held, mut integrity) = made();
            deed(held.path());
            let found = integrity.look(&held);
            assert!(found.len() == 1 && found[0].contains(wanted), "{wanted}: {found:?}");
            assert_eq!(integrity.look(&held), Vec::<String>::new(), "{wanted}");
        }
    }

    #[test]
    fn a_change_of_owner_or_group_is_named_once() {
        if !rustix::process::geteuid().is_root() {
            // Only root may give files away.
            return;
        }
        for (name, user, group, wanted) in [
            ("c0", Some(65_534), None, "c0 belongs to user 65534 instead of 0"),
            ("control", None, Some(65_534), "control belongs to group 65534 instead of"),
            ("", Some(65_534), None, "coord-x/ belongs to user 65534 instead of 0"),
            ("", None, Some(65_534), "coord-x/ belongs to group 65534 instead of"),
        ] {
            let (_root, held, mut integrity) = made();
            std::os::unix::fs::chown(held.path().join(name), user, group).unwrap();
            let found = integrity.look(&held);
            let wanted = wanted.replace("/ ", " ");
            assert!(found.len() == 1 && found[0].contains(&wanted), "{wanted}: {found:?}");
            assert_eq!(integrity.look(&held), Vec::<String>::new(), "{wanted}");
        }
    }

    #[test]
    fn a_removed_directory_is_named_with_its_files() {
        let (_root, held, mut integrity) = made();
        fs::remove_dir_all(held.path()).unwrap();
        let found = integrity.look(&held);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].ends_with("coord-x was removed"), "{found:?}");
        assert!(!held.exists());
        held.remove().unwrap();
    }

    #[test]
    fn what_is_done_on_purpose_is_not_named_and_what_stays_of_it_is() {
        let (_root, held, mut integrity) = made();
        let (c0, away) = (held.path().join("c0"), held.path().join(".c0"));
        integrity.declare(0, true);
        fs::rename(&c0, &away).unwrap();
        assert_eq!(integrity.look(&held), Vec::<String>::new());
        fs::write(held.path().join("control"), "x").unwrap();
        assert!(integrity.look(&held)[0].contains("control has 1 bytes"), "of this file nothing was said");
        fs::rename(&away, &c0).unwrap();
        integrity.declare(0, false);
        assert_eq!(integrity.look(&held), Vec::<String>::new());
        fs::rename(&c0, &away).unwrap();
        assert!(integrity.look(&held)[0].ends_with("c0 was removed"));
    }

    #[test]
    fn a_region_that_is_added_belongs_to_the_fleet() {
        let (_root, held, mut integrity) = made();
        fs::write(held.path().join("c1"), [7; 8192]).unwrap();
        assert_eq!(integrity.look(&held), Vec::<String>::new());
        fs::remove_file(held.path().join("c1")).unwrap();
        assert!(integrity.look(&held)[0].ends_with("c1 was removed"));
    }

    #[test]
    fn what_another_program_has_put_there_stays_and_is_named_and_the_rest_is_removed() {
        let (_root, held, _) = made();
        fs::create_dir_all(held.path().join("c7/below")).unwrap();
        fs::write(held.path().join("precious"), "data").unwrap();
        fs::write(held.path().join("clients"), "").unwrap();
        let error = held.remove().unwrap_err();
        assert!(error.to_string().starts_with("c7, precious in it is not of the fleet"), "{error}");
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
    fn only_the_directory_that_is_held_is_removed() {
        let (root, held, mut integrity) = made();
        let away = root.path().join("away");
        fs::rename(held.path(), &away).unwrap();
        fs::create_dir(held.path()).unwrap();
        fs::write(held.path().join("control"), "precious").unwrap();
        fs::set_permissions(&away, fs::Permissions::from_mode(0o500)).unwrap();
        let found = integrity.look(&held);
        assert!(found[0].ends_with("was moved away, and something else is in its place"), "{found:?}");
        held.remove().unwrap();
        assert!(!away.exists() && !held.exists());
        assert_eq!(fs::read_to_string(held.path().join("control")).unwrap(), "precious");
    }
}
