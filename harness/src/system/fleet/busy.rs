//! When each worker says it was at work: a worker does one task at a time, so that two of its tasks cannot overlap. Pure.
//!
//! The processes of a place follow each other, and none begins before the last has ended: what holds for one holds for all
//! of them. Answers may come in another order than that in which they were made, after a coordinator has been replaced.

use coordinator::client::WorkerRef;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Of each worker. More than answers can be out of order for one place: as many as its ring holds.
const KEPT: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Busy(HashMap<WorkerRef, VecDeque<(u64, u64)>>);

impl Busy {
    /// Notes that `worker` says it was at work from `started_ns` to `finished_ns`; how much of that it has spent on another
    /// task by its own word. Both are as the worker has read its clock: no conversion blurs them. `within` is when the task was
    /// sent and its answer received. Times beyond that are refused elsewhere, and say nothing of other tasks.
    pub(super) fn overlap(
        &mut self,
        worker: WorkerRef,
        (started_ns, finished_ns): (u64, u64),
        within: (u64, u64),
    ) -> Duration {
        if finished_ns <= started_ns || started_ns < within.0 || finished_ns > within.1 {
            return Duration::ZERO;
        }
        let times = self.0.entry(worker).or_default();
        let with = |(from, to): &(u64, u64)| finished_ns.min(*to).saturating_sub(started_ns.max(*from));
        let most = times.iter().map(with).max().unwrap_or(0);
        if times.len() == KEPT {
            times.pop_front();
        }
        times.push_back((started_ns, finished_ns));
        Duration::from_nanos(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WorkerRef = WorkerRef { coordinator: 0, worker: 0 };
    const B: WorkerRef = WorkerRef { coordinator: 1, worker: 0 };

    #[test]
    fn only_two_tasks_of_one_worker_at_one_time_overlap() {
        let mut busy = Busy::default();
        let mut at = |worker, from, to| busy.overlap(worker, (from, to), (from, to)).as_nanos();
        assert_eq!(at(A, 100, 200), 0);
        assert_eq!(at(B, 100, 200), 0, "another worker");
        assert_eq!(at(A, 200, 300), 0, "right behind it");
        assert_eq!(at(A, 50, 100), 0, "made before, and here later");
        assert_eq!(at(A, 290, 400), 10);
        assert_eq!(at(A, 120, 130), 10, "within another one");
        assert_eq!(at(A, 0, 1000), 110, "around all of them");
        assert_eq!(at(A, 500, 500), 0, "no time at all");
    }

    #[test]
    fn times_that_cannot_be_say_nothing_of_other_tasks() {
        let mut busy = Busy::default();
        for said in [(0, u64::MAX), (99, 150), (150, 401), (200, 150)] {
            assert_eq!(busy.overlap(A, said, (100, 400)), Duration::ZERO, "{said:?}");
        }
        assert_eq!(busy.overlap(A, (100, 400), (100, 400)), Duration::ZERO, "none of them was noted");
        assert_eq!(busy.overlap(A, (100, 400), (100, 400)).as_nanos(), 300);
    }

    #[test]
    fn what_is_kept_does_not_grow() {
        let mut busy = Busy::default();
        for at in 0..1000 {
            assert_eq!(busy.overlap(A, (at, at + 1), (0, 2000)), Duration::ZERO);
        }
        assert_eq!(busy.0[&A].len(), KEPT);
    }
}
