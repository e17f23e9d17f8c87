//! `coordinator submit`: tasks for a fleet that is already running, and keeps running.

use super::super::choose::fleet;
use super::super::number::number;
use super::super::outlet;
use super::args::{HELP, How, Protocol, Where, Which};
use super::task::{Doer, OwnStop};
use super::template::Template;
use super::{FAILED, Place, UNFIT, USAGE, print};
use super::{FleetOf, begin, dry_run, keep, prepare, watch_signals, work};
use crate::bus::error::BusError;
use crate::client::{Client, TaskId};
use crate::snapshot::clients::Clients;
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator up --name demo --workers 50 &\n         \
                   coordinator submit demo --tasks tasks.jsonl --results out.jsonl",
    after_help = HELP
)]
pub(in crate::cli) struct Args {
    /// Name of the fleet, as `coordinator status` shows it
    name: String,
    /// Tasks in the fleet at a time; by default, and at most, as many as it has room for workers
    #[arg(short = 'j', long, value_name = "N", value_parser = number(1, u32::MAX), allow_negative_numbers = true)]
    agents: Option<u32>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    place_of: Where,
    #[command(flatten)]
    place: Place,
    /// The command, with placeholders for what differs between tasks; by default each line of --inputs is one. It runs in
    /// the directory of `submit`, with the environment of the fleet
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(in crate::cli) fn main(args: &Args) -> u8 {
    match submit(args) {
        Ok(status) | Err(status) => status,
    }
}

fn submit(args: &Args) -> Result<u8, u8> {
    // Of what a person reads, nothing is waited for, from the first warning on.
    outlet::hurry();
    let Some(from) = args.which.from() else {
        print::error("there is nothing to submit", "give a file with `--inputs` or `--tasks`");
        return Err(USAGE);
    };
    let command = match args.which.protocol {
        Protocol::Command => Doer::Command(Template::new(&args.command)),
        Protocol::Jsonl if args.command.is_empty() => Doer::Agent(Vec::new()),
        Protocol::Jsonl => {
            print::error(
                "a command cannot be given with --protocol jsonl",
                "`coordinator up --agent` sets the agent program of a fleet",
            );
            return Err(USAGE);
        }
    };
    let stop = own_stop(args)?;
    let prepared = prepare((&args.which, &args.how, &args.place_of), &from, command, (Some(here()?), stop))?;
    if args.which.dry_run {
        return Ok(dry_run(prepared));
    }
    let facts = prepared.list.facts.clone();
    let found = fleet(&args.place, Some(&args.name))?;
    let mut client = Client::attach(&found.path).map_err(|error| {
        let taken = matches!(error, BusError::EndTaken { .. });
        print::error(
            error,
            if taken { "a fleet has one client at a time: wait until that one has finished" } else { "" },
        );
        if taken { FAILED } else { UNFIT }
    })?;
    let shape = *client.shape();
    if facts.largest > shape.payload_max() as usize {
        let (largest, most) = (facts.largest, shape.payload_max());
        print::error(
            format!("a task has {largest} bytes, and the fleet takes at most {most}"),
            "`coordinator up --payload-max` starts a fleet for larger tasks",
        );
        return Err(USAGE);
    }
    let places = shape.coordinators() * shape.workers_per_coordinator();
    let window = args.agents.unwrap_or(places).min(places);
    let mut work = begin(prepared, window, FleetOf::Others, true)?;
    let (spooled, left) = (client.spooled(), client.left());
    let mut clients = Clients::open(&found.path, &args.name, &left).map_err(|error| {
        print::error(error, "`coordinator backup` saves what the fleet holds; without this file, answers to earlier clients are given up");
        UNFIT
    })?;
    clients.settle(|id, listed| work.before.has(id, listed));
    forget(&spooled, |id| left.contains(&id) || clients.holds(id));
    work.clients = Some(clients);
    if facts.wanted == 0 && !facts.open {
        return Ok(work.nothing());
    }
    watch_signals()?;
    work.journal = keep(&args.place_of, &found.path, &args.name, &work.results)?;
    Ok(work::all(work, &mut client))
}

/// Removes output that no answer names any more.
fn forget(spooled: &[(TaskId, PathBuf)], is_named: impl Fn(TaskId) -> bool) {
    for (_, file) in spooled.iter().filter(|(id, _)| !is_named(*id)) {
        // It goes with the fleet at the latest.
        let _ = std::fs::remove_file(file);
    }
}

/// Where the tasks are to run. Errors are already printed.
fn here() -> Result<String, u8> {
    let refused = |why: String| {
        print::error(
            format!("the tasks are to run in the directory of `submit`, which cannot be named: {why}"),
            "change to a directory that exists and whose name is UTF-8",
        );
        USAGE
    };
    let here = std::env::current_dir().map_err(|error| refused(error.to_string()))?;
    here.into_os_string().into_string().map_err(|name| refused(format!("{} is not UTF-8", name.display())))
}

/// How the tasks are ended before their time, if that is not left to the fleet.
fn own_stop(args: &Args) -> Result<OwnStop, u8> {
    let stop = OwnStop { signal: args.how.stop.stop_signal, grace: args.how.stop.grace };
    if args.which.protocol == Protocol::Jsonl && stop != OwnStop::default() {
        print::error(
            "--stop-signal and --grace cannot be used with --protocol jsonl",
            "`coordinator up` has the same options for the agent program of a fleet",
        );
        return Err(USAGE);
    }
    Ok(stop)
}
