//! Limits of the control groups that this process is in, in both versions of the kernel's interface.
//!
//! A limit binds whatever is below it, so every group from this process's own up to the root is read. The
//! file system is an argument: tests write one down. Deliberately absent: any opinion about a limit.

use procfs::ProcessCGroups;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows the groups.
pub(super) const ROOT: &str = "/sys/fs/cgroup";

/// The limits of all groups that have one, this process's own group first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Cgroups {
    /// In bytes.
    pub(super) memory: Vec<CgroupLimit>,
    /// Processes and threads.
    pub(super) pids: Vec<CgroupLimit>,
    /// CPU time per time: 1.5 is one and a half processors. The least of all quotas.
    pub(super) cpus: Option<f64>,
}

/// A limit of one group, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CgroupLimit {
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) file: PathBuf,
}

impl CgroupLimit {
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// The limit that holds whatever is used: it is a property of the host, as what is left is not.
pub(super) fn least(limits: &[CgroupLimit]) -> Option<u64> {
    limits.iter().map(|limit| limit.limit).min()
}

/// The limit that is reached first.
pub(super) fn tightest(limits: &[CgroupLimit]) -> Option<&CgroupLimit> {
    limits.iter().min_by_key(|limit| limit.left())
}

/// `root` is [`ROOT`], `groups` those of this process.
pub(super) fn read(root: &Path, groups: &ProcessCGroups) -> Cgroups {
    Cgroups {
        memory: limits(
            &levels(root, groups, "memory"),
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ),
        pids: limits(
            &levels(root, groups, "pids"),
            ("pids.max", "pids.current"),
            ("pids.max", "pids.current"),
        ),
        cpus: cpus(&levels(root, groups, "cpu")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// A tree for each controller.
    V1,
    /// All controllers in one tree.
    V2,
}

/// The tree that holds a controller, and this process's group in it. A controller that has a tree of
/// version 1 is not in the tree of version 2 of the same host.
fn hierarchy<'a>(groups: &'a ProcessCGroups, controller: &str) -> Option<(Version, &'a str)> {
    let own_tree = groups.into_iter().find(|group| group.controllers.iter().any(|name| name == controller));
    let shared_tree =
        || groups.into_iter().find(|group| group.hierarchy == 0 && group.controllers.is_empty());
    own_tree
        .map(|group| (Version::V1, group.pathname.as_str()))
        .or_else(|| shared_tree().map(|group| (Version::V2, group.pathname.as_str())))
}

/// The directories of this process's group and of all above it, the root's last.
fn levels(root: &Path, groups: &ProcessCGroups, controller: &str) -> Vec<(Version, PathBuf)> {
    let Some((version, path)) = hierarchy(groups, controller) else { return Vec::new() };
    let root = match version {
        Version::V1 => root.join(controller),
        Version::V2 => root.to_owned(),
    };
    // In a container the path is often the host's, and only the root of it can be seen.
    let group = root.join(path.trim_start_matches('/'));
    let group = if group.is_dir() { group } else { root.clone() };
    group
        .ancestors()
        .take_while(|directory| directory.starts_with(&root))
        .map(|directory| (version, directory.to_owned()))
        .collect()
}

/// `v2` and `v1` name the files of the limit and of what is used.
fn limits(levels: &[(Version, PathBuf)], v2: (&str, &str), v1: (&str, &str)) -> Vec<CgroupLimit> {
    levels
        .iter()
        .filter_map(|(version, directory)| {
            let (limit, used) = if *version == Version::V2 { v2 } else { v1 };
            let file = directory.join(limit);
            let limit = limit_of(&text(&file))?;
            Some(CgroupLimit { limit, used: text(&directory.join(used)).trim().parse().unwrap_or(0), file })
        })
        .collect()
}

fn cpus(levels: &[(Version, PathBuf)]) -> Option<f64> {
    levels
        .iter()
        .filter_map(|(version, directory)| match version {
            Version::V2 => cpu_max(&text(&directory.join("cpu.max"))),
            Version::V1 => cpu_quota(
                &text(&directory.join("cpu.cfs_quota_us")),
                &text(&directory.join("cpu.cfs_period_us")),
            ),
        })
        .min_by(f64::total_cmp)
}

/// `max` is no limit, and neither is version 1's memory limit of almost 2^63.
fn limit_of(text: &str) -> Option<u64> {
    const NO_LIMIT: u64 = 1 << 60;
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

/// Version 2: `QUOTA PERIOD` in microseconds, where `max` is no quota.
fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    cpu_quota(quota, period)
}

/// Version 1 has a file for each; a quota of -1 is no quota.
fn cpu_quota(quota_us: &str, period_us: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota_us.trim().parse().ok()?, period_us.trim().parse().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

/// What cannot be read is no limit.
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromBufRead as _;

    fn groups(proc_self_cgroup: &str) -> ProcessCGroups {
        ProcessCGroups::from_buf_read(proc_self_cgroup.as_bytes()).unwrap()
    }

    /// A directory as the kernel would show it.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_controller_is_found_in_both_versions() {
        let v2 = groups("0::/user.slice/session-3.scope\n");
        assert_eq!(hierarchy(&v2, "pids"), Some((Version::V2, "/user.slice/session-3.scope")));
        let v1 = groups("12:pids:/docker/ab\n4:cpu,cpuacct:/x\n1:name=systemd:/\n0::/system.slice\n");
        assert_eq!(hierarchy(&v1, "pids"), Some((Version::V1, "/docker/ab")));
        assert_eq!(hierarchy(&v1, "cpuacct"), Some((Version::V1, "/x")));
        assert_eq!(hierarchy(&v1, "memory"), Some((Version::V2, "/system.slice")));
        assert_eq!(hierarchy(&groups(""), "pids"), None);
    }

    #[test]
    fn every_level_of_version_2_is_read_up_to_the_root() {
        let root = tree(&[
            ("a/b/memory.max", "max\n"),
            ("a/b/pids.max", "500\n"),
            ("a/b/pids.current", "7\n"),
            ("a/b/cpu.max", "150000 100000\n"),
            ("a/memory.max", "1073741824\n"),
            ("a/memory.current", "4096\n"),
            ("a/pids.max", "100\n"),
            ("a/pids.current", "99\n"),
            ("a/cpu.max", "max 100000\n"),
            ("outside/pids.max", "1\n"),
        ]);
        let read = read(root.path(), &groups("0::/a/b\n"));
        let memory = CgroupLimit { limit: 1 << 30, used: 4096, file: root.path().join("a/memory.max") };
        assert_eq!(read.memory, [memory]);
        assert_eq!((least(&read.pids), tightest(&read.pids).map(CgroupLimit::left)), (Some(100), Some(1)));
        assert_eq!(read.cpus, Some(1.5));
    }

    #[test]
    fn version_1_has_a_tree_and_names_of_its_own_for_each_controller() {
        let root = tree(&[
            ("memory/box/memory.limit_in_bytes", "536870912\n"),
            ("memory/box/memory.usage_in_bytes", "1024\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("pids/pids.max", "max\n"),
            ("cpu/box/cpu.cfs_quota_us", "50000\n"),
            ("cpu/box/cpu.cfs_period_us", "100000\n"),
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        let read = read(root.path(), &groups("8:pids:/box\n4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n"));
        assert_eq!((least(&read.memory), read.memory[0].used), (Some(512 << 20), 1024));
        assert_eq!((read.pids, read.cpus), (Vec::new(), Some(0.5)));
    }

    #[test]
    fn a_group_that_cannot_be_seen_has_the_limits_of_the_root() {
        let root = tree(&[("pids.max", "64\n"), ("pids.current", "1\n")]);
        assert_eq!(least(&read(root.path(), &groups("0::/docker/0123\n")).pids), Some(64));
    }

    #[test]
    fn no_limit_is_spelled_in_more_than_one_way() {
        assert_eq!(limit_of("max\n"), None);
        assert_eq!(limit_of("9223372036854771712\n"), None);
        assert_eq!(limit_of("4096\n"), Some(4096));
        assert_eq!([cpu_max("max 100000\n"), cpu_max(""), cpu_max("5 0\n")], [None; 3]);
        assert_eq!(cpu_quota("-1\n", "100000\n"), None);
    }
}
