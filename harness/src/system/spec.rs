//! What a plan says about the system under test. Data only: nothing here starts anything.

use coordinator::config::{FleetShape, Policy};

/// The system that a run puts under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemSpec {
    /// A fleet of this project's own coordinator.
    Fleet(FleetSpec),
}

impl SystemSpec {
    /// Messages of one task's way there and back.
    pub fn messages_per_task(&self) -> u32 {
        match self {
            // From the client to the coordinator, to the worker, and the same way back.
            Self::Fleet(_) => 4,
        }
    }
}

/// A fleet: how many processes it has, and what it does about deaths, hangs and failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSpec {
    pub shape: FleetShape,
    pub policy: Policy,
}
