//! Faults that lie, for the tests of what proves them. Compiled in with the feature `sabotage` only: the environment says
//! which lie.

use super::{Fault, Look};
use crate::scenario::fault::Overwrite;
use crate::system::{Process, System};
use reports::runlog::event::Met;
use std::time::Duration;

/// `no-injection` or `no-heal`.
const VARIABLE: &str = "HARNESS_SABOTAGE";

/// What is said to be done, and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    Injection,
    Heal,
}

#[derive(Debug)]
struct Liar {
    fault: Box<dyn Fault>,
    lie: Lie,
}

/// The fault, or if the environment asks for it, one that says that it has done what it has not.
pub(super) fn told(fault: Box<dyn Fault>) -> Box<dyn Fault> {
    let lie = match std::env::var(VARIABLE).as_deref() {
        Ok("no-injection") => Lie::Injection,
        Ok("no-heal") => Lie::Heal,
        _ => return fault,
    };
    Box::new(Liar { fault, lie })
}

impl Fault for Liar {
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        if self.lie == Lie::Injection {
            return Ok("a lie".to_owned());
        }
        self.fault.inject(system, targets)
    }

    fn prove(&self, system: &dyn System) -> Look {
        self.fault.prove(system)
    }

    fn look_again(&mut self, system: &dyn System) {
        self.fault.look_again(system);
    }

    fn looks_for(&self) -> Duration {
        self.fault.looks_for()
    }

    fn lasts(&self, system: &dyn System) -> Option<Look> {
        self.fault.lasts(system)
    }

    fn heal(&mut self, system: &mut dyn System) -> Result<String, String> {
        if self.lie == Lie::Heal {
            return Ok("a lie".to_owned());
        }
        self.fault.heal(system)
    }

    fn met(&self) -> Option<Met> {
        self.fault.met()
    }

    fn written(&self) -> Vec<Overwrite> {
        self.fault.written()
    }

    fn prove_healed(&self, system: &dyn System) -> Look {
        self.fault.prove_healed(system)
    }
}
