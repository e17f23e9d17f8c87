//! Checkpoints: counts that add up, and only grow.

use super::ledger::{self, Losses};
use super::{Validator, plan};
use crate::runlog::event::{Checkpoint, Ledger, LedgerRow, OpenRounds, PlanFacts};

/// Those of one segment.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    last: Option<(u64, Checkpoint)>,
}

impl Checkpoints {
    /// Takes one, and returns the one before it.
    pub(super) fn next(&mut self, seq: u64, checkpoint: &Checkpoint) -> Option<Checkpoint> {
        self.last.replace((seq, checkpoint.clone())).map(|(_, before)| before)
    }

    /// Position of the last one.
    pub(super) fn last_seq(&self) -> Option<u64> {
        self.last.as_ref().map(|(seq, _)| *seq)
    }

    /// The ledger counts no less than the last checkpoint.
    pub(super) fn before_ledger(&self, ledger: &Ledger, lost: Losses) -> Result<(), String> {
        self.last.as_ref().map_or(Ok(()), |(_, before)| grows(&before.ledger, ledger, lost))
    }
}

/// What the rounds of a segment have said so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct SoFar {
    pub(super) tasks: u64,
    pub(super) answered: u64,
    /// Of these, in the load,
    pub(super) of_load: u64,
    /// and how many of the load have latencies.
    pub(super) timed: u64,
}

impl SoFar {
    /// The rounds so far, with those on their way, are what the client has counted; and their latencies are there.
    fn agrees(self, checkpoint: &Checkpoint) -> Result<(), String> {
        let Checkpoint { ledger, open } = checkpoint;
        let rounds = (self.tasks.saturating_add(open.tasks), self.answered.saturating_add(open.answered));
        let booked = (
            ledger.client.accepted.saturating_add(ledger.refused),
            ledger.client.answered.saturating_sub(ledger.rejected),
        );
        if rounds != booked {
            return Err(format!(
                "the rounds hold {} tasks and {} answers at a checkpoint, and the client counts {} and {}",
                rounds.0, rounds.1, booked.0, booked.1
            ));
        }
        if !(self.of_load..=self.of_load.saturating_add(open.answered)).contains(&self.timed) {
            return Err(format!(
                "{} tasks of the load were answered at a checkpoint, {} of rounds on their way, and {} have latencies",
                self.of_load, open.answered, self.timed
            ));
        }
        Ok(())
    }
}

impl Validator {
    pub(super) fn checkpoint(
        &mut self,
        checkpoint: &Checkpoint,
        plan: Option<&PlanFacts>,
    ) -> Result<(), String> {
        // Known whatever is wrong with it: the next segment names it.
        let before = self.checkpoints.next(self.seq, checkpoint);
        if self.ledger {
            return Err("a checkpoint after the ledger".into());
        }
        if self.began_ns == 0 {
            return Err("a checkpoint before the fleet was there".into());
        }
        self.under_load("a checkpoint")?;
        let Some(plan) = plan else { return Ok(()) };
        check(checkpoint, before.as_ref(), plan, self.bounds.losses())?;
        self.rounds.so_far().agrees(checkpoint)
    }
}

/// Whether a checkpoint can be one of this plan, and can follow the one before.
fn check(
    checkpoint: &Checkpoint,
    before: Option<&Checkpoint>,
    plan: &PlanFacts,
    lost: Losses,
) -> Result<(), String> {
    let Checkpoint { ledger, open } = checkpoint;
    ledger::pool(ledger)?;
    ledger::shape(ledger, plan)?;
    let OpenRounds { rounds, tasks, answered, failed } = *open;
    if rounds > plan.rounds_in_flight_max {
        return Err(format!(
            "a checkpoint with {rounds} rounds on their way, of {} at most",
            plan.rounds_in_flight_max
        ));
    }
    let each = plan::tasks(plan);
    let all = each.start().saturating_mul(rounds.into())..=each.end().saturating_mul(rounds.into());
    if !all.contains(&tasks) || answered.saturating_add(failed) > tasks {
        return Err(format!(
            "a checkpoint with {rounds} rounds of {tasks} tasks on their way, {answered} of them answered and {failed} failed"
        ));
    }
    let LedgerRow { accepted, answered, failed, in_flight, .. } = ledger.client;
    if accepted != answered.saturating_add(failed).saturating_add(in_flight) {
        return Err("a checkpoint in which accepted is not answered + failed + in flight".into());
    }
    if open.in_hand() > in_flight {
        return Err(format!(
            "a checkpoint with {} tasks in hand, and {in_flight} in flight at the client",
            open.in_hand()
        ));
    }
    ledger::at_most(ledger)?;
    before.map_or(Ok(()), |before| grows(&before.ledger, ledger, lost))
}

/// No count becomes less. What processes that were lost had counted may be lost, too.
fn grows(before: &Ledger, now: &Ledger, lost: Losses) -> Result<(), String> {
    let less = |what: &str, before: u64, now: u64| {
        (now < before).then(|| format!("{what} was {before} at a checkpoint, and is {now} later"))
    };
    let row = |whose: &str, before: &LedgerRow, now: &LedgerRow, is_whole: bool| {
        // A task that one coordinator gives back is accepted by another.
        less(&format!("`answered` of {whose}"), before.answered, now.answered)
            .or_else(|| less(&format!("`failed` of {whose}"), before.failed, now.failed))
            .or_else(|| less(&format!("`late` of {whose}"), before.late, now.late))
            .or_else(|| less(&format!("`duplicates` of {whose}"), before.duplicates, now.duplicates))
            .or_else(|| {
                is_whole.then(|| less(&format!("`accepted` of {whose}"), before.accepted, now.accepted))?
            })
    };
    let mut wrong = row("the client", &before.client, &now.client, true)
        .or_else(|| less("`refused`", before.refused, now.refused))
        .or_else(|| less("`rejected`", before.rejected, now.rejected));
    if before.coordinators.len() != now.coordinators.len() || before.evidence != now.evidence {
        return Err("a checkpoint has the counts of other coordinators than one before it".into());
    }
    for (before, now) in before.coordinators.iter().zip(&now.coordinators) {
        wrong = wrong.or_else(|| {
            (before.name != now.name).then(|| format!("{} follows {} in a checkpoint", now.name, before.name))
        });
        wrong = wrong
            .or_else(|| row(&format!("the client for {}", now.name), &before.client, &now.client, false));
        if lost.processes {
            continue;
        }
        if let (Some(before), Some(own)) = (&before.coordinator, &now.coordinator) {
            wrong = wrong.or_else(|| row(&now.name, before, own, false));
        }
        if let (Some(before), Some(executed)) = (before.executed_by_workers, now.executed_by_workers) {
            wrong = wrong.or_else(|| {
                less(&format!("what the workers of {} have executed", now.name), before, executed)
            });
        }
    }
    if let (Some(before), Some(now), false) = (before.pool, now.pool, lost.processes) {
        wrong = wrong.or_else(|| less("attempts at tasks", before.attempts(), now.attempts()));
    }
    wrong.map_or(Ok(()), Err)
}
