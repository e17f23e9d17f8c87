//! `[setup]` and `[teardown]`: commands before the launch and after the end.

use super::cursor::{Fields, NoEntries};
use super::form::{Command as CommandForm, Filled, Name, Pairs, Span, Text};
use super::mistake::Mistake;
use super::table::{AnyKey, Key, Presence, Preset, Table};
use crate::system::Command;
use std::time::Duration;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

static KEYS: &[&dyn AnyKey] = &[&NAME, &COMMAND, &CWD, &ENV, &TIMEOUT];

pub(super) static SETUP: Table = Table {
    name: "setup",
    definition: "Setup",
    says: "A command before the launch. One table `[setup]`; or several `[[setup]]`, which run one after the other. If one fails, nothing is started.",
    required: false,
    repeated: true,
    keys: KEYS,
    anew: None,
    rules: None,
};

pub(super) static TEARDOWN: Table = Table {
    name: "teardown",
    definition: "Teardown",
    says: "A command after the fleet has ended, however it ended; it runs even if the set-up has failed. One table `[teardown]`, or several `[[teardown]]`.",
    required: false,
    repeated: true,
    keys: KEYS,
    anew: None,
    rules: None,
};

static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Optional("the command itself"),
    says: "What documents call it.",
};

static COMMAND: Key<CommandForm> = Key {
    name: "command",
    form: CommandForm { example: "[\"make\", \"database\"]" },
    presence: Presence::Required { example: "[\"make\", \"database\"]" },
    says: "The program and its arguments. It runs in a session of its own, without a terminal or input, and must exit with status 0.",
};

static CWD: Key<Filled> = Key {
    name: "cwd",
    form: Filled(Text { words: "path of a directory", examples: &["/tmp"] }),
    presence: Presence::Optional("that of `harness`"),
    says: "Its working directory.",
};

static ENV: Key<Pairs> = Key {
    name: "env",
    form: Pairs { example: "{ LANG = \"C\" }" },
    presence: Presence::Optional("none"),
    says: "Variables that are added to the environment of `harness`, which it has. `HARNESS_RUN` is the run's id.",
};

static TIMEOUT: Key<Span> = Key {
    name: "timeout",
    form: Span::POSITIVE,
    presence: Presence::Default(Preset::Duration(TIMEOUT_DEFAULT)),
    says: "After this long it is ended, with everything that it has started, and has failed.",
};

/// One command before the launch or after the end. Checked: it can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, or the program and its arguments.
    pub words: String,
    pub command: Command,
    pub timeout: Duration,
}

/// The commands of a table that can be read; mistakes are reported.
pub(super) fn read(root: &Fields<'_>, table: &'static Table, found: &mut Vec<Mistake>) -> Vec<Step> {
    match root.entries(table, found) {
        Ok(entries) => entries.iter().filter_map(|fields| step(fields, found)).collect(),
        Err(NoEntries::Absent | NoEntries::Rejected) => Vec::new(),
    }
}

fn step(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<Step> {
    let name = fields.value(&NAME, found);
    let command = fields.value(&COMMAND, found);
    let cwd = fields.value(&CWD, found);
    let env = fields.value(&ENV, found);
    let timeout = fields.value(&TIMEOUT, found).map_or(TIMEOUT_DEFAULT, |at| at.value);
    // What lacks a program has been reported.
    let arguments = command.filter(|at| at.value.first().is_some_and(|program| !program.is_empty()))?;
    let origin = cwd.as_ref().map_or(arguments.origin, |at| at.origin);
    let command = Command {
        arguments: arguments.value,
        env: env.map(|at| at.value).unwrap_or_default(),
        cwd: cwd.map(|at| at.value),
        stdin: None,
    };
    if let Err(error) = command.to_body() {
        let hint = "see docs/coordinator.md on commands";
        found.push(Mistake::new(origin, format!("`{}`: {error}", arguments.path), hint));
        return None;
    }
    let words = name.map_or_else(|| command.arguments.join(" "), |at| at.value);
    Some(Step { words, command, timeout })
}
