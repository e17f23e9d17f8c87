//! Whether a run should end early, because a criterion with `abort = true` cannot pass any more.

use super::judge::{compare, is_monotone};
use super::measure::{Each, Source, ask, counts_of, measure, restarts, round_time, source, trend_points};
use super::{Case, Verdict};
use crate::criterion::{Aggregation, Criterion, CriterionPair, MetricId};
use crate::facts::Facts;
use crate::stats;
use crate::units;

/// A trend must have shown itself for long before it ends a run.
const TREND_POINTS_FOR_ABORT: usize = 24;

/// The first criterion that nothing can save any more: its name, and why. `now_ns` is on the run's clock.
///
/// [`Way`] has the ways in which that is known. Other figures always can pass.
pub(super) fn cannot_pass(case: &Case, now_ns: u64) -> Option<(String, String)> {
    let facts = case.facts();
    let since = now_ns.checked_sub(facts.load_start_ns()?)?;
    case.readable().filter(|(spec, _)| spec.abort && since >= spec.grace_ns).find_map(|(spec, pair)| {
        let why = why_it_cannot_pass(pair, facts)?;
        Some((spec.name.clone(), why))
    })
}

/// How it is known of a criterion that it cannot pass any more.
enum Way {
    /// Its figure can only get worse (counts, maxima, the least window): as soon as it fails.
    OnlyWorse,
    /// Even if every task to come were answered, of a schedule of known length.
    Delivery,
    /// Even if every round to come took no time, of a schedule of known length.
    Rounds,
    /// It rises at twice its limit.
    Slope,
}

impl Way {
    fn of(weakest: &Criterion) -> Option<Self> {
        // Where a part of the load ends is known later.
        if weakest.stretch().is_some() {
            return None;
        }
        if is_monotone(weakest) {
            return Some(Self::OnlyWorse);
        }
        let id = weakest.metric().id;
        let is_one_a_round = matches!(
            id,
            MetricId::CoordinationTime
                | MetricId::FirstAnswer
                | MetricId::CompletionTime
                | MetricId::LoadLateness
        );
        let to = weakest.comparator();
        if to.is_floor() && id == MetricId::DeliveryRate {
            return Some(Self::Delivery);
        }
        if to.is_ceiling() && weakest.aggregation() == Aggregation::Slope {
            return Some(Self::Slope);
        }
        let is_quantile = weakest.aggregation().quantile().is_some();
        (to.is_ceiling() && is_one_a_round && is_quantile).then_some(Self::Rounds)
    }
}

/// Whether `abort` can end a run by this criterion at all. `is_scheduled`: how many rounds there will be is known.
pub fn can_abort(pair: &CriterionPair, is_scheduled: bool) -> bool {
    match Way::of(weakest(pair)) {
        Some(Way::OnlyWorse | Way::Slope) => true,
        Some(Way::Delivery | Way::Rounds) => is_scheduled,
        None => false,
    }
}

/// What a run must meet at least.
fn weakest(pair: &CriterionPair) -> &Criterion {
    pair.conditional().unwrap_or(pair.pass())
}

fn why_it_cannot_pass(pair: &CriterionPair, facts: &Facts) -> Option<String> {
    let weakest = weakest(pair);
    match Way::of(weakest)? {
        Way::OnlyWorse => {
            let measured = measure(weakest, facts);
            // The window that is still open may look worse than it will be.
            let settled = weakest.every_ns().is_none()
                || facts.load_ns() > 0 && open_window_is_judged_late(weakest, facts);
            let failed = settled && compare(pair, &measured) == Verdict::Fail;
            failed.then(|| format!("`{weakest}` has failed and cannot recover"))
        }
        Way::Delivery => delivery(weakest, facts),
        Way::Rounds => percentile(weakest, facts),
        Way::Slope => slope(weakest, facts),
    }
}

/// Within the first half of a window, only the complete ones are counted.
fn open_window_is_judged_late(c: &Criterion, facts: &Facts) -> bool {
    let width = (c.every_ns().unwrap_or(1) as f64 / facts.time_factor()).max(1.0) as u64;
    let into = facts.load_ns() % width;
    facts.load_ns() >= width && into.saturating_mul(2) < width
}

/// Even if every task to come were answered.
fn delivery(c: &Criterion, facts: &Facts) -> Option<String> {
    // A workload may have every task of the rounds to come.
    let all = &facts.load.counts;
    let planned = facts.header.plan.rounds_planned;
    let per_round = all.tasks.checked_div(all.rounds)?;
    let to_come = planned.checked_sub(all.rounds)? * per_round;
    let of = c.workload().and_then(|name| facts.workload(name));
    let counts = counts_of(of, facts);
    let best = (counts.answered + to_come) as f64 / (counts.tasks + to_come).max(1) as f64;
    let lost = planned > 0 && !c.comparator().holds(best, c.threshold().value());
    lost.then(|| format!("`{c}`: at best {} if every task to come is answered", units::percent(best)))
}

/// Even if every round to come took no time.
fn percentile(c: &Criterion, facts: &Facts) -> Option<String> {
    let quantile = c.aggregation().quantile()?;
    let planned = facts.header.plan.rounds_planned;
    let Source::Times { values, each: Each::Round, .. } = source(c, facts) else { return None };
    let limit_ns = (c.threshold().value() * 1e9) as u64;
    let allowed = ((1.0 - quantile) * planned.max(values.count()) as f64).ceil() as u64;
    let above = match (values.above(limit_ns), round_time(c)) {
        // Some of them may be others' doing.
        (above, Some(of)) if above > allowed => {
            let least_ns = values.min_ns().unwrap_or(0);
            facts.contention.at_best(of, false, least_ns).times.above(limit_ns)
        }
        (above, _) => above,
    };
    let lost = planned > 0 && above > allowed;
    lost.then(|| format!("`{c}`: {above} of {planned} rounds are over it, and {allowed} may be"))
}

fn slope(c: &Criterion, facts: &Facts) -> Option<String> {
    let Source::Gauge(Some(gauge)) = source(c, facts) else { return None };
    let points = trend_points(&gauge.medians, facts);
    if points.len() < TREND_POINTS_FOR_ABORT {
        return None;
    }
    let found = ask(c, &points, stats::MISS, &restarts(facts)).ok().filter(|found| found.open.is_none())?;
    let limit = c.threshold().value();
    let is_lost = found.value > 2.0 * limit && found.interval.low > limit;
    is_lost.then(|| format!("`{c}`: it rises at twice the limit and more"))
}
