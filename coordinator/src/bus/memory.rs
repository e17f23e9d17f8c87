//! How much memory the cgroup of this process still allows: where tmpfs pages do not fit, the kernel does
//! not refuse them but kills a process, without a message. So it is checked before.

use std::fs;
use std::path::{Path, PathBuf};

/// The tightest limit on the way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// Bytes. What could be written to a disk instead counts as free.
    pub bytes: u64,
    /// The file that holds the limit.
    pub limit: PathBuf,
}

/// `None` where there is no limit, or none that can be read.
pub fn available() -> Option<Available> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let (mount, group, limit) = hierarchy(&groups)?;
    let swap = fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "SwapFree:"));
    let swap = swap.unwrap_or(0).saturating_mul(1024);
    let group = Path::new(mount).join(group.trim_start_matches('/'));
    let of = |dir: &Path| {
        let file = dir.join(limit);
        let limit: u64 = fs::read_to_string(&file).ok()?.trim().parse().ok()?;
        let stat = fs::read_to_string(dir.join("memory.stat")).ok()?;
        Some(Available { bytes: limit.saturating_sub(kept(&stat)).saturating_add(swap), limit: file })
    };
    group.ancestors().take_while(|dir| dir.starts_with(mount)).filter_map(of).min_by_key(|left| left.bytes)
}

/// Where the memory controller of `/proc/self/cgroup` is: mount, group, and its file's name.
fn hierarchy(groups: &str) -> Option<(&'static str, &str, &'static str)> {
    let mut unified = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.split(',').any(|controller| controller == "memory") {
            return Some(("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
        }
        if controllers.is_empty() {
            unified = Some(("/sys/fs/cgroup", group, "memory.max"));
        }
    }
    unified
}

/// Bytes that stay: memory of processes and of tmpfs. The rest of what a group uses is cache.
fn kept(stat: &str) -> u64 {
    let sum =
        |names: [&str; 2]| Some(field(stat, names[0])?.saturating_add(field(stat, names[1]).unwrap_or(0)));
    // The first two with all groups below, version 1; then version 2.
    sum(["total_rss", "total_shmem"]).or_else(|| sum(["anon", "shmem"])).unwrap_or(0)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    };
    text.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_hierarchy_are_found() {
        let old = "9:name=systemd:/\n4:cpu,memory:/box/7\n0::/elsewhere\n";
        assert_eq!(hierarchy(old), Some(("/sys/fs/cgroup/memory", "/box/7", "memory.limit_in_bytes")));
        assert_eq!(hierarchy("0::/box\n"), Some(("/sys/fs/cgroup", "/box", "memory.max")));
        assert_eq!(hierarchy(""), None);
    }

    #[test]
    fn cache_is_not_kept() {
        assert_eq!(kept("anon 7\nfile 1000\nshmem 5\n"), 12);
        assert_eq!(kept("cache 9\nrss 1\ntotal_rss 3\ntotal_shmem 4\n"), 7);
        assert_eq!(kept(""), 0);
    }
}
