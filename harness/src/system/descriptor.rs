//! Descriptors of processes that lead to the very process that is meant.

use super::Identity;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

/// Opens one.
///
/// # Errors
/// `ESRCH`: that process is not there. Any other: the kernel gives no descriptor.
pub(crate) fn descriptor_of(process: Identity) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    // After the open: from here on the pid cannot be given to another process unnoticed.
    if process.is_alive() { Ok(descriptor) } else { Err(Errno::SRCH) }
}
