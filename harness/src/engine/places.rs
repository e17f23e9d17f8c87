//! What follows from the place of a process: its parent, its role, and how it ended if no one says so. Pure.

use crate::system::{Life, PlaceId, Process, Role as PlaceRole};
use reports::runlog::event::{Role, WITH_ITS_COORDINATOR};

/// The place of the process that forks the one in `place`.
pub(super) fn parent(place: PlaceId) -> Option<PlaceId> {
    match place {
        PlaceId::Supervisor => None,
        PlaceId::Coordinator(_) => Some(PlaceId::Supervisor),
        PlaceId::Worker(worker) => Some(PlaceId::Coordinator(worker.coordinator)),
    }
}

/// How a process ended that no one reports on.
pub(super) fn unreported(place: PlaceId) -> &'static str {
    match place {
        PlaceId::Supervisor => "gone from /proc",
        PlaceId::Coordinator(_) => "ended when the supervisor died",
        PlaceId::Worker(_) => WITH_ITS_COORDINATOR,
    }
}

/// How a process ended, where the system says so.
pub(super) fn words(process: &Process, otherwise: &str) -> String {
    match &process.ended {
        Some(how) if process.life == Life::Dead => how.clone(),
        _ => otherwise.to_owned(),
    }
}

pub(super) fn role(place: PlaceId) -> Role {
    match place.role() {
        PlaceRole::Supervisor => Role::Supervisor,
        PlaceRole::Coordinator => Role::Coordinator,
        PlaceRole::Worker => Role::Worker,
    }
}
