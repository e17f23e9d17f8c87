//! `kind = "exec"`: a command for each task, with its surroundings and the exit codes that are an answer.

use super::{COMMAND, OUTPUT_MAX, ROOM_BYTES, fitting};
use crate::scenario::cursor::{Fields, Given, Sited};
use crate::scenario::form::{Codes, Filled, Pairs, Text};
use crate::scenario::mistake::Mistake;
use crate::scenario::table::{Key, Presence};
use crate::scenario::unit::size_text;
use crate::system::Command;
use coordinator::config::PAYLOAD_MAX;
use std::collections::BTreeMap;

pub(super) const OUTPUT_MAX_DEFAULT: u32 = 4096;

const _: () = assert!(OUTPUT_MAX_DEFAULT <= PAYLOAD_MAX);

pub(super) static CWD: Key<Filled> = Key {
    name: "cwd",
    form: Filled(Text { words: "path of a directory", examples: &["/tmp"] }),
    presence: Presence::Optional("that of `harness`"),
    says: "Exec, agent: the program's working directory.",
};

pub(super) static ENV: Key<Pairs> = Key {
    name: "env",
    form: Pairs { example: "{ LANG = \"C\" }" },
    presence: Presence::Optional("none"),
    says: "Exec, agent: variables that are added to the environment of `harness`, which the program has.",
};

pub(super) static STDIN: Key<Text> = Key {
    name: "stdin",
    form: Text { words: "text; `{}` becomes the task's number", examples: &["task {}\n"] },
    presence: Presence::Optional("nothing"),
    says: "Exec: what the command reads from its standard input.",
};

pub(super) static EXITS: Key<Codes> = Key {
    name: "exits",
    form: Codes { example: "[0, 1]" },
    presence: Presence::Optional("`[0]`"),
    says: "Exec: exit codes that count as an answer. With any other one, or a signal, the task has failed.",
};

/// What a program needs, of a command for each task or of an agent program.
#[derive(Debug)]
pub(super) struct Surrounded {
    command: Given<Vec<String>>,
    cwd: Option<Sited<String>>,
    env: Option<Sited<BTreeMap<String, String>>>,
    output_max: Given<u64>,
}

/// The same, checked.
pub(super) struct Surroundings {
    /// Never empty.
    pub(super) command: Sited<Vec<String>>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) output_max_bytes: u32,
}

impl Surrounded {
    pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> Self {
        Self {
            command: fields.given(&COMMAND, found),
            cwd: fields.value(&CWD, found),
            env: fields.value(&ENV, found),
            output_max: fields.given(&OUTPUT_MAX, found),
        }
    }

    /// A program that can be started with these: no NUL, no empty name.
    pub(super) fn check(self, found: &mut Vec<Mistake>) -> Option<Surroundings> {
        self.command.require("", "", found);
        let output_max_bytes = match &self.output_max.value {
            Some(at) => fitting(at, ROOM_BYTES)?,
            None => OUTPUT_MAX_DEFAULT,
        };
        // A command without a program has been reported.
        let command =
            self.command.value.filter(|at| at.value.first().is_some_and(|program| !program.is_empty()))?;
        let env = self.env.map(|at| at.value).unwrap_or_default();
        let cwd = self.cwd.as_ref().map(|at| at.value.clone());
        let tried =
            Command { arguments: command.value.clone(), env: env.clone(), cwd: cwd.clone(), stdin: None };
        if let Err(error) = tried.to_body() {
            let at = self.cwd.as_ref().map_or(command.origin, |at| at.origin);
            found.push(Mistake::new(
                at,
                format!("`{}`: {error}", command.path),
                "see docs/coordinator.md on commands",
            ));
            return None;
        }
        Some(Surroundings { command, env, cwd, output_max_bytes })
    }
}

#[derive(Debug)]
pub(super) struct RawExec {
    stdin: Option<Sited<String>>,
    exits: Option<Sited<Vec<u8>>>,
}

pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawExec {
    RawExec { stdin: fields.value(&STDIN, found), exits: fields.value(&EXITS, found) }
}

/// A command for each task. `{}` in an argument and in its input becomes the task's number.
#[derive(Debug, Clone, PartialEq)]
pub struct Exec {
    template: Command,
    exits: Vec<u8>,
    output_max_bytes: u32,
}

impl Exec {
    /// The program, as it stands in the file.
    pub fn program(&self) -> &str {
        self.template.arguments.first().map_or("", String::as_str)
    }

    /// The directory that it is started in, if not that of `harness`.
    pub fn cwd(&self) -> Option<&str> {
        self.template.cwd.as_deref()
    }

    /// The command of the task with this number.
    pub fn of_task(&self, number: u64) -> Command {
        let number = number.to_string();
        let Command { arguments, env, cwd, stdin } = &self.template;
        Command {
            arguments: arguments.iter().map(|part| part.replace("{}", &number)).collect(),
            env: env.clone(),
            cwd: cwd.clone(),
            stdin: stdin.as_ref().map(|text| text.replace("{}", &number)),
        }
    }

    /// Whether a command that exited with `status` has answered.
    pub fn is_answer(&self, status: i32) -> bool {
        self.exits.iter().any(|exit| i32::from(*exit) == status)
    }

    /// Bytes of the longest command, as it travels.
    pub(super) fn command_bytes(&self) -> usize {
        let longest = self.of_task(u64::MAX);
        longest.to_body().map_or(usize::MAX, |body| body.len())
    }

    pub(super) fn output_max_bytes(&self) -> u32 {
        self.output_max_bytes
    }

    pub(super) fn words(&self) -> String {
        format!("exec {}", self.template.arguments.join(" "))
    }
}

pub(super) fn check(raw: RawExec, given: Surrounded, found: &mut Vec<Mistake>) -> Option<Exec> {
    let Surroundings { command, env, cwd, output_max_bytes } = given.check(found)?;
    let arguments = command.value.clone();
    let template = Command { arguments, env, cwd, stdin: raw.stdin.map(|at| at.value) };
    let exits = raw.exits.map_or_else(|| vec![0], |at| at.value);
    let exec = Exec { template, exits, output_max_bytes };
    if exec.command_bytes() > ROOM_BYTES as usize {
        let message = format!(
            "`{}` and its surroundings do not fit into a task, which holds {}",
            command.path,
            size_text(u64::from(ROOM_BYTES))
        );
        command.reject(found, message, "put a long script into a file and name that");
        return None;
    }
    Some(exec)
}
