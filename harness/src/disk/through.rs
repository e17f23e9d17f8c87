//! A file system that passes every call through to the directory beneath, and lets befall it what is armed.
//!
//! It is transparent until then. The kernel is told to keep no name and no attribute, so that what others do in the directory
//! beneath shows at once. What is slow is answered later by other threads, and holds up no other call. Locks are the kernel's
//! own, among the processes that see the mount; extended attributes are refused, as a file system may.

use super::beneath::{self, Beneath, Caller, Change, Entry};
use super::harm::{Call, Harms};
use super::later::Later;
use crate::scenario::fault::CallError;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{AtFlags, OFlags, Statx, StatxTimestamp, Timespec, UTIME_NOW, UTIME_OMIT};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The kernel asks again each time.
const TTL: Duration = Duration::ZERO;
/// Reads ahead and the like that may wait at once: a slow disk is one that takes long, not one that takes few.
const BACKGROUND: u16 = 1024;

#[derive(Debug, Clone)]
pub(super) struct Through {
    beneath: Arc<Beneath>,
    harms: Arc<Mutex<Harms>>,
    later: Later,
}

impl Through {
    pub(super) fn new(beneath: Beneath, harms: Arc<Mutex<Harms>>, later: Later) -> Self {
        Self { beneath: Arc::new(beneath), harms, later }
    }

    /// Carries a call out, or lets it fail, as soon as it is to be; `answer` gets what has become of it.
    fn carry_out<T>(
        &self,
        call: Call,
        work: impl FnOnce(&Beneath) -> beneath::Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let next = self.harms.lock().unwrap_or_else(PoisonError::into_inner).next(call);
        let beneath = Arc::clone(&self.beneath);
        let piece = move || {
            answer(match next.error {
                Some(error) => Err(Errno::from_i32(error.number())),
                None => work(&beneath).map_err(errno),
            });
        };
        // What waits for the disk beneath must not hold up the rest.
        if next.delay.is_zero() && call != Call::Sync {
            piece();
        } else {
            self.later.after(next.delay, piece);
        }
    }

    fn entry(
        &self,
        reply: ReplyEntry,
        work: impl FnOnce(&Beneath) -> beneath::Result<(u64, Statx)> + Send + 'static,
    ) {
        self.carry_out(Call::Create, work, |made| answer_entry(reply, &made));
    }
}

fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_i32(errno.raw_os_error())
}

fn answer_entry(reply: ReplyEntry, found: &Result<(u64, Statx), Errno>) {
    match found {
        Ok((node, found)) => reply.entry(&TTL, &attributes(*node, found), Generation(0)),
        Err(error) => reply.error(*error),
    }
}

fn answer(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid() }
}

fn time(at: StatxTimestamp) -> SystemTime {
    let seconds = Duration::from_secs(at.tv_sec.unsigned_abs());
    let whole =
        if at.tv_sec < 0 { SystemTime::UNIX_EPOCH - seconds } else { SystemTime::UNIX_EPOCH + seconds };
    whole + Duration::from_nanos(u64::from(at.tv_nsec))
}

fn timespec(at: Option<TimeOrNow>) -> Timespec {
    let marked = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    match at {
        None => marked(UTIME_OMIT),
        Some(TimeOrNow::Now) => marked(UTIME_NOW),
        Some(TimeOrNow::SpecificTime(at)) => match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() },
            Err(before) => {
                let before = before.duration();
                let (seconds, nanos) = (before.as_secs() as i64, i64::from(before.subsec_nanos()));
                let borrowed = i64::from(nanos > 0);
                Timespec { tv_sec: -seconds - borrowed, tv_nsec: (borrowed * 1_000_000_000 - nanos) as _ }
            }
        },
    }
}

fn kind(found: rustix::fs::FileType) -> FileType {
    match found {
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        rustix::fs::FileType::Fifo => FileType::NamedPipe,
        rustix::fs::FileType::Socket => FileType::Socket,
        rustix::fs::FileType::CharacterDevice => FileType::CharDevice,
        rustix::fs::FileType::BlockDevice => FileType::BlockDevice,
        rustix::fs::FileType::RegularFile | rustix::fs::FileType::Unknown => FileType::RegularFile,
    }
}

fn attributes(node: u64, found: &Statx) -> FileAttr {
    let mode = u32::from(found.stx_mode);
    FileAttr {
        ino: INodeNo(node),
        size: found.stx_size,
        blocks: found.stx_blocks,
        atime: time(found.stx_atime),
        mtime: time(found.stx_mtime),
        ctime: time(found.stx_ctime),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind(rustix::fs::FileType::from_raw_mode(mode)),
        perm: (mode & 0o7777) as u16,
        nlink: found.stx_nlink,
        uid: found.stx_uid,
        gid: found.stx_gid,
        rdev: rustix::fs::makedev(found.stx_rdev_major, found.stx_rdev_minor) as u32,
        blksize: found.stx_blksize,
        flags: 0,
    }
}

impl Filesystem for Through {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // The kernel may allow fewer; it says how many.
        if let Err(most) = config.set_max_background(BACKGROUND) {
            let _ = config.set_max_background(most);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, &self.beneath.look_up(parent.0, name).map_err(errno));
    }

    fn forget(&self, _: &Request, node: INodeNo, times: u64) {
        self.beneath.forget(node.0, times);
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.beneath.attributes(node.0) {
            Ok(found) => reply.attr(&TTL, &attributes(node.0, &found)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let times = (atime.is_some() || mtime.is_some()).then(|| (timespec(atime), timespec(mtime)));
        let change = Change { mode, uid, gid, size, times };
        let handle = handle.map(|handle| handle.0);
        let answer = move |changed| match changed {
            Ok(found) => reply.attr(&TTL, &attributes(node.0, &found)),
            Err(error) => reply.error(error),
        };
        let Some(size) = size else {
            return answer(self.beneath.change(node.0, handle, change).map_err(errno));
        };
        let call = if self.beneath.grows(node.0, size) { Call::Write } else { Call::Alter };
        self.carry_out(call, move |beneath| beneath.change(node.0, handle, change), answer);
    }

    fn readlink(&self, _: &Request, node: INodeNo, reply: ReplyData) {
        match self.beneath.read_link(node.0) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        device: u32,
        reply: ReplyEntry,
    ) {
        let (name, caller) = (name.to_owned(), caller(request));
        self.entry(reply, move |beneath| beneath.make_node((parent.0, &name), (mode, device), caller));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let (name, caller) = (name.to_owned(), caller(request));
        self.entry(reply, move |beneath| beneath.make_directory((parent.0, &name), mode, caller));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let (name, target, caller) = (name.to_owned(), target.to_owned(), caller(request));
        self.entry(reply, move |beneath| beneath.make_link((parent.0, &name), &target, caller));
    }

    fn link(&self, _: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        self.entry(reply, move |beneath| beneath.name_too(node.0, parent.0, &name));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.beneath.remove(parent.0, name, AtFlags::empty()).map_err(errno));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.beneath.remove(parent.0, name, AtFlags::REMOVEDIR).map_err(errno));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: fuser::RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (name, new, flags) = (name.to_owned(), new.to_owned(), flags.bits());
        let work = move |beneath: &Beneath| beneath.rename((parent.0, &name), (to.0, &new), flags);
        self.carry_out(Call::Alter, work, |done| answer(reply, done));
    }

    fn open(&self, _: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let flags = OFlags::from_bits_retain(flags.0.unsigned_abs());
        let answer = |opened| match opened {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        };
        self.carry_out(Call::Open, move |beneath| beneath.open(node.0, flags), answer);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (name, caller) = (name.to_owned(), caller(request));
        let flags = OFlags::from_bits_retain(flags.unsigned_abs());
        let work = move |beneath: &Beneath| beneath.create((parent.0, &name), (flags, mode), caller);
        let answer = |made| match made {
            Ok(((node, found), handle)) => {
                let (found, handle) = (attributes(node, &found), FileHandle(handle));
                reply.created(&TTL, &found, Generation(0), handle, FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        };
        self.carry_out(Call::Create, work, answer);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let work = move |beneath: &Beneath| beneath::read_at(&*beneath.file(handle.0)?, offset, size);
        let answer = |read: Result<Vec<u8>, Errno>| match read {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error),
        };
        self.carry_out(Call::Read, work, answer);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let data = data.to_vec();
        let work = move |beneath: &Beneath| beneath::write_at(&*beneath.file(handle.0)?, &data, offset);
        let answer = |written| match written {
            Ok(size) => reply.written(size),
            Err(error) => reply.error(error),
        };
        self.carry_out(Call::Write, work, answer);
    }

    /// Each write is beneath already.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.beneath.close(handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, data_only: bool, reply: ReplyEmpty) {
        let work = move |beneath: &Beneath| {
            let file = beneath.file(handle.0)?;
            if data_only { rustix::fs::fdatasync(&*file) } else { rustix::fs::fsync(&*file) }
        };
        self.carry_out(Call::Sync, work, |done| answer(reply, done));
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let work = move |beneath: &Beneath| beneath::reserve(&*beneath.file(handle.0)?, mode, offset, length);
        self.carry_out(Call::Write, work, |done| answer(reply, done));
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.beneath.list(node.0) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = match self.beneath.listing(handle.0) {
            Ok(entries) => entries,
            Err(error) => return reply.error(errno(error)),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (number, Entry { inode, kind: found, name }) in entries.iter().enumerate().skip(from) {
            // An offset is where the next entry is.
            if reply.add(INodeNo(*inode), number as u64 + 1, kind(*found), name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.beneath.close_listing(handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.carry_out(Call::Sync, move |beneath| beneath.sync_directory(node.0), |done| answer(reply, done));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let is_full = self.harms.lock().unwrap_or_else(PoisonError::into_inner).is_full();
        let left = |amount: u64| if is_full { 0 } else { amount };
        match self.beneath.space() {
            Ok(space) => reply.statfs(
                space.f_blocks,
                left(space.f_bfree),
                left(space.f_bavail),
                space.f_files,
                left(space.f_ffree),
                space.f_bsize as u32,
                space.f_namemax as u32,
                space.f_frsize as u32,
            ),
            Err(error) => reply.error(errno(error)),
        }
    }
}

impl CallError {
    /// As the kernel numbers it.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Io => rustix::io::Errno::IO,
            Self::NoSpace => rustix::io::Errno::NOSPC,
            Self::Descriptors => rustix::io::Errno::MFILE,
            Self::NoMemory => rustix::io::Errno::NOMEM,
        }
        .raw_os_error()
    }
}
