//! A round on its way.

use crate::system::{Cause, PlaceId, Recipient};
use reports::runlog::event::{Causes, Phase, Round, WorkloadRound};
use std::sync::Arc;

/// Whom the tasks of a round are for.
#[derive(Debug, Clone)]
pub(super) enum Recipients {
    /// One task for each of these.
    Each(Arc<[PlaceId]>),
    /// So many tasks, each for any worker.
    Any(usize),
}

impl Recipients {
    /// Tasks of the round.
    pub fn count(&self) -> usize {
        match self {
            Self::Each(workers) => workers.len(),
            Self::Any(tasks) => *tasks,
        }
    }

    /// Whom the task with this index is for.
    pub fn of(&self, task: usize) -> Recipient {
        match self {
            Self::Each(workers) => {
                workers.get(task).map_or(Recipient::Any, |place| Recipient::Worker(*place))
            }
            Self::Any(_) => Recipient::Any,
        }
    }
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub number: u64,
    pub phase: Phase,
    pub scheduled_ns: u64,
    pub contradicted: u32,
    /// Answered by a second or later attempt.
    retried: u32,
    causes: Causes,
    pub to: Recipients,
    first: u64,
    started_ns: u64,
    /// When the system must have said what became of every task.
    give_up_ns: u64,
    /// When the last outcome so far was recorded.
    last_ns: u64,
    /// When the first answer was recorded.
    first_ns: Option<u64>,
    /// When the newest answer was recorded, and when its worker had made it.
    made: (u64, u64),
    /// Answered tasks under each coordinator; empty where there is one.
    coordinators: Vec<u32>,
    /// Who has answered, and how long it took. Of a round of the load; no more than its tasks.
    answers: Vec<(PlaceId, u64)>,
    /// Tasks without an outcome, by their index in the round.
    open: Vec<bool>,
    /// Of which workload each task is.
    of: Vec<usize>,
    ended: u32,
    parts: Vec<Part>,
}

/// Of one workload. Bounded by the fleet's size.
#[derive(Debug, Clone, Default)]
struct Part {
    tasks: u32,
    failed: u32,
    corrupt: u32,
    /// Of the answered tasks.
    latencies_ns: Vec<u64>,
}

impl InFlight {
    /// `first` is the number of its first task over the whole run, and `of` says for each task which of `workloads` it
    /// is of.
    pub fn new(
        number: u64,
        phase: Phase,
        (scheduled_ns, started_ns): (u64, u64),
        (to, first): (Recipients, u64),
        (workloads, of): (usize, Vec<usize>),
        coordinators: u32,
    ) -> Self {
        assert_eq!(of.len(), to.count(), "each task is of a workload");
        let mut parts = vec![Part::default(); workloads];
        for part in &of {
            parts[*part].tasks += 1;
        }
        Self {
            number,
            phase,
            scheduled_ns,
            contradicted: 0,
            retried: 0,
            causes: Causes::default(),
            to,
            first,
            started_ns,
            give_up_ns: u64::MAX,
            last_ns: started_ns,
            first_ns: None,
            made: (0, 0),
            coordinators: if coordinators > 1 { vec![0; coordinators as usize] } else { Vec::new() },
            answers: Vec::new(),
            open: vec![true; of.len()],
            of,
            ended: 0,
            parts,
        }
    }

    /// What has no outcome at `give_up_ns` gets none.
    pub fn sent(&mut self, give_up_ns: u64) {
        self.give_up_ns = give_up_ns;
    }

    pub fn is_open(&self, task: usize) -> bool {
        self.open.get(task).copied().unwrap_or(false)
    }

    /// `made_ns` is when the worker in `place` says that it had the answer.
    pub fn answered(
        &mut self,
        task: usize,
        latency_ns: u64,
        (made_ns, received_ns): (u64, u64),
        (place, attempt): (PlaceId, u8),
    ) {
        self.close(task);
        self.retried += u32::from(attempt > 1);
        self.first_ns = Some(self.first_ns.map_or(received_ns, |first| first.min(received_ns)));
        self.made = self.made.max((received_ns, made_ns));
        if let PlaceId::Worker(worker) = place
            && let Some(count) = self.coordinators.get_mut(worker.coordinator as usize)
        {
            *count += 1;
        }
        if self.phase == Phase::Load {
            self.answers.push((place, latency_ns));
        }
        self.parts[self.of[task]].latencies_ns.push(latency_ns);
        self.last_ns = self.last_ns.max(received_ns);
    }

    pub fn failed(&mut self, task: usize, now_ns: u64) {
        self.close(task);
        self.parts[self.of[task]].failed += 1;
        self.last_ns = self.last_ns.max(now_ns);
    }

    /// Of one of the failed tasks.
    pub fn because(&mut self, cause: Cause) {
        match cause {
            Cause::TimedOut => self.causes.timed_out += 1,
            Cause::Exited => self.causes.exited += 1,
            Cause::Died => self.causes.died += 1,
            Cause::Refused => self.causes.refused += 1,
            Cause::Other => {}
        }
    }

    /// Its answer had the wrong content.
    pub fn corrupt(&mut self, task: usize) {
        self.parts[self.of[task]].corrupt += 1;
    }

    /// Which workload a task is of.
    pub fn part(&self, task: usize) -> usize {
        self.of[task]
    }

    /// The number of a task over the whole run, for commands and questions.
    pub fn number_of(&self, task: usize) -> u64 {
        self.first + task as u64
    }

    fn close(&mut self, task: usize) {
        assert!(self.is_open(task), "a task has one outcome");
        self.open[task] = false;
        self.ended += 1;
    }

    /// Tasks that the system has said nothing about, although it had the time to.
    pub fn overdue(&self, now_ns: u64) -> Vec<usize> {
        if now_ns < self.give_up_ns {
            return Vec::new();
        }
        (0..self.open.len()).filter(|task| self.open[*task]).collect()
    }

    /// Tasks without an outcome, by their index.
    pub fn open(&self) -> impl Iterator<Item = usize> {
        (0..self.open.len()).filter(|task| self.open[*task])
    }

    /// Its tasks, and those of them that are answered and failed so far.
    pub fn standing(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&Part) -> u64| self.parts.iter().map(of).sum();
        (self.open.len() as u64, sum(|part| part.latencies_ns.len() as u64), sum(|part| part.failed.into()))
    }

    /// Who has answered tasks of a round of the load, each with its latency.
    pub fn answers(&self) -> &[(PlaceId, u64)] {
        &self.answers
    }

    pub fn is_finished(&self) -> bool {
        self.ended as usize == self.open.len()
    }

    /// For the log, without answers that belong to other rounds.
    pub fn finish(mut self) -> Round {
        assert!(self.is_finished());
        let workloads: Vec<WorkloadRound> = self.parts.iter_mut().map(Part::finish).collect();
        let mut latencies_ns = Vec::with_capacity(self.open.len());
        self.parts.iter_mut().for_each(|part| latencies_ns.append(&mut part.latencies_ns));
        latencies_ns.sort_unstable();
        let whole = self.ended as usize == latencies_ns.len() && !latencies_ns.is_empty();
        let sum = |of: fn(&WorkloadRound) -> u32| workloads.iter().map(of).sum::<u32>();
        Round {
            round: self.number,
            phase: self.phase,
            scheduled_ns: self.scheduled_ns,
            started_ns: self.started_ns,
            finished_ns: self.last_ns,
            tasks: self.open.len() as u32,
            answered: sum(|part| part.answered),
            failed: sum(|part| part.failed),
            late: 0,
            duplicates: 0,
            corrupt: sum(|part| part.corrupt),
            contradicted: self.contradicted,
            retried: self.retried,
            causes: self.causes,
            task_p50_ns: at(&latencies_ns, 0.5),
            task_p99_ns: at(&latencies_ns, 0.99),
            task_max_ns: latencies_ns.last().copied(),
            first_ns: self.first_ns,
            made_ns: whole.then_some(self.made.1),
            coordinators: if latencies_ns.is_empty() { Vec::new() } else { self.coordinators },
            strays: Vec::new(),
            workloads,
        }
    }
}

impl Part {
    fn finish(&mut self) -> WorkloadRound {
        self.latencies_ns.sort_unstable();
        WorkloadRound {
            tasks: self.tasks,
            answered: self.latencies_ns.len() as u32,
            failed: self.failed,
            corrupt: self.corrupt,
            task_p50_ns: at(&self.latencies_ns, 0.5),
            task_p99_ns: at(&self.latencies_ns, 0.99),
            task_max_ns: self.latencies_ns.last().copied(),
        }
    }
}

/// The value below which this share of the sorted values lies.
fn at(sorted_ns: &[u64], share: f64) -> Option<u64> {
    let rank = (share * sorted_ns.len() as f64).ceil() as usize;
    sorted_ns.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let to = (Recipients::Any(101), 0);
        let mut round = InFlight::new(0, Phase::Load, (1_000, 1_010), to, (1, vec![0; 101]), 1);
        round.sent(2_000_000);
        for n in 1..=100 {
            round.answered(n as usize - 1, n, (1_000, 1_000 + n), (PlaceId::worker(0, 0), 1));
        }
        assert!(!round.is_finished());
        assert_eq!((round.overdue(1_999_999), round.overdue(2_000_000)), (vec![], vec![100]));
        round.failed(100, 5_000);
        let round = round.finish();
        assert_eq!((round.answered, round.failed, round.finished_ns), (100, 1, 5_000));
        assert_eq!((round.first_ns, round.made_ns), (Some(1_001), None), "a task of it failed");
        assert!(round.coordinators.is_empty(), "there is one");
        assert_eq!(
            (round.task_p50_ns, round.task_p99_ns, round.task_max_ns),
            (Some(50), Some(99), Some(100))
        );
    }

    #[test]
    fn a_round_without_answers_has_no_latency() {
        let to = (Recipients::Any(1), 0);
        let mut round = InFlight::new(0, Phase::Load, (0, 0), to, (1, vec![0]), 1);
        round.failed(0, 7);
        let round = round.finish();
        assert_eq!((round.task_p50_ns, round.task_max_ns), (None, None));
    }

    #[test]
    fn a_round_knows_its_first_answer_when_the_last_was_made_and_who_shared_the_work() {
        let mut round = InFlight::new(0, Phase::Load, (5, 10), (Recipients::Any(3), 0), (1, vec![0; 3]), 2);
        // Recorded in another order than they were made.
        round.answered(2, 35, (12, 40), (PlaceId::worker(1, 7), 1));
        round.answered(0, 15, (15, 20), (PlaceId::worker(0, 0), 2));
        round.answered(1, 25, (22, 30), (PlaceId::worker(1, 0), 1));
        let round = round.finish();
        assert_eq!((round.first_ns, round.made_ns, round.finished_ns), (Some(20), Some(12), 40));
        assert_eq!((round.retried, &round.coordinators[..]), (1, &[1, 2][..]));
    }

    #[test]
    fn each_workload_has_its_part_and_the_parts_are_the_whole() {
        let mut round =
            InFlight::new(0, Phase::Load, (0, 0), (Recipients::Any(4), 40), (3, vec![2, 0, 2, 0]), 2);
        round.answered(0, 30, (25, 30), (PlaceId::worker(0, 1), 1));
        round.answered(1, 10, (5, 10), (PlaceId::worker(1, 0), 1));
        round.answered(2, 20, (15, 20), (PlaceId::worker(1, 1), 1));
        round.corrupt(3);
        round.failed(3, 40);
        assert_eq!((0..4).map(|task| round.number_of(task)).collect::<Vec<_>>(), [40, 41, 42, 43]);
        let round = round.finish();
        let found: Vec<_> = round
            .workloads
            .iter()
            .map(|part| (part.tasks, part.answered, part.failed, part.corrupt, part.task_max_ns))
            .collect();
        assert_eq!(found, [(2, 1, 1, 1, Some(10)), (0, 0, 0, 0, None), (2, 2, 0, 0, Some(30))]);
        assert_eq!(
            (round.tasks, round.answered, round.failed, round.corrupt, round.task_p50_ns, round.task_max_ns),
            (4, 3, 1, 1, Some(20), Some(30))
        );
    }
}
