//! How a fleet is, read from its shared memory: the same words that the fleet itself works with.

use super::Ledger;
use crate::bus::directory::{control_path, region_path};
use crate::bus::error::BusError;
use crate::bus::slot::{Life, ProcessCell, Stage};
use crate::bus::sync::{AtomicU64, Ordering};
use crate::bus::view::{Control, Region};
use crate::process::clock::now_ns;
use crate::process::identity::Identity;
use crate::process::reap::HowEnded;
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Clone, Serialize)]
pub struct FleetStatus {
    /// `starting`, `ready`, `stopping`, `stopped`.
    pub stage: &'static str,
    pub started_unix_ns: u64,
    pub supervisor: ProcessStatus,
    /// Deaths that nobody asked for.
    pub deaths: u64,
    pub coordinators: Vec<CoordinatorStatus>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProcessStatus {
    /// As `ps` shows it.
    pub name: String,
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    /// `absent`, `starting`, `live`, `replacing`, `dead`, `stopped`.
    pub life: &'static str,
    /// Of one that has ended.
    pub ended: Option<String>,
    /// How many processes have had this place.
    pub incarnation: u32,
    /// How many of them died unasked,
    pub deaths: u32,
    /// and the last of these.
    pub last_death: Option<Death>,
}

/// A death that nobody asked for, and what came of it. Times are CLOCK_MONOTONIC, ns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Death {
    pub pid: u32,
    pub start_ticks: u64,
    pub how: String,
    /// When its parent saw it.
    pub seen_ns: u64,
    /// Of a coordinator: when its successor had the region.
    pub attached_ns: Option<u64>,
    /// When a worker's tasks were queued again; when a coordinator's successor was serving.
    pub recovered_ns: Option<u64>,
}

impl ProcessStatus {
    pub fn is_dead(&self) -> bool {
        self.life == word(Life::Dead)
    }

    /// Nobody is to come who is not here yet.
    pub fn is_there(&self) -> bool {
        [Life::Live, Life::Stopped].map(word).contains(&self.life)
    }

    /// Processes that have been started here after the first.
    pub fn restarts(&self) -> u32 {
        self.incarnation.saturating_sub(1)
    }

    /// Ended in order, and had been asked to.
    pub fn is_stopped(&self) -> bool {
        self.life == word(Life::Stopped)
    }

    pub fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_ticks: self.start_ticks }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct CoordinatorStatus {
    pub process: ProcessStatus,
    /// How many coordinators its region has had.
    pub epoch: u32,
    pub ledger: Ledger,
    /// Tasks taken back from dead workers and queued again.
    pub requeued: u64,
    /// Answers refused because they were made under a coordinator that is dead.
    pub fenced: u64,
    /// Entries of the task table whose words could not be.
    pub damaged: u64,
    pub workers: Vec<WorkerStatus>,
}

#[derive(Debug, Clone, Serialize)]
pub struct WorkerStatus {
    pub process: ProcessStatus,
    /// Tasks carried out.
    pub executed: u64,
    /// Sequence of the task in hand.
    pub task: Option<u64>,
    /// How long ago it last began or ended a task; absent if it never did.
    pub idle_or_busy_ns: Option<u64>,
}

impl FleetStatus {
    /// The supervisor, the coordinators, the workers.
    pub fn processes(&self) -> impl Iterator<Item = &ProcessStatus> {
        std::iter::once(&self.supervisor).chain(self.coordinators.iter().flat_map(|coordinator| {
            std::iter::once(&coordinator.process)
                .chain(coordinator.workers.iter().map(|worker| &worker.process))
        }))
    }

    /// Summed over the coordinators.
    pub fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        for coordinator in &self.coordinators {
            sum += coordinator.ledger;
        }
        sum
    }
}

fn word(life: Life) -> &'static str {
    match life {
        Life::Absent => "absent",
        Life::Starting => "starting",
        Life::Live => "live",
        Life::Dead => "dead",
        Life::Stopped => "stopped",
        Life::Replacing => "replacing",
    }
}

fn process(name: String, cell: &ProcessCell) -> ProcessStatus {
    let life = cell.life();
    let deaths = cell.deaths.load(Ordering::Acquire);
    let ended = matches!(life, Life::Dead | Life::Stopped)
        .then(|| HowEnded::from_raw(cell.wait_status.load(Ordering::Relaxed)).in_fleet().to_string());
    ProcessStatus {
        name,
        pid: cell.pid.load(Ordering::Relaxed),
        start_ticks: cell.start_ticks.load(Ordering::Relaxed),
        life: word(life),
        ended,
        incarnation: cell.incarnation.load(Ordering::Acquire),
        deaths,
        last_death: (deaths > 0).then(|| last_death(cell)),
    }
}

fn last_death(cell: &ProcessCell) -> Death {
    let seen_ns = cell.dead_seen_ns.load(Ordering::Acquire);
    let since = |at: &AtomicU64| Some(at.load(Ordering::Acquire)).filter(|at_ns| *at_ns >= seen_ns);
    Death {
        pid: cell.dead_pid.load(Ordering::Relaxed),
        start_ticks: cell.dead_start.load(Ordering::Relaxed),
        how: HowEnded::from_raw(cell.dead_status.load(Ordering::Relaxed)).in_fleet().to_string(),
        seen_ns,
        attached_ns: since(&cell.attached_ns),
        recovered_ns: since(&cell.recovered_ns),
    }
}

/// Reads the status of the fleet in `dir`, without becoming its client.
pub fn of(dir: &Path) -> Result<FleetStatus, BusError> {
    let control = Control::attach(&control_path(dir))?;
    let regions = (0..control.shape().coordinators())
        .map(|index| Region::attach(&region_path(dir, index), control.stamped(), index))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(read(&control, &regions))
}

pub(super) fn read(control: &Control, regions: &[Region]) -> FleetStatus {
    let owner = control.stamped().owner;
    let now = now_ns();
    let coordinators = regions
        .iter()
        .zip(0..)
        .map(|(region, index)| CoordinatorStatus {
            process: process(format!("coord/{index}"), &control.coordinator(index).process),
            epoch: region.state().epoch.load(Ordering::Acquire),
            ledger: ledger(region),
            requeued: region.counters().requeued.load(Ordering::Relaxed),
            fenced: region.counters().fenced.load(Ordering::Relaxed),
            damaged: region.counters().damaged.load(Ordering::Relaxed),
            workers: (0..control.shape().workers_per_coordinator())
                .map(|number| worker(region, index, number, now))
                .collect(),
        })
        .collect();
    FleetStatus {
        stage: match control.stage() {
            Stage::Starting => "starting",
            Stage::Ready => "ready",
            Stage::Stopping => "stopping",
            Stage::Stopped => "stopped",
        },
        started_unix_ns: control.stamped().created_unix_ns,
        supervisor: ProcessStatus {
            name: "supervisor".to_owned(),
            pid: owner.pid,
            start_ticks: owner.start_ticks,
            life: word(if owner.is_gone() { Life::Dead } else { Life::Live }),
            ended: None,
            incarnation: 1,
            deaths: 0,
            last_death: None,
        },
        deaths: control.state().deaths.load(Ordering::Acquire),
        coordinators,
    }
}

/// In flight is what the other counts leave: no second count that could disagree.
fn ledger(region: &Region) -> Ledger {
    let counters = region.counters();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    // Ended before accepted: read the other way round, a task that ends in between would be missing.
    let (answered, failed) = (read(&counters.answered), read(&counters.failed));
    let accepted = read(&counters.accepted).max(answered.saturating_add(failed));
    Ledger {
        accepted,
        answered,
        failed,
        in_flight: accepted.saturating_sub(answered).saturating_sub(failed),
        late: read(&counters.late),
        duplicates: read(&counters.duplicates),
    }
}

fn worker(region: &Region, coordinator: u32, number: u32, now: u64) -> WorkerStatus {
    let slot = region.worker(number);
    let progress_ns = slot.own.progress_ns.load(Ordering::Relaxed);
    WorkerStatus {
        process: process(format!("worker/{coordinator}.{number}"), &slot.process),
        executed: slot.own.executed.load(Ordering::Relaxed),
        task: slot.own.task.load(Ordering::Acquire).checked_sub(1),
        idle_or_busy_ns: (progress_ns > 0).then(|| now.saturating_sub(progress_ns)),
    }
}
