//! What follows from the place of a process: its parent, its role, and how it ended if no one says so. Pure.

use crate::system::{Life, PlaceId, Process, Role as PlaceRole};
use reports::runlog::event::{GONE, Role, WITH_ITS_COORDINATOR, WITH_THE_SUPERVISOR};

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
        PlaceId::Supervisor => GONE,
        PlaceId::Coordinator(_) => WITH_THE_SUPERVISOR,
        PlaceId::Worker(_) => WITH_ITS_COORDINATOR,
    }
}

/// Whether a worker was between two processes when its coordinator stopped in order, as after one that was recycled: the one
/// has ended in order, and the other is called off before it serves. Where the one had died, its death is counted.
pub(super) fn was_called_off(worker: &Process, all: &[Process]) -> bool {
    let stopped = |place| all.iter().any(|one| one.place == place && one.life == Life::Stopped);
    worker.life == Life::Starting && parent(worker.place).is_some_and(stopped)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::WorkerRef;

    fn process(place: PlaceId, life: Life) -> Process {
        Process {
            place,
            incarnation: 1,
            pid: 7,
            start_ticks: 1,
            life,
            retiring: false,
            deaths: 0,
            last_death: None,
            ended: None,
        }
    }

    #[test]
    fn only_one_that_had_not_served_is_called_off_and_only_by_a_coordinator_that_stopped() {
        let worker = PlaceId::Worker(WorkerRef { coordinator: 1, worker: 4 });
        let cases = [
            (Life::Starting, Life::Stopped, true),
            (Life::Starting, Life::Dead, false),
            (Life::Live, Life::Stopped, false),
            (Life::Dead, Life::Stopped, false),
        ];
        for (life, of_coordinator, expected) in cases {
            let all = [
                process(PlaceId::Coordinator(0), Life::Stopped),
                process(PlaceId::Coordinator(1), of_coordinator),
                process(worker, life),
            ];
            assert_eq!(was_called_off(&all[2], &all), expected, "{life:?} under {of_coordinator:?}");
        }
    }
}
