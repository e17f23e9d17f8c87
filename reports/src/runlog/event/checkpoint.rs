//! What both ends of a fleet have counted so far, while the load goes on.

use serde::{Deserialize, Serialize};

use super::Ledger;

/// The counts of both ends at a moment at which every outcome that had reached the client was settled. A segment that was killed, or
/// whose end has no ledger, is judged up to its last one. All latencies of what is counted here are in the log before it.
///
/// `accepted = answered + failed + in_flight` holds at the client. What a coordinator says of itself was read a moment later, and may
/// lag behind or be ahead by what was on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub ledger: Ledger,
    /// Rounds that are not in the log yet, since they are not over.
    #[serde(default, skip_serializing_if = "OpenRounds::is_none")]
    pub open: OpenRounds,
}

/// Rounds on their way, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRounds {
    pub rounds: u32,
    /// Of these rounds, with those that the bus refused.
    pub tasks: u64,
    /// Of these tasks, as [`super::Round::answered`] and [`super::Round::failed`] will count them.
    pub answered: u64,
    pub failed: u64,
}

impl OpenRounds {
    /// Tasks without an outcome.
    pub fn in_hand(self) -> u64 {
        self.tasks.saturating_sub(self.answered).saturating_sub(self.failed)
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
