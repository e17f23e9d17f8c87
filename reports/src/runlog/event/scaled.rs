//! Another number of workers, because the scenario asks for it.

use serde::{Deserialize, Serialize};

/// The run has asked the fleet for another number of workers; recorded again when the fleet has it. A stage that takes its
/// time asks several times. From format 2.2 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// Name of the stage.
    pub stage: String,
    /// Workers of the whole fleet before, and as they are wanted now.
    pub from: u32,
    pub to: u32,
    /// Supervisor + coordinators + the workers that are wanted.
    pub processes: u32,
    pub ordered_ns: u64,
    /// When the fleet was seen to have them; absent in the first record.
    pub reached_ns: Option<u64>,
}
