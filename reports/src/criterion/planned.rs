//! What the plan of a run says of its figures, in numbers: for [`super::range`]. Deliberately absent: how a plan is made, which is
//! not a matter of this crate.

use super::label::{no_coordinator, no_workload};
use super::{Criterion, Scope};

/// A number of things that may change during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub least: u32,
    pub most: u32,
}

/// What the plan of a run says of the figures in it. Numbers that it does not bound are infinite.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub coordinators: Sizes,
    /// Of the whole fleet.
    pub workers: Sizes,
    /// Processes that may end in one place, one after the other.
    pub deaths_per_place: f64,
    pub attempts_per_task: f64,
    /// In the load.
    pub tasks: f64,
    /// In the load and its warm-up.
    pub tasks_of_run: f64,
    /// On their way at the same time.
    pub tasks_in_flight: f64,
    /// Whether a round may begin before the one before it has ended.
    pub rounds_overlap: bool,
    /// Answered in a second, over the whole load.
    pub tasks_per_second: f64,
    /// The same over any part of it.
    pub tasks_per_second_at_once: f64,
    pub messages_per_task: f64,
    /// From the start of the load to its last answer, at the latest.
    pub last_answer_s: f64,
    /// The longest that a launch can take.
    pub launch_longest_s: f64,
    /// The longest that a run can take.
    pub longest_s: f64,
    /// The longest from the scheduled start of a round to its last answer or time-out.
    pub round_longest_s: f64,
    pub load_s: f64,
    pub workloads: Vec<Share>,
    /// The most of all tasks that one coordinator can have, as a share of them.
    pub coordinator_share: f64,
    /// What the file system of the run's own for shared memory can hold, if it has one.
    pub shm_bytes: Option<f64>,
    /// Whether a worker runs anything else.
    pub has_commands: bool,
}

/// What of the tasks one workload has.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    pub name: Option<String>,
    /// Of all tasks, on average.
    pub of_tasks: f64,
    /// The least time that one of them takes its worker.
    pub least_s: f64,
}

/// What a number that is drawn, and is `mean` on average, is as good as never above.
pub fn drawn_at_most(mean: f64) -> f64 {
    mean.sqrt().mul_add(20.0, mean + 20.0)
}

impl Planned {
    /// Supervisor, coordinators and workers.
    pub(super) fn processes(&self) -> Sizes {
        let of = |coordinators: u32, workers: u32| 1 + coordinators + workers;
        Sizes {
            least: of(self.coordinators.least, self.workers.least),
            most: of(self.coordinators.most, self.workers.most),
        }
    }

    pub(super) fn processes_of(&self, scope: Scope) -> Sizes {
        const ONE: Sizes = Sizes { least: 1, most: 1 };
        match scope {
            Scope::Fleet => self.processes(),
            Scope::Workers => self.workers,
            Scope::Coordinators => self.coordinators,
            Scope::Supervisor | Scope::Harness => ONE,
            // As many as it likes, and at times none.
            Scope::Commands => Sizes { least: 0, most: u32::MAX },
        }
    }

    fn of_workload<'a>(&'a self, named: Option<&'a str>) -> impl Iterator<Item = &'a Share> {
        self.workloads.iter().filter(move |part| named.is_none() || part.name.as_deref() == named)
    }

    pub(super) fn task_least_s(&self, workload: Option<&str>) -> f64 {
        self.of_workload(workload).map(|part| part.least_s).reduce(f64::min).unwrap_or(0.0)
    }

    /// Whether the part that a criterion is about is all there is.
    pub(super) fn is_whole(&self, criterion: &Criterion) -> bool {
        let others = |named: &str| self.workloads.iter().any(|part| part.name.as_deref() != Some(named));
        !criterion.workload().is_some_and(others)
            && (criterion.coordinator().is_none() || self.coordinators.most == 1)
    }

    /// Of so many tasks, the most that the part can have that a criterion is about.
    pub(super) fn part(&self, criterion: &Criterion, tasks: f64) -> f64 {
        if self.is_whole(criterion) {
            return tasks;
        }
        if criterion.coordinator().is_some() {
            // Whole ones: 49 times a 49th is less than one.
            return (tasks * self.coordinator_share).round().min(tasks);
        }
        let share: f64 = self.of_workload(criterion.workload()).map(|part| part.of_tasks).sum();
        // Which tasks are of which workload is drawn.
        drawn_at_most(tasks * share).floor().min(tasks)
    }

    /// That there is no part that a criterion is about: what there is not, as the end of a sentence, and what to do.
    pub fn lacks(&self, criterion: &Criterion) -> Option<(String, String)> {
        if let Some(named) = criterion.workload() {
            let names: Vec<&str> = self.workloads.iter().filter_map(|part| part.name.as_deref()).collect();
            return no_workload(named, &names);
        }
        no_coordinator(criterion.coordinator()?, self.coordinators.most)
    }
}
