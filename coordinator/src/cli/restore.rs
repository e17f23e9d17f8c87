//! `coordinator restore`: a fleet like the one that was, and everything that it had not done.

mod work;

use super::run::results::Results;
use super::run::{STOPS, watch_signals};
use super::{FAILED, INTERRUPTED, OK, Place, UNFIT, USAGE, complain, policy, warn};
use crate::bus::directory::is_id;
use crate::bus::sync::Ordering;
use crate::client::Client;
use crate::client::launch::{Fleet, LaunchError, Program, launch};
use crate::config::{FleetShape, Policy};
use crate::snapshot::file::kind_of;
use crate::snapshot::record::{DeadLetter, Header, Kind, OpenTask, Untold};
use crate::snapshot::{Entry, Journal, SnapshotError, read_snapshot};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator restore demo.backup --results out.jsonl",
    after_help = "Answers that were not told are told; every open task is done once more, with all its attempts and its \
                  whole time; dead letters are kept in a file beside the results. The ends of a journal's tasks are \
                  noted in it, so that it can be restored again after another crash."
)]
pub(super) struct Args {
    /// A backup, or a journal
    file: PathBuf,
    /// Name of the new fleet; by default that of the old one
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A line of JSON for each result, into this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Do the tasks of dead letters once more as well
    #[arg(long)]
    retry_dead_letters: bool,
    /// Keep the fleet when all is done, until it is told to stop
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    place: Place,
}

/// What a file asks for.
struct Load {
    header: Header,
    /// With the entry of a journal that it is in.
    open: Vec<(Option<Entry>, OpenTask)>,
    untold: Vec<Untold>,
    dead: Vec<DeadLetter>,
    journal: Option<Journal>,
}

pub(super) fn main(args: &Args, program: &[&str]) -> u8 {
    let begun = Instant::now();
    let mut load = match load(&args.file) {
        Ok(load) => load,
        Err(error) => {
            let hint = error.hint();
            complain(error, hint);
            return USAGE;
        }
    };
    let id = args.name.clone().unwrap_or_else(|| load.header.fleet.clone());
    if !is_id(&id) {
        complain(
            format!("`{id}` is no name for a fleet"),
            "use letters, digits, `_` and `-`; --name gives another",
        );
        return USAGE;
    }
    let (shape, policy) = match topology(&load.header) {
        Ok(topology) => topology,
        Err(status) => return status,
    };
    if let Err(errno) = watch_signals() {
        complain(format!("cannot watch for signals: {errno}"), "");
        return UNFIT;
    }
    let mut results = match results(args.results.as_deref()) {
        Ok(results) => results,
        Err(status) => return status,
    };
    if let Err(status) = letters(args, &mut load) {
        return status;
    }
    let errors = std::env::temp_dir().join(format!("coordinator-{id}-{}.stderr", std::process::id()));
    let stopped = || STOPS.load(Ordering::Relaxed) > 0;
    let launched =
        launch(&Program::own(program), &args.place.shm_dir, &id, (&shape, &policy), &errors, stopped);
    let mut fleet = match launched {
        Ok(fleet) => fleet,
        Err(error) => {
            let _ = std::fs::remove_file(&errors);
            if let Some(made) = &args.results {
                // Nothing is in it, and it would be in the way of the next attempt.
                let _ = std::fs::remove_file(made);
            }
            let status = if matches!(error, LaunchError::Cancelled) { INTERRUPTED } else { UNFIT };
            complain(error, "--name gives the fleet another name; nothing of the file was used");
            return status;
        }
    };
    super::tell(format_args!("{id} is up after {:.2} s", begun.elapsed().as_secs_f64()));
    let mut status = match Client::attach(fleet.dir()) {
        Ok(client) => work::all(client, &mut load, &mut results, begun),
        Err(error) => {
            complain(error, "");
            UNFIT
        }
    };
    if args.keep && matches!(status, OK | FAILED) {
        keep(&mut fleet, &id);
    }
    let down = if STOPS.load(Ordering::Relaxed) > 1 { fleet.kill() } else { fleet.stop() };
    let _ = std::fs::remove_file(&errors);
    if let Some(how) = down.how
        && !args.keep
    {
        complain(how, "");
        status = if status == OK { FAILED } else { status };
    }
    status
}

fn load(path: &Path) -> Result<Load, SnapshotError> {
    match kind_of(path)? {
        Kind::Backup => {
            let found = read_snapshot(path)?;
            let open = found.tasks.into_iter().map(|task| (None, task)).collect();
            Ok(Load { header: found.header, open, untold: found.untold, dead: found.dead, journal: None })
        }
        Kind::Journal => {
            let (journal, found) = Journal::open(path)?;
            if let Some(torn) = found.torn {
                warn(format!(
                    "{}: cut off {} bytes from line {} on, which its writer had not brought to their end",
                    path.display(),
                    torn.bytes,
                    torn.line
                ));
            }
            let open = found.open.into_iter().map(|(entry, task)| (Some(entry), task)).collect();
            Ok(Load {
                header: found.header,
                open,
                untold: Vec::new(),
                dead: Vec::new(),
                journal: Some(journal),
            })
        }
    }
}

#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Options {
    #[command(flatten)]
    policy: policy::Args,
}

/// As the fleet was started, with as many processes as it had.
fn topology(header: &Header) -> Result<(FleetShape, Policy), u8> {
    let shape = header.shape.fleet_shape().map_err(|error| {
        complain(format!("the file's fleet cannot be: {error}"), "it was written by another program");
        USAGE
    })?;
    let mut policy = if let Ok(options) = Options::try_parse_from(&header.options) {
        options.policy.policy()
    } else {
        warn(
            "the file does not say how its fleet was started; deaths, hangs and load are handled as by default",
        );
        Policy::default()
    };
    if header.coordinators > 0 {
        policy.coordinators.start = header.coordinators;
        policy.coordinators.min = policy.coordinators.min.min(header.coordinators);
    }
    if header.workers > 0 {
        policy.workers.start = header.workers;
        policy.workers.min = policy.workers.min.min(header.workers);
    }
    Ok((shape, policy))
}

/// A new file. What is wrong has been said.
fn results(path: Option<&Path>) -> Result<Results, u8> {
    Results::create(path).map_err(|(what, hint)| {
        complain(what, hint);
        USAGE
    })
}

fn unwritten(error: String) -> u8 {
    complain(error, "");
    UNFIT
}

/// Dead letters become tasks, or a file beside the results.
fn letters(args: &Args, load: &mut Load) -> Result<(), u8> {
    if load.dead.is_empty() {
        return Ok(());
    }
    if args.retry_dead_letters {
        load.open.extend(load.dead.drain(..).map(|letter| (None, letter.task)));
        return Ok(());
    }
    let beside = args.results.as_ref().unwrap_or(&args.file);
    let mut name = beside.file_name().unwrap_or_default().to_owned();
    name.push(".dead-letters");
    let path = beside.with_file_name(name);
    let mut kept = results(Some(&path))?;
    for letter in &load.dead {
        let mut line = serde_json::to_vec(letter).expect("letters are JSON, and memory takes all bytes");
        line.push(b'\n');
        kept.write(&line).map_err(unwritten)?;
    }
    warn(format!(
        "{} dead letters are not done again; they are in {} (--retry-dead-letters does them)",
        load.dead.len(),
        path.display()
    ));
    Ok(())
}

fn keep(fleet: &mut Fleet, id: &str) {
    super::tell(format_args!("{id} stays until `coordinator stop {id}`, or a signal"));
    while STOPS.load(Ordering::Relaxed) == 0 && fleet.poll_ended().is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
}
