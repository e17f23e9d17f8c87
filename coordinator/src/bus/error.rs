//! What the bus refuses, and what the kernel refuses the bus, in words for the user: where, what, why, and
//! what to do.

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum BusError {
    #[error(
        "{path}: cannot reserve {wanted} bytes of shared memory: {}",
        missing_space(*.wanted, *.free, path)
    )]
    NoSpace {
        path: PathBuf,
        /// Bytes.
        wanted: u64,
        /// Bytes free on that file system when it was refused, if it says so.
        free: Option<u64>,
    },
    #[error("{path}: cannot {what}: {cause}")]
    Kernel { path: PathBuf, what: &'static str, cause: Cause },
    #[error("{path}: refused, {why}")]
    Refused { path: PathBuf, why: String },
    #[error("{path}: this end of the ring is already taken")]
    EndTaken { path: PathBuf },
}

/// Why the kernel refused, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Bytes.
    NoSpaceLeft {
        wanted: u64,
        free: Option<u64>,
    },
    /// The file system has space left, but for no more files.
    NoInodes {
        mount: PathBuf,
    },
    ReadOnly {
        mount: PathBuf,
    },
    Permission {
        user: u32,
    },
    /// Immutable, or append-only: not even root may write there.
    Marked {
        what: PathBuf,
    },
    /// Of this process.
    NoDescriptors {
        limit: Option<u64>,
    },
    /// Of the whole system.
    NoFiles,
    /// `limit` is RLIMIT_AS.
    NoAddressSpace {
        wanted: u64,
        limit: Option<u64>,
    },
    LockedMemory,
    NoMemory,
    /// The cgroup of this process has less left: `left` and `wanted` are in bytes, `limit` is the file.
    GroupLimit {
        wanted: u64,
        left: u64,
        limit: PathBuf,
    },
    FileSize {
        wanted: u64,
        limit: Option<u64>,
    },
    /// The file system cannot reserve pages or map files: it is not a tmpfs.
    Unsuitable {
        mount: PathBuf,
    },
    Absent,
    Taken {
        owner: Option<u32>,
    },
    Link,
    NotADirectory,
    NameTooLong,
    Quota,
    Busy,
    Other(Errno),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())?;
        match self.remedy() {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl Cause {
    /// Whether the same may succeed a little later, without anyone's doing.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::ReadOnly { .. }
                | Self::NoSpaceLeft { .. }
                | Self::NoInodes { .. }
                | Self::NoDescriptors { .. }
                | Self::NoFiles
                | Self::NoAddressSpace { .. }
                | Self::NoMemory
                | Self::GroupLimit { .. }
                | Self::Other(Errno::IO)
        )
    }

    /// What is wrong.
    fn reason(&self) -> String {
        match self {
            Self::NoSpaceLeft { wanted, .. } => format!("not enough space for {wanted} bytes"),
            Self::NoInodes { mount } => format!("{} is out of inodes", mount.display()),
            Self::ReadOnly { mount } => format!("{} is read-only", mount.display()),
            Self::Permission { user } => format!("user {user} has no permission"),
            Self::Marked { what } => format!("{} is marked immutable or append-only", what.display()),
            Self::NoDescriptors { limit } => {
                let limit = limit.map(|limit| format!(" {limit}")).unwrap_or_default();
                format!("this process has reached its limit of{limit} open files")
            }
            Self::NoFiles => "the system has reached its limit of open files".into(),
            Self::NoAddressSpace { wanted, limit: Some(limit) } => {
                format!("{wanted} more bytes exceed this process's limit of {limit} bytes of address space")
            }
            Self::NoAddressSpace { wanted, limit: None } => {
                format!("{wanted} more bytes do not fit into this process's address space")
            }
            Self::LockedMemory => "this process locks its memory and has reached its limit".into(),
            Self::NoMemory => "there is not enough memory".into(),
            Self::GroupLimit { wanted, left, .. } => {
                format!("this container or cgroup has {left} bytes of memory left, and {wanted} are needed")
            }
            Self::FileSize { wanted, limit: Some(limit) } => {
                format!("{wanted} bytes exceed this process's limit of {limit} bytes per file")
            }
            Self::FileSize { wanted, limit: None } => {
                format!("a file of {wanted} bytes is larger than this file system allows")
            }
            Self::Unsuitable { mount } => {
                format!("the file system at {} cannot hold shared memory", mount.display())
            }
            Self::Absent => "it does not exist".into(),
            Self::Taken { owner } => {
                let whose = owner.map(|owner| format!(" by user {owner}")).unwrap_or_default();
                format!("the name is already taken{whose}")
            }
            Self::Link => "it is a symbolic link, which is not followed here".into(),
            Self::NotADirectory => "a part of the path is not a directory".into(),
            Self::NameTooLong => "the name is too long".into(),
            Self::Quota => "the user's quota is used up".into(),
            Self::Busy => "it is in use".into(),
            Self::Other(errno) => errno.to_string(),
        }
    }

    /// What to do about it, where that is known.
    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NoSpaceLeft { .. } => "free some".into(),
            Self::NoInodes { mount } => format!(
                "remove files there, remove what dead fleets left with `coordinator clean`, or `mount -o \
                 remount,nr_inodes=0 {}`",
                mount.display()
            ),
            Self::ReadOnly { mount } => {
                format!("`mount -o remount,rw {}`, or choose another directory", mount.display())
            }
            Self::Permission { .. } => {
                "chmod or chown it, become its owner, or choose another directory".into()
            }
            Self::Marked { what } => {
                format!("`chattr -i -a {}`, or choose another place", what.display())
            }
            Self::NoDescriptors { .. } => "raise `ulimit -n`".into(),
            Self::NoFiles => "raise `sysctl fs.file-max`".into(),
            Self::NoAddressSpace { limit: Some(_), .. } => {
                "raise `ulimit -v`, or make the fleet smaller".into()
            }
            Self::NoAddressSpace { limit: None, .. } => {
                "make the fleet smaller, or raise `sysctl vm.max_map_count`".into()
            }
            Self::LockedMemory => "raise `ulimit -l`".into(),
            Self::NoMemory => "make the fleet smaller, or raise the limit of the container or cgroup".into(),
            Self::GroupLimit { limit, .. } => {
                format!("raise {}, or make the fleet smaller", limit.display())
            }
            Self::FileSize { limit: Some(_), .. } => "raise `ulimit -f`".into(),
            Self::FileSize { limit: None, .. } => "use a tmpfs".into(),
            Self::Unsuitable { .. } => "choose a directory on a tmpfs, such as /dev/shm".into(),
            Self::Absent => "check the path; the files of a fleet are removed when it ends".into(),
            Self::Taken { .. } => "choose another name, or remove it".into(),
            Self::Link => "name its target".into(),
            Self::NotADirectory => "choose another path".into(),
            Self::NameTooLong => "choose a shorter one".into(),
            Self::Quota => "free some of it, or use a tmpfs".into(),
            Self::Busy => "a lease or a mount holds it; end that first".into(),
            Self::Other(_) => return None,
        })
    }

    /// What `errno` means where `what` was asked of the kernel at `path`; `wanted` is in bytes.
    pub(crate) fn of(path: &Path, what: &str, wanted: u64, errno: Errno) -> Self {
        match errno {
            Errno::NOSPC => match space_at(path) {
                Some(space) if space.is_out_of_inodes => Self::NoInodes { mount: mount_of(path) },
                // A name takes a byte at least.
                space => Self::NoSpaceLeft { wanted: wanted.max(1), free: space.map(|space| space.free) },
            },
            Errno::ROFS => Self::ReadOnly { mount: mount_of(path) },
            Errno::ACCESS | Errno::PERM => match marked_at(path).filter(|_| errno == Errno::PERM) {
                Some(what) => Self::Marked { what },
                None => Self::Permission { user: rustix::process::geteuid().as_raw() },
            },
            Errno::MFILE => Self::NoDescriptors { limit: getrlimit(Resource::Nofile).current },
            Errno::NFILE => Self::NoFiles,
            Errno::FBIG => Self::FileSize { wanted, limit: getrlimit(Resource::Fsize).current },
            Errno::NOMEM if what == MAP => {
                Self::NoAddressSpace { wanted, limit: getrlimit(Resource::As).current }
            }
            Errno::NOMEM => Self::NoMemory,
            Errno::AGAIN if what == MAP => Self::LockedMemory,
            Errno::AGAIN | Errno::BUSY | Errno::TXTBSY => Self::Busy,
            Errno::OPNOTSUPP | Errno::NODEV | Errno::NOSYS => Self::Unsuitable { mount: mount_of(path) },
            Errno::NOENT => Self::Absent,
            Errno::EXIST => Self::Taken { owner: owner_of(path) },
            Errno::LOOP => Self::Link,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::DQUOT => Self::Quota,
            other => Self::Other(other),
        }
    }
}

impl BusError {
    pub(crate) fn refused(path: &Path, why: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), why: why.into() }
    }

    /// What the kernel answered a request for something at `path`; `wanted` is in bytes.
    pub(crate) fn kernel(path: &Path, what: &'static str, wanted: u64, errno: Errno) -> Self {
        let path = path.to_owned();
        match Cause::of(&path, what, wanted, errno) {
            Cause::NoSpaceLeft { wanted, free } => Self::NoSpace { path, wanted, free },
            cause => Self::Kernel { path, what, cause },
        }
    }

    pub(crate) fn io(path: &Path, what: &'static str, errno: Errno) -> Self {
        Self::kernel(path, what, 0, errno)
    }
}

/// What was asked of the kernel where ENOMEM and EAGAIN have a special meaning.
pub(crate) const MAP: &str = "map it";

/// What a refusal means where the request was not for a file: a descriptor, a process, memory.
pub(crate) fn in_words(error: impl Into<std::io::Error>) -> String {
    let error = error.into();
    let cause = match Errno::from_io_error(&error) {
        Some(Errno::MFILE) => Cause::NoDescriptors { limit: getrlimit(Resource::Nofile).current },
        Some(Errno::NFILE) => Cause::NoFiles,
        Some(Errno::NOMEM) => Cause::NoMemory,
        Some(Errno::AGAIN) => {
            return "the limit of processes is reached (raise `ulimit -u`, or the limit of the container)"
                .into();
        }
        _ => return error.to_string(),
    };
    cause.to_string()
}

struct Space {
    /// Bytes.
    free: u64,
    is_out_of_inodes: bool,
}

/// Of the file system that `path` is on, or would be.
fn space_at(path: &Path) -> Option<Space> {
    let there = path.ancestors().find(|part| part.exists())?;
    let stat = rustix::fs::statfs(there).ok()?;
    Some(Space {
        free: stat.f_bavail.saturating_mul(u64::try_from(stat.f_bsize).ok()?),
        // A tmpfs without a limit of inodes reports a total of 0.
        is_out_of_inodes: stat.f_files > 0 && stat.f_ffree == 0,
    })
}

/// The file at `path` or the directory that it is in, if one of them is immutable or append-only.
fn marked_at(path: &Path) -> Option<PathBuf> {
    let marks = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let is_marked = |path: &&Path| {
        statx(CWD, *path, AtFlags::empty(), StatxFlags::empty())
            .is_ok_and(|found| found.stx_attributes.intersects(marks))
    };
    // Of a path that is to be made, the first part that is there.
    let mut there =
        path.ancestors().map(|part| if part.as_os_str().is_empty() { Path::new(".") } else { part });
    there
        .by_ref()
        .take(2)
        .find(is_marked)
        .or_else(|| there.find(|part| part.exists()).filter(is_marked))
        .map(Path::to_owned)
}

/// Why the file or directory at `path` cannot be used, and what to do where that is known.
pub(crate) fn in_words_at(path: &Path, error: &std::io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(errno @ Errno::PERM) => Cause::of(path, "", 0, errno).to_string(),
        _ => error.to_string(),
    }
}

/// Why a file at `path` cannot be made or made longer, and what to do where that is known.
pub(crate) fn ungrown(path: &Path, error: &std::io::Error) -> String {
    let Some(errno) = Errno::from_io_error(error) else { return error.to_string() };
    match (Cause::of(path, "", 0, errno), getrlimit(Resource::Fsize).current) {
        (Cause::NoSpaceLeft { .. }, _) => "no space is left there (free some)".to_owned(),
        (Cause::FileSize { .. }, Some(limit)) => {
            format!("it may not have more than {limit} bytes (raise `ulimit -f`)")
        }
        (Cause::FileSize { .. }, None) => "it has as many bytes as its file system allows".to_owned(),
        (cause, _) => cause.to_string(),
    }
}

/// The directory that the file system of `path` is mounted at.
fn mount_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut there = absolute.ancestors().filter_map(|part| Some((part, std::fs::metadata(part).ok()?.dev())));
    let Some((mut mount, device)) = there.next() else { return absolute };
    for (part, other) in there {
        if other != device {
            break;
        }
        mount = part;
    }
    mount.to_owned()
}

fn owner_of(path: &Path) -> Option<u32> {
    Some(std::fs::symlink_metadata(path).ok()?.uid())
}

fn missing_space(wanted: u64, free: Option<u64>, path: &Path) -> String {
    const MIB: u64 = 1 << 20;
    let mount = mount_of(path);
    let free_words = free.map_or_else(|| "there is less".to_owned(), |free| format!("{free} are free"));
    let size = std::fs::metadata(&mount)
        .ok()
        .and_then(|_| rustix::fs::statfs(&mount).ok())
        .and_then(|stat| stat.f_blocks.checked_mul(u64::try_from(stat.f_bsize).ok()?))
        .map_or_else(
            || "...".to_owned(),
            |all| {
                let missing = wanted.saturating_sub(free.unwrap_or(0));
                format!("{}m", all.saturating_add(missing).div_ceil(MIB))
            },
        );
    format!(
        "{free_words} (enlarge {mount} with `mount -o remount,size={size} {mount}`, or --shm-size for a \
         container, or make the fleet smaller)",
        mount = mount.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_says_what_to_do() {
        let mount = || PathBuf::from("/dev/shm");
        let causes = [
            (Cause::NoSpaceLeft { wanted: 1, free: None }, "free some"),
            (Cause::NoInodes { mount: mount() }, "nr_inodes"),
            (Cause::ReadOnly { mount: mount() }, "remount,rw"),
            (Cause::Permission { user: 7 }, "chown"),
            (Cause::Marked { what: mount() }, "chattr -i"),
            (Cause::NoDescriptors { limit: Some(3) }, "ulimit -n"),
            (Cause::NoFiles, "fs.file-max"),
            (Cause::NoAddressSpace { wanted: 1, limit: Some(1) }, "ulimit -v"),
            (Cause::NoAddressSpace { wanted: 1, limit: None }, "vm.max_map_count"),
            (Cause::LockedMemory, "ulimit -l"),
            (Cause::NoMemory, "cgroup"),
            (Cause::GroupLimit { wanted: 1, left: 0, limit: mount() }, "raise /dev/shm"),
            (Cause::FileSize { wanted: 1, limit: Some(1) }, "ulimit -f"),
            (Cause::FileSize { wanted: 1, limit: None }, "tmpfs"),
            (Cause::Unsuitable { mount: mount() }, "tmpfs"),
            (Cause::Absent, "removed"),
            (Cause::Taken { owner: None }, "another name"),
            (Cause::Link, "name its target"),
            (Cause::NotADirectory, "choose"),
            (Cause::NameTooLong, "shorter"),
            (Cause::Quota, "free some"),
            (Cause::Busy, "end that first"),
        ];
        for (cause, remedy) in causes {
            let words = cause.to_string();
            assert!(words.contains(remedy), "{words}");
            assert!(!words.contains("os error"), "{words}");
        }
    }

    #[test]
    fn a_mount_is_found_from_what_is_below_it() {
        assert_eq!(mount_of(Path::new("/proc/self/status")), Path::new("/proc"));
        assert_eq!(mount_of(Path::new("/proc/no-such/thing")), Path::new("/proc"));
    }

    /// A test cannot make the kernel refuse for a whole machine, so only the words are checked here.
    #[test]
    fn the_same_errno_means_another_thing_elsewhere() {
        let path = Path::new("/dev/shm/x");
        let said = |what, errno| BusError::kernel(path, what, 4096, errno).to_string();
        assert!(said(MAP, Errno::NOMEM).contains("address space"));
        assert!(said("reserve its pages", Errno::NOMEM).contains("not enough memory"));
        assert!(said(MAP, Errno::AGAIN).contains("ulimit -l"));
        assert!(said("open it", Errno::AGAIN).contains("lease"));
        assert!(said("open it", Errno::NFILE).contains("fs.file-max"));
    }
}
