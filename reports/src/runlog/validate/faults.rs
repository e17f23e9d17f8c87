//! Steps of declared faults: each firing of the plan once, its steps in order, into the places that it names.

use std::collections::BTreeMap;

use crate::runlog::event::{FaultStep, FaultStepKind, FiringFacts, PlanFacts};

/// The newest step of each firing; bounded by the plan.
#[derive(Debug, Default)]
pub(super) struct Faults {
    newest: BTreeMap<u32, (FaultStepKind, u64)>,
}

impl Faults {
    pub(super) fn step(&mut self, step: &FaultStep, plan: &PlanFacts) -> Result<(), String> {
        let (number, name) = (step.firing, step.step.name());
        let Some((kind, planned)) = plan
            .faults
            .iter()
            .flat_map(|fault| fault.firings.iter().map(move |planned| (fault.kind, planned)))
            .find(|(_, planned)| planned.firing == number)
        else {
            return Err(format!("firing {number} of a fault is {name}, and the plan has no such firing"));
        };
        if step.how.is_empty() {
            return Err(format!("firing {number} is {name}, and the log does not say how"));
        }
        let before = self.newest.insert(number, (step.step, step.at_ns));
        if before.is_some_and(|(_, at_ns)| step.at_ns < at_ns) {
            return Err(format!("firing {number} is {name} before its step before"));
        }
        if !follows(before.map(|(step, _)| step), step.step, kind.is_healed()) {
            let before = before.map_or("nothing", |(step, _)| step.name());
            return Err(format!("firing {number} is {name} after {before}"));
        }
        if step.step == FaultStepKind::Injected { targets(step, planned) } else { Ok(()) }
    }
}

/// Whether a step can come after another.
fn follows(before: Option<FaultStepKind>, step: FaultStepKind, heals: bool) -> bool {
    use FaultStepKind as Step;
    match step {
        Step::NotInjected | Step::Injected => before.is_none(),
        Step::Proven | Step::Unproven => before == Some(Step::Injected),
        // A run that ends heals what was not shown yet, too.
        Step::Healed => heals && matches!(before, Some(Step::Injected | Step::Proven | Step::Unproven)),
        Step::HealProven | Step::Unhealed => before == Some(Step::Healed),
    }
}

fn targets(step: &FaultStep, planned: &FiringFacts) -> Result<(), String> {
    if step.targets.is_empty() {
        return Err(format!("firing {} was injected into nothing", step.firing));
    }
    match step.targets.iter().find(|target| !planned.targets.contains(&target.name)) {
        Some(other) => {
            Err(format!("firing {} was injected into {}, which is not planned", step.firing, other.name))
        }
        None => Ok(()),
    }
}
