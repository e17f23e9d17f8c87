//! How far the figures of a run can go: what the tables of a scenario add up to, for its criteria.
//!
//! Where a number depends on chance or on the machine, the bound lies far beyond what can be.

use super::Fleet;
use super::load::Load;
use super::stage::{self, Stage};
use super::workload::{Mix, Workload};
use crate::system::{FleetSpec, SystemSpec};
use reports::criterion::{Planned, Sizes};
use reports::runlog::event::Arrivals;
use std::time::Duration;

/// No host of today moves more: a task takes 10 ns then, and a cache line that goes to another core takes longer.
const TASKS_PER_SECOND_MAX: f64 = 1e8;
/// What is added to all times, for launch, drain, and a host that is suspended for a while.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// What is added to the time-out of a task: until it is sent, and until the harness gives it up.
const ROUND_PATIENCE: Duration = Duration::from_secs(60);

/// Of a checked scenario, before its seed is known.
pub(super) fn planned(fleet: &Fleet, mix: &Mix, load: &Load, stages: &[Stage]) -> Planned {
    let (shape, policy) = (&fleet.shape, &fleet.policy);
    let workers = shape.coordinators() * shape.workers_per_coordinator();
    let per_round = f64::from(load.tasks_for_any(workers).unwrap_or(workers));
    let rounds = Rounds::of(load, stages);
    let task_least_s: Vec<(Option<String>, f64)> = mix.parts().iter().map(least).collect();
    let quickest = task_least_s.iter().map(|(_, least)| *least).fold(f64::INFINITY, f64::min);
    let at_once = TASKS_PER_SECOND_MAX.min(f64::from(workers) / quickest);
    let load_s = load.duration().as_secs_f64();
    let tasks =
        rounds.in_load.map_or(at_once * (load_s + PATIENCE.as_secs_f64()), |rounds| rounds * per_round);
    let in_warm_up = match rounds.in_warm_up {
        Some(rounds) => rounds * per_round,
        None => at_once * load.warm_up().as_secs_f64(),
    };
    // From the start of the load to its last answer, which is later than the start of its last round.
    let offered = rounds.last_start_s.map(|last| tasks / (last + quickest));
    let longest_s = longest_s(load, rounds.in_load);
    let windows = longest_s / policy.restart_window.as_secs_f64().max(1e-3) + 1.0;
    let system = SystemSpec::Fleet(FleetSpec { shape: *shape, policy: *policy });
    Planned {
        coordinators: sizes(fleet.coordinators_least(), shape.coordinators()),
        workers: sizes(fleet.workers_least(), workers),
        deaths_per_place: 1.0 + f64::from(policy.restarts_max) * windows.ceil(),
        attempts_per_task: f64::from(policy.attempts_max),
        tasks,
        tasks_of_run: tasks + in_warm_up,
        tasks_in_flight: per_round * f64::from(load.rounds_in_flight_max()),
        tasks_per_second: offered.unwrap_or(f64::INFINITY).min(at_once),
        tasks_per_second_at_once: at_once,
        messages_per_task: f64::from(system.messages_per_task()),
        longest_s,
        round_longest_s: round_longest_s(load, stages).unwrap_or(longest_s),
        load_s,
        task_least_s,
        has_commands: mix.parts().iter().any(|part| runs_commands(&part.workload)),
    }
}

fn sizes(least: Option<u32>, most: u32) -> Sizes {
    Sizes { least: least.unwrap_or(most), most }
}

fn least(part: &super::Part) -> (Option<String>, f64) {
    (part.name.clone(), part.workload.least().unwrap_or_default().as_secs_f64())
}

fn runs_commands(workload: &Workload) -> bool {
    match workload {
        Workload::Exec(_) | Workload::Agent(_) | Workload::Saboteur(_) => true,
        Workload::Echo { .. } | Workload::Sleep(_) | Workload::Compute { .. } => false,
    }
}

/// How many there are at most; nothing in a closed loop.
struct Rounds {
    in_load: Option<f64>,
    in_warm_up: Option<f64>,
    /// After the beginning of the load; known if it does not depend on the seed.
    last_start_s: Option<f64>,
}

impl Rounds {
    fn of(load: &Load, stages: &[Stage]) -> Self {
        // Of random starts the mean is known, which so many are as good as never away from it.
        let most = |mean: u64| match load.arrivals() {
            Arrivals::Constant => mean as f64,
            Arrivals::Poisson => (mean as f64).sqrt().mul_add(20.0, mean as f64 + 20.0),
        };
        let (in_load, last) = load.rounds_on_average(&stage::paces(stages)).unzip();
        let in_warm_up = load
            .every()
            .map(|every| load.warm_up().as_nanos().div_ceil(every.as_nanos()))
            .map(|rounds| most(u64::try_from(rounds).unwrap_or(u64::MAX)));
        let is_constant = load.arrivals() == Arrivals::Constant;
        Self { in_load: in_load.map(most), in_warm_up, last_start_s: last.filter(|_| is_constant) }
    }
}

/// Until every round of an open loop has been given up, one after the other as far as they may not overlap.
fn longest_s(load: &Load, rounds: Option<f64>) -> f64 {
    let timeout = load.task_timeout().as_secs_f64();
    let waiting = rounds.unwrap_or(0.0) / f64::from(load.rounds_in_flight_max().max(1)) + 1.0;
    let all = load.warm_up() + load.duration() + PATIENCE;
    waiting.mul_add(timeout, all.as_secs_f64())
}

/// Until the last task of a round has been given up. Nothing where rounds may wait for those before them.
fn round_longest_s(load: &Load, stages: &[Stage]) -> Option<f64> {
    let all = load.task_timeout() + ROUND_PATIENCE;
    let paces = stage::paces(stages).into_iter().map(|(_, every)| every).chain(load.every());
    let is_free = match paces.min() {
        // A closed loop schedules a round when the one before it is over.
        None => true,
        Some(every) => {
            load.arrivals() == Arrivals::Constant && every.saturating_mul(load.rounds_in_flight_max()) >= all
        }
    };
    is_free.then_some(all.as_secs_f64())
}
