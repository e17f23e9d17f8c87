//! Where everything lies in the files of a fleet, computed from its shape alone.

use crate::config::FleetShape;

/// Pages are reserved whole.
pub const PAGE: u64 = 4096;

/// Offsets in the `control` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlLayout {
    bytes: u64,
}

impl ControlLayout {
    pub fn new(shape: &FleetShape) -> Self {
        Self { bytes: PAGE * (1 + u64::from(shape.coordinators())) }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Offsets in a coordinator's region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionLayout {
    bytes: u64,
}

impl RegionLayout {
    pub fn new(shape: &FleetShape) -> Self {
        Self { bytes: PAGE * (1 + u64::from(shape.workers_per_coordinator())) }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
