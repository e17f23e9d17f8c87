//! Which criteria no run of a plan can decide: known before anything starts.

use super::sampling::Sampling;
use super::unit::{duration_text, nanos};
use reports::criterion::{Aggregation, CriterionPair, Kind, MetricId};
use reports::runlog::event::CriterionSpec;
use reports::stats::TREND_POINTS_MIN;
use std::time::Duration;

/// A criterion that no run of this plan can decide, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecidable {
    pub criterion: String,
    /// A sentence with what to do about it.
    pub note: String,
}

/// Those that need more rounds than are planned, in the load or in each of its windows: a run of it could only end
/// INCONCLUSIVE. `duration` is that of the load in the scenario's own time, as windows are.
pub(super) fn undecidable(
    criteria: &[CriterionSpec],
    rounds_planned: Option<u64>,
    duration: Duration,
) -> Vec<Undecidable> {
    let Some(rounds) = rounds_planned else { return Vec::new() };
    let mut found = Vec::new();
    for spec in criteria {
        let Ok(pair) = CriterionPair::parse(&spec.pass, spec.conditional.as_deref()) else { continue };
        let criterion = pair.pass();
        let per_round = matches!(
            criterion.metric().id,
            MetricId::CoordinationTime
                | MetricId::FirstAnswer
                | MetricId::CompletionTime
                | MetricId::LoadLateness
        );
        let Some(quantile) = criterion.aggregation().quantile().filter(|_| per_round) else { continue };
        // With fewer, it may lie above all of them, even if none is over the limit.
        let needed = reports::stats::values_for(quantile);
        let (rounds, whose) = match criterion.every_ns() {
            Some(every) if every < nanos(duration) => {
                let share = u128::from(rounds) * u128::from(every) / u128::from(nanos(duration));
                (u64::try_from(share).unwrap_or(u64::MAX), " a window")
            }
            _ => (rounds, ""),
        };
        if rounds < needed {
            let note = format!(
                "criterion `{}` asks for {} of {rounds} rounds{whose} and needs at least {needed}: it will be \
                 INCONCLUSIVE; lengthen load.duration, shorten load.every, or ask for max",
                spec.name,
                criterion.aggregation().name(),
            );
            found.push(Undecidable { criterion: spec.name.clone(), note });
        }
    }
    found
}

/// Slopes of loads that are shorter than an hour, and trends of figures that are read too seldom. `duration` is in the
/// scenario's own time, as `sampling` is.
pub(super) fn trendless(
    criteria: &[CriterionSpec],
    duration: Duration,
    sampling: &Sampling,
    factor: f64,
) -> Vec<Undecidable> {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut found = Vec::new();
    for spec in criteria {
        let Ok(pair) = CriterionPair::parse(&spec.pass, spec.conditional.as_deref()) else { continue };
        let criterion = pair.pass();
        let asked = criterion.aggregation();
        let of_sweeps = criterion.metric().kind == Kind::Gauge;
        if !matches!(asked, Aggregation::Slope | Aggregation::Growth | Aggregation::Drift) || !of_sweeps {
            continue;
        }
        let every = if criterion.metric().needs_pss() { sampling.pss_every() } else { None };
        // The sweeps of a rehearsal come at their own pace.
        let every = every.unwrap_or(sampling.every()).as_secs_f64() * factor;
        let sweeps = (duration.as_secs_f64() / every.max(f64::MIN_POSITIVE)) as u64;
        let why = if asked == Aggregation::Slope && duration < HOUR {
            format!(
                "asks for a rate an hour of a load of {}, and needs an hour of it at least; lengthen load.duration, \
                 or ask for growth or max",
                duration_text(duration)
            )
        } else if sweeps < TREND_POINTS_MIN as u64 {
            format!(
                "asks for a trend of {sweeps} sweeps and needs at least {TREND_POINTS_MIN}; lengthen load.duration, \
                 or shorten sampling.every and sampling.pss_every"
            )
        } else {
            continue;
        };
        let note = format!("criterion `{}` {why}: it will be INCONCLUSIVE", spec.name);
        found.push(Undecidable { criterion: spec.name.clone(), note });
    }
    found
}

/// Those whose windows are longer than the load: none is ever complete. `duration` is in the scenario's own time,
/// as windows are.
pub(super) fn unwindowed(criteria: &[CriterionSpec], duration: Duration) -> Vec<Undecidable> {
    let mut found = Vec::new();
    for spec in criteria {
        let Ok(pair) = CriterionPair::parse(&spec.pass, spec.conditional.as_deref()) else { continue };
        let Some(every_ns) = pair.pass().every_ns().filter(|every| *every > nanos(duration)) else {
            continue;
        };
        let note = format!(
            "criterion `{}` asks for windows of {} and the load takes {}: no window will be complete, and it \
             will be INCONCLUSIVE; lengthen load.duration, or shorten or leave out `every`",
            spec.name,
            duration_text(Duration::from_nanos(every_ns)),
            duration_text(duration),
        );
        found.push(Undecidable { criterion: spec.name.clone(), note });
    }
    found
}
