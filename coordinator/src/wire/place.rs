//! Where in a fleet a process stands. Processes follow each other at a place; the place stays.

use crate::config::FleetShape;
use std::fmt;
use std::str::FromStr;

/// A worker's place: `worker/3.17` is worker 17 of coordinator 3, both counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerRef {
    pub coordinator: u32,
    pub worker: u32,
}

/// In place of a worker's number: no worker has the task. See [`super::ANY`].
pub const NO_WORKER: u16 = u16::MAX;

impl fmt::Display for WorkerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.worker {
            none if none == u32::from(NO_WORKER) => write!(f, "coord/{} (no worker)", self.coordinator),
            worker => write!(f, "worker/{}.{worker}", self.coordinator),
        }
    }
}

impl WorkerRef {
    /// For a task that no worker of its coordinator has had.
    pub fn none(coordinator: u32) -> Self {
        Self { coordinator, worker: u32::from(NO_WORKER) }
    }

    /// The `index`-th worker of the fleet, one from each coordinator in turn, so that no
    /// coordinator gets its whole share in one burst while the others idle.
    pub fn nth(shape: &FleetShape, index: u32) -> Self {
        Self { coordinator: index % shape.coordinators(), worker: index / shape.coordinators() }
    }

    /// `None` if no worker had the task.
    pub fn known(self) -> Option<Self> {
        (self.worker != u32::from(NO_WORKER)).then_some(self)
    }

    pub fn is_within(&self, shape: &FleetShape) -> bool {
        self.coordinator < shape.coordinators() && self.worker < shape.workers_per_coordinator()
    }
}

/// A place in a fleet, spelled as `ps` shows the process in it: `supervisor`, `coord/3`, `worker/3.17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlaceId {
    Supervisor,
    Coordinator(u32),
    Worker(WorkerRef),
}

/// What a process at a place does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Supervisor,
    Coordinator,
    Worker,
}

impl PlaceId {
    pub fn worker(coordinator: u32, worker: u32) -> Self {
        Self::Worker(WorkerRef { coordinator, worker })
    }

    pub fn role(self) -> Role {
        match self {
            Self::Supervisor => Role::Supervisor,
            Self::Coordinator(_) => Role::Coordinator,
            Self::Worker(_) => Role::Worker,
        }
    }
}

impl fmt::Display for PlaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Supervisor => f.write_str("supervisor"),
            Self::Coordinator(index) => write!(f, "coord/{index}"),
            Self::Worker(worker) => worker.fmt(f),
        }
    }
}

impl serde::Serialize for PlaceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text does not name a place of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a place in a fleet: use `supervisor`, `coord/N` or `worker/N.M`")]
pub struct PlaceError(String);

impl FromStr for PlaceId {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = || {
            if text == "supervisor" {
                return Some(Self::Supervisor);
            }
            if let Some(index) = text.strip_prefix("coord/") {
                return Some(Self::Coordinator(number(index)?));
            }
            let (coordinator, worker) = text.strip_prefix("worker/")?.split_once('.')?;
            Some(Self::worker(number(coordinator)?, number(worker)?))
        };
        place().ok_or_else(|| PlaceError(text.to_owned()))
    }
}

/// Digits only: `u32::from_str` would accept a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
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

    #[test]
    fn a_place_reads_back_as_it_is_spelled() {
        for place in [PlaceId::Supervisor, PlaceId::Coordinator(3), PlaceId::worker(3, 17)] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for text in ["", "coord/", "coord/+1", "worker/3", "worker/3.", "worker/3.17 ", "agent/1"] {
            assert!(text.parse::<PlaceId>().is_err(), "{text}");
        }
    }
}
