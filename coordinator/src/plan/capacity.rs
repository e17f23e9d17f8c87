//! How many processes a host allows, and which limit is the first.
//!
//! Read before the first fork, so that a fleet that does not fit is refused with words and figures, and not in
//! mid-run. What was read may be wrong a moment later, since other programs use the host too: a fork that the
//! kernel refuses all the same is tried again by the process that forks.

use crate::config::{COORDINATORS_MAX, FleetShape, WORKERS_PER_COORDINATOR_MAX};
use std::fmt;

/// What is left on a host, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Open files that a process may have.
    pub fds_soft: u64,
    /// Processes that the group of processes may still have; `None` without such a limit.
    pub pids_free: Option<u64>,
    /// Processes that the user may still have; `None` without such a limit.
    pub processes_free: Option<u64>,
    /// Bytes.
    pub memory_available: u64,
    /// Bytes in /dev/shm.
    pub shm_free: u64,
    /// Files in /dev/shm; `None` where they are not counted.
    pub shm_inodes_free: Option<u64>,
}

/// A cost: a fixed part for the fleet, and a part for each worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub fixed: u64,
    pub each: u64,
}

/// What a fleet costs a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// The workers are divided among so many coordinators, each with its own descriptors.
    pub coordinators: u32,
    /// Of one coordinator: fixed, and for each of its workers.
    pub fds: Cost,
    pub processes: Cost,
    /// Bytes.
    pub memory: Cost,
    /// Bytes in /dev/shm.
    pub shm: Cost,
    /// Files in /dev/shm, for any number of workers.
    pub shm_inodes: u64,
}

impl Costs {
    /// Of fleets with the coordinators, payloads and depth of `shape`; a process that does nothing yet
    /// holds `memory_each` bytes of its own.
    pub fn of(shape: &FleetShape, memory_each: u64) -> Self {
        let coordinators = shape.coordinators();
        let leaders = 1 + u64::from(coordinators);
        let guard = 1;
        let workers = u64::from(coordinators) * u64::from(shape.workers_per_coordinator());
        assert!(workers > 0, "a shape has at least one worker");
        let shm_each = shape.shm_bytes().div_ceil(workers);
        let others = shape.fds_max() - u64::from(coordinators.max(shape.workers_per_coordinator()));
        Self {
            coordinators,
            fds: Cost { fixed: others, each: 1 },
            processes: Cost { fixed: leaders + guard, each: 1 },
            // Shared memory is memory too, regardless of the size of its file system.
            memory: Cost { fixed: (leaders + guard) * memory_each, each: memory_each + shm_each },
            shm: Cost { fixed: 0, each: shm_each },
            shm_inodes: shape.shm_inodes(),
        }
    }
}

/// The limit that is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Descriptors(u64),
    Pids(u64),
    Processes(u64),
    Memory(u64),
    Shm(u64),
    ShmInodes(u64),
    /// This program's own limit, with so many coordinators.
    Places {
        coordinators: u32,
    },
}

impl Limit {
    /// How to get beyond it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Descriptors(_) => "raise `ulimit -n`, or use more coordinators",
            Self::Pids(_) => {
                "raise the limit on processes of the container or service (`pids.max`, TasksMax=)"
            }
            Self::Processes(_) => "raise `ulimit -u`",
            Self::Memory(_) => "add memory, or end other programs that use it",
            Self::Shm(_) => {
                "mount /dev/shm larger (`mount -o remount,size=…`, docker `--shm-size`), or use a smaller payload or depth"
            }
            Self::ShmInodes(_) => {
                "mount /dev/shm with more files (`mount -o remount,nr_inodes=…`), or use fewer coordinators"
            }
            Self::Places { coordinators } if *coordinators >= COORDINATORS_MAX => {
                "start another fleet beside this one"
            }
            Self::Places { .. } => "use more coordinators",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors(each) => write!(f, "open files ({each} per process)"),
            Self::Pids(free) => write!(f, "processes of the container or service ({free} left)"),
            Self::Processes(free) => write!(f, "processes of the user ({free} left)"),
            Self::Memory(free) => write!(f, "memory ({} MiB available)", free >> 20),
            Self::Shm(free) => write!(f, "/dev/shm ({} MiB free)", free >> 20),
            Self::ShmInodes(free) => write!(f, "files in /dev/shm ({free} free)"),
            Self::Places { coordinators } => {
                let s = if *coordinators == 1 { "" } else { "s" };
                write!(f, "places ({coordinators} coordinator{s} of {WORKERS_PER_COORDINATOR_MAX} workers)")
            }
        }
    }
}

/// What a host allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub workers: u64,
    pub limited_by: Limit,
}

/// How many workers `host` has capacity for, and which limit comes first.
pub fn capacity(host: &Host, costs: &Costs) -> Capacity {
    let fits = |free: u64, cost: Cost| match (free.checked_sub(cost.fixed), cost.each) {
        (None, _) => 0,
        (Some(_), 0) => u64::MAX,
        (Some(left), each) => left / each,
    };
    let coordinators = u64::from(costs.coordinators);
    let inodes = Cost { fixed: costs.shm_inodes, each: 0 };
    let bounds = [
        Some((
            coordinators * u64::from(WORKERS_PER_COORDINATOR_MAX),
            Limit::Places { coordinators: costs.coordinators },
        )),
        Some((
            fits(host.fds_soft, costs.fds).saturating_mul(coordinators),
            Limit::Descriptors(host.fds_soft),
        )),
        host.pids_free.map(|free| (fits(free, costs.processes), Limit::Pids(free))),
        host.processes_free.map(|free| (fits(free, costs.processes), Limit::Processes(free))),
        Some((fits(host.memory_available, costs.memory), Limit::Memory(host.memory_available))),
        Some((fits(host.shm_free, costs.shm), Limit::Shm(host.shm_free))),
        host.shm_inodes_free.map(|free| (fits(free, inodes), Limit::ShmInodes(free))),
    ];
    let (workers, limited_by) = bounds
        .into_iter()
        .flatten()
        .min_by_key(|(workers, _)| *workers)
        .expect("some bounds are always there");
    Capacity { workers, limited_by }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, limited_by } = self;
        let remedy = limited_by.remedy();
        write!(
            f,
            "this host has capacity for {workers} workers; the first limit is {limited_by}; to go beyond: {remedy}"
        )
    }
}

#[cfg(test)]
mod tests;
