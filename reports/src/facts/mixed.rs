//! Whether the kernel saw the fleet use the CPU time that the answers of a mix of workloads claim.
//!
//! Which worker had which task of a mix is not in the log, so the claims of all workers are held against what all of them
//! have used. Only rounds that were over before a sweep began are counted in it, as in [`super::work`]. Bounded by the
//! number of workers.

use std::collections::BTreeMap;

use super::work::STEPS_US;
use crate::runlog::event::{AgentId, PlanFacts, Round, Sample};

/// The newest process in a worker's place, as the newest sweep that saw it.
#[derive(Debug, Clone, Copy)]
struct Process {
    incarnation: u32,
    cpu_us: u64,
    seen: bool,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct MixedWork {
    /// Of a task of each workload; empty unless there are several, and one of them says.
    per_task_ns: Vec<u64>,
    in_flight_max: u64,
    workers_planned: u64,
    rounds: u64,
    /// Whether any worker may have a task, or their number changes.
    shared: bool,
    /// Most tasks that a worker had of a round; of a shared plan, most tasks of a round.
    share: u64,
    claimed_ns: u64,
    /// Of the sweep before.
    before: Before,
    workers: BTreeMap<AgentId, Process>,
    /// What predecessors had used when they were last seen.
    past_us: u64,
    /// What they may have used after that.
    unseen_ns: u64,
    proven: Option<Proof>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Before {
    rounds: u64,
    claimed_ns: u64,
}

/// What was claimed and what was seen, at the newest sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// CPU time of the answered tasks.
    pub claimed_ns: u64,
    /// CPU time that the kernel shows of all workers.
    pub used_ns: u64,
    /// What workers that were replaced may have used after they were last seen.
    pub unseen_ns: u64,
}

impl MixedWork {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        let per_task_ns: Vec<u64> = plan.workloads.iter().map(|w| w.cpu_per_task_ns.unwrap_or(0)).collect();
        let says = per_task_ns.len() > 1 && per_task_ns.iter().any(|ns| *ns > 0);
        Self {
            per_task_ns: if says { per_task_ns } else { Vec::new() },
            in_flight_max: u64::from(plan.rounds_in_flight_max),
            workers_planned: u64::from(plan.places()),
            shared: plan.tasks_per_round.is_some() || plan.workers_least.is_some(),
            share: 1,
            ..Self::default()
        }
    }

    /// A segment has processes of its own, which have done nothing yet.
    pub(super) fn resume(&mut self) {
        let Self { per_task_ns, in_flight_max, workers_planned, shared, share, .. } = std::mem::take(self);
        *self = Self { per_task_ns, in_flight_max, workers_planned, shared, share, ..Self::default() };
    }

    pub(super) fn round(&mut self, round: &Round) {
        self.rounds += 1;
        let tasks = u64::from(round.tasks);
        let share = if self.shared { tasks } else { tasks.div_ceil(self.workers_planned.max(1)) };
        self.share = self.share.max(share);
        for (part, per_task_ns) in round.workloads.iter().zip(&self.per_task_ns) {
            let claimed_ns = u64::from(part.answered).saturating_mul(*per_task_ns);
            self.claimed_ns = self.claimed_ns.saturating_add(claimed_ns);
        }
    }

    pub(super) fn sample(&mut self, sample: &Sample, is_worker: impl Fn(AgentId) -> bool) {
        if self.per_task_ns.is_empty() {
            return;
        }
        let rows = sample.agents.iter().filter(|row| is_worker(row.agent)).map(|row| {
            let steps_us = if row.threads == 1 { 0 } else { STEPS_US };
            (row.agent, row.incarnation, row.cpu_us.saturating_add(steps_us))
        });
        self.sweep(rows);
    }

    /// Workers that a sweep saw: which process each is, and the CPU time that it has used, in microseconds.
    fn sweep(&mut self, rows: impl Iterator<Item = (AgentId, u32, u64)>) {
        let now = Before { rounds: self.rounds, claimed_ns: self.claimed_ns };
        let before = std::mem::replace(&mut self.before, now);
        let most_ns = self.most_ns(before);
        let mut gone: Vec<AgentId> = self.workers.keys().copied().collect();
        let mut ended = 0_u64;
        for (agent, incarnation, cpu_us) in rows {
            gone.retain(|missing| *missing != agent);
            let new = Process { incarnation, cpu_us, seen: true };
            if let Some(old) = self.workers.insert(agent, new)
                && old.incarnation != incarnation
            {
                self.past_us = self.past_us.saturating_add(old.cpu_us);
                ended += u64::from(old.seen);
            }
        }
        for agent in gone {
            if let Some(process) = self.workers.get_mut(&agent) {
                ended += u64::from(std::mem::replace(&mut process.seen, false));
            }
        }
        // Of a shared plan, the time of all tasks is counted once, whichever of the workers had them.
        let times = if self.shared { ended.min(1) } else { ended };
        self.unseen_ns = self.unseen_ns.saturating_add(most_ns.saturating_mul(times));
        let living_us = self.workers.values().fold(self.past_us, |sum, w| sum.saturating_add(w.cpu_us));
        // Of a shared plan what was not seen is left out, since workers end there as a matter of course.
        let left_out_ns = if self.shared { self.unseen_ns } else { 0 };
        self.proven = Some(Proof {
            claimed_ns: before.claimed_ns.saturating_sub(left_out_ns),
            used_ns: living_us.saturating_mul(1_000),
            unseen_ns: self.unseen_ns - left_out_ns,
        });
    }

    /// What a process may have used after the sweep before; of a shared plan, what all of them may have.
    fn most_ns(&self, before: Before) -> u64 {
        let tasks = (self.rounds - before.rounds + self.in_flight_max).saturating_mul(self.share);
        tasks.saturating_mul(self.per_task_ns.iter().copied().max().unwrap_or(0))
    }

    /// Whether there are several workloads, of which one says what CPU time a task uses.
    pub fn is_asked(&self) -> bool {
        !self.per_task_ns.is_empty()
    }

    /// `None` if no sweep saw a worker after a round that was over.
    pub fn proof(&self) -> Option<Proof> {
        self.proven.filter(|proof| proof.claimed_ns > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a mix of tasks of 10 us and tasks that claim nothing; a round has eight tasks, on four workers or any.
    fn work(shared: bool) -> MixedWork {
        let per_task_ns = vec![10_000, 0];
        MixedWork {
            per_task_ns,
            in_flight_max: 1,
            workers_planned: 4,
            shared,
            share: if shared { 8 } else { 2 },
            ..MixedWork::default()
        }
    }

    /// A round with five answers that claim time.
    fn round(work: &mut MixedWork) {
        work.rounds += 1;
        work.claimed_ns += 50_000;
    }

    fn proof(claimed_us: u64, used_us: u64, unseen_us: u64) -> Proof {
        let [claimed_ns, used_ns, unseen_ns] = [claimed_us, used_us, unseen_us].map(|us| us * 1_000);
        Proof { claimed_ns, used_ns, unseen_ns }
    }

    fn ten_rounds_seen_and_two_workers_ended(shared: bool) -> MixedWork {
        let mut work = work(shared);
        work.sweep([(3, 1, 0), (4, 1, 0), (5, 1, 0)].into_iter());
        (0..10).for_each(|_| round(&mut work));
        work.sweep([(3, 1, 200), (4, 1, 200), (5, 1, 200)].into_iter());
        assert_eq!(work.proof(), None, "no round was over before that sweep began");
        round(&mut work);
        // One has ended, and another process is in the place of the second.
        work.sweep([(3, 1, 220), (4, 2, 5)].into_iter());
        work
    }

    #[test]
    fn what_each_worker_that_ended_may_have_used_is_counted_beside_the_claims() {
        let mut work = ten_rounds_seen_and_two_workers_ended(false);
        // Two tasks of each of two rounds, by each of two workers.
        assert_eq!(work.proof(), Some(proof(500, 220 + 205 + 200, 2 * 2 * 2 * 10)));
        work.sweep([(3, 1, 240), (4, 2, 25)].into_iter());
        assert_eq!(work.proof(), Some(proof(550, 240 + 225 + 200, 80)));
    }

    #[test]
    fn tasks_that_any_worker_may_have_had_are_left_out_once_when_workers_end() {
        let mut work = ten_rounds_seen_and_two_workers_ended(true);
        // All eight tasks of two rounds, whichever of the two had them.
        assert_eq!(work.proof(), Some(proof(500 - 2 * 8 * 10, 220 + 205 + 200, 0)));
        work.sweep([(3, 1, 240), (4, 2, 25)].into_iter());
        assert_eq!(work.proof(), Some(proof(550 - 160, 240 + 225 + 200, 0)));
    }
}
