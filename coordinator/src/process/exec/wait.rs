//! Waiting for descriptors, or for a while.

use rustix::event::{PollFd, Timespec, poll};
use std::time::Duration;

/// Waits until one of `fds` is ready, for `at_most` (whole milliseconds). It may end early: on a signal, or if the kernel
/// has no memory. The caller looks and waits again in any case.
pub(in crate::process) fn wait_for(fds: &mut [PollFd<'_>], at_most: Duration) {
    let millis = Duration::from_millis(at_most.as_millis() as u64);
    let timeout = Timespec::try_from(millis).expect("waits are far shorter than a timespec can say");
    let _ = poll(fds, Some(&timeout));
}

/// Sleeps; a signal may end it early.
pub(in crate::process) fn pause(at_most: Duration) {
    wait_for(&mut [], at_most);
}
