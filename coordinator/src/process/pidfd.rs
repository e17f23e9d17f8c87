//! Descriptors of processes: they become readable at a process's end, and lead to that process and no other.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Opens one for the process that has this pid now. Whether it is the process that is meant has to be checked after this.
///
/// # Errors
/// No process has this pid (`ESRCH`, `EINVAL`), or the kernel gives no descriptor: it has none of this kind or none left.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid as i32).ok_or(rustix::io::Errno::SRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends SIGKILL. A process that has ended already is as good as killed.
pub fn kill(pidfd: impl AsFd) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
}
