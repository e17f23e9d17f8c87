//! The operator of a fleet, of which there is one at a time: it changes what the fleet wants, and writes into the rings
//! for orders.
//!
//! The lock is a file lock on the fleet's control file: the kernel releases it when its holder ends, however that ends.

use crate::bus::directory::control_path;
use crate::bus::error::BusError;
use crate::bus::mapping::PrivateDir;
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::os::identity::{ELSEWHERE, Identity, namespace};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How often to try for a lock that another operator holds.
const TRY_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Error)]
pub enum OperatorError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("another operator has held the fleet in {path} for {patience:?}")]
    Busy { path: PathBuf, patience: Duration },
}

/// More was asked for than the fleet can ever have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{wanted} {what}: this fleet has room for {room}")]
pub struct TooMany {
    what: &'static str,
    wanted: u32,
    room: u32,
}

/// While this is held, no other process is the operator of the fleet. Released when dropped.
#[derive(Debug)]
pub struct OperatorLock {
    control: Control,
    dir: PathBuf,
    /// Holds the lock.
    _file: OwnedFd,
}

impl OperatorLock {
    /// Becomes the operator of the fleet in `dir`; waits up to `patience` for another operator to finish.
    pub fn take(dir: &Path, patience: Duration) -> Result<Self, OperatorError> {
        let path = control_path(dir);
        let control = Control::attach(&path)?;
        if control.stamped().namespace != namespace() {
            // Its pids and times mean others here.
            return Err(BusError::refused(dir, ELSEWHERE).into());
        }
        let (inside, name) = PrivateDir::around(&path)?;
        let file = inside.open_file(name)?;
        let begun = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { control, dir: dir.to_owned(), _file: file }),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if begun.elapsed() < patience => std::thread::sleep(TRY_AGAIN),
                Err(Errno::WOULDBLOCK) => return Err(OperatorError::Busy { path: dir.to_owned(), patience }),
                Err(errno) => return Err(BusError::io(&path, "lock it", errno).into()),
            }
        }
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The fleet's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Orders so many coordinators, and so many workers of each; `None` leaves the number as it is. Returns at once: the
    /// status of the fleet shows how far it is. Refused, with nothing changed, if the fleet has no room for them.
    pub fn scale(&self, coordinators: Option<u32>, workers: Option<u32>) -> Result<(), TooMany> {
        let shape = self.control.shape();
        fits("coordinators", coordinators, shape.coordinators())?;
        fits("workers of a coordinator", workers, shape.workers_per_coordinator())?;
        let orders = self.control.orders();
        if let Some(coordinators) = coordinators {
            orders.coordinators.store(coordinators, Ordering::Relaxed);
        }
        if let Some(workers) = workers {
            orders.workers.store(workers, Ordering::Relaxed);
        }
        // After the two: a process that sees this sees them.
        orders.scaled.fetch_add(1, Ordering::AcqRel);
        self.wake_fleet();
        Ok(())
    }

    /// Wakes the supervisor and every coordinator, so that they read the orders now. A process that cannot be woken
    /// reads them within a second.
    pub fn wake_fleet(&self) {
        for index in 0..self.control.shape().coordinators() {
            self.control.coordinator(index).bell.wake();
        }
        wake_supervisor(self.control.owner());
    }
}

fn fits(what: &'static str, wanted: Option<u32>, room: u32) -> Result<(), TooMany> {
    match wanted {
        Some(wanted) if wanted > room => Err(TooMany { what, wanted, room }),
        _ => Ok(()),
    }
}

/// Sends SIGUSR1, on which a supervisor reads the orders; to this very process or to none.
fn wake_supervisor(owner: Identity) {
    let Some(pid) = Pid::from_raw(owner.pid as i32) else { return };
    if let Ok(fd) = pidfd_open(pid, PidfdFlags::empty())
        // Checked after the open: from then on the descriptor cannot mean another process.
        && owner.is_alive()
    {
        let _ = pidfd_send_signal(&fd, Signal::USR1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::view::Stamped;
    use crate::config::FleetShape;

    #[test]
    fn a_fleet_has_one_operator_at_a_time() {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir_in("/dev/shm").unwrap();
        let shape = FleetShape::new(1, 1, 64, 1).unwrap();
        let no_process = Identity { pid: 0, start_ticks: 0 };
        Control::create(&control_path(dir.path()), &Stamped::new(no_process, 0, shape)).unwrap();
        let first = OperatorLock::take(dir.path(), Duration::ZERO).unwrap();
        assert!(matches!(OperatorLock::take(dir.path(), Duration::ZERO), Err(OperatorError::Busy { .. })));
        first.wake_fleet();
        assert!(
            first
                .scale(Some(2), None)
                .unwrap_err()
                .to_string()
                .contains("2 coordinators: this fleet has room for 1")
        );
        first.scale(Some(1), Some(1)).unwrap();
        assert_eq!(first.control().orders().scaled.load(Ordering::Acquire), 1);
        drop(first);
        OperatorLock::take(dir.path(), Duration::ZERO).unwrap();
    }
}
