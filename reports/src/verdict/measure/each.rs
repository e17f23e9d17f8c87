//! The worst of single processes.
//!
//! Each process is a question of its own. With hundreds of them, some interval misses by chance: whether one is surely
//! over the limit is asked with an interval that is wide enough for all of them together (Bonferroni; Holm's first
//! step, and only the worst counts here).

use super::Measured;
use super::ask::{ask, trend_points};
use crate::criterion::{Aggregation, Criterion};
use crate::facts::{EachSpec, Facts, Process};
use crate::stats::{self, Interval, Trend};
use crate::units;
use crate::verdict::processes::figure;

/// Of a criterion with `each`.
pub(super) fn worst(criterion: &Criterion, facts: &Facts) -> Measured {
    let Some(processes) = processes(criterion, facts) else {
        return Measured::nothing(0, "no figures of single processes were kept for this criterion");
    };
    if criterion.aggregation() == Aggregation::Max {
        let most = processes.iter().max_by(|a, b| a.max.total_cmp(&b.max));
        return match most {
            Some(most) => Measured::exact(most.max, processes.len() as u64).noting(format!(
                "{}, {}",
                name(most, facts),
                among(processes.len())
            )),
            None => Measured::nothing(0, "no process of the load phase has it"),
        };
    }
    match worst_trend(&processes, criterion, facts) {
        Some(worst) => worst,
        None => Measured::nothing(
            processes.len() as u64,
            format!(
                "no process has the {} steady bucket medians that a {} needs",
                stats::TREND_POINTS_MIN,
                criterion.aggregation().name()
            ),
        ),
    }
}

/// The sum, and beside it the worst process, if that one is over the limit.
pub(super) fn beside(sum: Measured, criterion: &Criterion, facts: &Facts) -> Measured {
    let worst = processes(criterion, facts).and_then(|all| worst_trend(&all, criterion, facts));
    let limit = criterion.threshold().value();
    let is_over = |m: &Measured| match (m.value, criterion.comparator().is_floor()) {
        (Some(value), false) => value >= limit,
        (Some(value), true) => value <= limit,
        (None, _) => false,
    };
    match worst.filter(is_over) {
        // No sum, no figure: what one process shows is not the whole.
        Some(worst) if sum.value.is_some() => {
            let (Some(a), Some(b)) = (worst.interval, sum.interval) else { return sum };
            let both = if criterion.comparator().is_floor() {
                Interval { low: a.low.min(b.low), high: a.high.min(b.high) }
            } else {
                Interval { low: a.low.max(b.low), high: a.high.max(b.high) }
            };
            Measured { interval: Some(both), open: sum.open || worst.open, ..worst }
        }
        Some(_) | None => sum,
    }
}

fn processes<'a>(criterion: &Criterion, facts: &'a Facts) -> Option<Vec<&'a Process>> {
    let figure = figure(criterion.metric().id)?;
    let each = facts.samples.each(EachSpec { figure, whose: criterion.scope() })?;
    Some(each.processes().collect())
}

/// A process, its points, and what they say of it alone.
type Found<'a> = (&'a Process, Vec<(f64, f64)>, Trend);

/// `None` if no process has enough points.
fn worst_trend(processes: &[&Process], criterion: &Criterion, facts: &Facts) -> Option<Measured> {
    let floor = criterion.comparator().is_floor();
    let limit = criterion.threshold().value();
    let bad = |value: f64| if floor { -value } else { value };
    let found: Vec<Found<'_>> = processes
        .iter()
        .filter_map(|process| {
            let points = trend_points(&process.medians, facts);
            let trend = ask(criterion, &points, stats::MISS, &[]).ok()?;
            Some((*process, points, trend))
        })
        .collect();
    let many = found.len() as f64;
    let good_end = |interval: Interval| if floor { -interval.high } else { interval.low };
    let bad_end = |interval: Interval| if floor { -interval.low } else { interval.high };
    let mut worst: Option<(bool, f64, f64, &Process, &Trend)> = None;
    for (process, points, trend) in &found {
        let mut good = good_end(trend.interval);
        if good >= bad(limit) {
            // Sure alone; sure among so many?
            let sure = ask(criterion, points, stats::MISS / many, &[]).ok()?;
            good = good_end(sure.interval);
        }
        let rank = (good >= bad(limit), bad(trend.value));
        if worst.is_none_or(|(sure, value, ..)| rank > (sure, value)) {
            worst = Some((rank.0, rank.1, good, process, trend));
        }
    }
    let (_, _, good, process, trend) = worst?;
    let far = found.iter().map(|(.., t)| bad_end(t.interval)).fold(f64::NEG_INFINITY, f64::max);
    let interval =
        if floor { Interval { low: -far, high: -good } } else { Interval { low: good, high: far } };
    let open = found.iter().find_map(|(.., t)| t.open.as_ref());
    let notes = [
        Some(format!("{}, {}", name(process, facts), among(found.len()))),
        open.cloned(),
        trend.note.clone(),
    ];
    Some(Measured {
        value: Some(trend.value),
        interval: Some(interval),
        samples: found.len() as u64,
        note: Some(notes.into_iter().flatten().collect::<Vec<_>>().join("; ")),
        open: open.is_some(),
        fleets_own: None,
    })
}

fn name(process: &Process, facts: &Facts) -> String {
    let name = facts.agent_name(process.agent);
    if process.incarnation > 1 { format!("{name} (process {})", process.incarnation) } else { name }
}

fn among(processes: usize) -> String {
    format!("the worst of {} processes", units::count(processes as f64))
}
