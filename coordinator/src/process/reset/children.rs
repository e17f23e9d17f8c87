//! Children that a task has left behind, of whatever generation and session: killed and reaped.

use crate::os::clock::now_ns;
use crate::process::fork::reap_with_usage;
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::Pid;
use procfs::process::Process;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::time::Duration;

/// Whoever is not gone by then forks faster than it is killed, or hangs in the kernel.
const GONE_MAX: Duration = Duration::from_secs(5);
/// Between two looks at those who have been killed.
const LOOK_MS: u16 = 1;

/// Kills and reaps every child of this process, and every one that becomes its child meanwhile, but for those of the
/// process group `keep`. How many those were; `Err` with those who could not be ended.
///
/// Only for a process that adopts orphans (`PR_SET_CHILD_SUBREAPER`) and has one thread: whoever leaves its parent is
/// a child of this one then.
pub(super) fn end_all(keep: Option<i32>) -> Result<usize, Vec<i32>> {
    let mut ended = 0;
    let give_up_at = now_ns() + GONE_MAX.as_nanos() as u64;
    // Two looks in a row that find nobody: who forks and ends during the first one has its child in the second.
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
            let pid = Pid::from_raw(*pid);
            // A child's number is its own until it is reaped.
            let _ = kill(pid, Signal::SIGKILL);
            if matches!(reap_with_usage(pid, WaitPidFlag::WNOHANG), Ok(Some(_))) {
                ended += 1;
            }
        }
        if now_ns() > give_up_at {
            return Err(strangers);
        }
        let _ = poll(&mut [], PollTimeout::from(LOOK_MS));
    }
}

/// One system call, and no file.
fn has_any() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(rustix::io::Errno::CHILD))
}

fn is_kept(pid: i32, keep: Option<i32>) -> bool {
    let group = nix::unistd::getpgid(Some(Pid::from_raw(pid)));
    keep.is_some_and(|keep| group.is_ok_and(|group| group.as_raw() == keep))
}

/// All children of this process, which has one thread.
pub fn children() -> Vec<i32> {
    let own = std::process::id();
    if let Ok(text) = std::fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        return text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    }
    // A kernel without that file: everybody is asked for their parent.
    let Ok(all) = procfs::process::all_processes() else { return Vec::new() };
    let is_ours = |process: &Process| process.stat().is_ok_and(|stat| stat.ppid as u32 == own);
    all.filter_map(Result::ok).filter(is_ours).map(|process| process.pid).collect()
}
