//! The contents of a fleet's files: stamps, states, counts, worker slots, task entries.
//!
//! Each word has a single writer, named at the field's group, unless noted otherwise; words of different
//! writers are 128 bytes apart.

use super::doorbell::Doorbell;
use super::shared::Shared;
use super::sync::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use crate::os::identity::Identity;
use crate::raw::raw_enum;
use zerocopy::{Immutable, IntoBytes};

/// `coordfleet` in eight bytes, more or less.
pub const MAGIC: u64 = u64::from_le_bytes(*b"coordflt");
/// Version of the layout's meaning; the offsets have a hash of their own.
pub const VERSION: u32 = 5;

/// How many markers of outer fleets a stamp has room for.
pub const WITHIN: usize = 5;

/// Written once, before the fleet's directory gets its name.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Stamp {
    pub magic: AtomicU64,
    pub layout: AtomicU64,
    pub boot: [AtomicU64; 2],
    pub created_unix_ns: AtomicU64,
    /// Field 22 of `/proc/PID/stat` of the supervisor.
    pub owner_start: AtomicU64,
    /// The pid and time namespaces that the owner's pid and start time belong to: see `os/identity.rs`.
    pub owner_namespace: AtomicU64,
    pub owner_pid: AtomicU32,
    pub version: AtomicU32,
    pub epoch: AtomicU32,
    pub coordinators: AtomicU32,
    pub workers: AtomicU32,
    pub payload_max: AtomicU32,
    pub depth: AtomicU32,
    /// 0 in `control`, 1 + its number in a coordinator's region.
    pub file: AtomicU32,
    /// The fleets that this one was started within, by the hashes of their markers (`process::descent`); 0 where there is
    /// none.
    pub within: [AtomicU64; WITHIN],
}
const _: () = assert!(size_of::<Stamp>() == 128);

/// Where the fleet stands. Written by the supervisor.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct FleetState {
    /// A [`Stage`].
    pub stage: AtomicU32,
    /// Counts the clients that have attached; written by them.
    pub clients: AtomicU32,
    /// Unrequested deaths of coordinators; those of workers are in [`CoordinatorOwn::deaths`].
    pub deaths: AtomicU64,
    /// Counts the supervisors; raised by the one that adopts the fleet.
    pub supervisors: AtomicU32,
    /// 1 if the fleet survives its supervisor's death and waits for another one.
    pub adoptable: AtomicU32,
    /// Counts the supervisor's rounds of checks; it stands still if the supervisor hangs.
    pub beat: AtomicU64,
    /// The client that holds the fleet's rings: its pid, and field 22 of its `/proc/PID/stat`. 0 if none.
    pub client_pid: AtomicU32,
    pub client_start: AtomicU64,
    /// Odd while that client has tasks that no region holds: it was handed them back, and has not handed them on.
    pub client_moves: AtomicU32,
    /// The hash of the marker that every program shows which the fleet has started (`process::descent`).
    pub marker: AtomicU64,
}

/// What an operator has ordered. Written by the process that holds the lock on the fleet.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Orders {
    /// Not 0: coordinators pause, and confirm with this number.
    pub pause: AtomicU32,
    /// The operator that ordered it; a pause ends when that process ends.
    pub pause_pid: AtomicU32,
    pub pause_start: AtomicU64,
    /// How many coordinators there shall be; 0 until an operator has given a number.
    pub coordinators: AtomicU32,
    /// How many workers each shall have; 0 until an operator has given a number.
    pub workers: AtomicU32,
    /// Raised with each change of the two above.
    pub scaled: AtomicU32,
    /// The last of those that there are as many coordinators for. Written by the supervisor, read by its successor.
    pub followed: AtomicU32,
}

raw_enum! {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Stage: u32 {
        Starting = 0,
        Ready = 1,
        /// These two end the fleet: numbers that no accident writes.
        Stopping = 0x7a5b_11c2,
        Stopped = 0x5e1d_93a7,
    }
}

/// A place of the fleet, as the parent of its processes sees it: the process that is here now, and the last
/// one that died unrequested.
#[derive(Debug)]
#[repr(C)]
pub struct ProcessCell {
    pub start_ticks: AtomicU64,
    /// Field 22 of `/proc/PID/stat` of the last process that died unrequested.
    pub dead_start: AtomicU64,
    /// CLOCK_MONOTONIC: when that death was seen by its parent,
    pub dead_seen_ns: AtomicU64,
    /// when a successor had what it left (a coordinator: its region),
    pub attached_ns: AtomicU64,
    /// and when nothing waited for it any more: a worker's tasks were queued again, a coordinator's
    /// successor was serving.
    pub recovered_ns: AtomicU64,
    pub pid: AtomicU32,
    /// A [`Life`].
    pub life: AtomicU32,
    /// As `waitpid` gave it; valid once dead or stopped.
    pub wait_status: AtomicI32,
    /// How many processes have been at this place.
    pub incarnation: AtomicU32,
    /// How many of them died unrequested; raised after everything else about a death is written.
    pub deaths: AtomicU32,
    pub dead_pid: AtomicU32,
    pub dead_status: AtomicI32,
    pub(super) padding: AtomicU32,
}
const _: () = assert!(size_of::<ProcessCell>() == 72);

raw_enum! {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Life: u32 {
        Absent = 0,
        /// Forked, not attached yet.
        Starting = 1,
        Live = 2,
        /// Gone unrequested, and no successor is started.
        Dead = 3,
        /// Ended as requested.
        Stopped = 4,
        /// Gone unrequested; a successor is being started.
        Replacing = 5,
    }
}

impl ProcessCell {
    pub fn identity(&self) -> Identity {
        Identity {
            pid: self.pid.load(Ordering::Acquire),
            start_ticks: self.start_ticks.load(Ordering::Acquire),
        }
    }

    pub fn life(&self) -> Life {
        Life::from_raw(self.life.load(Ordering::Acquire)).unwrap_or(Life::Dead)
    }

    pub fn set_life(&self, life: Life) {
        self.life.store(life as u32, Ordering::Release);
    }

    /// Parent only, right after the fork.
    pub fn record_fork(&self, pid: u32, start_ticks: u64) {
        // Pairs with the Acquire in `ProcessCell::identity`: a reader that sees a successor sees the death before it counted.
        self.pid.store(pid, Ordering::Release);
        self.start_ticks.store(start_ticks, Ordering::Relaxed);
        self.incarnation.store(self.incarnation.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        self.mark_starting();
    }

    /// A process is here, which may already have set `Live`.
    pub fn mark_starting(&self) {
        for before in [Life::Absent, Life::Replacing] {
            let _ = self.life.compare_exchange(
                before as u32,
                Life::Starting as u32,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
    }

    /// The process itself, once: it is at work. It writes its identity, as its parent does
    /// ([`ProcessCell::record_fork`]), so that it is never seen alive under its predecessor's pid.
    pub fn mark_live(&self, pid: u32, start_ticks: u64) {
        // As in `record_fork`: what its parent wrote before the fork is before it.
        self.pid.store(pid, Ordering::Release);
        self.start_ticks.store(start_ticks, Ordering::Relaxed);
        self.set_life(Life::Live);
    }

    /// The process itself: it has been at work since [`ProcessCell::mark_live`], whatever another program has written.
    pub fn reassert_live(&self) {
        let (starting, live) = (Life::Starting as u32, Life::Live as u32);
        let _ = self.life.compare_exchange(starting, live, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Parent only: the process that is here died unrequested. Its life is set separately, when it is known
    /// whether a successor is started.
    pub fn record_death(&self, wait_status: i32, seen_ns: u64) {
        self.wait_status.store(wait_status, Ordering::Relaxed);
        self.dead_status.store(wait_status, Ordering::Relaxed);
        self.dead_pid.store(self.pid.load(Ordering::Relaxed), Ordering::Relaxed);
        self.dead_start.store(self.start_ticks.load(Ordering::Relaxed), Ordering::Relaxed);
        self.dead_seen_ns.store(seen_ns, Ordering::Relaxed);
        // A reader that sees the count finds the identity of the dead process.
        self.deaths.store(self.deaths.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
}

#[derive(Debug)]
#[repr(C, align(128))]
pub struct CoordinatorEntry {
    pub process: ProcessCell,
    /// Where this coordinator sleeps.
    pub bell: Doorbell,
    pub own: CoordinatorOwn,
    /// 1 when this coordinator takes no new tasks, ends what it has, and then itself. Written by the supervisor.
    pub retire: AtomicU32,
    /// CLOCK_MONOTONIC, since when its progress has stopped, written by the process that noticed; 0 if it has not.
    pub suspected_ns: AtomicU64,
}

/// Written by the coordinator, each time it checks all its workers.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct CoordinatorOwn {
    /// Counts those checks; it stands still if the coordinator hangs.
    pub beat: AtomicU64,
    /// Workers that are alive, and those of them that have something to do.
    pub live: AtomicU32,
    pub busy: AtomicU32,
    /// Tasks that wait for a worker.
    pub queued: AtomicU32,
    /// The pause that it observes: see [`Orders::pause`]. 0 if none.
    pub paused: AtomicU32,
    /// Workers that it wants: by load, or as an operator has ordered.
    pub wanted: AtomicU32,
    /// 1 when a coordinator has ended here with all that it had accepted: what is in its client's ring then was never
    /// taken, and its client knows.
    pub closed: AtomicU32,
    /// Records of the client's ring before this one that were not accepted are never taken: the coordinator
    /// that closed left them.
    pub left_until: AtomicU64,
    /// The operator's order that `wanted` follows: see [`Orders::scaled`].
    pub scaled: AtomicU32,
    /// Unrequested deaths of workers that it or its predecessors have seen.
    pub deaths: AtomicU64,
}

/// Written by the coordinator.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct RegionState {
    /// 1 when the workers shall end.
    pub stopping: AtomicU32,
    /// Counts the coordinators that this region has had, from 1: raised by each as its first word.
    /// Leases carry it, and a worker of another epoch than this ends.
    pub epoch: AtomicU32,
}

/// The coordinator's ledger: accepted = answered + failed tasks + failed + returned + in flight. Written by the coordinator.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Counters {
    pub accepted: AtomicU64,
    /// With success,
    pub answered: AtomicU64,
    /// and with a failure: a command that ended badly, or an agent program that reported one.
    pub failed_tasks: AtomicU64,
    /// Not answered.
    pub failed: AtomicU64,
    pub late: AtomicU64,
    pub duplicates: AtomicU64,
    /// Answers of an epoch that is over. Refused, never used.
    pub fenced: AtomicU64,
    /// Tasks taken back from dead workers and queued again.
    pub requeued: AtomicU64,
    /// Entries with impossible words, found at a takeover.
    pub damaged: AtomicU64,
    /// How the entry under way will be counted: a `plan::recover::Ending`. Between its last state and its count a
    /// coordinator may be killed; its successor finds one ending too few, and here which.
    pub ending: AtomicU32,
    /// Handed back to the client for another coordinator.
    pub returned: AtomicU64,
    /// Of the accepted: dead letters that an operator made tasks again.
    pub revived: AtomicU64,
    /// Attempts that failed and were followed by another one.
    pub retried: AtomicU64,
    /// Of the failed: cancelled.
    pub cancelled: AtomicU64,
    /// Dead letters written, and those of them that were overwritten by newer ones.
    pub dead_letters: AtomicU64,
    pub dead_letters_lost: AtomicU64,
    /// Tasks that found a ready worker, and those for which one had to be started.
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    /// Workers started in place of others, for any reason.
    pub refills: AtomicU64,
    /// Workers replaced because they had done enough tasks or had grown.
    pub recycled: AtomicU64,
    /// Workers replaced because their state could not be reset.
    pub poisoned: AtomicU64,
    /// Workers ended because their progress had stopped.
    pub hung: AtomicU64,
    /// Suspicions that proved false.
    pub healed: AtomicU64,
    /// Forks that the kernel refused.
    pub refused: AtomicU64,
    /// Records of the client's ring that were never taken: see [`CoordinatorOwn::left_until`].
    pub left: AtomicU64,
    /// How many times outcomes were published to the client, and how many outcomes that were.
    pub batches: AtomicU64,
    pub batched: AtomicU64,
}
const _: () = assert!(size_of::<Counters>() == 256);

#[derive(Debug)]
#[repr(C, align(128))]
pub struct WorkerSlot {
    /// Written by the coordinator (identity and life also by the worker, once, when it has attached).
    pub process: ProcessCell,
    pub own: WorkerOwn,
    /// Where this worker sleeps.
    pub bell: Doorbell,
    pub orders: WorkerOrders,
}

/// Written by the worker.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct WorkerOwn {
    pub heartbeat: AtomicU64,
    /// Tasks carried out.
    pub executed: AtomicU64,
    /// Sequence + 1 of the task in hand, 0 if idle.
    pub task: AtomicU64,
    /// CLOCK_MONOTONIC, of the last change of the above.
    pub progress_ns: AtomicU64,
    /// Process group of the command it runs, 0 if none; with its leader's start time.
    pub command_pid: AtomicU32,
    pub command_start: AtomicU64,
}

/// Written by the coordinator, for one worker.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct WorkerOrders {
    /// 1 when the worker ends as soon as its ring is empty.
    pub retire: AtomicU32,
    /// CLOCK_MONOTONIC, since when its progress has stopped; 0 if it has not.
    pub suspected_ns: AtomicU64,
}

/// An entry of the task table. Written by the coordinator, in the order given in `process::table`.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct TableEntry {
    /// A `plan::lease::Word`.
    pub word: AtomicU64,
    /// Bytes of the task's body; of the answer's, once done or failed.
    pub task_len: AtomicU32,
    pub answer_len: AtomicU32,
    /// A `wire::TaskHeader`, as long as the entry is not free.
    pub task: [AtomicU64; 7],
    /// A `wire::AnswerHeader`, once done or failed.
    pub answer: [AtomicU64; 7],
}
const _: () = assert!(size_of::<TableEntry>() == 128);

/// The words of a [`TableEntry`], read once each: `word`, `task_len`, `task`, `answer_len`, `answer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryWords(pub [u64; Self::COUNT]);

impl EntryWords {
    pub const COUNT: usize = Self::OF_A_TASK + 8;
    /// The first of them: those that mean something before there is an answer.
    pub const OF_A_TASK: usize = 9;

    pub fn of(entry: &TableEntry) -> Self {
        let mut words = [0; Self::COUNT];
        words[0] = entry.word.load(Ordering::Acquire);
        words[1] = entry.task_len.load(Ordering::Relaxed).into();
        words[Self::OF_A_TASK] = entry.answer_len.load(Ordering::Relaxed).into();
        for at in 0..7 {
            words[2 + at] = entry.task[at].load(Ordering::Relaxed);
            words[Self::OF_A_TASK + 1 + at] = entry.answer[at].load(Ordering::Relaxed);
        }
        Self(words)
    }

    /// The state word last, as always.
    pub fn write_to(&self, entry: &TableEntry) {
        entry.task_len.store(self.0[1] as u32, Ordering::Relaxed);
        entry.answer_len.store(self.0[Self::OF_A_TASK] as u32, Ordering::Relaxed);
        for at in 0..7 {
            entry.task[at].store(self.0[2 + at], Ordering::Relaxed);
            entry.answer[at].store(self.0[Self::OF_A_TASK + 1 + at], Ordering::Relaxed);
        }
        entry.word.store(self.0[0], Ordering::Release);
    }

    /// `header` has 56 bytes.
    pub fn set_task(&mut self, header: &(impl IntoBytes + Immutable), len: u32) {
        self.set(1, header.as_bytes(), len);
    }

    /// As [`Self::set_task`].
    pub fn set_answer(&mut self, header: &(impl IntoBytes + Immutable), len: u32) {
        self.set(Self::OF_A_TASK, header.as_bytes(), len);
    }

    fn set(&mut self, at: usize, header: &[u8], len: u32) {
        self.0[at] = len.into();
        for (word, bytes) in self.0[at + 1..at + 8].iter_mut().zip(header.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
    }

    /// The number of the first of `used` words that `other` has otherwise.
    pub fn difference(&self, other: &Self, used: usize) -> Option<usize> {
        (0..used).find(|at| self.0[*at] != other.0[*at])
    }

    /// The name of a word by its number, as in `bus::fields`.
    pub fn name(number: usize) -> Option<String> {
        Some(match number {
            0 => "word".to_owned(),
            1 => "task_len".to_owned(),
            2..Self::OF_A_TASK => format!("task[{}]", number - 2),
            Self::OF_A_TASK => "answer_len".to_owned(),
            _ if (Self::OF_A_TASK + 1..Self::COUNT).contains(&number) => {
                format!("answer[{}]", number - Self::OF_A_TASK - 1)
            }
            _ => return None,
        })
    }
}

/// A task that was given up, with the reason: kept for operators to inspect or to try again. Written by the
/// coordinator; its body lies elsewhere.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct DeadLetterEntry {
    /// A [`DeadLetterState`], written last.
    pub state: AtomicU32,
    /// Bytes of the task's body.
    pub task_len: AtomicU32,
    /// While it becomes a task again: the value of [`Counters::revived`] with it counted. Before: CLOCK_REALTIME, ns, of its
    /// writing.
    pub stamp: AtomicU64,
    /// A `wire::TaskHeader`.
    pub task: [AtomicU64; 7],
    /// A `wire::AnswerHeader`: why.
    pub answer: [AtomicU64; 7],
}
const _: () = assert!(size_of::<DeadLetterEntry>() == 128);

raw_enum! {
    pub enum DeadLetterState: u32 {
        Empty = 0,
        Dead = 1,
        /// Becomes a task again; a coordinator killed now has left it in the table or not.
        Reviving = 2,
    }
}

// SAFETY: these consist of atomics and of each other; no padding is ever read.
unsafe impl Shared for Stamp {}
// SAFETY: as above.
unsafe impl Shared for FleetState {}
// SAFETY: as above.
unsafe impl Shared for CoordinatorEntry {}
// SAFETY: as above.
unsafe impl Shared for RegionState {}
// SAFETY: as above.
unsafe impl Shared for Counters {}
// SAFETY: as above.
unsafe impl Shared for WorkerSlot {}
// SAFETY: as above.
unsafe impl Shared for TableEntry {}

// SAFETY: as above.
unsafe impl Shared for Orders {}
// SAFETY: as above.
unsafe impl Shared for DeadLetterEntry {}
