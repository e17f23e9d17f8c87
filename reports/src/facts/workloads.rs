//! The figures of each workload of a mix, as [`super::LoadFacts`] has them of all tasks together.

use super::distribution::{Distribution, decode};
use super::load::{Counts, Over, Timed, WindowSpec, Windowed, bucket_ns};
use super::periods::Periods;
use super::series::{Medians, Windows};
use super::spans::Spans;
use crate::runlog::event::{Phase, PlanFacts, Round, WorkloadFacts, WorkloadLatency, WorkloadRound};

/// One workload. Its counts leave out what no answer says of its workload: late and second answers, and answers whose
/// times cannot be true.
#[derive(Debug, Clone)]
pub struct WorkloadLoad {
    /// As the plan has it.
    pub facts: WorkloadFacts,
    /// Of the load phase.
    pub counts: Counts,
    pub warm_up: Counts,
    /// Of answered tasks, from the scheduled start of their round.
    pub task: Distribution,
    /// Medians over time, in seconds, for drift.
    pub task_medians: Medians,
    windows: Vec<(Over, Windows)>,
    /// Of times.
    periods: Vec<Periods>,
}

impl WorkloadLoad {
    fn new(facts: &WorkloadFacts, plan: &PlanFacts, factor: f64, windows: &[WindowSpec]) -> Self {
        let bucket = bucket_ns(plan.duration_ns, factor).max(plan.round_every_ns);
        Self {
            facts: facts.clone(),
            counts: Counts::default(),
            warm_up: Counts::default(),
            task: Distribution::default(),
            task_medians: Medians::new(bucket),
            windows: windows
                .iter()
                .filter_map(|w| match w.of {
                    Windowed::Answered(over) => Some((over, over.windows(w.width_ns, plan.duration_ns))),
                    Windowed::Times(_) => None,
                })
                .collect(),
            periods: windows
                .iter()
                .filter(|w| w.of == Windowed::Times(Timed::Tasks))
                .map(|w| Periods::new(w.width_ns))
                .collect(),
        }
    }

    /// The windows of this width, over tasks (ratios) or over time (rates).
    pub fn windows(&self, over: Over, width_ns: u64) -> Option<&Windows> {
        self.windows.iter().find(|w| w.0 == over && w.1.width_ns() == width_ns).map(|w| &w.1)
    }

    /// Times of its tasks in windows of this width.
    pub fn periods(&self, width_ns: u64) -> Option<&Periods> {
        self.periods.iter().find(|periods| periods.width_ns() == width_ns)
    }

    fn push(&mut self, round: &Round, part: &WorkloadRound, spans: &Spans) {
        let counts = if round.phase == Phase::Load { &mut self.counts } else { &mut self.warm_up };
        counts.rounds += u64::from(part.tasks > 0);
        counts.tasks += u64::from(part.tasks);
        counts.answered += u64::from(part.answered);
        counts.failed += u64::from(part.failed);
        counts.corrupt += u64::from(part.corrupt);
        if round.phase != Phase::Load {
            return;
        }
        if let Some(p50) = part.task_p50_ns {
            self.task_medians.push(spans.since_start(round.scheduled_ns), p50 as f64 / 1e9);
        }
        let (answered, tasks) = (u64::from(part.answered), u64::from(part.tasks));
        for (over, windows) in &mut self.windows {
            match over {
                Over::Tasks => windows.push(spans.load_time(round.scheduled_ns), answered, tasks),
                Over::Time => windows.push(spans.load_time(round.finished_ns), answered, 0),
            }
        }
    }

    fn take_bad(&mut self, phase: Phase, part: &WorkloadRound, load_ns: u64) {
        if phase != Phase::Load {
            self.warm_up.corrupt += u64::from(part.corrupt);
            return;
        }
        // No round that counts has these tasks: each is one more.
        let failed = u64::from(part.failed);
        self.counts.tasks += failed;
        self.counts.failed += failed;
        self.counts.corrupt += u64::from(part.corrupt);
        for (_, windows) in self.windows.iter_mut().filter(|w| w.0 == Over::Tasks && failed > 0) {
            windows.push(load_ns, 0, failed);
        }
        if let Some(took) = part.task_max_ns
            && self.task.record_if_greatest(took)
        {
            for periods in &mut self.periods {
                periods.of(load_ns).record(took);
            }
        }
    }
}

/// What is bad of a round that does not count. `load_ns`: the last time of the load that counts, whose windows have it.
pub(super) fn take_bad(workloads: &mut [WorkloadLoad], round: &Round, load_ns: u64) {
    for (workload, part) in workloads.iter_mut().zip(&round.workloads) {
        workload.take_bad(round.phase, part, load_ns);
    }
}

/// In the plan's order; empty if the scenario names no workload.
pub(super) fn all(plan: &PlanFacts, factor: f64, windows: &[WindowSpec]) -> Vec<WorkloadLoad> {
    plan.workloads.iter().map(|facts| WorkloadLoad::new(facts, plan, factor, windows)).collect()
}

pub(super) fn push_round(workloads: &mut [WorkloadLoad], round: &Round, spans: &Spans) {
    for (workload, part) in workloads.iter_mut().zip(&round.workloads) {
        workload.push(round, part, spans);
    }
}

/// The error is why the histogram cannot be read.
pub(super) fn push_latency(
    workloads: &mut [WorkloadLoad],
    interval: &WorkloadLatency,
    spans: &Spans,
) -> Result<(), String> {
    let named = workloads.iter_mut().find(|workload| workload.facts.name == interval.workload);
    let Some(workload) = named.filter(|_| interval.phase == Phase::Load) else { return Ok(()) };
    let read = decode(&interval.histogram)?;
    let middle = spans.load_time(interval.start_ns.saturating_add(interval.length_ns / 2));
    for periods in &mut workload.periods {
        periods.too_coarse |= interval.length_ns > periods.width_ns();
        // What cannot be added here cannot be added below, and that is told.
        let _ = periods.of(middle).merge(&read, interval.max_ns);
    }
    workload.task.merge(&read, interval.max_ns)
}
