//! The directory beneath a mount: every call on it, by the numbers that the kernel knows its files by.
//!
//! Deliberately absent: what befalls a call ([`super::harm`]), and the protocol of the kernel ([`super::through`]).

use super::names::{Key, Names};
use rustix::fs::{
    AtFlags, Dir, FallocateFlags, FileType, Gid, Mode, OFlags, RenameFlags, StatVfs, Statx, StatxFlags,
    Timespec, Timestamps, Uid,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) type Result<T> = std::result::Result<T, Errno>;

/// Who made a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// An entry of a listing.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) inode: u64,
    pub(super) kind: FileType,
    pub(super) name: OsString,
}

/// What is changed of a file; times that stay are `UTIME_OMIT`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) times: Option<(Timespec, Timespec)>,
}

/// A file that was opened through the mount.
#[derive(Debug)]
struct Opened {
    node: u64,
    file: Arc<OwnedFd>,
}

#[derive(Debug, Default)]
struct Handles {
    files: HashMap<u64, Opened>,
    listings: HashMap<u64, Arc<Vec<Entry>>>,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Beneath {
    root: OwnedFd,
    names: Mutex<Names>,
    handles: Mutex<Handles>,
    /// New files get the user and group of who made them: only root can give them away.
    gives: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an attribute is asked of: a file by its name, or one that has none any more, open.
enum At {
    Path(PathBuf),
    File(Arc<OwnedFd>),
}

impl Beneath {
    pub(super) fn new(root: OwnedFd) -> Result<Self> {
        let key = key(&stat(root.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)?);
        let gives = rustix::process::geteuid().is_root();
        Ok(Self { root, names: Mutex::new(Names::new(key)), handles: Mutex::default(), gives })
    }

    fn path_in(&self, parent: u64, name: &OsStr) -> Result<PathBuf> {
        lock(&self.names).path_in(parent, name).ok_or(Errno::NOENT)
    }

    fn path(&self, node: u64) -> Result<PathBuf> {
        lock(&self.names).path(node).ok_or(Errno::STALE)
    }

    fn at(&self, node: u64) -> Result<At> {
        if let Ok(path) = self.path(node) {
            return Ok(At::Path(path));
        }
        let handles = lock(&self.handles);
        let open = handles.files.values().find(|open| open.node == node);
        open.map(|open| At::File(Arc::clone(&open.file))).ok_or(Errno::STALE)
    }

    pub(super) fn file(&self, handle: u64) -> Result<Arc<OwnedFd>> {
        lock(&self.handles).files.get(&handle).map(|open| Arc::clone(&open.file)).ok_or(Errno::BADF)
    }

    /// What is there, which the kernel knows from now on.
    pub(super) fn look_up(&self, parent: u64, name: &OsStr) -> Result<(u64, Statx)> {
        let path = self.path_in(parent, name)?;
        let found = stat(self.root.as_fd(), &path, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((lock(&self.names).found(parent, name, key(&found)), found))
    }

    pub(super) fn forget(&self, node: u64, times: u64) {
        lock(&self.names).forget(node, times);
    }

    pub(super) fn attributes(&self, node: u64) -> Result<Statx> {
        match self.at(node)? {
            At::Path(path) => stat(self.root.as_fd(), &path, AtFlags::SYMLINK_NOFOLLOW),
            At::File(file) => stat(file.as_fd(), Path::new(""), AtFlags::EMPTY_PATH),
        }
    }

    pub(super) fn change(&self, node: u64, handle: Option<u64>, change: Change) -> Result<Statx> {
        let open = handle.and_then(|handle| self.file(handle).ok());
        let at = match open {
            // Another name may lead there meanwhile, and a mode may forbid what the descriptor may do.
            Some(file) => At::File(file),
            None => self.at(node)?,
        };
        match &at {
            At::Path(path) => self.change_path(path, change)?,
            At::File(file) => change_file(file, change)?,
        }
        self.attributes(node)
    }

    fn change_path(&self, path: &Path, Change { mode, uid, gid, size, times }: Change) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if uid.is_some() || gid.is_some() {
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            rustix::fs::chownat(&self.root, path, uid, gid, flags)?;
        }
        if let Some(mode) = mode {
            // The kernel changes no mode of a link.
            rustix::fs::chmodat(&self.root, path, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())?;
        }
        if let Some(size) = size {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let file = rustix::fs::openat(&self.root, path, flags, Mode::empty())?;
            rustix::fs::ftruncate(&file, size)?;
        }
        if let Some((last_access, last_modification)) = times {
            let times = Timestamps { last_access, last_modification };
            rustix::fs::utimensat(&self.root, path, &times, flags)?;
        }
        Ok(())
    }

    pub(super) fn read_link(&self, node: u64) -> Result<Vec<u8>> {
        let path = self.path(node)?;
        Ok(rustix::fs::readlinkat(&self.root, &path, Vec::new())?.into_bytes())
    }

    /// Gives what was just made to its caller, and looks it up.
    fn made(&self, parent: u64, name: &OsStr, caller: Caller) -> Result<(u64, Statx)> {
        if self.gives && caller.uid != 0 {
            let path = self.path_in(parent, name)?;
            let directory = self.attributes(parent)?;
            // A directory with that bit hands its group on.
            let inherits = u32::from(directory.stx_mode) & Mode::SGID.as_raw_mode() != 0;
            let gid = (!inherits).then(|| Gid::from_raw(caller.gid));
            let uid = Some(Uid::from_raw(caller.uid));
            rustix::fs::chownat(&self.root, &path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        self.look_up(parent, name)
    }

    pub(super) fn make_node(
        &self,
        (parent, name): (u64, &OsStr),
        (mode, device): (u32, u32),
        caller: Caller,
    ) -> Result<(u64, Statx)> {
        let (kind, bits) = (FileType::from_raw_mode(mode), Mode::from_raw_mode(mode & 0o7777));
        rustix::fs::mknodat(&self.root, self.path_in(parent, name)?, kind, bits, u64::from(device))?;
        self.made(parent, name, caller)
    }

    pub(super) fn make_directory(
        &self,
        (parent, name): (u64, &OsStr),
        mode: u32,
        caller: Caller,
    ) -> Result<(u64, Statx)> {
        rustix::fs::mkdirat(&self.root, self.path_in(parent, name)?, Mode::from_raw_mode(mode & 0o7777))?;
        self.made(parent, name, caller)
    }

    pub(super) fn make_link(
        &self,
        (parent, name): (u64, &OsStr),
        target: &Path,
        caller: Caller,
    ) -> Result<(u64, Statx)> {
        rustix::fs::symlinkat(target, &self.root, self.path_in(parent, name)?)?;
        self.made(parent, name, caller)
    }

    /// Another name for a file.
    pub(super) fn name_too(&self, node: u64, parent: u64, name: &OsStr) -> Result<(u64, Statx)> {
        let (from, to) = (self.path(node)?, self.path_in(parent, name)?);
        rustix::fs::linkat(&self.root, from, &self.root, to, AtFlags::empty())?;
        self.look_up(parent, name)
    }

    pub(super) fn remove(&self, parent: u64, name: &OsStr, flags: AtFlags) -> Result<()> {
        rustix::fs::unlinkat(&self.root, self.path_in(parent, name)?, flags)?;
        lock(&self.names).gone(parent, name);
        Ok(())
    }

    pub(super) fn rename(&self, from: (u64, &OsStr), to: (u64, &OsStr), flags: u32) -> Result<()> {
        let flags = RenameFlags::from_bits_retain(flags);
        let (before, after) = (self.path_in(from.0, from.1)?, self.path_in(to.0, to.1)?);
        rustix::fs::renameat_with(&self.root, before, &self.root, after, flags)?;
        let mut names = lock(&self.names);
        if flags.contains(RenameFlags::EXCHANGE) {
            names.exchanged(from, to);
        } else {
            names.moved(from, to);
        }
        Ok(())
    }

    fn keep(&self, node: u64, file: OwnedFd) -> u64 {
        let mut handles = lock(&self.handles);
        handles.next += 1;
        let handle = handles.next;
        handles.files.insert(handle, Opened { node, file: Arc::new(file) });
        handle
    }

    /// A handle of the file. The kernel has looked at its permissions, and truncates by itself.
    pub(super) fn open(&self, node: u64, flags: OFlags) -> Result<u64> {
        let file = match self.at(node)? {
            At::Path(path) => {
                rustix::fs::openat(&self.root, path, kept(flags) | OFlags::NOFOLLOW, Mode::empty())?
            }
            At::File(file) => {
                let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
                rustix::fs::open(path, kept(flags), Mode::empty())?
            }
        };
        Ok(self.keep(node, file))
    }

    /// A new file, open: what it is, and its handle. Without `O_EXCL`, it may be there by now.
    pub(super) fn create(
        &self,
        (parent, name): (u64, &OsStr),
        (flags, mode): (OFlags, u32),
        caller: Caller,
    ) -> Result<((u64, Statx), u64)> {
        let path = self.path_in(parent, name)?;
        let flags = kept(flags) | (flags & OFlags::EXCL) | OFlags::CREATE | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.root, path, flags, Mode::from_raw_mode(mode & 0o7777))?;
        let made = self.made(parent, name, caller)?;
        let handle = self.keep(made.0, file);
        Ok((made, handle))
    }

    pub(super) fn close(&self, handle: u64) {
        let open = lock(&self.handles).files.remove(&handle);
        // Closed without the lock: a disk may take its time.
        drop(open);
    }

    /// The listing of a directory, as it is now.
    pub(super) fn list(&self, node: u64) -> Result<u64> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&self.root, self.path(node)?, flags, Mode::empty())?;
        let mut entries = Vec::new();
        for entry in Dir::new(directory)? {
            let entry = entry?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            entries.push(Entry { inode: entry.ino(), kind: entry.file_type(), name });
        }
        let mut handles = lock(&self.handles);
        handles.next += 1;
        let handle = handles.next;
        handles.listings.insert(handle, Arc::new(entries));
        Ok(handle)
    }

    pub(super) fn listing(&self, handle: u64) -> Result<Arc<Vec<Entry>>> {
        lock(&self.handles).listings.get(&handle).map(Arc::clone).ok_or(Errno::BADF)
    }

    pub(super) fn close_listing(&self, handle: u64) {
        lock(&self.handles).listings.remove(&handle);
    }

    pub(super) fn sync_directory(&self, node: u64) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::fsync(rustix::fs::openat(&self.root, self.path(node)?, flags, Mode::empty())?)
    }

    pub(super) fn space(&self) -> Result<StatVfs> {
        rustix::fs::fstatvfs(&self.root)
    }

    /// Whether a change makes the file longer than it is.
    pub(super) fn grows(&self, node: u64, size: u64) -> bool {
        self.attributes(node).is_ok_and(|found| size > found.stx_size)
    }
}

fn change_file(file: &OwnedFd, Change { mode, uid, gid, size, times }: Change) -> Result<()> {
    if uid.is_some() || gid.is_some() {
        rustix::fs::fchown(file, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
    }
    if let Some(mode) = mode {
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode & 0o7777))?;
    }
    if let Some(size) = size {
        rustix::fs::ftruncate(file, size)?;
    }
    if let Some((last_access, last_modification)) = times {
        rustix::fs::futimens(file, &Timestamps { last_access, last_modification })?;
    }
    Ok(())
}

/// Of the flags of a call, those that the file beneath is opened with. One for writing is readable beneath as it is above.
fn kept(flags: OFlags) -> OFlags {
    let passed =
        OFlags::RWMODE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOATIME | OFlags::DSYNC | OFlags::SYNC;
    (flags & passed) | OFlags::CLOEXEC
}

fn stat(directory: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> Result<Statx> {
    rustix::fs::statx(directory, path, flags, StatxFlags::BASIC_STATS)
}

fn key(found: &Statx) -> Key {
    (rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino)
}

/// All of `data`, or as much as the disk takes.
pub(super) fn write_at(file: &OwnedFd, mut data: &[u8], mut offset: u64) -> Result<u32> {
    let mut written = 0;
    while !data.is_empty() {
        match rustix::io::pwrite(file, data, offset) {
            Ok(0) => break,
            Ok(more) => {
                written += more;
                offset += more as u64;
                data = &data[more..];
            }
            Err(Errno::INTR) => {}
            Err(_) if written > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(u32::try_from(written).unwrap_or(u32::MAX))
}

/// Up to `size` bytes: fewer at the end of the file alone.
pub(super) fn read_at(file: &OwnedFd, offset: u64, size: u32) -> Result<Vec<u8>> {
    let mut data = vec![0; size as usize];
    let mut filled = 0;
    while filled < data.len() {
        match rustix::io::pread(file, &mut data[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(Errno::INTR) => {}
            Err(_) if filled > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    data.truncate(filled);
    Ok(data)
}

pub(super) fn reserve(file: &OwnedFd, mode: i32, offset: u64, length: u64) -> Result<()> {
    let mode = FallocateFlags::from_bits_retain(mode.unsigned_abs());
    rustix::fs::fallocate(file, mode, offset, length)
}
