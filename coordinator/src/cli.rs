//! The command line of the coordinator: the only place in the crate that prints or reads arguments.
#![expect(clippy::print_stderr, reason = "this is where the program talks")]

mod backup;
mod cancel;
mod capacity;
mod choose;
mod clean;
mod completions;
mod dead_letters;
mod events;
pub(crate) mod policy;
mod restore;
mod run;
mod scale;
mod shown;
mod status;
mod stop;
mod top;
mod up;

use crate::bus::directory::{Found, SHM, find};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// Everything went as asked.
const OK: u8 = 0;
/// It ran, and something that was asked for failed.
const FAILED: u8 = 10;
/// This host cannot run it.
const UNFIT: u8 = 20;
/// Somebody stopped it half-way.
const INTERRUPTED: u8 = 21;
/// The command line makes no sense.
const USAGE: u8 = 64;

/// Runs fleets of agent processes on one machine over a shared-memory bus.
#[derive(Debug, Parser)]
#[command(
    name = "coordinator",
    version,
    before_help = "Example: coordinator run --agents 50 -- sh -c 'echo agent {}'",
    subcommand_required = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a command once for each agent or each input, many at a time
    Run(run::Args),
    /// Give tasks to a fleet that is there, and wait for what becomes of them
    Submit(run::submit::Args),
    /// Start a fleet and keep it until it is told to stop
    Up(up::Args),
    /// Tell who is there and what is in flight
    Status(status::Args),
    /// Show the same live
    Top(top::Args),
    /// Tell what happened lately, one line an event
    Events(events::Args),
    /// List the tasks that were given up, and why; try them again, or forget them
    DeadLetters(dead_letters::Args),
    /// Give tasks up that are queued or in hand
    Cancel(cancel::Args),
    /// Say how many coordinators and workers there shall be, and wait until there are
    Scale(scale::Args),
    /// Tell how large a fleet this host has room for, and what ends first
    Capacity(capacity::Args),
    /// Write down what a running fleet has to do, and what it has not told yet
    Backup(backup::Args),
    /// Start a fleet from a backup or a journal, and do what was not done
    Restore(restore::Args),
    /// End a fleet
    Stop(stop::Args),
    /// Remove what fleets have left behind whose supervisor is proven dead
    Clean(clean::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Where fleets keep their shared memory
    #[arg(long, value_name = "DIR", default_value = SHM, env = "COORDINATOR_SHM_DIR")]
    shm_dir: PathBuf,
}

impl Place {
    /// Every fleet there; what is wrong has been said.
    fn fleets(&self) -> Result<Vec<Found>, u8> {
        find(&self.shm_dir).map_err(|error| {
            complain(format!("{}: {error}", self.shm_dir.display()), "is it a directory you may read?");
            UNFIT
        })
    }
}

/// `program` is how this program is to be called again as a supervisor: nothing, or `coordinator`
/// where it is a part of another one. Returns the exit code: `docs/exit-codes.md`.
pub fn main(arguments: impl IntoIterator<Item = OsString>, program: &[&str]) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { OK };
        }
    };
    match cli.verb {
        Verb::Run(args) => run::main(&args, program),
        Verb::Submit(args) => run::submit::main(&args),
        Verb::Up(args) => up::main(&args),
        Verb::Status(args) => status::main(&args),
        Verb::Top(args) => top::main(&args),
        Verb::Events(args) => events::main(&args),
        Verb::DeadLetters(args) => dead_letters::main(&args),
        Verb::Cancel(args) => cancel::main(&args),
        Verb::Scale(args) => scale::main(&args),
        Verb::Capacity(args) => capacity::main(&args),
        Verb::Backup(args) => backup::main(&args),
        Verb::Restore(args) => restore::main(&args, program),
        Verb::Stop(args) => stop::main(&args),
        Verb::Clean(args) => clean::main(&args),
        Verb::Completions(args) => completions::main(&args),
    }
}

/// Hands data to stdout. A reader that has gone away (`| head`) has what it wants; anything else that
/// keeps the data from getting there is an error, since the data is what was asked for.
fn hand_out(bytes: &[u8]) -> Result<(), u8> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(format!("cannot write to standard output: {error}"), "");
            Err(UNFIT)
        }
        _ => Ok(()),
    }
}

/// Says how far it is.
fn tell(what: impl std::fmt::Display) {
    eprintln!("{what}");
}

/// Says what is worth knowing and no reason to stop.
fn warn(what: impl std::fmt::Display) {
    eprintln!("warning: {what}");
}

/// As [`warn`], for those who pass it on.
fn warn_of(what: &str) {
    warn(what);
}

/// Says what went wrong, and what to do where there is something.
fn complain(what: impl std::fmt::Display, hint: &str) {
    eprintln!("error: {what}");
    if !hint.is_empty() {
        eprintln!("hint: {hint}");
    }
}
