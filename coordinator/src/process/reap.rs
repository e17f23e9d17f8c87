//! Children that have ended, and how.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::process::{WaitOptions, wait};

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowEnded {
    Exited(i32),
    /// Any signal, real-time ones too: they have numbers and no names.
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

    /// As a process ends that was asked to.
    pub fn is_orderly(self) -> bool {
        self == Self::Exited(0)
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
pub fn reap_any() -> Option<(Pid, HowEnded)> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let how = match (status.exit_status(), status.terminating_signal()) {
                    (Some(status), _) => HowEnded::Exited(status),
                    (None, Some(signal)) => HowEnded::Signaled(signal),
                    // Stopped or continued: not asked for, and no end.
                    (None, None) => continue,
                };
                return Some((Pid::from_raw(pid.as_raw_nonzero().get()), how));
            }
            Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}
