//! What befalls the fleet's file system in shared memory: too small, full, out of inodes, read-only.
//!
//! It is the run's own ([`crate::private_shm`]), so that no other program of the host suffers. Proven by what the kernel
//! shows of it, and by what becomes of a file that a probe creates in it.

use super::{Fault, Look};
use crate::private_shm::{cover_read_only, resize, shown, uncover};
use crate::scenario::fault::ShmFault;
use crate::scenario::unit::bytes_text;
use crate::system::{Process, System};
use rustix::fs::{FallocateFlags, Mode, OFlags, StatVfs, fallocate, statvfs};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// In the file system's directory; no fleet has such names.
const FILLER: &str = ".harness-filler";
const PROBE: &str = ".harness-probe";
/// As many pieces as a filler is asked for at most: each is half of what is left, or a page.
const PIECES_MAX: u32 = 256;

#[derive(Debug)]
pub(super) struct Shm {
    what: ShmFault,
    dir: PathBuf,
    /// The size before, of a limit.
    before: Option<u64>,
}

impl Shm {
    pub(super) fn new(what: ShmFault, dir: &Path) -> Self {
        Self { what, dir: dir.to_owned(), before: None }
    }

    fn filler(&self) -> PathBuf {
        self.dir.join(FILLER)
    }

    /// A file that takes what is missing; how many bytes are used then.
    fn fill(&self, share: f64) -> Result<String, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(self.filler(), flags, Mode::RUSR | Mode::WUSR)?;
        let mut length = 0;
        for _ in 0..PIECES_MAX {
            let now = statvfs(&self.dir)?;
            let missing = wanted(&now, share).saturating_sub(used(&now));
            if missing == 0 {
                break;
            }
            match fallocate(&file, FallocateFlags::empty(), length, missing) {
                Ok(()) => length += missing,
                // The fleet took some of it meanwhile.
                Err(Errno::NOSPC | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(format!("a file of {} in {}", bytes_text(length), self.dir.display()))
    }

    /// Empty files until there is no inode for another one.
    fn use_inodes(&self) -> Result<String, Errno> {
        rustix::fs::mkdir(self.filler(), Mode::RWXU)?;
        let most = statvfs(&self.dir)?.f_files;
        let mut made = 0;
        while made <= most {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            match rustix::fs::open(self.filler().join(made.to_string()), flags, Mode::RUSR) {
                Ok(_) => made += 1,
                Err(Errno::NOSPC) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(format!("{made} empty files in {}", self.dir.display()))
    }

    /// Creates a file with a page in it, and removes it.
    fn probe(&self) -> Result<(), Errno> {
        let path = self.dir.join(PROBE);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        let filled = fallocate(&file, FallocateFlags::empty(), 0, rustix::param::page_size() as u64);
        rustix::fs::unlink(&path)?;
        filled
    }

    /// Whether the probe fails like that.
    fn refuses(&self, wanted: Errno, words: &str) -> Look {
        match self.probe() {
            Err(errno) if errno == wanted => Look::Shown(format!("{words}; a probe of {PROBE} gets {errno}")),
            Err(errno) => Look::NotYet(format!("a probe of {PROBE} gets {errno}")),
            Ok(()) => Look::NotYet(format!("{PROBE} can be created")),
        }
    }

    fn has_size(&self, wanted: u64) -> Look {
        match shown(&self.dir) {
            Ok(room) if room.bytes == wanted.next_multiple_of(rustix::param::page_size() as u64) => {
                Look::Shown(format!("statvfs of {}: {}", self.dir.display(), bytes_text(room.bytes)))
            }
            Ok(room) => Look::NotYet(format!("its size is {}", bytes_text(room.bytes))),
            Err(error) => Look::NotYet(error.to_string()),
        }
    }

    fn remove_fillers(&self) -> std::io::Result<()> {
        let filler = self.filler();
        match self.what {
            ShmFault::Fill(_) => fs::remove_file(filler),
            ShmFault::Inodes => fs::remove_dir_all(filler),
            ShmFault::Limit(_) | ShmFault::ReadOnly => Ok(()),
        }
    }
}

fn used(stat: &StatVfs) -> u64 {
    (stat.f_blocks - stat.f_bfree.min(stat.f_blocks)) * stat.f_frsize
}

/// Whole pages, as they are given out.
fn wanted(stat: &StatVfs, share: f64) -> u64 {
    ((stat.f_blocks as f64 * share).ceil() as u64).min(stat.f_blocks) * stat.f_frsize
}

impl Fault for Shm {
    fn inject(&mut self, _: &mut dyn System, _: &[Process]) -> Result<String, String> {
        let dir = self.dir.display().to_string();
        let done = match self.what {
            ShmFault::Limit(bytes) => shown(&self.dir).and_then(|room| {
                self.before = Some(room.bytes);
                resize(&self.dir, bytes)?;
                Ok(format!("{dir} limited to {}", bytes_text(bytes)))
            }),
            ShmFault::Fill(share) => self.fill(share).map_err(Into::into),
            ShmFault::Inodes => self.use_inodes().map_err(Into::into),
            ShmFault::ReadOnly => {
                cover_read_only(&self.dir).map(|()| format!("a read-only mount over {dir}"))
            }
        };
        done.map_err(|error| {
            // What was made of it is taken back; what was there already is another firing's.
            if error.kind() != std::io::ErrorKind::AlreadyExists {
                let _ = self.remove_fillers();
            }
            format!("{dir}: {error}")
        })
    }

    fn prove(&self, _: &dyn System) -> Look {
        match self.what {
            ShmFault::Limit(bytes) => self.has_size(bytes),
            ShmFault::Fill(share) => {
                let stat = match statvfs(&self.dir) {
                    Ok(stat) => stat,
                    Err(errno) => return Look::NotYet(errno.to_string()),
                };
                let (used, all) = (used(&stat), stat.f_blocks * stat.f_frsize);
                let words = format!("{} of {} used", bytes_text(used), bytes_text(all));
                match used < wanted(&stat, share) {
                    true => Look::NotYet(words),
                    false if used == all => self.refuses(Errno::NOSPC, &words),
                    false => Look::Shown(format!("statvfs of {}: {words}", self.dir.display())),
                }
            }
            ShmFault::Inodes => match statvfs(&self.dir) {
                Ok(stat) => self
                    .refuses(Errno::NOSPC, &format!("{} of {} inodes are free", stat.f_ffree, stat.f_files)),
                Err(errno) => Look::NotYet(errno.to_string()),
            },
            ShmFault::ReadOnly => self.refuses(Errno::ROFS, "mounted read-only"),
        }
    }

    fn heal(&mut self, _: &mut dyn System) -> Result<String, String> {
        let done = match (self.what, self.before) {
            (ShmFault::Limit(_), Some(before)) => resize(&self.dir, before),
            (ShmFault::Limit(_), None) => Ok(()),
            (ShmFault::ReadOnly, _) => uncover(&self.dir),
            (ShmFault::Fill(_) | ShmFault::Inodes, _) => self.remove_fillers(),
        };
        let words = match self.what {
            ShmFault::Limit(_) => "the size before",
            ShmFault::ReadOnly => "that mount taken away",
            ShmFault::Fill(_) | ShmFault::Inodes => "those files removed",
        };
        done.map(|()| words.to_owned()).map_err(|error| format!("{}: {error}", self.dir.display()))
    }

    fn prove_healed(&self, _: &dyn System) -> Look {
        if let (ShmFault::Limit(_), Some(before)) = (self.what, self.before) {
            return self.has_size(before);
        }
        // Of one that is not full, a probe shows nothing.
        let fills = matches!(self.what, ShmFault::Fill(_) | ShmFault::Inodes);
        if fills && self.filler().symlink_metadata().is_ok() {
            return Look::NotYet(format!("{FILLER} is still there"));
        }
        match self.probe() {
            Ok(()) => Look::Shown(format!("a probe of {PROBE} can be created and filled")),
            Err(errno) => Look::NotYet(format!("a probe of {PROBE} gets {errno}")),
        }
    }
}
