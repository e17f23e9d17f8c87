//! The one operator of a fleet: who changes what it wants, and writes into its operator's rings.
//!
//! The lock is the kernel's, on the fleet's control file: it ends with its holder, however that ends.

use crate::bus::directory::control_path;
use crate::bus::error::BusError;
use crate::bus::mapping::PrivateDir;
use crate::bus::view::Control;
use crate::os::identity::Identity;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// A lock that somebody else has is tried again this often.
const TRY_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Error)]
pub enum OperatorError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("another operator has had the fleet in {path} for {patience:?}")]
    Busy { path: PathBuf, patience: Duration },
}

/// Held: nobody else is the operator of this fleet. Given back when dropped.
#[derive(Debug)]
pub struct OperatorLock {
    control: Control,
    dir: PathBuf,
    /// The lock is this description's.
    _file: OwnedFd,
}

impl OperatorLock {
    /// Becomes the operator of the fleet in `dir`; one who is it already is waited for, `patience` long.
    pub fn take(dir: &Path, patience: Duration) -> Result<Self, OperatorError> {
        let path = control_path(dir);
        let control = Control::attach(&path)?;
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

    /// Makes everybody look at the orders now: the supervisor and every coordinator. Those that cannot be told
    /// see them with their next look, within a second.
    pub fn nudge(&self) {
        for index in 0..self.control.shape().coordinators() {
            self.control.coordinator(index).bell.wake();
        }
        nudge_supervisor(self.control.owner());
    }
}

/// SIGUSR1, which a supervisor takes for "look again"; to that very process or to none.
fn nudge_supervisor(owner: Identity) {
    let Some(pid) = Pid::from_raw(owner.pid as i32) else { return };
    if let Ok(fd) = pidfd_open(pid, PidfdFlags::empty())
        // After the open: the pid cannot be given to somebody else any more.
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
        let nobody = Identity { pid: 0, start_ticks: 0 };
        Control::create(&control_path(dir.path()), &Stamped::new(nobody, 0, shape)).unwrap();
        let first = OperatorLock::take(dir.path(), Duration::ZERO).unwrap();
        assert!(matches!(OperatorLock::take(dir.path(), Duration::ZERO), Err(OperatorError::Busy { .. })));
        first.nudge();
        drop(first);
        OperatorLock::take(dir.path(), Duration::ZERO).unwrap();
    }
}
