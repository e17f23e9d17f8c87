//! Figures that are many values: percentiles, extremes, drifts and slopes.

use super::ask::{ask, restarts, trend_points};
use super::noise;
use super::{Each, Measured};
use crate::criterion::{Aggregation, Criterion};
use crate::facts::{Distribution, Facts, Gauge, Medians, Periods, Timed, samples_needed};
use crate::stats::{self, Interval, NoTrend, TREND_POINTS_MIN};
use crate::units;

const NOTHING_RECORDED: &str = "no value was recorded in the load phase";

pub(super) fn times(
    criterion: &Criterion,
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
    let aggregation = criterion.aggregation();
    let ns = match aggregation {
        Aggregation::Max => values.max_ns().map(|ns| ns as f64),
        Aggregation::Min => values.min_ns().map(|ns| ns as f64),
        Aggregation::Mean => values.mean_ns(),
        Aggregation::Drift => {
            return medians.map_or_else(
                || has_no(aggregation),
                |m| noise::of_the_host(trend(criterion, m, facts), facts),
            );
        }
        Aggregation::P50 | Aggregation::P90 | Aggregation::P95 | Aggregation::P99 | Aggregation::P999 => {
            let quantile = aggregation.quantile().unwrap_or(0.5);
            let needed = samples_needed(quantile);
            if samples < needed {
                return Measured::nothing(
                    samples,
                    format!("{} needs {needed} values, and there are {samples}", aggregation.name()),
                );
            }
            return percentile(values, quantile, aggregation);
        }
        Aggregation::Whole | Aggregation::Slope | Aggregation::Growth => return has_no(aggregation),
    };
    match ns {
        Some(ns) => Measured::exact(ns / 1e9, samples),
        None => Measured::nothing(0, NOTHING_RECORDED),
    }
}

/// With the values between which it lies; open above where the values are too few for an upper one.
fn percentile(values: &Distribution, quantile: f64, aggregation: Aggregation) -> Measured {
    let samples = values.count();
    let (Some(value), Some(least), Some(most)) =
        (values.quantile_ns(quantile), values.min_ns(), values.max_ns())
    else {
        return Measured::nothing(0, NOTHING_RECORDED);
    };
    let (low, high) = values.quantile_interval_ns(quantile);
    let seconds = |ns: u64| ns as f64 / 1e9;
    let interval = Interval {
        low: seconds(low.unwrap_or(least).min(value)),
        high: seconds(high.unwrap_or(most).max(value)),
    };
    let measured = Measured { interval: Some(interval), ..Measured::exact(seconds(value), samples) };
    match high {
        Some(_) => measured,
        None => Measured { open: true, ..measured }.noting(too_few(aggregation, quantile, samples)),
    }
}

fn too_few(aggregation: Aggregation, quantile: f64, samples: u64) -> String {
    format!(
        "{} of {} values may lie above all of them: it takes {} to say",
        aggregation.name(),
        units::count(samples as f64),
        units::count(stats::values_for(quantile) as f64),
    )
}

/// The worst of the windows that the criterion asks for. Windows without a value are left out; one with too few leaves
/// it open what the worst is.
pub(super) fn worst_window(criterion: &Criterion, each: Each, width: u64, facts: &Facts) -> Measured {
    let timed = timed(each);
    let of = criterion.workload().and_then(|name| facts.workload(name));
    let kept = of.map_or_else(|| facts.load.periods(timed, width), |of| of.periods(width));
    let Some(periods) = kept else {
        return Measured::nothing(0, "no windows were kept for this criterion");
    };
    if let (Timed::Tasks, Some(why)) = (timed, &facts.load.latency_error) {
        return Measured::nothing(0, format!("histograms of the log cannot be read (the first: {why})"));
    }
    of_windows(criterion, periods, width, facts)
}

/// The worst of windows that were kept.
pub(super) fn of_windows(criterion: &Criterion, periods: &Periods, width: u64, facts: &Facts) -> Measured {
    let aggregation = criterion.aggregation();
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
            let note = format!("the worst of {windows} windows");
            let interval = aggregation.quantile().map(|_| Interval {
                low: worst.low.unwrap_or(ns).min(ns) / 1e9,
                high: worst.high.unwrap_or(ns).max(ns) / 1e9,
            });
            let measured = Measured { interval, ..Measured::exact(ns / 1e9, worst.windows) };
            match (aggregation.quantile(), worst.unbounded) {
                (Some(quantile), Some(fewest)) => Measured { open: true, ..measured }
                    .noting(format!("{note}; {}", too_few(aggregation, quantile, fewest))),
                _ => measured.noting(note),
            }
        }
        (None, None) => Measured::nothing(0, format!("no window of {} is complete", units::nanos(width))),
    }
}

/// Whose times are in the windows of such values.
pub(super) fn timed(each: Each) -> Timed {
    if each == Each::Task { Timed::Tasks } else { Timed::Rounds }
}

/// The catalogue gives no such aggregation to the metric: the grammar refuses it.
fn has_no(aggregation: Aggregation) -> Measured {
    Measured::nothing(0, format!("the metric has no `{}`", aggregation.name()))
}

pub(super) fn gauge(criterion: &Criterion, gauge: Option<&Gauge>, facts: &Facts) -> Measured {
    if criterion.is_each() {
        return super::each::worst(criterion, facts);
    }
    let Some(gauge) = gauge.filter(|g| g.count > 0) else {
        return Measured::nothing(0, format!("no sweep of the load phase has `{}`", criterion.metric_name()));
    };
    match criterion.aggregation() {
        Aggregation::Max => Measured::exact(gauge.max, gauge.count),
        Aggregation::Min => Measured::exact(gauge.min, gauge.count),
        Aggregation::Slope | Aggregation::Growth | Aggregation::Drift => {
            let sum = trend(criterion, &gauge.medians, facts);
            if criterion.asks_each() { super::each::beside(sum, criterion, facts) } else { sum }
        }
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

fn trend(criterion: &Criterion, medians: &Medians, facts: &Facts) -> Measured {
    let points = trend_points(medians, facts);
    let found = match ask(criterion, &points, stats::MISS, &restarts(facts)) {
        Ok(found) => found,
        Err(NoTrend::Few(points)) => {
            let name = criterion.aggregation().name();
            return Measured::nothing(
                points as u64,
                format!("a {name} needs {TREND_POINTS_MIN} steady bucket medians, and there are {points}"),
            );
        }
        Err(NoTrend::NoLevel) => {
            return Measured::nothing(points.len() as u64, "a share of a level of zero has no meaning");
        }
    };
    let cut = (found.cut > 0).then(|| format!("{} bucket medians cut as warm-up", found.cut));
    let notes: Vec<String> = [found.open.clone(), found.note, cut].into_iter().flatten().collect();
    Measured {
        value: Some(found.value),
        interval: Some(found.interval),
        samples: found.points as u64,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        open: found.open.is_some(),
        fleets_own: None,
    }
}
