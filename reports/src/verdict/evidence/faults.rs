//! Whether every declared fault happened, was shown to have happened, and was undone.

use super::{check, n, pass_or, shorten};
use crate::facts::{Facts, Firing};
use crate::units;
use crate::verdict::{Check, EvidenceResult, Verdict};

/// A fault that comes later than this was not the one that was asked for.
const LATE_NS: u64 = 1_000_000_000;

/// Only of scenarios that declare faults. A fault that was not shown proves nothing about the fleet: INCONCLUSIVE, never
/// better.
pub(super) fn proven(facts: &Facts) -> Option<EvidenceResult> {
    let declared = &facts.header.plan.faults;
    if declared.is_empty() {
        return None;
    }
    let firings = &facts.faults.firings;
    let late = |firing: &Firing| late_ns(firing, facts);
    let is_cut = |firing: &Firing| firing.reaches_into(&facts.gaps);
    let is_good = |firing: &Firing| firing.is_whole() && late(firing).is_none() && !is_cut(firing);
    let whole = firings.iter().filter(|firing| is_good(firing)).count();
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
        .filter(|(_, firing)| !is_good(firing))
        .map(|(number, firing)| {
            let what = match late(firing) {
                Some(late_ns) => format!("came {} after it was due", units::nanos(late_ns)),
                None if firing.is_whole() => {
                    "was not over at the last checkpoint of its segment, and what came later was carried out again without it".to_owned()
                }
                None => lacks(firing),
            };
            format!("`{}` (firing {number}) {what}", name(firing))
        })
        .collect();
    result.note = (!wrong.is_empty()).then(|| shorten(&wrong));
    Some(result)
}

/// By how much it came too late: then another moment of the load met it than the scenario asks for. Not told of a run in
/// several segments, whose clock goes on between them.
fn late_ns(firing: &Firing, facts: &Facts) -> Option<u64> {
    let due_ns = facts.load_start_ns().filter(|_| facts.segments == 1)?.saturating_add(firing.due_ns);
    let late_ns = firing.injected_ns?.saturating_sub(due_ns);
    (late_ns > LATE_NS).then_some(late_ns)
}

/// What stands between a firing and its proof.
fn lacks(firing: &Firing) -> String {
    match (&firing.failed, firing.injected_ns, &firing.proven) {
        (Some(why), _, _) => format!("is {why}"),
        (None, None, _) => "was never injected".to_owned(),
        (None, Some(_), None) => "was never proven".to_owned(),
        (None, Some(_), Some(_)) if firing.needs_heal() => "was never shown to be healed".to_owned(),
        (None, Some(_), Some(_)) => match firing.met_nothing() {
            Some(met) => format!("was not effective: {met}"),
            None => "was never shown to have come at its moment".to_owned(),
        },
    }
}
