//! Children that a task has left behind, of whatever generation and session: killed and reaped.

use crate::os::clock::now_ns;
use crate::process::exec::pause;
use crate::process::fork::try_reap;
use crate::process::offspring::{children, group_of};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::time::Duration;

/// A process that is left after this long forks faster than it is killed, or hangs in the kernel.
const GONE_MAX: Duration = Duration::from_secs(5);
/// Between two rounds of killing and reaping.
const LOOK: Duration = Duration::from_millis(1);

/// Kills and reaps every child of this process, and every one that becomes its child meanwhile, except those of the
/// process group `keep`. Returns how many those were; `Err` with the pids that could not be ended.
///
/// Only for a process that adopts orphans (`PR_SET_CHILD_SUBREAPER`) and has one thread: then every process that loses
/// its parent becomes a child of this one.
pub(super) fn end_all(keep: Option<i32>) -> Result<usize, Vec<i32>> {
    let mut ended = 0;
    let give_up_at = now_ns() + GONE_MAX.as_nanos() as u64;
    // Two looks in a row must find none: a process that forks and ends during the first shows its child in the second.
    let mut quiet = 0;
    loop {
        if !has_any() {
            return Ok(ended);
        }
        let strangers: Vec<i32> = children().into_iter().filter(|pid| !is_kept(*pid, keep)).collect();
        if strangers.is_empty() {
            quiet += 1;
            if quiet == 2 {
                return Ok(ended);
            }
            continue;
        }
        quiet = 0;
        for pid in &strangers {
            // A child's pid is its own until it is reaped.
            let _ = Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL));
            if matches!(try_reap(*pid), Ok(Some(_))) {
                ended += 1;
            }
        }
        if now_ns() > give_up_at {
            return Err(strangers);
        }
        pause(LOOK);
    }
}

/// One system call, and no file.
fn has_any() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(rustix::io::Errno::CHILD))
}

fn is_kept(pid: i32, keep: Option<i32>) -> bool {
    keep.is_some() && group_of(pid) == keep
}
