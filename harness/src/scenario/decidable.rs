//! Which criteria no run of a plan can decide: known before anything starts.
//!
//! One question for each criterion, [`Run::why_open`]: what of its figure will not be there, or be too little to pass by.

use super::fault::{Calendar, Fault, Firing};
use super::sampling::Sampling;
use super::unit::{duration_text, nanos};
use super::workload::{Mix, Workload};
use coordinator::config::Policy;
use reports::criterion::{Aggregation, Criterion, CriterionPair, Kind, MetricId, Side, Stretch};
use reports::facts::STEADY_NS;
use reports::runlog::event::CriterionSpec;
use reports::stats::{self, TREND_POINTS_MIN};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A criterion that no run of this plan can decide, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecidable {
    pub criterion: String,
    /// A sentence with what to do about it.
    pub note: String,
}

/// What a run of the plan will have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// Of the load, in the scenario's own time, as windows are.
    pub(super) duration: Duration,
    /// The same as it will be; shorter in a rehearsal, with firings and rounds in it.
    pub(super) rehearsed: Duration,
    pub(super) factor: f64,
    /// In the load; unknown in a closed loop.
    pub(super) rounds: Option<u64>,
    /// Of each round, at most.
    pub(super) tasks_per_round: u32,
    pub(super) sampling: &'a Sampling,
    pub(super) mix: &'a Mix,
    pub(super) faults: &'a [Fault],
    pub(super) calendar: &'a Calendar,
    pub(super) policy: &'a Policy,
    pub(super) changes_size: bool,
}

/// Those that a run could only leave INCONCLUSIVE, or could not pass whatever happens in it.
pub(super) fn undecidable(criteria: &[CriterionSpec], run: &Run<'_>) -> Vec<Undecidable> {
    let mut found = Vec::new();
    for spec in criteria {
        let Ok(pair) = CriterionPair::parse(&spec.pass, spec.conditional.as_deref()) else { continue };
        let weakest = pair.conditional().unwrap_or(pair.pass());
        if let Some(why) = run.why_open(pair.pass(), weakest) {
            let note = format!("criterion `{}` {why}", spec.name);
            found.push(Undecidable { criterion: spec.name.clone(), note });
        }
    }
    found
}

/// Of criteria with `abort` that end no run before its time. `is_scheduled`: how many rounds there will be is known.
pub(super) fn without_effect(criteria: &[CriterionSpec], is_scheduled: bool) -> Vec<String> {
    let readable = |spec: &CriterionSpec| CriterionPair::parse(&spec.pass, spec.conditional.as_deref()).ok();
    let has_none = |spec: &&CriterionSpec| {
        spec.abort && readable(spec).is_some_and(|pair| !reports::verdict::can_abort(&pair, is_scheduled))
    };
    let note = |spec: &CriterionSpec| {
        format!(
            "criterion `{}` has `abort`, and more of the run can always change its figure: it will not end the run \
             before its time",
            spec.name
        )
    };
    criteria.iter().filter(has_none).map(note).collect()
}

impl Run<'_> {
    /// Ends a sentence that begins with the criterion. `weakest` is what a run must meet at least to be decided.
    fn why_open(&self, criterion: &Criterion, weakest: &Criterion) -> Option<String> {
        self.no_window(criterion)
            .or_else(|| self.no_part(criterion))
            .or_else(|| self.few_values(criterion))
            .or_else(|| self.few_tasks(weakest))
            .or_else(|| self.no_trend(criterion))
            .or_else(|| self.no_recovery(criterion))
            .or_else(|| self.no_death(criterion))
    }

    /// None is ever complete.
    fn no_window(&self, criterion: &Criterion) -> Option<String> {
        let every_ns = criterion.every_ns().filter(|every| *every > nanos(self.duration))?;
        Some(format!(
            "asks for windows of {} and the load takes {}: no window will be complete, and it will be INCONCLUSIVE; \
             lengthen load.duration, or shorten or leave out `every`",
            duration_text(Duration::from_nanos(every_ns)),
            duration_text(self.duration),
        ))
    }

    /// The part of the load that it is about has no length. Not known where a fault waits for a moment.
    fn no_part(&self, criterion: &Criterion) -> Option<String> {
        let stretch = criterion.stretch()?;
        let firings: Vec<&Firing> = self.firings(criterion).collect();
        if firings.iter().any(|firing| firing.hold.is_some()) {
            return None;
        }
        let windows = firings.iter().map(|firing| (firing.at, firing.ends().min(self.rehearsed)));
        let begins = firings.first()?.at;
        let (mut covered_to, mut free) = (Duration::ZERO, Duration::ZERO);
        for (from, to) in windows {
            free += from.saturating_sub(covered_to);
            covered_to = covered_to.max(to);
        }
        let after = self.rehearsed.saturating_sub(covered_to);
        let left = match stretch.side {
            Side::Before => begins,
            Side::After => after,
            Side::Outside => free + after,
            // What follows a fault until all is well is part of it.
            Side::During => return None,
        };
        left.is_zero().then(|| {
            format!(
                "asks for the part of the load `{stretch}`, which is empty: it will be INCONCLUSIVE; \
                 move the fault away from that end of the load, or shorten it"
            )
        })
    }

    /// A percentile of fewer values may lie above all of them, even if none is over the limit.
    fn few_values(&self, criterion: &Criterion) -> Option<String> {
        let quantile = criterion.aggregation().quantile()?;
        let needed = stats::values_for(quantile);
        let (values, things, remedy) = self.values(criterion)?;
        let (values, whose) = match criterion.every_ns() {
            Some(every) if every < nanos(self.duration) => {
                let share = u128::from(values) * u128::from(every) / u128::from(nanos(self.duration));
                (u64::try_from(share).unwrap_or(u64::MAX), " a window")
            }
            _ => (values, ""),
        };
        (values < needed).then(|| {
            format!(
                "asks for {} of {values} {things}{whose} and needs at least {needed}: it will be INCONCLUSIVE; {remedy}",
                criterion.aggregation().name(),
            )
        })
    }

    /// How many a distribution will have, of what, and how there are more; nothing if that is not known.
    fn values(&self, criterion: &Criterion) -> Option<(u64, &'static str, &'static str)> {
        const LONGER: &str = "lengthen load.duration, shorten load.every, or ask for max";
        match criterion.metric().id {
            MetricId::CoordinationTime
            | MetricId::FirstAnswer
            | MetricId::CompletionTime
            | MetricId::LoadLateness => Some((self.rounds?, "rounds", LONGER)),
            MetricId::TaskTime => Some((self.tasks(criterion)?, "tasks", LONGER)),
            MetricId::SamplerLateness => {
                Some((self.sweeps(self.sampling.every()), "sweeps", "lengthen load.duration, or ask for max"))
            }
            MetricId::RecoveryTime | MetricId::DetectionTime => {
                Some((self.firings(criterion).count() as u64, "firings", "ask for max"))
            }
            _ => None,
        }
    }

    /// In the load at most; of one workload, as many as its weight gives it.
    fn tasks(&self, criterion: &Criterion) -> Option<u64> {
        let all = self.rounds?.saturating_mul(self.tasks_per_round.into());
        let Some(name) = criterion.workload() else { return Some(all) };
        let parts = self.mix.parts();
        let total: u64 = parts.iter().map(|part| u64::from(part.weight)).sum();
        let part = parts.iter().find(|part| part.name.as_deref() == Some(name))?;
        Some((u128::from(all) * u128::from(part.weight)).div_ceil(u128::from(total.max(1))) as u64)
    }

    /// If every task of the run is answered, so few of them do not show that the share is as high as that.
    fn few_tasks(&self, weakest: &Criterion) -> Option<String> {
        let wanted = weakest.threshold().value();
        if weakest.metric().id != MetricId::DeliveryRate || wanted >= 1.0 || !weakest.comparator().is_floor()
        {
            return None;
        }
        let tasks = self.tasks(weakest)?;
        let shown = stats::share_interval(tasks, tasks, stats::MISS_TWO).low;
        (!weakest.comparator().holds(shown, wanted)).then(|| {
            format!(
                "asks for {} of {tasks} tasks, which show no more than {} if all are answered: it will be INCONCLUSIVE; \
                 lengthen load.duration, shorten load.every, or ask for 100% of these tasks",
                weakest.threshold(),
                reports::units::percent(shown),
            )
        })
    }

    /// Slopes of loads that are shorter than an hour, and trends of figures that are read too seldom.
    fn no_trend(&self, criterion: &Criterion) -> Option<String> {
        let asked = criterion.aggregation();
        if !matches!(asked, Aggregation::Slope | Aggregation::Growth | Aggregation::Drift) {
            return None;
        }
        let needed = TREND_POINTS_MIN as u64;
        if criterion.metric().kind != Kind::Gauge {
            // One median a round at most.
            let rounds = self.rounds.filter(|rounds| *rounds < needed)?;
            return Some(format!(
                "asks for a trend of {rounds} rounds and needs at least {needed}; lengthen load.duration, or shorten \
                 load.every: it will be INCONCLUSIVE"
            ));
        }
        let every = if criterion.metric().needs_pss() { self.sampling.pss_every() } else { None };
        let sweeps = self.sweeps(every.unwrap_or(self.sampling.every()));
        if asked == Aggregation::Slope && self.duration < HOUR {
            return Some(format!(
                "asks for a rate an hour of a load of {}, and needs an hour of it at least; lengthen load.duration, \
                 or ask for growth or max: it will be INCONCLUSIVE",
                duration_text(self.duration)
            ));
        }
        (sweeps < needed).then(|| {
            format!(
                "asks for a trend of {sweeps} sweeps and needs at least {needed}; lengthen load.duration, or shorten \
                 sampling.every and sampling.pss_every: it will be INCONCLUSIVE"
            )
        })
    }

    /// The sweeps of a rehearsal come at their own pace.
    fn sweeps(&self, every: Duration) -> u64 {
        (self.duration.as_secs_f64() / (every.as_secs_f64() * self.factor).max(f64::MIN_POSITIVE)) as u64
    }

    /// Of the faults that a criterion is about.
    fn firings<'f>(&'f self, criterion: &'f Criterion) -> impl Iterator<Item = &'f Firing> {
        let named = criterion.stretch().and_then(|stretch| stretch.fault.as_deref());
        let is_meant = move |firing: &&Firing| {
            named.is_none_or(|named| self.faults.get(firing.fault).is_some_and(|fault| fault.name() == named))
        };
        self.calendar.firings().iter().filter(is_meant)
    }

    /// Recovery is seen in the load that follows it.
    fn no_recovery(&self, criterion: &Criterion) -> Option<String> {
        let of_recovery = matches!(
            criterion.metric().id,
            MetricId::RecoveryTime
                | MetricId::FaultLoss
                | MetricId::FaultDuplicates
                | MetricId::FaultTasksHit
        );
        // What follows a fault belongs to it until the fleet has recovered.
        let ends_with_it = |stretch: &Stretch| matches!(stretch.side, Side::After | Side::Outside);
        if !of_recovery && !criterion.stretch().is_some_and(ends_with_it) {
            return None;
        }
        let what = |of_fault: &str| match criterion.stretch().filter(|_| !of_recovery) {
            Some(stretch) => {
                format!("the part of the load `{stretch}`, which needs a recovery from `{of_fault}`")
            }
            None => format!("the recovery from `{of_fault}`"),
        };
        let steady = Duration::from_nanos(STEADY_NS);
        let of = |firing: &Firing| self.faults.get(firing.fault);
        if let Some(lost) = self.firings(criterion).filter_map(of).find(|fault| fault.action().is_final()) {
            return Some(format!(
                "asks for {}, from which a coordinator does not come back: it will be INCONCLUSIVE; \
                 ask for another fault's, with `during NAME`",
                what(lost.name())
            ));
        }
        let late = self.firings(criterion).find(|firing| firing.ends() + steady > self.rehearsed)?;
        Some(format!(
            "asks for {}, which ends {} after the start of the load of {}: that needs {} of load \
             after it, so it will be INCONCLUSIVE; lengthen load.duration, or let the fault end sooner",
            what(of(late).map_or("a fault", Fault::name)),
            duration_text(late.ends()),
            duration_text(self.rehearsed),
            duration_text(steady),
        ))
    }

    /// Where nothing is there that ends a process of the fleet, none is expected to end.
    fn no_death(&self, criterion: &Criterion) -> Option<String> {
        let is_deadly = |fault: &Fault| fault.action().kind().explains_deaths();
        let is_bent = |workload: &Workload| matches!(workload, Workload::Saboteur(_));
        let none = criterion.metric().id == MetricId::DeathDetection
            && !self.faults.iter().any(is_deadly)
            && !self.mix.parts().iter().any(|part| is_bent(&part.workload))
            && self.policy.recycle_after.is_none()
            && self.policy.recycle_growth.is_none()
            && !self.changes_size;
        none.then(|| {
            "asks how soon deaths are noticed, and the scenario has no fault that ends a process: it will be \
             INCONCLUSIVE; add a [[fault]] with `kind = \"kill\"`, or leave the criterion out"
                .to_owned()
        })
    }
}
