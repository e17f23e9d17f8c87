//! The parts that the workloads of a mix have in rounds and latencies, against the plan and the rounds.

use super::histogram::{Extent, counted, occurred};
use super::ranks::Ranks;
use crate::runlog::event::{Phase, PlanFacts, Round, WorkloadLatency, WorkloadRound};

/// Of one workload, in one phase.
#[derive(Debug, Default, Clone)]
struct Counts {
    answered: u64,
    /// Latencies.
    timed: u64,
    /// Of the rounds, the shortest median and the longest time,
    p50_least: Option<u64>,
    task_most: Option<u64>,
    /// and those of the histograms.
    extent: Option<Extent>,
    ranks: Ranks,
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
        let said = workload.workload.strip_prefix("compute ").map(notation::duration::parse);
        if let Some(Ok(said)) = said
            && workload.cpu_per_task_ns != Some(said)
        {
            return Err(format!("workload {name} is to {}, and its CPU time another", workload.workload));
        }
    }
    described(plan)
}

/// The plan's words are put together from the workloads.
fn described(plan: &PlanFacts) -> Result<(), String> {
    let parts = &plan.workloads;
    let total: u64 = parts.iter().map(|part| u64::from(part.weight)).sum();
    let words: Vec<String> = match &parts[..] {
        [] => return Ok(()),
        [only] => vec![only.workload.clone()],
        _ => parts
            .iter()
            .map(|part| format!("{} of {total} {} ({})", part.weight, part.name, part.workload))
            .collect(),
    };
    if words.join(", ") == plan.workload {
        return Ok(());
    }
    Err(format!("the tasks are `{}`, and the workloads `{}`", plan.workload, words.join(", ")))
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
        let sum = |of: fn(&WorkloadRound) -> u32| r.workloads.iter().map(|w| u64::from(of(w))).sum::<u64>();
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
            let own = [part.task_p50_ns, part.task_p99_ns, part.task_max_ns];
            let timed = own.map(|ns| ns.is_some()) == [part.answered > 0; 3]
                && own.is_sorted()
                && occurred(part.answered, own)
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
            counts.p50_least = [counts.p50_least, part.task_p50_ns].into_iter().flatten().min();
            counts.task_most = counts.task_most.max(part.task_max_ns);
            let times = [part.task_p50_ns, part.task_p99_ns, part.task_max_ns];
            counts.ranks.round((part.answered, times));
        }
        together(r)
    }

    pub(super) fn latency(&mut self, interval: &WorkloadLatency, plan: &PlanFacts) -> Result<(), String> {
        if !matches!(interval.phase, Phase::WarmUp | Phase::Load) {
            return Err(format!("latencies of phase {:?}", interval.phase));
        }
        let Some(at) = plan.workloads.iter().position(|w| w.name == interval.workload) else {
            return Err(format!("latencies of workload {}, which is not planned", interval.workload));
        };
        let (histogram, extent) = counted(&interval.histogram, interval.count, interval.max_ns)?;
        let counts = &mut self.of(interval.phase, plan)[at];
        counts.ranks.histogram(&histogram);
        counts.timed = counts.timed.saturating_add(interval.count);
        counts.extent = Some(counts.extent.map_or(extent, |all| all.with(extent)));
        Ok(())
    }

    /// At the end of a run that was carried out in one segment. The warm-up's may be left out if all of its latencies are: no
    /// criterion rests on them.
    pub(super) fn complete(&self, plan: &PlanFacts, with_warm_up: bool) -> Result<(), String> {
        for (phase, counts) in [("warm-up", &self.warm_up), ("load", &self.load)] {
            for (planned, counts) in plan.workloads.iter().zip(counts) {
                let (Counts { answered, timed, .. }, name) = (counts, &planned.name);
                if timed != answered && (phase == "load" || with_warm_up || *timed > 0) {
                    return Err(format!(
                        "{answered} answered tasks of workload {name} in the {phase}, and {timed} latencies"
                    ));
                }
                if counts.extent.is_some_and(|extent| {
                    counts.p50_least.is_some_and(|ns| ns < extent.least)
                        || counts.task_most.is_some_and(|ns| ns > extent.most)
                }) {
                    return Err(format!(
                        "tasks of workload {name} took another time in the {phase} than its histograms have"
                    ));
                }
                counts.ranks.agree().map_err(|what| format!("of workload {name} in the {phase} {what}"))?;
            }
        }
        Ok(())
    }
}

/// The times of all tasks lie between those of the parts, and the longest is that of a part.
fn together(r: &Round) -> Result<(), String> {
    let between = |whole: Option<u64>, of: fn(&WorkloadRound) -> Option<u64>| {
        let parts = || r.workloads.iter().filter_map(of);
        whole >= parts().min() && whole <= parts().max()
    };
    let longest = r.workloads.iter().filter_map(|part| part.task_max_ns).max();
    if longest == r.task_max_ns
        && between(r.task_p50_ns, |part| part.task_p50_ns)
        && between(r.task_p99_ns, |part| part.task_p99_ns)
    {
        return Ok(());
    }
    Err(format!("round {}: its tasks took another time than those of its workloads", r.round))
}
