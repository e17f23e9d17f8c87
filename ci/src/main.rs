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
    let done = Workspace::find().and_then(|workspace| match verb {
        Verb::Check(args) => check::check(&workspace, &args),
        Verb::Full(args) => full::full(&workspace, &args),
        Verb::CiInChroot(args) => chroot::chroot(&workspace, &args),
        Verb::Tidy(args) => tidy::tidy(&workspace, &args),
        Verb::Figures => tidy::figures(&workspace),
        Verb::Schema(args) => schema::schema(&workspace, &args),
        Verb::Coverage(args) => coverage::coverage(&workspace, &args),
        Verb::Mutants(args) => mutants::mutants(&workspace, &args),
        Verb::Fuzz(args) => fuzz::fuzz(&workspace, &args),
        Verb::Storm(args) => storm::storm(&workspace, &args),
        Verb::Scribble(args) => scribble::scribble(&workspace, &args),
        Verb::Dist(args) => dist::dist(&workspace, &args),
        Verb::Sanitize(args) => sanitize::sanitize(&workspace, &args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
