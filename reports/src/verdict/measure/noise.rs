//! What is not the fleet's doing: a load that was late by itself, and a host that others were busy on.

use super::Measured;
use crate::criterion::{Aggregation, Criterion, MetricId, Scale};
use crate::facts::contention::{AtBest, OTHERS_MIN, RoundTime};
use crate::facts::{Distribution, Facts, Figure, Periods, Timed};
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
    values: &Distribution,
    facts: &Facts,
    judged: impl Fn(&Distribution) -> Measured,
) -> Measured {
    let Some(of) = round_time(criterion).filter(|_| misses(&measured, criterion)) else { return measured };
    let least_ns = values.min_ns().unwrap_or(0);
    let AtBest { times, others } = facts.contention.at_best(of, facts.end.is_some(), least_ns);
    // In a part of the load it is not known which rounds these are.
    if times.count() != measured.samples {
        return measured;
    }
    let things = units::things(others, if of == RoundTime::Task { "task" } else { "round" });
    let mut best = judged(&times);
    if of == RoundTime::Task {
        // Of tasks no more is known than what their rounds say, and that others' doing are no more than there are: the worse
        // of the two is what the fleet is answerable for.
        let waiting = if facts.end.is_some() { 0 } else { measured.samples - facts.contention.settled(of) };
        let fewer = judged(&values.without_greatest(others + waiting));
        let low = |one: &Measured| one.interval.map(|interval| interval.low).or(one.value);
        if low(&fewer) > low(&best) {
            best = fewer;
        }
    }
    beside(measured, best, criterion, (others, &things))
}

/// The same of windows: without those values, none of them may miss.
pub(super) fn of_others_in_windows(
    measured: Measured,
    criterion: &Criterion,
    (timed, width_ns): (Timed, u64),
    facts: &Facts,
    judged: impl Fn(&Periods) -> Measured,
) -> Measured {
    let of_tasks = timed == Timed::Tasks;
    // What a round says of its tasks is too little for other figures.
    let is_known = !of_tasks
        || matches!(criterion.aggregation(), Aggregation::Max | Aggregation::P50 | Aggregation::P99);
    if !is_known || criterion.workload().is_some() || !misses(&measured, criterion) {
        return measured;
    }
    let is_over = facts.end.is_some();
    let Some((best, others)) = facts.contention.windows_at_best(timed, width_ns, is_over) else {
        return measured;
    };
    if others == 0 && is_over {
        return measured;
    }
    let things = units::things(others, if of_tasks { "task" } else { "round" });
    beside(measured, judged(&best), criterion, (others, &things))
}

/// The same of recoveries from faults. There are so few that the quickest says nothing: those in question take no time.
pub(super) fn of_others_in_recoveries(
    measured: Measured,
    criterion: &Criterion,
    facts: &Facts,
    judged: impl Fn(&Distribution) -> Measured,
) -> Measured {
    let is_asked = criterion.metric().id == MetricId::RecoveryTime && criterion.stretch().is_none();
    if !is_asked || !misses(&measured, criterion) {
        return measured;
    }
    let (mut times, mut others) = (Distribution::default(), 0);
    for firing in &facts.faults.firings {
        let (Some(ended_ns), Some(took_ns)) = (firing.ended_ns(), firing.recovery_ns) else { continue };
        if facts.contention.covers(ended_ns.saturating_sub(took_ns), ended_ns) {
            others += 1;
        } else {
            times.record(took_ns);
        }
    }
    if others == 0 {
        return measured;
    }
    times.record_many(0, others);
    let things = units::counted(others, "recovery", "recoveries");
    beside(measured, judged(&times), criterion, (others, &things))
}

/// A value over an upper limit. Of trends, see [`of_the_host`].
fn misses(measured: &Measured, criterion: &Criterion) -> bool {
    criterion.aggregation().scale() == Scale::Level
        && criterion.comparator().is_ceiling()
        && measured
            .value
            .is_some_and(|value| !criterion.comparator().holds(value, criterion.threshold().value()))
}

/// A figure that misses, with what it is at best. `others` are so many values that others may have spoiled, and what they are.
fn beside(measured: Measured, best: Measured, criterion: &Criterion, others: (u64, &str)) -> Measured {
    let holds = |value: f64| criterion.comparator().holds(value, criterion.threshold().value());
    let explains = best.interval.map_or(best.value, |interval| Some(interval.low)).is_none_or(holds);
    let share = units::percent(OTHERS_MIN);
    let note = match (others, explains) {
        ((0, _), _) => None,
        ((_, things), true) => Some(format!(
            "during {things} the processors were busy, and other programs used more than {share} of them: run it again on a quiet host"
        )),
        ((_, things), false) => Some(format!(
            "{things} during which other programs used more than {share} of the processors do not explain it"
        )),
    };
    let best = Measured { fleets_own: measured.fleets_own, ..best };
    let measured = Measured { fleets_own: Some(Box::new(best)), ..measured };
    note.map_or(measured.clone(), |note| measured.noting(note))
}

/// Of the metrics with one time a round, or one a task.
pub(in crate::verdict) fn round_time(criterion: &Criterion) -> Option<RoundTime> {
    if criterion.every_ns().is_some() || criterion.workload().is_some() {
        return None;
    }
    [
        (MetricId::CoordinationTime, RoundTime::Coordination),
        (MetricId::FirstAnswer, RoundTime::FirstAnswer),
        (MetricId::CompletionTime, RoundTime::Completion),
        (MetricId::TaskTime, RoundTime::Task),
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
    // One kind of minus sign in all documents.
    format!("{:+.1} points", share * 100.0).replace('-', "−")
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
