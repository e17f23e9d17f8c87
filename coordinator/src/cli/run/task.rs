//! A task, on its way from a line of a list to a message for the fleet.

mod read;

use super::template::Template;
use crate::client::Task;
use crate::config::PAYLOAD_MAX;
use crate::os::stop::signal_name;
use crate::wire::command::Command;
use nix::sys::signal::Signal;
pub(super) use read::read;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// A task as a list describes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) id: String,
    pub(super) number: u64,
    /// Its line of input, or the number of its agent. `None` for a line of JSON.
    pub(super) input: Option<Vec<u8>>,
    pub(super) argv: Vec<Vec<u8>>,
    /// What an agent program is asked, as JSON; `argv` is then the agent program.
    pub(super) question: Option<String>,
    pub(super) stdin: Option<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) own: Own,
    pub(super) stop: OwnStop,
    /// Files for its whole stdout and stderr.
    pub(super) files: Option<[Option<String>; 2]>,
}

/// Limits of a task's own, which take precedence over those of the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) retries: Option<u8>,
}

/// How a task is ended before its time, as far as that is its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OwnStop {
    pub(super) signal: Option<Signal>,
    pub(super) grace: Option<Duration>,
}

impl OwnStop {
    pub(super) fn or(self, other: Self) -> Self {
        Self { signal: self.signal.or(other.signal), grace: self.grace.or(other.grace) }
    }
}

/// A task that is ready to be sent.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) number: u64,
    /// How long it has when it is asked to end, if that is its own.
    pub(super) grace: Option<Duration>,
    pub(super) input: Option<Vec<u8>>,
    pub(super) own: Own,
    /// The hash of what it runs.
    pub(super) hash: u64,
    pub(super) message: Message,
}

#[derive(Debug)]
pub(super) enum Message {
    Exec(Vec<u8>),
    Command(Vec<u8>),
    Agent(Vec<u8>),
}

/// What does the tasks.
#[derive(Debug)]
pub(super) enum Doer {
    /// A command for each; empty where each brings its own.
    Command(Template),
    /// An agent program that keeps running, and gets a line of JSON for each.
    Agent(Vec<String>),
}

impl Doer {
    fn command(&self) -> Option<&Template> {
        match self {
            Self::Command(template) => Some(template),
            Self::Agent(_) => None,
        }
    }
}

impl Job {
    /// The hash of what it runs, as files hold it.
    pub(super) fn hash_text(&self) -> String {
        format!("{:016x}", self.hash)
    }

    pub(super) fn task(&self) -> Task<'_> {
        match &self.message {
            Message::Exec(body) => Task::Exec(body),
            Message::Command(body) => Task::Command(body),
            Message::Agent(question) => Task::Agent(question),
        }
    }

    /// The size of its message, in bytes.
    pub(super) fn size(&self) -> usize {
        let (Message::Exec(body) | Message::Command(body) | Message::Agent(body)) = &self.message;
        body.len()
    }

    /// What error messages call it.
    pub(super) fn name(&self) -> String {
        match &self.input {
            Some(input) => format!("{:?}", String::from_utf8_lossy(input)),
            None => format!("{:?}", self.id),
        }
    }
}

impl Spec {
    /// A line of input, or the number of an agent.
    pub(super) fn plain(id: String, number: u64, input: &[u8], argv: Vec<Vec<u8>>) -> Self {
        Self { id, number, input: Some(input.to_vec()), argv, ..Self::default() }
    }

    /// Makes it a question for an agent program.
    pub(super) fn ask(&mut self, question: &str, doer: &Doer) {
        self.question = Some(question.to_owned());
        if let Doer::Agent(command) = doer {
            self.argv = command.iter().map(|word| word.clone().into_bytes()).collect();
        }
    }

    pub(super) fn hash(&self) -> u64 {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for argument in &self.argv {
            add(argument);
        }
        if let Some(question) = &self.question {
            add(question.as_bytes());
        }
        add(b"stdin");
        add(self.stdin.as_deref().unwrap_or_default().as_bytes());
        for (name, value) in &self.env {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        add(self.cwd.as_deref().unwrap_or_default().as_bytes());
        first_8(&hasher.finalize())
    }

    pub(super) fn job(self) -> Result<Job, String> {
        let hash = self.hash();
        let Self { id, number, input, argv, question, stdin, env, cwd, own, stop, files } = self;
        if argv.iter().any(|argument| argument.contains(&0)) {
            return Err("an argument contains a NUL, which cannot be passed to a program".to_owned());
        }
        if question.is_none() && argv.first().is_none_or(Vec::is_empty) {
            return Err("the command has no program".to_owned());
        }
        let message = if let Some(question) = question {
            Message::Agent(question.into_bytes())
        } else if stdin.is_none()
            && env.is_empty()
            && cwd.is_none()
            && files.is_none()
            && stop == OwnStop::default()
        {
            let mut body = argv.join(&0);
            body.push(0);
            Message::Exec(body)
        } else {
            let argv =
                argv.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>().map_err(|_| {
                    "an argument must be UTF-8 in a task with `stdin`, `env`, `cwd`, `stop_signal`, `grace` or an output directory"
                        .to_owned()
                })?;
            let cwd = cwd.as_deref().map(absolute).transpose()?;
            let [stdout_file, stderr_file] = files.unwrap_or_default();
            let command = Command {
                argv,
                env,
                cwd,
                stdin,
                stdout_file,
                stderr_file,
                stop_signal: stop.signal.map(|signal| signal_name(signal).to_owned()),
                // At most a minute: `grace` checks it.
                grace_ms: stop.grace.map(|grace| grace.as_millis() as u32),
                ..Command::default()
            };
            Message::Command(command.to_body().map_err(|error| error.to_string())?)
        };
        let job = Job { id, number, grace: stop.grace, input, own, hash, message };
        if job.size() > PAYLOAD_MAX as usize {
            return Err(format!(
                "the task has {} bytes, and at most {PAYLOAD_MAX} can be sent: put large data into a file",
                job.size()
            ));
        }
        Ok(job)
    }

    /// The command as a shell would run it.
    pub(super) fn in_shell(&self) -> String {
        let mut words = Vec::new();
        if self.cwd.is_some() || !self.env.is_empty() {
            words.push("env".to_owned());
            if let Some(cwd) = &self.cwd {
                words.extend(["-C".to_owned(), quoted(cwd.as_bytes())]);
            }
            let set = |(name, value): (&String, &String)| {
                format!("{}={}", quoted(name.as_bytes()), quoted(value.as_bytes()))
            };
            words.extend(self.env.iter().map(set));
        }
        words.extend(self.argv.iter().map(|argument| quoted(argument)));
        if let Some(stdin) = self.stdin.as_ref().or(self.question.as_ref()) {
            words.extend(["<<<".to_owned(), quoted(stdin.as_bytes())]);
        }
        words.join(" ")
    }
}

/// An absolute path: the fleet may run in another directory.
pub(super) fn absolute(path: &str) -> Result<String, String> {
    let whole = std::path::absolute(path).map_err(|error| format!("{path:?} is not a path: {error}"))?;
    whole
        .into_os_string()
        .into_string()
        .map_err(|_| format!("{path:?} is in a directory whose name is not UTF-8"))
}

pub(super) fn first_8(digest: &[u8]) -> u64 {
    u64::from_be_bytes(
        *digest.first_chunk().expect("a SHA-256 digest has 32 bytes, and the second half of one has 16"),
    )
}

/// A word, quoted if a shell would otherwise not read it as it is.
pub(super) fn quoted(word: &[u8]) -> String {
    let quoted = shlex::bytes::Quoter::new().allow_nul(true).quote(word);
    String::from_utf8_lossy(quoted.as_deref().unwrap_or(word)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_what_a_program_can_be_given() {
        let nul = Spec { argv: vec![b"a\0b".to_vec()], ..Spec::default() };
        assert!(nul.job().unwrap_err().contains("NUL"));
        let bytes = Spec { argv: vec![b"cat".to_vec(), b"\xff".to_vec()], ..Spec::default() };
        assert!(matches!(bytes.job().unwrap().message, Message::Exec(body) if body == b"cat\0\xff\0"));
        let large = Spec { argv: vec![vec![b'a'; PAYLOAD_MAX as usize]], ..Spec::default() };
        assert!(large.job().unwrap_err().contains("put large data into a file"));
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_see_more() {
        for (word, wanted) in [("a.b/c", "a.b/c"), ("", "''"), ("a b", "'a b'"), ("it's", r#""it's""#)] {
            assert_eq!(quoted(word.as_bytes()), wanted);
        }
    }
}
