//! What can be done to a running system, and to which of its processes.

use super::{PlaceId, Role};
use thiserror::Error;

/// The processes that an order is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Place(PlaceId),
    /// Every process of that role.
    Role(Role),
}

impl Target {
    pub fn includes(self, place: PlaceId) -> bool {
        match self {
            Self::Place(one) => one == place,
            Self::Role(role) => role == place.role(),
        }
    }
}

/// What can be done to a system while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// SIGKILL.
    Kill(Target),
    /// SIGTERM.
    Terminate(Target),
    /// SIGSTOP.
    Pause(Target),
    /// SIGCONT.
    Continue(Target),
    /// So many coordinators, and so many workers of each; `None` leaves the number as it is.
    Scale { coordinators: Option<u32>, workers: Option<u32> },
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderError {
    #[error("no process is there for {0:?}")]
    NoTarget(Order),
    /// Its pid may belong to another process by now; nothing was sent to it.
    #[error("{0} (pid {1}) has ended")]
    Gone(PlaceId, u32),
    #[error("cannot signal {0} (pid {1}): {2}")]
    Refused(PlaceId, u32, String),
    #[error("cannot scale: {0}")]
    NotScaled(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_place_or_all_of_a_role() {
        let places =
            [PlaceId::Supervisor, PlaceId::Coordinator(0), PlaceId::worker(0, 0), PlaceId::worker(0, 1)];
        let hit = |target: Target| places.map(|place| target.includes(place));
        assert_eq!(hit(Target::Place(PlaceId::worker(0, 1))), [false, false, false, true]);
        assert_eq!(hit(Target::Role(Role::Worker)), [false, false, true, true]);
        assert_eq!(hit(Target::Role(Role::Coordinator)), [false, true, false, false]);
    }
}
