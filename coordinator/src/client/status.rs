//! How a fleet is, read from its shared memory: the same words that the fleet itself works with.
//!
//! Nothing here is counted a second time: what the words do not say is computed from them at each reading. The keys are
//! the program's interface, `docs/status.md` lists them.

mod read;
mod stuck;

use super::Ledger;
use crate::bus::slot::Life;
use crate::os::identity::Identity;
use crate::wire::place::PlaceId;
use serde::Serialize;

pub use read::{Watch, of};
pub(super) use read::{answer_of, open_tasks, read};

#[derive(Debug, Clone, Serialize)]
pub struct FleetStatus {
    /// `starting`, `ready`, `stopping`, `stopped`.
    pub stage: &'static str,
    pub started_unix_ns: u64,
    /// CLOCK_MONOTONIC, when this was read.
    pub read_ns: u64,
    /// What the fleet has room for.
    pub capacity: Capacity,
    pub supervisor: ProcessStatus,
    /// Deaths that nobody asked for.
    pub deaths: u64,
    /// Who sends the fleet its tasks, if it has said so.
    pub client: Option<Holder>,
    /// Who wants the coordinators to stand still.
    pub pause: Option<Holder>,
    /// What an operator has asked for by hand.
    pub wanted: Wanted,
    /// Summed over the coordinators.
    pub ledger: Ledger,
    pub counts: Counts,
    /// One for each place; one that nobody has ever had is `absent`, and has no workers.
    pub coordinators: Vec<CoordinatorStatus>,
    /// What does not go on, the longest first.
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
    #[serde(skip)]
    pub place: PlaceId,
    /// The place, as `ps` shows it.
    pub name: String,
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    /// For how long it has been there; absent if it is not.
    pub up_ns: Option<u64>,
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
    /// For how long its progress has stopped, where somebody suspects it.
    pub suspected_ns: Option<u64>,
    /// It takes no new tasks, and ends when it has done what it has.
    pub retiring: bool,
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

impl Death {
    /// From the death until nothing waited for the dead one any more.
    pub fn recovery_ns(&self) -> Option<u64> {
        Some(self.recovered_ns?.saturating_sub(self.seen_ns))
    }
}

impl ProcessStatus {
    pub fn is_live(&self) -> bool {
        self.life == word(Life::Live)
    }

    pub fn is_dead(&self) -> bool {
        self.life == word(Life::Dead)
    }

    /// Nobody has ever been here.
    pub fn is_absent(&self) -> bool {
        self.pid == 0 && self.incarnation == 0
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
    pub counts: Counts,
    /// Tasks that wait for a worker.
    pub queued: u32,
    /// Workers that are there, and those of them that have something to do.
    pub live: u32,
    pub busy: u32,
    /// Workers that it wants; absent as long as it has not said.
    pub wanted: Option<u32>,
    /// It stands still, as an operator wants.
    pub paused: bool,
    pub workers: Vec<WorkerStatus>,
}

/// What happened to tasks and workers beside the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Attempts that failed and were followed by another one.
    pub retried: u64,
    /// Tasks that were cancelled.
    pub cancelled: u64,
    /// Dead letters that became tasks again.
    pub revived: u64,
    /// Dead letters written,
    pub letters: u64,
    /// those that are there,
    pub letters_kept: u64,
    /// and those that had to make room for newer ones.
    pub letters_lost: u64,
    /// Tasks that met a worker which was there,
    pub hits: u64,
    /// and those for which one had to be started.
    pub misses: u64,
    /// Workers started in place of others.
    pub refills: u64,
    /// Workers thrown away because they had worked enough or grown.
    pub recycled: u64,
    /// Workers thrown away because their state could not be reset.
    pub poisoned: u64,
    /// Workers ended because their progress had stopped.
    pub hung: u64,
    /// Suspicions that were none.
    pub healed: u64,
    /// Forks that the kernel refused.
    pub refused_forks: u64,
}

impl Counts {
    /// Of the tasks that wanted a worker, those that met one which was there: 0 to 1. `None` before the first.
    pub fn hit_ratio(&self) -> Option<f64> {
        let all = self.hits.saturating_add(self.misses);
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Read from where anybody of the user's may write.
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.retried, other.retried);
        add(&mut self.cancelled, other.cancelled);
        add(&mut self.revived, other.revived);
        add(&mut self.letters, other.letters);
        add(&mut self.letters_kept, other.letters_kept);
        add(&mut self.letters_lost, other.letters_lost);
        add(&mut self.hits, other.hits);
        add(&mut self.misses, other.misses);
        add(&mut self.refills, other.refills);
        add(&mut self.recycled, other.recycled);
        add(&mut self.poisoned, other.poisoned);
        add(&mut self.hung, other.hung);
        add(&mut self.healed, other.healed);
        add(&mut self.refused_forks, other.refused_forks);
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct WorkerStatus {
    pub process: ProcessStatus,
    /// Tasks carried out.
    pub executed: u64,
    /// Sequence of the task in hand.
    pub task: Option<u64>,
    /// The task in hand by its whole name, where the table says it too.
    pub task_id: Option<String>,
    /// Counts the workers that have begun that task.
    pub attempt: Option<u8>,
    /// How long ago it last began or ended a task; absent if it never did.
    pub idle_or_busy_ns: Option<u64>,
}

/// Something that does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stuck {
    /// Who has it, or is to take it.
    pub who: String,
    /// `in-hand`, `queued`, `suspected`, `paused`.
    pub kind: &'static str,
    /// In words.
    pub why: String,
    /// How many tasks wait for that.
    pub tasks: u64,
    /// The one that waits longest.
    pub task_id: Option<String>,
    /// For how long.
    pub for_ns: u64,
}

impl FleetStatus {
    /// The supervisor, the coordinators, the workers, as far as anybody has ever been there.
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
