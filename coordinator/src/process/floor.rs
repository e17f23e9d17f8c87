//! What processes cost a host at least: bare forks, to hold a fleet's start against.

use super::fork;
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use std::time::{Duration, Instant};

/// How long so many forks take, one after the other, each gone at once; until the last is reaped.
///
/// Only for single-threaded processes.
///
/// # Errors
/// The host refuses so many. Those that it did not refuse have been reaped.
pub fn bare_forks(count: u32) -> nix::Result<Duration> {
    let began = Instant::now();
    let (mut pids, mut refused) = (Vec::new(), None);
    while refused.is_none() && pids.len() < count as usize {
        match fork::spawn("bare", None, || 0) {
            Ok(pid) => pids.push(pid),
            Err(errno) => refused = Some(errno),
        }
    }
    for pid in pids {
        while waitpid(pid, None) == Err(Errno::EINTR) {}
    }
    refused.map_or_else(|| Ok(began.elapsed()), Err)
}
