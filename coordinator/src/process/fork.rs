//! Forking, and what a child must do first. The second of the two places with `unsafe`.
#![expect(unsafe_code, reason = "fork, signal handlers and the process title have no safe form")]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::{ForkResult, Pid, fork, getppid};
use procfs::process::Process;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use crate::bus::doorbell::Doorbell;
use crate::bus::sync::{AtomicBool, AtomicPtr, Ordering};
use crate::wire::Usage;

/// Forks a child that runs `body` and exits with what it returns. The child dies with its parent. Of
/// the parent's descriptors it has stdin, stdout, stderr and `keep`.
///
/// Only for single-threaded processes: the child goes on with everything its parent had loaded.
pub fn spawn(name: &str, keep: Option<BorrowedFd<'_>>, body: impl FnOnce() -> i32) -> nix::Result<Pid> {
    let parent = nix::unistd::getpid();
    // SAFETY: the caller is single-threaded (asserted in debug builds), so no lock is held by a
    // thread that the child does not have.
    // Where `/proc` cannot be read for want of a descriptor it is not known.
    debug_assert!(thread_count().is_none_or(|threads| threads == 1), "fork in a process with threads");
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                if die_with(parent).is_err() {
                    return 70;
                }
                close_all_but(keep);
                set_title(name);
                body()
            }))
            .unwrap_or(70);
            // No destructors of the parent's may run here a second time.
            // SAFETY: ends this process; nothing of it is used afterwards.
            unsafe { nix::libc::_exit(status) }
        }
    }
}

/// This child lives on when its parent dies, and hears of it as of the end of a child: see [`child_ended`].
pub fn outlive_parent() -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGCHLD)
}

/// Forks a process that is nobody's child here: in a session of its own, and whoever else adopts orphans has it. It
/// runs `body` and exits with what that returns. As for [`spawn`]: only in single-threaded processes.
pub fn spawn_detached(name: &str, body: impl FnOnce() -> i32) -> nix::Result<()> {
    let adopts = nix::sys::prctl::get_child_subreaper()?;
    nix::sys::prctl::set_child_subreaper(false)?;
    let done = spawn_by_way_of_another(name, body);
    nix::sys::prctl::set_child_subreaper(adopts)?;
    done
}

fn spawn_by_way_of_another(name: &str, body: impl FnOnce() -> i32) -> nix::Result<()> {
    let between = spawn(name, None, || {
        if nix::unistd::setsid().is_err() {
            return 70;
        }
        // SAFETY: as in `spawn`; this child has one thread as its parent had.
        match unsafe { fork() } {
            // What it was told to die with has ended already when it goes on; nothing is to be undone.
            Ok(ForkResult::Child) => body(),
            Ok(ForkResult::Parent { .. }) => 0,
            Err(errno) => errno as i32,
        }
    })?;
    loop {
        match nix::sys::wait::waitpid(between, None) {
            Ok(nix::sys::wait::WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(nix::sys::wait::WaitStatus::Exited(_, errno)) => return Err(nix::Error::from_raw(errno)),
            Err(nix::Error::EINTR) => {}
            Ok(_) => return Err(nix::Error::ECHILD),
            Err(errno) => return Err(errno),
        }
    }
}

/// How the process behind a pidfd ended, in the words of `wait`; `None` where the kernel does not tell anybody
/// but its parent (before Linux 6.15), or it has not been reaped yet.
pub fn exit_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    /// `struct pidfd_info`, its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const _: () = assert!(size_of::<Info>() == 64);
    const EXIT: u64 = 1 << 3;
    // _IOWR(0xff, 11, struct pidfd_info)
    const GET_INFO: u64 = 3 << 30 | (size_of::<Info>() as u64) << 16 | 0xff << 8 | 0xb;
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: the kernel writes as many bytes as the request's number says, into a struct of that size.
    let done = unsafe { nix::libc::ioctl(pidfd.as_raw_fd(), GET_INFO as _, &raw mut info) };
    (done == 0 && info.mask & EXIT == EXIT).then_some(info.exit_code)
}

/// Closes what the parent had open, whoever it was inherited from. The parent's owners of these
/// descriptors are never dropped here: the child ends with `_exit`.
fn close_all_but(keep: Option<BorrowedFd<'_>>) {
    const FIRST: u32 = 3;
    let close = |first: u32, last: u32| {
        if first <= last {
            // SAFETY: nothing in this process uses these descriptors after the fork. Kernels before 5.9
            // do not know the call and leave them open, which costs descriptors and nothing else.
            unsafe { nix::libc::syscall(nix::libc::SYS_close_range, first, last, 0) };
        }
    };
    match keep.map(|fd| fd.as_raw_fd() as u32) {
        Some(kept) => {
            close(FIRST, kept - 1);
            close(kept + 1, u32::MAX);
        }
        None => close(FIRST, u32::MAX),
    }
}

fn thread_count() -> Option<i64> {
    Some(Process::myself().ok()?.stat().ok()?.num_threads)
}

/// SIGKILL for this process when `parent` is gone, also if it went before we could ask.
fn die_with(parent: Pid) -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == parent { Ok(()) } else { Err(nix::Error::ESRCH) }
}

/// The name in `ps -e` (15 bytes) and in `ps -f` (as much as the first command line had room for).
pub fn set_title(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
    let Some((start, end)) = Process::myself()
        .ok()
        .and_then(|process| process.stat().ok())
        .and_then(|stat| Some((stat.arg_start?, stat.arg_end?)))
    else {
        return;
    };
    let Some(room) = end.checked_sub(start).and_then(|room| usize::try_from(room).ok()) else { return };
    let text = &name.as_bytes()[..name.len().min(room.saturating_sub(1))];
    if room == 0 {
        return;
    }
    // SAFETY: the kernel says that this process's arguments lie in [start, end), which is writable
    // memory of its own stack. The standard library copied them at start-up; nobody holds a
    // reference into them.
    unsafe {
        let arguments = start as *mut u8;
        ptr::write_bytes(arguments, 0, room);
        ptr::copy_nonoverlapping(text.as_ptr(), arguments, text.len());
    }
}

/// In a child: if `wanted`, the first successor at a place (`before` is how many came before it) is
/// killed at its first change of shared memory, the n-th at its n-th. The first of all goes on.
#[cfg(feature = "kill-points")]
pub fn end_at_step(wanted: bool, before: u32) {
    let step = if wanted { before.checked_sub(1).map_or(u64::MAX, u64::from) } else { u64::MAX };
    crate::bus::sync::counted::kill_at(step);
}

/// The bell that a SIGCHLD rings, so that a sleeper on it wakes for a death as for a message.
static CHILD_BELL: AtomicPtr<Doorbell> = AtomicPtr::new(ptr::null_mut());

/// A SIGCHLD came since somebody last asked.
static CHILD_ENDED: AtomicBool = AtomicBool::new(false);

/// True once after a child ended, or the parent of one who outlives it; ask again after reaping.
pub fn child_ended() -> bool {
    CHILD_ENDED.swap(false, Ordering::AcqRel)
}

/// As [`child_ended`], but leaves the question open.
pub fn child_ended_pending() -> bool {
    CHILD_ENDED.load(Ordering::Acquire)
}

extern "C" fn on_child(_signal: i32) {
    CHILD_ENDED.store(true, Ordering::Release);
    let bell = CHILD_BELL.load(Ordering::Acquire);
    if !bell.is_null() {
        // SAFETY: set only from a `&'static Doorbell`. `shout` is an atomic add and a system call:
        // async-signal-safe.
        unsafe { (*bell).wake() };
    }
}

/// From now on the end of a child rings `bell`.
pub fn ring_on_child(bell: &'static Doorbell) -> nix::Result<()> {
    CHILD_BELL.store(ptr::from_ref(bell).cast_mut(), Ordering::Release);
    let action = SigAction::new(SigHandler::Handler(on_child), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler is async-signal-safe (see there).
    unsafe { sigaction(Signal::SIGCHLD, &action) }.map(|_| ())
}

/// What a coordinator and a worker make of signals: the terminal's Ctrl-C and its end are the supervisor's
/// business (and a group that is left without a parent's has a SIGHUP from the kernel, if one in it is stopped);
/// everything else as the system has it.
pub fn child_signals() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed, only default and ignore.
    unsafe {
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGQUIT] {
            sigaction(signal, &default)?;
        }
        sigaction(Signal::SIGINT, &ignore)?;
        sigaction(Signal::SIGHUP, &ignore)?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Makes `command` run in a process group of its own, with default signals, and die with the
/// worker that starts it.
pub fn own_group(command: &mut Command) -> &mut Command {
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.process_group(0).pre_exec(move || {
            let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
            sigaction(Signal::SIGINT, &default)?;
            sigaction(Signal::SIGHUP, &default)?;
            die_with(parent).map_err(io::Error::from)
        })
    }
}

/// A child that has ended and is reaped now, with what it and those it had reaped itself took; `None` if it runs
/// on. Of a process group (`pid` below 0) it is any member that is a child of this process. Fails with `ECHILD` if
/// there is none. The status is that of `wait`.
pub fn reap_with_usage(pid: Pid, flags: WaitPidFlag) -> nix::Result<Option<(i32, Usage)>> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<nix::libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to memory of this function's, of the types that the kernel writes.
        let reaped =
            unsafe { nix::libc::wait4(pid.as_raw(), &raw mut status, flags.bits(), usage.as_mut_ptr()) };
        match nix::Error::result(reaped) {
            Ok(0) => return Ok(None),
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno),
            // SAFETY: numbers, all of them zero before the kernel wrote some.
            Ok(_) => return Ok(Some((status, in_wire(unsafe { usage.assume_init_ref() })))),
        }
    }
}

fn in_wire(usage: &nix::libc::rusage) -> Usage {
    let micros = |time: nix::libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Usage {
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        // The kernel says KiB.
        max_rss: usage.ru_maxrss as u64 * 1024,
    }
}

/// Sets or removes a variable of the environment, in a process with one thread.
pub fn set_variable(name: &OsStr, value: Option<&OsStr>) {
    // Where `/proc` cannot be read for want of a descriptor it is not known.
    debug_assert!(thread_count().is_none_or(|threads| threads == 1), "the environment of threads");
    // SAFETY: the caller has one thread (asserted in debug builds), so nobody reads the environment meanwhile.
    unsafe {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
}

/// One more than the highest number of a signal.
const SIGNALS: usize = 65;

/// What a process does at each signal. Those that cannot be asked for (0, and what the C library keeps to itself)
/// are `None`.
#[derive(Clone)]
pub struct Dispositions([Option<nix::libc::sigaction>; SIGNALS]);

impl std::fmt::Debug for Dispositions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispositions").finish_non_exhaustive()
    }
}

impl Dispositions {
    pub fn capture() -> Self {
        let mut all = [None; SIGNALS];
        for (signal, action) in all.iter_mut().enumerate().skip(1) {
            *action = disposition(signal as i32);
        }
        Self(all)
    }

    /// The signals that are treated otherwise now.
    pub fn changed(&self) -> Vec<i32> {
        let now = Self::capture();
        (1..SIGNALS)
            .filter(|at| !is_same(self.0[*at].as_ref(), now.0[*at].as_ref()))
            .map(|at| at as i32)
            .collect()
    }

    /// Treats `signal` as it was when this was captured.
    pub fn restore(&self, signal: i32) -> nix::Result<()> {
        let Some(action) = usize::try_from(signal).ok().and_then(|at| self.0.get(at)?.as_ref()) else {
            return Err(nix::Error::EINVAL);
        };
        // SAFETY: the action was this process's own before, so its handler was fit for this process then; handlers
        // are functions of the program and stay.
        let done = unsafe { nix::libc::sigaction(signal, action, ptr::null_mut()) };
        nix::Error::result(done).map(drop)
    }
}

fn disposition(signal: i32) -> Option<nix::libc::sigaction> {
    let mut action = std::mem::MaybeUninit::<nix::libc::sigaction>::zeroed();
    // SAFETY: asks only; the kernel writes into memory of this function's.
    let done = unsafe { nix::libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: numbers and a pointer that may be null, all of them zero before they were written.
    (done == 0).then(|| unsafe { action.assume_init() })
}

/// Same handler, same flags; masks are of interest only where there is a handler.
fn is_same(one: Option<&nix::libc::sigaction>, other: Option<&nix::libc::sigaction>) -> bool {
    /// Set by the C library with every action, and by nobody before the first.
    const RESTORER: i32 = 0x0400_0000;
    match (one, other) {
        (Some(one), Some(other)) => {
            one.sa_sigaction == other.sa_sigaction && (one.sa_flags ^ other.sa_flags) & !RESTORER == 0
        }
        (None, None) => true,
        _ => false,
    }
}

/// From now on this process does not hear of `signal`.
pub fn ignore(signal: Signal) -> nix::Result<()> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    unsafe { sigaction(signal, &ignore) }.map(drop)
}
