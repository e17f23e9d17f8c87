//! The options about tasks that `run` and `submit` have in common.

use super::super::number::number;
use super::super::policy::HowToStop;
use super::super::time::time;
use super::halt::Halt;
use super::list::From;
use super::progress::When;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Which tasks are done.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Which {
    /// One task for each line of this file (`-` is standard input); empty lines are skipped
    #[arg(long, value_name = "FILE", conflicts_with = "tasks")]
    inputs: Option<PathBuf>,
    /// With --inputs: inputs end with a NUL instead of a newline
    #[arg(short = '0', long, requires = "inputs")]
    null: bool,
    /// One task for each line of JSON of this file (`-` is standard input): see below
    #[arg(long, value_name = "FILE")]
    tasks: Option<PathBuf>,
    /// What COMMAND is: a command to run for each task, or an agent program that keeps running and gets a line of JSON
    /// for each task
    #[arg(long, value_enum, default_value = "command")]
    pub(super) protocol: Protocol,
    /// Print the commands that would be run, quoted for a shell, and run nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Which {
    /// Where the tasks come from; `None` if no option tells.
    pub(super) fn from(&self) -> Option<From> {
        let whole = self.dry_run;
        match (&self.tasks, &self.inputs) {
            (Some(path), _) => Some(From::Tasks(path.clone())),
            (None, Some(path)) => Some(From::Inputs { path: path.clone(), null: self.null, whole }),
            (None, None) => None,
        }
    }
}

/// How a task reaches its command or agent program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Protocol {
    Command,
    Jsonl,
}

/// How the tasks are done.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct How {
    /// Longest time for one attempt at a task, such as 500ms, 30s, 10m or 1h 30m; by default unlimited
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(super) timeout: Option<Duration>,
    /// Longest time from a task's start to its end, including all attempts and the pauses between them; by default
    /// unlimited
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(super) deadline: Option<Duration>,
    /// How often a failed task is tried again, after a growing pause; 0 for never. By default only a task whose agent or
    /// agent program dies is tried again, twice
    #[arg(long, value_name = "N", value_parser = number(0_u8, 254), allow_negative_numbers = true)]
    pub(super) retries: Option<u8>,
    /// Pause between the starts of two tasks
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(super) delay: Option<Duration>,
    /// When to end early: never; or soon (wait for running tasks) or now (cancel them), followed by fail=N, success=N or
    /// done=N, as in now,fail=1
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(super) halt: Halt,
    /// How long to wait for running tasks after a first Ctrl-C or SIGTERM; they are ended then
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time, allow_hyphen_values = true)]
    pub(super) drain: Duration,
    #[command(flatten)]
    pub(super) stop: HowToStop,
}

/// Where results and output go.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Where {
    /// Write a line of JSON to this file for each task as soon as it ends (`-` is standard output); the output of tasks is
    /// then not printed
    #[arg(long, value_name = "FILE")]
    pub(super) results: Option<PathBuf>,
    /// Continue an earlier run: do the tasks that have no result in the file yet
    #[arg(long, requires = "results")]
    pub(super) resume: bool,
    /// As --resume, and do failed tasks again
    #[arg(long, requires = "results")]
    pub(super) retry_failed: bool,
    /// Keep submitted tasks that have not ended in this file: after a crash, `coordinator restore FILE` does them
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// Write two files for each task, ID.stdout and ID.stderr, with its whole output
    #[arg(long, value_name = "DIR")]
    pub(super) output_dir: Option<PathBuf>,
    /// Print the output of tasks even with --results
    #[arg(long)]
    pub(super) print: bool,
    /// Print in the order of the list
    #[arg(short, long)]
    pub(super) keep_order: bool,
    /// Begin each printed line with the id of its task
    #[arg(long)]
    pub(super) tag: bool,
    /// Show progress; by default on a terminal
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

/// The rest of `--help`: placeholders, lists of tasks, exit status.
pub(super) const HELP: &str = concat!(
    "Placeholders in COMMAND: {} the input, {.} the input without its extension, {/} its last component, ",
    "{/.} its last component without the extension, {//} its directory, {#} the number of the task, {id} its id. ",
    "Without a placeholder, the input becomes the last argument. After a `$` only {} is a placeholder. ",
    "In a shell script a placeholder would be code: pass the input as an argument instead:\n",
    r#"  sh -c 'echo "$1"' x {}"#,
    "\nWithout a COMMAND, each line of --inputs is a shell command.\n\n",
    "A line of --tasks is an object with its own command, or with the input or arguments of COMMAND, such as:\n",
    r#"  {"id": "a1", "command": ["make", "test"], "cwd": "/src"}"#,
    "\n",
    r#"  {"command": ["sh", "-c", "wc"], "stdin": "...", "env": {"LANG": "C"}}"#,
    "\n",
    r#"  {"input": "a.txt", "timeout": "10m", "deadline": "1h", "retries": 2}"#,
    "\n",
    r#"  {"input": "a.txt", "stop_signal": "INT", "grace": "30s"}"#,
    "\n",
    r#"  {"args": ["-k", "a.txt"]}"#,
    "\nEvery key is optional; the default id is the line number.\n\n",
    "Output is kept whole. What has no room in shared memory (16 KiB of a task; in a fleet of `coordinator up`, ",
    "--payload-max) is in files in TMPDIR until its result is written; a full disk there fails the task.\n\n",
    "With --protocol jsonl, COMMAND is an agent program: each worker starts it once. ",
    "It reads a line of JSON from stdin for each task, in which `task` is the task's `input`:\n",
    r#"  {"id":"1.1.7-5f0c2a9d11e84b36","attempt":1,"task":INPUT,"timeout_ms":30000}"#,
    "\nIt writes its answer to stdout, as one of these lines, with the `id` of the question:\n",
    r#"  {"id":"1.1.7-5f0c2a9d11e84b36","ok":true,"result":...}"#,
    "\n",
    r#"  {"id":"1.1.7-5f0c2a9d11e84b36","ok":false,"error":"why"}"#,
    "\nBefore the answer it may report progress:\n",
    r#"  {"id":"1.1.7-5f0c2a9d11e84b36","progress":...}"#,
    "\nThe answer becomes the `result` in --results; without --results it is printed as a line. It may have 64 MiB. ",
    "The `id` is different each time a task is given to a program. ",
    "With `\"retry\":false` in a failure, --retries does not apply. ",
    "Other lines are the program's log, as its stderr is: the last 2 KiB since its last answer become the `stderr` of ",
    "the result. A program that ends without having read its task costs no attempt.\n\n",
    "The exit status is 0 if every task succeeded, 10 if a task failed, 20 if this host cannot run them, ",
    "21 after a signal or when the reader of the output has gone, and 64 if the list or the command line is wrong.",
);

/// The command that continues this run: the same one with `--resume`.
pub(super) fn resume_command() -> String {
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

#[cfg(test)]
mod tests {
    use super::HELP;

    #[test]
    fn examples_fit_a_narrow_terminal_and_paragraphs_are_left_to_wrap() {
        for line in HELP.lines() {
            assert!(!line.starts_with("  ") || line.len() < 78, "{line}");
            assert!(!line.starts_with(char::is_lowercase), "wrapped by hand: {line}");
        }
    }
}
