//! What the criteria of a run allow, as lines in its plots.

use crate::criterion::{Criterion, MetricId, Scale};
use crate::facts::Facts;
use crate::scope::Scope;
use crate::units;

/// Bars of one plot that are shown; the criteria themselves are all in the report.
const SHOWN_MAX: usize = 3;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    /// `p99 < 1s`, with whose it is, if it is not the fleet's.
    pub(super) label: String,
    pub(super) value: f64,
}

/// Of the levels of a metric over the whole load: those of a single process or of a part of the load are not what the
/// plots show.
pub(super) fn of(facts: &Facts, metric: MetricId) -> Vec<Limit> {
    all(facts, metric, false)
}

/// Of the levels of a metric of single processes.
pub(super) fn of_each(facts: &Facts, metric: MetricId) -> Vec<Limit> {
    all(facts, metric, true)
}

fn all(facts: &Facts, metric: MetricId, each: bool) -> Vec<Limit> {
    let mut limits = Vec::new();
    for spec in &facts.header.criteria {
        let Ok(criterion) = Criterion::parse(&spec.pass) else { continue };
        let is_level = criterion.aggregation().scale() == Scale::Level;
        let of_all =
            criterion.stretch().is_none() && criterion.workload().is_none() && criterion.is_each() == each;
        if criterion.metric().id == metric && is_level && of_all {
            limits.push(limit(&criterion));
        }
    }
    limits.truncate(SHOWN_MAX);
    limits
}

fn limit(criterion: &Criterion) -> Limit {
    let scope = criterion.scope();
    let whose = if scope == Scope::Fleet { "" } else { scope.name() };
    let bar = format!("{} {}", criterion.comparator().symbol(), criterion.threshold());
    let words = [whose, criterion.aggregation().name(), &bar];
    let label = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    Limit { label, value: criterion.threshold().value() }
}

impl Limit {
    /// In words, where the plot does not reach it. `greatest` is the greatest value that it shows.
    pub(super) fn beyond(&self, greatest: f64, show: fn(f64) -> String) -> String {
        let times = self.value / greatest;
        if times.is_finite() && times > 1.0 {
            format!(
                "limit {}: {}\u{d7} the greatest value, {}",
                self.label,
                units::count(times.floor()),
                show(greatest)
            )
        } else if times < 1.0 {
            format!("limit {}, below what is shown", self.label)
        } else {
            format!("limit {}", self.label)
        }
    }
}
