//! Declared faults as rows, for the documents that people read.

use crate::facts::{Facts, Firing};
use crate::units;

/// Storms have thousands; the log lists them all.
const ROWS_MAX: usize = 50;

/// A firing in words.
pub(super) struct FaultRow {
    pub name: String,
    /// What was asked, and of whom.
    pub asked: String,
    /// On the run's clock.
    pub injected: String,
    pub proof: String,
    pub healed: String,
    pub deaths: String,
    pub hit: String,
    pub lost: String,
    pub recovery: String,
}

/// In the order of the calendar, as many as are shown, and how many are not.
pub(super) fn rows(facts: &Facts) -> (Vec<FaultRow>, usize) {
    let firings = &facts.faults.firings;
    let rows = firings.iter().take(ROWS_MAX).map(|firing| row(facts, firing)).collect();
    (rows, firings.len().saturating_sub(ROWS_MAX))
}

fn row(facts: &Facts, firing: &Firing) -> FaultRow {
    let declared = facts.header.plan.faults.get(firing.fault);
    let at = |ns: Option<u64>| ns.map_or_else(|| "—".to_owned(), units::nanos);
    let proof = match (&firing.failed, &firing.proven) {
        (Some(failed), _) => failed.clone(),
        (None, Some((at_ns, how))) => {
            let after = at_ns.saturating_sub(firing.injected_ns.unwrap_or(*at_ns));
            let met = firing.met.and_then(|met| firing.kind.met_words(met));
            let met = met.map(|met| format!("; {met}")).unwrap_or_default();
            let effect = if firing.met_nothing().is_some() { "not effective, shown " } else { "" };
            format!("{effect}after {}: {how}{met}", units::nanos(after))
        }
        (None, None) => "not proven".to_owned(),
    };
    let healed = match (firing.kind.is_healed(), firing.heal_proven_ns) {
        (false, _) => "by the fleet".to_owned(),
        (true, Some(at_ns)) => format!("at {}, shown", units::nanos(at_ns)),
        (true, None) => "not shown".to_owned(),
    };
    FaultRow {
        name: declared.map_or_else(|| "?".to_owned(), |fault| fault.name.clone()),
        asked: declared.map_or_else(String::new, |fault| fault.words.clone()),
        injected: at(firing.injected_ns),
        proof,
        healed,
        deaths: units::count(firing.deaths as f64),
        hit: units::count(firing.hit as f64),
        lost: units::count(firing.lost as f64),
        recovery: firing.recovery_ns.map_or_else(|| "not seen".to_owned(), units::nanos),
    }
}
