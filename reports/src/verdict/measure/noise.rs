//! What is not the fleet's doing: a load that was late by itself, and a host that others were busy on.

use super::Measured;
use crate::criterion::{Criterion, MetricId, Scale};
use crate::facts::contention::{AtBest, OTHERS_MIN, RoundTime};
use crate::facts::{Distribution, Facts, Figure};
use crate::scope::Scope;
use crate::stats;
use crate::units;

/// A change of the share of the processors' time that others use, from the first tenth of the load to the last, beyond
/// which times are not comparable.
const BUSY_CHANGE_MAX: f64 = 0.1;
/// The same of what the hypervisor gives to others.
const STEAL_CHANGE_MAX: f64 = 0.02;

/// Beside the times as they were planned, those that the fleet is answerable for.
pub(super) fn of_the_load(measured: Measured, fleets: Measured, facts: &Facts) -> Measured {
    let own = &facts.load.fleet_time;
    if measured.fleets_own.is_some()
        || own.late_max_ns == 0
        || own.times.count() != facts.load.coordination.count()
    {
        return measured;
    }
    let (Some(all), Some(alone)) = (measured.value, fleets.value) else { return measured };
    // Microseconds between schedule and start are no lateness.
    if alone >= 0.9 * all {
        return Measured { fleets_own: Some(Box::new(fleets)), ..measured };
    }
    let note = format!(
        "the load itself was late, by up to {}: without that {}",
        units::nanos(own.late_max_ns),
        units::seconds(alone)
    );
    Measured { fleets_own: Some(Box::new(fleets)), ..measured }.noting(note)
}

/// A time over its limit in rounds during which others had the host's processors is not known to be the fleet's: it fails only
/// if it would, had those rounds been as quick as the quickest.
pub(super) fn of_others(
    measured: Measured,
    criterion: &Criterion,
    facts: &Facts,
    judged: impl Fn(&Distribution) -> Measured,
) -> Measured {
    let (Some(of), Scale::Level) = (round_time(criterion), criterion.aggregation().scale()) else {
        return measured;
    };
    let limit = criterion.threshold().value();
    let misses = |value: f64| !criterion.comparator().holds(value, limit);
    if !criterion.comparator().is_ceiling() || !measured.value.is_some_and(misses) {
        return measured;
    }
    let AtBest { times, others } = facts.contention.at_best(of, facts.end.is_some());
    // In a part of the load it is not known which rounds these are.
    if times.count() != measured.samples {
        return measured;
    }
    let best = judged(&times);
    let explains =
        best.interval.map_or(best.value, |interval| Some(interval.low)).is_some_and(|v| !misses(v));
    let note = match (others, explains) {
        (0, _) => None,
        (others, true) => Some(format!(
            "during {} the processors were busy, and other programs used more than {} of them: run it again on a quiet host",
            rounds(others),
            units::percent(OTHERS_MIN)
        )),
        (others, false) => Some(format!(
            "{} during which other programs used more than {} of the processors do not explain it",
            rounds(others),
            units::percent(OTHERS_MIN)
        )),
    };
    let best = Measured { fleets_own: measured.fleets_own, ..best };
    let measured = Measured { fleets_own: Some(Box::new(best)), ..measured };
    note.map_or(measured.clone(), |note| measured.noting(note))
}

fn rounds(count: u64) -> String {
    format!("{} round{}", units::count(count as f64), if count == 1 { "" } else { "s" })
}

/// Of the metrics with one time a round.
pub(in crate::verdict) fn round_time(criterion: &Criterion) -> Option<RoundTime> {
    if criterion.every_ns().is_some() {
        return None;
    }
    [
        (MetricId::CoordinationTime, RoundTime::Coordination),
        (MetricId::FirstAnswer, RoundTime::FirstAnswer),
        (MetricId::CompletionTime, RoundTime::Completion),
    ]
    .into_iter()
    .find_map(|(id, of)| (id == criterion.metric().id).then_some(of))
}

/// A drift while others used more of the host than before is not known to be the fleet's; nor is there none, if they used
/// more of it at the beginning.
pub(super) fn of_the_host(measured: Measured, facts: &Facts) -> Measured {
    let busy = change(Figure::OthersBusy, facts);
    let steal = change(Figure::Steal, facts);
    let more = busy.untaken > BUSY_CHANGE_MAX || steal.untaken > STEAL_CHANGE_MAX;
    let less = busy.all < -BUSY_CHANGE_MAX || steal.all < -STEAL_CHANGE_MAX;
    if !more && !less {
        return measured;
    }
    let note = format!(
        "over the same time other processes' share of the host changed by {} and stolen time by {}",
        points(if more { busy.untaken } else { busy.all }),
        points(if more { steal.untaken } else { steal.all })
    );
    let blamed = more.then(|| Box::new(Measured::nothing(0, "the host")));
    Measured { open: measured.open || less, fleets_own: blamed, ..measured }.noting(note)
}

fn points(share: f64) -> String {
    format!("{:+.1} points", share * 100.0)
}

/// From the median of the first tenth of the load to that of the last; 0 where it is not known.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    all: f64,
    /// At the end without the time in which a fault of the run's own took from the host.
    untaken: f64,
}

fn change(figure: Figure, facts: &Facts) -> Change {
    changed(figure, facts).unwrap_or_default()
}

fn changed(figure: Figure, facts: &Facts) -> Option<Change> {
    let extent_ns = facts.load_extent_ns();
    let points = facts.samples.gauge(figure, Scope::Fleet)?.medians.points(extent_ns);
    let size = stats::tenth(points.len());
    if points.len() < 2 * size {
        return None;
    }
    let median = |part: &[(u64, f64)]| stats::median(&mut part.iter().map(|p| p.1).collect::<Vec<_>>());
    let last = &points[points.len() - size..];
    let first = median(&points[..size])?;
    let mut untaken = facts.samples.untaken(figure).map_or_else(Vec::new, |it| it.points(extent_ns));
    untaken.retain(|(t_ns, _)| last.first().is_some_and(|(from_ns, _)| t_ns >= from_ns));
    Some(Change { all: median(last)? - first, untaken: median(&untaken).map_or(0.0, |it| it - first) })
}
