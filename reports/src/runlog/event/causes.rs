//! Why tasks failed.

use serde::{Deserialize, Serialize};

/// How many tasks failed for which reason; each has one. Wrong answers and impossible times have counts of their own,
/// and what is left of the failures has another reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Causes {
    /// Not done in time.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub timed_out: u32,
    /// A command ended by itself, in a way that is no answer.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub exited: u32,
    /// A process of the fleet died or hung.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub died: u32,
    /// It was not taken.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub refused: u32,
}

impl Causes {
    pub fn total(self) -> u64 {
        [self.timed_out, self.exited, self.died, self.refused].into_iter().map(u64::from).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
