//! Steps of declared faults: each firing of the plan once, its steps in order, into the places that it names.

use std::collections::{BTreeMap, BTreeSet};

use crate::runlog::event::{FaultFacts, FaultStep, FaultStepKind, FiringFacts, PlanFacts};

/// The newest step of each firing, and where the plan has it; bounded by the plan.
#[derive(Debug, Default)]
pub(super) struct Faults {
    newest: BTreeMap<u32, (FaultStepKind, u64)>,
    /// Firings whose moment was shown or missed.
    moments: BTreeSet<u32>,
    /// Fault and firing by number: a storm has thousands, and four steps of each.
    places: BTreeMap<u32, (usize, usize)>,
}

impl Faults {
    pub(super) fn step(&mut self, step: &FaultStep, plan: &PlanFacts) -> Result<(), String> {
        let (number, name) = (step.firing, step.step.name());
        if self.places.is_empty() {
            self.places = places(plan);
        }
        let Some(fault) = self.places.get(&number).and_then(|(fault, _)| plan.faults.get(*fault)) else {
            return Err(format!("firing {number} of a fault is {name}, and the plan has no such firing"));
        };
        let planned = &fault.firings[self.places[&number].1];
        if step.how.is_empty() {
            return Err(format!("firing {number} is {name}, and the log does not say how"));
        }
        if matches!(step.step, FaultStepKind::MomentShown | FaultStepKind::MomentMissed) {
            return self.moment(step, planned);
        }
        let before = self.newest.insert(number, (step.step, step.at_ns));
        if before.is_some_and(|(_, at_ns)| step.at_ns < at_ns) {
            return Err(format!("firing {number} is {name} before its step before"));
        }
        if !follows(before.map(|(step, _)| step), step.step, fault.kind.is_healed()) {
            let before = before.map_or("nothing", |(step, _)| step.name());
            return Err(format!("firing {number} is {name} after {before}"));
        }
        if step.step != FaultStepKind::Injected {
            return Ok(());
        }
        if step.moment.map(|seen| seen.moment) != planned.moment.map(|planned| planned.moment) {
            return Err(format!("firing {number} was injected at another moment than is planned"));
        }
        targets(step, planned)
    }

    /// Once, of a firing that was injected and waited for a moment.
    fn moment(&mut self, step: &FaultStep, planned: &FiringFacts) -> Result<(), String> {
        let (number, name) = (step.firing, step.step.name());
        let newest = self.newest.get(&number);
        let is_injected = newest.is_some_and(|(step, _)| *step != FaultStepKind::NotInjected);
        if planned.moment.is_none() || !is_injected || !self.moments.insert(number) {
            return Err(format!("firing {number} is {name}, and there is no moment of it to show"));
        }
        Ok(())
    }
}

fn places(plan: &PlanFacts) -> BTreeMap<u32, (usize, usize)> {
    let of_fault = |(fault, facts): (usize, &FaultFacts)| {
        let firings = facts.firings.iter().enumerate();
        firings.map(|(at, planned)| (planned.firing, (fault, at))).collect::<Vec<_>>()
    };
    plan.faults.iter().enumerate().flat_map(of_fault).collect()
}

/// Whether a step can come after another.
fn follows(before: Option<FaultStepKind>, step: FaultStepKind, heals: bool) -> bool {
    use FaultStepKind as Step;
    // A run that ends heals what was not shown yet, too.
    let is_under_way = matches!(before, Some(Step::Injected | Step::Proven | Step::Unproven));
    match step {
        Step::NotInjected | Step::Injected => before.is_none(),
        Step::Proven | Step::Unproven => before == Some(Step::Injected),
        Step::Healed => heals && is_under_way,
        Step::HealProven => before == Some(Step::Healed),
        // From format 2.8 on also instead of `healed`: the heal itself failed.
        Step::Unhealed => before == Some(Step::Healed) || heals && is_under_way,
        // These come at any time after the injection, and are checked before.
        Step::MomentShown | Step::MomentMissed => false,
    }
}

fn targets(step: &FaultStep, planned: &FiringFacts) -> Result<(), String> {
    if step.targets.is_empty() && !planned.targets.is_empty() {
        return Err(format!("firing {} was injected into nothing", step.firing));
    }
    match step.targets.iter().find(|target| !planned.targets.contains(&target.name)) {
        Some(other) => {
            Err(format!("firing {} was injected into {}, which is not planned", step.firing, other.name))
        }
        None => Ok(()),
    }
}
