//! `cargo xtask`: checks and builds this repository.
//!
//! Links no crate of the workspace and asks the programs instead: it builds in seconds, and says
//! what is wrong with a tree that does not compile. stdout belongs to the commands that it runs;
//! what it says itself goes to stderr.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "this program is a command line and nothing else")]

mod check;
mod chroot;
mod coverage;
mod dist;
mod full;
mod fuzz;
mod mutants;
mod sanitize;
mod schema;
mod scribble;
mod storm;
mod tidy;
mod workspace;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;
use workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about, before_help = "Example: cargo xtask check")]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Checks and builds this repository
#[derive(Debug, Subcommand)]
enum Verb {
    /// Everything that CI runs, cheapest first, up to the first failure
    Check(check::Args),
    /// Everything that takes too long for CI, through to the end, with a table of what failed
    Full(full::Args),
    /// Run .ci/run on a pristine Debian 12 (needs root and debootstrap)
    CiInChroot(chroot::Args),
    /// Check the module boundaries and code conventions
    Tidy(tidy::Args),
    /// Print the size and shape of the tree: lines, long files and functions, cycles, locked packages
    Figures,
    /// Write the JSON Schema of scenario files
    Schema(schema::Args),
    /// Run the tests and say which lines they reach (needs cargo-llvm-cov)
    Coverage(coverage::Args),
    /// Change the plans, one change at a time, and say which change no test notices (needs cargo-mutants)
    Mutants(mutants::Args),
    /// Run the fuzz targets for a while (needs the nightly toolchain and cargo-fuzz)
    Fuzz(fuzz::Args),
    /// Kill and stop the bus's processes by the thousand, and account for every record
    Storm(storm::Args),
    /// Scribble over every word of a fleet's shared memory in turn, and hold its processes to their promises
    Scribble(scribble::Args),
    /// Build a release into target/dist/: static programs, man pages, completions, checksums
    Dist(dist::Args),
    /// Run the bus's tests under the address and the thread sanitizer (needs the nightly toolchain)
    Sanitize(sanitize::Args),
}

fn main() -> ExitCode {
    let Some(verb) = Cli::parse().verb else {
        // Asked for nothing in particular: help is the answer, not an error.
        return match Cli::command().print_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    };
    match Workspace::find().and_then(|workspace| carry_out(verb, &workspace)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(verb: Verb, workspace: &Workspace) -> workspace::Outcome {
    match verb {
        Verb::Check(args) => check::check(workspace, &args),
        Verb::Full(args) => full::full(workspace, &args),
        Verb::CiInChroot(args) => chroot::chroot(workspace, &args),
        Verb::Tidy(args) => tidy::tidy(workspace, &args),
        Verb::Figures => tidy::figures(workspace),
        Verb::Schema(args) => schema::schema(workspace, &args),
        Verb::Coverage(args) => coverage::coverage(workspace, &args),
        Verb::Mutants(args) => mutants::mutants(workspace, &args),
        Verb::Fuzz(args) => fuzz::fuzz(workspace, &args),
        Verb::Storm(args) => storm::storm(workspace, &args),
        Verb::Scribble(args) => scribble::scribble(workspace, &args),
        Verb::Dist(args) => dist::dist(workspace, &args),
        Verb::Sanitize(args) => sanitize::sanitize(workspace, &args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workspace::made_up::Tree;

    fn typed(words: &str) -> Verb {
        Cli::try_parse_from(words.split(' ')).unwrap().verb.unwrap()
    }

    #[test]
    fn what_is_typed_is_what_is_run() {
        let tree = Tree::new(&[]);
        for program in ["bash", "cargo", "env", "rustc", "rustup"] {
            tree.program(program, "");
        }
        for (words, last) in [
            ("xtask check --fast", "cargo fmt --all --check"),
            ("xtask ci-in-chroot --keep --mirror m", "bash .ci/in-chroot TARGET/chroot keep m"),
            ("xtask schema --check", "cargo run --quiet --package harness -- schema --phases"),
            ("xtask coverage -- --html", "cargo llvm-cov report --failure-mode all --html"),
            ("xtask mutants", "-- --lib plan::"),
            ("xtask fuzz --seconds 5", "rustup run nightly cargo fuzz --version"),
            ("xtask storm triple --kills 5 --seed 7", "_in_one_instant_leaves_nothing"),
            (
                "xtask scribble --seed 7",
                "--package harness --test suite -- --nocapture whatever_one_word_of_a_fleet_says",
            ),
            ("xtask sanitize", "rustc --version --verbose"),
        ] {
            // Some of it fails on a tree where there is nothing.
            let _ = carry_out(typed(words), &tree.workspace);
            let calls = tree.calls();
            assert!(calls.last().is_some_and(|call| call.ends_with(last)), "{words}: {calls:#?}");
        }
        // Those that run nothing, on a tree that has none of the files that they need.
        for (words, file) in [
            ("xtask tidy --tighten", "ci/ratchets.toml"),
            ("xtask figures", "Cargo.lock"),
            ("xtask dist", "CHANGELOG.md"),
        ] {
            let error = carry_out(typed(words), &tree.workspace).unwrap_err();
            assert!(error.starts_with(file), "{words}: {error}");
        }
    }

    #[test]
    fn what_no_verb_knows_is_refused_and_nothing_typed_asks_for_help() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["xtask"]).unwrap().verb.is_none());
        for words in
            ["xtask chek", "xtask check --fast --advisories", "xtask storm rain", "xtask scribble --seed x"]
        {
            assert!(Cli::try_parse_from(words.split(' ')).is_err(), "{words}");
        }
    }
}
