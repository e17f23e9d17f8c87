//! `[[fault]]`: what is done to the fleet while it is under load, when, and to which of its processes.
//!
//! Every choice is made before the first fork: `calendar` resolves times and targets from the run's seed.

mod calendar;
mod check;
mod form;

use super::cursor::{CHOOSE_ANOTHER, Fields, Given, NoEntries, Sited, reject_repeated_names};
use super::form::{Count, Name, Span, Whole, Word, Words};
use super::load::Load;
use super::mistake::Mistake;
use super::rehearsal::shorten;
use super::rule::{when, without};
use super::table::{Key, Presence, Preset, Table};
use super::unit::duration_text;
use coordinator::config::FleetShape;
use reports::facts::STEADY_NS;
use reports::runlog::event::FaultKind;
use serde_json::{Value as Json, json};
use std::time::Duration;

pub use calendar::{Calendar, Firing};
use check::check_one;
use form::{Moment, Share};

/// More firings than this are a mistake in a pace, not a storm.
const FIRINGS_MAX: u32 = 100_000;
/// In a rehearsal. Closer together, a storm would outrun the restarts that it is to test.
const REHEARSED_LEAST: Duration = Duration::from_millis(100);
const LIMITED_MAX: u32 = 1 << 20;

pub(super) static TABLE: Table = Table {
    name: "fault",
    definition: "Fault",
    says: "What is done to the fleet while it is under load. A death or stop that a fault explains is not an incident; \
           a fault whose effect cannot be shown makes the run INCONCLUSIVE.",
    required: false,
    repeated: true,
    keys: &[&NAME, &KIND, &ROLE, &COUNT, &SHARE, &PICK, &AT, &EVERY, &TIMES, &APART, &FOR, &RESOURCE, &TO],
    anew: None,
    rules: Some(rules),
};

fn rules() -> Vec<Json> {
    let of_limit = without(&[RESOURCE.name, TO.name]);
    vec![
        when(KIND.name, &json!("kill"), &without(&[FOR.name, RESOURCE.name, TO.name])),
        when(KIND.name, &json!("pause"), &json!({ "allOf": [of_limit, { "required": [FOR.name] }] })),
        when(KIND.name, &json!("limit"), &json!({ "required": [FOR.name, RESOURCE.name, TO.name] })),
        json!({ "if": { "required": [SHARE.name] }, "then": without(&[COUNT.name]) }),
        json!({ "if": { "required": [TIMES.name] }, "then": { "required": [EVERY.name] } }),
    ]
}

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
            Word { text: "pause", value: FaultKind::Pause, says: "SIGSTOP, and SIGCONT after `for`" },
            Word {
                text: "limit",
                value: FaultKind::Limit,
                says: "a lower soft limit of a resource, and the one before after `for`",
            },
        ],
    },
    presence: Presence::Required { example: "\"kill\"" },
    says: "What is done.",
};

/// Whose processes a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultRole {
    Coordinator,
    Worker,
}

static ROLE: Key<Words<FaultRole>> = Key {
    name: "role",
    form: Words {
        definition: "FaultRole",
        words: &[
            Word { text: "coordinator", value: FaultRole::Coordinator, says: "" },
            Word { text: "worker", value: FaultRole::Worker, says: "" },
        ],
    },
    presence: Presence::Required { example: "\"coordinator\"" },
    says: "The processes that it is done to. With a coordinator, its workers end as well.",
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
    presence: Presence::RequiredBy { example: "\"2s\"", who: "`kind = \"pause\"` and `\"limit\"`" },
    says: "How long it lasts before it is healed.",
};

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
    presence: Presence::RequiredBy { example: "64", who: "`kind = \"limit\"`" },
    says: "Limit: the new soft limit, below the present one.",
};

/// A moment of the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum At {
    After(Duration),
    /// Of the load's duration: 0 to 1.
    Share(f64),
}

#[derive(Debug)]
pub(super) struct RawFault {
    name: Option<Sited<String>>,
    kind: Option<Sited<FaultKind>>,
    role: Option<Sited<FaultRole>>,
    count: Option<Sited<u32>>,
    share: Option<Sited<f64>>,
    pick: Option<Sited<Pick>>,
    at: Option<Sited<At>>,
    every: Option<Sited<Duration>>,
    times: Option<Sited<u32>>,
    apart: Option<Sited<Duration>>,
    lasts: Given<Duration>,
    resource: Given<Resource>,
    to: Given<u64>,
}

/// What a firing does to each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Kill,
    Pause,
    Limit { resource: Resource, to: u64 },
}

impl Action {
    pub fn kind(self) -> FaultKind {
        match self {
            Self::Kill => FaultKind::Kill,
            Self::Pause => FaultKind::Pause,
            Self::Limit { .. } => FaultKind::Limit,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Kill => "SIGKILL".to_owned(),
            Self::Pause => "SIGSTOP".to_owned(),
            Self::Limit { resource, to } => format!("a limit of {to} {}", resource.words()),
        }
    }
}

/// How many processes each time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Many {
    Count(u32),
    Share(f64),
}

impl Many {
    fn of(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(all),
            Self::Share(share) => ((share * f64::from(all)).ceil() as u32).clamp(1, all.max(1)),
        }
    }
}

/// A declared fault; its times and targets are not chosen yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    name: String,
    action: Action,
    role: FaultRole,
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
        let all = self.all(shape);
        let many = self.many.of(all);
        let role = match (self.role, all) {
            (FaultRole::Coordinator, 1) => "coordinator",
            (FaultRole::Coordinator, _) => "coordinators",
            (FaultRole::Worker, 1) => "worker",
            (FaultRole::Worker, _) => "workers",
        };
        let lasts = self.lasts.map(|lasts| format!(" for {}", duration_text(lasts))).unwrap_or_default();
        let how = match (many, self.apart) {
            (1, _) => String::new(),
            (_, Duration::ZERO) => " at once".to_owned(),
            (_, apart) => format!(", one every {}", duration_text(apart)),
        };
        format!("{}{lasts} to {many} of {all} {role}{how}", self.action.words())
    }

    fn all(&self, shape: &FleetShape) -> u32 {
        match self.role {
            FaultRole::Coordinator => shape.coordinators(),
            FaultRole::Worker => shape.coordinators() * shape.workers_per_coordinator(),
        }
    }

    fn starts(&self, load: Duration) -> Duration {
        match self.at {
            At::After(at) => at,
            At::Share(share) => load.mul_f64(share),
        }
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
        role: fields.value(&ROLE, found),
        count: fields.value(&COUNT, found),
        share: fields.value(&SHARE, found),
        pick: fields.value(&PICK, found),
        at: fields.value(&AT, found),
        every: fields.value(&EVERY, found),
        times: fields.value(&TIMES, found),
        apart: fields.value(&APART, found),
        lasts: fields.given(&FOR, found),
        resource: fields.given(&RESOURCE, found),
        to: fields.given(&TO, found),
    };
    entries.iter().map(one).collect()
}

/// Against each other, the load and the fleet.
pub(super) fn check(
    raw: Vec<RawFault>,
    load: Option<&Load>,
    shape: Option<&FleetShape>,
    found: &mut Vec<Mistake>,
) -> Vec<Fault> {
    let names = raw.iter().filter_map(|fault| fault.name.as_ref());
    reject_repeated_names("fault", names, |_| CHOOSE_ANOTHER.to_owned(), found);
    raw.into_iter().filter_map(|fault| check_one(fault, load, shape, found)).collect()
}

/// What a reader should know: recovery is judged by what follows.
pub(super) fn notes(faults: &[Fault], calendar: &Calendar, load: Duration) -> Vec<String> {
    let steady = Duration::from_nanos(STEADY_NS);
    faults
        .iter()
        .enumerate()
        .filter_map(|(index, fault)| {
            let last = calendar.firings().iter().filter(|firing| firing.fault == index).map(Firing::ends).max()?;
            (last + steady > load).then(|| {
                format!(
                    "the fault `{}` ends {} after the start of the load, which takes {}: recovery from it cannot be judged, since that needs {} of load after it",
                    fault.name,
                    duration_text(last),
                    duration_text(load),
                    duration_text(steady)
                )
            })
        })
        .collect()
}
