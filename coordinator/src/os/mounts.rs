//! What lies at a path for processes that have other mounts than this one.
//!
//! A run with a private `/dev/shm` has its fleet there, out of sight for everything else. The kernel leads to it through
//! any of its processes: `/proc/PID/root`.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The directory `dir` as processes of this pid namespace see it that have another file system mounted there, each such
/// file system once. A path holds as long as the process whose pid is in it.
///
/// Processes that this user may not look into are left out, and those in containers: their pids mean nothing here.
pub fn elsewhere(dir: &Path) -> Vec<PathBuf> {
    let Ok(below_root) = dir.strip_prefix("/") else { return Vec::new() };
    let namespace = |process: &Path, kind: &str| fs::read_link(process.join("ns").join(kind)).ok();
    let own = Path::new("/proc/self");
    let (own_pids, Some(own_mounts)) = (namespace(own, "pid"), namespace(own, "mnt")) else {
        return Vec::new();
    };
    let mut namespaces = HashSet::from([own_mounts]);
    let mut devices: HashSet<u64> = fs::metadata(dir).iter().map(std::fs::Metadata::dev).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = entry.path();
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if !is_process || namespace(&process, "pid") != own_pids {
            continue;
        }
        let Some(mounts) = namespace(&process, "mnt") else { continue };
        if !namespaces.insert(mounts) {
            continue;
        }
        let there = process.join("root").join(below_root);
        if fs::metadata(&there).is_ok_and(|there| there.is_dir() && devices.insert(there.dev())) {
            found.push(there);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_process_sees_is_nowhere_else() {
        assert_eq!(elsewhere(Path::new("/proc")), [] as [PathBuf; 0]);
        assert_eq!(elsewhere(Path::new("relative")), [] as [PathBuf; 0]);
    }
}
