//! What is said between the harness and the process that answers trapped calls: a line an order, a line an answer.

use crate::failing::{self, Which};
use rustix::io::Errno;
use std::fmt;
use std::str::FromStr;

pub(super) const DISARM: &str = "disarm";
pub(super) const COUNTS: &str = "counts";
const ARM: &str = "arm";

/// Calls on shared memory that fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallErrors {
    pub errno: Errno,
    pub which: Which,
    /// What a share is drawn from.
    pub seed: u64,
}

/// What has become of calls on shared memory since it was armed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of the system,
    pub calls: u64,
    pub failed: u64,
    /// and of the probe.
    pub probes: u64,
    pub probes_failed: u64,
}

/// A line that is not of this language.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown;

impl fmt::Display for CallErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = self.errno.raw_os_error();
        write!(f, "{ARM} {errno} {} {}", self.seed, failing::said(self.which))
    }
}

impl FromStr for CallErrors {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let words: Vec<&str> = text.split(' ').collect();
        let [ARM, errno, seed, how, many] = words[..] else { return Err(Unknown) };
        let errno = Errno::from_raw_os_error(errno.parse().map_err(|_| Unknown)?);
        let seed = seed.parse().map_err(|_| Unknown)?;
        Ok(Self { errno, which: failing::read(how, many).ok_or(Unknown)?, seed })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.calls, self.failed, self.probes, self.probes_failed)
    }
}

impl FromStr for Counts {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let counts: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        match counts.as_deref() {
            Ok(&[calls, failed, probes, probes_failed]) => Ok(Self { calls, failed, probes, probes_failed }),
            _ => Err(Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_nothing_else_is() {
        for which in [Which::Rate(0.3), Which::Rate(1.0), Which::Nth(3)] {
            let errors = CallErrors { errno: Errno::NOSPC, which, seed: u64::MAX };
            assert_eq!(errors.to_string().parse(), Ok(errors));
        }
        let counts = Counts { calls: 1, failed: 2, probes: 3, probes_failed: u64::MAX };
        assert_eq!(counts.to_string().parse(), Ok(counts));
        for wrong in ["", "arm", "arm 28 1 nth 0", "arm 28 1 rate 1.5", "arm x 1 nth 1", "disarm"] {
            assert_eq!(wrong.parse::<CallErrors>(), Err(Unknown), "{wrong}");
        }
        assert_eq!("1 2 3".parse::<Counts>(), Err(Unknown));
    }
}
