//! Which tasks a synthetic run loses, and what both ends have counted.

use reports::runlog::event::*;

use super::Run;

impl Run {
    /// What each coordinator has answered of a round.
    pub(super) fn shares(&self, failed: u32) -> Vec<u32> {
        let has_shares = self.coordinators > 1 && failed < self.tasks();
        let of = |coordinator| self.workers - self.lost(failed, coordinator);
        if has_shares { (0..self.coordinators).map(of).collect() } else { Vec::new() }
    }

    /// The losses of a round lie with the first coordinators, as far as they have tasks.
    fn lost(&self, failed: u32, coordinator: u32) -> u32 {
        failed.saturating_sub(coordinator * self.workers).min(self.workers)
    }

    fn failure(round: &Round, task: u32) -> TaskFailed {
        TaskFailed {
            round: round.round,
            task: format!("0.1.{task}"),
            worker: 3,
            workload: None,
            reason: "worker/0.0: no answer within 30s".into(),
        }
    }

    /// Those of a round, as far as there is room for them in the log.
    pub(super) fn failures(round: &Round, listed: &mut u64) -> Vec<(u64, Event)> {
        let room = TASK_FAILURES_MAX.saturating_sub(*listed).min(round.failed.into());
        *listed += u64::from(round.failed);
        let failure = |task| (round.finished_ns, Event::TaskFailed(Self::failure(round, task)));
        (0..room as u32).map(failure).collect()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let each = u64::from(self.workers);
        let rounds = self.warm_up_rounds + self.rounds;
        let mut coordinators = Vec::new();
        let mut client = LedgerRow::default();
        for c in 0..self.coordinators {
            let failed: u64 = (0..self.rounds).map(|n| u64::from(self.lost((self.failed)(n), c))).sum();
            let accepted = rounds * each;
            let row = LedgerRow { accepted, answered: accepted - failed, failed, ..LedgerRow::default() };
            client.accepted += row.accepted;
            client.answered += row.answered;
            client.failed += row.failed;
            coordinators.push(CoordinatorLedger {
                name: format!("coord/{c}"),
                client: row,
                coordinator: Some(row),
                executed_by_workers: Some(row.answered),
            });
        }
        Ledger {
            client,
            coordinators,
            refused: 0,
            rejected: 0,
            evidence: LedgerEvidence::Workers,
            pool: Some(self.pool.unwrap_or(Pool { hits: client.accepted, ..Pool::default() })),
            batches: self.batches,
        }
    }
}
