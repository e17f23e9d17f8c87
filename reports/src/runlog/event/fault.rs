//! Faults that a scenario declares: their calendar in the header, and what was seen of each in the log.
//!
//! A *firing* is one injection of a fault at one time into named places; the firings of a run are numbered from 0 in
//! the order of their calendar. What a firing did is shown by other means than by what did it, and only what was shown
//! counts.

mod ends;

pub use ends::{
    BY_THE_END_WITH_ITS_COORDINATOR, BY_THE_END_WITH_THE_SUPERVISOR, GONE, KEPT_OUT, UNSEEN,
    WITH_ITS_COORDINATOR, WITH_ITS_SUCCESSOR, WITH_THE_SUPERVISOR,
};
use serde::{Deserialize, Serialize};

use super::AgentId;

/// A declared fault, with every choice made. From format 2.2 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultFacts {
    /// As the scenario names it.
    pub name: String,
    pub kind: FaultKind,
    /// In words: `SIGKILL to 1 coordinator`.
    pub words: String,
    pub firings: Vec<FiringFacts>,
    /// The run counts although an injection has met nothing ([`Met`]). From format 2.8 on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_meet_nothing: bool,
}

/// One injection, as it is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiringFacts {
    /// Over the whole run, in order of time.
    pub firing: u32,
    /// From the start of the load.
    pub at_ns: u64,
    /// How long it lasts before it is healed; absent if it has no heal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_ns: Option<u64>,
    /// Names of places: `coord/3`, `worker/3.17`. Empty if it is not done to processes.
    pub targets: Vec<String>,
    /// What it writes into the memory of its targets: `c3 table[4].word := 0x1`. From format 2.6 on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// What the load must be at when it is injected, and until when that may come. From format 2.8 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<MomentFacts>,
}

/// An injection that waits for the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MomentFacts {
    pub moment: FaultMoment,
    /// How long after its time the moment may come.
    pub within_ns: u64,
}

/// What the load can be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultMoment {
    /// A round has been sent, and not all of it is answered.
    MidRound,
    /// Each target, or a worker of it, has a task in hand.
    TaskInFlight,
}

impl FaultMoment {
    /// As log and scenario spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MidRound => "mid-round",
            Self::TaskInFlight => "task-in-flight",
        }
    }
}

/// What the load was at when a fault was injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MomentSeen {
    pub moment: FaultMoment,
    /// From when the injection was due until then.
    pub waited_ns: u64,
    /// The round, if that is what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u64>,
    /// Of that round, or the tasks of the targets.
    pub tasks: u32,
    /// Those of them that had no outcome yet.
    pub open: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// SIGSTOP, and SIGCONT to heal.
    Pause,
    /// A lower limit of a resource, and the one before to heal.
    Limit,
    /// Fewer processors, and those before to heal.
    Cpus,
    /// A smaller file system for shared memory, and the size before to heal.
    ShmLimit,
    /// That file system filled, up to a share or wholly, and emptied to heal.
    ShmFill,
    /// All of its inodes in use.
    ShmInodes,
    /// Mounted read-only, and writable again to heal.
    ShmReadOnly,
    /// Calls on shared memory that fail, and none to heal. From format 2.8 on.
    ShmErrors,
    /// The file of a coordinator's region without its name, and with it again to heal.
    SegmentUnlink,
    /// That file cut off, and as long as before to heal: what was in it is lost.
    SegmentTruncate,
    /// Words of that file overwritten.
    SegmentScribble,
    /// Processes of the harness that only use processors, and none to heal.
    CpuHogs,
    /// A process of the harness that holds memory, and none to heal.
    Memory,
    /// A control group with a limit of memory, and the group before to heal.
    CgroupMemory,
    /// A control group with a quota of CPU time, and the group before to heal.
    CgroupCpu,
    /// A control group with a limit of processes and threads, and the group before to heal.
    CgroupPids,
    /// The kernel's OOM killer, in a control group with less memory than the process uses.
    Oom,
    /// Calls in a directory that take longer, and as long as before to heal.
    DiskSlow,
    /// Calls in a directory that fail, and none to heal.
    DiskFail,
    /// A directory in which nothing can be written or created, and can again to heal.
    DiskFull,
}

impl FaultKind {
    pub const ALL: [Self; 22] = [
        Self::Kill,
        Self::Stop,
        Self::Pause,
        Self::Limit,
        Self::Cpus,
        Self::ShmLimit,
        Self::ShmFill,
        Self::ShmInodes,
        Self::ShmReadOnly,
        Self::ShmErrors,
        Self::SegmentUnlink,
        Self::SegmentTruncate,
        Self::SegmentScribble,
        Self::CpuHogs,
        Self::Memory,
        Self::CgroupMemory,
        Self::CgroupCpu,
        Self::CgroupPids,
        Self::Oom,
        Self::DiskSlow,
        Self::DiskFail,
        Self::DiskFull,
    ];

    /// As log and scenario spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Limit => "limit",
            Self::Cpus => "cpus",
            Self::ShmLimit => "shm-limit",
            Self::ShmFill => "shm-fill",
            Self::ShmInodes => "shm-inodes",
            Self::ShmReadOnly => "shm-read-only",
            Self::ShmErrors => "shm-errors",
            Self::SegmentUnlink => "segment-unlink",
            Self::SegmentTruncate => "segment-truncate",
            Self::SegmentScribble => "segment-scribble",
            Self::CpuHogs => "cpu-hogs",
            Self::Memory => "memory",
            Self::CgroupMemory => "cgroup-memory",
            Self::CgroupCpu => "cgroup-cpu",
            Self::CgroupPids => "cgroup-pids",
            Self::Oom => "oom",
            Self::DiskSlow => "disk-slow",
            Self::DiskFail => "disk-fail",
            Self::DiskFull => "disk-full",
        }
    }

    /// Whether a firing is over by being healed; the effect of any other lasts until the fleet itself has recovered.
    pub fn is_healed(self) -> bool {
        match self {
            Self::Kill | Self::Stop | Self::SegmentScribble | Self::Oom => false,
            Self::Pause
            | Self::Limit
            | Self::Cpus
            | Self::ShmLimit
            | Self::ShmFill
            | Self::ShmInodes
            | Self::ShmReadOnly
            | Self::ShmErrors
            | Self::SegmentUnlink
            | Self::SegmentTruncate
            | Self::CpuHogs
            | Self::Memory
            | Self::CgroupMemory
            | Self::CgroupCpu
            | Self::CgroupPids
            | Self::DiskSlow
            | Self::DiskFail
            | Self::DiskFull => true,
        }
    }

    /// What it is done to.
    fn aim(self) -> Aim {
        match self {
            Self::Kill
            | Self::Stop
            | Self::Pause
            | Self::Limit
            | Self::Cpus
            | Self::CgroupMemory
            | Self::CgroupCpu
            | Self::CgroupPids
            | Self::Oom => Aim::Processes,
            Self::SegmentUnlink | Self::SegmentTruncate | Self::SegmentScribble => Aim::Segments,
            Self::ShmLimit | Self::ShmFill | Self::ShmInodes | Self::ShmReadOnly => Aim::Shm,
            Self::ShmErrors => Aim::Calls,
            Self::CpuHogs | Self::Memory => Aim::Host,
            Self::DiskSlow | Self::DiskFail | Self::DiskFull => Aim::Disk,
        }
    }

    /// Whether it is done to the file system that the fleet has its shared memory in, and not to chosen processes.
    pub fn is_of_shm(self) -> bool {
        self.aim() == Aim::Shm
    }

    /// Whether it is done to chosen processes, and not to the host or a file system.
    pub fn has_targets(self) -> bool {
        matches!(self.aim(), Aim::Processes | Aim::Segments)
    }

    /// Whether it is done to system calls of the fleet, which must be started for that.
    pub fn is_of_calls(self) -> bool {
        self.aim() == Aim::Calls
    }

    /// Whether it is done to the file of a coordinator's region.
    pub fn is_of_segments(self) -> bool {
        self.aim() == Aim::Segments
    }

    /// Whether it is done to all of the host, by processes of the harness that no sweep sees.
    pub fn is_of_host(self) -> bool {
        self.aim() == Aim::Host
    }

    /// Whether it is done to the calls in a directory that the run writes into.
    pub fn is_of_disk(self) -> bool {
        self.aim() == Aim::Disk
    }

    /// What it means for the processes that it is done to.
    fn deadly(self) -> Deadly {
        match self {
            Self::Kill | Self::Stop | Self::Oom => Deadly::Always,
            Self::Pause | Self::SegmentTruncate | Self::SegmentScribble => Deadly::Perhaps,
            Self::Limit
            | Self::Cpus
            | Self::ShmLimit
            | Self::ShmFill
            | Self::ShmInodes
            | Self::ShmReadOnly
            | Self::ShmErrors
            | Self::SegmentUnlink
            | Self::CpuHogs
            | Self::Memory
            | Self::CgroupMemory
            | Self::CgroupCpu
            | Self::CgroupPids
            | Self::DiskSlow
            | Self::DiskFail
            | Self::DiskFull => Deadly::Never,
        }
    }

    /// Whether it ends its targets, so that deaths of them and of what depends on them are its effect.
    pub fn ends_targets(self) -> bool {
        self.deadly() == Deadly::Always
    }

    /// Whether it can end processes by way of what it does to them, before that end is in the log.
    pub fn may_end_targets(self) -> bool {
        self.deadly() == Deadly::Perhaps
    }

    /// Whether a death of a process that it was done to may be its effect. A process must not crash for want of
    /// descriptors, processors or memory, unless the kernel was made to end it, nor because a file that it has mapped has no name.
    pub fn explains_deaths(self) -> bool {
        self.deadly() != Deadly::Never
    }

    /// What it has met, in words; `None` of a fault that meets its targets by being there.
    pub fn met_words(self, Met { hit, of }: Met) -> Option<String> {
        match self {
            Self::ShmErrors => Some(format!("{hit} of {of} calls of the fleet failed")),
            Self::DiskSlow => Some(format!("{hit} of {of} calls in the directory took longer")),
            Self::DiskFail | Self::DiskFull => Some(format!("{hit} of {of} calls in the directory failed")),
            Self::CgroupCpu => Some(format!("throttled in {hit} of {of} periods")),
            Self::Kill
            | Self::Stop
            | Self::Pause
            | Self::Limit
            | Self::Cpus
            | Self::ShmLimit
            | Self::ShmFill
            | Self::ShmInodes
            | Self::ShmReadOnly
            | Self::SegmentUnlink
            | Self::SegmentTruncate
            | Self::SegmentScribble
            | Self::CpuHogs
            | Self::Memory
            | Self::CgroupMemory
            | Self::CgroupPids
            | Self::Oom => None,
        }
    }

    /// Whether that counts as an effect. A call for which a lot was drawn counts, even if it was spared.
    pub fn is_effect(self, met: Met) -> bool {
        let counts_when_drawn = matches!(self, Self::ShmErrors | Self::DiskFail);
        if counts_when_drawn { met.of > 0 } else { met.hit > 0 }
    }

    /// Whether it can last and meet nothing.
    pub fn is_counted(self) -> bool {
        self.met_words(Met { hit: 0, of: 0 }).is_some()
    }

    /// Whether it puts its targets into control groups of the harness.
    pub fn is_of_groups(self) -> bool {
        matches!(self, Self::CgroupMemory | Self::CgroupCpu | Self::CgroupPids | Self::Oom)
    }
}

/// What a fault is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Processes,
    Segments,
    Shm,
    /// System calls of all of the fleet.
    Calls,
    Host,
    Disk,
}

/// Whether processes end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deadly {
    Always,
    Perhaps,
    Never,
}

/// What was done or seen at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultStep {
    pub firing: u32,
    pub step: FaultStepKind,
    pub at_ns: u64,
    /// The processes that it was done to, if any: with `injected` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<FaultTarget>,
    /// In words, what was done, or by what it was shown, or what stood against it.
    pub how: String,
    /// With `injected`, if it waited for a moment of the load. From format 2.8 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<MomentSeen>,
    /// With `heal-proven`, of a fault that can last and meet nothing. From format 2.8 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<Met>,
}

/// How often an effect has met the fleet while it lasted, as what carries it out has counted: calls that failed or took longer,
/// periods in which a quota was used up. What the probes of the harness have met is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    pub hit: u64,
    /// That could have been hit.
    pub of: u64,
}

/// The steps of a firing, in their order. `unproven`, `unhealed` and `not-injected` end it. What is said of the moment
/// comes at any time after the injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultStepKind {
    /// It was due, and could not be done.
    NotInjected,
    Injected,
    /// Its effect was shown.
    Proven,
    /// Its effect could not be shown in time.
    Unproven,
    Healed,
    /// That the effect is gone was shown.
    HealProven,
    /// It could not be healed, or that the effect is gone could not be shown in time.
    Unhealed,
    /// That tasks were in flight at the injection was shown by how they ended. From format 2.8 on, as the next.
    MomentShown,
    /// All tasks that seemed to be in flight had ended before, as far as it was shown.
    MomentMissed,
}

impl FaultStepKind {
    /// As the log spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotInjected => "not-injected",
            Self::Injected => "injected",
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Healed => "healed",
            Self::HealProven => "heal-proven",
            Self::Unhealed => "unhealed",
            Self::MomentShown => "moment-shown",
            Self::MomentMissed => "moment-missed",
        }
    }
}

/// A process that a fault was injected into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultTarget {
    pub agent: AgentId,
    pub incarnation: u32,
    pub name: String,
    pub pid: u32,
    pub start_ticks: u64,
}
