//! What the workers of a dead coordinator have left, where this process is not its parent.
//!
//! The orphans of a coordinator's workers become children of the supervisor that has forked it, which ends them. If that one
//! is dead as well, they become children of init. They are found by the fleet's marker, and by their ancestors: none of them
//! is a living coordinator of the fleet, or this process.

use super::Supervisor;
use crate::os::identity::Identity;
use crate::process::descent::Descent;
use crate::process::pidfd;
use std::time::Duration;

/// For this long after such a death: workers die a moment after their coordinator, and a process may fork while it is looked
/// for.
const SEARCH: Duration = Duration::from_secs(3);
/// Ancestors that are looked at.
const GENERATIONS: usize = 64;

impl Supervisor {
    /// A coordinator has died that is not a child of this process.
    pub(super) fn expect_strays(&mut self, now: u64) {
        self.strays_until_ns = now + SEARCH.as_nanos() as u64;
    }

    /// Kills what is left behind, as long as some is expected.
    pub(super) fn end_strays(&mut self, now: u64) {
        if now >= self.strays_until_ns {
            return;
        }
        let mut ours = vec![std::process::id() as i32];
        for place in &self.places {
            ours.extend(place.process.as_ref().map(|process| process.identity.pid as i32));
        }
        for process in procfs::process::all_processes().into_iter().flatten().flatten() {
            let pid = process.pid as u32;
            // Opened before the proof: from then on the descriptor cannot mean another process.
            let Ok(fd) = pidfd::open(pid) else { continue };
            let is_recent = process.stat().is_ok_and(|stat| stat.starttime >= self.guarded.since_ticks);
            if is_recent && self.marker.of(pid) == Descent::Proven && is_stray(pid, &ours) {
                pidfd::kill(fd);
            }
        }
    }
}

/// False as well if an ancestor ends meanwhile: another one adopts the process, and it is looked at again.
fn is_stray(pid: u32, ours: &[i32]) -> bool {
    let mut at = pid as i32;
    for _ in 0..GENERATIONS {
        let parent = Identity::of(at as u32).and_then(|identity| identity.parent());
        match parent {
            None => return false,
            Some(parent) if ours.contains(&parent) => return false,
            Some(0 | 1) => return true,
            Some(parent) => at = parent,
        }
    }
    false
}
