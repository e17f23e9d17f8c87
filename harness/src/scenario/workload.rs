//! `[[workload]]`: what a worker does with a task; one table, or several with names that share the tasks by weight.

mod agent;
mod exec;
mod mix;
mod saboteur;
mod sleep;

pub use agent::{Agent, Program};
pub use exec::Exec;
pub(super) use mix::seed_of;
pub use mix::{Mix, Part};
pub use saboteur::{Plotted, Saboteur};
pub use sleep::{Drawn, SleepTime};

use super::cursor::{CHOOSE_ANOTHER, Fields, Given, NoEntries, Sited, reject_repeated_names};
use super::form::{Command, Count, Name, Size, Span, Word, Words};
use super::load::Load;
use super::mistake::{Mistake, Origin};
use super::rule::{when, without};
use super::table::{Anew, AnyKey, Drops, Key, Presence, Preset, Table};
use super::unit::{bytes_text, duration_text, size_text};
use agent::RawAgent;
use coordinator::config::PAYLOAD_MAX;
use exec::{OUTPUT_MAX_DEFAULT, RawExec, Surrounded};
use saboteur::RawSaboteur;
use serde_json::{Value as Json, json};
use sleep::RawSleep;
use std::time::Duration;

pub(super) static TABLE: Table = Table {
    name: "workload",
    definition: "Workload",
    says: "What a worker does with a task. One table `[workload]`; or several `[[workload]]`, each with a `name`, among which the tasks are divided by weight.",
    required: true,
    repeated: true,
    keys: &[
        &NAME,
        &WEIGHT,
        &KIND,
        &PAYLOAD,
        &sleep::TIME,
        &sleep::DISTRIBUTION,
        &sleep::MEAN,
        &sleep::DEVIATION,
        &sleep::MIN,
        &sleep::MAX,
        &CPU,
        &COMMAND,
        &exec::CWD,
        &exec::ENV,
        &exec::STDIN,
        &exec::EXITS,
        &OUTPUT_MAX,
        &agent::QUESTION,
        &agent::ANSWER,
        &agent::START_TIMEOUT,
        &saboteur::DEFECT,
        &saboteur::PER,
        &saboteur::BYTES,
        &saboteur::DESCRIPTORS,
        &saboteur::FACTOR,
        &saboteur::LATE,
        &saboteur::LIVES,
        &saboteur::NTH,
        &saboteur::COUNT,
        &saboteur::SHARE,
        &saboteur::FROM,
        &saboteur::UNTIL,
    ],
    // The keys of one kind do not apply to another.
    anew: Some(Anew { key: "kind", drops: Drops::EveryKeyBut(&["name", "weight"]) }),
    rules: Some(rules),
};

fn rules() -> Vec<Json> {
    let of = |word: &Word<Kind>| {
        let own = word.value.keys();
        let names = TABLE.key_names();
        let foreign: Vec<&str> =
            names.into_iter().filter(|key| !OF_ALL.contains(key) && !own.contains(key)).collect();
        let mut then = without(&foreign);
        match word.value {
            Kind::Echo => then["required"] = json!([PAYLOAD.name]),
            Kind::Sleep => {
                then["oneOf"] =
                    json!([{ "required": [sleep::TIME.name] }, { "required": [sleep::DISTRIBUTION.name] }]);
            }
            Kind::Compute => then["required"] = json!([CPU.name]),
            Kind::Exec | Kind::Agent => then["required"] = json!([COMMAND.name]),
            Kind::Saboteur => then["required"] = json!([PAYLOAD.name, saboteur::DEFECT.name]),
        }
        when(KIND.name, &json!(word.text), &then)
    };
    KIND.form.words.iter().map(of).chain(sleep::rules()).chain(saboteur::rules(sleep::TIME.name)).collect()
}

/// Keys that every kind has.
const OF_ALL: [&str; 3] = ["name", "weight", "kind"];

static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::RequiredBy { example: "\"compile\"", who: "several workloads" },
    says: "What criteria and documents call it: `task.time{workload=\"compile\"} p95 < 2s`.",
};

static WEIGHT: Key<Count> = Key {
    name: "weight",
    form: Count { max: WEIGHT_MAX, things: "shares" },
    presence: Presence::Default(Preset::Count(1)),
    says: "Its share of the tasks, beside the weights of the others. Which task is of which workload is drawn from the seed.",
};

/// So that no sum of weights is near to the largest number.
const WEIGHT_MAX: u32 = 1_000_000;

static KIND: Key<Words<Kind>> = Key {
    name: "kind",
    form: Words {
        definition: "WorkloadKind",
        words: &[
            Word { text: "echo", value: Kind::Echo, says: "the payload comes back and is compared" },
            Word { text: "sleep", value: Kind::Sleep, says: "the worker waits" },
            Word { text: "compute", value: Kind::Compute, says: "the worker uses a processor" },
            Word { text: "exec", value: Kind::Exec, says: "the worker runs a command" },
            Word {
                text: "agent",
                value: Kind::Agent,
                says: "a program that the worker keeps running answers a line of JSON",
            },
            Word { text: "saboteur", value: Kind::Saboteur, says: "as echo, by a worker that has a defect" },
        ],
    },
    presence: Presence::Required { example: "\"echo\"" },
    says: "What a task is. The other keys belong to one kind each.",
};

static PAYLOAD: Key<Size> = Key {
    name: "payload",
    form: Size { least: 1, most: PAYLOAD_MAX },
    presence: Presence::RequiredBy {
        example: "\"256B\"",
        who: "`kind = \"echo\"` and `kind = \"saboteur\"`",
    },
    says: "Echo, saboteur: bytes that are sent, come back and are compared.",
};

static CPU: Key<Span> = Key {
    name: "cpu",
    form: Span::POSITIVE,
    presence: Presence::RequiredBy { example: "\"2ms\"", who: "`kind = \"compute\"`" },
    says: "Compute: CPU time that a task uses.",
};

static COMMAND: Key<Command> = Key {
    name: "command",
    form: Command { example: EXEC_EXAMPLE },
    presence: Presence::RequiredBy { example: EXEC_EXAMPLE, who: "`kind = \"exec\"` and `kind = \"agent\"`" },
    says: "Exec, agent: the program and its arguments. For exec, `{}` becomes the task's number. It runs in a session of its own, without a terminal.",
};

const EXEC_EXAMPLE: &str = "[\"sh\", \"-c\", \"echo {}\"]";

/// A duration or a status, and what frames it: beside what a task or its answer carries.
const FRAME_BYTES: u32 = 64;
/// What they have room for.
const ROOM_BYTES: u32 = PAYLOAD_MAX - FRAME_BYTES;

static OUTPUT_MAX: Key<Size> = Key {
    name: "output_max",
    form: Size { least: 0, most: ROOM_BYTES },
    presence: Presence::Default(Preset::Size(OUTPUT_MAX_DEFAULT)),
    says: "Exec: how much of the output is kept. Agent: the longest result.",
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Echo,
    Sleep,
    Compute,
    Exec,
    Agent,
    Saboteur,
}

impl Kind {
    fn name(self) -> &'static str {
        KIND.form.words.iter().find(|word| word.value == self).map_or("", |word| word.text)
    }

    /// Besides those that every kind has.
    fn keys(self) -> Vec<&'static str> {
        if self == Self::Saboteur {
            let keys = [PAYLOAD.name, sleep::TIME.name].into_iter();
            return keys.chain(saboteur::KEYS.iter().map(|key| key.name())).collect();
        }
        let keys: &[&dyn AnyKey] = match self {
            Self::Echo => &[&PAYLOAD],
            Self::Sleep => &[
                &sleep::TIME,
                &sleep::DISTRIBUTION,
                &sleep::MEAN,
                &sleep::DEVIATION,
                &sleep::MIN,
                &sleep::MAX,
            ],
            Self::Compute => &[&CPU],
            Self::Exec => &[&COMMAND, &exec::CWD, &exec::ENV, &exec::STDIN, &exec::EXITS, &OUTPUT_MAX],
            Self::Agent => &[
                &COMMAND,
                &exec::CWD,
                &exec::ENV,
                &OUTPUT_MAX,
                &agent::QUESTION,
                &agent::ANSWER,
                &agent::START_TIMEOUT,
            ],
            Self::Saboteur => &[],
        };
        keys.iter().map(|key| key.name()).collect()
    }
}

#[derive(Debug)]
pub(super) struct RawWorkload {
    origin: Origin,
    /// `workload`, `workload.compile`, `workload[1]`.
    path: String,
    name: Given<String>,
    weight: Option<Sited<u32>>,
    kind: Option<Sited<Kind>>,
    payload: Given<u64>,
    sleep: RawSleep,
    cpu: Given<Duration>,
    given: Surrounded,
    exec: RawExec,
    agent: RawAgent,
    saboteur: RawSaboteur,
    /// Keys that are in the file, and where they stand.
    present: Vec<(&'static str, Origin)>,
}

/// Checked: payloads and outputs fit the bus, commands are not empty.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// The payload comes back and is compared.
    Echo { payload_bytes: u32 },
    /// The worker waits.
    Sleep(SleepTime),
    /// The worker uses a processor for so long.
    Compute { cpu: Duration },
    /// The worker runs a command.
    Exec(Exec),
    /// A program that the worker keeps running answers a line of JSON.
    Agent(Agent),
    /// As echo, by a worker that has a defect.
    Saboteur(Saboteur),
}

/// Empty if there is none that can be read, which has been reported.
pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Vec<RawWorkload> {
    match root.entries(&TABLE, found) {
        Ok(entries) if !entries.is_empty() => entries.iter().map(|fields| read_one(fields, found)).collect(),
        Ok(_) | Err(NoEntries::Absent) => {
            let origin = root.node(TABLE.name).map_or(root.origin(), |(node, _)| node.origin);
            let hint = format!("write [workload] and below it `{}`", TABLE.example());
            found.push(Mistake::new(origin, "the table [workload] is missing", hint));
            Vec::new()
        }
        Err(NoEntries::Rejected) => Vec::new(),
    }
}

fn read_one(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawWorkload {
    let present = |key: &&'static dyn AnyKey| fields.node(key.name()).map(|(_, origin)| (key.name(), origin));
    RawWorkload {
        origin: fields.origin(),
        path: fields.path().to_owned(),
        name: fields.given(&NAME, found),
        weight: fields.value(&WEIGHT, found),
        kind: fields.value(&KIND, found),
        payload: fields.given(&PAYLOAD, found),
        sleep: sleep::read(fields, found),
        cpu: fields.given(&CPU, found),
        given: Surrounded::read(fields, found),
        exec: exec::read(fields, found),
        agent: agent::read(fields, found),
        saboteur: saboteur::read(fields, found),
        present: TABLE.keys.iter().filter_map(present).collect(),
    }
}

/// Numbers of workers that are asked for, for a fleet to have.
pub(super) fn counts(raw: &[RawWorkload]) -> Vec<Sited<u32>> {
    let saboteurs =
        raw.iter().filter(|raw| raw.kind.as_ref().is_some_and(|kind| kind.value == Kind::Saboteur));
    saboteurs.filter_map(|raw| raw.saboteur.count().cloned()).collect()
}

pub(super) fn check(raw: Vec<RawWorkload>, load: Option<&Load>, found: &mut Vec<Mistake>) -> Option<Mix> {
    check_names(&raw, found);
    let count = raw.len();
    let mut agents: Vec<(String, Origin, agent::Program)> = Vec::new();
    let mut parts = Vec::new();
    let first = raw.first().map(|raw| raw.origin);
    for raw in raw {
        let (path, origin) = (raw.path.clone(), raw.origin);
        let name = raw.name.value.as_ref().map(|at| at.value.clone());
        let weight = raw.weight.as_ref().map_or(1, |at| at.value);
        let Some(workload) = check_one(raw, load, found) else { continue };
        if let Workload::Agent(agent) = &workload {
            agents.push((path, origin, agent.program().clone()));
        }
        parts.push(Part { name, weight, workload });
    }
    if let [(first, _, program), others @ ..] = &agents[..]
        && let Some((path, origin, _)) = others.iter().find(|(.., other)| other != program)
    {
        let message =
            format!("`{path}` has another agent program than `{first}`: a worker keeps one running");
        let hint =
            "give both the same `command`, `env`, `cwd` and `start_timeout`, and ask different questions";
        found.push(Mistake::new(*origin, message, hint));
        return None;
    }
    let mix = (parts.len() == count).then_some(Mix(parts));
    if let (Some(mix), Some(load), Some(first)) = (&mix, load, first) {
        reject_hopeless(mix, first, load, found);
    }
    mix.filter(|_| count > 0)
}

fn check_names(raw: &[RawWorkload], found: &mut Vec<Mistake>) {
    if raw.len() > 1 {
        for one in raw {
            one.name.require("each of several workloads has one", "", found);
        }
    }
    let names = raw.iter().filter_map(|one| one.name.value.as_ref());
    reject_repeated_names("workload", names, |_| CHOOSE_ANOTHER.to_owned(), found);
}

/// A mix may have tasks that time out, as long as any can be answered.
fn reject_hopeless(mix: &Mix, origin: Origin, load: &Load, found: &mut Vec<Mistake>) {
    let timeout = load.task_timeout();
    let Some(least) = mix.task_least().filter(|least| *least >= timeout) else { return };
    let message = format!(
        "no task can be answered: each takes its worker {} or longer, and times out after {}",
        duration_text(least),
        duration_text(timeout)
    );
    found.push(Mistake::new(origin, message, "lengthen `load.task_timeout`, or shorten the tasks"));
}

fn check_one(raw: RawWorkload, load: Option<&Load>, found: &mut Vec<Mistake>) -> Option<Workload> {
    let kind = raw.kind.as_ref()?.value;
    reject_foreign_keys(&raw.path, &raw.present, kind, found);
    match kind {
        Kind::Echo => {
            raw.payload.require("", "", found);
            Some(Workload::Echo { payload_bytes: fitting(&raw.payload.value?, PAYLOAD_MAX)? })
        }
        Kind::Sleep => sleep::check(&raw.sleep, (&raw.path, raw.origin), found).map(Workload::Sleep),
        Kind::Compute => {
            raw.cpu.require("", "", found);
            Some(Workload::Compute { cpu: raw.cpu.value?.value })
        }
        Kind::Exec => exec::check(raw.exec, raw.given, found).map(Workload::Exec),
        Kind::Agent => agent::check(raw.agent, raw.given, found).map(Workload::Agent),
        Kind::Saboteur => {
            raw.payload.require("", "", found);
            let payload = raw.payload.value.as_ref();
            // Beyond the latter, the key's own form refuses it.
            let too_large = u64::from(saboteur::PAYLOAD_BYTES_MAX) + 1..=u64::from(PAYLOAD_MAX);
            if let Some(at) = payload.filter(|at| too_large.contains(&at.value)) {
                let most = size_text(saboteur::PAYLOAD_BYTES_MAX.into());
                let message = format!(
                    "`{}`: a saboteur's task has room for {most}, beside what is wrong with it",
                    at.path
                );
                at.reject(found, message, format!("write at most \"{most}\""));
            }
            let checked = saboteur::check(raw.saboteur, &raw.path, raw.sleep.time(), load, found);
            let payload = fitting(payload?, saboteur::PAYLOAD_BYTES_MAX)?;
            Some(Workload::Saboteur(checked?.with_payload(payload)))
        }
    }
}

/// Absent if it is too large, which has been reported.
fn fitting(size: &Sited<u64>, most: u32) -> Option<u32> {
    u32::try_from(size.value).ok().filter(|bytes| *bytes <= most)
}

fn reject_foreign_keys(path: &str, present: &[(&'static str, Origin)], kind: Kind, found: &mut Vec<Mistake>) {
    let (name, own) = (kind.name(), kind.keys());
    for (key, origin) in present {
        if !OF_ALL.contains(key) && !own.contains(key) {
            let message = format!("`{path}.{key}` does not apply to workload \"{name}\"");
            let listed = own.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            found.push(Mistake::new(*origin, message, format!("\"{name}\" takes {listed}")));
        }
    }
}

impl Workload {
    /// Bytes that a task or its answer carries at most: what the bus must have room for.
    pub fn payload_max_bytes(&self) -> u32 {
        match self {
            Self::Echo { payload_bytes } => (*payload_bytes).max(FRAME_BYTES),
            Self::Sleep(_) | Self::Compute { .. } => FRAME_BYTES,
            Self::Saboteur(saboteur) => saboteur.bytes().max(FRAME_BYTES),
            Self::Agent(agent) => agent.bytes().saturating_add(FRAME_BYTES),
            Self::Exec(exec) => {
                let command = u32::try_from(exec.command_bytes()).unwrap_or(u32::MAX);
                command.max(exec.output_max_bytes()).saturating_add(FRAME_BYTES)
            }
        }
    }

    /// What a worker's own process uses for a task; `None` where the task does not say.
    pub fn cpu_per_task(&self) -> Option<Duration> {
        match self {
            Self::Compute { cpu } => Some(*cpu),
            Self::Echo { .. } | Self::Sleep(_) | Self::Exec(_) | Self::Agent(_) | Self::Saboteur(_) => None,
        }
    }

    /// The least time that a task takes its worker, if that is known before.
    pub(super) fn least(&self) -> Option<Duration> {
        match self {
            Self::Compute { cpu } => Some(*cpu),
            Self::Sleep(time) => Some(time.least()),
            Self::Saboteur(saboteur) => Some(saboteur.time()),
            Self::Echo { .. } | Self::Exec(_) | Self::Agent(_) => None,
        }
        .filter(|least| !least.is_zero())
    }

    /// In words: `echo 256 B`.
    pub fn words(&self) -> String {
        match self {
            Self::Echo { payload_bytes } => format!("echo {}", bytes_text(u64::from(*payload_bytes))),
            Self::Sleep(SleepTime::Fixed(time)) => format!("sleep {}", duration_text(*time)),
            Self::Sleep(SleepTime::Drawn(drawn)) => format!("sleep {}", drawn.words()),
            Self::Compute { cpu } => format!("compute {}", duration_text(*cpu)),
            Self::Exec(exec) => exec.words(),
            Self::Agent(agent) => agent.words(),
            Self::Saboteur(saboteur) => saboteur.words(),
        }
    }
}
