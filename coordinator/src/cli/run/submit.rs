//! `coordinator submit`: tasks for a fleet that is there, and stays.

use super::super::choose::fleet;
use super::args::{HELP, How, Protocol, Where, Which};
use super::task::Doer;
use super::template::Template;
use super::{FAILED, Place, UNFIT, USAGE, complain};
use super::{Host, begin, dry_run, keep, prepare, watch_signals, work};
use crate::bus::error::BusError;
use crate::client::Client;
use std::ffi::OsString;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator up --name demo --workers 50 &\n         \
                   coordinator submit demo --tasks tasks.jsonl --results out.jsonl",
    after_help = HELP
)]
pub(in crate::cli) struct Args {
    /// The fleet, as `coordinator status` names it
    name: String,
    /// Tasks in the fleet at a time; by default, and at most, as many as it has room for workers
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    agents: Option<u32>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    place_of: Where,
    #[command(flatten)]
    place: Place,
    /// The command, with places for what differs; by default each line of --inputs is one. It runs where `submit` does,
    /// with the environment of the fleet
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(in crate::cli) fn main(args: &Args) -> u8 {
    match submit(args) {
        Ok(status) | Err(status) => status,
    }
}

fn submit(args: &Args) -> Result<u8, u8> {
    let Some(from) = args.which.from() else {
        complain("there is nothing to submit", "give --inputs or --tasks a file");
        return Err(USAGE);
    };
    let command = match args.which.protocol {
        Protocol::Command => Doer::Command(Template::new(&args.command)),
        Protocol::Jsonl if args.command.is_empty() => Doer::Agent(Vec::new()),
        Protocol::Jsonl => {
            complain("the agents of a fleet are its own", "`coordinator up --agent` says what they run");
            return Err(USAGE);
        }
    };
    let here = std::env::current_dir().ok().and_then(|here| here.into_os_string().into_string().ok());
    let prepared = prepare((&args.which, &args.how, &args.place_of), &from, command, here)?;
    if args.which.dry_run {
        return Ok(dry_run(prepared));
    }
    let facts = prepared.list.facts.clone();
    let found = fleet(&args.place, Some(&args.name))?;
    let mut client = Client::attach(&found.path).map_err(|error| {
        let taken = matches!(error, BusError::EndTaken { .. });
        complain(
            error,
            if taken { "a fleet has one client at a time: wait until that one has done" } else { "" },
        );
        if taken { FAILED } else { UNFIT }
    })?;
    let shape = *client.shape();
    if facts.largest > shape.payload_max() as usize {
        let (largest, most) = (facts.largest, shape.payload_max());
        complain(
            format!("a task has {largest} bytes, and the fleet was made for {most}"),
            "`coordinator up --payload-max` makes one for larger tasks",
        );
        return Err(USAGE);
    }
    let places = shape.coordinators() * shape.workers_per_coordinator();
    let window = args.agents.unwrap_or(places).min(places);
    let mut work = begin(prepared, window, Host::Other)?;
    if facts.wanted == 0 && !facts.open {
        return Ok(work.nothing());
    }
    watch_signals().map_err(|errno| {
        complain(format!("cannot watch for signals: {errno}"), "");
        UNFIT
    })?;
    work.journal = keep(&args.place_of, &found.path, &args.name)?;
    Ok(work::all(work, &mut client))
}
