//! What is done to a fleet on purpose, a file a fault, all of one shape: inject, prove, heal, prove healed.
//!
//! A fault is proven by other means than those that injected it: the kernel shows the effect on the process with that
//! pid and start time, or on the file system that it lies in, whatever the system says of itself. All faults here act on
//! single processes, of the fleet or of the harness, on files of the fleet, which go with it, or on mounts of a namespace of the run's own, which the kernel
//! takes down with the harness: nothing of them outlives a run. Only the directories of control groups do, if the harness is killed:
//! they are in a journal ([`undo`]).
//! Deliberately absent: when and to whom, which the plan has decided, and what a fault explains, which is for the
//! judge.

mod calls;
mod cgroup;
mod cpus;
mod disk;
mod hogs;
mod kill;
#[cfg(feature = "sabotage")]
mod lie;
mod limit;
mod offspring;
mod pause;
mod segment;
mod shm;
#[cfg(test)]
#[path = "../../coordinator/tests/suite/support/skips.rs"]
mod skips;
pub mod undo;

use crate::disk::Covers;
use crate::scenario::fault::{Action, Fault as Planned, Firing, Overwrite};
use crate::system::{Identity, Order, PlaceId, Presence, Process, System};
use reports::runlog::event::Met;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

pub(crate) use cgroup::Controller;
pub use hogs::{RESERVE_BYTES, hold_memory, keep_busy};

/// What a look at an effect shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// In words, by what.
    Shown(String),
    /// In words, what was seen instead.
    NotYet(String),
}

/// One fault in the processes that it was injected into.
pub trait Fault: fmt::Debug {
    /// In words, what was done to all of them.
    ///
    /// # Errors
    /// In words: nothing was done to the process, or what was done to some of them was undone.
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String>;

    /// Whether the effect on every process shows.
    fn prove(&self, system: &dyn System) -> Look;

    /// Begins a second look at the effect, which [`Self::lasts`] tells of. A look that takes no time needs no beginning.
    fn look_again(&mut self, system: &dyn System) {
        let _ = system;
    }

    /// How long before the heal the second look has to begin, so that it is over by then.
    fn looks_for(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the effect still shows, just before it is to be healed: what others have undone meanwhile did not last.
    /// Processes that have ended show nothing. `None` as long as the second look takes.
    fn lasts(&self, system: &dyn System) -> Option<Look> {
        Some(self.prove(system))
    }

    /// Undoes it; of processes that have ended there is nothing to undo. In words.
    ///
    /// # Errors
    /// In words, what stays.
    fn heal(&mut self, system: &mut dyn System) -> Result<String, String>;

    /// How often its effect has met the fleet, once it is healed; of an effect that is counted.
    fn met(&self) -> Option<Met> {
        None
    }

    /// What was written into words of the memory of coordinators: whose, which word, and what.
    fn written(&self) -> Vec<Overwrite> {
        Vec::new()
    }

    /// Whether no process shows the effect any more.
    fn prove_healed(&self, system: &dyn System) -> Look;
}

/// Where faults find and leave things.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Where the fleet keeps its shared memory.
    pub shm_dir: &'a Path,
    /// Where journals of what is to be undone are written.
    pub undo_dir: &'a Path,
    /// The directories whose disk can be slow, failing or full.
    pub covers: &'a Covers,
}

/// What a firing finds.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub places: Places<'a>,
    /// Memory that other faults are about to hold, in bytes: the kernel does not show it as used yet.
    pub pledged: u64,
}

/// What a firing does.
pub fn of(planned: &Planned, firing: &Firing, site: Site<'_>) -> Box<dyn Fault> {
    let fault = honest(planned, firing, site);
    #[cfg(feature = "sabotage")]
    let fault = lie::told(fault);
    fault
}

fn honest(planned: &Planned, firing: &Firing, site: Site<'_>) -> Box<dyn Fault> {
    let Places { shm_dir, undo_dir, covers } = site.places;
    match planned.action() {
        Action::Group(limit) => Box::new(cgroup::Cgroup::new(cgroup::What::Limit(limit), undo_dir)),
        Action::Oom => Box::new(cgroup::Cgroup::new(cgroup::What::Oom, undo_dir)),
        Action::Kill => Box::new(kill::Kill::by(Order::Kill, "SIGKILL")),
        Action::Stop => Box::new(kill::Kill::by(Order::Terminate, "SIGTERM")),
        Action::Pause => Box::new(pause::Pause::default()),
        Action::Limit { resource, to } => Box::new(limit::Limit::new(resource, to)),
        Action::Cpus { to } => Box::new(cpus::Cpus::new(to)),
        Action::Shm(what) => Box::new(shm::Shm::new(what, shm_dir)),
        Action::Disk(what) => {
            let disk = planned.covers().and_then(|name| covers.of(name));
            Box::new(disk::DiskHarm::new(what, firing.seed, disk))
        }
        action @ (Action::CpuHogs { .. } | Action::Memory { .. }) => {
            Box::new(hogs::Hogs::new(action, site.pledged))
        }
        action @ Action::ShmErrors { error, which } => {
            Box::new(calls::Calls::new((error, which), action.words(), firing.seed))
        }
        Action::Segment(what) => Box::new(segment::Segment::new(what, firing.words.clone())),
    }
}

/// The processes that have what was set for others, by target: whatever is in the places of the targets now, and what was
/// started below them since, which inherits it. `before` are the processes that there were then.
fn heirs<T: Copy>(
    system: &dyn System,
    targets: &[(Process, T)],
    before: &HashSet<Identity>,
) -> Vec<(Process, T)> {
    let of: HashMap<PlaceId, T> = targets.iter().map(|(target, value)| (target.place, *value)).collect();
    let above = |place: PlaceId| match place {
        PlaceId::Worker(worker) => {
            [Some(PlaceId::Coordinator(worker.coordinator)), Some(PlaceId::Supervisor)]
        }
        PlaceId::Coordinator(_) => [Some(PlaceId::Supervisor), None],
        PlaceId::Supervisor => [None, None],
    };
    let value = |process: &Process| {
        let is_new = !before.contains(&process.identity());
        let inherited = || above(process.place).into_iter().flatten().find_map(|place| of.get(&place));
        of.get(&process.place).or_else(|| is_new.then(inherited).flatten()).copied()
    };
    system
        .processes()
        .into_iter()
        .filter_map(|process| value(&process).map(|value| (process, value)))
        .filter(|(process, _)| system.presence(process.identity()) == Presence::Alive)
        .collect()
}

/// Every process that there is.
fn all(system: &dyn System) -> HashSet<Identity> {
    system.processes().iter().map(Process::identity).collect()
}

/// `coord/3 (pid 4242)`, and how many more.
fn names(targets: &[Process]) -> String {
    match targets {
        [] => "no process".to_owned(),
        [one] => format!("{} (pid {})", one.place, one.pid),
        [first, rest @ ..] => format!("{} (pid {}) and {} more", first.place, first.pid, rest.len()),
    }
}

/// Whether something holds of every process: what the first shows of which it does not. Of none, nothing is shown.
fn every(targets: &[Process], shown: &str, holds: impl Fn(&Process) -> Result<(), String>) -> Look {
    if targets.is_empty() {
        return Look::NotYet("there is no process that it was done to".to_owned());
    }
    match targets.iter().find_map(|process| holds(process).err().map(|what| (process, what))) {
        Some((process, what)) => Look::NotYet(format!("{} (pid {}) {what}", process.place, process.pid)),
        None => Look::Shown(format!("{shown}: {}", names(targets))),
    }
}

/// Whether something holds of every process that is still there, and one is: what has ended shows nothing.
fn every_living(
    targets: &[Process],
    is_alive: impl Fn(&Process) -> bool,
    shown: &str,
    holds: impl Fn(&Process) -> Result<(), String>,
) -> Look {
    if !targets.iter().any(&is_alive) {
        return Look::NotYet("none of its processes is there any more".to_owned());
    }
    every(targets, shown, |process| {
        holds(process).or_else(|why| if is_alive(process) { Err(why) } else { Ok(()) })
    })
}
