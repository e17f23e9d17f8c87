//! What declared faults did, and what they cost.

use super::{Each, Source};
use crate::facts::{Distribution, Facts, FaultFacts, STEADY_NS};
use crate::units;

pub(super) fn recovery(faults: &FaultFacts) -> Source<'_> {
    when_over(faults, || times(&faults.recovery))
}

pub(super) fn detection(faults: &FaultFacts) -> Source<'_> {
    none_declared(faults).unwrap_or_else(|| times(&faults.detection))
}

pub(super) fn loss(faults: &FaultFacts) -> Source<'_> {
    when_over(faults, || count(faults, faults.lost))
}

/// An earlier version did not count them.
pub(super) fn tasks_hit(facts: &Facts) -> Source<'_> {
    let faults = &facts.faults;
    if !facts.has(5) {
        return Source::Count { value: 0, among: 0 };
    }
    when_over(faults, || count(faults, faults.hit))
}

pub(super) fn duplicates(faults: &FaultFacts) -> Source<'_> {
    when_over(faults, || count(faults, faults.duplicates))
}

fn times(values: &Distribution) -> Source<'_> {
    Source::Times { values, medians: None, each: Each::Firing }
}

fn count(faults: &FaultFacts, value: u64) -> Source<'static> {
    Source::Count { value, among: faults.firings.len() as u64 }
}

fn none_declared(faults: &FaultFacts) -> Option<Source<'_>> {
    faults.firings.is_empty().then(|| Source::Nothing("the scenario declares no fault".to_owned()))
}

/// What a fault has cost is known when it is over.
fn when_over<'a>(faults: &'a FaultFacts, then: impl FnOnce() -> Source<'a>) -> Source<'a> {
    if let Some(nothing) = none_declared(faults) {
        return nothing;
    }
    match faults.unrecovered() {
        0 => then(),
        open => Source::Nothing(format!(
            "{} of {} firings of faults were not seen to the end of their recovery, which takes {} of load without a failed task",
            units::count(open as f64),
            units::count(faults.firings.len() as f64),
            units::nanos(STEADY_NS)
        )),
    }
}
