//! SIGKILL. Proven when the process with that pid and start time is gone from `/proc`.

use super::{Fault, Look, every, names};
use crate::system::{Order, Presence, Process, System, Target};

#[derive(Debug, Default)]
pub(super) struct Kill {
    killed: Vec<Process>,
}

impl Fault for Kill {
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        for target in targets {
            match system.order(Order::Kill(Target::Place(target.place))) {
                Ok(_) => self.killed.push(target.clone()),
                Err(error) if self.killed.is_empty() => return Err(error.to_string()),
                // A kill cannot be undone: what was hit is what it was injected into.
                Err(_) => {}
            }
        }
        Ok(format!("SIGKILL to {}", names(&self.killed)))
    }

    fn prove(&self, system: &dyn System) -> Look {
        every(&self.killed, "gone from /proc", |process| match system.presence(process.identity()) {
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
