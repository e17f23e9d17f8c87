//! What not every desk gives, and how it is found out.
use super::skips::has_or_skips;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command that goes before another: a user and a mount namespace of its own.
pub const NAMESPACE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];

pub fn may_become_another_user() -> bool {
    has_or_skips("root, to become another user", nix::unistd::geteuid().is_root())
}

pub fn has_namespaces() -> bool {
    let refused = match Command::new(NAMESPACE[0]).args(&NAMESPACE[1..]).arg("true").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let why = refused.as_deref().unwrap_or_default();
    has_or_skips(&format!("user namespaces, which this host refuses ({why})"), refused.is_none())
}

/// A command that goes before another: a time namespace of its own, in which the host was booted earlier.
pub const OTHER_TIME: [&str; 6] = ["unshare", "--user", "--map-root-user", "--time", "--boottime", "100000"];

pub fn has_time_namespaces() -> bool {
    let works = Command::new(OTHER_TIME[0]).args(&OTHER_TIME[1..]).arg("true").status();
    has_or_skips("user and time namespaces", works.is_ok_and(|status| status.success()))
}

/// A control group that is removed again however the test ends.
pub struct Group {
    pub path: PathBuf,
    limit: &'static str,
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.path);
    }
}

impl Group {
    /// With so many processes.
    pub fn of_processes(name: &str, max: u64) -> Option<Self> {
        Self::with(name, [("/sys/fs/cgroup/pids", "pids.max"), ("/sys/fs/cgroup", "pids.max")], max)
    }

    /// With so many bytes of memory.
    pub fn of_memory(name: &str, max: u64) -> Option<Self> {
        let places = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        Self::with(name, places, max)
    }

    fn with(name: &str, places: [(&str, &'static str); 2], max: u64) -> Option<Self> {
        let group = places.into_iter().find_map(|(mount, limit)| {
            let path = Path::new(mount).join(format!("coordinator-{name}-{}", std::process::id()));
            if !Path::new(mount).join("cgroup.procs").exists() || std::fs::create_dir(&path).is_err() {
                return None;
            }
            let group = Self { path, limit };
            group.set(max).then_some(group)
        });
        has_or_skips("a control group of its own", group.is_some());
        group
    }

    pub fn set(&self, max: u64) -> bool {
        std::fs::write(self.path.join(self.limit), max.to_string()).is_ok()
    }
}
