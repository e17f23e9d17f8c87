//! `coordinator stop`.

use super::{FAILED, OK, Place, complain};
use crate::bus::directory::{Owner, control_path};
use crate::bus::view::Control;
use crate::client::launch::STOP_GRACE;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// While a fleet has no supervisor and may get one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator stop demo")]
pub(super) struct Args {
    /// The fleet, as `coordinator status` names it
    name: String,
    #[command(flatten)]
    place: Place,
}

pub(super) fn main(args: &Args) -> u8 {
    let deadline = Instant::now() + STOP_GRACE;
    let owner = loop {
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
        if let Owner::Alive(owner) = fleet.owner {
            break owner;
        }
        // Its coordinators may be starting another supervisor at this moment.
        let orphaned =
            Control::attach(&control_path(&fleet.path)).is_ok_and(|control| control.has_living_coordinator());
        if !orphaned || Instant::now() >= deadline {
            complain(
                format!("the supervisor of `{}` is not alive", args.name),
                "`coordinator clean` removes what it left",
            );
            return FAILED;
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    let asked = Pid::from_raw(owner.pid as i32).ok_or(rustix::io::Errno::SRCH).and_then(|pid| {
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        // After the open: the pid cannot be given to somebody else any more.
        if owner.is_alive() {
            pidfd_send_signal(&fd, Signal::TERM)?;
        }
        Ok(fd)
    });
    match asked {
        Ok(fd) => {
            let mut fds = [nix::poll::PollFd::new(fd.as_fd(), nix::poll::PollFlags::POLLIN)];
            let timeout = nix::poll::PollTimeout::from(STOP_GRACE.as_millis() as u16);
            match nix::poll::poll(&mut fds, timeout) {
                Ok(n) if n > 0 => {
                    eprintln!("stopped {}", args.name);
                    OK
                }
                _ => {
                    complain(format!("`{}` did not end within {STOP_GRACE:?}", args.name), "");
                    FAILED
                }
            }
        }
        // Gone in the meantime: as asked.
        Err(rustix::io::Errno::SRCH) => OK,
        Err(errno) => {
            complain(format!("cannot signal process {}: {errno}", owner.pid), "");
            FAILED
        }
    }
}
