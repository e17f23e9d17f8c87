//! `coordinator restore`: starts a fleet like the one that was saved, and does what that one had not done.

mod dead_letters;
mod made;
mod name;
mod work;

use super::run::distinct::is_same;
use super::run::kept::settle;
use super::run::results::{Done, Results, Resume, Unusable};
use super::run::{stops, watch_signals};
use super::{FAILED, INTERRUPTED, OK, Place, UNFIT, USAGE, policy, print};
use crate::bus::directory::is_id;
use crate::client::Client;
use crate::client::launch::{Fleet, LaunchError, Program, launch};
use crate::config::{FleetShape, Policy};
use crate::snapshot::file::kind_of;
use crate::snapshot::record::{DeadLetter, Header, Kind, Listed, OpenTask, Untold};
use crate::snapshot::{Ended, Entry, Journal, Outcome, SnapshotError, output, read_snapshot};
use crate::wire::TaskId;
use clap::Parser;
use made::Made;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator restore demo.backup --results out.jsonl",
    after_help = "Unreported answers are reported first. Then every open task is done once more, with all its attempts and \
                  its full time. Dead letters are kept in a file beside the results. Tasks of a journal that have ended \
                  are noted in it, so that it can be restored again after another crash."
)]
pub(super) struct Args {
    /// Backup or journal to restore
    file: PathBuf,
    /// Name of the new fleet; by default the name of the saved one
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// New file that gets a line of JSON for each result, instead of standard output
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Add to results that exist already, such as those of an interrupted restore: what is in there is not done again
    #[arg(long, requires = "results")]
    resume: bool,
    /// Do the tasks of dead letters once more, too
    #[arg(long)]
    retry_dead_letters: bool,
    /// Keep the fleet running when all tasks are done, until it is stopped
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    place: Place,
}

/// What a file holds.
struct Load {
    header: Header,
    /// Each with its entry in the journal, if it is from one.
    open: Vec<(Option<Entry>, OpenTask)>,
    /// The same, of answers.
    untold: Vec<(Option<Entry>, Untold)>,
    dead: Vec<DeadLetter>,
    journal: Option<Journal>,
}

pub(super) fn main(args: &Args, program: &[&str]) -> u8 {
    let begun = Instant::now();
    // Of what a person reads, nothing is waited for, from the first warning on.
    super::outlet::hurry();
    let mut load = match load_other(args) {
        Ok(load) => load,
        Err(status) => return status,
    };
    let id = args.name.clone().unwrap_or_else(|| load.header.fleet.clone());
    if !is_id(&id) {
        print::error(
            format!("`{id}` is not a valid fleet name"),
            "a name has letters, digits, `_` and `-`; `--name` gives the fleet another one",
        );
        return USAGE;
    }
    let (shape, policy) = match topology(&load.header) {
        Ok(topology) => topology,
        Err(status) => return status,
    };
    if let Err(status) = watch_signals() {
        return status;
    }
    if let Err(status) = name::wait_until_free(&args.place.shm_dir, &id) {
        return status;
    }
    let mut made = Made::default();
    let opened = open(args, &mut load, &mut made);
    let mut results =
        match opened.and_then(|results| dead_letters::keep(args, &mut load, &mut made).map(|()| results)) {
            Ok(results) => results,
            Err(status) => return status,
        };
    let stopped = || stops() > 0;
    let launched = launch(&Program::own(program), &args.place.shm_dir, &id, (&shape, &policy), None, stopped);
    let fleet = match launched {
        Ok(fleet) => fleet,
        Err(error) => return refused(&error),
    };
    made.keep();
    print::report(format_args!("{id} is ready after {:.2} s", begun.elapsed().as_secs_f64()));
    let status = match Client::attach(fleet.dir()) {
        Ok(client) => match work::all(client, &mut load, &mut results, begun) {
            // A signal came, and what holds up the results is their reader.
            UNFIT if results.is_stalled() => INTERRUPTED,
            status => status,
        },
        Err(error) => {
            print::error(error, "");
            UNFIT
        }
    };
    stop(args, fleet, &id, status)
}

const UNCHANGED: &str = "the file was not changed";

/// Prints why the fleet did not start; the exit status.
fn refused(error: &LaunchError) -> u8 {
    let (status, hint) = match error {
        LaunchError::Cancelled => (INTERRUPTED, UNCHANGED),
        // Another fleet has taken the name meanwhile: its supervisor says so.
        LaunchError::Failed { status: Some(ended), .. } if ended.code() == Some(USAGE.into()) => {
            (USAGE, name::HINT)
        }
        LaunchError::Spawn(_) | LaunchError::Failed { .. } => (UNFIT, UNCHANGED),
    };
    print::error(error, hint);
    status
}

/// Stops the fleet, after a while if it is to be kept; the exit status.
fn stop(args: &Args, mut fleet: Fleet, id: &str, status: u8) -> u8 {
    if args.keep && matches!(status, OK | FAILED) {
        keep(&mut fleet, id);
    }
    let stopped = if stops() > 1 { fleet.kill() } else { fleet.stop() };
    for stranger in &stopped.strangers {
        print::warn(stranger);
    }
    if let Some(how) = stopped.how
        && !args.keep
    {
        print::error(how, "");
        return if status == OK { FAILED } else { status };
    }
    status
}

/// Reads the file to restore, which must not be the one of the results. Errors are already printed.
fn load_other(args: &Args) -> Result<Load, u8> {
    if args.results.as_ref().is_some_and(|results| is_same(results, &args.file)) {
        print::error(
            format!("--results is the file to restore: {}", args.file.display()),
            "give the results a file of their own",
        );
        return Err(USAGE);
    }
    load(&args.file).map_err(|error| {
        let hint = error.hint();
        print::error(error, hint);
        USAGE
    })
}

fn load(path: &Path) -> Result<Load, SnapshotError> {
    match kind_of(path)? {
        Kind::Backup => {
            let mut found = read_snapshot(path)?;
            output::find(path, &mut found.untold);
            let open = found.tasks.into_iter().map(|task| (None, task)).collect();
            let untold = found.untold.into_iter().map(|one| (None, one)).collect();
            Ok(Load { header: found.header, open, untold, dead: found.dead, journal: None })
        }
        Kind::Journal => {
            let (mut journal, mut found) = Journal::open(path)?;
            if let Some(torn) = found.torn {
                print::warn(format!(
                    "{}: removed {} bytes from line {} on: an incomplete write",
                    path.display(),
                    torn.bytes,
                    torn.line
                ));
            }
            settle(&mut journal, &mut found);
            let (mut open, mut untold) = (Vec::new(), Vec::new());
            for (entry, task) in found.open {
                match found.outcomes.remove(&entry) {
                    Some(outcome) => untold.push((Some(entry), untold_of(task, outcome))),
                    None => open.push((Some(entry), task)),
                }
            }
            Ok(Load { header: found.header, open, untold, dead: Vec::new(), journal: Some(journal) })
        }
    }
}

fn untold_of(task: OpenTask, outcome: Outcome) -> Untold {
    let OpenTask { id, kind, name, listed, .. } = task;
    let Outcome { coordinator, answer } = outcome;
    Untold { id, coordinator, kind: Some(kind), name, listed, answer }
}

/// Opens the results, leaves out what they have already, and notes in the journal where they are. Errors are already
/// printed.
fn open(args: &Args, load: &mut Load, made: &mut Made) -> Result<Results, u8> {
    let results = match &args.results {
        Some(path) if args.resume => {
            let opened = made.by(path, || Results::open(path, Resume::Add, print::warn));
            let (results, done) = opened.map_err(unusable)?;
            leave_out(load, &done);
            results
        }
        Some(path) => made.by(path, || Results::create(Some(path))).map_err(unusable)?,
        None => Results::create(None).map_err(unusable)?,
    };
    if let (Some(journal), Some(path)) = (&mut load.journal, results.regular()) {
        let noted = std::path::absolute(path)
            .map_err(|error| error.to_string())
            .and_then(|path| journal.results(&path).map_err(|error| error.to_string()))
            .and_then(|()| journal.commit().map_err(|error| error.to_string()));
        noted.map_err(unwritten)?;
    }
    Ok(results)
}

/// Leaves out what `done` has a result of. A backup is of one fleet: there, the id of a task is as good as a name.
fn leave_out(load: &mut Load, done: &Done) {
    let is_backup = load.journal.is_none();
    let has = |id: &TaskId, name: Option<&str>, listed: Option<&Listed>| match (name, listed) {
        (Some(name), Some(listed)) => done.has(name, listed),
        (None, None) => is_backup && done.ends(&id.to_string()) > 0,
        _ => false,
    };
    let mut ended = Vec::new();
    load.open.retain(|(entry, task)| {
        let is_done = has(&task.id, task.name.as_deref(), task.listed.as_ref());
        ended.extend(entry.filter(|_| is_done));
        !is_done
    });
    load.untold.retain(|(entry, one)| {
        let is_done = has(&one.id, one.name.as_deref(), one.listed.as_ref());
        ended.extend(entry.filter(|_| is_done));
        !is_done
    });
    let Some(journal) = &mut load.journal else { return };
    for entry in ended {
        journal.ended(entry, Ended::Answered);
    }
}

#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Options {
    #[command(flatten)]
    policy: policy::Args,
}

/// The shape and policy of the saved fleet, with as many processes as it had.
fn topology(header: &Header) -> Result<(FleetShape, Policy), u8> {
    let shape = header.shape.fleet_shape().map_err(|error| {
        print::error(
            format!("the file describes a fleet that cannot exist: {error}"),
            "the file was written by another program",
        );
        USAGE
    })?;
    let mut policy = if let Ok(options) = Options::try_parse_from(&header.options) {
        options.policy.policy()
    } else {
        print::warn(
            "the file does not hold the options of its fleet; the defaults apply to deaths, hangs and load",
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

/// Prints why a file cannot be used; the exit status.
fn unusable(unusable: Unusable) -> u8 {
    print::error(unusable.what, unusable.hint);
    if unusable.usage { USAGE } else { UNFIT }
}

fn unwritten(error: String) -> u8 {
    print::error(error, "");
    UNFIT
}

fn keep(fleet: &mut Fleet, id: &str) {
    print::report(format_args!("{id} keeps running until `coordinator stop {id}`, or a signal"));
    while stops() == 0 && fleet.poll_ended().is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
}
