//! What a firing of a fault does.

pub use crate::failing::Which;
use crate::scenario::unit::{bytes_text, duration_text};
use reports::runlog::event::FaultKind;
use std::time::Duration;

/// What `setrlimit` calls a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    Descriptors,
    Processes,
    AddressSpace,
    FileSize,
}

impl Resource {
    /// As `ulimit` and `/proc/PID/limits` know it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Descriptors => "open files",
            Self::Processes => "processes",
            Self::AddressSpace => "bytes of address space",
            Self::FileSize => "bytes in a file",
        }
    }
}

/// What a firing does to the file system that the fleet has its shared memory in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ShmFault {
    /// A size, in bytes.
    Limit(u64),
    /// So much of it is used: 0 to 1.
    Fill(f64),
    /// No inode is left.
    Inodes,
    ReadOnly,
}

/// How a call on shared memory fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    NoSpace,
    Io,
    Descriptors,
    NoMemory,
}

impl CallError {
    const ALL: [Self; 4] = [Self::NoSpace, Self::Io, Self::Descriptors, Self::NoMemory];

    /// The one with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.name() == name)
    }

    /// As `errno(3)` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSpace => "ENOSPC",
            Self::Io => "EIO",
            Self::Descriptors => "EMFILE",
            Self::NoMemory => "ENOMEM",
        }
    }
}

/// A part of a coordinator's region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Table,
    State,
    Rings,
    Any,
}

impl Part {
    /// Whether a word of the region belongs to it, by its name.
    pub(super) fn has(self, name: &str) -> bool {
        let rings = ["client_down", "client_up", "worker_rings", "worker_slots"];
        match self {
            Self::Table => name.starts_with("table["),
            Self::State => name.starts_with("state."),
            Self::Rings => rings.iter().any(|ring| name.starts_with(ring)),
            Self::Any => true,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Table => "the task table",
            Self::State => "the state that workers obey",
            Self::Rings => "the rings",
            Self::Any => "the region",
        }
    }
}

/// What a firing does to the file of a coordinator's region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentFault {
    /// It has no name any more.
    Unlink,
    /// It is empty.
    Truncate,
    /// So many words of a part of it are overwritten.
    Scribble { part: Part, words: u32 },
}

/// What the control group of a target is limited to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GroupLimit {
    /// Memory, in bytes: what is allocated from then on.
    Memory(u64),
    /// CPU time per time: 1.5 is one and a half processors.
    Cpu(f64),
    /// Processes and threads.
    Pids(u64),
}

impl GroupLimit {
    fn words(self) -> String {
        match self {
            Self::Memory(bytes) => format!("a control group with {} of memory", bytes_text(bytes)),
            Self::Cpu(cpus) => format!("a control group with {cpus} processors"),
            Self::Pids(1) => "a control group with room for one process or thread".to_owned(),
            Self::Pids(pids) => format!("a control group with room for {pids} processes and threads"),
        }
    }
}

/// What a firing does to the calls in a directory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DiskFault {
    /// Each takes so much longer.
    Slow(Duration),
    Fail {
        error: CallError,
        calls: Which,
    },
    /// What takes space is refused.
    Full,
}

impl DiskFault {
    pub fn words(self) -> String {
        match self {
            Self::Slow(delay) => format!("every call to the disk {} slower", duration_text(delay)),
            Self::Full => "a full disk".to_owned(),
            Self::Fail { error, calls: Which::Rate(share) } => {
                format!("{} for {} % of the calls to the disk", error.name(), share * 100.0)
            }
            Self::Fail { error, calls: Which::Nth(1) } => {
                format!("{} for every call to the disk", error.name())
            }
            Self::Fail { error, calls: Which::Nth(nth) } => {
                format!("{} for one in {nth} calls to the disk", error.name())
            }
        }
    }
}

/// What a firing does: to each target, or to the file system of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    Kill,
    /// Asks to end.
    Stop,
    Pause,
    Limit {
        resource: Resource,
        to: u64,
    },
    /// So many processors.
    Cpus {
        to: u32,
    },
    Shm(ShmFault),
    Segment(SegmentFault),
    /// Calls on shared memory fail.
    ShmErrors {
        error: CallError,
        which: Which,
    },
    Disk(DiskFault),
    /// So many processes that use a processor each, if they get it.
    CpuHogs {
        hogs: u32,
        nice: u32,
    },
    /// A process that holds so much memory.
    Memory {
        bytes: u64,
    },
    /// A control group for each, with its limit.
    Group(GroupLimit),
    /// A control group for each, with less memory than it uses.
    Oom,
}

impl Action {
    /// Whether what it is done to does not come back.
    pub fn is_final(self) -> bool {
        self == Self::Segment(SegmentFault::Truncate)
    }

    pub fn kind(self) -> FaultKind {
        match self {
            Self::Kill => FaultKind::Kill,
            Self::Stop => FaultKind::Stop,
            Self::Pause => FaultKind::Pause,
            Self::Limit { .. } => FaultKind::Limit,
            Self::Cpus { .. } => FaultKind::Cpus,
            Self::Shm(ShmFault::Limit(_)) => FaultKind::ShmLimit,
            Self::Shm(ShmFault::Fill(_)) => FaultKind::ShmFill,
            Self::Shm(ShmFault::Inodes) => FaultKind::ShmInodes,
            Self::Shm(ShmFault::ReadOnly) => FaultKind::ShmReadOnly,
            Self::ShmErrors { .. } => FaultKind::ShmErrors,
            Self::Disk(DiskFault::Slow(_)) => FaultKind::DiskSlow,
            Self::Disk(DiskFault::Fail { .. }) => FaultKind::DiskFail,
            Self::Disk(DiskFault::Full) => FaultKind::DiskFull,
            Self::CpuHogs { .. } => FaultKind::CpuHogs,
            Self::Memory { .. } => FaultKind::Memory,
            Self::Group(GroupLimit::Memory(_)) => FaultKind::CgroupMemory,
            Self::Group(GroupLimit::Cpu(_)) => FaultKind::CgroupCpu,
            Self::Group(GroupLimit::Pids(_)) => FaultKind::CgroupPids,
            Self::Oom => FaultKind::Oom,
            Self::Segment(SegmentFault::Unlink) => FaultKind::SegmentUnlink,
            Self::Segment(SegmentFault::Truncate) => FaultKind::SegmentTruncate,
            Self::Segment(SegmentFault::Scribble { .. }) => FaultKind::SegmentScribble,
        }
    }

    /// Processes that it starts itself.
    pub fn processes(self) -> u32 {
        match self {
            Self::CpuHogs { hogs, .. } => hogs,
            // The process that answers the calls.
            Self::Memory { .. } | Self::ShmErrors { .. } => 1,
            _ => 0,
        }
    }

    /// Memory that it holds itself, in bytes.
    pub fn holds(self) -> u64 {
        if let Self::Memory { bytes } = self { bytes } else { 0 }
    }

    /// How many processors it leaves a process, if it takes some away.
    pub fn cpus_left(self) -> Option<u32> {
        match self {
            Self::Cpus { to } => Some(to),
            // A quota of 1.5 takes something from a host with two, and nothing from one with one.
            Self::Group(GroupLimit::Cpu(cpus)) => Some(cpus.floor() as u32),
            _ => None,
        }
    }

    pub fn words(self) -> String {
        match self {
            Self::Group(limit) => limit.words(),
            Self::Oom => "an end by the kernel's OOM killer".to_owned(),
            Self::Kill => "SIGKILL".to_owned(),
            Self::Stop => "SIGTERM".to_owned(),
            Self::Pause => "SIGSTOP".to_owned(),
            Self::Limit { resource, to } => format!("a limit of {to} {}", resource.words()),
            Self::Cpus { to: 1 } => "one processor".to_owned(),
            Self::Cpus { to } => format!("{to} processors"),
            Self::Shm(ShmFault::Limit(bytes)) => format!("/dev/shm limited to {}", bytes_text(bytes)),
            Self::Shm(ShmFault::Fill(share)) => format!("/dev/shm filled to {} %", share * 100.0),
            Self::Shm(ShmFault::Inodes) => "/dev/shm without a free inode".to_owned(),
            Self::Shm(ShmFault::ReadOnly) => "/dev/shm read-only".to_owned(),
            Self::ShmErrors { error, which: Which::Rate(rate) } => {
                format!("{} for {} % of the calls on shared memory", error.name(), rate * 100.0)
            }
            Self::ShmErrors { error, which: Which::Nth(1) } => {
                format!("{} for every call on shared memory", error.name())
            }
            Self::ShmErrors { error, which: Which::Nth(nth) } => {
                format!("{} for one in {nth} calls on shared memory", error.name())
            }
            Self::Disk(what) => what.words(),
            Self::CpuHogs { hogs: 1, nice } => format!("one busy process beside the fleet{}", niceness(nice)),
            Self::CpuHogs { hogs, nice } => {
                format!("{hogs} busy processes beside the fleet{}", niceness(nice))
            }
            Self::Memory { bytes } => format!("{} of memory held beside the fleet", bytes_text(bytes)),
            Self::Segment(SegmentFault::Unlink) => "an unlinked region".to_owned(),
            Self::Segment(SegmentFault::Truncate) => "a truncated region".to_owned(),
            Self::Segment(SegmentFault::Scribble { part, words: 1 }) => {
                format!("a word overwritten in {}", part.words())
            }
            Self::Segment(SegmentFault::Scribble { part, words }) => {
                format!("{words} words overwritten in {}", part.words())
            }
        }
    }
}

fn niceness(nice: u32) -> String {
    if nice == 0 { String::new() } else { format!(" (nice {nice})") }
}
