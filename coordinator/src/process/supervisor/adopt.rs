//! A fleet whose supervisor has died, and the process that goes on with it.
//!
//! Its coordinators are nobody's children here: they are watched by pid and start time, through pidfds, and how
//! one of them ended is known only where the kernel tells others than the parent. Who it forks itself is its child
//! as ever.

use super::places::{Place, There};
use super::{Launch, SuperviseError, Supervisor, become_supervisor, open_owner};
use crate::bus::events::{EventKind, SELF};
use crate::bus::fault;
use crate::bus::mapping::PrivateDir;
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::process::reap::HowEnded;
use std::path::Path;

/// Becomes the supervisor of the fleet in `dir`, unless somebody is it; serves until it ends. Returns the exit
/// status.
pub fn adopt(launch: &Launch, control: Control, dir: &Path) -> i32 {
    let Ok((signals, own, _)) = become_supervisor() else { return 70 };
    let Some(dead) = claim(control, dir, own) else { return 0 };
    fault::register_fleet(dir, launch.shape.coordinators());
    let mut stamped = *control.stamped();
    stamped.owner = own;
    let mut supervisor = Supervisor::new(launch.clone(), control, stamped, dir.to_owned(), signals);
    supervisor.event(EventKind::Adopted, SELF, &[own.pid.into(), dead.pid.into()]);
    supervisor.say(&format!(
        "the supervisor, process {}, has died; process {} has adopted its fleet",
        dead.pid, own.pid
    ));
    supervisor.take_stock();
    control.client_bell().wake();
    let served = match launch.owner.map(open_owner).transpose() {
        // As it would have done.
        _ if matches!(control.stage(), Stage::Stopping | Stage::Stopped) => Ok(super::Ending::OwnerDied),
        Err(SuperviseError::OwnerGone(_)) => Ok(super::Ending::OwnerDied),
        Err(error) => Err(error),
        Ok(owner) => {
            supervisor.owner = owner;
            // Whoever was starting goes on by itself.
            supervisor.set_stage(Stage::Ready);
            supervisor.serve()
        }
    };
    let say = launch.say;
    match supervisor.finish(served) {
        Ok(_) => 0,
        Err(error) => {
            say(&error.to_string());
            10
        }
    }
}

/// The fleet is this process's from now on: once, and only if its owner is gone. The lock holds others off, and
/// ends with its holder. Who owned it before.
fn claim(control: Control, dir: &Path, own: Identity) -> Option<Identity> {
    let opened = PrivateDir::open(dir).ok()?;
    opened.lock(false).ok()?;
    let before = control.owner();
    if before.is_alive() || !(before.pid == 0 || before.is_gone()) {
        return None;
    }
    control.adopt(own);
    Some(before)
}

impl Supervisor {
    /// Who is there, by the words of the control file and by `/proc`.
    fn take_stock(&mut self) {
        let now = now_ns();
        let mut wanted = 0;
        for at in 0..self.places.len() {
            let entry = self.control.coordinator(at as u32);
            let cell = &entry.process;
            let identity = Identity {
                pid: cell.pid.load(Ordering::Acquire),
                start_ticks: cell.start_ticks.load(Ordering::Relaxed),
            };
            let retiring = entry.retire.load(Ordering::Acquire) != 0;
            let life = cell.life();
            let mut place = Place::new(at as u32);
            place.forked_ns = now;
            if identity.pid != 0 && !identity.is_gone() {
                place.there = There::Alive;
                // Its parent was killed before it could say so.
                cell.mark_starting();
            } else {
                place.there = match life {
                    Life::Absent | Life::Stopped => There::Absent,
                    Life::Dead => There::Gone,
                    Life::Starting | Life::Live | Life::Replacing => There::Replacing,
                };
            }
            // Who shall not be here is not counted as missing.
            wanted += u32::from(!retiring && matches!(place.there, There::Alive | There::Replacing));
            let died = matches!(life, Life::Starting | Life::Live) && place.there == There::Replacing;
            if identity.pid != 0 && matches!(place.there, There::Alive | There::Replacing) {
                place.process = Some(self.watch(identity, false));
            }
            self.places[at] = place;
            if died {
                cell.record_death(HowEnded::Unseen.raw(), now);
                cell.set_life(Life::Replacing);
                self.control.state().deaths.fetch_add(1, Ordering::AcqRel);
                self.event(EventKind::Died, at as u32, &[identity.pid.into(), HowEnded::Unseen.raw() as u64]);
            }
        }
        self.scaling.wanted = wanted.max(1);
        // An order that its predecessor has not carried out yet is looked at as a new one.
        let orders = self.control.orders();
        if orders.coordinators.load(Ordering::Relaxed) != 0 {
            self.scaling.order = orders.followed.load(Ordering::Acquire);
        }
    }
}
