//! A file of shared memory in this process's address space.
//!
//! Pages are reserved and populated when the file is made, so a full tmpfs is an error here and
//! never a SIGBUS later. What comes out is references to atomics only: peers write these bytes at
//! any time, so no plain reference into them may exist.

use super::error::BusError;
use super::shared::Shared;
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// Unmapped when dropped; [`Mapping::leak`] keeps it for the life of the process.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    path: PathBuf,
}

// SAFETY: the memory is reached through atomics only, and belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes the file, reserves all its pages and maps them. The file is removed again on failure.
    pub fn create(path: &Path, bytes: u64) -> Result<Self, BusError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| match errno {
            rustix::io::Errno::NOSPC => BusError::NoSpace { path: path.to_owned(), bytes, errno },
            _ => BusError::io(path, "create", errno),
        })?;
        let made = reserve(&fd, bytes)
            .map_err(|errno| BusError::NoSpace { path: path.to_owned(), bytes, errno })
            .and_then(|()| Self::map(&fd, path, bytes))
            .and_then(|mapping| mapping.populate().map(|()| mapping));
        if made.is_err() {
            // Nothing else to do if even this fails: the directory's owner removes it as a whole.
            let _ = rustix::fs::unlink(path);
        }
        made
    }

    /// Maps a file that somebody else made, after a look at who.
    pub fn attach(path: &Path) -> Result<Self, BusError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| BusError::io(path, "open", e))?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| BusError::io(path, "look at", e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(BusError::refused(path, "it is not a regular file"));
        }
        let me = rustix::process::geteuid().as_raw();
        if stat.st_uid != me {
            return Err(BusError::refused(
                path,
                format!("it belongs to user {}, and this is user {me}", stat.st_uid),
            ));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(BusError::refused(
                path,
                format!("others may reach it (mode {:03o})", stat.st_mode & 0o777),
            ));
        }
        if stat.st_size <= 0 {
            return Err(BusError::refused(path, "it is empty"));
        }
        Self::map(&fd, path, stat.st_size as u64)
    }

    fn map(fd: impl AsFd, path: &Path, bytes: u64) -> Result<Self, BusError> {
        let len = usize::try_from(bytes).map_err(|_| BusError::refused(path, "it is too large"))?;
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing of ours.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )
        }
        .map_err(|e| BusError::io(path, "map", e))?;
        let start = NonNull::new(start.cast()).expect("the kernel never maps at address 0");
        Ok(Self { start, bytes: len, path: path.to_owned() })
    }

    fn populate(&self) -> Result<(), BusError> {
        // SAFETY: the range is exactly this mapping; populating changes no byte.
        let done = unsafe {
            rustix::mm::madvise(self.start.as_ptr().cast(), self.bytes, Advice::LinuxPopulateWrite)
        };
        match done {
            // Kernels before 5.14 do not know the advice; the pages are reserved all the same.
            Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
            Err(errno) => Err(BusError::NoSpace { path: self.path.clone(), bytes: self.bytes as u64, errno }),
        }
    }

    /// Keeps the mapping for the life of the process.
    pub fn leak(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// The `T` at `offset`. Panics if it does not lie within the mapping: offsets come from our
    /// own layout, which was checked against the file's size.
    pub fn at<T: Shared>(&self, offset: u64) -> &T {
        &self.slice::<T>(offset, 1)[0]
    }

    /// `count` of `T` from `offset`.
    pub fn slice<T: Shared>(&self, offset: u64, count: usize) -> &[T] {
        let offset = usize::try_from(offset).expect("offsets fit the address space");
        let bytes = count.checked_mul(size_of::<T>()).expect("sizes fit the address space");
        let end = offset.checked_add(bytes).expect("sizes fit the address space");
        assert!(end <= self.bytes, "layout reaches byte {end} of {}", self.bytes);
        assert!(offset.is_multiple_of(align_of::<T>()), "offset {offset} is not aligned");
        // SAFETY: in bounds and aligned (asserted; the mapping itself starts at a page); `Shared`
        // says that every bit pattern is a `T` and that all access is atomic.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast(), count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's own, and borrows of it end before it does.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

fn reserve(fd: impl AsFd, bytes: u64) -> rustix::io::Result<()> {
    loop {
        match rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::INTR) => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_reach_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("region");
        drop(Mapping::create(&path, 4096).unwrap());
        assert!(Mapping::attach(&path).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Mapping::attach(&path).unwrap_err().to_string();
        assert!(refused.contains("others may reach it (mode 644)"), "{refused}");
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("region");
        drop(Mapping::create(&path, 4096).unwrap());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Mapping::attach(&link).is_err());
    }
}
