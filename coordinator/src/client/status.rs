//! The status of a fleet, read from its shared memory: the same words that the fleet itself works with.
//!
//! Nothing is counted a second time: what the words do not say is computed from them at each reading. The JSON keys are
//! part of the program's interface; `docs/status.md` lists them.

mod open;
mod read;
mod stopped;
mod stuck;

use super::Ledger;
use crate::os::identity::Identity;
use crate::wire::TaskKind;
use crate::wire::place::PlaceId;
use serde::Serialize;
use std::fmt;

pub use crate::bus::slot::{Life, Stage};
pub(super) use open::{answer_of, open_task, open_tasks};
pub use read::{Watch, of};
pub(super) use read::{paused_by, read};

#[derive(Debug, Clone, Serialize)]
pub struct FleetStatus {
    pub stage: Stage,
    pub started_unix_ns: u64,
    /// CLOCK_MONOTONIC, when this was read.
    pub read_ns: u64,
    /// What the fleet has room for.
    pub capacity: Capacity,
    pub supervisor: ProcessStatus,
    /// Unexpected deaths.
    pub deaths: u64,
    /// The process that sends the fleet its tasks, if there is one.
    pub client: Option<Holder>,
    /// The operator that has paused the coordinators.
    pub pause: Option<Holder>,
    /// What an operator has asked for.
    pub wanted: Wanted,
    /// Summed over the coordinators.
    pub ledger: Ledger,
    pub counts: Counts,
    /// One for each place; a place that has never been filled is `absent`, and has no workers.
    pub coordinators: Vec<CoordinatorStatus>,
    /// What is stuck, the longest first.
    pub stuck: Vec<Stuck>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capacity {
    pub coordinators: u32,
    /// Of each coordinator.
    pub workers: u32,
    /// Bytes, of a task's body and of an answer's.
    pub payload_max: u32,
    /// Tasks that may wait for one worker.
    pub depth: u32,
}

/// A process that holds something of the fleet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Holder {
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    pub alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wanted {
    pub coordinators: Option<u32>,
    /// Of each coordinator.
    pub workers: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProcessStatus {
    /// As `ps` shows it.
    #[serde(rename = "name")]
    pub place: PlaceId,
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    /// How long it has been running; absent if it is not running.
    pub up_ns: Option<u64>,
    pub life: Life,
    /// How it ended, in words; absent while it runs.
    pub ended: Option<String>,
    /// How many processes have had this place.
    pub incarnation: u32,
    /// How many of them died unexpectedly.
    pub deaths: u32,
    /// The last of these deaths.
    pub last_death: Option<Death>,
    /// How long it has made no progress, if it is suspected of hanging.
    pub suspected_ns: Option<u64>,
    /// It takes no new tasks, and ends when it has finished those it has.
    pub retiring: bool,
}

/// An unexpected death, and its recovery. Times are CLOCK_MONOTONIC, ns.
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

impl Death {
    /// From the death until the successor had taken over everything that waited for the dead process.
    pub fn recovery_ns(&self) -> Option<u64> {
        Some(self.recovered_ns?.saturating_sub(self.seen_ns))
    }
}

impl ProcessStatus {
    pub fn is_live(&self) -> bool {
        self.life == Life::Live
    }

    pub fn is_dead(&self) -> bool {
        self.life == Life::Dead
    }

    /// No process has ever been at this place.
    pub fn is_absent(&self) -> bool {
        self.pid == 0 && self.incarnation == 0
    }

    /// The place is settled: no process is still to come.
    pub fn is_there(&self) -> bool {
        matches!(self.life, Life::Live | Life::Stopped)
    }

    /// Processes started at this place after the first.
    pub fn restarts(&self) -> u32 {
        self.incarnation.saturating_sub(1)
    }

    /// It ended in order, as asked.
    pub fn is_stopped(&self) -> bool {
        self.life == Life::Stopped
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
    /// Answers and failures in the ring to the client, which no client has taken yet. The ledger counts them as answered or
    /// failed.
    pub untold: u64,
    /// Tasks taken back from dead workers and queued again.
    pub requeued: u64,
    /// Answers refused because they were made under a coordinator that has died since.
    pub fenced: u64,
    /// Entries of the task table with impossible contents.
    pub damaged: u64,
    pub counts: Counts,
    /// Tasks that wait for a worker.
    pub queued: u32,
    /// Workers that are alive.
    pub live: u32,
    /// Live workers with a task in hand.
    pub busy: u32,
    /// Workers that it wants; absent until it has decided.
    pub wanted: Option<u32>,
    /// An operator has paused it.
    pub paused: bool,
    pub workers: Vec<WorkerStatus>,
}

/// What happened to tasks and workers, beside the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Attempts that failed and were followed by another one.
    pub retried: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Dead letters that became tasks again.
    pub revived: u64,
    /// Dead letters written.
    pub dead_letters: u64,
    /// Dead letters that are there now.
    pub dead_letters_kept: u64,
    /// Dead letters removed to make room for newer ones.
    pub dead_letters_evicted: u64,
    /// Tasks that found a worker ready.
    pub hits: u64,
    /// Tasks that had to wait until a worker was started.
    pub misses: u64,
    /// Workers started in place of others.
    pub refills: u64,
    /// Workers replaced because they had done enough tasks or grown too large.
    pub recycled: u64,
    /// Workers replaced because their state could not be reset.
    pub poisoned: u64,
    /// Workers killed because they made no progress.
    pub hung: u64,
    /// Suspected processes that made progress again.
    pub healed: u64,
    /// Forks that the kernel refused.
    pub refused_forks: u64,
    /// Times that outcomes were published to the client.
    pub batches: u64,
    /// Outcomes published to the client: over `batches`, how many went together.
    pub batched: u64,
}

impl Counts {
    /// The share of tasks that found a worker ready: 0 to 1. `None` before the first task.
    pub fn hit_ratio(&self) -> Option<f64> {
        let all = self.hits.saturating_add(self.misses);
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Read from memory that any process of this user may write.
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.retried, other.retried);
        add(&mut self.cancelled, other.cancelled);
        add(&mut self.revived, other.revived);
        add(&mut self.dead_letters, other.dead_letters);
        add(&mut self.dead_letters_kept, other.dead_letters_kept);
        add(&mut self.dead_letters_evicted, other.dead_letters_evicted);
        add(&mut self.hits, other.hits);
        add(&mut self.misses, other.misses);
        add(&mut self.refills, other.refills);
        add(&mut self.recycled, other.recycled);
        add(&mut self.poisoned, other.poisoned);
        add(&mut self.hung, other.hung);
        add(&mut self.healed, other.healed);
        add(&mut self.refused_forks, other.refused_forks);
        add(&mut self.batches, other.batches);
        add(&mut self.batched, other.batched);
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct WorkerStatus {
    pub process: ProcessStatus,
    /// Tasks carried out.
    pub executed: u64,
    /// Sequence of the task in hand.
    pub task: Option<u64>,
    /// The full id of the task in hand, if the task table has it too.
    pub task_id: Option<String>,
    /// How many workers have begun that task.
    pub attempt: Option<u8>,
    /// How long ago it last began or ended a task; absent if it never did.
    pub idle_or_busy_ns: Option<u64>,
    /// The pid of a process of the task in hand that is stopped, if it has been in hand for long.
    pub stopped: Option<u32>,
}

/// Something that is stuck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// The place that has the tasks, or is to take them.
    pub place: PlaceId,
    pub kind: StuckKind,
    /// In words.
    pub message: String,
    /// How many tasks wait.
    pub tasks: u64,
    /// The task that has waited longest.
    pub task_id: Option<String>,
    /// How long it has been stuck.
    pub for_ns: u64,
}

impl FleetStatus {
    /// The supervisor, the coordinators and the workers, without places that have never been filled.
    pub fn processes(&self) -> impl Iterator<Item = &ProcessStatus> {
        std::iter::once(&self.supervisor)
            .chain(self.coordinators.iter().flat_map(|coordinator| {
                std::iter::once(&coordinator.process)
                    .chain(coordinator.workers.iter().map(|worker| &worker.process))
            }))
            .filter(|process| !process.is_absent())
    }

    /// Summed over the coordinators.
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }
}

/// Why something is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StuckKind {
    /// A worker has had the task for long.
    #[serde(rename = "in-hand")]
    TaskInHand,
    /// The same, and a process of the task is stopped.
    Stopped,
    /// Tasks wait for a process that will not take them for now.
    Queued,
    /// A process has stopped making progress.
    Suspected,
    /// Tasks wait until an operator ends a pause.
    Paused,
}

/// The word that JSON has for it.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The word that JSON has for it.
impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The word that JSON has for it.
impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
