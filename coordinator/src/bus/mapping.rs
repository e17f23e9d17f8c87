//! A file of shared memory in this process's address space.
//!
//! Pages are reserved and populated when the file is made, so a full tmpfs is an error here and
//! never a SIGBUS later. What comes out is references to atomics only: peers write these bytes at
//! any time, so no plain reference into them may exist.

use super::error::{BusError, Cause, MAP};
use super::fault::{self, Watch};
use super::leak::leak;
use super::shared::Shared;
use rustix::fs::{AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::process::{Resource, getrlimit};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// `f_type` of a tmpfs.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// A directory that only this user may access, held open: files are made in it and removed from it even if
/// its name changes, and without another descriptor.
#[derive(Debug)]
pub struct PrivateDir {
    fd: OwnedFd,
    /// Its path in errors.
    path: PathBuf,
}

impl PrivateDir {
    /// Makes the directory `at`, which errors name `path`.
    pub fn make(at: &Path, path: &Path) -> Result<Self, BusError> {
        rustix::fs::mkdir(at, Mode::RWXU).map_err(|e| BusError::io(at, "make the directory", e))?;
        let opened = Self::open(at);
        if opened.is_err() {
            let _ = rustix::fs::rmdir(at);
        }
        Ok(Self { path: path.to_owned(), ..opened? })
    }

    /// Opens an existing one, after a check of its owner and mode.
    pub fn open(path: &Path) -> Result<Self, BusError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            // With O_DIRECTORY the kernel gives the same error for a link and for a file.
            Errno::NOTDIR if is_link(path) => BusError::io(path, OPEN, Errno::LOOP),
            _ => BusError::io(path, OPEN, errno),
        })?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| BusError::io(path, LOOK, e))?;
        is_private(&stat, path)?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// The one that is open as `dir`, which errors name `path`, after the same check.
    pub fn within(dir: BorrowedFd<'_>, path: &Path) -> Result<Self, BusError> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::openat(dir, c".", flags, Mode::empty());
        let fd = fd.map_err(|errno| BusError::io(path, OPEN, errno))?;
        is_private(&rustix::fs::fstat(&fd).map_err(|e| BusError::io(path, LOOK, e))?, path)?;
        Ok(Self { fd, path: path.to_owned() })
    }

    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// The directory that `path` lies in, and its name there.
    pub fn around(path: &Path) -> Result<(Self, &OsStr), BusError> {
        let name = path.file_name().ok_or_else(|| BusError::refused(path, "it does not name a file"))?;
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(BusError::refused(path, "it does not name a file")),
        };
        Ok((Self::open(parent)?, name))
    }

    /// Opens a file in it that only this user may access, and maps nothing.
    pub fn open_file(&self, name: &OsStr) -> Result<OwnedFd, BusError> {
        open(self.fd.as_fd(), name.as_ref(), &self.path.join(name)).map(|(fd, _)| fd)
    }

    /// Locks the directory against all others until this is closed.
    pub fn lock(&self, wait: bool) -> Result<(), Errno> {
        use rustix::fs::{FlockOperation, flock};
        let how = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
        loop {
            match flock(&self.fd, how) {
                Err(Errno::INTR) => {}
                done => return done,
            }
        }
    }

    /// Removes a file. A missing one is not an error.
    pub fn unlink(&self, name: &OsStr) {
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
    }
}

const OPEN: &str = "open it";
const LOOK: &str = "look at it";

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Checks that it belongs to this user, and that no other may access it.
fn is_private(stat: &Stat, path: &Path) -> Result<(), BusError> {
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me {
        return Err(BusError::refused(
            path,
            format!("it belongs to user {}, but this process runs as user {me}", stat.st_uid),
        ));
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(BusError::refused(
            path,
            format!("other users may access it (mode {:03o})", stat.st_mode & 0o777),
        ));
    }
    Ok(())
}

/// Opens a file that another process made, after a check of its owner; returns its size in bytes too.
fn open(dir: BorrowedFd<'_>, name: &Path, path: &Path) -> Result<(OwnedFd, u64), BusError> {
    // Not blocking: a lease on it would keep this process waiting until its holder gives it up.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|e| BusError::io(path, OPEN, e))?;
    let stat = rustix::fs::fstat(&fd).map_err(|e| BusError::io(path, LOOK, e))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(BusError::refused(path, "it is not a regular file"));
    }
    is_private(&stat, path)?;
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    if bytes == 0 {
        return Err(BusError::refused(path, "it is empty"));
    }
    // A missing page would be requested at the first touch, and could be refused.
    let reserved = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    if reserved < bytes && rustix::fs::fstatfs(&fd).is_ok_and(|fs| fs.f_type == TMPFS_MAGIC) {
        return Err(BusError::refused(
            path,
            format!("it has holes: only {reserved} of its {bytes} bytes are reserved"),
        ));
    }
    Ok((fd, bytes))
}

/// The first bytes of a fleet's file, without mapping it: even if the file changes meanwhile, they are read or
/// refused.
pub fn read_head<const N: usize>(path: &Path) -> Result<[u8; N], BusError> {
    let (dir, name) = PrivateDir::around(path)?;
    read_head_in(dir.fd.as_fd(), name, path)
}

/// As [`read_head`], of a file in a directory that is open.
pub fn read_head_in<const N: usize>(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
) -> Result<[u8; N], BusError> {
    let (fd, _) = open(dir, name.as_ref(), path)?;
    let mut bytes = [0; N];
    let mut read = 0;
    while read < N {
        match rustix::io::pread(&fd, &mut bytes[read..], read as u64) {
            Ok(0) => return Err(BusError::refused(path, "it is too short for a file of a fleet")),
            Ok(more) => read += more,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(BusError::io(path, "read it", errno)),
        }
    }
    Ok(bytes)
}

/// Unmapped when dropped; [`Mapping::leak`] keeps it for the life of the process.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    path: PathBuf,
    /// Dropped before the memory is unmapped.
    watch: Option<Watch>,
}

// SAFETY: the memory is reached through atomics only, and belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes the file, reserves all its pages and maps them. The file is removed again on failure.
    pub fn create(path: &Path, bytes: u64) -> Result<Self, BusError> {
        Self::create_at(CWD, path, path, bytes)
    }

    /// As [`Mapping::create`], in a directory that is held open.
    pub fn create_in(dir: &PrivateDir, name: &OsStr, bytes: u64) -> Result<Self, BusError> {
        Self::create_at(dir.fd.as_fd(), name.as_ref(), &dir.path.join(name), bytes)
    }

    fn create_at(dir: BorrowedFd<'_>, name: &Path, path: &Path, bytes: u64) -> Result<Self, BusError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| BusError::kernel(path, "make the file", bytes, errno))?;
        let made = reserve(&fd, path, bytes)
            .and_then(|()| Self::map(&fd, path, bytes))
            .and_then(|mapping| mapping.populate().map(|()| mapping));
        if made.is_err() {
            // Nothing else can be done if even this fails: the directory's owner removes it as a whole.
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
        }
        made
    }

    /// Maps a file that another process made, after a check of its owner.
    pub fn attach(path: &Path) -> Result<Self, BusError> {
        let (fd, bytes) = open(CWD, path, path)?;
        Self::map(&fd, path, bytes)
    }

    /// As [`Mapping::attach`], of a file in a directory that only this user may access.
    pub fn attach_private(path: &Path) -> Result<Self, BusError> {
        let (dir, name) = PrivateDir::around(path)?;
        let (fd, bytes) = open(dir.fd.as_fd(), name.as_ref(), path)?;
        Self::map(&fd, path, bytes)
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
        .map_err(|e| BusError::kernel(path, MAP, bytes, e))?;
        let start = NonNull::new(start.cast()).expect("the kernel never maps at address 0");
        let watch = Some(fault::watch(start.as_ptr(), len, path));
        Ok(Self { start, bytes: len, path: path.to_owned(), watch })
    }

    fn populate(&self) -> Result<(), BusError> {
        // SAFETY: the range is exactly this mapping; populating changes no byte.
        let done = unsafe {
            rustix::mm::madvise(self.start.as_ptr().cast(), self.bytes, Advice::LinuxPopulateWrite)
        };
        match done {
            // Kernels before 5.14 do not know the advice; the pages are reserved all the same.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            // What would have been a SIGBUS: the space was taken in between.
            Err(Errno::FAULT) => Err(self.refused(Errno::NOSPC)),
            Err(errno) => Err(self.refused(errno)),
        }
    }

    fn refused(&self, errno: Errno) -> BusError {
        BusError::kernel(&self.path, "fill it with pages", self.bytes as u64, errno)
    }

    /// Keeps the mapping for the life of the process.
    pub fn leak(self) -> &'static Self {
        leak(self)
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
        self.watch = None;
        // SAFETY: the range is this mapping's own, and borrows of it end before it does.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

fn reserve(fd: impl AsFd, path: &Path, bytes: u64) -> Result<(), BusError> {
    const RESERVE: &str = "reserve its pages";
    // The kernel would not only refuse: it would send SIGXFSZ, which ends the process.
    if let Some(limit) = getrlimit(Resource::Fsize).current.filter(|limit| *limit < bytes) {
        let cause = Cause::FileSize { wanted: bytes, limit: Some(limit) };
        return Err(BusError::Kernel { path: path.to_owned(), what: RESERVE, cause });
    }
    loop {
        match rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            done => return done.map_err(|errno| BusError::kernel(path, RESERVE, bytes, errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_access_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("region");
        drop(Mapping::create(&path, 4096).unwrap());
        assert!(Mapping::attach(&path).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Mapping::attach(&path).unwrap_err().to_string();
        assert!(refused.contains("other users may access it (mode 644)"), "{refused}");
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
