//! Children that have ended, and how.

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus::{self, Exited, Signaled};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowEnded {
    Exited(i32),
    Signaled(i32),
}

impl HowEnded {
    /// The status where it exited, minus the signal where it was killed.
    pub fn raw(self) -> i32 {
        match self {
            Self::Exited(status) => status,
            Self::Signaled(signal) => -signal,
        }
    }

    pub fn from_raw(raw: i32) -> Self {
        if raw < 0 { Self::Signaled(-raw) } else { Self::Exited(raw) }
    }
}

impl std::fmt::Display for HowEnded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Signaled(signal) => match Signal::try_from(*signal) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
        }
    }
}

/// The next child of this process that has ended; `None` if there is none right now.
pub(super) fn reap_any() -> Option<(Pid, HowEnded)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(Exited(pid, status)) => return Some((pid, HowEnded::Exited(status))),
            Ok(Signaled(pid, signal, _)) => return Some((pid, HowEnded::Signaled(signal as i32))),
            Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return None,
            Ok(_) | Err(_) => {}
        }
    }
}
