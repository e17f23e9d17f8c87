//! A page of shared memory that is gone when it is touched: the file was truncated, or has a hole that a
//! full file system cannot fill. The kernel answers with SIGBUS.
//!
//! Nothing can be saved then, since the contents are lost; but the loss can be reported. The handler finds
//! the file that the address belongs to, writes one line to stderr, removes the fleet's directory if this
//! process made it, and ends the process with [`STATUS`]. An address outside our files is passed to the
//! previous handler of SIGBUS.
//!
//! A client that has to report what became of its fleet outlives a region ([`outlive_regions`]): it reads zeros there, and hears
//! from the fleet that the coordinator has ended.
//!
//! The handler touches only a fixed table of atomics: no lock, no allocation.

use super::error::{BusError, Cause};
use super::sync::{AtomicU32, AtomicU64, Ordering};
use nix::libc;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

/// The exit status of a process whose shared memory was taken away: `docs/exit-codes.md`.
pub const STATUS: i32 = 74;
/// How a parent describes a process that ended with it.
pub const IN_WORDS: &str = "its shared memory was truncated or taken away";

/// The exit status of a process that the kernel keeps from a fleet's file for now: read-only, no memory, no descriptors, an error.
pub const KEPT_OUT: i32 = 78;

/// The exit status of a process that cannot attach to a fleet's file: a file that is not as its maker left it
/// is the same loss, noticed a little earlier.
pub fn status_of(error: &BusError) -> i32 {
    match error {
        BusError::Refused { .. } | BusError::Kernel { cause: Cause::Absent, .. } => STATUS,
        BusError::NoSpace { .. } => KEPT_OUT,
        BusError::Kernel { cause, .. } if cause.may_pass() => KEPT_OUT,
        _ => 20,
    }
}

/// A client maps a control file and a region for each of at most 256 coordinators; a supervisor one
/// file more than it has. A fault in a mapping beyond these is not reported, as it would be without this
/// module.
const FILES_MAX: usize = 1024;
/// Bytes of a path, with the NUL at its end. Of a longer path, the end is kept.
const NAME: usize = 240;

/// A name is written before `start` and read after it.
struct File {
    /// 0 while this place is free, 1 while it is being filled, else the address of the first byte.
    start: AtomicU64,
    bytes: AtomicU64,
    name: [AtomicU64; NAME / 8],
}

const FREE: u64 = 0;
const FILLING: u64 = 1;

impl File {
    const fn new() -> Self {
        Self {
            start: AtomicU64::new(FREE),
            bytes: AtomicU64::new(0),
            name: [const { AtomicU64::new(0) }; NAME / 8],
        }
    }

    fn set_name(&self, path: &Path) {
        let all = path.as_os_str().as_bytes();
        let mut bytes = [0; NAME];
        let kept = &all[all.len().saturating_sub(NAME - 1)..];
        bytes[..kept.len()].copy_from_slice(kept);
        for (word, chunk) in self.name.iter().zip(bytes.as_chunks::<8>().0) {
            word.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
        }
    }

    fn name(&self) -> [u8; NAME] {
        let mut bytes = [0; NAME];
        for (word, chunk) in self.name.iter().zip(bytes.as_chunks_mut::<8>().0) {
            *chunk = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        bytes[NAME - 1] = 0;
        bytes
    }
}

static FILES: [File; FILES_MAX] = [const { File::new() }; FILES_MAX];

/// What the process that made a fleet removes, if it cannot end in order.
struct Made {
    /// 0 while there is none. Children inherit the memory, but the pid is not theirs.
    pid: AtomicU32,
    coordinators: AtomicU32,
    /// Its directory, which stays open as long as the fleet is registered,
    fd: AtomicU32,
    /// and where that was.
    dir: File,
}

const NO_FD: u32 = u32::MAX;

static MADE: Made = Made {
    pid: AtomicU32::new(0),
    coordinators: AtomicU32::new(0),
    fd: AtomicU32::new(NO_FD),
    dir: File::new(),
};

/// While this exists, the handler knows its range of addresses by name.
#[derive(Debug)]
pub struct Watch(Option<usize>);

/// Registers `bytes` from `start` with the handler as the file at `path`; installs the handler if needed.
pub fn watch(start: *const u8, bytes: usize, path: &Path) -> Watch {
    install();
    let free = |file: &&File| {
        file.start.compare_exchange(FREE, FILLING, Ordering::Acquire, Ordering::Relaxed).is_ok()
    };
    let place = FILES.iter().position(|file| free(&file));
    if let Some(place) = place {
        let file = &FILES[place];
        file.set_name(path);
        file.bytes.store(bytes as u64, Ordering::Relaxed);
        // Pairs with the Acquire in `find`.
        file.start.store(start as u64, Ordering::Release);
    }
    Watch(place)
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            FILES[place].start.store(FREE, Ordering::Release);
        }
    }
}

/// This process made the fleet in `dir`: if its memory is taken away, the directory goes too.
pub fn register_fleet(dir: &Path, fd: RawFd, coordinators: u32) {
    MADE.dir.set_name(dir);
    MADE.fd.store(fd as u32, Ordering::Relaxed);
    MADE.coordinators.store(coordinators, Ordering::Relaxed);
    // Pairs with the Acquire in `remove_made`. A path that does not fit is not removed.
    let fits = dir.as_os_str().len() < NAME;
    MADE.pid.store(if fits { std::process::id() } else { 0 }, Ordering::Release);
}

/// The fleet in the directory that is open as `fd` is being removed regularly, or the descriptor closed.
pub fn forget_fleet(fd: RawFd) {
    if MADE.fd.compare_exchange(fd as u32, NO_FD, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        MADE.pid.store(0, Ordering::Release);
    }
}

/// Not 0 in a process that outlives its regions.
static OUTLIVES: AtomicU32 = AtomicU32::new(0);

/// From now on, this process goes on when a coordinator's region is taken away that it has mapped: private pages of zeros are
/// mapped in its place. A control file that is taken away still ends it.
pub fn outlive_regions() {
    OUTLIVES.store(1, Ordering::Relaxed);
}

/// `…/c7`
fn is_region(name: &[u8]) -> bool {
    let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    matches!(last, [b'c', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// Maps zeros in the place of a region; false if that is refused.
fn replace_by_zeros(file: &File) -> bool {
    let (start, bytes) = (file.start.load(Ordering::Relaxed), file.bytes.load(Ordering::Relaxed));
    // SAFETY: the range is that of a mapping which its owner keeps as long as the entry is there, and which is reached
    // through atomics alone: any bytes may be in it at any time. `mmap` is a plain system call.
    let mapped = unsafe {
        libc::mmap(
            start as *mut libc::c_void,
            bytes as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    mapped != libc::MAP_FAILED
}

/// The previous disposition of SIGBUS.
static BEFORE: OnceLock<Disposition> = OnceLock::new();

/// How the terminal was before this process showed a screen on it.
static TERMINAL: OnceLock<libc::termios> = OnceLock::new();
static ON_SCREEN: AtomicU32 = AtomicU32::new(0);

/// This process begins or ends to use the whole terminal that is its standard input. If its memory is lost in
/// between, the handler restores the terminal to its state at the first call.
pub fn on_screen(yes: bool) {
    // SAFETY: zero is a valid `termios`, and the pointer is valid for the call. What is not a terminal has no state.
    let before = unsafe {
        let mut before: libc::termios = std::mem::zeroed();
        (libc::tcgetattr(libc::STDIN_FILENO, &raw mut before) == 0).then_some(before)
    };
    if let Some(before) = before {
        TERMINAL.get_or_init(|| before);
    }
    // Pairs with the Acquire in `leave_screen`.
    ON_SCREEN.store(u32::from(yes), Ordering::Release);
}

/// Ends a synchronized update, shows the cursor, and leaves the alternate screen.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[?25h\x1b[?1049l";

fn leave_screen() {
    if ON_SCREEN.load(Ordering::Acquire) == 0 {
        return;
    }
    // SAFETY: both are async-signal-safe, and their pointers are valid. A terminal that refuses cannot be helped.
    unsafe {
        if let Some(before) = TERMINAL.get() {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, before);
        }
        libc::write(libc::STDOUT_FILENO, LEAVE.as_ptr().cast(), LEAVE.len());
    }
}

struct Disposition(libc::sigaction);

// SAFETY: plain data: an address of code, flags and a mask.
unsafe impl Send for Disposition {}
// SAFETY: as above; never changed.
unsafe impl Sync for Disposition {}

/// Once per process; its children inherit it. A handler that is installed later replaces this one, as it
/// would any other, and finds it as the previous one.
fn install() {
    BEFORE.get_or_init(|| {
        // SAFETY: zero is a valid `sigaction` (its fields are integers and a set of bits), and both
        // calls are given valid pointers. The handler keeps to what a handler may do (see there).
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_bus as extern "C" fn(_, _, _) as usize;
            // On the stack for signals where there is one; the call before last may have been ours.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before);
            Disposition(before)
        }
    });
}

/// Only loads, `mmap`, `stat`, `prctl`, `tcsetattr`, `write`, `unlink`, `rmdir`, `getpid` and `_exit`: async-signal-safe.
extern "C" fn on_bus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO a valid one; a fault has an address in it.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
    // Sent by a process (0 and below), it has no address.
    match (code > 0).then(|| find(address)).flatten() {
        Some(file)
            if code == libc::BUS_ADRERR
                && OUTLIVES.load(Ordering::Relaxed) != 0
                && is_region(until_nul(&file.name()))
                && replace_by_zeros(file) => {}
        Some(file) => {
            leave_screen();
            report(file, address, code);
            remove_made();
            // SAFETY: ends this process; nothing of it is used afterwards.
            unsafe { libc::_exit(STATUS) }
        }
        None => pass_on(signal, code, info, context),
    }
}

fn find(address: u64) -> Option<&'static File> {
    FILES.iter().find(|file| {
        // Pairs with the Release in `watch`.
        let start = file.start.load(Ordering::Acquire);
        start > FILLING
            && address.checked_sub(start).is_some_and(|at| at < file.bytes.load(Ordering::Relaxed))
    })
}

/// To the previous handler of SIGBUS.
fn pass_on(signal: libc::c_int, code: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE.get().map(|before| &before.0);
    let handler = before.map_or(libc::SIG_DFL, |before| before.sa_sigaction);
    if handler == libc::SIG_IGN && code <= 0 {
        return;
    }
    if handler != libc::SIG_DFL && handler != libc::SIG_IGN {
        // SAFETY: what the kernel had as a handler is a function of the kind that its flags say.
        unsafe {
            if before.is_some_and(|before| before.sa_flags & libc::SA_SIGINFO != 0) {
                let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(handler);
                handler(signal, info, context);
            } else {
                let handler: extern "C" fn(libc::c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
        return;
    }
    // The fault comes again when this returns, and ends the process; a signal that was sent is sent again.
    // SAFETY: zero is a valid `sigaction`: the default; `raise` is async-signal-safe.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, &raw const default, std::ptr::null_mut());
        if code <= 0 {
            libc::raise(signal);
        }
    }
}

/// `error: <process>: <file>: <what happened>; <what to do>`, in one write.
fn report(file: &File, address: u64, code: libc::c_int) {
    let name = file.name();
    let bytes = file.bytes.load(Ordering::Relaxed);
    let mut line = Line::new();
    line.text(b"error: ");
    let mut process = [0_u8; 16];
    // SAFETY: the kernel writes at most 16 bytes, a NUL among them.
    unsafe { libc::prctl(libc::PR_GET_NAME, process.as_mut_ptr()) };
    line.text(until_nul(&process));
    line.text(b": ");
    line.text(until_nul(&name));
    line.text(b": ");
    // SAFETY: zero is a valid `stat`; `name` ends with a NUL, and the pointers outlive the call.
    let (found, stat) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::stat(name.as_ptr().cast(), &raw mut stat) == 0, stat)
    };
    if code == libc::BUS_MCEERR_AR || code == libc::BUS_MCEERR_AO {
        line.text(b"the hardware lost its memory at byte ");
        line.number(address - file.start.load(Ordering::Relaxed));
    } else if !found {
        line.text(b"was removed and truncated while it was mapped");
    } else if (stat.st_size as u64) < bytes {
        line.text(b"was truncated to ");
        line.number(stat.st_size as u64);
        line.text(b" of ");
        line.number(bytes);
        line.text(b" bytes while it was mapped");
    } else {
        line.text(b"its memory was taken away while it was mapped, and there is no space to restore it");
    }
    line.text(b"; its contents are lost: find the cause, and start the fleet again\n");
    // SAFETY: the buffer is valid for as many bytes. If stderr takes nothing, there is no other way to report.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.len) };
}

/// The files of the fleet that this very process made.
fn remove_made() {
    // SAFETY: async-signal-safe, and cannot fail.
    let own = unsafe { libc::getpid() } as u32;
    // Pairs with the Release in `register_fleet`.
    if MADE.pid.load(Ordering::Acquire) != own {
        return;
    }
    let fd = MADE.fd.load(Ordering::Relaxed) as RawFd;
    let name = |coordinator: u32| {
        let mut name = Line::new();
        name.text(b"c");
        name.number(coordinator.into());
        name.text(b"\0");
        name.bytes
    };
    let dir = MADE.dir.name();
    // SAFETY: names that end with a NUL, in a directory that is open, and memory of this function's to write into. All
    // calls are async-signal-safe. What is not there need not be removed.
    unsafe {
        for coordinator in 0..MADE.coordinators.load(Ordering::Relaxed) {
            libc::unlinkat(fd, name(coordinator).as_ptr().cast(), 0);
        }
        libc::unlinkat(fd, c"control".as_ptr(), 0);
        libc::unlinkat(fd, c"clients".as_ptr(), 0);
        let (mut own, mut found): (libc::stat, libc::stat) = (std::mem::zeroed(), std::mem::zeroed());
        let seen =
            libc::fstat(fd, &raw mut own) == 0 && libc::lstat(dir.as_ptr().cast(), &raw mut found) == 0;
        // Its name may lead to another directory by now.
        if seen && (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino) {
            libc::rmdir(dir.as_ptr().cast());
        }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Text without an allocation; what does not fit is left out.
struct Line {
    bytes: [u8; 640],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self { bytes: [0; 640], len: 0 }
    }

    fn text(&mut self, text: &[u8]) {
        for (to, from) in self.bytes[self.len..].iter_mut().zip(text) {
            *to = *from;
        }
        self.len = (self.len + text.len()).min(self.bytes.len());
    }

    fn number(&mut self, number: u64) {
        let mut digits = [0_u8; 20];
        let mut first = digits.len();
        let mut rest = number;
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.text(&digits[first..]);
    }
}

#[cfg(test)]
mod tests;
