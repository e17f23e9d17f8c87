//! The rounds of a run against its schedule, and its latencies against its rounds.

mod one;

use std::collections::{BTreeMap, BTreeSet};

use super::agents::Deaths;
use super::calm::Calm;
use super::histogram::{Extent, counted};
use super::ranks::{self, Ranks};
use super::since::{ANSWERS_SINCE, STRAYS_SINCE};
use super::workloads::Workloads;
use super::{checkpoints::SoFar, plan};
use crate::runlog::event::{
    End, FaultStep, FormatVersion, LatencyInterval, LatencyTag, Ledger, LoadModel, Phase, PlanFacts, Round,
    TASK_FAILURES_MAX, TaskFailed,
};
use one::{answers, latencies, shares, strays};

/// Attempts are counted in a byte.
const RETRIES_MAX: u64 = 255;

/// Counts of a phase.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) rounds: u64,
    pub(super) answered: u64,
    /// Answered tasks under each coordinator, where there are several.
    pub(super) shared: Vec<u64>,
    /// Of the slowest answered task.
    pub(super) task_max_ns: Option<u64>,
    /// Of latencies, for each tag.
    latencies: [u64; 3],
    /// The same, as histograms: what they hold, and what the rounds say.
    pub(super) ranks: [Ranks; 3],
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
    /// Failed tasks that are listed, of rounds on their way: how many of each workload, in the plan's order.
    listed: BTreeMap<u64, Vec<u64>>,
    /// What a fault says of rounds that were on their way when it was injected: how many tasks they have, and when that was.
    /// No more than firings.
    hit: BTreeMap<u64, (u32, u64)>,
    /// The log has said what each worker did: no round follows.
    workers_told: bool,
    /// Tasks that a later attempt answered, and that were not taken.
    retried: u64,
    /// Of the first of these: what no death of a coordinator can have befallen.
    calm: Calm,
    refused: u64,
    /// The log says of each round when its first answer came, when its last was made, and who shared it.
    names_answers: bool,
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
            names_answers: format.has(ANSWERS_SINCE),
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
        if self.workers_told {
            return Err(format!("round {} ended after the tasks of each worker were added up", r.round));
        }
        latencies(r)?;
        shares(r, plan)?;
        if self.names_answers {
            answers(r, plan)?;
        }
        self.failures_of(r)?;
        self.hit_by_fault(r)?;
        strays(r, plan, self.names_strays)?;
        self.workloads.round(r, plan)?;
        self.number(r.round, plan)?;
        self.scheduled(r, plan)?;
        let counts = self.of(r.phase);
        counts.rounds += 1;
        counts.answered += u64::from(r.answered);
        counts.task_max_ns = counts.task_max_ns.max(r.task_max_ns);
        counts.shared.resize(r.coordinators.len().max(counts.shared.len()), 0);
        for (sum, answered) in counts.shared.iter_mut().zip(&r.coordinators) {
            *sum += u64::from(*answered);
        }
        counts.ranks[LatencyTag::Coordination as usize].known(r.finished_ns.saturating_sub(r.scheduled_ns));
        counts.ranks[LatencyTag::Task as usize].round(ranks::of_round(r));
        self.failed += u64::from(r.failed);
        self.retried += u64::from(r.retried);
        self.calm.round(r);
        self.refused += u64::from(r.causes.refused);
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

    /// Of a round that is on its way, and of a workload of the plan.
    pub(super) fn task_failed(&mut self, failed: &TaskFailed, plan: &PlanFacts) -> Result<(), String> {
        let TaskFailed { round, workload, .. } = failed;
        self.failures_listed += 1;
        let ahead = u64::from(plan.rounds_in_flight_max);
        let next = self.next.unwrap_or(*round);
        if *round >= next.saturating_add(ahead) {
            return Err(format!("a task of round {round}, which never began"));
        }
        if *round < next && !self.open.contains(round) {
            return Err(format!("a task of round {round} has failed, and that round was over"));
        }
        let planned = || plan.workloads.iter().map(|planned| Some(planned.name.as_str()));
        let of = match (plan.workloads.is_empty(), workload) {
            (true, None) => Some(0),
            _ => planned().position(|name| name == workload.as_deref()),
        };
        let Some(of) = of else {
            let name = workload.as_deref().unwrap_or("none");
            return Err(format!(
                "a task of round {round} has failed, of workload {name}, which is not planned"
            ));
        };
        let counts = self.listed.entry(*round).or_insert_with(|| vec![0; plan.workloads.len().max(1)]);
        counts[of] += 1;
        Ok(())
    }

    /// Each failed task is listed before its round is over, as long as there is room for it.
    fn failures_of(&mut self, r: &Round) -> Result<(), String> {
        let listed = self.listed.remove(&r.round).unwrap_or_default();
        let is_whole = self.failures_listed < TASK_FAILURES_MAX;
        let fits =
            |listed: u64, failed: u32| listed == u64::from(failed) || !is_whole && listed < u64::from(failed);
        let all = listed.iter().sum();
        if !fits(all, r.failed) {
            return Err(format!(
                "round {}: `failed` is {}, and {all} of its tasks are listed",
                r.round, r.failed
            ));
        }
        match r.workloads.iter().zip(&listed).find(|(part, listed)| !fits(**listed, part.failed)) {
            Some((part, listed)) => Err(format!(
                "round {}: `failed` of a workload is {}, and {listed} of its tasks are listed",
                r.round, part.failed
            )),
            None => Ok(()),
        }
    }

    /// A fault was injected while a round was on its way.
    pub(super) fn faulted(&mut self, step: &FaultStep) -> Result<(), String> {
        let Some((moment, round)) = step.moment.and_then(|moment| Some((moment, moment.round?))) else {
            return Ok(());
        };
        if self.next.is_some_and(|next| round < next) && !self.open.contains(&round) {
            return Err(format!("firing {} was injected into round {round}, which was over", step.firing));
        }
        self.hit.insert(round, (moment.tasks, step.at_ns));
        Ok(())
    }

    fn hit_by_fault(&mut self, r: &Round) -> Result<(), String> {
        match self.hit.remove(&r.round) {
            Some((tasks, at_ns)) if tasks != r.tasks || at_ns < r.started_ns => Err(format!(
                "round {} of {} tasks began at {} ns, and a fault was injected at {at_ns} ns into {tasks} tasks of it",
                r.round, r.tasks, r.started_ns
            )),
            _ => Ok(()),
        }
    }

    /// When all rounds of this segment are over: what they say of their coordinators and of attempts, against the ledger.
    pub(super) fn booked(&self, ledger: &Ledger, plan: &PlanFacts, deaths: Deaths) -> Result<(), String> {
        let of = |counts: &Counts, at: usize| counts.shared.get(at).copied().unwrap_or(0);
        for at in 0..self.warm_up.shared.len().max(self.load.shared.len()) {
            let (number, answered) = (at, of(&self.warm_up, at) + of(&self.load, at));
            let name = format!("coord/{number}");
            let booked =
                ledger.coordinators.iter().find(|row| row.name == name).map(|row| row.client.answered);
            if let Some(booked) = booked.filter(|booked| *booked < answered) {
                return Err(format!(
                    "`answered` of {name} is {booked} in the ledger, and `coordinators` of the rounds have {answered}"
                ));
            }
        }
        if !self.names_strays {
            return Ok(());
        }
        if ledger.refused > self.refused {
            return Err(format!(
                "`refused` of the ledger is {}, and the rounds have {}",
                ledger.refused, self.refused
            ));
        }
        let Some(pool) = ledger.pool else { return Ok(()) };
        // What a worker had in hand when its coordinator died, the successor hands out again and counts nowhere: one task a
        // worker. A task for any worker is handed out again, uncounted, also when its worker died and no other comes there.
        let abandoned = if plan.tasks_per_round.is_some() { deaths.workers } else { 0 };
        let taken_over = deaths.coordinators.saturating_mul(plan.workers_per_coordinator.into());
        let uncounted = taken_over.saturating_add(abandoned);
        // No closer from above: how often a task may be tried is in the scenario, and not in the plan of the log; and attempts
        // at a task that was answered in the end are counted in its round as one.
        let most = self.retried.saturating_add(self.failed).saturating_mul(RETRIES_MAX);
        if self.retried > pool.retried.saturating_add(uncounted)
            || self.calm.retried > pool.retried.saturating_add(abandoned)
            || pool.retried > most
        {
            return Err(format!(
                "`retried` of the ledger is {}, and the rounds have {} tasks that a later attempt answered and {} that failed",
                pool.retried, self.retried, self.failed
            ));
        }
        Ok(())
    }

    pub(super) fn so_far(&self) -> SoFar {
        let answered = self.warm_up.answered + self.load.answered;
        let timed = self.load.latencies[LatencyTag::Task as usize];
        SoFar { tasks: answered + self.failed, answered, of_load: self.load.answered, timed }
    }

    /// What the load holds, for the word on each worker that ends it; nothing the second time.
    pub(super) fn tell_workers(&mut self) -> Option<&Counts> {
        (!std::mem::replace(&mut self.workers_told, true)).then_some(&self.load)
    }

    /// A coordinator has died, which was seen at `seen_ns`.
    pub(super) fn coordinator_died(&mut self, seen_ns: u64) {
        self.calm.disturbed(seen_ns);
    }

    /// A sweep that began at `started_ns` has found every coordinator alive that the log knows.
    pub(super) fn all_coordinators_live(&mut self, started_ns: u64) {
        self.calm.proven(started_ns);
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
    pub(super) fn complete(&self, plan: &PlanFacts, end: &End) -> Result<(), String> {
        if let Some(open) = self.open.first().or(self.hit.keys().next()) {
            return Err(format!("round {open} is missing"));
        }
        let unwritten = end.task_failures_unwritten;
        if self.failures_listed.saturating_add(unwritten) != self.failed {
            return Err(format!(
                "{} tasks are listed as failed, `task_failures_unwritten` is {unwritten}, and the rounds have {}",
                self.failures_listed, self.failed
            ));
        }
        let rounds = self.warm_up.rounds + self.load.rounds;
        if end.rounds != rounds {
            return Err(format!("`rounds` of the end is {}, and the log has {rounds}", end.rounds));
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
