//! Rounds that no coordinator's death can have touched.

use crate::runlog::event::Round;

/// Tasks that a later attempt answered, in rounds whose coordinators lived all the while. The instant of a death is not known:
/// it lies between the last sweep that found the process alive and the moment when its end was seen.
#[derive(Debug, Default)]
pub(super) struct Calm {
    pub(super) retried: u64,
    /// Of rounds that ended since the last proof, and when the last of them did.
    unproven: u64,
    ended_ns: u64,
    /// When the newest death of a coordinator was seen.
    disturbed_ns: u64,
}

impl Calm {
    /// A round is over.
    pub(super) fn round(&mut self, r: &Round) {
        if r.started_ns > self.disturbed_ns {
            self.unproven = self.unproven.saturating_add(r.retried.into());
            self.ended_ns = self.ended_ns.max(r.finished_ns);
        }
    }

    pub(super) fn disturbed(&mut self, seen_ns: u64) {
        self.unproven = 0;
        self.disturbed_ns = self.disturbed_ns.max(seen_ns);
    }

    /// All coordinators were alive at this moment.
    pub(super) fn proven(&mut self, at_ns: u64) {
        if self.ended_ns <= at_ns {
            self.retried = self.retried.saturating_add(std::mem::take(&mut self.unproven));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runlog::event::Phase;

    fn round(started_ns: u64, finished_ns: u64) -> Round {
        Round {
            round: 0,
            phase: Phase::Load,
            scheduled_ns: started_ns,
            started_ns,
            finished_ns,
            tasks: 2,
            answered: 2,
            failed: 0,
            late: 0,
            duplicates: 0,
            corrupt: 0,
            contradicted: 0,
            retried: 1,
            causes: crate::runlog::event::Causes::default(),
            task_p50_ns: None,
            task_p99_ns: None,
            task_max_ns: None,
            first_ns: None,
            made_ns: None,
            coordinators: Vec::new(),
            workloads: Vec::new(),
            strays: Vec::new(),
        }
    }

    #[test]
    fn a_round_is_calm_once_its_coordinators_were_seen_alive_after_it() {
        let mut calm = Calm::default();
        calm.round(&round(1, 5));
        calm.proven(4);
        assert_eq!(calm.retried, 0, "one may have died at 4, which is seen later");
        calm.proven(5);
        assert_eq!(calm.retried, 1);
        calm.round(&round(6, 8));
        calm.disturbed(9);
        // Under way when that was seen, and begun after it.
        calm.round(&round(9, 12));
        calm.round(&round(10, 13));
        calm.proven(13);
        assert_eq!(calm.retried, 2);
    }
}
