//! Late and second answers of one workload, or of one coordinator.

use super::Source;
use crate::criterion::{Criterion, MetricId};
use crate::facts::{Counts, Facts, Stray};

/// Of all, or of one workload; `counts` are those of either.
pub(super) fn of<'a>(criterion: &Criterion, counts: &Counts, one: bool, facts: &'a Facts) -> Source<'a> {
    let metric = criterion.metric().id;
    if one {
        let named = criterion.workload().unwrap_or_default();
        let at = facts.workloads.iter().position(|w| w.facts.name == named).unwrap_or(usize::MAX);
        return count(metric, facts.strays.of_workload(at), counts.tasks);
    }
    let value = if metric == MetricId::DeliveryLate { counts.late } else { counts.duplicates };
    Source::Count { value, among: counts.tasks }
}

pub(super) fn of_coordinator(metric: MetricId, number: u32, facts: &Facts) -> Source<'_> {
    match facts.strays.of_coordinator(number) {
        Some(found) => count(metric, found, facts.load.counts.tasks),
        None => Source::Nothing(format!("the run has no coordinator {number}")),
    }
}

/// Of which it is known whose they are; where it is not known of some, the count is open.
fn count(metric: MetricId, (known, unknown): (Stray, Stray), among: u64) -> Source<'static> {
    let of = |stray: Stray| if metric == MetricId::DeliveryLate { stray.late } else { stray.duplicates };
    match of(unknown) {
        0 => Source::Count { value: of(known), among },
        unknown => Source::Nothing(format!("the log does not say whose {unknown} of these answers were")),
    }
}
