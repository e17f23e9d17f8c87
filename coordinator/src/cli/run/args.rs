//! What the command line of `run` and of `submit` says about tasks.

use super::halt::Halt;
use super::list::From;
use super::progress::When;
use super::time;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The tasks.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Which {
    /// A task for each line of this file (`-` is standard input); empty lines are none
    #[arg(long, value_name = "FILE", conflicts_with = "tasks")]
    inputs: Option<PathBuf>,
    /// With --inputs: each ends with a NUL instead of a line's end
    #[arg(short = '0', long, requires = "inputs")]
    null: bool,
    /// A task for each line of JSON of this file (`-` is standard input): see below
    #[arg(long, value_name = "FILE")]
    tasks: Option<PathBuf>,
    /// What COMMAND is: run for each task, or a program that stays and is given a line of JSON for each
    #[arg(long, value_enum, default_value = "command")]
    pub(super) protocol: Protocol,
    /// Say what would be run, in a shell's words, and run nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Which {
    /// Where the tasks come from; `None` if nothing says so.
    pub(super) fn from(&self) -> Option<From> {
        let whole = self.dry_run;
        match (&self.tasks, &self.inputs) {
            (Some(path), _) => Some(From::Tasks(path.clone())),
            (None, Some(path)) => Some(From::Inputs { path: path.clone(), null: self.null, whole }),
            (None, None) => None,
        }
    }
}

/// How tasks are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Protocol {
    Command,
    Jsonl,
}

/// What is done with them.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct How {
    /// Time that an attempt at a task may take, such as 500ms, 30s, 10m, 2h; by default any
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) timeout: Option<Duration>,
    /// Time from a task's start to its end, with all its attempts and the pauses between them; by default any
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) deadline: Option<Duration>,
    /// How often a task that fails is done again, after a pause that grows. By default only one whose agent dies is,
    /// twice; with 0 none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=254))]
    pub(super) retries: Option<u8>,
    /// Time between the starts of two tasks
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) delay: Option<Duration>,
    /// When to end early: never, or soon (what runs is waited for) or now (it is ended), with fail=N, success=N or
    /// done=N
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(super) halt: Halt,
    /// How long a first Ctrl-C or SIGTERM waits for the tasks that run
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) grace: Duration,
}

/// What is done with what comes of them.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Where {
    /// A line of JSON for each task that ends, written at once (`-` is standard output); what tasks say is then not
    /// printed
    #[arg(long, value_name = "FILE")]
    pub(super) results: Option<PathBuf>,
    /// Go on with results that are there: do what has none
    #[arg(long, requires = "results")]
    pub(super) resume: bool,
    /// As --resume, and do again what failed
    #[arg(long, requires = "results")]
    pub(super) retry_failed: bool,
    /// Keep here, on the disk, what was handed in and has not ended: after a crash `coordinator restore FILE` does it
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// Two files for each task, ID.stdout and ID.stderr, with all that it says
    #[arg(long, value_name = "DIR")]
    pub(super) output_dir: Option<PathBuf>,
    /// Print what tasks say, with --results too
    #[arg(long)]
    pub(super) print: bool,
    /// Print in the order of the list
    #[arg(short, long)]
    pub(super) keep_order: bool,
    /// Begin each line that is printed with its task's id
    #[arg(long)]
    pub(super) tag: bool,
    /// Show how far it is; by default on a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub(super) progress: When,
}

impl Where {
    pub(super) fn is_printed(&self) -> bool {
        self.print || self.results.is_none()
    }

    pub(super) fn resumes(&self) -> bool {
        self.resume || self.retry_failed
    }
}

/// What a list of tasks is, for `--help`.
pub(super) const HELP: &str = r#"Places in COMMAND: {} the input, {.} without its extension, {/} behind its last slash, {/.} both, {//} before its
last slash, {#} the task's number, {id} its id. Where there is none, the input becomes the last argument. After a `$`
only {} is a place. In a shell's text a place is code: give that the input as an argument, sh -c 'echo "$1"' x {}. Without a COMMAND each line of --inputs is a shell's.

A line of --tasks is an object with a command of its own, or with what the COMMAND gets:
  {"id": "a1", "command": ["sh", "-c", "make test"], "cwd": "/src", "env": {"JOBS": "2"}, "stdin": "...",
   "timeout": "10m", "deadline": "1h", "retries": 2}
  {"input": "a.txt"}   {"args": ["-k", "a.txt"]}
All keys may be left out; the id is then the line's number.

With --protocol jsonl the COMMAND of each agent is started once, and asked on its stdin with a line for each task,
{"id":"1.1.7","attempt":1,"task":INPUT,"timeout_ms":30000}; it answers on its stdout with {"id":"1.1.7","ok":true,"result":...}
or {"id":"1.1.7","ok":false,"error":"why"}, and may say {"id":"1.1.7","progress":...} before. INPUT is the task's `input`; the answer is the `result` of a line of
--results, and otherwise printed as a line.

The exit status is 0 if every task ended well, 10 if one did not, 20 if this host cannot do it, 21 after a signal or
if the output's reader has gone, 64 if the list or the command line makes no sense."#;

/// The words that go on with this run: the same, and `--resume`.
pub(super) fn again() -> String {
    let quoted =
        |word: OsString| super::task::quoted(std::os::unix::ffi::OsStrExt::as_bytes(word.as_os_str()));
    let mut words: Vec<String> = std::env::args_os().map(quoted).collect();
    let options = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let resumes = |word: &String| word == "--resume" || word == "--retry-failed";
    if !words[..options].iter().any(resumes) {
        let verb = words.iter().position(|word| word == "run" || word == "submit");
        words.insert(verb.map_or(options, |at| at + 1), "--resume".to_owned());
    }
    words.join(" ")
}
