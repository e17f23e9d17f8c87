//! What this host has left for a fleet, read from the kernel. A limit that cannot be read counts as none.

use crate::bus::memory;
use crate::plan::capacity::Host;
use procfs::process::Process;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::{Path, PathBuf};

/// Reads it now; `shm` is the directory in which fleets keep their shared memory.
pub fn read(shm: &Path) -> Host {
    let available = meminfo("MemAvailable:").map_or(u64::MAX, |kib| kib.saturating_mul(1024));
    let group = memory::available().map_or(u64::MAX, |left| left.bytes);
    let room = rustix::fs::statvfs(shm).ok();
    Host {
        fds_soft: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        pids_free: [group_pids_free(), threads_free()].into_iter().flatten().min(),
        processes_free: user_processes_free(),
        memory_available: available.min(group),
        shm_free: room.as_ref().map_or(u64::MAX, |room| room.f_bavail.saturating_mul(room.f_frsize)),
        // Some file systems do not count them.
        shm_inodes_free: room.filter(|room| room.f_files > 0).map(|room| room.f_favail),
    }
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// The tightest limit among this process's control group and its ancestors.
fn group_pids_free() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let (mount, group) = pids_hierarchy(&groups)?;
    let group = Path::new(mount).join(group.trim_start_matches('/'));
    let of = |dir: &Path| {
        let max: u64 = number(dir.join("pids.max"))?;
        Some(max.saturating_sub(number(dir.join("pids.current"))?))
    };
    group.ancestors().take_while(|dir| dir.starts_with(mount)).filter_map(of).min()
}

/// Where the pids controller of `/proc/self/cgroup` is: mount and group.
fn pids_hierarchy(groups: &str) -> Option<(&'static str, &str)> {
    let mut unified = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.split(',').any(|controller| controller == "pids") {
            return Some(("/sys/fs/cgroup/pids", group));
        }
        if controllers.is_empty() {
            unified = Some(("/sys/fs/cgroup", group));
        }
    }
    unified
}

/// For the whole host: each process needs a pid, and each thread a slot.
fn threads_free() -> Option<u64> {
    let max = [number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max")];
    // The fourth field of loadavg is runnable/all.
    let averages = fs::read_to_string("/proc/loadavg").ok()?;
    let there: u64 = averages.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    Some(max.into_iter().flatten().min()?.saturating_sub(there))
}

/// The limit on the processes of a user, and what counts towards it: threads, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserProcesses {
    pub max: u64,
    pub used: u64,
}

/// `RLIMIT_NPROC`; `None` if it does not bind this process, or cannot be known.
pub fn user_processes() -> Option<UserProcesses> {
    let max = getrlimit(Resource::Nproc).current?;
    if is_exempt() {
        return None;
    }
    let me = rustix::process::getuid().as_raw();
    let namespace = fs::read_link("/proc/self/ns/user").ok();
    let counts = |process: &Process| {
        // One that cannot be looked at is in this namespace, on the careful side.
        let its = namespace.as_ref().and_then(|_| process_namespace(process));
        its.is_none() || its == namespace
    };
    let used = procfs::process::all_processes()
        .ok()?
        .flatten()
        .filter_map(|process| Some((process.status().ok()?, process)))
        .filter(|(status, process)| status.ruid == me && counts(process))
        .map(|(status, _)| status.threads)
        .sum();
    Some(UserProcesses { max, used })
}

fn process_namespace(process: &Process) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/ns/user", process.pid())).ok()
}

fn user_processes_free() -> Option<u64> {
    user_processes().map(|processes| processes.max.saturating_sub(processes.used))
}

/// The host's root, and who may raise limits there, are not bound: root of another user namespace is.
fn is_exempt() -> bool {
    /// `CAP_SYS_RESOURCE` or `CAP_SYS_ADMIN`.
    const EITHER: u64 = 1 << 24 | 1 << 21;
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !map.split_whitespace().eq(["0", "0", "4294967295"]) {
        return false;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let may = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    rustix::process::getuid().is_root() || may.is_some_and(|caps| caps & EITHER != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pids_controller_is_found_in_both_kinds_of_hierarchy() {
        let old = "9:name=systemd:/\n8:pids:/box/7\n0::/elsewhere\n";
        assert_eq!(pids_hierarchy(old), Some(("/sys/fs/cgroup/pids", "/box/7")));
        assert_eq!(pids_hierarchy("0::/box\n"), Some(("/sys/fs/cgroup", "/box")));
        assert_eq!(pids_hierarchy(""), None);
    }

    #[test]
    fn a_running_host_has_something_left() {
        let host = read(Path::new("/dev/shm"));
        assert!(host.fds_soft > 0 && host.memory_available > 0 && host.shm_free > 0, "{host:?}");
        assert!(host.pids_free.is_none_or(|free| free > 0), "{host:?}");
    }
}
