//! What a sweep asks about the host and about the fleet's files.

use crate::host::read;
use reports::runlog::event::HostSample;
use std::fmt::Display;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A figure that cannot be read is 0 and named in `unread`.
pub(super) fn sample(shm_dir: &Path, fleet_dir: &Path, unread: &mut Vec<String>) -> HostSample {
    let load = noted(read::load_average(), "load average", unread).unwrap_or_default();
    let memory = noted(read::memory(), "memory of the host", unread).unwrap_or_default();
    let shm = noted(read::space(shm_dir), shm_dir.display(), unread);
    let (fleet_shm_bytes, fleet_shm_files) =
        noted(directory_size(fleet_dir), fleet_dir.display(), unread).unwrap_or_default();
    let cpu = noted(read::cpu_time(), "CPU time of the host", unread);
    HostSample {
        load1: load.one,
        load5: load.five,
        load15: load.fifteen,
        mem_available_kib: memory.available / 1024,
        shm_used_bytes: shm.map_or(0, |shm| shm.used_bytes),
        shm_used_inodes: shm.map_or(0, |shm| shm.used_inodes),
        fleet_shm_bytes,
        fleet_shm_files,
        cpu_ticks: cpu.map(|cpu| cpu.all),
        steal_ticks: cpu.map(|cpu| cpu.stolen),
        idle_ticks: cpu.map(|cpu| cpu.idle),
    }
}

fn noted<T, E: Display>(read: Result<T, E>, what: impl Display, unread: &mut Vec<String>) -> Option<T> {
    read.map_err(|error| unread.push(format!("{what}: {error}"))).ok()
}

/// Allocated bytes, and files; one level, as a fleet's directory has. A directory that does not exist (any
/// more) holds nothing.
fn directory_size(directory: &Path) -> io::Result<(u64, u64)> {
    const BLOCK: u64 = 512;
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(error) => return Err(error),
    };
    let (mut bytes, mut files) = (0, 0);
    for entry in entries {
        match entry?.metadata() {
            Ok(metadata) => {
                bytes += metadata.blocks() * BLOCK;
                files += 1;
            }
            // Renamed or removed since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((bytes, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_counts_what_is_allocated_and_a_missing_one_nothing() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), vec![1_u8; 10_000]).unwrap();
        std::fs::write(directory.path().join("b"), []).unwrap();
        let (bytes, files) = directory_size(directory.path()).unwrap();
        let blocks = std::fs::metadata(directory.path().join("a")).unwrap().blocks();
        assert_eq!((bytes, files), (blocks * 512, 2));
        assert_eq!(directory_size(&directory.path().join("none")).unwrap(), (0, 0));
    }
}
