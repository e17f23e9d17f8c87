//! What a coordinator looks at beyond its own workers: its next neighbour's progress, the supervisor's, and, where
//! the fleet outlives that, whether it lives.
//!
//! A suspicion is written down here and confirmed by the supervisor. A dead supervisor is replaced by the lowest
//! of the living, the next one tries a while later, and if nobody succeeds within a bound all of them end in order:
//! a fleet without a supervisor does not go on for ever.

use crate::bus::directory;
use crate::bus::events::{EventKind, EventLog, PEER, SUPERVISOR};
use crate::bus::mapping::PrivateDir;
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::config::{Policy, SupervisorDeath};
use crate::os::identity::Identity;
use crate::plan::health::{HealthEvent, Progress, Watch};
use crate::process::fork;
use crate::process::supervisor::{Launch, adopt, limits};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// Each of the living waits so much longer for those before it.
const TURN: Duration = Duration::from_secs(1);
/// A supervisor that was forked and does not come is followed by another after this long.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Without a supervisor for so long, the fleet ends.
const ADOPTED_WITHIN: Duration = Duration::from_secs(15);

/// What a supervisor forked from here has to know.
#[derive(Debug, Clone)]
pub struct Heritage {
    pub launch: Launch,
    pub dir: PathBuf,
}

static HERITAGE: OnceLock<Heritage> = OnceLock::new();

/// Of this process, a coordinator that outlives its supervisor.
pub fn inherit(heritage: Heritage) {
    let _ = HERITAGE.set(heritage);
}

/// What one coordinator knows of the others.
#[derive(Debug)]
pub struct Peers {
    control: Control,
    index: u32,
    policy: Policy,
    neighbour: Option<u32>,
    of_neighbour: Watch,
    of_supervisor: Watch,
    /// Since when there is no supervisor; 0 while there is one.
    orphan_since_ns: u64,
    next_try_ns: u64,
}

impl Peers {
    pub fn new(control: Control, index: u32, policy: Policy) -> Self {
        Self {
            control,
            index,
            policy,
            neighbour: None,
            of_neighbour: Watch::default(),
            of_supervisor: Watch::default(),
            orphan_since_ns: 0,
            next_try_ns: 0,
        }
    }

    /// This one's supervisor has ended, and no other comes: what it runs ends here, or nobody would end it.
    pub fn has_lost_its_supervisor(&self) -> bool {
        self.policy.supervisor_death == SupervisorDeath::End
            && nix::unistd::getppid().as_raw() as u32 != self.control.owner().pid
    }

    /// Something has ended, maybe this one's parent.
    pub fn look_up(&mut self, now: u64) {
        if HERITAGE.get().is_some() {
            self.look_for_supervisor(now);
        }
    }

    /// Once a tick, by a coordinator that serves.
    pub fn look(&mut self, now: u64, events: &mut EventLog) {
        if self.control.stage() == Stage::Ready {
            self.look_at_neighbour(now, events);
            self.look_at_supervisor(now, events);
        }
        self.look_up(now);
    }

    /// The next one who serves, round and round.
    fn next_neighbour(&self) -> Option<u32> {
        let count = self.control.shape().coordinators();
        (1..count)
            .map(|step| (self.index + step) % count)
            .find(|index| self.control.coordinator(*index).process.life() == Life::Live)
    }

    fn look_at_neighbour(&mut self, now: u64, events: &mut EventLog) {
        let Some(hang_after) = self.policy.hang_after else { return };
        let neighbour = self.next_neighbour();
        if std::mem::replace(&mut self.neighbour, neighbour) != neighbour {
            self.of_neighbour = Watch::default();
        }
        let Some(index) = neighbour else { return };
        let entry = self.control.coordinator(index);
        let progress = Progress {
            incarnation: entry.process.incarnation.load(Ordering::Relaxed),
            counter: entry.own.beat.load(Ordering::Relaxed),
        };
        let pid = u64::from(entry.process.pid.load(Ordering::Relaxed));
        match self.of_neighbour.observe(Some(progress), now, &limits(hang_after)) {
            Some(HealthEvent::Suspected { since_ns }) => {
                // The supervisor may have seen it first.
                let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
                let _ = entry.suspected_ns.compare_exchange(0, since_ns.max(1), acquire, relaxed);
                events.write(now, EventKind::Suspected, PEER | index, &[now.saturating_sub(since_ns), pid]);
            }
            Some(HealthEvent::Healed { suspected_for_ns }) => {
                events.write(now, EventKind::Healed, PEER | index, &[suspected_for_ns, pid]);
            }
            Some(HealthEvent::Confirmed { .. }) | None => {}
        }
    }

    fn look_at_supervisor(&mut self, now: u64, events: &mut EventLog) {
        let Some(hang_after) = self.policy.hang_after else { return };
        let progress = Progress {
            incarnation: self.control.state().supervisors.load(Ordering::Relaxed),
            counter: self.control.state().beat.load(Ordering::Relaxed),
        };
        let owner = self.control.owner();
        let pid = u64::from(owner.pid);
        match self.of_supervisor.observe(Some(progress), now, &limits(hang_after)) {
            Some(HealthEvent::Suspected { since_ns }) => {
                events.write(now, EventKind::Suspected, SUPERVISOR, &[now.saturating_sub(since_ns), pid]);
            }
            Some(HealthEvent::Healed { suspected_for_ns }) => {
                events.write(now, EventKind::Healed, SUPERVISOR, &[suspected_for_ns, pid]);
            }
            // Its death ends the fleet unless somebody adopts it: then it is worth it.
            Some(HealthEvent::Confirmed { since_ns }) if HERITAGE.get().is_some() && self.rank() == 0 => {
                events.write(now, EventKind::Hung, SUPERVISOR, &[now.saturating_sub(since_ns), pid]);
                end(owner);
            }
            Some(HealthEvent::Confirmed { .. }) | None => {}
        }
    }

    /// How many of the living come before this one.
    fn rank(&self) -> u32 {
        (0..self.index).filter(|index| is_alive(&self.control, *index)).count() as u32
    }

    fn look_for_supervisor(&mut self, now: u64) {
        let owner = self.control.owner();
        let is_child = nix::unistd::getppid().as_raw() as u32 == owner.pid;
        if is_child || owner.pid != 0 && !owner.is_gone() {
            (self.orphan_since_ns, self.next_try_ns) = (0, 0);
            return;
        }
        if self.orphan_since_ns == 0 {
            self.orphan_since_ns = now;
            self.next_try_ns = now + (TURN * self.rank()).as_nanos() as u64;
        }
        let Some(heritage) = HERITAGE.get() else { return };
        if now.saturating_sub(self.orphan_since_ns) > ADOPTED_WITHIN.as_nanos() as u64 {
            (heritage.launch.say)("the supervisor has died, and no other could be started: the fleet ends");
            self.control.state().stage.store(Stage::Stopping as u32, Ordering::Release);
            for index in 0..self.control.shape().coordinators() {
                self.control.coordinator(index).bell.wake();
            }
        } else if now >= self.next_try_ns {
            self.next_try_ns = now + TRY_AGAIN.as_nanos() as u64;
            let control = self.control;
            // One that is refused is tried again.
            let _ = fork::spawn_detached("supervisor", || adopt(&heritage.launch, control, &heritage.dir));
        }
    }
}

fn is_alive(control: &Control, index: u32) -> bool {
    let cell = &control.coordinator(index).process;
    let identity = Identity {
        pid: cell.pid.load(Ordering::Acquire),
        start_ticks: cell.start_ticks.load(Ordering::Relaxed),
    };
    identity.pid != 0 && identity.is_alive()
}

fn end(process: Identity) {
    let Some(pid) = Pid::from_raw(process.pid as i32) else { return };
    if let Ok(fd) = pidfd_open(pid, PidfdFlags::empty())
        && process.is_alive()
    {
        let _ = pidfd_send_signal(&fd, Signal::KILL);
    }
}

/// In a coordinator that ends: if it has no supervisor and is the last, nobody else removes the fleet's directory.
pub fn last_one_out(control: Control, dir: &Path, index: u32) {
    if HERITAGE.get().is_none() {
        return;
    }
    let Ok(opened) = PrivateDir::open(dir) else { return };
    // One after the other: each says that it goes before it looks who is left.
    if opened.lock(true).is_err() {
        return;
    }
    let owner = control.owner();
    if owner.pid != 0 && !owner.is_gone() {
        return;
    }
    control.coordinator(index).process.set_life(Life::Stopped);
    let stays = |other: u32| {
        let ended = matches!(control.coordinator(other).process.life(), Life::Stopped | Life::Dead);
        other != index && !ended && is_alive(&control, other)
    };
    if !(0..control.shape().coordinators()).any(stays) {
        let _ = directory::remove(dir);
    }
}
