//! What a coordinator watches beyond its own workers: its next neighbour's progress, the supervisor's progress, and, in a
//! fleet that outlives its supervisor, whether that is alive.
//!
//! A suspicion is written down here and confirmed by the supervisor. A dead supervisor is replaced by the living
//! coordinator with the lowest number; the next one tries a while later; and if none succeeds within a bound all of them
//! end in order: a fleet without a supervisor does not go on for ever.

use crate::bus::directory::Held;
use crate::bus::events::{EventKind, EventLog, PEER, SUPERVISOR};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::config::{Policy, SupervisorDeath};
use crate::os::identity::Identity;
use crate::plan::health::{HealthEvent, Progress, Watch};
use crate::process::fork;
use crate::process::pidfd;
use crate::process::supervisor::{Launch, adopt, limits};
use crate::wire::place::PlaceId;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// Each living coordinator waits this much longer than the one before it.
const TURN: Duration = Duration::from_secs(1);
/// If a supervisor was forked and does not adopt the fleet, another one is forked after this long.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// A fleet that is without a supervisor for longer than this ends.
const ADOPTED_WITHIN: Duration = Duration::from_secs(15);

/// What a supervisor that is forked from here to adopt the fleet has to know.
#[derive(Debug, Clone)]
pub struct AdoptionPlan {
    pub launch: Launch,
    pub dir: PathBuf,
}

static ADOPTION_PLAN: OnceLock<AdoptionPlan> = OnceLock::new();

/// Sets the plan of this process, a coordinator that outlives its supervisor. Later calls change nothing.
pub fn set_adoption_plan(plan: AdoptionPlan) {
    let _ = ADOPTION_PLAN.set(plan);
}

/// What one coordinator knows about the others and about the supervisor.
#[derive(Debug)]
pub struct Peers {
    control: Control,
    index: u32,
    policy: Policy,
    neighbour: Option<u32>,
    of_neighbour: Watch,
    of_supervisor: Watch,
    /// When the loss of the supervisor was noticed; 0 while there is one.
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

    /// The supervisor of this coordinator has ended, and none will adopt the fleet: the coordinator must end what it runs,
    /// since no other process would.
    pub fn has_lost_its_supervisor(&self) -> bool {
        self.policy.supervisor_death == SupervisorDeath::End
            && nix::unistd::getppid().as_raw() as u32 != self.control.owner().pid
    }

    /// To be called when a process has ended that may be this one's parent.
    pub fn check_parent(&mut self, now: u64) {
        if ADOPTION_PLAN.get().is_some() {
            self.replace_supervisor(now);
        }
    }

    /// Once a tick, by a coordinator that serves.
    pub fn check(&mut self, now: u64, events: &mut EventLog) {
        self.control.note_owner();
        if self.control.stage() == Stage::Ready {
            self.check_neighbour(now, events);
            self.check_supervisor(now, events);
        }
        self.check_parent(now);
    }

    /// The next coordinator that serves, in a circle.
    fn next_neighbour(&self) -> Option<u32> {
        let count = self.control.shape().coordinators();
        (1..count)
            .map(|step| (self.index + step) % count)
            .find(|index| self.control.coordinator(*index).process.life() == Life::Live)
    }

    fn check_neighbour(&mut self, now: u64, events: &mut EventLog) {
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

    fn check_supervisor(&mut self, now: u64, events: &mut EventLog) {
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
            // Without adoption its death would end the fleet, so it is killed only where a successor will adopt it.
            Some(HealthEvent::Confirmed { since_ns })
                if ADOPTION_PLAN.get().is_some() && self.rank() == 0 =>
            {
                events.write(now, EventKind::Hung, SUPERVISOR, &[now.saturating_sub(since_ns), pid]);
                kill(owner);
            }
            Some(HealthEvent::Confirmed { .. }) | None => {}
        }
    }

    /// How many living coordinators have a lower number.
    fn rank(&self) -> u32 {
        (0..self.index).filter(|index| is_alive(&self.control, *index)).count() as u32
    }

    fn replace_supervisor(&mut self, now: u64) {
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
        let Some(plan) = ADOPTION_PLAN.get() else { return };
        if now.saturating_sub(self.orphan_since_ns) > ADOPTED_WITHIN.as_nanos() as u64 {
            (plan.launch.report)(
                "the supervisor has died, and no successor could be started: the fleet ends",
            );
            self.control.state().stage.store(Stage::Stopping as u32, Ordering::Release);
            for index in 0..self.control.shape().coordinators() {
                self.control.coordinator(index).bell.wake();
            }
        } else if now >= self.next_try_ns {
            self.next_try_ns = now + TRY_AGAIN.as_nanos() as u64;
            let control = self.control;
            // A fork that is refused is tried again.
            let _ = fork::spawn_detached(&PlaceId::Supervisor.to_string(), || {
                adopt(&plan.launch, control, &plan.dir)
            });
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

fn kill(process: Identity) {
    if let Ok(fd) = pidfd::open(process.pid)
        && process.is_alive()
    {
        pidfd::kill(fd);
    }
}

/// In a coordinator that ends: if it has no supervisor and is the last one, it removes the fleet's directory, since no
/// other process would.
pub fn remove_if_last(control: Control, dir: &Path, index: u32) {
    if ADOPTION_PLAN.get().is_none() {
        return;
    }
    // Another directory may have its name by now.
    let Some(held) = Held::open(dir).ok().filter(|held| held.is_of(control.stamped())) else { return };
    let Ok(opened) = held.private() else { return };
    // Under a lock: each coordinator writes that it has stopped before it looks for others.
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
        let _ = held.remove();
    }
}
