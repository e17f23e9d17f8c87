//! The numbers that fix how large a fleet is, and their limits.
//!
//! What they cost in shared memory is computed where the files are laid out
//! ([`layout`](super::layout)).

use thiserror::Error;

/// A coordinator holds at most this many workers: two levels of a 64-bit ready bitmap.
pub const WORKERS_PER_COORDINATOR_MAX: u32 = 4096;
/// The control file has room for this many coordinators.
pub const COORDINATORS_MAX: u32 = 256;
/// A task or an answer carries at most this much.
pub const PAYLOAD_MAX: u32 = 1 << 20;
/// Tasks that may wait for one worker at the same time.
pub const DEPTH_MAX: u32 = 64;

/// How many processes, and how large the bus between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetShape {
    coordinators: u32,
    workers_per_coordinator: u32,
    payload_max: u32,
    depth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShapeError {
    #[error("a fleet needs 1 to {COORDINATORS_MAX} coordinators, not {0}")]
    Coordinators(u32),
    #[error("a coordinator needs 1 to {WORKERS_PER_COORDINATOR_MAX} workers, not {0}")]
    Workers(u32),
    #[error("a payload has at most {PAYLOAD_MAX} bytes, not {0}")]
    Payload(u32),
    #[error("1 to {DEPTH_MAX} tasks may wait for a worker, not {0}")]
    Depth(u32),
}

impl FleetShape {
    /// `payload_max` is in bytes, of a task's body and of an answer's; `depth` is how many tasks may
    /// wait for one worker at the same time (rounds in flight).
    pub fn new(
        coordinators: u32,
        workers_per_coordinator: u32,
        payload_max: u32,
        depth: u32,
    ) -> Result<Self, ShapeError> {
        if !(1..=COORDINATORS_MAX).contains(&coordinators) {
            return Err(ShapeError::Coordinators(coordinators));
        }
        if !(1..=WORKERS_PER_COORDINATOR_MAX).contains(&workers_per_coordinator) {
            return Err(ShapeError::Workers(workers_per_coordinator));
        }
        if payload_max > PAYLOAD_MAX {
            return Err(ShapeError::Payload(payload_max));
        }
        if !(1..=DEPTH_MAX).contains(&depth) {
            return Err(ShapeError::Depth(depth));
        }
        Ok(Self { coordinators, workers_per_coordinator, payload_max, depth })
    }

    pub fn coordinators(&self) -> u32 {
        self.coordinators
    }

    pub fn workers_per_coordinator(&self) -> u32 {
        self.workers_per_coordinator
    }

    /// Bytes.
    pub fn payload_max(&self) -> u32 {
        self.payload_max
    }

    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Supervisor + coordinators + workers.
    pub fn processes(&self) -> u32 {
        1 + self.coordinators + self.coordinators * self.workers_per_coordinator
    }

    /// [`Self::processes`], and the guard, which does not count as an agent.
    pub fn processes_with_guard(&self) -> u32 {
        self.processes() + 1
    }

    /// Files and directories in /dev/shm.
    pub fn shm_inodes(&self) -> u64 {
        // the directory + `control` + one region per coordinator
        2 + u64::from(self.coordinators)
    }

    /// Descriptors of the process with the most open ones. Maps are closed after mapping, so what
    /// remains is stdio, the lifeline that the guard waits for, and one pidfd per child.
    pub fn fds_max(&self) -> u64 {
        let stdio = 3;
        let directory = 1;
        let owner_pidfd = 1;
        let lifeline = 1;
        let spare = 4;
        let children = u64::from(self.coordinators.max(self.workers_per_coordinator));
        stdio + directory + owner_pidfd + lifeline + spare + children
    }
}
