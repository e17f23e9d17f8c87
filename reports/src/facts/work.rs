//! Whether the kernel saw the workers use the CPU time that their answers claim.
//!
//! A round is one task to every worker. So each worker has used the time of one task for each round that was answered
//! whole, and whatever else it did. Only rounds that were over before a sweep began are counted in it: what the kernel
//! shows then can be more, and never less. Bounded by the number of workers.
//!
//! Where any worker may have a task, or their number changes, all workers together have used the time of every task that was answered. What a process
//! used after the last sweep that saw it, no one knows: the tasks that were answered around its end are left out.

use std::collections::BTreeMap;

use crate::runlog::event::{AgentId, PlanFacts, Round, Sample};

/// User and system time of a process with several threads are each counted in steps of 10 ms.
pub(super) const STEPS_US: u64 = 20_000;

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

/// All workers together, where no one can say which of them had a task.
#[derive(Debug, Clone, Default)]
struct Together {
    /// Of rounds that may be on their way at once.
    in_flight_tasks: u64,
    /// Tasks answered so far, and when the two sweeps before were recorded.
    answered: u64,
    answered_before: [u64; 2],
    /// Tasks that a process may have done after the last sweep that saw it.
    left_out: u64,
    /// CPU time of processes that are gone, as the last sweep saw it.
    gone_us: u64,
    /// Of processes in the newest sweep: incarnation and CPU time.
    there: BTreeMap<AgentId, (u32, u64)>,
    /// Tasks that were over before the newest sweep began.
    claimed: u64,
}

impl Together {
    fn sample(&mut self, there: BTreeMap<AgentId, (u32, u64)>) {
        let before = std::mem::replace(&mut self.there, there);
        let is_gone = |(id, (incarnation, _)): &(&AgentId, &(u32, u64))| {
            self.there.get(id).is_none_or(|(now, _)| now != incarnation)
        };
        let gone: Vec<u64> = before.iter().filter(is_gone).map(|(_, (_, cpu_us))| *cpu_us).collect();
        if !gone.is_empty() {
            self.gone_us = gone.iter().fold(self.gone_us, |sum, us| sum.saturating_add(*us));
            let around = self.answered - self.answered_before[1] + self.in_flight_tasks;
            self.left_out = self.left_out.saturating_add(around);
        }
        self.claimed = self.answered_before[0];
        self.answered_before = [self.answered, self.answered_before[0]];
    }

    fn worked(&self) -> (u64, u64) {
        let used_us = self.there.values().fold(self.gone_us, |sum, (_, us)| sum.saturating_add(*us));
        (self.claimed.saturating_sub(self.left_out), used_us)
    }
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
    together: Option<Together>,
}

impl WorkFacts {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        let in_flight_max = u64::from(plan.rounds_in_flight_max);
        let shared = plan.tasks_per_round.is_some() || plan.workers_least.is_some();
        let tasks = u64::from(plan.tasks_per_round.unwrap_or(plan.places()));
        let together = shared.then(|| Together {
            in_flight_tasks: tasks.saturating_mul(in_flight_max),
            ..Together::default()
        });
        Self { per_task_ns: plan.cpu_per_task_ns, in_flight_max, together, ..Self::default() }
    }

    /// A segment has processes of its own, which have done nothing yet.
    pub(super) fn resume(&mut self) {
        (self.whole, self.whole_before) = (0, 0);
        self.workers.clear();
        self.together = self
            .together
            .take()
            .map(|before| Together { in_flight_tasks: before.in_flight_tasks, ..Together::default() });
    }

    pub(super) fn round(&mut self, round: &Round) {
        self.whole += u64::from(round.failed == 0 && round.answered > 0);
        if let Some(together) = &mut self.together {
            together.answered += u64::from(round.answered);
        }
    }

    pub(super) fn sample(&mut self, sample: &Sample, is_worker: impl Fn(AgentId) -> bool) {
        if self.per_task_ns.is_none() {
            return;
        }
        let rows = sample.agents.iter().filter(|row| is_worker(row.agent)).map(|row| {
            let steps_us = if row.threads == 1 { 0 } else { STEPS_US };
            (row.agent, (row.incarnation, row.cpu_us.saturating_add(steps_us)))
        });
        if let Some(together) = &mut self.together {
            together.sample(rows.collect());
            return;
        }
        let over = std::mem::replace(&mut self.whole_before, self.whole);
        for (agent, (incarnation, cpu_us)) in rows {
            let worker =
                self.workers.entry(agent).or_insert(Worked { incarnation, before: 0, rounds: 0, cpu_us: 0 });
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

    /// Where any worker may have a task: tasks that were answered, and the microseconds of CPU time that all workers have
    /// used.
    pub fn together(&self) -> Option<(u64, u64)> {
        self.together.as_ref().map(Together::worked)
    }

    /// Workers that were there in a sweep after a round.
    pub fn workers(&self) -> impl Iterator<Item = (AgentId, Worked)> {
        self.workers.iter().filter(|(_, worked)| worked.rounds > 0).map(|(id, worked)| (*id, *worked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(rows: &[(AgentId, u32, u64)]) -> BTreeMap<AgentId, (u32, u64)> {
        rows.iter().map(|(agent, incarnation, us)| (*agent, (*incarnation, *us))).collect()
    }

    #[test]
    fn workers_together_have_done_what_was_answered_before_the_sweep_began() {
        let mut all = Together { in_flight_tasks: 4, ..Together::default() };
        all.sample(there(&[(3, 1, 10), (4, 1, 10)]));
        all.answered = 100;
        all.sample(there(&[(3, 1, 700), (4, 1, 300)]));
        assert_eq!(all.worked(), (0, 1_000), "it began when these were not over");
        all.answered = 150;
        all.sample(there(&[(3, 1, 900), (4, 1, 600)]));
        assert_eq!(all.worked(), (100, 1_500));
    }

    #[test]
    fn what_a_process_did_after_the_last_sweep_that_saw_it_is_left_out() {
        let mut all = Together { in_flight_tasks: 4, ..Together::default() };
        for (answered, us) in [(0, 10), (100, 600), (200, 1_200), (300, 1_800)] {
            all.answered = answered;
            all.sample(there(&[(3, 1, us), (4, 1, us)]));
        }
        assert_eq!(all.worked(), (200, 3_600));
        all.answered = 400;
        // One is gone and one is another process: the tasks since the sweep before the last, and those on their way.
        all.sample(there(&[(4, 2, 50)]));
        assert_eq!(all.worked(), (300 - (400 - 200 + 4), 3_650));
        all.answered = 500;
        all.sample(there(&[(4, 2, 1_000)]));
        assert_eq!(all.worked(), (400 - 204, 4_600));
    }
}
