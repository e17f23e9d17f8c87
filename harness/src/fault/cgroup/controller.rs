//! What the kernel calls the files of control groups, in both versions of its interface, and where the group of a process is.
//!
//! Version 1 has a tree for each controller, and a group may lie below one that has processes. In version 2 all controllers are
//! in one tree, and only a group without processes passes them on: there a new group lies beside that of the process.

use crate::fault::undo::put;
use crate::scenario::fault::{Action, GroupLimit};
use procfs::process::Process as Proc;
use rustix::fs::{Access, access};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel shows the groups.
const ROOT: &str = "/sys/fs/cgroup";
/// Of a quota, in microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Pids,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// The group of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) version: Version,
    pub(super) dir: PathBuf,
}

impl Controller {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// Of the groups that a fault makes, if it makes any.
    pub(crate) fn of(action: Action) -> Option<Self> {
        match action {
            Action::Group(GroupLimit::Memory(_)) | Action::Oom => Some(Self::Memory),
            Action::Group(GroupLimit::Cpu(_)) => Some(Self::Cpu),
            Action::Group(GroupLimit::Pids(_)) => Some(Self::Pids),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    /// The group that a process is in, by `/proc/PID/cgroup`.
    pub(super) fn home(self, pid: u32) -> Result<Home, String> {
        let raw = i32::try_from(pid).map_err(|_| "has no pid".to_owned())?;
        let groups = &Proc::new(raw).and_then(|proc| proc.cgroups()).map_err(|error| error.to_string())?;
        let own = |name: &str| name == self.name();
        let has = |controllers: &[String]| controllers.iter().any(|name| own(name));
        let found =
            groups.into_iter().find(|group| has(&group.controllers)).map(|group| (Version::V1, group));
        let shared =
            || groups.into_iter().find(|group| group.hierarchy == 0).map(|group| (Version::V2, group));
        let (version, group) = found.or_else(shared).ok_or("is in no control group")?;
        let below = group.pathname.trim_start_matches('/');
        let roots = match version {
            Version::V1 => vec![Path::new(ROOT).join(self.name())],
            Version::V2 => vec![PathBuf::from(ROOT), Path::new(ROOT).join("unified")],
        };
        let holds = |dir: &PathBuf| dir.join("cgroup.procs").exists();
        roots
            .into_iter()
            .map(|root| if below.is_empty() { root } else { root.join(below) })
            .find(holds)
            .map(|dir| Home { version, dir })
            .ok_or_else(|| format!("its control group {} is not to be seen below {ROOT}", group.pathname))
    }

    /// Where a group for the processes of another one can be made.
    pub(super) fn parent(self, home: &Home) -> Result<PathBuf, String> {
        let passes = |dir: &&Path| {
            let passed = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
            passed.split_whitespace().any(|name| name == self.name())
        };
        match home.version {
            Version::V1 => Ok(home.dir.clone()),
            Version::V2 => [Some(home.dir.as_path()), home.dir.parent()]
                .into_iter()
                .flatten()
                .find(passes)
                .map(Path::to_owned)
                .ok_or_else(|| {
                    format!("{} does not pass on the controller {}", home.dir.display(), self.name())
                }),
        }
    }

    /// Where groups for this process's children are made.
    #[cfg(test)]
    pub(crate) fn own_parent(self) -> Result<PathBuf, String> {
        self.parent(&self.home(std::process::id())?)
    }

    #[cfg(test)]
    pub(crate) fn group_of(self, pid: u32) -> Result<PathBuf, String> {
        self.home(pid).map(|home| home.dir)
    }

    /// Whether its groups are those of other controllers, too.
    pub(crate) fn is_in_one_tree(self) -> bool {
        self.home(std::process::id()).is_ok_and(|home| home.version == Version::V2)
    }

    /// Whether this process may put its children into groups of their own.
    pub(crate) fn is_writable(self) -> Result<(), String> {
        let home = self.home(std::process::id())?;
        let parent = self.parent(&home)?;
        let may = |path: PathBuf, how| {
            access(&path, how).map_err(|errno| format!("{} cannot be written to: {errno}", path.display()))
        };
        may(parent, Access::WRITE_OK | Access::EXEC_OK)?;
        may(home.dir.join("cgroup.procs"), Access::WRITE_OK)
    }
}

/// A file of a group, without the line end.
pub(super) fn text(dir: &Path, file: &str) -> Result<String, String> {
    fs::read_to_string(dir.join(file))
        .map(|text| text.trim().to_owned())
        .map_err(|error| format!("{}: {error}", dir.join(file).display()))
}

fn number(dir: &Path, file: &str) -> Result<u64, String> {
    text(dir, file)?.parse().map_err(|error| format!("{}: {error}", dir.join(file).display()))
}

/// A row of a file of names and numbers; 0 without it.
fn row(dir: &Path, file: &str, name: &str) -> Result<u64, String> {
    let rows = text(dir, file)?;
    let of =
        |line: &str| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')?.trim().parse().ok());
    Ok(rows.lines().find_map(of).unwrap_or(0))
}

fn write(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    put(&dir.join(file), value)
}

/// For memory, in bytes.
pub(super) fn limit_memory(version: Version, dir: &Path, bytes: u64) -> io::Result<()> {
    let bytes = bytes.to_string();
    match version {
        Version::V1 => {
            // What is swapped out is not in memory, and a limit would let it go on.
            match write(dir, "memory.swappiness", "0") {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            write(dir, "memory.limit_in_bytes", &bytes)
        }
        Version::V2 => {
            match write(dir, "memory.swap.max", "0") {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            write(dir, "memory.max", &bytes)
        }
    }
}

/// The limit, and how much is used; in bytes.
pub(super) fn memory(version: Version, dir: &Path) -> Result<(u64, u64), String> {
    match version {
        Version::V1 => Ok((number(dir, "memory.limit_in_bytes")?, number(dir, "memory.usage_in_bytes")?)),
        Version::V2 => Ok((number(dir, "memory.max")?, number(dir, "memory.current")?)),
    }
}

/// Processes of it that the kernel's OOM killer has ended.
pub(super) fn oom_kills(version: Version, dir: &Path) -> Result<u64, String> {
    match version {
        Version::V1 => row(dir, "memory.oom_control", "oom_kill"),
        Version::V2 => row(dir, "memory.events", "oom_kill"),
    }
}

/// A quota of so many microseconds in each period.
fn quota_us(cpus: f64) -> u64 {
    (cpus * PERIOD_US as f64).round() as u64
}

pub(super) fn limit_cpu(version: Version, dir: &Path, cpus: f64) -> io::Result<()> {
    match version {
        Version::V1 => {
            write(dir, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            write(dir, "cpu.cfs_quota_us", &quota_us(cpus).to_string())
        }
        Version::V2 => write(dir, "cpu.max", &format!("{} {PERIOD_US}", quota_us(cpus))),
    }
}

/// Whether the kernel shows that quota.
pub(super) fn has_quota(version: Version, dir: &Path, cpus: f64) -> Result<bool, String> {
    let shown = match version {
        Version::V1 => format!("{} {}", text(dir, "cpu.cfs_quota_us")?, text(dir, "cpu.cfs_period_us")?),
        Version::V2 => text(dir, "cpu.max")?,
    };
    Ok(shown == format!("{} {PERIOD_US}", quota_us(cpus)))
}

/// Periods in which something of the group ran, and those of them in which it was kept from running.
pub(super) fn periods(dir: &Path) -> Result<(u64, u64), String> {
    Ok((row(dir, "cpu.stat", "nr_periods")?, row(dir, "cpu.stat", "nr_throttled")?))
}

pub(super) fn limit_pids(dir: &Path, pids: u64) -> io::Result<()> {
    write(dir, "pids.max", &pids.to_string())
}

/// The limit, and how many there are.
pub(super) fn pids(dir: &Path) -> Result<(u64, u64), String> {
    Ok((number(dir, "pids.max")?, number(dir, "pids.current")?))
}

/// Forks that were refused.
pub(super) fn refused_forks(dir: &Path) -> Result<u64, String> {
    row(dir, "pids.events", "max")
}
