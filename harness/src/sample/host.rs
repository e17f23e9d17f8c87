//! What a sweep asks about the host and about the fleet's files.

use procfs::{Current as _, LoadAverage, Meminfo};
use reports::runlog::event::HostSample;
use rustix::fs::StatVfs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A figure that cannot be read is 0 and named in `unread`.
pub(super) fn read(shm_dir: &Path, fleet_dir: &Path, unread: &mut Vec<String>) -> HostSample {
    let mut note = |what: &str, error: &dyn std::fmt::Display| unread.push(format!("{what}: {error}"));
    let (load1, load5, load15) = match LoadAverage::current() {
        Ok(load) => (average(load.one), average(load.five), average(load.fifteen)),
        Err(error) => {
            note("load average", &error);
            (0.0, 0.0, 0.0)
        }
    };
    let mem_available_kib = match Meminfo::current() {
        Ok(memory) => memory.mem_available.unwrap_or(memory.mem_free) / 1024,
        Err(error) => {
            note("memory of the host", &error);
            0
        }
    };
    let (shm_used_bytes, shm_used_inodes) = match rustix::fs::statvfs(shm_dir) {
        Ok(stat) => used(&stat),
        Err(error) => {
            note(&shm_dir.display().to_string(), &error);
            (0, 0)
        }
    };
    let (fleet_shm_bytes, fleet_shm_files) = match directory_size(fleet_dir) {
        Ok(size) => size,
        Err(error) => {
            note(&fleet_dir.display().to_string(), &error);
            (0, 0)
        }
    };
    HostSample {
        load1,
        load5,
        load15,
        mem_available_kib,
        shm_used_bytes,
        shm_used_inodes,
        fleet_shm_bytes,
        fleet_shm_files,
    }
}

/// The kernel writes two decimals; widened from 32 bits, 3.27 would be 3.2699999809265137.
fn average(load: f32) -> f64 {
    (f64::from(load) * 100.0).round() / 100.0
}

fn used(stat: &StatVfs) -> (u64, u64) {
    let blocks = stat.f_blocks.saturating_sub(stat.f_bfree);
    (blocks.saturating_mul(stat.f_frsize), stat.f_files.saturating_sub(stat.f_ffree))
}

/// Bytes that are really allocated, and files; one level, as a fleet's directory has. A directory that
/// is not there (any more) holds nothing.
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
    fn a_load_average_has_the_decimals_that_the_kernel_wrote() {
        for (read, wanted) in [(3.27_f32, "3.27"), (0.0, "0"), (0.1, "0.1"), (708.01, "708.01")] {
            assert_eq!(average(read).to_string(), wanted);
        }
    }

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
