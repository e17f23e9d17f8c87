//! What can happen in a run, as the log spells it.
//!
//! Times named `*_ns` are nanoseconds of CLOCK_BOOTTIME since the start of the run, unless the name says
//! otherwise; they go on while the machine is suspended, and across the gap before a resumed segment. Kernel figures keep the kernel's units in their names. A new optional
//! field and a new kind of event raise the minor version; anything else raises the major one.

mod causes;
mod checkpoint;
mod command;
mod death;
mod end;
mod fault;
mod header;
mod incident;
mod ledger;
mod resized;
mod scaled;
mod stray;
mod threshold;
mod workers;
mod workload;

pub use causes::Causes;
pub use checkpoint::{Checkpoint, OpenRounds};
pub use command::{CommandDone, When};
pub use death::DeathNoticed;
pub(crate) use death::{dependents, number, worker_place};
pub use end::{End, EndReason};
pub use fault::{
    BY_THE_END_WITH_ITS_COORDINATOR, BY_THE_END_WITH_THE_SUPERVISOR, FaultFacts, FaultKind, FaultMoment,
    FaultStep, FaultStepKind, FaultTarget, FiringFacts, GONE, KEPT_OUT, Met, MomentFacts, MomentSeen, UNSEEN,
    WITH_ITS_COORDINATOR, WITH_ITS_SUCCESSOR, WITH_THE_SUPERVISOR,
};
pub use header::{
    Arrivals, BuildFacts, CriterionSpec, Header, HostFacts, JudgedBy, LoadModel, PlanFacts, Resumes,
    RoomFacts, ScenarioFacts, SourceText, StageFacts, Topology,
};
pub use incident::{Incident, IncidentKind};
pub use ledger::{Batch, Batches, CoordinatorLedger, Ledger, LedgerEvidence, LedgerRow, Pool};
pub use resized::Resized;
pub use scaled::Scaled;
use serde::{Deserialize, Serialize};
pub use stray::StrayAnswers;
pub use threshold::{Threshold, ThresholdKind, ThresholdState};
pub use workers::{WorkerTimes, Workers};
pub use workload::{WorkloadFacts, WorkloadLatency, WorkloadRound};

/// The version of the format that this crate writes.
pub const FORMAT: FormatVersion = FormatVersion { major: 2, minor: 12 };

/// A reader accepts any minor version of its own major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FormatVersion {
    pub major: u16,
    pub minor: u16,
}

impl FormatVersion {
    /// Whether a log of it has what came with `minor` of format 2.
    pub fn has(self, minor: u16) -> bool {
        self >= Self { major: 2, minor }
    }
}

/// One line of the log; how it is written is for [`super::codec`].
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position in the log, from 0, without gaps.
    pub seq: u64,
    /// When the recorder took the event.
    pub t_ns: u64,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "kebab-case")]
pub enum Event {
    /// Always the first line, and only there.
    Header(Box<Header>),
    /// A phase begins.
    Phase(PhaseBegan),
    /// Agents that `/proc` has confirmed: pid and start time were read there.
    Agents(Agents),
    /// Another process has an agent's place.
    AgentReplaced(AgentReplaced),
    /// An agent process is gone.
    AgentExit(AgentExit),
    /// A command before the launch or after the end is over. Since 2.2.
    Command(CommandDone),
    /// The fleet has noticed a death. Since 2.5, and only where a criterion asks for it.
    DeathNoticed(DeathNoticed),
    /// Something befell a process, or the whole fleet, that the run had not asked for; recorded when it was over.
    Incident(Incident),
    /// A step of a fault that the scenario declares.
    Fault(FaultStep),
    /// The run has asked the fleet for another number of workers, or the fleet has it.
    Scaled(Scaled),
    /// The fleet has followed its load: it has another number of processes. Since 2.5.
    Resized(Resized),
    /// A round is over: every task of it is answered or failed.
    Round(Round),
    /// One task was not answered in time, or answered with an error. At most
    /// [`TASK_FAILURES_MAX`] of these are written; the rounds count them all.
    TaskFailed(TaskFailed),
    /// A histogram over an interval.
    Latency(LatencyInterval),
    /// The same for the tasks of one workload of a mix. Since 2.2.
    WorkloadLatency(WorkloadLatency),
    /// One sweep of the sampler over all agents.
    Sample(Sample),
    /// A sweep that was due and did not happen, or could not read what it should.
    SampleMissed(SampleMissed),
    /// Something an operator wants to know while the run goes on.
    Alert(Alert),
    /// A threshold of the scenario was crossed, or holds again. Since 2.11.
    Threshold(Threshold),
    /// What UTC was when this was recorded; at most once a minute.
    Clock(Clock),
    /// The same counts while the load goes on. Since 2.10.
    Checkpoint(Box<Checkpoint>),
    /// What each worker did in the load of the segment. Since 2.12.
    Workers(Workers),
    /// Both ends' counts, read when the load had drained.
    Ledger(Ledger),
    /// What was looked for after the fleet had ended, and what was found.
    Verify(Verify),
    /// Always the last line of a complete log.
    End(End),
}

impl Event {
    /// Whether a run could not be judged by a reader that does not know this kind of event. What only says
    /// more about a fact that another event holds, or serves people alone, is not needed.
    pub fn is_needed(&self) -> bool {
        match self {
            Self::Header(_)
            | Self::Phase(_)
            | Self::Agents(_)
            | Self::AgentReplaced(_)
            | Self::AgentExit(_)
            | Self::Command(_)
            | Self::Incident(_)
            | Self::Fault(_)
            | Self::Scaled(_)
            | Self::DeathNoticed(_)
            | Self::Resized(_)
            | Self::Round(_)
            | Self::Latency(_)
            | Self::WorkloadLatency(_)
            | Self::Sample(_)
            | Self::SampleMissed(_)
            | Self::Ledger(_)
            | Self::Verify(_)
            | Self::End(_) => true,
            Self::TaskFailed(_)
            | Self::Alert(_)
            | Self::Threshold(_)
            | Self::Clock(_)
            | Self::Checkpoint(_)
            | Self::Workers(_) => false,
        }
    }
}

/// Task failures beyond this many are only counted: a fleet that fails every task for a day must
/// not fill the disk with the same sentence.
pub const TASK_FAILURES_MAX: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseBegan {
    pub phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Launch,
    WarmUp,
    Load,
    Drain,
    Verify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Harness,
    Supervisor,
    Coordinator,
    Worker,
}

/// Stable number of an agent within the run; 0 is the harness itself.
pub type AgentId = u32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents {
    pub agents: Vec<AgentInfo>,
    /// From the start of the launch until the last of them had attached to the bus.
    pub launch_ns: u64,
    /// What as many bare forks took just before the launch, one after the other, until the last was reaped: measured only where
    /// the scenario asks for it. Since 2.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare_forks_ns: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    pub id: AgentId,
    pub role: Role,
    /// As `ps` shows it: `coord/3`, `worker/3.17`.
    pub name: String,
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: with the pid it is the process's identity.
    pub start_ticks: u64,
    /// Which process in this place it is: 1 for the first.
    #[serde(default = "first")]
    pub incarnation: u32,
}

fn first() -> u32 {
    1
}

/// The process that an agent's place had before has ended: an [`AgentExit`] of that incarnation says how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReplaced {
    pub agent: AgentId,
    /// Of the new process.
    pub incarnation: u32,
    pub name: String,
    pub pid: u32,
    pub start_ticks: u64,
    /// When `/proc` showed the new process.
    pub seen_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentExit {
    pub agent: AgentId,
    /// Of the process that ended.
    #[serde(default = "first")]
    pub incarnation: u32,
    pub name: String,
    pub pid: u32,
    /// In words: `killed by SIGKILL`, `exited with status 3`, `ended when its coordinator died`.
    pub how: String,
    /// The run asked for it (stop after the drain), or another one tries again ([`KEPT_OUT`]). Else it is a crash.
    pub expected: bool,
    /// When it was noticed.
    pub seen_ns: u64,
}

/// A round: one task to every worker, and every answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// From 0, over the whole run, warm-up included.
    pub round: u64,
    /// `warm-up` or `load`.
    pub phase: Phase,
    pub scheduled_ns: u64,
    /// When the first task was sent: minus `scheduled_ns` it is the harness's own lateness.
    pub started_ns: u64,
    /// When the last answer, or the last time-out, was recorded at the client.
    pub finished_ns: u64,
    /// Tasks of the round, with those that the bus refused ([`Ledger::refused`]). `tasks = answered + failed`.
    pub tasks: u32,
    /// By unique id, within the deadline, right content.
    pub answered: u32,
    pub failed: u32,
    /// Answers that came after their deadline; the task stays failed.
    pub late: u32,
    /// Second answers to a task; never counted as answered.
    pub duplicates: u32,
    /// Answers with the wrong content (counted under `failed`).
    pub corrupt: u32,
    /// Answers that say they were begun before their task was sent, or ended after they were here (counted under
    /// `failed`). Not before 2.1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contradicted: u32,
    /// Answered tasks whose answer is that of a second or later attempt. Not before 2.5.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retried: u32,
    /// Why tasks failed, as far as there is a name for it. Not before 2.1.
    #[serde(default, skip_serializing_if = "Causes::is_empty")]
    pub causes: Causes,
    /// Latency of the answered tasks, from the scheduled start of the round; absent without any.
    pub task_p50_ns: Option<u64>,
    pub task_p99_ns: Option<u64>,
    pub task_max_ns: Option<u64>,
    /// When the first right answer was recorded at the client; absent without any, and before 2.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<u64>,
    /// When the worker had made the answer that was recorded last, as it says itself; absent unless every task was answered,
    /// and before 2.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_ns: Option<u64>,
    /// How many of the answered tasks were done under each coordinator, in their order; empty where there is one, and before
    /// 2.3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coordinators: Vec<u32>,
    /// Whose the late and the second answers were, as far as it is known; empty without any, and before 2.5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<StrayAnswers>,
    /// Counts and latencies of each workload of the plan, in its order; empty if the scenario names none. Since 2.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadRound>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailed {
    pub round: u64,
    /// As the bus spells it.
    pub task: String,
    pub worker: AgentId,
    /// Name of its workload, if the scenario names them. Since 2.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// In words: `no answer within 30s`, `worker/3.17 died (killed by SIGKILL)`.
    pub reason: String,
}

/// A V2-compressed HdrHistogram in base64, as an `.hlog` line carries it. Values are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyInterval {
    pub tag: LatencyTag,
    pub phase: Phase,
    pub start_ns: u64,
    pub length_ns: u64,
    pub max_ns: u64,
    pub count: u64,
    pub histogram: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyTag {
    /// Whole rounds, from the scheduled start.
    Coordination,
    /// Single tasks, from the scheduled start of their round.
    Task,
    /// Single tasks, from the moment they were sent: what a closed loop would have shown.
    TaskFromSend,
}

/// One sweep over `/proc`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// From 0.
    pub sweep: u64,
    pub due_ns: u64,
    pub started_ns: u64,
    /// Wall time of the sweep.
    pub took_ns: u64,
    /// CPU time of the sampling thread for this sweep.
    pub cpu_ns: u64,
    /// Fleet processes (without the harness) that were there with the right start time.
    pub live: u32,
    /// Packed by the codec, in the columns that the header lists.
    #[serde(skip)]
    pub agents: Vec<AgentSample>,
    pub host: HostSample,
}

/// One process in one sweep. In the log it is a row: see [`super::columns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentSample {
    pub agent: AgentId,
    /// Which process in the agent's place the figures are of.
    pub incarnation: u32,
    pub rss_kib: u64,
    /// RssAnon.
    pub anon_kib: u64,
    pub vsz_kib: u64,
    pub fds: u32,
    pub threads: u32,
    /// User + system, since the process began. Of a process with one thread the exact time; of others in
    /// the steps that the kernel counts in.
    pub cpu_us: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    /// Only in the sweeps that read it.
    pub pss_kib: Option<u64>,
    /// As `/proc/PID/stat` spells it (`T` stopped, `t` traced, `D` waiting for a device); absent while it runs or
    /// sleeps, which is nearly always, and in logs before 2.1.
    pub state: Option<char>,
    /// What the worker's descendants use beside it: the commands it runs, and their children. Absent where they were
    /// not looked for (no worker, an unreadable process) and in logs before 2.1.
    pub commands: Option<CommandsSample>,
}

/// The descendants of one worker in one sweep, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommandsSample {
    /// How many there were, without zombies.
    pub processes: u32,
    pub rss_kib: u64,
    /// RssAnon.
    pub anon_kib: u64,
    pub vsz_kib: u64,
    pub fds: u32,
    pub threads: u32,
    /// User + system of all that the worker has ever started, also of those that have ended and were waited for: what is
    /// too short for a sweep is counted. In the steps that the kernel counts in.
    pub cpu_us: u64,
    /// Only in the sweeps that read it, and only if it was read of each.
    pub pss_kib: Option<u64>,
}

impl AgentSample {
    /// By a signal or a debugger.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, Some('T' | 't'))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostSample {
    pub load1: f64,
    pub load5: f64,
    pub load15: f64,
    pub mem_available_kib: u64,
    /// All of /dev/shm, also what does not belong to the run.
    pub shm_used_bytes: u64,
    pub shm_used_inodes: u64,
    /// The fleet's own directory.
    pub fleet_shm_bytes: u64,
    pub fleet_shm_files: u64,
    /// CPU time of all processors since the host started, idle time included, and what of it its hypervisor gave to
    /// others; in the kernel's ticks. Absent in logs before 2.1, and where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ticks: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal_ticks: Option<u64>,
    /// Idle time of all processors since the host started. Absent in logs before 2.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ticks: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleMissed {
    pub sweep: u64,
    pub due_ns: u64,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it costs by itself, from format 2.4 on: [`Severity::Info`] if another record says the same and is judged, or
    /// if it casts no doubt on the run; [`Severity::Minor`] if the run may have missed something;
    /// [`Severity::Critical`] if something was found that cannot be.
    pub severity: Severity,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// RFC 3339.
    pub utc: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Info,
    Minor,
    Critical,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// `pid name`, of this run and still there after the stop.
    pub processes_left: Vec<String>,
    /// Paths of this run still there after the stop.
    pub files_left: Vec<String>,
    /// What had to be killed or removed by the harness because the fleet had not.
    pub cleaned: Vec<String>,
    /// What others had done to the fleet's files while it ran, in words. Not in logs of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub altered: Vec<String>,
}
