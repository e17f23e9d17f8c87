//! What befell the fleet that nothing in the scenario asked for.

use super::{check, n, pass_or, shorten};
use crate::criterion::MetricId;
use crate::facts::{Facts, deaths};
use crate::verdict::{Case, Check, EvidenceResult, Verdict};

pub(super) fn no_deaths(facts: &Facts) -> EvidenceResult {
    let exits = &facts.exits_unexpected;
    let verdict = pass_or(Verdict::Fail, exits.total == 0);
    let found = match facts.exits_declared.total {
        0 => n(exits.total),
        declared => format!("{}, beside {} that faults of the scenario explain", n(exits.total), n(declared)),
    };
    let mut result = check(Check::NoDeath, verdict, "0", found);
    let who = deaths::deaths(facts);
    if !who.is_empty() {
        result.note = Some(shorten(&who));
    }
    result
}

/// What befell living processes. How many minor ones there may be is for the criterion that speaks of them, if
/// there is one. Earlier versions did not look.
pub(super) fn no_incidents(case: &Case) -> Option<EvidenceResult> {
    let facts = case.facts();
    if !facts.has(1) {
        return None;
    }
    let criterion = case.readable().find(|(_, pair)| {
        let pass = pair.pass();
        let of_all = pass.metric().id == MetricId::IncidentsMinor && pass.stretch().is_none();
        of_all && !pass.comparator().is_floor()
    });
    let (minor, critical) =
        (facts.incidents_minor, facts.incidents.total.saturating_sub(facts.incidents_minor));
    let verdict = match (critical, minor) {
        (1.., _) => Verdict::Fail,
        (0, 1..) if criterion.is_none() => Verdict::Inconclusive,
        (0, _) => Verdict::Pass,
    };
    let wanted = match criterion {
        None => "0".to_owned(),
        Some((spec, _)) => format!("0, or minor ones as the criterion `{}` allows", spec.name),
    };
    let found = match facts.incidents_declared {
        0 => n(facts.incidents.total),
        declared => {
            format!(
                "{}, beside {} that faults of the scenario explain",
                n(facts.incidents.total),
                n(declared)
            )
        }
    };
    let mut result = check(Check::NoIncident, verdict, wanted, found);
    let what: Vec<_> =
        facts.incidents.items.iter().map(|i| format!("{} (pid {}) {}", i.name, i.pid, i.how)).collect();
    if !what.is_empty() {
        result.note = Some(shorten(&what));
    }
    Some(result)
}

/// What was noticed and is in no other record. Before 2.4, an alert's severity was for its readers alone.
pub(super) fn no_alerts(facts: &Facts) -> Option<EvidenceResult> {
    if !facts.has(4) {
        return None;
    }
    let (total, critical) = (facts.alerts_grave.total, facts.alerts_critical);
    let verdict = match (critical, total) {
        (1.., _) => Verdict::Fail,
        (0, 1..) => Verdict::Inconclusive,
        (0, 0) => Verdict::Pass,
    };
    let found = match critical {
        0 => n(total),
        critical => format!("{}, {} of them critical", n(total), n(critical)),
    };
    let mut result = check(Check::NoAlert, verdict, "0, informational ones aside", found);
    let what: Vec<_> = facts.alerts_grave.items.iter().map(|alert| alert.text.clone()).collect();
    if !what.is_empty() {
        result.note = Some(shorten(&what));
    }
    Some(result)
}
