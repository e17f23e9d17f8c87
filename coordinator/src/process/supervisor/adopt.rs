//! A fleet whose supervisor has died, and the process that goes on with it.
//!
//! Its coordinators are not children of the new supervisor: they are watched by pid and start time, through pidfds, and
//! how one of them ended is known only where the kernel tells processes other than its parent. A process that the new
//! supervisor forks is its child as usual.

use super::places::{Place, PlaceState};
use super::{Launch, SuperviseError, Supervisor, become_supervisor, open_owner};
use crate::bus::directory::Held;
use crate::bus::events::{EventKind, SELF};
use crate::bus::fault;
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::bus::written::{Foreign, OwnWord};
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::process::descent::Marker;
use crate::process::reap::HowEnded;
use crate::process::{fork, guard};
use crate::wire::place::PlaceId;
use nix::sys::signal::Signal;
use std::path::Path;

/// Becomes the supervisor of the fleet in `dir`, unless it has one; serves until the fleet ends. Returns the exit
/// status.
pub fn adopt(launch: &Launch, control: Control, dir: &Path) -> i32 {
    // Coordinators ignore it.
    let _ = fork::default_action(Signal::SIGHUP);
    let Ok((signals, own, _)) = become_supervisor() else { return 70 };
    let Some((dead, held)) = claim(control, dir, own) else { return 0 };
    fault::register_fleet(dir, held.raw(), launch.shape.coordinators());
    let mut stamped = *control.stamped();
    stamped.owner = own;
    // The coordinator that forked this process had it from the dead supervisor.
    let marker = Marker::inherited().unwrap_or_else(|| Marker::new(&launch.id));
    let mut supervisor = Supervisor::new(launch.clone(), (control, marker), stamped, held, signals);
    supervisor.event(EventKind::Adopted, SELF, &[own.pid.into(), dead.pid.into()]);
    supervisor.report(&format!(
        "the supervisor (process {}) has died; process {} has adopted its fleet",
        dead.pid, own.pid
    ));
    supervisor.guarded.is_due = true;
    supervisor.take_stock();
    control.client_bell().wake();
    let served = match launch.owner.map(open_owner).transpose() {
        // The dead supervisor was stopping the fleet.
        _ if matches!(control.stage(), Stage::Stopping | Stage::Stopped) => Ok(super::Ending::OwnerDied),
        Err(SuperviseError::OwnerGone(_)) => Ok(super::Ending::OwnerDied),
        Err(error) => Err(error),
        Ok(owner) => {
            supervisor.owner = owner;
            // Coordinators that were starting go on by themselves.
            supervisor.set_stage(Stage::Ready);
            supervisor.serve()
        }
    };
    let report = launch.report;
    match supervisor.finish(served) {
        Ok(_) => 0,
        Err(error) => {
            report(&error.to_string());
            10
        }
    }
}

/// Makes this process the owner of the fleet, only if the owner is gone. The lock keeps others out, and ends with its
/// holder. Returns the previous owner, and the directory.
fn claim(control: Control, dir: &Path, own: Identity) -> Option<(Identity, Held)> {
    // Another directory may have its name by now.
    let held = Held::open(dir).ok().filter(|held| held.is_of(control.stamped()))?;
    let opened = held.private().ok()?;
    opened.lock(false).ok()?;
    let before = control.owner();
    if before.is_alive() || !(before.pid == 0 || before.is_gone()) {
        return None;
    }
    control.adopt(own);
    Some((before, held))
}

impl Supervisor {
    /// The process at a place: what the memory says of a living one is believed if the fleet has forked that process, which
    /// is told by nothing that another program could have written. Otherwise the memory is put right. `forked` are all such
    /// processes, with their names.
    fn proven(&mut self, index: u32, forked: &[(u32, String)]) -> Identity {
        let cell = &self.control.coordinator(index).process;
        let named = cell.identity();
        let title = PlaceId::Coordinator(index).to_string();
        let here = forked.iter().filter(|(_, name)| *name == title).filter_map(|(pid, _)| Identity::of(*pid));
        let here: Vec<Identity> = here.filter(Identity::is_alive).collect();
        // One that has just been forked has its parent's name.
        let supervisor = PlaceId::Supervisor.to_string();
        let own = std::process::id();
        let is_new = |(pid, name): &(u32, String)| *pid == named.pid && *pid != own && *name == supervisor;
        let is_named = here.contains(&named) || here.is_empty() && forked.iter().any(is_new);
        let proven = match here.first() {
            _ if is_named => return named,
            Some(here) => *here,
            None if named.pid == 0 || !named.is_alive() => return named,
            // Another process, whose number was written there.
            None => Identity { pid: 0, start_ticks: 0 },
        };
        cell.pid.store(proven.pid, Ordering::Relaxed);
        cell.start_ticks.store(proven.start_ticks, Ordering::Release);
        let found = if named.pid == proven.pid {
            Foreign::new(OwnWord::StartTicks, named.start_ticks)
        } else {
            Foreign::new(OwnWord::Pid, named.pid)
        };
        self.event(EventKind::Overwritten, index, &found.details());
        // A word that no coordinator has while it lives; it ends, or serves, by itself.
        if proven.pid != 0 && cell.life() == Life::Dead {
            cell.set_life(Life::Live);
        }
        proven
    }

    /// Finds out which coordinators are alive, by the control file and by `/proc`.
    fn take_stock(&mut self) {
        let now = now_ns();
        let mut wanted = 0;
        let is_fleets =
            |name: &str| matches!(name.parse(), Ok(PlaceId::Supervisor | PlaceId::Coordinator(_)));
        // If `/proc` cannot be read, there is no better word than that of the memory.
        let forked = guard::forked(is_fleets).ok();
        for at in 0..self.places.len() {
            let entry = self.control.coordinator(at as u32);
            let cell = &entry.process;
            let identity = match &forked {
                Some(forked) => self.proven(at as u32, forked),
                None => cell.identity(),
            };
            let retiring = entry.retire.load(Ordering::Acquire) != 0;
            let life = cell.life();
            let mut place = Place::new(at as u32);
            place.forked_ns = now;
            if identity.pid != 0 && !identity.is_gone() {
                place.state = PlaceState::Alive;
                // Its parent may have been killed before it could write that.
                cell.mark_starting();
            } else {
                place.state = match life {
                    Life::Absent | Life::Stopped => PlaceState::Vacant,
                    Life::Dead => PlaceState::Closed,
                    Life::Starting | Life::Live | Life::Replacing => PlaceState::Replacing,
                };
            }
            // A retiring coordinator is not counted as missing.
            wanted +=
                u32::from(!retiring && matches!(place.state, PlaceState::Alive | PlaceState::Replacing));
            let died = matches!(life, Life::Starting | Life::Live) && place.state == PlaceState::Replacing;
            if identity.pid != 0 && matches!(place.state, PlaceState::Alive | PlaceState::Replacing) {
                place.process = Some(self.watch(identity, false));
            }
            let lives = place.state == PlaceState::Alive;
            self.places[at] = place;
            if lives {
                self.note_place(at);
            }
            if died {
                self.expect_strays(now);
                cell.record_death(HowEnded::Unseen.raw(), now);
                cell.set_life(Life::Replacing);
                self.count_death();
                self.event(EventKind::Died, at as u32, &[identity.pid.into(), HowEnded::Unseen.raw() as u64]);
            }
        }
        self.scaling.wanted = wanted.max(1);
        // An order that its predecessor had not carried out yet counts as a new one.
        let orders = self.control.orders();
        if orders.coordinators.load(Ordering::Relaxed) != 0 {
            self.scaling.order = orders.followed.load(Ordering::Acquire);
        }
    }
}
