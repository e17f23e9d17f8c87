//! Checkpoints: what both ends have counted so far, so that a run whose harness is killed counts up to the last one.

use super::Loader;
use crate::engine::reconcile;
use reports::runlog::event::{Checkpoint, Event, Ledger, OpenRounds};
use std::time::Duration;

/// A run has about so many of them,
const A_RUN: u32 = 40;
/// but they are no closer to each other: reading the counts of a large fleet takes milliseconds,
const LEAST: Duration = Duration::from_millis(250);
/// and no further apart: a kill costs as much of the load. In 30 days they are 86 400.
const MOST: Duration = Duration::from_secs(30);
/// A moment without tasks on their way, and with the counts of all coordinators, is awaited for so long at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// Counts that could not be read are not read again at once.
const AGAIN_NS: u64 = 20_000_000;

/// When the next one is due; times are on the run's clock.
#[derive(Debug)]
pub(super) struct Checkpoints {
    every: Duration,
    due_ns: u64,
    /// Not to be tried before.
    next_ns: u64,
}

impl Checkpoints {
    /// For a load of this length. None is awaited before [`Self::hurry`].
    pub fn of(load: Duration) -> Self {
        Self { every: (load / A_RUN).clamp(LEAST, MOST), due_ns: 0, next_ns: 0 }
    }

    /// One is due now: a quiet moment is awaited from now on.
    pub fn hurry(&mut self, now_ns: u64) {
        (self.due_ns, self.next_ns) = (now_ns, now_ns);
    }
}

impl Loader<'_> {
    /// To be called when all that has come in is settled.
    pub(super) fn check_point_if_due(&mut self) {
        let now = self.now_ns();
        let Checkpoints { every, due_ns, next_ns } = self.checkpoints;
        let is_late = now >= due_ns.saturating_add(PATIENCE.min(every).as_nanos() as u64);
        if now < due_ns.max(next_ns) || !self.in_flight.is_empty() && !is_late {
            return;
        }
        let ledger = reconcile::ledger(self.system, self.refused, self.rejected);
        if is_late || ledger.coordinators.iter().all(|row| row.coordinator.is_some()) {
            self.write_checkpoint(ledger);
        } else {
            // A coordinator is being replaced.
            self.checkpoints.next_ns = now.saturating_add(AGAIN_NS);
        }
    }

    /// Writes one, whatever is on its way.
    pub(super) fn check_point(&mut self) {
        let ledger = reconcile::ledger(self.system, self.refused, self.rejected);
        self.write_checkpoint(ledger);
    }

    fn write_checkpoint(&mut self, ledger: Ledger) {
        let now = self.now_ns();
        // All that counts has its latencies.
        self.latencies.flush(self.tools.log, now);
        let mut open = OpenRounds::default();
        for round in &self.in_flight {
            let (tasks, answered, failed) = round.standing();
            open.rounds += 1;
            open.tasks += tasks;
            open.answered += answered;
            open.failed += failed;
        }
        self.tools.log.record(Event::Checkpoint(Box::new(Checkpoint { ledger, open })));
        self.checkpoints.due_ns = now.saturating_add(self.checkpoints.every.as_nanos() as u64);
    }
}
