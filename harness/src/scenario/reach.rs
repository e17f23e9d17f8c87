//! How far the figures of a run can go: what the tables of a scenario add up to, for its criteria.
//!
//! Where a number depends on chance or on the machine, the bound lies far beyond what can be.

use super::Fleet;
use super::load::{Load, To};
use super::shm::Room;
use super::stage::{self, Stage};
use super::workload::{Mix, Workload};
use crate::system::{FleetSpec, SystemSpec};
use coordinator::client::launch::START_MAX;
use coordinator::config::Failover;
use reports::criterion::{Planned, Share, Sizes, drawn_at_most};
use reports::runlog::event::{Arrivals, LoadModel};
use std::time::Duration;

/// No host of today moves more: a task takes 10 ns then, and a cache line that goes to another core takes longer.
const TASKS_PER_SECOND_MAX: f64 = 1e8;
/// So many mean gaps at the end of a load are as good as never without a random start: one time in e⁴⁰.
const GAPS_AT_MOST: f64 = 40.0;
/// What is added to all times, for launch, drain, and a host that is suspended for a while.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// What is added to the time-out of a task, until it is sent and until the harness gives it up; and to that of a launch.
const ROUND_PATIENCE: Duration = Duration::from_secs(60);

/// Of a checked scenario, before its seed is known.
pub(super) fn planned(
    fleet: &Fleet,
    mix: &Mix,
    load: &Load,
    stages: &[Stage],
    private_shm: Option<Room>,
) -> Planned {
    let (shape, policy) = (&fleet.shape, &fleet.policy);
    let workers = shape.coordinators() * shape.workers_per_coordinator();
    let per_round = f64::from(load.tasks_for_any(workers).unwrap_or(workers));
    let rounds = Rounds::of(load, stages);
    let workloads = shares(mix);
    let quickest = workloads.iter().map(|part| part.least_s).fold(f64::INFINITY, f64::min);
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
    let last_answer_s = last_answer(load).as_secs_f64();
    let longest_s = last_answer_s + (load.warm_up() + PATIENCE).as_secs_f64();
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
        rounds_overlap: load.model() == LoadModel::Open && load.rounds_in_flight_max() > 1,
        tasks_per_second: offered.unwrap_or(f64::INFINITY).min(at_once),
        tasks_per_second_at_once: at_once,
        messages_per_task: f64::from(system.messages_per_task()),
        last_answer_s,
        launch_longest_s: (START_MAX + ROUND_PATIENCE).as_secs_f64(),
        longest_s,
        // No round is scheduled before the load begins.
        round_longest_s: round_longest_s(load, stages).unwrap_or(last_answer_s),
        load_s,
        workloads,
        coordinator_share: coordinator_share(fleet, load),
        shm_bytes: private_shm.map(|room| room.bytes as f64),
        has_commands: mix.parts().iter().any(|part| runs_commands(&part.workload)),
    }
}

fn sizes(least: Option<u32>, most: u32) -> Sizes {
    Sizes { least: least.unwrap_or(most), most }
}

fn shares(mix: &Mix) -> Vec<Share> {
    let all: u64 = mix.parts().iter().map(|part| u64::from(part.weight)).sum();
    let share = |part: &super::Part| Share {
        name: part.name.clone(),
        of_tasks: f64::from(part.weight) / all.max(1) as f64,
        least_s: part.workload.least().unwrap_or_default().as_secs_f64(),
    };
    mix.parts().iter().map(share).collect()
}

/// Each has the tasks of its own workers, unless tasks go to any of them, or those of a dead one to others.
fn coordinator_share(fleet: &Fleet, load: &Load) -> f64 {
    let is_fixed = load.to() == To::Each
        && fleet.policy.failover != Failover::Survivors
        && fleet.coordinators_least().is_none()
        && fleet.workers_least().is_none();
    if is_fixed { 1.0 / f64::from(fleet.shape.coordinators()) } else { 1.0 }
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
    /// After the beginning of the load, at the earliest; known if that is not the beginning itself.
    last_start_s: Option<f64>,
}

impl Rounds {
    fn of(load: &Load, stages: &[Stage]) -> Self {
        let paces = stage::paces(stages);
        // Of random starts the mean is known, which so many are as good as never away from it.
        let most = |mean: u64| match load.arrivals() {
            Arrivals::Constant => mean as f64,
            Arrivals::Poisson => drawn_at_most(mean as f64).ceil(),
        };
        let (in_load, last) = load.rounds_on_average(&paces).unzip();
        let in_warm_up = load
            .every()
            .map(|every| load.warm_up().as_nanos().div_ceil(every.as_nanos()))
            .map(|rounds| most(u64::try_from(rounds).unwrap_or(u64::MAX)));
        let slowest = paces.iter().map(|(_, every)| *every).chain(load.every()).max().unwrap_or_default();
        let earliest = |last: f64| match load.arrivals() {
            Arrivals::Constant => last,
            Arrivals::Poisson => last - GAPS_AT_MOST * slowest.as_secs_f64(),
        };
        let last_start_s = last.map(earliest).filter(|last| *last >= 0.0);
        Self { in_load: in_load.map(most), in_warm_up, last_start_s }
    }
}

/// After the start of the load. What starts late is made up for a while, and then given up.
fn last_answer(load: &Load) -> Duration {
    load.duration() + load.overrun() + load.task_timeout() + ROUND_PATIENCE
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
