//! `[workload]`: what a worker does with a task.

mod exec;
mod sleep;

pub use exec::Exec;
pub use sleep::{Drawn, SleepTime};

use super::cursor::{Fields, Given, Sited};
use super::form::{Command, Size, Span, Word, Words};
use super::mistake::{Mistake, Origin};
use super::rule::{when, without};
use super::table::{Anew, AnyKey, Drops, Key, Presence, Preset, Table};
use super::unit::{bytes_text, duration_text};
use coordinator::config::PAYLOAD_MAX;
use exec::{OUTPUT_MAX_DEFAULT, RawExec};
use serde_json::{Value as Json, json};
use sleep::RawSleep;
use std::time::Duration;

pub(super) static TABLE: Table = Table {
    name: "workload",
    definition: "Workload",
    says: "What a worker does with a task.",
    required: true,
    repeated: false,
    keys: &[
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
    ],
    // The keys of one kind do not apply to another.
    anew: Some(Anew { key: "kind", drops: Drops::EveryKey }),
    rules: Some(rules),
};

fn rules() -> Vec<Json> {
    let of = |word: &Word<Kind>| {
        let own = word.value.keys();
        let names = TABLE.key_names();
        let foreign: Vec<&str> =
            names.into_iter().filter(|key| *key != KIND.name && !own.contains(key)).collect();
        let mut then = without(&foreign);
        match word.value {
            Kind::Echo => then["required"] = json!([PAYLOAD.name]),
            Kind::Sleep => {
                then["oneOf"] =
                    json!([{ "required": [sleep::TIME.name] }, { "required": [sleep::DISTRIBUTION.name] }]);
            }
            Kind::Compute => then["required"] = json!([CPU.name]),
            Kind::Exec => then["required"] = json!([COMMAND.name]),
        }
        when(KIND.name, &json!(word.text), &then)
    };
    KIND.form.words.iter().map(of).collect()
}

static KIND: Key<Words<Kind>> = Key {
    name: "kind",
    form: Words {
        definition: "WorkloadKind",
        words: &[
            Word { text: "echo", value: Kind::Echo, says: "the payload comes back and is compared" },
            Word { text: "sleep", value: Kind::Sleep, says: "the worker waits" },
            Word { text: "compute", value: Kind::Compute, says: "the worker uses a processor" },
            Word { text: "exec", value: Kind::Exec, says: "the worker runs a command" },
        ],
    },
    presence: Presence::Required { example: "\"echo\"" },
    says: "What a task is. The other keys belong to one kind each.",
};

static PAYLOAD: Key<Size> = Key {
    name: "payload",
    form: Size { least: 1, most: PAYLOAD_MAX },
    presence: Presence::RequiredBy { example: "\"256B\"", who: "`kind = \"echo\"`" },
    says: "Echo: bytes that are sent, come back and are compared.",
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
    presence: Presence::RequiredBy { example: EXEC_EXAMPLE, who: "`kind = \"exec\"`" },
    says: "Exec: the program and its arguments. `{}` becomes the task's number. It runs in a session of its own, without a terminal.",
};

const EXEC_EXAMPLE: &str = "[\"sh\", \"-c\", \"echo {}\"]";

static OUTPUT_MAX: Key<Size> = Key {
    name: "output_max",
    form: Size { least: 0, most: PAYLOAD_MAX },
    presence: Presence::Default(Preset::Size(OUTPUT_MAX_DEFAULT)),
    says: "Exec: how much of the output is kept.",
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Echo,
    Sleep,
    Compute,
    Exec,
}

impl Kind {
    fn name(self) -> &'static str {
        KIND.form.words.iter().find(|word| word.value == self).map_or("", |word| word.text)
    }

    /// Besides `kind`.
    fn keys(self) -> Vec<&'static str> {
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
        };
        keys.iter().map(|key| key.name()).collect()
    }
}

#[derive(Debug)]
pub(super) struct RawWorkload {
    origin: Origin,
    kind: Option<Sited<Kind>>,
    payload: Given<u64>,
    sleep: RawSleep,
    cpu: Given<Duration>,
    exec: RawExec,
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
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawWorkload> {
    let fields = root.table(&TABLE, found)?;
    let present = |key: &&'static dyn AnyKey| fields.node(key.name()).map(|(_, origin)| (key.name(), origin));
    Some(RawWorkload {
        origin: fields.origin(),
        kind: fields.value(&KIND, found),
        payload: fields.given(&PAYLOAD, found),
        sleep: sleep::read(&fields, found),
        cpu: fields.given(&CPU, found),
        exec: exec::read(&fields, found),
        present: TABLE.keys.iter().filter_map(present).collect(),
    })
}

pub(super) fn check(raw: RawWorkload, found: &mut Vec<Mistake>) -> Option<Workload> {
    let kind = raw.kind.as_ref()?.value;
    reject_foreign_keys(&raw.present, kind, found);
    match kind {
        Kind::Echo => {
            raw.payload.require("", "", found);
            Some(Workload::Echo { payload_bytes: fitting(&raw.payload.value?)? })
        }
        Kind::Sleep => sleep::check(&raw.sleep, raw.origin, found).map(Workload::Sleep),
        Kind::Compute => {
            raw.cpu.require("", "", found);
            Some(Workload::Compute { cpu: raw.cpu.value?.value })
        }
        Kind::Exec => exec::check(raw.exec, found).map(Workload::Exec),
    }
}

/// Absent if it is too large, which has been reported.
fn fitting(size: &Sited<u64>) -> Option<u32> {
    u32::try_from(size.value).ok().filter(|bytes| *bytes <= PAYLOAD_MAX)
}

fn reject_foreign_keys(present: &[(&'static str, Origin)], kind: Kind, found: &mut Vec<Mistake>) {
    let (name, own) = (kind.name(), kind.keys());
    for (key, origin) in present {
        if *key != KIND.name && !own.contains(key) {
            let message = format!("`workload.{key}` does not apply to workload \"{name}\"");
            let listed = own.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            found.push(Mistake::new(*origin, message, format!("\"{name}\" takes {listed}")));
        }
    }
}

impl Workload {
    /// Bytes that a task or its answer carries at most: what the bus must have room for.
    pub fn payload_max_bytes(&self) -> u32 {
        /// A duration or a status, and what frames it.
        const SMALL: u32 = 64;
        match self {
            Self::Echo { payload_bytes } => (*payload_bytes).max(SMALL),
            Self::Sleep(_) | Self::Compute { .. } => SMALL,
            Self::Exec(exec) => {
                let command = u32::try_from(exec.command_bytes()).unwrap_or(u32::MAX);
                command.max(exec.output_max_bytes()).saturating_add(SMALL)
            }
        }
    }

    /// What a worker's own process uses for a task; `None` where the task does not say.
    pub fn cpu_per_task(&self) -> Option<Duration> {
        match self {
            Self::Compute { cpu } => Some(*cpu),
            Self::Echo { .. } | Self::Sleep(_) | Self::Exec(_) => None,
        }
    }

    /// In words: `echo 256 B`.
    pub fn words(&self) -> String {
        match self {
            Self::Echo { payload_bytes } => format!("echo {}", bytes_text(u64::from(*payload_bytes))),
            Self::Sleep(SleepTime::Fixed(time)) => format!("sleep {}", duration_text(*time)),
            Self::Sleep(SleepTime::Drawn(drawn)) => format!("sleep {}", drawn.words()),
            Self::Compute { cpu } => format!("compute {}", duration_text(*cpu)),
            Self::Exec(exec) => exec.words(),
        }
    }
}
