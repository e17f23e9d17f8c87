//! `cargo xtask coverage`: which lines the tests reach, by crate.
//!
//! Most of what runs in a test of a fleet runs in processes that end by `_exit` or are killed, and these write no
//! profile at their end. So the counters of every process lie in a file that is mapped from its start (`%c`), one
//! file for all processes of a program (`%m`): what was counted is there however the process ended. Two processes
//! that count at once may lose a count, and none loses the line.

use crate::workspace::{Outcome, Workspace};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask coverage -- --html")]
pub(crate) struct Args {
    /// Another report of the same run: handed on to `cargo llvm-cov report`
    #[arg(last = true, value_name = "ARGS")]
    more: Vec<String>,
}

const INSTALL: &str =
    "rustup component add llvm-tools && cargo install cargo-llvm-cov --locked --version 0.9.1";

/// Without this the counters stay where the compiler laid them, and cannot be mapped from a file.
const RELOCATION: &str = "-Cllvm-args=-runtime-counter-relocation";
const PROFILES: &str = "LLVM_PROFILE_FILE_NAME=tests-%m%c.profraw";

/// A process that is killed while it lays out its file leaves a damaged one: the others still count.
const REPORT: [&str; 5] = ["cargo", "llvm-cov", "report", "--failure-mode", "all"];

pub(crate) fn coverage(workspace: &Workspace, args: &Args) -> Outcome {
    if !workspace.answers(&["cargo", "llvm-cov", "--version"]) {
        return Err(format!("coverage needs cargo-llvm-cov, which is not installed\nhint: {INSTALL}"));
    }
    let flags = format!("RUSTFLAGS={}", with_relocation(std::env::var("RUSTFLAGS").ok().as_deref()));
    workspace.run(&["cargo", "llvm-cov", "clean", "--profraw-only"])?;
    let tests =
        ["env", PROFILES, &flags, "cargo", "llvm-cov", "--no-report", "--no-fail-fast", "--workspace"];
    let tested = workspace.run(&tests);
    let lines = workspace.read(&[&REPORT[..], &["--lcov"]].concat())?;
    for (name, reached) in by_crate(&lines, workspace.root()) {
        eprintln!("coverage: {name:<18} {reached}");
    }
    if !args.more.is_empty() {
        let mut words = REPORT.to_vec();
        words.extend(args.more.iter().map(String::as_str));
        workspace.run(&words)?;
    }
    tested
}

fn with_relocation(flags: Option<&str>) -> String {
    let before = flags.unwrap_or_default().trim();
    format!("{before} {RELOCATION}").trim().to_owned()
}

/// Lines of code that some test reached, and all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reached {
    reached: u64,
    all: u64,
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = if self.all == 0 { 0.0 } else { self.reached as f64 * 100.0 / self.all as f64 };
        write!(f, "{percent:5.1} % of {} lines", self.all)
    }
}

/// From a report in the format of `lcov`: the crates by the folders of their sources, and `whole` at the end.
fn by_crate(report: &str, root: &Path) -> Vec<(String, Reached)> {
    let mut crates: BTreeMap<String, Reached> = BTreeMap::new();
    let mut file = None;
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = crate_of(Path::new(path), root);
        }
        let Some(name) = &file else { continue };
        let number = |prefix| line.strip_prefix(prefix).and_then(|number: &str| number.parse::<u64>().ok());
        let (all, reached) = (number("LF:").unwrap_or(0), number("LH:").unwrap_or(0));
        let sum = crates.entry(name.clone()).or_default();
        *sum = Reached { reached: sum.reached + reached, all: sum.all + all };
    }
    let whole = crates.values().fold(Reached::default(), |sum, one| Reached {
        reached: sum.reached + one.reached,
        all: sum.all + one.all,
    });
    crates.into_iter().chain([("whole".to_owned(), whole)]).collect()
}

/// The folder whose `src` holds a file; `None` if the file is not a source file of this workspace.
fn crate_of(file: &Path, root: &Path) -> Option<String> {
    let (folder, _) = file.strip_prefix(root).ok()?.to_str()?.split_once("/src/")?;
    Some(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn lines_are_summed_by_the_crate_that_they_are_in() {
        let report = "SF:/w/coordinator/src/a.rs\nDA:1,5\nLF:10\nLH:4\nend_of_record\n\
                      SF:/w/coordinator/src/bus/b.rs\nLF:30\nLH:30\nend_of_record\n\
                      SF:/w/coordinator/model/src/lib.rs\nLF:5\nLH:5\nend_of_record\n\
                      SF:/elsewhere/src/c.rs\nLF:100\nLH:0\nend_of_record\n";
        let sums: Vec<(String, String)> = by_crate(report, Path::new("/w"))
            .into_iter()
            .map(|(name, reached)| (name, reached.to_string()))
            .collect();
        let line = |name: &str, words: &str| (name.to_owned(), words.to_owned());
        assert_eq!(
            sums,
            [
                line("coordinator", " 85.0 % of 40 lines"),
                line("coordinator/model", "100.0 % of 5 lines"),
                line("whole", " 86.7 % of 45 lines"),
            ]
        );
    }

    const LCOV: &str = "case \"$*\" in *--lcov) printf 'SF:%s/a/src/b.rs\\nLF:4\\nLH:1\\n' \"$PWD\";; esac\n";

    #[test]
    fn the_report_is_drawn_whether_or_not_the_tests_passed() {
        let tree = Tree::new(&[]);
        tree.program("cargo", LCOV).program("env", "");
        let more = |words: &[&str]| {
            let more = words.iter().map(|word| (*word).to_owned()).collect();
            coverage(&tree.workspace, &Args { more })
        };
        assert_eq!(more(&[]), Ok(()));
        let calls = tree.calls();
        assert_eq!(calls[..2], ["cargo llvm-cov --version", "cargo llvm-cov clean --profraw-only"]);
        assert!(
            calls[2].starts_with("env LLVM_PROFILE_FILE_NAME=tests-%m%c.profraw RUSTFLAGS="),
            "{calls:?}"
        );
        assert!(calls[2].ends_with("cargo llvm-cov --no-report --no-fail-fast --workspace"), "{calls:?}");
        assert_eq!(calls[3..], ["cargo llvm-cov report --failure-mode all --lcov"]);
        tree.program("env", "exit 101");
        assert!(more(&["--html"]).unwrap_err().ends_with("failed: exit status: 101"));
        let report = "cargo llvm-cov report --failure-mode all --html";
        assert_eq!(tree.calls().last().map(String::as_str), Some(report));
    }

    #[test]
    fn without_the_tool_it_says_how_to_install_it() {
        let tree = Tree::new(&[]);
        tree.program("cargo", "exit 101");
        let error = coverage(&tree.workspace, &Args { more: Vec::new() }).unwrap_err();
        assert!(error.contains("cargo install cargo-llvm-cov"), "{error}");
        assert_eq!(tree.calls().len(), 1);
    }

    #[test]
    fn flags_of_the_user_stay() {
        assert_eq!(with_relocation(None), RELOCATION);
        assert_eq!(with_relocation(Some("-Ctarget-cpu=native")), format!("-Ctarget-cpu=native {RELOCATION}"));
    }
}
