//! Children that have ended, and how.

use super::damage;
use crate::bus::fault;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::process::{WaitOptions, wait};

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowEnded {
    Exited(i32),
    /// Any signal, real-time ones too: they have numbers and no names.
    Signaled(i32),
    /// No status and no signal has this number: it was read from memory that another process has scribbled over.
    Impossible(i32),
    /// It is not known: the process was not a child of the one that noticed its end, and the kernel tells only parents.
    Unseen,
}

impl HowEnded {
    /// The status where it exited, minus the signal where it was killed.
    pub fn raw(self) -> i32 {
        match self {
            Self::Exited(status) => status,
            Self::Signaled(signal) => -signal,
            Self::Impossible(raw) => raw,
            Self::Unseen => UNSEEN,
        }
    }

    /// The number may have been read from shared memory: any is possible.
    pub fn from_raw(raw: i32) -> Self {
        match raw {
            UNSEEN => Self::Unseen,
            0..=STATUS_MAX => Self::Exited(raw),
            SIGNALS_MIN..0 => Self::Signaled(-raw),
            _ => Self::Impossible(raw),
        }
    }

    /// From the number that `wait` gives.
    pub fn from_wait(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Exited(status >> 8 & 0xff),
            signal => Self::Signaled(signal),
        }
    }

    /// For a process of the fleet: its statuses have a meaning, unlike those of a command.
    pub fn in_fleet(self) -> InFleet {
        InFleet(self)
    }

    /// True if it ended as a process does that was asked to.
    pub fn is_orderly(self) -> bool {
        self == Self::Exited(0)
    }
}

/// The kernel keeps eight bits of what a process passes to `exit`.
const STATUS_MAX: i32 = 255;
/// Minus the highest real-time signal.
const SIGNALS_MIN: i32 = -64;
/// No status and no signal.
const UNSEEN: i32 = i32::MIN;

/// A [`HowEnded`] that is shown with the cause, if its status has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFleet(HowEnded);

impl std::fmt::Display for InFleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            HowEnded::Exited(fault::STATUS) => write!(f, "{}: {}", self.0, fault::IN_WORDS),
            HowEnded::Exited(damage::STATUS) => write!(f, "{}: {}", self.0, damage::IN_WORDS),
            how => how.fmt(f),
        }
    }
}

impl std::fmt::Display for HowEnded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Unseen => f.write_str("ended with an unknown status"),
            Self::Impossible(raw) => write!(
                f,
                "ended with an impossible status ({raw}): the fleet's shared memory was overwritten"
            ),
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
                    // Stopped or continued: not asked for, and not an end.
                    (None, None) => continue,
                };
                return Some((Pid::from_raw(pid.as_raw_nonzero().get()), how));
            }
            Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_an_end_of_some_kind() {
        for raw in [i32::MIN, -9, -1, 0, 3, i32::MAX] {
            assert!(!HowEnded::from_raw(raw).to_string().is_empty());
        }
        assert_eq!(HowEnded::from_raw(-9), HowEnded::Signaled(9));
        assert_eq!(HowEnded::from_raw(HowEnded::Unseen.raw()), HowEnded::Unseen);
        assert_eq!(HowEnded::from_wait(9), HowEnded::Signaled(9));
        assert_eq!(HowEnded::from_wait(3 << 8), HowEnded::Exited(3));
        assert_eq!(HowEnded::from_raw(HowEnded::Exited(3).raw()), HowEnded::Exited(3));
    }

    #[test]
    fn a_number_that_no_end_has_is_not_taken_for_a_signal_or_a_status() {
        for raw in [256, i32::MAX, -65, -1_261_956_783, i32::MIN + 1] {
            assert_eq!(HowEnded::from_raw(raw), HowEnded::Impossible(raw));
            assert_eq!(HowEnded::from_raw(raw).raw(), raw);
            let words = HowEnded::from_raw(raw).in_fleet().to_string();
            assert!(words.contains("impossible status") && !words.contains("signal"), "{words}");
        }
        assert_eq!(HowEnded::from_raw(255), HowEnded::Exited(255));
        assert_eq!(HowEnded::from_raw(-64), HowEnded::Signaled(64));
    }

    #[test]
    fn a_status_has_a_meaning_in_the_fleet_and_none_in_a_command() {
        let how = HowEnded::Exited(fault::STATUS);
        assert_eq!(how.to_string(), "exited with status 74");
        assert!(how.in_fleet().to_string().contains("its shared memory was truncated"));
        assert_eq!(HowEnded::Exited(3).in_fleet().to_string(), "exited with status 3");
    }
}
