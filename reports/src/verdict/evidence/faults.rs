//! Whether every declared fault happened, was shown to have happened, and was undone.

use super::{check, n, pass_or, shorten};
use crate::facts::{Facts, Firing};
use crate::verdict::{Check, EvidenceResult, Verdict};

/// Only of scenarios that declare faults. A fault that was not shown proves nothing about the fleet: INCONCLUSIVE, never
/// better.
pub(super) fn proven(facts: &Facts) -> Option<EvidenceResult> {
    let declared = &facts.header.plan.faults;
    if declared.is_empty() {
        return None;
    }
    let firings = &facts.faults.firings;
    let whole = firings.iter().filter(|firing| firing.is_whole()).count();
    let wanted =
        format!("{} injected, each shown by other means, and healed where it lasts", n(firings.len() as u64));
    let mut result = check(
        Check::FaultsProven,
        pass_or(Verdict::Inconclusive, whole == firings.len() && !firings.is_empty()),
        wanted,
        n(whole as u64),
    );
    let name = |firing: &Firing| declared.get(firing.fault).map_or("?", |fault| fault.name.as_str());
    let wrong: Vec<String> = firings
        .iter()
        .enumerate()
        .filter(|(_, firing)| !firing.is_whole())
        .map(|(number, firing)| format!("`{}` (firing {number}) {}", name(firing), lacks(firing)))
        .collect();
    result.note = (!wrong.is_empty()).then(|| shorten(&wrong));
    Some(result)
}

/// What stands between a firing and its proof.
fn lacks(firing: &Firing) -> String {
    match (&firing.failed, firing.injected_ns, &firing.proven) {
        (Some(why), _, _) => format!("is {why}"),
        (None, None, _) => "was never injected".to_owned(),
        (None, Some(_), None) => "was never proven".to_owned(),
        (None, Some(_), Some(_)) if firing.needs_heal() => "was never shown to be healed".to_owned(),
        (None, Some(_), Some(_)) => "was never shown to have come at its moment".to_owned(),
    }
}
