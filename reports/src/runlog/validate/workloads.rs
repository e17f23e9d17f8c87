//! The parts that the workloads of a mix have in rounds and latencies, against the plan and the rounds.

use super::histogram::counted;
use crate::runlog::event::{Phase, PlanFacts, Round, WorkloadLatency};

/// Of one workload, in one phase.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    answered: u64,
    /// Latencies.
    timed: u64,
}

/// Grows with the number of workloads.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    warm_up: Vec<Counts>,
    load: Vec<Counts>,
}

/// What a header may say about its workloads.
pub(super) fn check(plan: &PlanFacts) -> Result<(), String> {
    for (index, workload) in plan.workloads.iter().enumerate() {
        let name = &workload.name;
        if name.is_empty() {
            return Err("a workload without a name".into());
        }
        if plan.workloads[..index].iter().any(|earlier| earlier.name == *name) {
            return Err(format!("two workloads are called {name}"));
        }
        if workload.weight == 0 || workload.cpu_per_task_ns == Some(0) {
            return Err(format!("workload {name} has no weight, or computes for no time"));
        }
    }
    Ok(())
}

impl Workloads {
    /// In the plan's order.
    fn of(&mut self, phase: Phase, plan: &PlanFacts) -> &mut Vec<Counts> {
        let counts = if phase == Phase::Load { &mut self.load } else { &mut self.warm_up };
        counts.resize(plan.workloads.len(), Counts::default());
        counts
    }

    /// The parts of a round add up to it.
    pub(super) fn round(&mut self, r: &Round, plan: &PlanFacts) -> Result<(), String> {
        if r.workloads.len() != plan.workloads.len() {
            return Err(format!(
                "round {} is divided among {} workloads, and {} are planned",
                r.round,
                r.workloads.len(),
                plan.workloads.len()
            ));
        }
        if r.workloads.is_empty() {
            return Ok(());
        }
        let sum = |of: fn(&crate::runlog::event::WorkloadRound) -> u32| {
            r.workloads.iter().map(|w| u64::from(of(w))).sum::<u64>()
        };
        for (what, parts, whole) in [
            ("tasks", sum(|w| w.tasks), r.tasks),
            ("answered", sum(|w| w.answered), r.answered),
            ("failed", sum(|w| w.failed), r.failed),
            ("corrupt", sum(|w| w.corrupt), r.corrupt),
        ] {
            if parts != u64::from(whole) {
                return Err(format!("round {}: {whole} {what}, and its workloads have {parts}", r.round));
            }
        }
        for (part, planned) in r.workloads.iter().zip(&plan.workloads) {
            let has = [part.task_p50_ns, part.task_p99_ns, part.task_max_ns].map(|ns| ns.is_some());
            let timed = has == [part.answered > 0; 3]
                && part.task_p50_ns <= part.task_p99_ns
                && part.task_p99_ns <= part.task_max_ns
                && part.task_max_ns <= r.task_max_ns;
            if u64::from(part.tasks) != u64::from(part.answered) + u64::from(part.failed) || !timed {
                return Err(format!(
                    "round {}: the part of workload {} contradicts itself",
                    r.round, planned.name
                ));
            }
        }
        for (counts, part) in self.of(r.phase, plan).iter_mut().zip(&r.workloads) {
            counts.answered += u64::from(part.answered);
        }
        Ok(())
    }

    pub(super) fn latency(&mut self, interval: &WorkloadLatency, plan: &PlanFacts) -> Result<(), String> {
        if !matches!(interval.phase, Phase::WarmUp | Phase::Load) {
            return Err(format!("latencies of phase {:?}", interval.phase));
        }
        let Some(at) = plan.workloads.iter().position(|w| w.name == interval.workload) else {
            return Err(format!("latencies of workload {}, which is not planned", interval.workload));
        };
        counted(&interval.histogram, interval.count, interval.max_ns)?;
        let counts = &mut self.of(interval.phase, plan)[at];
        counts.timed = counts.timed.saturating_add(interval.count);
        Ok(())
    }

    /// At the end of a run that was carried out in one segment. The warm-up's may be left out: no criterion rests on them.
    pub(super) fn complete(&self, plan: &PlanFacts) -> Result<(), String> {
        for (phase, counts) in [("warm-up", &self.warm_up), ("load", &self.load)] {
            for (planned, Counts { answered, timed }) in plan.workloads.iter().zip(counts) {
                if timed != answered && (phase == "load" || *timed > 0) {
                    let name = &planned.name;
                    return Err(format!(
                        "{answered} answered tasks of workload {name} in the {phase}, and {timed} latencies"
                    ));
                }
            }
        }
        Ok(())
    }
}
