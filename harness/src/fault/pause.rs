//! SIGSTOP, and SIGCONT to heal. Proven by the state that the kernel shows.

use super::{Fault, Look, every, every_living, names};
use crate::system::{Order, Presence, Process, System, Target};

const STOPPED: &str = "state T in /proc";

#[derive(Debug, Default)]
pub(super) struct Pause {
    paused: Vec<Process>,
}

impl Fault for Pause {
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        for target in targets {
            match system.order(Order::Pause(Target::Place(target.place))) {
                Ok(_) => self.paused.push(target.clone()),
                Err(error) => {
                    // What was paused before goes on; that it does is not asked.
                    let _ = self.heal(system);
                    return Err(error.to_string());
                }
            }
        }
        Ok(format!("SIGSTOP to {}", names(&self.paused)))
    }

    fn prove(&self, system: &dyn System) -> Look {
        every(&self.paused, STOPPED, |process| is_stopped(system, process))
    }

    /// The fleet ends what makes no progress for too long, and that is the pause's doing.
    fn lasts(&self, system: &dyn System) -> Option<Look> {
        let is_alive = |process: &Process| system.presence(process.identity()) == Presence::Alive;
        if !self.paused.iter().any(is_alive) {
            return Some(Look::Shown("the fleet has ended its processes".to_owned()));
        }
        Some(every_living(&self.paused, is_alive, STOPPED, |process| is_stopped(system, process)))
    }

    fn heal(&mut self, system: &mut dyn System) -> Result<String, String> {
        let mut failed = Vec::new();
        for process in &self.paused {
            // The fleet may have ended what made no progress, and have another process in its place by now.
            let is_there = system.presence(process.identity()) == Presence::Alive;
            if is_there && let Err(error) = system.order(Order::Continue(Target::Place(process.place))) {
                failed.push(error.to_string());
            }
        }
        if failed.is_empty() {
            Ok(format!("SIGCONT to {}", names(&self.paused)))
        } else {
            Err(failed.join("; "))
        }
    }

    fn prove_healed(&self, system: &dyn System) -> Look {
        every(&self.paused, "not in state T", |process| {
            if system.is_stopped(process.identity()) { Err("is still stopped".to_owned()) } else { Ok(()) }
        })
    }
}

fn is_stopped(system: &dyn System, process: &Process) -> Result<(), String> {
    if system.is_stopped(process.identity()) { Ok(()) } else { Err("is not stopped".to_owned()) }
}
