//! What a criterion's figure is in a run, and how sure that is.
//!
//! Missing or thin data is no value, and says why; the verdict makes INCONCLUSIVE of it.

use super::{Aggregation, Criterion, Kind, MetricId};
use crate::facts::{Distribution, Facts, Gauge, Windows, samples_needed};
use crate::stats::{self, Interval, TREND_POINTS_MIN};
use crate::units;

/// Bus messages of one task's round trip: client to coordinator, to worker, and the same way back.
pub const MESSAGES_PER_TASK: f64 = 4.0;

/// In base units: seconds, bytes, ratios, counts; slopes per hour of the scenario's time.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub value: Option<f64>,
    pub interval: Option<Interval>,
    /// Values that it rests on.
    pub samples: u64,
    /// Why there is no value, or what to know of it.
    pub note: Option<String>,
}

impl Measured {
    fn exact(value: f64, samples: u64) -> Self {
        Self { value: Some(value), interval: None, samples, note: None }
    }

    fn nothing(samples: u64, why: impl Into<String>) -> Self {
        Self { value: None, interval: None, samples, note: Some(why.into()) }
    }

    fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// The criterion's figure over what the facts hold so far.
pub fn evaluate(criterion: &Criterion, facts: &Facts) -> Measured {
    let metric = criterion.metric();
    match metric.kind {
        Kind::Distribution => distribution(criterion, facts),
        Kind::Gauge => gauge(criterion, facts),
        Kind::Ratio | Kind::Rate => match criterion.every_ns() {
            Some(every) => windowed(criterion, every, facts),
            None => whole(criterion, facts),
        },
        Kind::Count => count(criterion, facts),
        Kind::Value => match facts.launch_ns {
            Some(ns) => Measured::exact(ns as f64 / 1e9, 1),
            None => Measured::nothing(0, "the fleet never came up"),
        },
    }
}

fn count(criterion: &Criterion, facts: &Facts) -> Measured {
    let counts = &facts.load.counts;
    let (value, samples) = match criterion.metric().id {
        MetricId::DeliveryLate => (counts.late, counts.tasks),
        MetricId::DeliveryDuplicates => (counts.duplicates, counts.tasks),
        MetricId::DeliveryCorrupt => (counts.corrupt, counts.tasks),
        MetricId::DeliveryFailed => (counts.failed, counts.tasks),
        _ => (facts.exits_unexpected.total, facts.agents.len() as u64),
    };
    if samples == 0 {
        return Measured::nothing(0, "nothing was there to count");
    }
    Measured::exact(value as f64, samples)
}

fn whole(criterion: &Criterion, facts: &Facts) -> Measured {
    let counts = &facts.load.counts;
    let value = match criterion.metric().id {
        MetricId::DeliveryRate => counts.delivery(),
        MetricId::ThroughputTasks => facts.throughput_tasks(),
        _ => facts.throughput_tasks().map(|rate| rate * MESSAGES_PER_TASK),
    };
    match value {
        Some(value) => Measured::exact(value, counts.tasks),
        None => Measured::nothing(0, "no task in the load phase"),
    }
}

/// The worst window. Ratios leave out windows in which nothing was asked.
fn windowed(criterion: &Criterion, every_ns: u64, facts: &Facts) -> Measured {
    let ratio = criterion.metric().kind == Kind::Ratio;
    let width = (every_ns as f64 / facts.time_factor()).max(1.0) as u64;
    let Some(windows) = facts.load.windows(ratio, width) else {
        return Measured::nothing(0, "no windows were kept for this criterion");
    };
    if windows.overflowed() {
        return Measured::nothing(0, "the run has more windows than are kept; take longer ones");
    }
    let per_task =
        if criterion.metric().id == MetricId::ThroughputMessages { MESSAGES_PER_TASK } else { 1.0 };
    // While the load goes on only what is complete: the open window may still get better.
    let over = facts.load_end_ns().is_some();
    let length_ns = if over { facts.load_ns() } else { facts.load_ns() / width * width };
    let values = window_values(windows, length_ns, ratio, per_task);
    match values.iter().copied().min_by(f64::total_cmp) {
        Some(least) => Measured::exact(least, values.len() as u64)
            .noting(format!("the least of {} windows", units::count(values.len() as f64))),
        None => whole(criterion, facts).noting("no window is complete: the whole load phase instead"),
    }
}

fn window_values(windows: &Windows, length_ns: u64, ratio: bool, per_task: f64) -> Vec<f64> {
    windows
        .within(length_ns)
        .into_iter()
        .filter_map(|(covered, (part, whole))| {
            if ratio {
                (whole > 0).then(|| part as f64 / whole as f64)
            } else {
                Some(part as f64 * per_task / (covered as f64 / 1e9))
            }
        })
        .collect()
}

fn distribution(criterion: &Criterion, facts: &Facts) -> Measured {
    let load = &facts.load;
    let (values, medians): (&Distribution, _) = match criterion.metric().id {
        MetricId::CoordinationTime => (&load.coordination, Some(&load.coordination_medians)),
        MetricId::TaskTime => (&load.task, Some(&load.task_medians)),
        MetricId::LoadLateness => (&load.lateness, None),
        _ => (&facts.samples.lateness, None),
    };
    if criterion.metric().id == MetricId::TaskTime && load.latency_unreadable > 0 {
        return Measured::nothing(
            values.count(),
            format!("{} histograms of the log cannot be read", load.latency_unreadable),
        );
    }
    if let (Aggregation::Drift, Some(medians)) = (criterion.aggregation(), medians) {
        let points: Vec<f64> = medians.points(facts.load_extent_ns()).iter().map(|p| p.1).collect();
        return drift(&points);
    }
    let samples = values.count();
    let seconds = match criterion.aggregation() {
        Aggregation::Max => values.max_ns().map(|ns| ns as f64),
        Aggregation::Min => values.min_ns().map(|ns| ns as f64),
        Aggregation::Mean => values.mean_ns(),
        aggregation => {
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
    };
    match seconds {
        Some(ns) => Measured::exact(ns / 1e9, samples),
        None => Measured::nothing(0, "no value was recorded in the load phase"),
    }
}

fn gauge(criterion: &Criterion, facts: &Facts) -> Measured {
    let metric = criterion.metric();
    // The harness is not part of the fleet, and its two metrics are not scoped.
    let gauge = facts.samples.gauge(metric.id, criterion.scope()).filter(|g| g.count > 0);
    let Some(gauge) = gauge else {
        return Measured::nothing(0, format!("no sweep of the load phase has `{}`", criterion.metric_name()));
    };
    match criterion.aggregation() {
        Aggregation::Max => Measured::exact(gauge.max, gauge.count),
        Aggregation::Min => Measured::exact(gauge.min, gauge.count),
        Aggregation::Slope | Aggregation::Growth => trend(criterion, gauge, facts),
        Aggregation::Drift => {
            let points: Vec<f64> = gauge.medians.points(facts.load_extent_ns()).iter().map(|p| p.1).collect();
            drift(&points)
        }
        _ => match gauge.mean() {
            Some(mean) => Measured::exact(mean, gauge.count),
            None => Measured::nothing(0, "no value was recorded in the load phase"),
        },
    }
}

fn drift(points: &[f64]) -> Measured {
    let samples = points.len() as u64;
    let window = (points.len() / 10).max(3);
    match stats::drift(points, window) {
        Some(value) => Measured::exact(value, samples)
            .noting(format!("last {window} bucket medians over the first {window} steady ones")),
        None => Measured::nothing(
            samples,
            format!("a drift needs {TREND_POINTS_MIN} steady bucket medians, and there are {samples}"),
        ),
    }
}

/// Points in hours of the scenario's time, so that a rehearsal is held to the same slope.
pub fn trend_points(gauge: &Gauge, facts: &Facts) -> Vec<(f64, f64)> {
    let factor = facts.time_factor();
    gauge
        .medians
        .points(facts.load_extent_ns())
        .into_iter()
        .map(|(ns, value)| (ns as f64 * factor / 3.6e12, value))
        .collect()
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
