//! The body of a task of kind `Command`: a program and its environment, as one JSON object.

use crate::os::stop::{GRACE_MAX, Stop, parse_signal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;

/// The longest grace that a command may ask for, milliseconds.
pub const GRACE_MAX_MS: u32 = GRACE_MAX.as_millis() as u32;

/// What a worker runs. Relative paths start from the command's working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Added to the fleet's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Its environment consists only of `env` and a temporary directory of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub clear_env: bool,
    /// Its working directory; by default the fleet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its standard input; empty by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// A file that gets all of its stdout, without a limit; the answer holds the beginning of it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_file: Option<String>,
    /// As `stdout_file`; both may be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_file: Option<String>,
    /// The signal that it gets when it is cut short; by default the fleet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// From that signal to SIGKILL, at most [`GRACE_MAX_MS`]; by default the fleet's. The end of the fleet waits for the
    /// fleet's and no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Why a body is not a command.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    #[error("the command cannot be read: {0}")]
    NotJson(String),
    #[error("the command has no program: `argv` needs at least one string, and the first must not be empty")]
    NoProgram,
    #[error("{0} of the command contains a NUL, which the kernel cannot pass to a program")]
    Nul(String),
    #[error("{0:?} is not a valid name of a variable: it is empty or contains `=`")]
    Variable(String),
    #[error("{0} of the command is empty; leave it out instead")]
    EmptyPath(&'static str),
    #[error("stop_signal: {0}")]
    Signal(String),
    #[error("a grace of {0} ms is more than the maximum of {GRACE_MAX_MS} ms")]
    Grace(u32),
}

impl Command {
    /// A command with these arguments and the fleet's environment and working directory.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// As it travels.
    pub fn to_body(&self) -> Result<Vec<u8>, CommandError> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| CommandError::NotJson(error.to_string()))
    }

    pub fn from_body(body: &[u8]) -> Result<Self, CommandError> {
        let command: Self =
            serde_json::from_slice(body).map_err(|error| CommandError::NotJson(error.to_string()))?;
        command.check()?;
        Ok(command)
    }

    /// How it is cut short in a fleet that does it like `fleet`.
    pub fn stop(&self, fleet: Stop) -> Stop {
        Stop {
            signal: self
                .stop_signal
                .as_deref()
                .and_then(|name| parse_signal(name).ok())
                .unwrap_or(fleet.signal),
            grace: self.grace_ms.map_or(fleet.grace, |ms| Duration::from_millis(ms.into())),
        }
    }

    fn check(&self) -> Result<(), CommandError> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(CommandError::NoProgram);
        }
        for (number, argument) in self.argv.iter().enumerate() {
            without_nul(argument, || format!("argument {number}"))?;
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains('=') {
                return Err(CommandError::Variable(name.clone()));
            }
            without_nul(name, || format!("the name of variable {name:?}"))?;
            without_nul(value, || format!("variable {name}"))?;
        }
        let paths =
            [("cwd", &self.cwd), ("stdout_file", &self.stdout_file), ("stderr_file", &self.stderr_file)];
        for (name, path) in paths {
            let Some(path) = path else { continue };
            if path.is_empty() {
                return Err(CommandError::EmptyPath(name));
            }
            without_nul(path, || name.to_owned())?;
        }
        if let Some(name) = &self.stop_signal {
            parse_signal(name).map_err(CommandError::Signal)?;
        }
        match self.grace_ms {
            Some(grace) if grace > GRACE_MAX_MS => Err(CommandError::Grace(grace)),
            _ => Ok(()),
        }
    }
}

/// A program's input may contain any bytes; a string for the kernel may not.
fn without_nul(text: &str, what: impl FnOnce() -> String) -> Result<(), CommandError> {
    if text.contains('\0') { Err(CommandError::Nul(what())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(json: &str) -> String {
        Command::from_body(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_program_alone_is_enough() {
        let command = Command::from_body(br#"{"argv":["true"]}"#).unwrap();
        assert_eq!(command, Command::new(["true"]));
        assert_eq!(command.to_body().unwrap(), br#"{"argv":["true"]}"#);
    }

    #[test]
    fn what_is_not_a_command_is_refused_in_words() {
        for (json, words) in [
            ("", "cannot be read"),
            ("{}", "missing field `argv`"),
            (r#"{"argv":[]}"#, "has no program"),
            (r#"{"argv":["","x"]}"#, "has no program"),
            (r#"{"argv":["a","b\u0000c"]}"#, "argument 1 of the command contains a NUL"),
            (r#"{"argv":["a"],"env":{"X":"\u0000"}}"#, "variable X of the command contains a NUL"),
            (r#"{"argv":["a"],"env":{"X=Y":""}}"#, r#""X=Y" is not a valid name of a variable"#),
            (r#"{"argv":["a"],"env":{"":""}}"#, "is not a valid name of a variable"),
            (r#"{"argv":["a"],"cwd":""}"#, "cwd of the command is empty"),
            (r#"{"argv":["a"],"stdout_file":"a\u0000"}"#, "stdout_file of the command contains a NUL"),
            (r#"{"argv":["a"],"grace_ms":60001}"#, "60001 ms is more than"),
            (r#"{"argv":["a"],"stop_signal":"STOP"}"#, "SIGSTOP does not end a process"),
            (r#"{"argv":["a"],"shell":true}"#, "unknown field `shell`"),
            (r#"{"argv":["a"]} x"#, "trailing characters"),
        ] {
            let said = refusal(json);
            assert!(said.contains(words), "{json}: {said}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before() {
        let nul = Command { argv: vec!["a\0".to_owned()], ..Command::default() };
        assert_eq!(nul.to_body(), Err(CommandError::Nul("argument 0".to_owned())));
        assert_eq!(Command::default().to_body(), Err(CommandError::NoProgram));
    }

    proptest! {
        #[test]
        fn a_command_survives_its_body(
            argv in prop::collection::vec("[^\0]{1,20}", 1..5),
            env in prop::collection::btree_map("[A-Z_]{1,8}", "[^\0]{0,20}", 0..4),
            clear_env: bool,
            cwd in prop::option::of("[^\0]{1,20}"),
            stdin in prop::option::of(".{0,50}"),
            grace_ms in prop::option::of(0..=GRACE_MAX_MS),
        ) {
            let command = Command {
                argv, env, clear_env, stdin, grace_ms, stop_signal: grace_ms.map(|_| "HUP".to_owned()),
                stdout_file: cwd.clone(), stderr_file: None, cwd,
            };
            let body = command.to_body().unwrap();
            prop_assert_eq!(Command::from_body(&body).unwrap(), command);
        }

        #[test]
        fn no_body_is_too_strange_to_be_refused(body: Vec<u8>) {
            let _ = Command::from_body(&body);
        }
    }
}
