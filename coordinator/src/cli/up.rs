//! `coordinator up`: the supervisor itself, in the foreground.

use super::{FAILED, INTERRUPTED, OK, Place, UNFIT, USAGE, complain};
use crate::bus::directory::{fleet_dir, is_id};
use crate::bus::error::BusError;
use crate::os::clock::unix_ns;
use crate::os::identity::Identity;
use crate::plan::capacity::{Capacity, Limit};
use crate::process::supervisor::{Ending, Launch, SuperviseError, run};
use std::io::Write;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator up --name demo --coordinators 2 --workers 10")]
pub(super) struct Args {
    /// Name of the fleet; by default one is made up
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    policy: super::policy::Args,
    /// Only tell what it costs, and whether this host has room for it
    #[arg(long)]
    dry_run: bool,
    /// A mistake that every process of the fleet makes, for the tests of the tests
    #[cfg(feature = "kill-points")]
    #[arg(long, hide = true, value_parser = bug)]
    plant: Option<crate::bus::sync::Bug>,
    /// The fleet ends when this process does (pid and start time in clock ticks)
    #[arg(long, value_name = "PID:START", value_parser = owner)]
    owner: Option<Identity>,
    #[command(flatten)]
    place: Place,
}

fn owner(text: &str) -> Result<Identity, String> {
    let wrong = || "expected a pid and a start time, as in 1234:567890".to_owned();
    let (pid, start) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Identity { pid: pid.parse().map_err(|_| wrong())?, start_ticks: start.parse().map_err(|_| wrong())? })
}

#[cfg(feature = "kill-points")]
fn bug(name: &str) -> Result<crate::bus::sync::Bug, String> {
    use crate::bus::sync::Bug;
    [Bug::FreeBeforeTold, Bug::AcknowledgeBeforeTable, Bug::LeasesBeforeAnswers]
        .into_iter()
        .find(|bug| format!("{bug:?}") == name)
        .ok_or_else(|| format!("a fleet makes no mistake `{name}`"))
}

/// Unique enough for a name: a clash is refused, not overwritten.
pub(super) fn made_up_name() -> String {
    format!("{:x}-{:x}", std::process::id(), unix_ns() / 1_000_000)
}

pub(super) fn main(args: &Args) -> u8 {
    let id = args.name.clone().unwrap_or_else(made_up_name);
    if !is_id(&id) {
        complain(format!("`{id}` is no name for a fleet"), "use letters, digits, `_` and `-`");
        return USAGE;
    }
    if let Err(error) = args.policy.check() {
        complain(error, "");
        return USAGE;
    }
    let shape = match args.policy.shape() {
        Ok(shape) => shape,
        Err(error) => {
            complain(error, "");
            return USAGE;
        }
    };
    if args.dry_run {
        return super::capacity::dry_run(&shape, &args.place.shm_dir);
    }
    let room = super::capacity::of(&shape, &args.place.shm_dir);
    // Of all else, what is there is known exactly when it is taken, and nobody is disturbed by the attempt.
    let of_processes = matches!(room.limited_by, Limit::Pids(_) | Limit::Processes(_));
    if of_processes && !args.policy.is_partial() && room.workers < args.policy.workers_at_start() {
        refuse(args.policy.workers_at_start(), &room);
        return UNFIT;
    }
    #[cfg(feature = "kill-points")]
    crate::bus::sync::counted::plant(args.plant);
    let launch = Launch {
        root: args.place.shm_dir.clone(),
        id: id.clone(),
        shape,
        policy: args.policy.policy(),
        owner: args.owner,
        report: super::warn_of,
    };
    let ready = |dir: &std::path::Path| {
        let mut out = std::io::stdout();
        // A reader that has gone away does not concern the fleet.
        let _ = writeln!(out, "ready {}", dir.display()).and_then(|()| out.flush());
    };
    match run(&launch, ready) {
        Ok(Ending::Signal(_)) => OK,
        Ok(Ending::OwnerDied) => INTERRUPTED,
        Err(error) => {
            let dir = fleet_dir(&launch.root, &id);
            let (hint, status) = match &error {
                SuperviseError::Bus(BusError::NoSpace { .. }) => (
                    "`df -h /dev/shm` tells what is there; fewer workers or a smaller payload need less",
                    UNFIT,
                ),
                SuperviseError::Bus(BusError::Refused { .. }) if dir.exists() => (
                    "choose another name, or end that fleet first: `coordinator stop`, or `coordinator clean` if it is dead",
                    USAGE,
                ),
                SuperviseError::AllDead(_) => ("", FAILED),
                _ => ("", UNFIT),
            };
            complain(error, hint);
            let room = super::capacity::of(&shape, &args.place.shm_dir);
            let asked = super::capacity::workers(&shape);
            if status == UNFIT && room.workers < asked {
                refuse(asked, &room);
            }
            status
        }
    }
}

fn refuse(workers: u64, room: &Capacity) {
    complain(format!("a fleet with {workers} workers does not fit here: {room}"), "");
}
