//! Where a segment goes on that follows others of its run.

use super::schedule::Position;
use reports::run_dir::Unfinished;

/// What a segment follows, if it is not a run's first.
#[derive(Debug, Clone)]
pub struct Follows {
    pub run: Unfinished,
    /// Since the start of the run.
    pub elapsed_ns: u64,
    /// Processes of the segments before that were still there, and were killed, by name and pid.
    pub left: Vec<String>,
}

impl Follows {
    pub(super) fn position(&self) -> Position {
        let facts = self.run.case.facts();
        let mut firings = facts.faults.firings.iter();
        Position {
            rounds: facts.load.counts.rounds,
            load_ns: facts.load_ns(),
            // In the order of their times: what comes before one that was begun was begun, or could not be.
            firings: firings.rposition(|firing| firing.injected_ns.is_some()).map_or(0, |at| at + 1),
        }
    }

    /// Whether the newest segment has run its tear-down.
    pub(super) fn is_torn_down(&self) -> bool {
        self.run.case.facts().end.is_some()
    }

    /// That the log holds, of all phases.
    pub(super) fn rounds(&self) -> u64 {
        let load = &self.run.case.facts().load;
        load.counts.rounds + load.warm_up.rounds
    }
}
