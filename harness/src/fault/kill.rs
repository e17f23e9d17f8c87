//! SIGKILL, or SIGTERM. Proven when the process with that pid and start time is gone from `/proc`.

use super::{Fault, Look, every, names};
use crate::system::{Order, Presence, Process, System, Target};

#[derive(Debug)]
pub(super) struct Kill {
    order: fn(Target) -> Order,
    signal: &'static str,
    targets: Vec<Process>,
}

impl Kill {
    pub(super) fn by(order: fn(Target) -> Order, signal: &'static str) -> Self {
        Self { order, signal, targets: Vec::new() }
    }
}

impl Fault for Kill {
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        for (done, target) in targets.iter().enumerate() {
            let ordered = system.order((self.order)(Target::Place(target.place)));
            // A kill cannot be undone. One that was refused after others were not shows in the proof.
            if let (0, Err(error)) = (done, ordered) {
                return Err(error.to_string());
            }
        }
        self.targets = targets.to_vec();
        Ok(format!("{} to {}", self.signal, names(targets)))
    }

    fn prove(&self, system: &dyn System) -> Look {
        every(&self.targets, "gone from /proc", |process| match system.presence(process.identity()) {
            Presence::Alive => Err("is still there".to_owned()),
            Presence::Unknown => Err("cannot be looked up in /proc".to_owned()),
            Presence::Gone => Ok(()),
        })
    }

    fn heal(&mut self, _: &mut dyn System) -> Result<String, String> {
        Err("the dead stay dead: the fleet replaces them".to_owned())
    }

    fn prove_healed(&self, _: &dyn System) -> Look {
        Look::NotYet("is dead".to_owned())
    }
}
