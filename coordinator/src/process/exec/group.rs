//! The process group of a command: asked to end, with what has left it, killed after its grace, and reaped, as far as its
//! members are children of this process.

use super::wait::pause;
use crate::os::clock::now_ns;
use crate::process::fork::{reap, try_reap, try_reap_group};
use crate::process::offspring::Offspring;
use crate::wire::Usage;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};
use std::io;
use std::process::Child;
use std::time::Duration;

/// Between two tries to reap a member.
const LOOK: Duration = Duration::from_millis(2);
/// A killed process ends in far less; one that has not by then hangs in the kernel.
const GONE_MAX: Duration = Duration::from_secs(2);

/// A group whose leader is a child of this process.
#[derive(Debug, Clone, Copy)]
pub(in crate::process) struct Group {
    leader: Pid,
    /// The process group of a child of this process that is not the command's.
    spared: Option<i32>,
}

impl Group {
    /// Of a child that was started in a session of its own.
    pub(in crate::process) fn led_by(leader: &Child) -> Self {
        Self { leader: Pid::from_child(leader), spared: None }
    }

    /// The process group `spared` is not the command's, though its leader is a child of this process.
    pub(in crate::process) fn sparing(self, spared: Option<i32>) -> Self {
        Self { spared, ..self }
    }

    pub(in crate::process) fn raw(self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    fn offspring(self) -> Offspring {
        Offspring { leader: self.raw(), spared: self.spared }
    }

    /// The group, and what the command has started outside of it.
    pub(in crate::process) fn ask_to_end(self, signal: nix::sys::signal::Signal) {
        self.offspring().ask_to_end(signal);
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(self.raw()), signal);
        // A stopped process handles the signal only when it is continued.
        let _ = kill_process_group(self.leader, Signal::CONT);
    }

    pub(in crate::process) fn kill(self) {
        let _ = kill_process_group(self.leader, Signal::KILL);
    }

    /// Its leader has ended, and has not been reaped.
    pub(in crate::process) fn leader_has_ended(self) -> bool {
        self.leader_end().is_some()
    }

    /// How its leader has ended; `None` if it has not, or has been reaped.
    pub(in crate::process) fn leader_end(self) -> Option<WaitIdStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.leader), options).ok().flatten()
    }

    /// Waits for the leader. Returns its wait status and what it used.
    pub(in crate::process) fn reap_leader(self) -> io::Result<(i32, Usage)> {
        reap(self.raw())
    }

    /// Reaps the other orphans of the command, whatever group they are in; true if all of them have ended.
    pub(in crate::process) fn reap_adopted(self, usage: &mut Usage) -> bool {
        let mut all = true;
        for pid in self.offspring().adopted() {
            match try_reap(pid) {
                Ok(Some((_, more))) => add(usage, more),
                Ok(None) => all = false,
                Err(_) => {}
            }
        }
        all
    }

    /// Reaps the other members: orphans, which this process has adopted. They are killed once it is later than `until_ns`
    /// says, which is asked again and again. What they used is added to `usage`. Orphans that have left the group are waited
    /// for until then, too.
    pub(in crate::process) fn end_the_others(self, usage: &mut Usage, mut until_ns: impl FnMut() -> u64) {
        let mut killed_at = None;
        loop {
            match try_reap_group(self.raw()) {
                Ok(Some((_, more))) => {
                    add(usage, more);
                    continue;
                }
                Ok(None) => {}
                Err(_) if now_ns() >= until_ns() || self.reap_adopted(usage) => return,
                Err(_) => {
                    pause(LOOK);
                    continue;
                }
            }
            let (until_ns, now) = (until_ns(), now_ns());
            match killed_at {
                None if now >= until_ns => {
                    // It has members, so no other group has its number.
                    self.kill();
                    killed_at = Some(now);
                }
                Some(at) if now.saturating_sub(at) > GONE_MAX.as_nanos() as u64 => return,
                _ => {}
            }
            pause(LOOK);
        }
    }
}

/// Whether they ran one after another or at the same time: CPU times add up, and memory is the largest of all.
fn add(usage: &mut Usage, more: Usage) {
    usage.user_us += more.user_us;
    usage.system_us += more.system_us;
    usage.max_rss = usage.max_rss.max(more.max_rss);
}
