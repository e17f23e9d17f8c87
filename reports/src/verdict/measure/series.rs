//! Figures that are many values: percentiles, extremes, drifts and slopes.

use super::{Each, Measured};
use crate::criterion::{Aggregation, Criterion};
use crate::facts::{Distribution, Facts, Gauge, Medians, Timed, samples_needed};
use crate::stats::{self, Interval, TREND_POINTS_MIN};
use crate::units;

const NOTHING_RECORDED: &str = "no value was recorded in the load phase";

pub(super) fn times(
    aggregation: Aggregation,
    values: &Distribution,
    medians: Option<&Medians>,
    each: Each,
    facts: &Facts,
) -> Measured {
    if let (Each::Task, Some(why)) = (each, &facts.load.latency_error) {
        let unreadable = facts.load.latency_unreadable;
        return Measured::nothing(
            values.count(),
            format!("{unreadable} histograms of the log cannot be read (the first: {why})"),
        );
    }
    let samples = values.count();
    let ns = match aggregation {
        Aggregation::Max => values.max_ns().map(|ns| ns as f64),
        Aggregation::Min => values.min_ns().map(|ns| ns as f64),
        Aggregation::Mean => values.mean_ns(),
        Aggregation::Drift => return medians.map_or_else(|| has_no(aggregation), |m| drift(m, facts)),
        Aggregation::P50 | Aggregation::P90 | Aggregation::P95 | Aggregation::P99 | Aggregation::P999 => {
            let quantile = aggregation.quantile().unwrap_or(0.5);
            let needed = samples_needed(quantile);
            if samples < needed {
                return Measured::nothing(
                    samples,
                    format!("{} needs {needed} values, and there are {samples}", aggregation.name()),
                );
            }
            values.quantile_ns(quantile).map(|ns| ns as f64)
        }
        Aggregation::Whole | Aggregation::Slope | Aggregation::Growth => return has_no(aggregation),
    };
    match ns {
        Some(ns) => Measured::exact(ns / 1e9, samples),
        None => Measured::nothing(0, NOTHING_RECORDED),
    }
}

/// The worst of the windows that the criterion asks for. Windows without a value are left out; one with too few leaves
/// it open what the worst is.
pub(super) fn worst_window(criterion: &Criterion, each: Each, width: u64, facts: &Facts) -> Measured {
    let timed = if each == Each::Task { Timed::Tasks } else { Timed::Rounds };
    let aggregation = criterion.aggregation();
    let of = criterion.workload().and_then(|name| facts.workload(name));
    let kept = of.map_or_else(|| facts.load.periods(timed, width), |of| of.periods(width));
    let Some(periods) = kept else {
        return Measured::nothing(0, "no windows were kept for this criterion");
    };
    if let (Timed::Tasks, Some(why)) = (timed, &facts.load.latency_error) {
        return Measured::nothing(0, format!("histograms of the log cannot be read (the first: {why})"));
    }
    if periods.too_coarse() {
        return Measured::nothing(
            0,
            "the histograms of the log are of longer times than the windows; take longer ones",
        );
    }
    let is_over = facts.load_end_ns().is_some();
    let Some(worst) = periods.worst(aggregation, facts.load_ns(), is_over) else {
        return has_no(aggregation);
    };
    let windows = units::count(worst.windows as f64);
    match (worst.ns, worst.fewest) {
        (_, Some(fewest)) => Measured::nothing(
            worst.windows,
            format!(
                "{} needs {} values in each window, and one has {fewest}",
                aggregation.name(),
                samples_needed(aggregation.quantile().unwrap_or(0.0)),
            ),
        ),
        (Some(ns), None) => {
            Measured::exact(ns / 1e9, worst.windows).noting(format!("the worst of {windows} windows"))
        }
        (None, None) => Measured::nothing(0, format!("no window of {} is complete", units::nanos(width))),
    }
}

/// The catalogue gives no such aggregation to the metric: the grammar refuses it.
fn has_no(aggregation: Aggregation) -> Measured {
    Measured::nothing(0, format!("the metric has no `{}`", aggregation.name()))
}

pub(super) fn gauge(criterion: &Criterion, gauge: Option<&Gauge>, facts: &Facts) -> Measured {
    let Some(gauge) = gauge.filter(|g| g.count > 0) else {
        return Measured::nothing(0, format!("no sweep of the load phase has `{}`", criterion.metric_name()));
    };
    match criterion.aggregation() {
        Aggregation::Max => Measured::exact(gauge.max, gauge.count),
        Aggregation::Min => Measured::exact(gauge.min, gauge.count),
        Aggregation::Slope | Aggregation::Growth => trend(criterion, gauge, facts),
        Aggregation::Drift => drift(&gauge.medians, facts),
        Aggregation::Mean => match gauge.mean() {
            Some(mean) => Measured::exact(mean, gauge.count),
            None => Measured::nothing(0, NOTHING_RECORDED),
        },
        aggregation @ (Aggregation::Whole
        | Aggregation::P50
        | Aggregation::P90
        | Aggregation::P95
        | Aggregation::P99
        | Aggregation::P999) => has_no(aggregation),
    }
}

fn drift(medians: &Medians, facts: &Facts) -> Measured {
    let points: Vec<f64> = medians.points(facts.load_extent_ns()).iter().map(|p| p.1).collect();
    let samples = points.len() as u64;
    let window = (points.len() / 10).max(3);
    match stats::drift(&points, window) {
        Some(value) => Measured::exact(value, samples)
            .noting(format!("last {window} bucket medians over the first {window} steady ones")),
        None => Measured::nothing(
            samples,
            format!("a drift needs {TREND_POINTS_MIN} steady bucket medians, and there are {samples}"),
        ),
    }
}

/// Points in hours of the scenario's time, so that a rehearsal is held to the same slope.
pub(crate) fn trend_points(gauge: &Gauge, facts: &Facts) -> Vec<(f64, f64)> {
    let factor = facts.time_factor();
    let points = gauge.medians.points(facts.load_extent_ns());
    points.into_iter().map(|(ns, value)| (ns as f64 * factor / 3.6e12, value)).collect()
}

fn trend(criterion: &Criterion, gauge: &Gauge, facts: &Facts) -> Measured {
    let points = trend_points(gauge, facts);
    let Some(found) = stats::slope_interval(&points) else {
        return Measured::nothing(
            points.len() as u64,
            format!("a slope needs {TREND_POINTS_MIN} steady bucket medians, and there are {}", points.len()),
        );
    };
    let relative = criterion.aggregation() == Aggregation::Growth || criterion.threshold().is_relative();
    if relative && found.level <= 0.0 {
        return Measured::nothing(found.points as u64, "a share of a level of zero has no meaning");
    }
    let scale = if relative { 1.0 / found.level } else { 1.0 }
        * if criterion.aggregation() == Aggregation::Growth { found.hours } else { 1.0 };
    Measured {
        value: Some(found.slope * scale),
        interval: Some(Interval { low: found.interval.low * scale, high: found.interval.high * scale }),
        samples: found.points as u64,
        note: (found.cut > 0).then(|| format!("{} bucket medians cut as warm-up", found.cut)),
    }
}
