//! When in a load, and to how many processes, something is done.

use crate::scenario::unit::duration_text;
use std::time::Duration;

/// A moment of the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::scenario) enum At {
    After(Duration),
    /// Of the load's duration: 0 to 1.
    Share(f64),
}

impl At {
    /// After the start of a load that lasts so long.
    pub(in crate::scenario) fn in_load(self, load: Duration) -> Duration {
        match self {
            Self::After(at) => at,
            Self::Share(share) => load.mul_f64(share),
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::After(at) => f.write_str(&duration_text(*at)),
            Self::Share(share) => write!(f, "{} % of the load", share * 100.0),
        }
    }
}

/// A number of processes, or a share of all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::scenario) enum Many {
    Count(u32),
    Share(f64),
}

impl Many {
    pub(in crate::scenario) fn of(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(all),
            Self::Share(share) => ((share * f64::from(all)).ceil() as u32).clamp(1, all.max(1)),
        }
    }
}
