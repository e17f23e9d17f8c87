//! Whether a fleet's directory and files are still what they were.

use super::PREFIX_OF_REGION;
use super::held::{FileId, Held, id, is_of_a_fleet, is_of_its_clients, is_staged, names};
use notation::visible;
use rustix::fs::{AtFlags, Stat, fstat, lstat, statat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::io;

const PERMISSIONS: u32 = 0o7777;

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
        let dir = held.path().display();
        let Ok(stat) = fstat(held.fd()) else { return found };
        if !self.moved && (stat.st_nlink == 0 || !held.is_in_place()) {
            self.moved = true;
            let what = if stat.st_nlink == 0 { "was removed" } else { "was moved away" };
            let other = lstat(held.path()).is_ok();
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
        let look = |name: &CStr| statat(held.fd(), name, AtFlags::SYMLINK_NOFOLLOW);
        for (name, kept) in &mut self.files {
            if self.declared.contains(name) {
                continue;
            }
            if let Some(what) = kept.as_ref().and_then(|kept| kept.change(look(name))) {
                found.push(format!("{dir}/{} {what}", name.to_string_lossy()));
                *kept = None;
            }
        }
        for name in names(held.fd()).unwrap_or_default() {
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
                let name = name.to_string_lossy();
                found.push(format!("{dir}/{} is not a file of the fleet", visible::line(&name)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

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
