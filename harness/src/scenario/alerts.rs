//! `[alerts]`: what people are told of while a run goes on, and by which command.

use super::cursor::{Fields, Sited};
use super::form::{Amount, Command as CommandForm, Count, OrOff, Share, Span};
use super::load::Load;
use super::mistake::Mistake;
use super::stage::Stage;
use super::table::{Key, Presence, Preset, Table};
use super::unit::{bytes_text, duration_text};
use reports::runlog::event::Arrivals;
use std::time::Duration;

/// A load that is shorter says nothing of leaks, and someone is there to watch it.
const LONG: Duration = Duration::from_secs(10 * 60);
const MEMORY_GROWTH: f64 = 0.2;
const DESCRIPTORS: u32 = 64;
const ERROR_RATE: f64 = 0.01;
const ERROR_WINDOW: Duration = Duration::from_secs(5 * 60);
const SILENCE_MIN: Duration = Duration::from_secs(60);
/// One in some 500 million gaps between Poisson arrivals is as long as so many of their mean.
const POISSON_APART: u32 = 20;
const DISK_FREE: u64 = 1 << 30;
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

pub(super) static TABLE: Table = Table {
    name: "alerts",
    definition: "Alerts",
    says: "What people are told of while a run goes on: each threshold that is crossed once, and once when it holds again. No verdict depends on it; that is for criteria. A load of 10 minutes or longer has all thresholds by default, a shorter one those that it names.",
    required: false,
    repeated: false,
    keys: &[&MEMORY, &FDS, &RATE, &WINDOW, &SILENT, &DISK, &COMMAND, &LIMIT],
    anew: None,
    rules: None,
};

static MEMORY: Key<OrOff<Share>> = Key {
    name: "memory_growth",
    form: OrOff(Share { example: "20%" }),
    presence: Presence::Optional("`\"20%\"`"),
    says: "How much RssAnon may grow, averaged over the processes of the fleet, since its first steady part: as long as a twentieth of the load, after a twentieth of it, and 30 minutes at most. Less than 1 MiB of the whole fleet is no growth.",
};

static FDS: Key<OrOff<Count>> = Key {
    name: "descriptors",
    form: OrOff(Count {
        max: 1 << 20,
        things: "descriptors that a process may open beyond those that it had at first",
    }),
    presence: Presence::Optional("64"),
    says: "How many descriptors more any process of the fleet may have than in its first five sweeps.",
};

static RATE: Key<OrOff<Share>> = Key {
    name: "error_rate",
    form: OrOff(Share { example: "1%" }),
    presence: Presence::Optional("`\"1%\"`"),
    says: "Which share of the tasks may fail within `error_window`.",
};

static WINDOW: Key<Span> = Key {
    name: "error_window",
    form: Span { least: Duration::from_secs(1), instead: "" },
    presence: Presence::Default(Preset::Duration(ERROR_WINDOW)),
    says: "The sliding window of `error_rate`.",
};

static SILENT: Key<OrOff<Span>> = Key {
    name: "silence",
    form: OrOff(Span::POSITIVE),
    presence: Presence::Optional(
        "twice `load.task_timeout`, at least a minute, and twice the longest `every` of the load and its stages beside that (20 times with `poisson` arrivals)",
    ),
    says: "How long no round may end with an answer. A fleet that works on one round for longer is silent, too.",
};

static DISK: Key<OrOff<Amount>> = Key {
    name: "disk_free",
    form: OrOff(Amount),
    presence: Presence::Optional("`\"1GiB\"`"),
    says: "How much must be free on the disk that the run is written to.",
};

static COMMAND: Key<CommandForm> = Key {
    name: "command",
    form: CommandForm { example: "[\"./page\", \"ops\"]" },
    presence: Presence::Optional("none"),
    says: "Is run for each alert and each recovery, one after the other, with a JSON object on its standard input: thresholds, and processes that died unasked. It has the environment of `harness`. The run never waits for it; that it fails is told once.",
};

static LIMIT: Key<Span> = Key {
    name: "timeout",
    form: Span { least: Duration::from_millis(100), instead: "" },
    presence: Presence::Default(Preset::Duration(TIMEOUT)),
    says: "After this long `command` is ended, and has failed. At most 60s.",
};

#[derive(Debug, Default)]
pub(super) struct RawAlerts {
    memory_growth: Option<Sited<Option<f64>>>,
    descriptors: Option<Sited<Option<u32>>>,
    error_rate: Option<Sited<Option<f64>>>,
    error_window: Option<Sited<Duration>>,
    silence: Option<Sited<Option<Duration>>>,
    disk_free: Option<Sited<Option<u64>>>,
    command: Option<Sited<Vec<String>>>,
    timeout: Option<Sited<Duration>>,
}

/// What is watched, as limits; nothing where it is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    /// A share of what it was.
    pub memory_growth: Option<f64>,
    /// Of one process, beyond those that it had.
    pub descriptors: Option<u32>,
    /// A share of all tasks in `error_window`.
    pub error_rate: Option<f64>,
    pub error_window: Duration,
    pub silence: Option<Duration>,
    /// Bytes.
    pub disk_free: Option<u64>,
    /// The program and its arguments; empty if no one is told.
    pub command: Vec<String>,
    pub timeout: Duration,
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawAlerts> {
    let fields = root.table(&TABLE, found)?;
    Some(RawAlerts {
        memory_growth: fields.value(&MEMORY, found),
        descriptors: fields.value(&FDS, found),
        error_rate: fields.value(&RATE, found),
        error_window: fields.value(&WINDOW, found),
        silence: fields.value(&SILENT, found),
        disk_free: fields.value(&DISK, found),
        command: fields.value(&COMMAND, found),
        timeout: fields.value(&LIMIT, found),
    })
}

/// What the file says, or the default.
fn given<T>(key: Option<Sited<Option<T>>>, otherwise: Option<T>) -> Option<T> {
    key.map_or(otherwise, |at| at.value)
}

/// For so long no answer may come in order: rounds are so far apart, and one may take as long as its tasks have.
fn quiet(load: &Load, stages: &[Stage]) -> Duration {
    let apart = stages.iter().filter_map(Stage::every).chain(load.every()).max().unwrap_or_default();
    let rounds = if load.arrivals() == Arrivals::Poisson { POISSON_APART } else { 2 };
    (load.task_timeout() * 2).max(SILENCE_MIN).saturating_add(apart.saturating_mul(rounds))
}

pub(super) fn check(
    raw: Option<RawAlerts>,
    load: &Load,
    stages: &[Stage],
    found: &mut Vec<Mistake>,
) -> Alerts {
    let raw = raw.unwrap_or_default();
    let is_long = load.duration() >= LONG;
    if let Some(timeout) = raw.timeout.as_ref().filter(|at| at.value > TIMEOUT_MAX) {
        let message = format!("`{}` is {}, which is too long", timeout.path, duration_text(timeout.value));
        timeout.reject(found, message, format!("write at most \"{}\"", duration_text(TIMEOUT_MAX)));
    }
    let silence = quiet(load, stages);
    Alerts {
        memory_growth: given(raw.memory_growth, is_long.then_some(MEMORY_GROWTH)),
        descriptors: given(raw.descriptors, is_long.then_some(DESCRIPTORS)),
        error_rate: given(raw.error_rate, is_long.then_some(ERROR_RATE)),
        error_window: raw.error_window.map_or(ERROR_WINDOW, |at| at.value),
        silence: given(raw.silence, is_long.then_some(silence)),
        disk_free: given(raw.disk_free, is_long.then_some(DISK_FREE)),
        command: raw.command.map(|at| at.value).unwrap_or_default(),
        timeout: raw.timeout.map_or(TIMEOUT, |at| at.value),
    }
}

impl Alerts {
    /// What is watched, in words: a line each.
    pub fn words(&self) -> Vec<String> {
        let percent = reports::units::percent;
        let of = [
            self.memory_growth
                .map(|limit| format!("memory of the fleet grows by more than {}", percent(limit))),
            self.descriptors
                .map(|limit| format!("a process has more than {limit} descriptors beyond those at first")),
            self.error_rate.map(|limit| {
                let window = duration_text(self.error_window);
                format!("more than {} of the tasks of {window} fail", percent(limit))
            }),
            self.silence.map(|limit| format!("no answer comes for {}", duration_text(limit))),
            self.disk_free.map(|limit| format!("less than {} of disk are free", bytes_text(limit))),
        ];
        let mut words: Vec<String> = of.into_iter().flatten().collect();
        if !self.command.is_empty() {
            words.push(format!("told to `{}`, and each undeclared death", self.command.join(" ")));
        }
        words
    }
}
