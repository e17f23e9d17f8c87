//! What `slope`, `growth` and `drift` ask of a series, in the statistics' own terms.

use crate::criterion::{Aggregation, Criterion, Unit};
use crate::facts::{Facts, Medians};
use crate::stats::{self, Asked, NoTrend, Question, Trend};

/// Points in hours of the scenario's time, so that a rehearsal is held to the same slope.
pub(crate) fn trend_points(medians: &Medians, facts: &Facts) -> Vec<(f64, f64)> {
    let factor = facts.time_factor();
    let points = medians.points(facts.load_extent_ns());
    points.into_iter().map(|(ns, value)| (hours(ns, factor), value)).collect()
}

fn hours(ns: u64, factor: f64) -> f64 {
    ns as f64 * factor / 3.6e12
}

/// The least step that values of a metric can make, in its base unit.
fn quantum(unit: Unit) -> f64 {
    match unit {
        // A page.
        Unit::Bytes => 4096.0,
        Unit::Count => 1.0,
        Unit::Seconds => 1e-6,
        // The kernel counts CPU time in hundredths of a second.
        Unit::Cores | Unit::OfOneCore | Unit::PerSecond => 0.01,
        Unit::Share | Unit::OfMean => 1e-4,
    }
}

/// When processes of the fleet were replaced: falls of their sums are no recovery then.
pub(crate) fn restarts(facts: &Facts) -> Vec<f64> {
    let factor = facts.time_factor();
    facts.samples.restarts.iter().map(|at_ns| hours(facts.spans.since_start(*at_ns), factor)).collect()
}

/// What `slope`, `growth` and `drift` ask of a series. `restarts` are those of a sum; a single process has none.
pub(crate) fn ask(
    criterion: &Criterion,
    points: &[(f64, f64)],
    miss: f64,
    restarts: &[f64],
) -> Result<Trend, NoTrend> {
    stats::trend(&Question {
        points,
        asked: if criterion.aggregation() == Aggregation::Growth {
            Asked::Growth
        } else if criterion.aggregation() == Aggregation::Drift {
            Asked::Drift
        } else {
            Asked::Slope
        },
        relative: criterion.threshold().is_relative(),
        limit: criterion.threshold().value(),
        falling: criterion.comparator().is_floor(),
        quantum: quantum(criterion.metric().unit),
        miss,
        restarts,
    })
}
