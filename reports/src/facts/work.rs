//! Whether the kernel saw the workers use the CPU time that their answers claim.
//!
//! A round is one task to every worker. So each worker has used the time of one task for each round that was answered
//! whole, and whatever else it did. Only rounds that were over before a sweep began are counted in it: what the kernel
//! shows then can be more, and never less. Bounded by the number of workers.

use std::collections::BTreeMap;

use crate::runlog::event::{AgentId, PlanFacts, Round, Sample};

/// User and system time of a process with several threads are each counted in steps of 10 ms.
const STEPS_US: u64 = 20_000;

/// What one worker's process has used, as the newest sweep saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worked {
    incarnation: u32,
    /// Rounds that its predecessors may have had a part in.
    before: u64,
    /// Rounds that were answered whole since it began.
    pub rounds: u64,
    /// CPU time since the process began, in microseconds: as much as it can have been.
    pub cpu_us: u64,
}

#[derive(Debug, Clone, Default)]
pub struct WorkFacts {
    /// Of a task; absent if the workload says nothing about it.
    per_task_ns: Option<u64>,
    in_flight_max: u64,
    /// Answered whole so far, and when the sweep before was recorded.
    whole: u64,
    whole_before: u64,
    workers: BTreeMap<AgentId, Worked>,
}

impl WorkFacts {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        let in_flight_max = u64::from(plan.rounds_in_flight_max);
        Self { per_task_ns: plan.cpu_per_task_ns, in_flight_max, ..Self::default() }
    }

    /// A segment has processes of its own, which have done nothing yet.
    pub(super) fn resume(&mut self) {
        (self.whole, self.whole_before) = (0, 0);
        self.workers.clear();
    }

    pub(super) fn round(&mut self, round: &Round) {
        self.whole += u64::from(round.failed == 0 && round.answered > 0);
    }

    pub(super) fn sample(&mut self, sample: &Sample, is_worker: impl Fn(AgentId) -> bool) {
        if self.per_task_ns.is_none() {
            return;
        }
        let over = std::mem::replace(&mut self.whole_before, self.whole);
        for row in sample.agents.iter().filter(|row| is_worker(row.agent)) {
            let steps_us = if row.threads == 1 { 0 } else { STEPS_US };
            let (incarnation, cpu_us) = (row.incarnation, row.cpu_us.saturating_add(steps_us));
            let worker = self.workers.entry(row.agent).or_insert(Worked {
                incarnation,
                before: 0,
                rounds: 0,
                cpu_us: 0,
            });
            if worker.incarnation != incarnation {
                (worker.incarnation, worker.before) = (incarnation, self.whole + self.in_flight_max);
            }
            (worker.rounds, worker.cpu_us) = (over.saturating_sub(worker.before), cpu_us);
        }
    }

    /// Of a task, in nanoseconds; absent if the workload says nothing about it.
    pub fn per_task_ns(&self) -> Option<u64> {
        self.per_task_ns
    }

    /// Workers that were there in a sweep after a round.
    pub fn workers(&self) -> impl Iterator<Item = (AgentId, Worked)> {
        self.workers.iter().filter(|(_, worked)| worked.rounds > 0).map(|(id, worked)| (*id, *worked))
    }
}
