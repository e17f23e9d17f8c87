//! `coordinator stop`.

use super::time::time;
use super::{FAILED, OK, Place, print};
use crate::bus::directory::{Owner, control_path};
use crate::bus::view::Control;
use crate::client::launch::STOP_GRACE;
use crate::os::identity::Identity;
use crate::os::stop::Stop;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often to look for the next supervisor of a fleet that has none and may get one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator stop demo")]
pub(super) struct Args {
    /// Name of the fleet, as `coordinator status` shows it
    name: String,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    let deadline = Instant::now() + STOP_GRACE;
    let (owner, patience) = loop {
        let found = match args.place.fleets() {
            Ok(found) => found,
            Err(status) => return status,
        };
        let Some(fleet) = found.iter().find(|fleet| fleet.id == args.name) else {
            print::error(
                format!("there is no fleet `{}`", args.name),
                "`coordinator status` lists the fleets",
            );
            return FAILED;
        };
        match fleet.owner {
            Owner::Alive(owner) => break (owner, STOP_GRACE + grace_of(&fleet.path)),
            Owner::Elsewhere => {
                print::error(
                    format!("`{}` is owned in another pid or time namespace", args.name),
                    "run `coordinator stop` there",
                );
                return FAILED;
            }
            Owner::Dead(_) | Owner::Unknown => {}
        }
        // Its coordinators may be starting another supervisor right now.
        let orphaned =
            Control::attach(&control_path(&fleet.path)).is_ok_and(|control| control.has_living_coordinator());
        if !orphaned || Instant::now() >= deadline {
            print::error(
                format!("the supervisor of `{}` is not alive", args.name),
                "`coordinator clean` removes what the fleet left behind",
            );
            return FAILED;
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    stop(owner, patience, &args.name)
}

/// Asks the supervisor `owner` of the fleet `name` to stop it, and waits for it as long as `patience`; the exit status.
fn stop(owner: Identity, patience: Duration, name: &str) -> u8 {
    let asked = Pid::from_raw(owner.pid as i32).ok_or(rustix::io::Errno::SRCH).and_then(|pid| {
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        // Checked after the open: from then on the descriptor cannot mean another process.
        if owner.is_alive() {
            pidfd_send_signal(&fd, Signal::TERM)?;
        }
        Ok(fd)
    });
    match asked {
        Ok(fd) => {
            let timeout = Timespec::try_from(patience).ok();
            match poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout.as_ref()) {
                Ok(n) if n > 0 => {
                    print::report(format_args!("stopped {name}"));
                    OK
                }
                _ => {
                    print::error(format!("`{name}` did not stop within {patience:?}"), "");
                    FAILED
                }
            }
        }
        // It ended in the meantime, as asked.
        Err(rustix::io::Errno::SRCH) => OK,
        Err(errno) => {
            print::error(format!("cannot signal process {}: {errno}", owner.pid), "");
            FAILED
        }
    }
}

/// What the fleet gives a command before it kills it.
fn grace_of(fleet: &Path) -> Duration {
    let options = Control::attach(&control_path(fleet)).map(|control| control.options()).unwrap_or_default();
    let grace = options.iter().skip_while(|option| *option != "--grace").nth(1);
    grace.and_then(|text| time(text).ok()).unwrap_or(Stop::default().grace)
}
