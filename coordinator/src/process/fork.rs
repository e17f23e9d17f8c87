//! Forks, and what a child must do first. The second of the two places with `unsafe`.
#![expect(unsafe_code, reason = "fork, signal handlers and the process title have no safe form")]

mod streams;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, Pid, fork, getppid};
use procfs::process::Process;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use super::damage;
use crate::bus::doorbell::Doorbell;
use crate::bus::sync::{AtomicBool, AtomicPtr, AtomicU32, Bug, Ordering, planted};
use crate::wire::Usage;
pub use streams::{close_on_exec, started_without};

/// What is stored in [`LIFELINE`] where there is none.
const NONE: u32 = u32::MAX;

/// See [`hold_lifeline`].
static LIFELINE: AtomicU32 = AtomicU32::new(NONE);

/// Every child that [`spawn`] makes from here on, and each of its own, holds this descriptor open until it ends or executes
/// another program: the process at the other end of the pipe is told when the last of them is gone.
pub fn hold_lifeline(fd: OwnedFd) {
    LIFELINE.store(fd.into_raw_fd() as u32, Ordering::Release);
}

/// The descriptor that this process or an ancestor gave to [`hold_lifeline`].
pub fn lifeline() -> Option<BorrowedFd<'static>> {
    let raw = LIFELINE.load(Ordering::Acquire);
    // SAFETY: this process owns it (`hold_lifeline` took it, in this process or in the one that was forked to be this one),
    // and closes it in `drop_lifeline` only, whose callers have no copy of what is returned here.
    (raw != NONE).then(|| unsafe { BorrowedFd::borrow_raw(raw as RawFd) })
}

/// Closes the descriptor of [`hold_lifeline`] in this process; those that it has forked still hold it.
pub fn drop_lifeline() {
    let raw = LIFELINE.swap(NONE, Ordering::AcqRel);
    if raw != NONE {
        let _ = nix::unistd::close(raw as RawFd);
    }
}

/// Forks a child that runs `body` and exits with what that returns. The child dies with its parent. Of
/// the parent's descriptors it has stdin, stdout, stderr, the lifeline and `keep`.
///
/// Only for single-threaded processes: the child goes on with everything that its parent had loaded.
pub fn spawn(title: &str, keep: Option<BorrowedFd<'_>>, body: impl FnOnce() -> i32) -> nix::Result<Pid> {
    let parent = nix::unistd::getpid();
    let kept = [keep, lifeline()];
    fork_and_run(title, &kept, || if die_with(parent).is_err() { 70 } else { body() })
}

/// As [`spawn`], for a child that outlives its parent and waits for the others to end: it does not hold the lifeline.
pub fn spawn_survivor(title: &str, keep: BorrowedFd<'_>, body: impl FnOnce() -> i32) -> nix::Result<Pid> {
    fork_and_run(title, &[Some(keep)], || {
        LIFELINE.store(NONE, Ordering::Release);
        body()
    })
}

fn fork_and_run(
    title: &str,
    kept: &[Option<BorrowedFd<'_>>],
    body: impl FnOnce() -> i32,
) -> nix::Result<Pid> {
    // SAFETY: the caller is single-threaded (asserted in debug builds), so no lock is held by a
    // thread that the child does not have.
    // Unknown where `/proc` cannot be read for want of a descriptor.
    debug_assert!(thread_count().is_none_or(|threads| threads == 1), "fork in a process with threads");
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                close_all_but(kept);
                set_title(title);
                body()
            }))
            .unwrap_or_else(|payload| damage::status_of(&*payload));
            // No destructors of the parent's may run here a second time.
            // SAFETY: ends this process; nothing of it is used afterwards.
            unsafe { nix::libc::_exit(status) }
        }
    }
}

/// Lets this child live on when its parent dies. It is notified as of the end of a child: see [`child_ended`].
pub fn outlive_parent() -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGCHLD)
}

/// Forks a process that is not a child of this one: it has a session of its own, and another process adopts it. It
/// runs `body` and exits with what that returns. As [`spawn`], only for single-threaded processes.
pub fn spawn_detached(title: &str, body: impl FnOnce() -> i32) -> nix::Result<()> {
    let adopts = nix::sys::prctl::get_child_subreaper()?;
    nix::sys::prctl::set_child_subreaper(false)?;
    let done = spawn_twice(title, body);
    nix::sys::prctl::set_child_subreaper(adopts)?;
    done
}

/// By way of a child in between, which ends at once.
fn spawn_twice(title: &str, body: impl FnOnce() -> i32) -> nix::Result<()> {
    let between = spawn(title, None, || {
        if nix::unistd::setsid().is_err() {
            return 70;
        }
        // SAFETY: as in `spawn`; this child has one thread as its parent had.
        match unsafe { fork() } {
            // A fork does not inherit the signal for the parent's death, so there is nothing to undo.
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

/// How the process behind a pidfd ended, as a status of `wait`; `None` if the kernel gives that to the parent only
/// (before Linux 6.15), or if the process has not been reaped yet.
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

/// Closes every descriptor of the parent but the standard streams and those in `kept`. The parent's owners of these
/// descriptors are never dropped here: the child ends with `_exit`.
fn close_all_but(kept: &[Option<BorrowedFd<'_>>]) {
    const FIRST: u32 = 3;
    let close = |first: u32, last: u32| {
        if first <= last {
            // SAFETY: nothing in this process uses these descriptors after the fork. Kernels before 5.9
            // do not know the call and leave them open, which costs descriptors and nothing else.
            unsafe { nix::libc::syscall(nix::libc::SYS_close_range, first, last, 0) };
        }
    };
    let mut kept: Vec<u32> = kept.iter().flatten().map(|fd| fd.as_raw_fd() as u32).collect();
    kept.sort_unstable();
    let mut first = FIRST;
    for fd in kept {
        close(first, fd - 1);
        first = fd + 1;
    }
    close(first, u32::MAX);
}

fn thread_count() -> Option<i64> {
    Some(Process::myself().ok()?.stat().ok()?.num_threads)
}

/// Asks for SIGKILL when `parent` ends; fails if it has ended already.
fn die_with(parent: Pid) -> nix::Result<()> {
    let signal = (!planted(Bug::ObeysTheDead)).then_some(Signal::SIGKILL);
    nix::sys::prctl::set_pdeathsig(signal)?;
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
    // memory of its own stack. The standard library copied them at start-up; nothing holds a
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

/// A SIGCHLD came since [`child_ended`] was last called.
static CHILD_ENDED: AtomicBool = AtomicBool::new(false);

/// True once after a child ended, or the parent of a process that outlives it. To be called before reaping.
pub fn child_ended() -> bool {
    CHILD_ENDED.swap(false, Ordering::AcqRel)
}

/// As [`child_ended`], but does not reset it.
pub fn child_ended_pending() -> bool {
    CHILD_ENDED.load(Ordering::Acquire)
}

extern "C" fn on_child(_signal: i32) {
    CHILD_ENDED.store(true, Ordering::Release);
    let bell = CHILD_BELL.load(Ordering::Acquire);
    if !bell.is_null() {
        // SAFETY: set only from a `&'static Doorbell`. `wake` is an atomic add and a system call:
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

/// Makes `command` run in a session of its own, which is a process group too, with default signals, and die with the
/// worker that starts it. In the session that the fleet was started
/// from it would stop for ever as soon as it used the terminal; in its own it has none, and cannot open `/dev/tty`.
pub fn own_session(command: &mut Command) -> &mut Command {
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            // It hears every signal; a file that grows beyond `ulimit -f` stays an error of its write.
            let mut heard = SigSet::all();
            heard.remove(Signal::SIGXFSZ);
            heard.thread_unblock()?;
            default_action(Signal::SIGINT)?;
            default_action(Signal::SIGHUP)?;
            die_with(parent).map_err(io::Error::from)
        })
    }
}

/// Waits for the end of a child and reaps it. Returns its status, as of `wait`, and what it and the children that it had
/// reaped used.
///
/// # Errors
/// `ECHILD`: it is not a child of this process.
pub fn reap(pid: i32) -> io::Result<(i32, Usage)> {
    wait4(pid, 0)?.ok_or_else(|| nix::Error::ECHILD.into())
}

/// As [`reap`], without waiting: `None` if the child has not ended.
///
/// # Errors
/// As [`reap`].
pub fn try_reap(pid: i32) -> io::Result<Option<(i32, Usage)>> {
    wait4(pid, nix::libc::WNOHANG)
}

/// As [`try_reap`], for any child of this process in the process group of `leader`.
///
/// # Errors
/// `ECHILD`: the group has no child of this process.
pub fn try_reap_group(leader: i32) -> io::Result<Option<(i32, Usage)>> {
    wait4(-leader, nix::libc::WNOHANG)
}

fn wait4(pid: i32, options: i32) -> io::Result<Option<(i32, Usage)>> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<nix::libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to memory of this function's, of the types that the kernel writes.
        let reaped = unsafe { nix::libc::wait4(pid, &raw mut status, options, usage.as_mut_ptr()) };
        match nix::Error::result(reaped) {
            Ok(0) => return Ok(None),
            Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
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
        // The kernel counts KiB.
        max_rss: usage.ru_maxrss as u64 * 1024,
    }
}

/// Sets or removes a variable of the environment, in a process with one thread.
pub fn set_variable(name: &OsStr, value: Option<&OsStr>) {
    // Unknown where `/proc` cannot be read for want of a descriptor.
    debug_assert!(thread_count().is_none_or(|threads| threads == 1), "the environment of threads");
    // SAFETY: the caller has one thread (asserted in debug builds), so no other thread reads the environment.
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

    /// The signals whose disposition is another one now.
    pub fn changed(&self) -> Vec<i32> {
        let now = Self::capture();
        (1..SIGNALS)
            .filter(|at| !is_same(self.0[*at].as_ref(), now.0[*at].as_ref()))
            .map(|at| at as i32)
            .collect()
    }

    /// Restores the disposition that `signal` had when this was captured.
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
    // SAFETY: changes nothing; the kernel writes into memory of this function's.
    let done = unsafe { nix::libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: numbers and a pointer that may be null, all of them zero before they were written.
    (done == 0).then(|| unsafe { action.assume_init() })
}

/// Same handler, same flags; masks are of interest only where there is a handler.
fn is_same(one: Option<&nix::libc::sigaction>, other: Option<&nix::libc::sigaction>) -> bool {
    /// Set by the C library with every action, and not set before the first.
    const RESTORER: i32 = 0x0400_0000;
    match (one, other) {
        (Some(one), Some(other)) => {
            one.sa_sigaction == other.sa_sigaction && (one.sa_flags ^ other.sa_flags) & !RESTORER == 0
        }
        _ => one.is_none() && other.is_none(),
    }
}

/// Gives `signal` its default effect in this process.
pub fn default_action(signal: Signal) -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    unsafe { sigaction(signal, &default) }.map(drop)
}

/// Gives each signal that this process ignores its default effect, those in `keep` excepted.
pub fn ignore_only(keep: &[Signal]) {
    for signal in (1..SIGNALS as i32).filter(|signal| keep.iter().all(|keep| *keep as i32 != *signal)) {
        if let Some(mut action) = disposition(signal)
            && action.sa_sigaction == nix::libc::SIG_IGN
        {
            action.sa_sigaction = nix::libc::SIG_DFL;
            // SAFETY: no handler is installed.
            unsafe { nix::libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        }
    }
    RESERVED.into_iter().for_each(default_if_ignored);
}

/// The signals that the C library keeps to itself: it neither shows nor changes what a process does at them.
const RESERVED: [i32; 2] = [32, 33];

/// For one of them, by the kernel's own call.
fn default_if_ignored(signal: i32) {
    /// `struct sigaction` of the kernel.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Action {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    let mut action = Action { handler: 0, flags: 0, restorer: 0, mask: 0 };
    let (call, none) = (nix::libc::SYS_rt_sigaction, ptr::null::<Action>());
    // SAFETY: the kernel writes one struct of this function's, and reads it; no handler is installed. A kernel whose struct
    // is shorter (without a restorer) uses its beginning, in which all that is set here is 0.
    unsafe {
        let asked = nix::libc::syscall(call, signal, none, &raw mut action, size_of::<u64>());
        if asked == 0 && action.handler == nix::libc::SIG_IGN {
            action = Action { handler: nix::libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
            nix::libc::syscall(call, signal, &raw const action, none, size_of::<u64>());
        }
    }
}

/// How the kernel schedules a process: policy, real-time priority, and the class and priority of its input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduling {
    policy: i32,
    priority: i32,
    io: i64,
}

impl Scheduling {
    /// `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`.
    const IO: i32 = 1;
    /// Of this process.
    pub fn now() -> Self {
        let mut parameters = nix::libc::sched_param { sched_priority: 0 };
        // SAFETY: the kernel writes one struct into memory of this function's.
        unsafe {
            let policy = nix::libc::sched_getscheduler(0);
            nix::libc::sched_getparam(0, &raw mut parameters);
            let io = nix::libc::syscall(nix::libc::SYS_ioprio_get, Self::IO, 0);
            Self { policy, priority: parameters.sched_priority, io }
        }
    }

    /// Makes this process scheduled so.
    ///
    /// # Errors
    /// `EPERM`: it may not get a better one than it has.
    pub fn restore(self) -> nix::Result<()> {
        let parameters = nix::libc::sched_param { sched_priority: self.priority };
        // SAFETY: the kernel reads one struct of this function's, and numbers.
        unsafe {
            nix::Error::result(nix::libc::sched_setscheduler(0, self.policy, &raw const parameters))?;
            let done = nix::libc::syscall(nix::libc::SYS_ioprio_set, Self::IO, 0, self.io);
            nix::Error::result(done).map(drop)
        }
    }
}

/// Whether this process ignores `signal`.
pub fn is_ignored(signal: Signal) -> bool {
    disposition(signal as i32).is_some_and(|action| action.sa_sigaction == nix::libc::SIG_IGN)
}

/// Makes this process ignore `signal`.
pub fn ignore(signal: Signal) -> nix::Result<()> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    unsafe { sigaction(signal, &ignore) }.map(drop)
}
