//! `coordinator scale`: says how many there shall be, and waits until there are.

use super::{FAILED, OK, Place, UNFIT, USAGE, complain};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::client::operator::{OperatorError, OperatorLock};
use crate::config::FleetShape;
use std::time::{Duration, Instant};

/// An operator who is at it already is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A place that has been empty for so long, and is not on the way to be filled, stays empty.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator scale demo --coordinators 4 --workers 25")]
pub(super) struct Args {
    /// The fleet, as `coordinator status` names it
    name: String,
    /// Coordinators that there shall be, up to those that the fleet has room for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    coordinators: Option<u32>,
    /// Workers that each coordinator shall have, up to those that the fleet has room for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,
    /// How long it is waited for; the fleet goes on with it afterwards
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::run::time)]
    timeout: Duration,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    if args.coordinators.is_none() && args.workers.is_none() {
        complain("neither --coordinators nor --workers is given", "say how many there shall be");
        return USAGE;
    }
    let found = match args.place.fleets() {
        Ok(found) => found,
        Err(status) => return status,
    };
    let Some(fleet) = found.iter().find(|fleet| fleet.id == args.name) else {
        complain(
            format!("there is no fleet `{}`", args.name),
            "`coordinator status` lists those that are there",
        );
        return FAILED;
    };
    let lock = match OperatorLock::take(&fleet.path, PATIENCE) {
        Ok(lock) => lock,
        Err(error @ OperatorError::Busy { .. }) => {
            complain(error, "try again when that is done");
            return FAILED;
        }
        Err(error) => {
            complain(error, "");
            return UNFIT;
        }
    };
    if let Err(words) = fits(args, lock.control().shape()) {
        complain(words, "a fleet's room is decided when it starts: `up --coordinators-max`, `--workers-max`");
        return USAGE;
    }
    order(&lock, args.coordinators, args.workers);
    let status = wait(lock.control(), args);
    drop(lock);
    status
}

fn fits(args: &Args, shape: &FleetShape) -> Result<(), String> {
    let fits = |what: &str, wanted: Option<u32>, room: u32| match wanted {
        Some(wanted) if wanted > room => Err(format!("{wanted} {what}: this fleet has room for {room}")),
        _ => Ok(()),
    };
    fits("coordinators", args.coordinators, shape.coordinators())?;
    fits("workers of a coordinator", args.workers, shape.workers_per_coordinator())
}

/// Writes the orders down, and makes everybody look.
fn order(lock: &OperatorLock, coordinators: Option<u32>, workers: Option<u32>) {
    let orders = lock.control().orders();
    if let Some(coordinators) = coordinators {
        orders.coordinators.store(coordinators, Ordering::Relaxed);
    }
    if let Some(workers) = workers {
        orders.workers.store(workers, Ordering::Relaxed);
    }
    // After the two: who sees it sees them.
    orders.scaled.fetch_add(1, Ordering::AcqRel);
    lock.nudge();
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// Places that stay empty.
    given_up: u32,
    serving: u32,
    retiring: u32,
    workers: u32,
    /// All that was asked for.
    done: bool,
}

fn look(control: &Control, args: &Args) -> Progress {
    let mut progress = Progress { given_up: 0, serving: 0, retiring: 0, workers: 0, done: true };
    for index in 0..control.shape().coordinators() {
        let entry = control.coordinator(index);
        let retiring = entry.retire.load(Ordering::Acquire) != 0;
        match entry.process.life() {
            Life::Live if retiring => progress.retiring += 1,
            Life::Live => {
                let live = entry.own.live.load(Ordering::Relaxed);
                progress.serving += 1;
                progress.workers += live;
                progress.done &= args.workers.is_none_or(|wanted| wanted == live);
            }
            // On the way.
            Life::Starting | Life::Replacing => progress.done = false,
            Life::Dead => progress.given_up += 1,
            Life::Absent | Life::Stopped => {}
        }
    }
    let there = args.coordinators.is_none_or(|wanted| wanted == progress.serving);
    progress.done &= there && progress.retiring == 0;
    progress
}

fn wait(control: &Control, args: &Args) -> u8 {
    let begun = Instant::now();
    let mut said = None;
    let mut given_up_since = begun;
    loop {
        let progress = look(control, args);
        if said != Some(progress) {
            let Progress { serving, retiring, workers, .. } = progress;
            let leaving =
                if retiring > 0 { format!(", {retiring} end what they have") } else { String::new() };
            eprintln!("{serving} coordinators serve with {workers} workers{leaving}");
            said = Some(progress);
        }
        if progress.done {
            return OK;
        }
        let left = control.shape().coordinators() - progress.given_up;
        if args.coordinators.is_none_or(|wanted| wanted <= left) {
            given_up_since = Instant::now();
        } else if given_up_since.elapsed() > SETTLED {
            complain(
                format!(
                    "only {left} places are left: at {} others a coordinator has died, and nobody comes there any more",
                    progress.given_up
                ),
                "`coordinator events` says of what it died; a fleet with `--coordinators-max` has places in reserve",
            );
            return FAILED;
        }
        if matches!(control.stage(), Stage::Stopping | Stage::Stopped) {
            complain(format!("`{}` is being stopped", args.name), "");
            return FAILED;
        }
        if begun.elapsed() >= args.timeout {
            complain(
                format!("it is not done after {:?}", args.timeout),
                "the fleet goes on with it; `coordinator status` shows how far it is, `coordinator events` what was refused",
            );
            return FAILED;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
