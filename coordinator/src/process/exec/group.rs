//! The process group of a command: told to end, given time, ended; every member reaped that is this process's.

use crate::os::clock::now_ns;
use crate::process::fork::reap_with_usage;
use crate::wire::Usage;
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::Pid;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::time::Duration;

/// Between two looks at those who have been told to end.
const LOOK_MS: u16 = 2;
/// What is killed is gone in far less; what is not by then hangs in the kernel.
const GONE_MAX: Duration = Duration::from_secs(2);

/// A group whose leader is a child of this process.
#[derive(Debug, Clone, Copy)]
pub(in crate::process) struct Group(pub(in crate::process) Pid);

impl Group {
    pub(in crate::process) fn terminate(self) {
        let _ = killpg(self.0, Signal::SIGTERM);
        // One that is stopped would not hear it.
        let _ = killpg(self.0, Signal::SIGCONT);
    }

    pub(in crate::process) fn kill(self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }

    /// Its leader has ended, and has not been reaped.
    pub(in crate::process) fn leader_has_ended(self) -> bool {
        waitid(WaitId::Pid(self.raw()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
            .is_ok_and(|found| found.is_some())
    }

    /// Waits for the leader; its wait status and what it took.
    pub(in crate::process) fn reap_leader(self) -> nix::Result<(i32, Usage)> {
        reap_with_usage(self.0, WaitPidFlag::empty())?.ok_or(nix::Error::ECHILD)
    }

    /// Reaps the other members, whose parents are gone and who are children of this process since. They have until
    /// `until_ns` to end by themselves, and are killed then. `usage` gets what they took.
    pub(in crate::process) fn end_the_others(self, until_ns: u64, usage: &mut Usage, mut wait: impl FnMut()) {
        let mut killed_at = None;
        loop {
            match reap_with_usage(Pid::from_raw(-self.0.as_raw()), WaitPidFlag::WNOHANG) {
                Ok(Some((_, more))) => {
                    add(usage, more);
                    continue;
                }
                Ok(None) => {}
                Err(_) => return,
            }
            let now = now_ns();
            match killed_at {
                None if now >= until_ns => {
                    // It has members, so its number is nobody else's.
                    self.kill();
                    killed_at = Some(now);
                }
                Some(at) if now.saturating_sub(at) > GONE_MAX.as_nanos() as u64 => return,
                _ => {}
            }
            wait();
            let _ = poll(&mut [], PollTimeout::from(LOOK_MS));
        }
    }

    fn raw(self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.0.as_raw()).expect("a child's pid is positive")
    }
}

/// One after another, or side by side: times add up, and the largest is the largest.
fn add(usage: &mut Usage, more: Usage) {
    usage.user_us += more.user_us;
    usage.system_us += more.system_us;
    usage.max_rss = usage.max_rss.max(more.max_rss);
}
