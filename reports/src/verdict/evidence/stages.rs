//! Whether the fleet had the sizes that the scenario asks for.

use super::{check, n, pass_or, shorten};
use crate::facts::Facts;
use crate::verdict::{Check, EvidenceResult, Verdict};

/// Only where the number of workers is to change.
pub(super) fn done(facts: &Facts) -> Option<EvidenceResult> {
    let plan = &facts.header.plan;
    if plan.stages.is_empty() {
        return None;
    }
    let missed = facts.samples.scaling.missed(plan);
    let done = plan.stages.len() - missed.len();
    let wanted = format!("{}, each with its workers", n(plan.stages.len() as u64));
    let mut result =
        check(Check::StagesDone, pass_or(Verdict::Inconclusive, missed.is_empty()), wanted, n(done as u64));
    result.note = (!missed.is_empty()).then(|| shorten(&missed));
    Some(result)
}
