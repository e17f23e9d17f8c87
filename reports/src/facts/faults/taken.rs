//! When faults of the run's own took from the host what is not taken from single processes: its processors, or its memory.
//!
//! Their processes are in no sweep. What they used is the run's own all the same, and excuses nothing.

use std::collections::BTreeMap;

use crate::runlog::event::{FaultKind, FaultStep, FaultStepKind};

#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    /// Firings that are not shown to be healed, and when each was injected.
    open: BTreeMap<u32, u64>,
    /// When the last of all others was.
    until_ns: u64,
}

impl Taken {
    pub(super) fn step(&mut self, kind: FaultKind, step: &FaultStep) {
        if !kind.is_of_host() {
            return;
        }
        match step.step {
            FaultStepKind::Injected => {
                self.open.insert(step.firing, step.at_ns);
            }
            FaultStepKind::HealProven => {
                if self.open.remove(&step.firing).is_some() {
                    self.until_ns = self.until_ns.max(step.at_ns);
                }
            }
            // What is not shown to be gone may be there.
            FaultStepKind::NotInjected
            | FaultStepKind::Proven
            | FaultStepKind::Unproven
            | FaultStepKind::Healed
            | FaultStepKind::Unhealed
            | FaultStepKind::MomentShown
            | FaultStepKind::MomentMissed => {}
        }
    }

    /// Whether one was under way at any time between these two, of which the second is not before the newest sweep.
    pub(super) fn during(&self, from_ns: u64, to_ns: u64) -> bool {
        self.until_ns > from_ns || self.open.values().any(|injected_ns| *injected_ns < to_ns)
    }

    /// Another segment begins: what was under way ended with the one before.
    pub(super) fn resume(&mut self, t_ns: u64) {
        if !self.open.is_empty() {
            self.until_ns = self.until_ns.max(t_ns);
            self.open.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(firing: u32, step: FaultStepKind, at_ns: u64) -> FaultStep {
        FaultStep { firing, step, at_ns, targets: Vec::new(), how: String::new(), moment: None, met: None }
    }

    #[test]
    fn a_firing_takes_from_its_injection_until_its_end_is_shown() {
        let mut taken = Taken::default();
        taken.step(FaultKind::Limit, &step(0, FaultStepKind::Injected, 5));
        assert!(!taken.during(0, 10), "of single processes");
        taken.step(FaultKind::CpuHogs, &step(1, FaultStepKind::Injected, 20));
        assert!(!taken.during(10, 20) && taken.during(10, 21) && taken.during(90, 100));
        taken.step(FaultKind::CpuHogs, &step(1, FaultStepKind::Healed, 110));
        assert!(taken.during(120, 130), "it may still be there");
        taken.step(FaultKind::CpuHogs, &step(1, FaultStepKind::HealProven, 140));
        assert!(taken.during(130, 150) && !taken.during(140, 150));
        taken.step(FaultKind::Memory, &step(2, FaultStepKind::Injected, 160));
        taken.step(FaultKind::Memory, &step(2, FaultStepKind::Unhealed, 170));
        taken.resume(200);
        assert!(taken.during(180, 210) && !taken.during(200, 210));
    }
}
