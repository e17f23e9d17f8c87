//! The command line of the coordinator: the only place in the crate that prints or reads arguments.

mod backup;
mod cancel;
mod capacity;
mod choose;
mod clean;
mod completions;
pub mod console;
mod dead_letters;
mod events;
pub mod fit;
mod floor;
mod json;
pub mod limits;
mod number;
pub mod outlet;
pub(crate) mod policy;
mod print;
mod restore;
mod run;
mod scale;
mod shown;
pub mod signals;
mod status;
mod stop;
mod time;
mod top;
mod up;

use crate::bus::directory::{Found, SHM, find};
use crate::os::mounts::elsewhere;
pub use crate::process::inherited::settle;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Everything that was asked for was done.
const OK: u8 = 0;
/// Something that was asked for failed.
const FAILED: u8 = 10;
/// This host cannot do it.
const UNFIT: u8 = 20;
/// A signal or the end of its owner stopped it before it was done.
const INTERRUPTED: u8 = 21;
/// The command line or a list of tasks is wrong.
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
    /// Send tasks to a running fleet, and wait for their outcomes
    Submit(run::submit::Args),
    /// Start a fleet and keep it running until it is stopped
    Up(up::Args),
    /// Show the processes of each fleet, its tasks, and what is stuck
    Status(status::Args),
    /// Show the status of a fleet live
    Top(top::Args),
    /// List what happened lately, one line per event
    Events(events::Args),
    /// List the tasks that failed for good, and why; requeue or drop them
    DeadLetters(dead_letters::Args),
    /// Cancel tasks that are queued or in hand
    Cancel(cancel::Args),
    /// Change the number of coordinators and workers, and wait until it is reached
    Scale(scale::Args),
    /// Show how large a fleet can be on this host, and which limit it meets first
    Capacity(capacity::Args),
    /// Measure as many bare forks as a fleet has processes
    #[command(hide = true)]
    Floor(floor::Args),
    /// Save the open tasks and unreported answers of a running fleet to a file
    Backup(backup::Args),
    /// Start a fleet from a backup or a journal, and do the tasks that are open in it
    Restore(restore::Args),
    /// Stop a fleet
    Stop(stop::Args),
    /// Remove what dead fleets have left behind
    Clean(clean::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Directory in which fleets keep their shared memory
    #[arg(long, value_name = "DIR", default_value = SHM, env = "COORDINATOR_SHM_DIR")]
    shm_dir: PathBuf,
}

impl Place {
    /// Every fleet there, and those of runs that have another file system mounted in that place. Errors are already printed.
    fn fleets(&self) -> Result<Vec<Found>, u8> {
        let mut fleets = find(&self.shm_dir).map_err(|error| {
            print::error(
                format!("{}: {error}", self.shm_dir.display()),
                "`--shm-dir` must be an existing directory that you may read; by default it is /dev/shm",
            );
            UNFIT
        })?;
        // What cannot be read there has ended since, or is another user's.
        fleets.extend(elsewhere(&self.shm_dir).iter().filter_map(|there| find(there).ok()).flatten());
        Ok(fleets)
    }
}

/// Runs the command line; returns the exit code (`docs/exit-codes.md`). `program` holds the arguments with which this
/// program is started again as a supervisor: none, or `coordinator` where it is a part of another program.
pub fn main(arguments: impl IntoIterator<Item = OsString>, program: &[&str]) -> u8 {
    settle();
    if let Err(limits::TooLow { what, remedy }) = limits::check(0) {
        print::error(what, remedy);
        return UNFIT;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            return USAGE;
        }
        Err(help) => return outlet::print_help(&help).map_or_else(|lost| print::unwritable(&lost), |()| OK),
    };
    let status = match limits::allow(&cli.verb) {
        Ok(()) => dispatch(cli.verb, program),
        Err(status) => status,
    };
    console::finish();
    status
}

/// The long options that `verb` has, without their dashes and in the order of its help; none if there is no such verb.
pub fn options(verb: &str) -> Vec<String> {
    let cli = Cli::command();
    let Some(verb) = cli.find_subcommand(verb) else { return Vec::new() };
    let shown = verb.get_arguments().filter(|argument| !argument.is_hide_set());
    shown.filter_map(|argument| argument.get_long()).map(str::to_owned).collect()
}

fn dispatch(verb: Verb, program: &[&str]) -> u8 {
    match verb {
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
        Verb::Floor(args) => floor::main(&args),
        Verb::Backup(args) => backup::main(&args),
        Verb::Restore(args) => restore::main(&args, program),
        Verb::Stop(args) => stop::main(&args),
        Verb::Clean(args) => clean::main(&args),
        Verb::Completions(args) => completions::main(&args),
    }
}
