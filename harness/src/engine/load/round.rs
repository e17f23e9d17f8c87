//! A round on its way.

use crate::system::{Cause, PlaceId, Recipient};
use reports::runlog::event::{Causes, Phase, Round};
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
    pub corrupt: u32,
    pub contradicted: u32,
    causes: Causes,
    pub to: Recipients,
    started_ns: u64,
    /// When the system must have said what became of every task.
    give_up_ns: u64,
    /// When the last outcome so far was recorded.
    last_ns: u64,
    /// Tasks without an outcome, by the worker's index.
    open: Vec<bool>,
    ended: u32,
    failed: u32,
    /// Of the answered tasks. Bounded by the fleet's size.
    latencies_ns: Vec<u64>,
}

impl InFlight {
    pub fn new(number: u64, phase: Phase, scheduled_ns: u64, started_ns: u64, to: Recipients) -> Self {
        let tasks = to.count();
        Self {
            number,
            phase,
            scheduled_ns,
            corrupt: 0,
            contradicted: 0,
            causes: Causes::default(),
            to,
            started_ns,
            give_up_ns: u64::MAX,
            last_ns: started_ns,
            open: vec![true; tasks],
            ended: 0,
            failed: 0,
            latencies_ns: Vec::with_capacity(tasks),
        }
    }

    /// What has no outcome at `give_up_ns` gets none.
    pub fn sent(&mut self, give_up_ns: u64) {
        self.give_up_ns = give_up_ns;
    }

    pub fn is_open(&self, task: usize) -> bool {
        self.open.get(task).copied().unwrap_or(false)
    }

    pub fn answered(&mut self, task: usize, latency_ns: u64, received_ns: u64) {
        self.close(task);
        self.latencies_ns.push(latency_ns);
        self.last_ns = self.last_ns.max(received_ns);
    }

    pub fn failed(&mut self, task: usize, now_ns: u64) {
        self.close(task);
        self.failed += 1;
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

    pub fn is_finished(&self) -> bool {
        self.ended as usize == self.open.len()
    }

    /// For the log. `late` and `duplicates` came in while this round was the one to end next.
    pub fn finish(mut self, late: u32, duplicates: u32) -> Round {
        assert!(self.is_finished());
        self.latencies_ns.sort_unstable();
        let at = |share: f64| {
            let rank = (share * self.latencies_ns.len() as f64).ceil() as usize;
            self.latencies_ns.get(rank.saturating_sub(1)).copied()
        };
        Round {
            round: self.number,
            phase: self.phase,
            scheduled_ns: self.scheduled_ns,
            started_ns: self.started_ns,
            finished_ns: self.last_ns,
            tasks: self.open.len() as u32,
            answered: self.latencies_ns.len() as u32,
            failed: self.failed,
            late,
            duplicates,
            corrupt: self.corrupt,
            contradicted: self.contradicted,
            causes: self.causes,
            task_p50_ns: at(0.5),
            task_p99_ns: at(0.99),
            task_max_ns: self.latencies_ns.last().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut round = InFlight::new(0, Phase::Load, 1_000, 1_010, Recipients::Any(101));
        round.sent(2_000_000);
        for n in 1..=100 {
            round.answered(n as usize - 1, n, 1_000 + n);
        }
        assert!(!round.is_finished());
        assert_eq!((round.overdue(1_999_999), round.overdue(2_000_000)), (vec![], vec![100]));
        round.failed(100, 5_000);
        let round = round.finish(0, 0);
        assert_eq!((round.answered, round.failed, round.finished_ns), (100, 1, 5_000));
        assert_eq!(
            (round.task_p50_ns, round.task_p99_ns, round.task_max_ns),
            (Some(50), Some(99), Some(100))
        );
    }

    #[test]
    fn a_round_without_answers_has_no_latency() {
        let mut round = InFlight::new(0, Phase::Load, 0, 0, Recipients::Any(1));
        round.failed(0, 7);
        let round = round.finish(0, 0);
        assert_eq!((round.task_p50_ns, round.task_max_ns), (None, None));
    }
}
