//! What a plan says about the system under test. Data only: nothing here starts anything.

use coordinator::config::{FleetShape, Policy};

/// The system that a run puts under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemSpec {
    /// A fleet of this project's own coordinator.
    Fleet(FleetSpec),
}

/// A fleet: how many processes it has, and what it does about deaths, hangs and failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSpec {
    pub shape: FleetShape,
    pub policy: Policy,
}
