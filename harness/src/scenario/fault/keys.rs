//! The keys of `[[fault]]`: their forms, their bounds and what they say of themselves.
//!
//! Deliberately absent: which of them a kind needs and which it does not take, in `check` and `rules`.

use super::action::{CallError, Part, Resource};
use super::form::{Moment, Processors, Share};
use crate::scenario::form::{Count, Flag, Name, Size, Span, Text, Whole, Word, Words};
use crate::scenario::table::{Key, Presence, Preset};
use reports::runlog::event::{FaultKind, FaultMoment};
use std::time::Duration;

/// More firings than this are a mistake in a pace, not a storm.
pub(in crate::scenario) const FIRINGS_MAX: u32 = 100_000;
pub(super) const LIMITED_MAX: u32 = 1 << 20;
/// More than any host has a use for.
pub(super) const HOGS_MAX: u32 = 256;
/// Of one target, at once.
pub(super) const WORDS_MAX: u32 = 1024;
/// Rarer, neither the fleet nor the probe would meet one within seconds.
pub(super) const RATE_MIN: f64 = 0.01;
/// The same.
pub(super) const NTH_MAX: u32 = 1000;
/// A call that takes so long can be shown to, within the time of a proof.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(1);
/// Beside the delay itself, what a probe takes that shows it more than once.
pub(super) const DELAY_SHOWN: Duration = Duration::from_millis(200);
/// More than any host has.
pub(super) const CPUS_MAX: u32 = 1 << 16;
/// `PID_MAX_LIMIT` of the kernel.
pub(super) const PIDS_MAX: u64 = 1 << 22;

pub(super) static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Required { example: "\"kill-one\"" },
    says: "What documents call the fault.",
};

pub(super) static KIND: Key<Words<FaultKind>> = Key {
    name: "kind",
    form: Words {
        definition: "FaultKind",
        words: &[
            Word { text: "kill", value: FaultKind::Kill, says: "SIGKILL, without a warning" },
            Word {
                text: "stop",
                value: FaultKind::Stop,
                says: "SIGTERM, which no agent but the supervisor handles",
            },
            Word { text: "pause", value: FaultKind::Pause, says: "SIGSTOP, and SIGCONT after `for`" },
            Word {
                text: "limit",
                value: FaultKind::Limit,
                says: "a lower soft limit of a resource, and the one before after `for`",
            },
            Word {
                text: "cpus",
                value: FaultKind::Cpus,
                says: "fewer processors, and those before after `for`",
            },
            Word {
                text: "shm-limit",
                value: FaultKind::ShmLimit,
                says: "a smaller `/dev/shm`, and the size before after `for`",
            },
            Word {
                text: "shm-fill",
                value: FaultKind::ShmFill,
                says: "`/dev/shm` filled up to a share of it, and emptied after `for`",
            },
            Word {
                text: "shm-inodes",
                value: FaultKind::ShmInodes,
                says: "all inodes of `/dev/shm` in use, and free after `for`",
            },
            Word {
                text: "shm-read-only",
                value: FaultKind::ShmReadOnly,
                says: "`/dev/shm` read-only, and writable after `for`",
            },
            Word {
                text: "shm-errors",
                value: FaultKind::ShmErrors,
                says: "some calls on shared memory fail with `error`, and none after `for`",
            },
            Word {
                text: "segment-unlink",
                value: FaultKind::SegmentUnlink,
                says: "the file of a coordinator's region without its name, and with it after `for`",
            },
            Word {
                text: "segment-truncate",
                value: FaultKind::SegmentTruncate,
                says: "that file cut off, and as long as before after `for`: the coordinator is lost",
            },
            Word {
                text: "segment-scribble",
                value: FaultKind::SegmentScribble,
                says: "`words` of that file overwritten",
            },
            Word {
                text: "cpu-hogs",
                value: FaultKind::CpuHogs,
                says: "`hogs` processes of the harness that are busy for `for`",
            },
            Word {
                text: "memory",
                value: FaultKind::Memory,
                says: "a process of the harness that holds `memory` for `for`",
            },
            Word {
                text: "cgroup-memory",
                value: FaultKind::CgroupMemory,
                says: "a control group of its own with `memory`, and the one before after `for`",
            },
            Word {
                text: "cgroup-cpu",
                value: FaultKind::CgroupCpu,
                says: "a control group of its own with a quota of `cpus`, and the one before after `for`",
            },
            Word {
                text: "cgroup-pids",
                value: FaultKind::CgroupPids,
                says: "a control group of its own with room for `to` processes and threads, and the one before after `for`",
            },
            Word {
                text: "oom",
                value: FaultKind::Oom,
                says: "the kernel's OOM killer ends it, in a control group with less memory than it uses",
            },
            Word {
                text: "disk-slow",
                value: FaultKind::DiskSlow,
                says: "opening, creating, reading, writing, renaming and syncing in `dir` takes `delay` longer, for `for`",
            },
            Word {
                text: "disk-fail",
                value: FaultKind::DiskFail,
                says: "such calls fail with `error`: some by chance (`rate`), or every n-th (`nth`), for `for`",
            },
            Word {
                text: "disk-full",
                value: FaultKind::DiskFull,
                says: "writing and creating in `dir` fails for want of space (ENOSPC), for `for`",
            },
        ],
    },
    presence: Presence::Required { example: "\"kill\"" },
    says: "What is done.",
};

/// Whose processes a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum FaultRole {
    Supervisor,
    Coordinator,
    Worker,
}

pub(super) static ROLE: Key<Words<FaultRole>> = Key {
    name: "role",
    form: Words {
        definition: "FaultRole",
        words: &[
            Word { text: "supervisor", value: FaultRole::Supervisor, says: "" },
            Word { text: "coordinator", value: FaultRole::Coordinator, says: "" },
            Word { text: "worker", value: FaultRole::Worker, says: "" },
        ],
    },
    presence: Presence::RequiredBy {
        example: "\"coordinator\"",
        who: "every kind but `shm-…`, `disk-…`, `cpu-hogs` and `memory`",
    },
    says: "The processes that it is done to. With a coordinator, its workers end as well; with the supervisor the fleet does, unless `fleet.on_supervisor_death` is `\"adopt\"`: it cannot be killed otherwise. It cannot be stopped: that ends any fleet.",
};

pub(super) static COUNT: Key<Count> = Key {
    name: "count",
    form: Count { max: LIMITED_MAX, things: "processes that are hit at once" },
    presence: Presence::Default(Preset::Count(1)),
    says: "How many of them each time.",
};

pub(super) static SHARE: Key<Share> = Key {
    name: "share",
    form: Share,
    presence: Presence::Optional("`count` says how many"),
    says: "Instead of `count`: this share of all that there are, rounded up.",
};

/// How targets are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Pick {
    Random,
    Spread,
}

pub(super) static PICK: Key<Words<Pick>> = Key {
    name: "pick",
    form: Words {
        definition: "FaultPick",
        words: &[
            Word { text: "random", value: Pick::Random, says: "drawn from the run's seed" },
            Word { text: "spread", value: Pick::Spread, says: "in turn, as far apart as they can be" },
        ],
    },
    presence: Presence::Optional("`\"random\"`"),
    says: "Which of them.",
};

pub(super) static AT: Key<Moment> = Key {
    name: "at",
    form: Moment,
    presence: Presence::Required { example: "\"10s\"" },
    says: "When, after the start of the load.",
};

pub(super) static MOMENT: Key<Words<FaultMoment>> = Key {
    name: "moment",
    form: Words {
        definition: "FaultMoment",
        words: &[
            Word {
                text: "mid-round",
                value: FaultMoment::MidRound,
                says: "a round has been sent, and not all of it is answered",
            },
            Word {
                text: "task-in-flight",
                value: FaultMoment::TaskInFlight,
                says: "each target has a task in hand; of a coordinator, one of its workers has",
            },
        ],
    },
    presence: Presence::Optional("whatever the load is at"),
    says: "Holds each injection back until the load is at this for the first time from then on.",
};

/// The default of [`WITHIN`].
pub(super) const WITHIN_DEFAULT: Duration = Duration::from_secs(5);

pub(super) static WITHIN: Key<Span> = Key {
    name: "within",
    form: Span::POSITIVE,
    presence: Presence::Optional("`\"5s\"` with `moment`"),
    says: "How long the moment may take to come. If it does not, nothing is injected, and the run is INCONCLUSIVE.",
};

pub(super) static EVERY: Key<Span> = Key {
    name: "every",
    form: Span { least: Duration::from_millis(1), instead: "write `count` for several at once" },
    presence: Presence::Optional("once"),
    says: "And again after so long, with targets chosen anew.",
};

pub(super) static TIMES: Key<Count> = Key {
    name: "times",
    form: Count { max: FIRINGS_MAX, things: "injections" },
    presence: Presence::Optional("until the load ends"),
    says: "So many times in all.",
};

pub(super) static APART: Key<Span> = Key {
    name: "apart",
    form: Span::ANY,
    presence: Presence::Optional("all at once"),
    says: "Rolling: between two of the processes that are hit each time.",
};

pub(super) static FOR: Key<Span> = Key {
    name: "for",
    form: Span::POSITIVE,
    presence: Presence::RequiredBy {
        example: "\"2s\"",
        who: "every kind but `kill`, `stop`, `oom` and `segment-scribble`",
    },
    says: "How long it lasts before it is healed.",
};

pub(super) static RESOURCE: Key<Words<Resource>> = Key {
    name: "resource",
    form: Words {
        definition: "FaultResource",
        words: &[
            Word { text: "nofile", value: Resource::Descriptors, says: "open files" },
            Word { text: "nproc", value: Resource::Processes, says: "processes of the user" },
            Word { text: "as", value: Resource::AddressSpace, says: "address space, in bytes" },
            Word { text: "fsize", value: Resource::FileSize, says: "size of a file, in bytes" },
        ],
    },
    presence: Presence::RequiredBy { example: "\"nofile\"", who: "`kind = \"limit\"`" },
    says: "Limit: which one.",
};

pub(super) static TO: Key<Whole> = Key {
    name: "to",
    form: Whole,
    presence: Presence::RequiredBy {
        example: "64",
        who: "`kind = \"limit\"`, `\"cpus\"` and `\"cgroup-pids\"`",
    },
    says: "Limit: the new soft limit, below the present one. Processors: how many it may run on, fewer than before. Control group: how many processes and threads each target and what it starts may have together.",
};

pub(super) static SIZE: Key<Size> = Key {
    name: "size",
    form: Size { least: 1 << 20, most: 1 << 31 },
    presence: Presence::RequiredBy { example: "\"64MiB\"", who: "`kind = \"shm-limit\"`" },
    says: "Of `/dev/shm`: at least what the fleet needs, and below what it has had before.",
};

pub(super) static FILL: Key<Share> = Key {
    name: "fill",
    form: Share,
    presence: Presence::RequiredBy { example: "\"100%\"", who: "`kind = \"shm-fill\"`" },
    says: "How much of `/dev/shm` is used then.",
};

pub(super) static PART: Key<Words<Part>> = Key {
    name: "part",
    form: Words {
        definition: "FaultPart",
        words: &[
            Word { text: "table", value: Part::Table, says: "the entries of the task table" },
            Word { text: "state", value: Part::State, says: "what the workers obey: `stopping` and `epoch`" },
            Word { text: "rings", value: Part::Rings, says: "heads, tails and slots of the rings" },
            Word { text: "any", value: Part::Any, says: "any word with a name, the counters too" },
        ],
    },
    presence: Presence::Optional("`\"table\"`"),
    says: "Scribble: from which part of the region the words are drawn.",
};

pub(super) static WORDS: Key<Count> = Key {
    name: "words",
    form: Count { max: WORDS_MAX, things: "words" },
    presence: Presence::Default(Preset::Count(1)),
    says: "Scribble: so many words of each target, drawn from the run's seed with what is written there.",
};

pub(super) static HOGS: Key<Count> = Key {
    name: "hogs",
    form: Count { max: HOGS_MAX, things: "busy processes" },
    presence: Presence::RequiredBy { example: "4", who: "`kind = \"cpu-hogs\"`" },
    says: "CPU hogs: so many processes, each of which uses a processor if it gets one.",
};

pub(super) static NICE: Key<Count> = Key {
    name: "nice",
    form: Count { max: 19, things: "steps of niceness" },
    presence: Presence::Optional("0, as the fleet"),
    says: "CPU hogs: their niceness, by which they give way to others.",
};

pub(super) static MEMORY: Key<Size> = Key {
    name: "memory",
    form: Size { least: 1 << 20, most: 1 << 31 },
    presence: Presence::RequiredBy {
        example: "\"256MiB\"",
        who: "`kind = \"memory\"` and `\"cgroup-memory\"`",
    },
    says: "Memory: how much is held. What the host cannot give is refused before the start. Control group: how much each target and what it starts may have together, of what they use from then on.",
};

pub(super) static CPUS: Key<Processors> = Key {
    name: "cpus",
    form: Processors,
    presence: Presence::RequiredBy { example: "0.5", who: "`kind = \"cgroup-cpu\"`" },
    says: "Control group: how many processors' time each target and what it starts may use together.",
};

pub(super) static DIR: Key<Text> = Key {
    name: "dir",
    form: Text { words: "path of a directory", examples: &["/tmp/work"] },
    presence: Presence::Optional("the run's own directory: its log, samples and documents"),
    says: "Disk: the directory, with all that is below it. Give one that commands write into, such as their `cwd`; a `[setup]` may make it. Only this run sees the fault.",
};

pub(super) static DELAY: Key<Span> = Key {
    name: "delay",
    form: Span { least: Duration::from_millis(1), instead: "leave the fault out" },
    presence: Presence::RequiredBy { example: "\"20ms\"", who: "`kind = \"disk-slow\"`" },
    says: "Disk slow: how much longer each call takes; at most a second.",
};

pub(super) static ERROR: Key<Words<CallError>> = Key {
    name: "error",
    form: Words {
        definition: "FaultError",
        words: &[
            Word { text: "ENOSPC", value: CallError::NoSpace, says: "no space left" },
            Word { text: "EIO", value: CallError::Io, says: "an error of input or output" },
            Word { text: "EMFILE", value: CallError::Descriptors, says: "too many open files" },
            Word { text: "ENOMEM", value: CallError::NoMemory, says: "no memory" },
        ],
    },
    presence: Presence::RequiredBy {
        example: "\"ENOSPC\"",
        who: "`kind = \"shm-errors\"` and `\"disk-fail\"`",
    },
    says: "Errors: how the calls fail.",
};

pub(super) static RATE: Key<Share> = Key {
    name: "rate",
    form: Share,
    presence: Presence::Optional(
        "`nth`, and one of them is needed by `kind = \"shm-errors\"` and `\"disk-fail\"`",
    ),
    says: "Errors: this share of the fleet's calls on shared memory, or of the calls in `dir`, drawn from the run's seed; at least `\"1%\"`.",
};

pub(super) static NTH: Key<Count> = Key {
    name: "nth",
    form: Count { max: NTH_MAX, things: "calls, of which the last fails" },
    presence: Presence::Optional("`rate`"),
    says: "Errors: every n-th of these calls.",
};

pub(super) static MAY_MEET_NOTHING: Key<Flag> = Key {
    name: "may_meet_nothing",
    form: Flag,
    presence: Presence::Optional("`false`"),
    says: "Errors, disks and `cgroup-cpu`: the run counts although no call failed or took longer, or no period was throttled. Without it, such a fault makes the run INCONCLUSIVE.",
};
