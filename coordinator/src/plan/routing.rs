//! Which coordinator has which worker.

use crate::config::FleetShape;
use std::fmt;

/// A worker, by its place: `worker/3.17` is the 17th of coordinator 3, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerRef {
    pub coordinator: u32,
    pub worker: u32,
}

impl fmt::Display for WorkerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.worker {
            NOBODY => write!(f, "coord/{} (no worker)", self.coordinator),
            worker => write!(f, "worker/{}.{worker}", self.coordinator),
        }
    }
}

/// No worker of that coordinator.
const NOBODY: u32 = crate::plan::lease::NOBODY as u32;

impl WorkerRef {
    /// Of a task that no worker of its coordinator has had.
    pub fn nobody(coordinator: u32) -> Self {
        Self { coordinator, worker: NOBODY }
    }

    /// The `index`-th worker of the fleet, one from each coordinator in turn, so that no
    /// coordinator gets its whole share in one burst while the others idle.
    pub fn nth(shape: &FleetShape, index: u32) -> Self {
        Self { coordinator: index % shape.coordinators(), worker: index / shape.coordinators() }
    }

    pub fn is_within(&self, shape: &FleetShape) -> bool {
        self.coordinator < shape.coordinators() && self.worker < shape.workers_per_coordinator()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn counting_through_reaches_every_worker_once() {
        let shape = FleetShape::new(7, 100, 64, 1).unwrap();
        let all: BTreeSet<_> = (0..700).map(|n| WorkerRef::nth(&shape, n)).collect();
        assert_eq!(all.len(), 700);
        assert!(all.iter().all(|worker| worker.is_within(&shape)));
    }
}
