//! The rounds of a run against its schedule, and its latencies against its rounds.

use std::collections::BTreeSet;

use super::histogram::{Extent, counted, occurred};
use super::plan;
use super::ranks::{self, Ranks};
use super::workloads::Workloads;
use crate::runlog::event::{
    FormatVersion, LatencyInterval, LatencyTag, LoadModel, Phase, PlanFacts, Round, StrayAnswers, TaskFailed,
};

/// The minor version of the format from which on a round says whose its late and second answers were.
const STRAYS_SINCE: u16 = 5;

/// Counts of a phase.
#[derive(Debug, Default)]
struct Counts {
    rounds: u64,
    answered: u64,
    /// Of latencies, for each tag.
    latencies: [u64; 3],
    /// The same, as histograms: what they hold, and what the rounds say.
    ranks: [Ranks; 3],
    /// What the start of round 0 would be if all rounds had been of this phase. Of an open loop.
    base: Option<i128>,
}

#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Below it every round is over, except the open ones. Unknown at the begin of a segment that resumes.
    next: Option<u64>,
    /// Of this segment, the least that a number can be.
    first: Option<u64>,
    /// The greatest number of all segments.
    newest_number: Option<u64>,
    /// No more than may be in flight.
    open: BTreeSet<u64>,
    warm_up: Counts,
    load: Counts,
    warm_up_last: Option<u64>,
    load_first: Option<u64>,
    /// Number and scheduled start of the newest round, where gaps differ.
    newest: Option<(u64, u64)>,
    /// Of a closed loop.
    finished_ns: u64,
    failed: u64,
    failures_listed: u64,
    /// The log says whose each late or second answer was.
    names_strays: bool,
    pub(super) workloads: Workloads,
}

impl Rounds {
    /// The rounds of the next segment: their numbers are greater than all before. Those of the first are counted from 0.
    pub(super) fn after(before: &Self, format: FormatVersion) -> Self {
        let newest = before.newest_number.map(|number| number.saturating_add(1));
        let first = newest.or(before.first).unwrap_or(0);
        Self {
            first: Some(first),
            next: Some(first),
            newest_number: before.newest_number,
            names_strays: format.has(STRAYS_SINCE),
            ..Self::default()
        }
    }

    /// `began_ns`: when the fleet was complete.
    pub(super) fn round(&mut self, r: &Round, plan: &PlanFacts, began_ns: u64) -> Result<(), String> {
        let tasks = plan::tasks(plan);
        if !tasks.contains(&u64::from(r.tasks)) {
            let planned = match (tasks.start(), tasks.end()) {
                (least, most) if least == most => most.to_string(),
                (least, most) => format!("{least} to {most}"),
            };
            return Err(format!(
                "round {} has {} tasks, and {planned} are planned for each",
                r.round, r.tasks
            ));
        }
        if r.scheduled_ns == 0 || r.scheduled_ns < began_ns {
            return Err(format!("round {} was due before the fleet was there", r.round));
        }
        latencies(r)?;
        shares(r, plan)?;
        strays(r, plan, self.names_strays)?;
        self.workloads.round(r, plan)?;
        self.number(r.round, plan)?;
        self.scheduled(r, plan)?;
        let counts = self.of(r.phase);
        counts.rounds += 1;
        counts.answered += u64::from(r.answered);
        counts.ranks[LatencyTag::Coordination as usize].known(r.finished_ns.saturating_sub(r.scheduled_ns));
        counts.ranks[LatencyTag::Task as usize].round(ranks::of_round(r));
        self.failed += u64::from(r.failed);
        if plan.rounds_planned > 0 && self.load.rounds > plan.rounds_planned {
            return Err(format!("round {} is more than the {} planned", r.round, plan.rounds_planned));
        }
        Ok(())
    }

    fn of(&mut self, phase: Phase) -> &mut Counts {
        if phase == Phase::Load { &mut self.load } else { &mut self.warm_up }
    }

    /// Each number once, and none left out but of rounds on their way.
    fn number(&mut self, number: u64, plan: &PlanFacts) -> Result<(), String> {
        let next = *self.next.get_or_insert(number);
        self.newest_number = self.newest_number.max(Some(number));
        if number < next {
            return if self.open.remove(&number) {
                Ok(())
            } else {
                Err(format!("round {number} is counted twice"))
            };
        }
        let skipped = number - next;
        if skipped.saturating_add(self.open.len() as u64) > u64::from(plan.rounds_in_flight_max) {
            return Err(format!("round {number} is over, and those from round {next} on are missing"));
        }
        self.open.extend(next..number);
        self.next = Some(number.saturating_add(1));
        Ok(())
    }

    fn scheduled(&mut self, r: &Round, plan: &PlanFacts) -> Result<(), String> {
        match r.phase {
            Phase::Load => self.load_first = Some(self.load_first.map_or(r.round, |n| n.min(r.round))),
            Phase::Launch | Phase::WarmUp | Phase::Drain | Phase::Verify => {
                self.warm_up_last = self.warm_up_last.max(Some(r.round));
            }
        }
        if let (Some(warm_up), Some(load)) = (self.warm_up_last, self.load_first)
            && warm_up >= load
        {
            return Err(format!("round {warm_up} of the warm-up comes after round {load} of the load"));
        }
        match plan.load {
            LoadModel::Open if !plan::has_one_pace(plan) => self.in_order(r)?,
            LoadModel::Open => {
                let base = i128::from(r.scheduled_ns) - i128::from(r.round) * i128::from(plan.round_every_ns);
                if *self.of(r.phase).base.get_or_insert(base) != base {
                    return Err(format!("round {} was not due when the schedule says", r.round));
                }
            }
            LoadModel::Closed if r.scheduled_ns < self.finished_ns => {
                return Err(format!("round {} began before the one before it was back", r.round));
            }
            LoadModel::Closed => self.finished_ns = r.finished_ns,
        }
        Ok(())
    }

    /// Of rounds whose gaps differ only the order is held to the schedule.
    fn in_order(&mut self, r: &Round) -> Result<(), String> {
        let (number, scheduled_ns) = self.newest.unwrap_or((r.round, r.scheduled_ns));
        if (number < r.round) != (scheduled_ns < r.scheduled_ns) && scheduled_ns != r.scheduled_ns {
            return Err(format!("round {} was not due between its neighbours", r.round));
        }
        self.newest = self.newest.max(Some((r.round, r.scheduled_ns)));
        Ok(())
    }

    pub(super) fn task_failed(&mut self, failed: &TaskFailed, plan: &PlanFacts) -> Result<(), String> {
        self.failures_listed += 1;
        let ahead = u64::from(plan.rounds_in_flight_max);
        let begun = self.next.is_none_or(|next| failed.round < next.saturating_add(ahead));
        if begun { Ok(()) } else { Err(format!("a task of round {}, which never began", failed.round)) }
    }

    pub(super) fn latency(&mut self, interval: &LatencyInterval) -> Result<Extent, String> {
        if !matches!(interval.phase, Phase::WarmUp | Phase::Load) {
            return Err(format!("latencies of phase {:?}", interval.phase));
        }
        let (histogram, extent) = counted(&interval.histogram, interval.count, interval.max_ns)?;
        let tag = interval.tag as usize;
        let counts = self.of(interval.phase);
        counts.ranks[tag].histogram(&histogram);
        counts.latencies[tag] = counts.latencies[tag].saturating_add(interval.count);
        Ok(extent)
    }

    /// At the end of a run that was carried out in one segment.
    pub(super) fn complete(&self, plan: &PlanFacts, unwritten: u64) -> Result<(), String> {
        if let Some(open) = self.open.first() {
            return Err(format!("round {open} is missing"));
        }
        if self.failures_listed.saturating_add(unwritten) > self.failed {
            return Err(format!("more tasks are listed as failed than the {} of the rounds", self.failed));
        }
        self.warm_up_lasted(plan)?;
        self.workloads.complete(plan, self.warm_up.latencies != [0; 3])?;
        for (tag, what) in [
            (LatencyTag::Coordination, "rounds"),
            (LatencyTag::Task, "answered tasks"),
            (LatencyTag::TaskFromSend, "answered tasks"),
        ] {
            let wanted = |counts: &Counts| match tag {
                LatencyTag::Coordination => counts.rounds,
                LatencyTag::Task | LatencyTag::TaskFromSend => counts.answered,
            };
            let timed = |counts: &Counts| counts.latencies[tag as usize];
            let (load, warm_up) = (timed(&self.load), timed(&self.warm_up));
            // What no criterion rests on may be left out.
            let left_out = load == 0 && warm_up == 0 && tag != LatencyTag::Task;
            // A log has the latencies of the warm-up, or none of them.
            let without = self.warm_up.latencies == [0; 3];
            let whole = load == wanted(&self.load) && (without || warm_up == wanted(&self.warm_up));
            if !left_out && !whole {
                return Err(format!(
                    "{} and {} {what} in warm-up and load, and {warm_up} and {load} latencies of {tag:?}",
                    wanted(&self.warm_up),
                    wanted(&self.load)
                ));
            }
        }
        self.warm_up.agree().and_then(|()| self.load.agree())
    }

    /// The first round of the load was due when the warm-up was over.
    fn warm_up_lasted(&self, plan: &PlanFacts) -> Result<(), String> {
        if plan.warm_up_ns == 0 && self.warm_up.rounds > 0 {
            return Err("rounds of a warm-up that was not planned".into());
        }
        if let (Some(warm_up), Some(load), Some(first)) = (self.warm_up.base, self.load.base, self.load_first)
        {
            let lasted = load + i128::from(first) * i128::from(plan.round_every_ns) - warm_up;
            if lasted != i128::from(plan.warm_up_ns) {
                return Err(format!("the warm-up lasted {lasted} ns, and {} were planned", plan.warm_up_ns));
            }
        }
        Ok(())
    }
}

impl Counts {
    /// Histograms of as many values as the rounds have say the same of them.
    fn agree(&self) -> Result<(), String> {
        let of = |tag: LatencyTag| &self.ranks[tag as usize];
        let (task, from_send) = (of(LatencyTag::Task), of(LatencyTag::TaskFromSend));
        of(LatencyTag::Coordination).agree().map_err(|what| format!("of rounds {what}"))?;
        task.agree().map_err(|what| format!("of tasks {what}"))?;
        if from_send.within(task) {
            return Ok(());
        }
        Err("more tasks were slow from their sending than from when they were due".into())
    }
}

/// What a round says of its first answer, of the making of its last, and of who shared it.
fn shares(r: &Round, plan: &PlanFacts) -> Result<(), String> {
    let within = |ns: u64| (r.started_ns..=r.finished_ns).contains(&ns);
    if r.first_ns.is_some_and(|first| !within(first) || r.answered == 0) {
        return Err(format!("round {}: its first answer came before it began, or after its end", r.round));
    }
    if r.made_ns.is_some_and(|made| !within(made) || r.failed > 0) {
        return Err(format!("round {}: its last answer was made before it began, or after its end", r.round));
    }
    if r.retried > r.answered {
        return Err(format!(
            "round {}: more tasks were answered by a later attempt than were answered",
            r.round
        ));
    }
    let each = &r.coordinators;
    let sum: u64 = each.iter().copied().map(u64::from).sum();
    if !each.is_empty() && (each.len() != plan.coordinators as usize || sum != u64::from(r.answered)) {
        return Err(format!(
            "round {}: what its coordinators have answered is not what was answered",
            r.round
        ));
    }
    Ok(())
}

/// Whose late and second answers were adds up to how many there were.
fn strays(r: &Round, plan: &PlanFacts, are_named: bool) -> Result<(), String> {
    let sum = |of: fn(&StrayAnswers) -> u32| r.strays.iter().map(|s| u64::from(of(s))).sum::<u64>();
    let is_planned = |s: &StrayAnswers| {
        s.workload.is_none_or(|at| (at as usize) < plan.workloads.len())
            && s.coordinator.is_none_or(|number| number < plan.coordinators)
    };
    let all = (sum(|s| s.late), sum(|s| s.duplicates)) == (r.late.into(), r.duplicates.into());
    if r.strays.is_empty() && !are_named || all && r.strays.iter().all(is_planned) {
        return Ok(());
    }
    Err(format!(
        "round {}: its late and second answers are not those of the workloads and coordinators",
        r.round
    ))
}

/// A round's own latencies: there if something was answered, in order, and not longer than the round.
fn latencies(r: &Round) -> Result<(), String> {
    let (p50, p99, max) = match (r.task_p50_ns, r.task_p99_ns, r.task_max_ns) {
        (None, None, None) if r.answered == 0 => return Ok(()),
        (Some(p50), Some(p99), Some(max)) if r.answered > 0 => (p50, p99, max),
        _ => return Err(format!("round {}: its answers and its latencies do not agree", r.round)),
    };
    let took = r.finished_ns.saturating_sub(r.scheduled_ns);
    let whole = r.failed > 0 || max == took;
    let occurred = occurred(r.answered, [Some(p50), Some(p99), Some(max)]);
    if !(p50 <= p99 && p99 <= max && max <= took && whole && occurred) {
        return Err(format!("round {}: latencies that cannot be those of a round of {took} ns", r.round));
    }
    Ok(())
}
