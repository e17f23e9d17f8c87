//! `cargo xtask full`: what takes too long for CI, one suite after the other, with a table at the end.
//!
//! A suite that fails does not end it: what a night has found is looked at in the morning, all of it. Each suite writes its
//! output to a file of its own, since ten thousand kills have more to say than a terminal keeps.

use crate::check::{clock, with_heartbeat};
use crate::workspace::{Outcome, Workspace, is_ci, said};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask full
         cargo xtask full launches triple --seed 7")]
pub(crate) struct Args {
    /// Only these suites; all of them by default (a night on two cores)
    #[arg(value_name = "SUITE")]
    suites: Vec<String>,
    /// Chooses victims, instants and words in the suites that draw them
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Say which suites there are, and run none
    #[arg(long, conflicts_with_all = ["suites", "seed"])]
    list: bool,
}

/// A suite: its name, the verb and arguments of `cargo xtask` that run it, and whether those take a seed.
struct Suite {
    name: &'static str,
    words: &'static [&'static str],
    is_drawn: bool,
}

/// Cheapest first. The check and the pristine Debian take the place of `.ci/run`.
const SUITES: [Suite; 16] = [
    suite("check", &["check"]),
    drawn("bus", &["storm", "bus", "--kills", "10000"]),
    drawn("fleet", &["storm", "fleet", "--kills", "1000"]),
    drawn("clients", &["storm", "clients", "--kills", "1000"]),
    drawn("answers", &["storm", "answers", "--kills", "1000"]),
    drawn("journals", &["storm", "journals", "--kills", "100"]),
    drawn("triple", &["storm", "triple", "--kills", "1000"]),
    drawn("resumes", &["storm", "resumes", "--kills", "50"]),
    drawn("scribble", &["scribble"]),
    drawn("launches", &["storm", "launches", "--kills", "10000"]),
    drawn("faults", &["storm", "faults", "--minutes", "60"]),
    suite("fuzz", &["fuzz", "--seconds", "120"]),
    suite("sanitize", &["sanitize"]),
    suite("mutants", &["mutants"]),
    suite("coverage", &["coverage"]),
    suite("pristine", &["ci-in-chroot"]),
];

const fn suite(name: &'static str, words: &'static [&'static str]) -> Suite {
    Suite { name, words, is_drawn: false }
}

const fn drawn(name: &'static str, words: &'static [&'static str]) -> Suite {
    Suite { name, words, is_drawn: true }
}

impl Suite {
    /// As one types it.
    fn command(&self, seed: u64) -> Vec<String> {
        let mut words: Vec<String> =
            ["cargo", "xtask"].iter().chain(self.words).map(|word| (*word).to_owned()).collect();
        if self.is_drawn {
            words.extend(["--seed".to_owned(), seed.to_string()]);
        }
        words
    }
}

/// How a suite went.
struct Done {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
    command: String,
    log: PathBuf,
}

pub(crate) fn full(workspace: &Workspace, args: &Args) -> Outcome {
    if args.list {
        for suite in &SUITES {
            eprintln!("{:<10} {}", suite.name, said(&suite.command(args.seed)));
        }
        return Ok(());
    }
    let chosen = chosen(&args.suites)?;
    let logs = workspace.metadata.target_directory.join("full").into_std_path_buf();
    std::fs::create_dir_all(&logs).map_err(|error| format!("{}: cannot make it: {error}", logs.display()))?;
    let done: Vec<Done> = chosen
        .into_iter()
        .map(|suite| {
            let command = suite.command(args.seed);
            let log = logs.join(format!("{}.log", suite.name));
            eprintln!("==> {}: {}, into {}", suite.name, said(&command), log.display());
            let began = Instant::now();
            let outcome = with_heartbeat(suite.name, || into(&log, workspace.command(&command)));
            Done { name: suite.name, took: began.elapsed(), outcome, command: said(&command), log }
        })
        .collect();
    summary(&done, is_ci(std::env::var("CI").ok().as_deref()))
}

/// In their own order, whatever order they are asked for in.
fn chosen(names: &[String]) -> Outcome<Vec<&'static Suite>> {
    if let Some(unknown) = names.iter().find(|name| SUITES.iter().all(|suite| suite.name != **name)) {
        let all: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        return Err(format!("there is no suite `{unknown}`\nhint: there are {}", all.join(", ")));
    }
    Ok(SUITES
        .iter()
        .filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name))
        .collect())
}

/// Runs a command whose output goes to a file.
fn into(log: &Path, mut command: Command) -> Outcome {
    let failed = |error: std::io::Error| format!("{}: {error}", log.display());
    let file = File::create(log).map_err(failed)?;
    let status = command
        .stdout(file.try_clone().map_err(failed)?)
        .stderr(file)
        .status()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// What each suite came to. A suite whose tool is not installed has failed: it says so in its log, and what was not run is
/// not passed. The check skips steps on a desk, as it says in its log.
fn summary(done: &[Done], ci: bool) -> Outcome {
    for one in done {
        match &one.outcome {
            Ok(()) => eprintln!("ok      {:<10} {}", one.name, clock(one.took)),
            Err(why) => {
                eprintln!("FAILED  {:<10} {}: {why}; see {}", one.name, clock(one.took), one.log.display());
                eprintln!("        again: {}", one.command);
                if ci {
                    eprint!("{}", last_lines(&std::fs::read_to_string(&one.log).unwrap_or_default()));
                }
            }
        }
    }
    let failed: Vec<&str> = done.iter().filter(|one| one.outcome.is_err()).map(|one| one.name).collect();
    if failed.is_empty() {
        eprintln!("full: {} suites passed", done.len());
        return Ok(());
    }
    Err(format!("full: {} of {} suites failed: {}", failed.len(), done.len(), failed.join(", ")))
}

/// Enough to see why, where the files of a machine are gone with it.
fn last_lines(text: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().flat_map(|line| ["    ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_commands_that_there_are_and_names_differ() {
        use clap::Parser as _;
        for suite in &SUITES {
            let words = suite.command(7);
            let parsed = crate::Cli::try_parse_from(&words[1..]);
            assert!(parsed.is_ok(), "{}: {parsed:?}", said(&words));
            assert_eq!(words.ends_with(&["--seed".to_owned(), "7".to_owned()]), suite.is_drawn);
        }
        let names: std::collections::BTreeSet<&str> = SUITES.iter().map(|suite| suite.name).collect();
        assert_eq!(names.len(), SUITES.len());
    }

    #[test]
    fn only_what_was_asked_for_runs_and_what_is_not_there_is_named() {
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            chosen(&asked).map(|suites| suites.iter().map(|suite| suite.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["launches", "bus"]), Ok(vec!["bus", "launches"]));
        assert_eq!(names(&[]).map(|all| all.len()), Ok(SUITES.len()));
        let error = names(&["lunches"]).unwrap_err();
        assert!(error.contains("no suite `lunches`") && error.contains("launches"), "{error}");
    }

    #[test]
    fn a_suite_that_fails_is_named_and_its_output_is_kept() {
        let directory = std::env::temp_dir().join(format!("xtask-full-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let run = |name, script: &str| {
            let log = directory.join(format!("{name}.log"));
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let outcome = into(&log, command);
            Done { name, took: Duration::ZERO, outcome, command: script.to_owned(), log }
        };
        let good = run("good", "true");
        let bad = run("bad", "echo out; echo err >&2; exit 3");
        assert_eq!(std::fs::read_to_string(&bad.log).unwrap(), "out\nerr\n");
        assert_eq!(bad.outcome, Err("exit status: 3".to_owned()));
        assert_eq!(summary(&[good], false), Ok(()));
        assert_eq!(summary(&[bad], false), Err("full: 1 of 1 suites failed: bad".to_owned()));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_machine_that_goes_away_leaves_the_last_lines() {
        let text: String = (0..100).flat_map(|n| [n.to_string(), "\n".to_owned()]).collect();
        let kept = last_lines(&text);
        assert!(kept.starts_with("    60\n") && kept.ends_with("    99\n"), "{kept}");
        assert_eq!(last_lines(""), "");
    }
}
