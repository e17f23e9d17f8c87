//! `coordinator up`: the supervisor itself, in the foreground.

use super::outlet::{self, Outlet, Stream};
use super::{FAILED, INTERRUPTED, OK, Place, UNFIT, USAGE, print};
use crate::bus::directory::{fleet_dir, is_id};
use crate::bus::error::BusError;
use crate::os::clock::unix_ns;
use crate::os::identity::Identity;
use crate::plan::capacity::{Capacity, Limit};
use crate::process::supervisor::{Ending, Launch, SuperviseError, run};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator up --name demo --coordinators 2 --workers 10")]
pub(super) struct Args {
    /// Name of the fleet; by default a generated one
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    policy: super::policy::Args,
    /// Only show what the fleet needs, and whether this host has room for it
    #[arg(long)]
    dry_run: bool,
    /// A bug that every process of the fleet has, to test the tests
    #[cfg(feature = "kill-points")]
    #[arg(long, hide = true, value_parser = bug)]
    plant: Option<crate::bus::sync::Bug>,
    /// Stop the fleet when this process ends (its pid, and its start time in clock ticks)
    #[arg(long, value_name = "PID:START", value_parser = owner)]
    owner: Option<Identity>,
    #[command(flatten)]
    place: Place,
}

fn owner(text: &str) -> Result<Identity, String> {
    let wrong = || "expected a pid and a start time, such as 1234:567890".to_owned();
    let (pid, start) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Identity { pid: pid.parse().map_err(|_| wrong())?, start_ticks: start.parse().map_err(|_| wrong())? })
}

#[cfg(feature = "kill-points")]
fn bug(name: &str) -> Result<crate::bus::sync::Bug, String> {
    use crate::bus::sync::Bug;
    [Bug::FreeBeforeTold, Bug::AcknowledgeBeforeTable, Bug::LeasesBeforeAnswers]
        .into_iter()
        .find(|bug| format!("{bug:?}") == name)
        .ok_or_else(|| format!("there is no planted bug `{name}`"))
}

/// Unique enough for a name: if two fleets get the same one, the second is refused.
pub(super) fn generated_name() -> String {
    format!("{:x}-{:x}", std::process::id(), unix_ns() / 1_000_000)
}

pub(super) fn main(args: &Args) -> u8 {
    let id = args.name.clone().unwrap_or_else(generated_name);
    if !is_id(&id) {
        print::error(format!("`{id}` is not a valid fleet name"), "a name has letters, digits, `_` and `-`");
        return USAGE;
    }
    if let Err((error, hint)) = args.policy.check() {
        print::error(error, &hint);
        return USAGE;
    }
    let shape = match args.policy.shape() {
        Ok(shape) => shape,
        Err(error) => {
            print::error(error, &super::policy::hint(error));
            return USAGE;
        }
    };
    if args.dry_run {
        return super::capacity::dry_run(&shape, &args.place.shm_dir);
    }
    let room = super::capacity::of(&shape, &args.place.shm_dir);
    // All other limits are known exactly when the fleet takes what it needs, and the attempt does no harm.
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
        report: |what| print::warn(what),
    };
    let ready = |dir: &std::path::Path| {
        // The fleet continues if the reader has closed the pipe, or does not read.
        let _ = Outlet::open(Stream::Stdout).write_in_time(format!("ready {}\n", dir.display()).as_bytes());
    };
    // A supervisor must not wait for a reader.
    outlet::hurry();
    match run(&launch, ready) {
        Ok(Ending::Signal(_)) => OK,
        Ok(Ending::OwnerDied) => INTERRUPTED,
        Err(error) => refused(args, &launch, error),
    }
}

/// Prints why the fleet did not start, or ended; the exit status.
fn refused(args: &Args, launch: &Launch, error: SuperviseError) -> u8 {
    let dir = fleet_dir(&launch.root, &launch.id);
    let (hint, status) = match &error {
        SuperviseError::Bus(BusError::NoSpace { .. }) => (
            "`df -h /dev/shm` shows how much is free; fewer workers or a smaller `--payload-max` need less",
            UNFIT,
        ),
        SuperviseError::Bus(BusError::Refused { .. }) if dir.exists() => (
            "choose another name, or stop that fleet first: `coordinator stop`, or `coordinator clean` if it is dead",
            USAGE,
        ),
        SuperviseError::OtherProc => (
            "mount the one of this namespace: `mount -t proc proc /proc` in a mount namespace of its own, as `unshare --mount-proc` does",
            UNFIT,
        ),
        SuperviseError::AllDead(_) => ("", FAILED),
        _ => ("", UNFIT),
    };
    print::error(error, hint);
    let room = super::capacity::of(&launch.shape, &args.place.shm_dir);
    let asked = super::capacity::workers(&launch.shape);
    if status == UNFIT && room.workers < asked {
        refuse(asked, &room);
    }
    status
}

fn refuse(workers: u64, room: &Capacity) {
    print::error(format!("a fleet with {workers} workers does not fit: {room}"), "");
}
