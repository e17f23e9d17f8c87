//! What a program inherits from its caller and must not depend on. The rest, such as the environment, limits and priority,
//! is the caller's to choose, for this program and for what it starts.

use super::fork::{close_on_exec, default_action, ignore, ignore_only};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use rustix::fs::Mode;
use rustix::process::umask;

pub use super::fork::started_without;

/// To be called first, by a process with one thread. What the kernel refuses stays as it is, and does no more harm than
/// before.
///
/// - SIGCHLD is not ignored: the kernel would reap children unseen. No signal is blocked.
/// - Descriptors from 3 on are for this process and none that it starts.
/// - The umask leaves the owner's permissions: without them, no program can use a file that it has made.
pub fn settle() {
    let _ = default_action(Signal::SIGCHLD);
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    close_on_exec(3);
    let before = umask(Mode::RWXG | Mode::RWXO);
    umask(before & (Mode::RWXG | Mode::RWXO));
}

/// Sets the signals that the caller ignores to their default, as commands expect them: they inherit it. Two stay: SIGPIPE,
/// which this program ignores itself, and SIGHUP (`nohup`).
pub fn ignore_nothing() {
    ignore_only(&[Signal::SIGPIPE, Signal::SIGHUP]);
}

/// Sets the signals of a coordinator or worker: SIGINT and SIGHUP of a terminal are for the supervisor (and the kernel
/// sends SIGHUP to an orphaned group with a stopped process in it); all others have their default effect.
pub fn child_signals() -> nix::Result<()> {
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGQUIT] {
        default_action(signal)?;
    }
    ignore(Signal::SIGINT)?;
    ignore(Signal::SIGHUP)?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}
