//! Coordinators that live and get nowhere.

use super::Supervisor;
use super::places::There;
use crate::bus::events::EventKind;
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::os::clock::now_ns;
use crate::plan::health::{HealthEvent, Limits, Progress};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::pidfd_send_signal;
use std::time::Duration;

/// A successor that has not begun to serve by then does not get anywhere either.
const START_MAX: Duration = Duration::from_secs(60);

/// Suspected after half of what is waited for, confirmed after all of it.
pub(in crate::process) fn limits(hang_after: Duration) -> Limits {
    let half = (hang_after.as_nanos() as u64 / 2).max(1);
    Limits { suspect_ns: half, confirm_ns: half }
}

impl Supervisor {
    /// This process gets on.
    pub(super) fn beat(&self) {
        self.control.state().beat.fetch_add(1, Ordering::Release);
    }

    pub(super) fn look_after(&mut self, now: u64) {
        let Some(hang_after) = self.launch.policy.hang_after else { return };
        let limits = limits(hang_after);
        for at in 0..self.places.len() {
            let place = &mut self.places[at];
            let index = place.index;
            let entry = self.control.coordinator(index);
            let alive = place.there == There::Alive;
            let life = entry.process.life();
            let beat = entry.own.beat.load(Ordering::Relaxed);
            let progress = (alive && life == Life::Live).then(|| Progress {
                incarnation: entry.process.incarnation.load(Ordering::Relaxed),
                counter: beat,
            });
            let pid = place.process.as_ref().map_or(0, |process| process.identity.pid);
            let found = place.health.observe(progress, now, &limits);
            let moved = std::mem::replace(&mut place.beat, beat) != beat;
            match found {
                Some(HealthEvent::Suspected { since_ns }) => {
                    entry.suspected_ns.store(since_ns.max(1), Ordering::Release);
                    self.event(EventKind::Suspected, index, &[now.saturating_sub(since_ns), pid.into()]);
                }
                Some(HealthEvent::Healed { suspected_for_ns }) => {
                    entry.suspected_ns.store(0, Ordering::Release);
                    self.event(EventKind::Healed, index, &[suspected_for_ns, pid.into()]);
                }
                Some(HealthEvent::Confirmed { since_ns }) => self.end_hung(at, now.saturating_sub(since_ns)),
                None if alive && life == Life::Starting => {
                    let starting_ns = now.saturating_sub(place.forked_ns);
                    if self.serving && place.forked_ns != 0 && starting_ns > START_MAX.as_nanos() as u64 {
                        self.end_hung(at, starting_ns);
                    }
                }
                // A neighbour's suspicion, and it goes on.
                None if moved && place.health.stuck_since_ns().is_none() => {
                    let since_ns = entry.suspected_ns.swap(0, Ordering::AcqRel);
                    if since_ns != 0 {
                        let ns = now_ns().saturating_sub(since_ns);
                        self.event(EventKind::Healed, index, &[ns, pid.into()]);
                    }
                }
                None => {}
            }
        }
    }

    /// A stopped process dies of this all the same; then its death takes the usual way.
    fn end_hung(&mut self, at: usize, still_ns: u64) {
        let place = &self.places[at];
        let Some(process) = &place.process else { return };
        let (index, identity) = (place.index, process.identity);
        self.event(EventKind::Hung, index, &[still_ns, identity.pid.into()]);
        self.end(at);
        self.say(&format!(
            "coord/{index} (process {}) showed no progress for {:.1} s and is ended",
            identity.pid,
            still_ns as f64 / 1e9
        ));
    }

    /// SIGKILL, to that very process.
    pub(super) fn end(&self, at: usize) {
        let Some(process) = &self.places[at].process else { return };
        match &process.pidfd {
            Some(fd) => {
                let _ = pidfd_send_signal(fd, rustix::process::Signal::KILL);
            }
            // A child that is not reaped keeps its pid.
            None if process.is_child || process.identity.is_alive() => {
                let _ = kill(Pid::from_raw(process.identity.pid as i32), Signal::SIGKILL);
            }
            None => {}
        }
    }
}
