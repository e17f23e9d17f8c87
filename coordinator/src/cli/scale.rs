//! `coordinator scale`: changes the number of coordinators and workers, and waits until it is reached.

use super::shown::counted;
use super::{FAILED, OK, Place, UNFIT, USAGE, print};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::client::operator::{OperatorError, OperatorLock};
use std::time::{Duration, Instant};

/// How long to wait for another operator to finish.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A place that has been vacant for this long, with no process starting in it, stays vacant.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator scale demo --coordinators 4 --workers 25")]
pub(super) struct Args {
    /// Name of the fleet, as `coordinator status` shows it
    name: String,
    /// Number of coordinators, at most as many as the fleet has room for
    #[arg(long, value_name = "N", value_parser = super::number::number(1, u32::MAX), allow_negative_numbers = true)]
    coordinators: Option<u32>,
    /// Number of workers of each coordinator, at most as many as the fleet has room for
    #[arg(long, value_name = "N", value_parser = super::number::number(1, u32::MAX), allow_negative_numbers = true)]
    workers: Option<u32>,
    /// How long to wait; the fleet continues to scale after that
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::time::time, allow_hyphen_values = true)]
    timeout: Duration,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    if args.coordinators.is_none() && args.workers.is_none() {
        print::error(
            "neither --coordinators nor --workers is given",
            "give the number of coordinators or workers that you want",
        );
        return USAGE;
    }
    let found = match args.place.fleets() {
        Ok(found) => found,
        Err(status) => return status,
    };
    let Some(fleet) = found.iter().find(|fleet| fleet.id == args.name) else {
        print::error(format!("there is no fleet `{}`", args.name), "`coordinator status` lists the fleets");
        return FAILED;
    };
    let lock = match OperatorLock::take(&fleet.path, PATIENCE) {
        Ok(lock) => lock,
        Err(error @ OperatorError::Busy { .. }) => {
            print::error(error, "try again when that operator has finished");
            return FAILED;
        }
        Err(error) => {
            print::error(error, "");
            return UNFIT;
        }
    };
    if let Err(error) = lock.scale(args.coordinators, args.workers) {
        print::error(
            error,
            "the maxima are set when a fleet starts: `coordinator up --coordinators-max N --workers-max N`",
        );
        return USAGE;
    }
    let status = wait(lock.control(), args);
    drop(lock);
    status
}

/// How far the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// Places that stay vacant.
    given_up: u32,
    serving: u32,
    retiring: u32,
    workers: u32,
    /// Everything that was asked for is reached.
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
                let live = control.workers_alive(index);
                progress.serving += 1;
                progress.workers += live;
                progress.done &= args.workers.is_none_or(|wanted| wanted == live);
            }
            // A process is starting.
            Life::Starting | Life::Replacing => progress.done = false,
            Life::Dead => progress.given_up += 1,
            Life::Absent | Life::Stopped => {}
        }
    }
    let there = args.coordinators.is_none_or(|wanted| wanted == progress.serving);
    progress.done &= there && progress.retiring == 0;
    progress
}

/// No supervisor is there, nor a coordinator that would get another one.
fn has_ended(control: &Control) -> bool {
    let owner = control.owner();
    owner.pid != 0 && owner.is_gone() && !control.has_living_coordinator()
}

fn wait(control: &Control, args: &Args) -> u8 {
    let begun = Instant::now();
    let mut reported = None;
    let mut given_up_since = begun;
    loop {
        if matches!(control.stage(), Stage::Stopping | Stage::Stopped) || has_ended(control) {
            let hint = "start it anew with the number that you want";
            print::error(
                format!("`{}` has ended, or is being stopped, before it had this size", args.name),
                hint,
            );
            return FAILED;
        }
        let progress = look(control, args);
        if reported != Some(progress) {
            let Progress { serving, retiring, workers, .. } = progress;
            let leaving = if retiring > 0 {
                format!("; {} retiring", counted(retiring, "coordinator"))
            } else {
                String::new()
            };
            print::report(format_args!(
                "serving: {}, {}{leaving}",
                counted(serving, "coordinator"),
                counted(workers, "worker")
            ));
            reported = Some(progress);
        }
        if progress.done {
            return OK;
        }
        let left = control.shape().coordinators() - progress.given_up;
        if args.coordinators.is_none_or(|wanted| wanted <= left) {
            given_up_since = Instant::now();
        } else if given_up_since.elapsed() > SETTLED {
            print::error(
                format!(
                    "only {left} of {} places can be filled: coordinators at the other {} have died too often",
                    control.shape().coordinators(),
                    progress.given_up
                ),
                "`coordinator events` shows how they died; a fleet with a larger `--coordinators-max` has places in reserve",
            );
            return FAILED;
        }
        if begun.elapsed() >= args.timeout {
            print::error(
                format!("the fleet has not reached this size within {:?}", args.timeout),
                "the fleet continues to scale; `coordinator status` shows how far it is, `coordinator events` what was refused",
            );
            return FAILED;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
