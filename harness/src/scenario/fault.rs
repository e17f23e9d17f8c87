//! `[[fault]]`: what is done to the fleet while it is under load, when, and to which of its processes.
//!
//! Every choice is made before the first fork: `calendar` resolves times and targets from the run's seed.

mod action;
mod calendar;
mod check;
mod choice;
mod form;
mod rules;
mod words;

use super::cursor::{CHOOSE_ANOTHER, Fields, Given, NoEntries, Sited, reject_repeated_names};
use super::form::{Count, Name, Size, Span, Whole, Word, Words};
use super::load::Load;
use super::mistake::Mistake;
use super::rehearsal::shorten;
use super::shm::Room;
use super::table::{Key, Presence, Preset, Table};
use super::unit::duration_text;
use coordinator::config::FleetShape;
use reports::criterion::ANY_FAULT;
use reports::facts::STEADY_NS;
use reports::runlog::event::FaultKind;
use std::time::Duration;

pub use action::{Action, Part, Resource, SegmentFault, ShmFault};
pub use calendar::{Calendar, Firing};
use check::check_one;
pub(super) use choice::{At, Many};
pub(super) use form::{Moment, Share};
pub use words::Overwrite;

/// More firings than this are a mistake in a pace, not a storm.
const FIRINGS_MAX: u32 = 100_000;
/// In a rehearsal. Closer together, a storm would outrun the restarts that it is to test.
const REHEARSED_LEAST: Duration = Duration::from_millis(100);
const LIMITED_MAX: u32 = 1 << 20;
/// More than any host has a use for.
const HOGS_MAX: u32 = 256;
/// Of one target, at once.
const WORDS_MAX: u32 = 1024;
/// More than any host has.
const CPUS_MAX: u32 = 1 << 16;

pub(super) static TABLE: Table = Table {
    name: "fault",
    definition: "Fault",
    says: "What is done to the fleet while it is under load. A death or stop that a fault explains is not an incident; \
           a fault whose effect cannot be shown makes the run INCONCLUSIVE.",
    required: false,
    repeated: true,
    keys: &[
        &NAME, &KIND, &ROLE, &COUNT, &SHARE, &PICK, &AT, &EVERY, &TIMES, &APART, &FOR, &RESOURCE, &TO, &SIZE,
        &FILL, &PART, &WORDS, &HOGS, &NICE, &MEMORY,
    ],
    anew: None,
    rules: Some(rules::rules),
};

static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Required { example: "\"kill-one\"" },
    says: "What documents call the fault.",
};

static KIND: Key<Words<FaultKind>> = Key {
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
        ],
    },
    presence: Presence::Required { example: "\"kill\"" },
    says: "What is done.",
};

/// Whose processes a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultRole {
    Supervisor,
    Coordinator,
    Worker,
}

static ROLE: Key<Words<FaultRole>> = Key {
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
        who: "every kind but `shm-…`, `cpu-hogs` and `memory`",
    },
    says: "The processes that it is done to. With a coordinator, its workers end as well; with the supervisor the fleet does, unless `fleet.on_supervisor_death` is `\"adopt\"`: it cannot be killed otherwise. It cannot be stopped: that ends any fleet.",
};

static COUNT: Key<Count> = Key {
    name: "count",
    form: Count { max: LIMITED_MAX, things: "processes that are hit at once" },
    presence: Presence::Default(Preset::Count(1)),
    says: "How many of them each time.",
};

static SHARE: Key<Share> = Key {
    name: "share",
    form: Share,
    presence: Presence::Optional("`count` says how many"),
    says: "Instead of `count`: so many of all that there are, rounded up.",
};

/// How targets are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    Random,
    Spread,
}

static PICK: Key<Words<Pick>> = Key {
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

static AT: Key<Moment> = Key {
    name: "at",
    form: Moment,
    presence: Presence::Required { example: "\"10s\"" },
    says: "When, after the start of the load.",
};

static EVERY: Key<Span> = Key {
    name: "every",
    form: Span { least: Duration::from_millis(1), instead: "write `count` for several at once" },
    presence: Presence::Optional("once"),
    says: "And again after so long, with targets chosen anew.",
};

static TIMES: Key<Count> = Key {
    name: "times",
    form: Count { max: FIRINGS_MAX, things: "injections" },
    presence: Presence::Optional("until the load ends"),
    says: "So many times in all.",
};

static APART: Key<Span> = Key {
    name: "apart",
    form: Span::ANY,
    presence: Presence::Optional("all at once"),
    says: "Rolling: between two of the processes that are hit each time.",
};

static FOR: Key<Span> = Key {
    name: "for",
    form: Span::POSITIVE,
    presence: Presence::RequiredBy {
        example: "\"2s\"",
        who: "every kind but `kill`, `stop` and `segment-scribble`",
    },
    says: "How long it lasts before it is healed.",
};

static RESOURCE: Key<Words<Resource>> = Key {
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

static TO: Key<Whole> = Key {
    name: "to",
    form: Whole,
    presence: Presence::RequiredBy { example: "64", who: "`kind = \"limit\"` and `\"cpus\"`" },
    says: "Limit: the new soft limit, below the present one. Processors: how many it may run on, fewer than before.",
};

static SIZE: Key<Size> = Key {
    name: "size",
    form: Size { least: 1 << 20, most: 1 << 31 },
    presence: Presence::RequiredBy { example: "\"64MiB\"", who: "`kind = \"shm-limit\"`" },
    says: "Of `/dev/shm`: at least what the fleet needs, and below what it has had before.",
};

static FILL: Key<Share> = Key {
    name: "fill",
    form: Share,
    presence: Presence::RequiredBy { example: "\"100%\"", who: "`kind = \"shm-fill\"`" },
    says: "How much of `/dev/shm` is used then.",
};

static PART: Key<Words<Part>> = Key {
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

static WORDS: Key<Count> = Key {
    name: "words",
    form: Count { max: WORDS_MAX, things: "words" },
    presence: Presence::Default(Preset::Count(1)),
    says: "Scribble: so many words of each target, drawn from the run's seed with what is written there.",
};

static HOGS: Key<Count> = Key {
    name: "hogs",
    form: Count { max: HOGS_MAX, things: "busy processes" },
    presence: Presence::RequiredBy { example: "4", who: "`kind = \"cpu-hogs\"`" },
    says: "CPU hogs: so many processes, each of which uses a processor if it gets one.",
};

static NICE: Key<Count> = Key {
    name: "nice",
    form: Count { max: 19, things: "steps of niceness" },
    presence: Presence::Optional("0, as the fleet"),
    says: "CPU hogs: their niceness, by which they give way to others.",
};

static MEMORY: Key<Size> = Key {
    name: "memory",
    form: Size { least: 1 << 20, most: 1 << 31 },
    presence: Presence::RequiredBy { example: "\"256MiB\"", who: "`kind = \"memory\"`" },
    says: "Memory: how much is held. What the host cannot give is refused before the start.",
};

#[derive(Debug)]
pub(super) struct RawFault {
    name: Option<Sited<String>>,
    kind: Option<Sited<FaultKind>>,
    role: Given<FaultRole>,
    count: Given<u32>,
    share: Given<f64>,
    pick: Given<Pick>,
    at: Option<Sited<At>>,
    every: Option<Sited<Duration>>,
    times: Option<Sited<u32>>,
    apart: Given<Duration>,
    lasts: Given<Duration>,
    resource: Given<Resource>,
    to: Given<u64>,
    size: Given<u64>,
    fill: Given<f64>,
    part: Given<Part>,
    words: Given<u32>,
    hogs: Given<u32>,
    nice: Given<u32>,
    memory: Given<u64>,
}

impl RawFault {
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.value.as_str())
    }

    pub(super) fn is_of_shm(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| kind.value.is_of_shm())
    }
}

/// A declared fault; its times and targets are not chosen yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    name: String,
    action: Action,
    /// Nothing if it is not done to processes.
    role: Option<FaultRole>,
    many: Many,
    pick: Pick,
    at: At,
    every: Option<Duration>,
    times: Option<u32>,
    apart: Duration,
    lasts: Option<Duration>,
}

impl Fault {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn action(&self) -> Action {
        self.action
    }

    /// `SIGKILL to 3 of 10 coordinators at once`.
    fn words(&self, shape: &FleetShape) -> String {
        let lasts = self.lasts.map(|lasts| format!(" for {}", duration_text(lasts))).unwrap_or_default();
        let Some(role) = self.role else { return format!("{}{lasts}", self.action.words()) };
        let all = self.all(shape);
        let many = self.many.of(all);
        let role = match (role, all) {
            (FaultRole::Supervisor, _) => return format!("{}{lasts} to the supervisor", self.action.words()),
            (FaultRole::Coordinator, 1) => "coordinator",
            (FaultRole::Coordinator, _) => "coordinators",
            (FaultRole::Worker, 1) => "worker",
            (FaultRole::Worker, _) => "workers",
        };
        let how = match (many, self.apart) {
            (1, _) => String::new(),
            (_, Duration::ZERO) => " at once".to_owned(),
            (_, apart) => format!(", one every {}", duration_text(apart)),
        };
        format!("{}{lasts} to {many} of {all} {role}{how}", self.action.words())
    }

    fn all(&self, shape: &FleetShape) -> u32 {
        match self.role {
            None => 0,
            Some(FaultRole::Supervisor) => 1,
            Some(FaultRole::Coordinator) => shape.coordinators(),
            Some(FaultRole::Worker) => shape.coordinators() * shape.workers_per_coordinator(),
        }
    }

    fn starts(&self, load: Duration) -> Duration {
        self.at.in_load(load)
    }

    /// Of a rehearsal that is `factor` times as fast.
    pub(super) fn compress(&mut self, factor: f64, notes: &mut Vec<String>) {
        let path = |key: &str| format!("fault.{}.{key}", self.name);
        if let At::After(at) = self.at {
            self.at = At::After(at.div_f64(factor));
        }
        self.every = self.every.map(|every| shorten(every, factor, REHEARSED_LEAST, &path("every"), notes));
        self.lasts = self.lasts.map(|lasts| shorten(lasts, factor, REHEARSED_LEAST, &path("for"), notes));
        self.apart = self.apart.div_f64(factor);
    }
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Vec<RawFault> {
    let entries = match root.entries(&TABLE, found) {
        Ok(entries) => entries,
        Err(NoEntries::Absent | NoEntries::Rejected) => return Vec::new(),
    };
    let one = |fields: &Fields<'_>| RawFault {
        name: fields.value(&NAME, found),
        kind: fields.value(&KIND, found),
        role: fields.given(&ROLE, found),
        count: fields.given(&COUNT, found),
        share: fields.given(&SHARE, found),
        pick: fields.given(&PICK, found),
        at: fields.value(&AT, found),
        every: fields.value(&EVERY, found),
        times: fields.value(&TIMES, found),
        apart: fields.given(&APART, found),
        lasts: fields.given(&FOR, found),
        resource: fields.given(&RESOURCE, found),
        to: fields.given(&TO, found),
        size: fields.given(&SIZE, found),
        fill: fields.given(&FILL, found),
        part: fields.given(&PART, found),
        words: fields.given(&WORDS, found),
        hogs: fields.given(&HOGS, found),
        nice: fields.given(&NICE, found),
        memory: fields.given(&MEMORY, found),
    };
    entries.iter().map(one).collect()
}

/// The fleet that faults are done to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) shape: &'a FleetShape,
    /// Of its file system, if that is the run's own.
    pub(super) room: Option<Room>,
    /// Whether it outlives its supervisor.
    pub(super) adopts: bool,
}

/// Against each other, the load and the fleet.
pub(super) fn check(
    raw: Vec<RawFault>,
    load: Option<&Load>,
    fleet: Option<Of<'_>>,
    found: &mut Vec<Mistake>,
) -> Vec<Fault> {
    let names = raw.iter().filter_map(|fault| fault.name.as_ref());
    for name in names.clone().filter(|name| name.value == ANY_FAULT) {
        let message = format!("`{}`: `{ANY_FAULT}` means all faults of a scenario together", name.path);
        name.reject(found, message, CHOOSE_ANOTHER);
    }
    reject_repeated_names("fault", names, |_| CHOOSE_ANOTHER.to_owned(), found);
    raw.into_iter().filter_map(|fault| check_one(fault, load, fleet, found)).collect()
}

/// What a reader should know: recovery is judged by what follows, and what is destroyed cannot be read.
pub(super) fn notes(faults: &[Fault], calendar: &Calendar, load: Duration) -> Vec<String> {
    let steady = Duration::from_nanos(STEADY_NS);
    let mut notes = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        let name = &fault.name;
        if fault.action.is_final() {
            notes.push(format!(
                "the fault `{name}` destroys the ledger of a coordinator, which does not come back: the run is INCONCLUSIVE at best, and recovery from it has no value"
            ));
            continue;
        }
        let firings = calendar.firings().iter().filter(|firing| firing.fault == index);
        let Some(last) = firings.map(Firing::ends).max().filter(|last| *last + steady > load) else {
            continue;
        };
        let (last, load, steady) = (duration_text(last), duration_text(load), duration_text(steady));
        notes.push(format!(
            "the fault `{name}` ends {last} after the start of the load, which takes {load}: recovery from it cannot be judged, since that needs {steady} of load after it"
        ));
    }
    notes
}
