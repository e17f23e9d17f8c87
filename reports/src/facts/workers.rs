//! What each worker did in the load: of all segments that were carried out to their end, added up.

use std::collections::BTreeMap;

use crate::runlog::event::{PlanFacts, WorkerTimes, Workers, worker_place};
use crate::stats::median;

/// Bounded by the places of the plan.
#[derive(Debug, Clone)]
pub struct WorkerFacts {
    /// By coordinator and worker.
    places: BTreeMap<(u32, u32), Times>,
    /// Of the plan: how many coordinators, and how many workers each has.
    shape: (u32, u32),
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    answered: u64,
    sum_ns: u128,
    max_ns: u64,
}

/// One worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Slow {
    /// `worker/3.17`.
    pub name: String,
    pub answered: u64,
    /// Of its tasks, from the scheduled start of their rounds.
    pub mean_ns: f64,
    pub max_ns: u64,
}

impl WorkerFacts {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        Self { places: BTreeMap::new(), shape: (plan.coordinators, plan.workers_per_coordinator) }
    }

    /// Of a segment. What is in no place of the plan is left out.
    pub(super) fn push(&mut self, workers: &Workers) {
        for WorkerTimes { name, answered, sum_ns, max_ns } in &workers.workers {
            let Some(place) = self.place(name).filter(|_| *answered > 0) else { continue };
            let times = self.places.entry(place).or_default();
            times.answered = times.answered.saturating_add(*answered);
            times.sum_ns = times.sum_ns.saturating_add((*sum_ns).into());
            times.max_ns = times.max_ns.max(*max_ns);
        }
    }

    fn place(&self, name: &str) -> Option<(u32, u32)> {
        worker_place(name).filter(|place| place.0 < self.shape.0 && place.1 < self.shape.1)
    }

    /// Those that have answered tasks, the slowest on average first.
    pub fn slowest_first(&self) -> Vec<Slow> {
        let slow = |((coordinator, worker), times): (&(u32, u32), &Times)| Slow {
            name: format!("worker/{coordinator}.{worker}"),
            answered: times.answered,
            mean_ns: times.sum_ns as f64 / times.answered as f64,
            max_ns: times.max_ns,
        };
        let mut all: Vec<Slow> = self.places.iter().map(slow).collect();
        // Of those that are as slow, the one in the first place comes first.
        all.sort_by(|a, b| b.mean_ns.total_cmp(&a.mean_ns));
        all
    }

    /// Tasks that are known to have been answered by these workers.
    pub fn answered(&self) -> u64 {
        self.places.values().map(|times| times.answered).fold(0, u64::saturating_add)
    }
}

/// Of their means; nothing where there is no second worker to compare with.
pub fn median_ns(all: &[Slow]) -> Option<f64> {
    let mut means: Vec<f64> = all.iter().map(|slow| slow.mean_ns).collect();
    if means.len() > 1 { median(&mut means) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, answered: u64, sum_ns: u64, max_ns: u64) -> WorkerTimes {
        WorkerTimes { name: name.to_owned(), answered, sum_ns, max_ns }
    }

    fn facts() -> WorkerFacts {
        WorkerFacts { places: BTreeMap::new(), shape: (2, 3) }
    }

    #[test]
    fn segments_add_up_place_by_place_and_the_slowest_on_average_comes_first() {
        let mut facts = facts();
        facts
            .push(&Workers { workers: vec![row("worker/0.0", 10, 100, 20), row("worker/1.2", 10, 300, 31)] });
        facts.push(&Workers { workers: vec![row("worker/0.0", 10, 700, 90), row("worker/0.1", 1, 50, 50)] });
        let found: Vec<_> = facts
            .slowest_first()
            .into_iter()
            .map(|slow| (slow.name, slow.answered, slow.mean_ns, slow.max_ns))
            .collect();
        let wanted =
            [("worker/0.1", 1, 50.0, 50), ("worker/0.0", 20, 40.0, 90), ("worker/1.2", 10, 30.0, 31)];
        assert_eq!(found, wanted.map(|(name, answered, mean, max)| (name.to_owned(), answered, mean, max)));
        assert_eq!(facts.answered(), 31);
    }

    #[test]
    fn a_worker_alone_has_no_median_and_two_share_theirs() {
        let of = |means: &[f64]| {
            let slow =
                |mean_ns: &f64| Slow { name: String::new(), answered: 1, mean_ns: *mean_ns, max_ns: 9 };
            median_ns(&means.iter().map(slow).collect::<Vec<_>>())
        };
        assert_eq!((of(&[]), of(&[7.0])), (None, None));
        assert_eq!((of(&[9.0, 5.0]), of(&[9.0, 5.0, 4.0])), (Some(7.0), Some(5.0)));
        assert_eq!(of(&[9.0, 5.0, 3.0, 1.0]), Some(4.0));
    }

    #[test]
    fn what_is_in_no_place_of_the_plan_takes_no_memory() {
        let mut facts = facts();
        let names = ["worker/2.0", "worker/0.3", "coord/0", "worker/0", "worker/x.y", ""];
        facts.push(&Workers { workers: names.map(|name| row(name, 1, 5, 5)).to_vec() });
        facts.push(&Workers { workers: vec![row("worker/0.0", 0, 0, 0)] });
        assert_eq!((facts.slowest_first(), facts.answered()), (vec![], 0));
    }
}
