//! What stands in the first line of a log: everything that was decided before the first fork.

use super::{FaultFacts, FormatVersion, WorkloadFacts};
use serde::{Deserialize, Serialize};

/// Everything that was decided before the first fork.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub format: FormatVersion,
    pub run_id: String,
    /// Which part of the run this log holds: 0 for the first, 1 for what was resumed after it.
    #[serde(default)]
    pub segment: u32,
    /// In every segment but the first: where the one before it ended.
    #[serde(default)]
    pub resumes: Option<Resumes>,
    /// RFC 3339, UTC; of the first segment. The zero of the run's clock.
    pub started_utc: String,
    pub scenario: ScenarioFacts,
    /// The text of the scenario's file, and of those that it extends, the nearest first: what a run that is resumed is
    /// planned by again. Since 2.7.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceText>,
    /// The command line that repeats this run.
    pub command: String,
    pub seed: u64,
    /// Present if the schedule was compressed: by how much. Such a run satisfies no gate.
    pub rehearsal: Option<f64>,
    pub plan: PlanFacts,
    pub criteria: Vec<CriterionSpec>,
    pub host: HostFacts,
    pub build: BuildFacts,
}

/// The last whole line of the segment before. Each file begins a chain of checksums of its own; this ties it to
/// the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumes {
    /// The id of the run, the same in all its segments.
    pub run: String,
    /// Position of that line in its file.
    pub seq: u64,
    /// Its checksum, as its eight hex digits.
    pub crc: String,
    /// Position of the last checkpoint in that file, if the segment has no ledger: of what comes after it, only what is bad counts.
    /// Since 2.10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_to: Option<u64>,
    /// Processes of the segments before that were still there when this one was to begin, and were killed: `sleep (pid 7)`. Absent if
    /// they were not looked for. Since 2.11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Vec<String>>,
}

impl Resumes {
    /// Whether both name the same line of the same log.
    pub fn is_same_end(&self, other: &Self) -> bool {
        let end = |it: &Self| (it.run.clone(), it.seq, it.crc.clone(), it.counted_to);
        end(self) == end(other)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioFacts {
    pub name: String,
    /// The question that the run answers, in a sentence.
    pub asks: String,
    /// As given on the command line.
    pub file: String,
    pub sha256: String,
    pub profile: Option<String>,
    /// `key=value`, as given.
    pub overrides: Vec<String>,
    /// Ids from the requirements, such as `C1`.
    pub requirements: Vec<String>,
    /// Which combination of the file's matrix: `fleet.workers=100`. Since 2.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matrix: Vec<String>,
    /// The files that it extends, the nearest first. Since 2.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extends: Vec<String>,
    /// Set by a reader that judges the run by the criteria of another file; never in a log.
    #[serde(skip)]
    pub judged_by: Option<JudgedBy>,
}

/// A scenario file, as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// As given on the command line, or as the file that extends it names it.
    pub name: String,
    pub text: String,
}

/// A scenario file whose criteria were laid over those that a run was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedBy {
    /// Name of the scenario.
    pub scenario: String,
    /// As given on the command line.
    pub file: String,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFacts {
    pub topology: Topology,
    pub coordinators: u32,
    pub workers_per_coordinator: u32,
    /// Supervisor + coordinators + workers.
    pub processes: u32,
    /// Bytes the fleet reserves in /dev/shm.
    pub shm_bytes: u64,
    /// Descriptors that the process with the most of them needs.
    pub fds_max: u64,
    /// In words: `echo 256 B`.
    pub workload: String,
    pub load: LoadModel,
    /// Time between the scheduled starts of two rounds; 0 in a closed loop.
    pub round_every_ns: u64,
    pub warm_up_ns: u64,
    /// Of the load phase, without the warm-up.
    pub duration_ns: u64,
    /// In the load phase; 0 if unknown before (closed loop).
    pub rounds_planned: u64,
    pub task_timeout_ns: u64,
    pub rounds_in_flight_max: u32,
    pub sample_every_ns: u64,
    pub pss_every_ns: u64,
    /// Bus messages of one task's round trip.
    #[serde(default = "four")]
    pub messages_per_task: u32,
    /// The workloads that tasks are divided among, if the scenario names them. Since 2.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadFacts>,
    /// Commands before the launch and after the end: their names, or programs and arguments. Since 2.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teardown: Vec<String>,
    /// CPU time that a worker uses for a task; absent if the workload does not say, if there are several, and before 2.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_per_task_ns: Option<u64>,
    /// The least time in which a worker can do a task, whichever workload it is of; absent if there is none, and before 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_least_ns: Option<u64>,
    /// In the order of the scenario; not before 2.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultFacts>,
    /// What the gaps between the scheduled starts of an open loop's rounds are. Constant before 2.2.
    #[serde(default, skip_serializing_if = "Arrivals::is_constant")]
    pub arrivals: Arrivals,
    /// Tasks of a round, each for any worker; absent if a round is one task to every worker, and before 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_per_round: Option<u32>,
    /// Workers of the whole fleet at the start; absent if it has all that it has places for, and before 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers_at_start: Option<u32>,
    /// The fewest workers of the whole fleet that the plan allows at any time; absent if their number never changes, and
    /// before 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers_least: Option<u32>,
    /// Coordinators at the start, and the fewest that the plan allows at any time; absent if their number never changes, and
    /// before 2.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinators_at_start: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinators_least: Option<u32>,
    /// Workers of the whole fleet that the scenario asks for, if the host had no room for all of them: then the plan is of
    /// fewer. Since 2.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers_asked: Option<u32>,
    /// How the fleet's size and the pace change, in order. Since 2.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageFacts>,
    /// The file system of the run's own that the fleet has its shared memory in. Since 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_shm: Option<RoomFacts>,
}

impl PlanFacts {
    /// Workers that the fleet has places for.
    pub fn places(&self) -> u32 {
        self.coordinators.saturating_mul(self.workers_per_coordinator)
    }

    /// Before the first round.
    pub fn processes_at_start(&self) -> u32 {
        let coordinators = self.coordinators_at_start.unwrap_or(self.coordinators);
        let around = coordinators.saturating_add(1);
        self.workers_at_start.map_or(self.processes, |workers| around.saturating_add(workers))
    }

    /// The fewest that there may be at any time, where the fleet itself decides how many.
    pub fn processes_by_load(&self) -> Option<u32> {
        let workers = self.workers_least.filter(|_| self.stages.is_empty())?;
        let around = self.coordinators_least.unwrap_or(self.coordinators).saturating_add(1);
        Some(around.saturating_add(workers))
    }
}

/// How much a file system can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomFacts {
    pub bytes: u64,
    pub inodes: u64,
}

/// From when on there is another number of workers, or another pace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageFacts {
    pub name: String,
    /// From the beginning of the load.
    pub at_ns: u64,
    /// How long the number of workers takes to become this one, in equal steps.
    pub over_ns: u64,
    /// Of the whole fleet.
    pub workers: u32,
    /// As [`PlanFacts::round_every_ns`], from here on.
    pub round_every_ns: u64,
}

/// What the gaps between the scheduled starts of rounds are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Each is as long as [`PlanFacts::round_every_ns`].
    #[default]
    Constant,
    /// Each is drawn from the exponential distribution with that mean. The first round starts with its phase.
    Poisson,
}

impl Arrivals {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_constant(&self) -> bool {
        *self == Self::Constant
    }
}

/// From the client to the coordinator, to the worker, and the same way back.
fn four() -> u32 {
    4
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    Flat,
    Hybrid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadModel {
    /// Rounds start on schedule, whether or not the last one is back.
    Open,
    /// A round starts when the last one is back.
    Closed,
}

/// A criterion as the scenario states it; the grammar lives in `reports::criterion`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriterionSpec {
    pub name: String,
    /// Id from the requirements, such as `C2`.
    pub requirement: Option<String>,
    pub pass: String,
    pub conditional: Option<String>,
    /// Shown, and left out of the verdict. Since 2.1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub informational: bool,
    /// Ends the run as soon as it cannot pass any more.
    pub abort: bool,
    /// Not looked at for an abort before this much of the load phase has passed.
    pub grace_ns: u64,
    /// `file:line`.
    pub source: String,
}

/// What the machine is. Neither hash contains the host name, and both contain the cgroup's limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Identity of this machine, as `m1-…`: figures of two runs are compared only where it agrees.
    #[serde(default)]
    pub machine: String,
    /// Class of host, as `f1-…`: what a gate names.
    pub fingerprint: String,
    pub hostname: String,
    pub kernel: String,
    pub boot_id: String,
    pub cpu_model: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub swap_bytes: u64,
    pub shm_bytes: u64,
    pub shm_inodes: u64,
    pub nofile_soft: u64,
    pub nofile_hard: u64,
    /// The least of `pid_max`, `RLIMIT_NPROC` and the cgroup's limit.
    pub pids_max: u64,
    pub clock_source: String,
    /// `kvm`, `docker`, … or `none`.
    pub virtualization: String,
    /// Limits of the cgroup that the run is in; absent where there is none.
    #[serde(default)]
    pub cgroup_memory_bytes: Option<u64>,
    #[serde(default)]
    pub cgroup_pids: Option<u64>,
    /// Processors' worth of CPU time.
    #[serde(default)]
    pub cgroup_cpus: Option<f64>,
    pub load1_at_start: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildFacts {
    pub version: String,
    /// Short commit hash, or `unknown`.
    pub git: String,
    pub dirty: bool,
    /// `release` or `debug`.
    pub profile: String,
    pub rustc: String,
}

impl BuildFacts {
    /// The commit whose text it is of; nothing if that is unknown, or the text had changes of its own.
    pub fn commit(&self) -> Option<&str> {
        (!self.dirty && self.git != "unknown").then_some(self.git.as_str())
    }
}
