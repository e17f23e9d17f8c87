//! The shape of the ledger: one row for each coordinator that was planned.

use std::collections::HashSet;

use super::plan;
use crate::runlog::event::{Batch, Batches, Ledger, LedgerRow, PlanFacts, Pool, Role};

/// Whether both ends agree is for the evidence; this is whether it is a ledger of this fleet.
/// `has_pool`: a fleet of this format says how its workers were used.
pub(super) fn check(ledger: &Ledger, plan: &PlanFacts, has_pool: bool) -> Result<(), String> {
    let rows = &ledger.coordinators;
    if has_pool {
        pool(ledger)?;
    }
    shape(ledger, plan)?;
    let total = rows.iter().fold(LedgerRow::default(), |sum, row| sum.plus(row.client));
    if !rows.is_empty() && total != ledger.client {
        return Err("the client's ledger is not the sum of its rows".into());
    }
    Ok(())
}

/// Who says what workers have executed says how they were used.
pub(super) fn pool(ledger: &Ledger) -> Result<(), String> {
    let proven = ledger.coordinators.iter().any(|row| row.executed_by_workers.is_some());
    if proven && ledger.pool.is_none() {
        return Err("`pool` is left out, and the rows say what workers have executed".into());
    }
    Ok(())
}

/// What holds of counts at any moment: tasks that no coordinator has now are in no row.
pub(super) fn shape(ledger: &Ledger, plan: &PlanFacts) -> Result<(), String> {
    // A system that keeps no counts of its own has no rows.
    let rows = &ledger.coordinators;
    if rows.is_empty() {
        return Ok(());
    }
    if rows.len() as u64 != u64::from(plan.coordinators) {
        return Err(format!(
            "{} coordinators have a ledger, and {} are planned",
            rows.len(),
            plan.coordinators
        ));
    }
    let mut names = HashSet::new();
    let mut total = LedgerRow::default();
    for row in rows {
        if !plan::has_place(plan, Role::Coordinator, &row.name) || !names.insert(row.name.as_str()) {
            return Err(format!("a ledger of `{}`, which was not planned or has one already", row.name));
        }
        total = total.plus(row.client);
    }
    let proven = rows.iter().filter(|row| row.executed_by_workers.is_some()).count();
    let read = rows.iter().filter(|row| row.coordinator.is_some()).count();
    if proven > 0 && proven < read {
        return Err("the workers of some coordinators have counts, and those of others have none".into());
    }
    if ledger.rejected > ledger.client.answered {
        return Err("more answers were rejected than there were".into());
    }
    if let Some(batches) = ledger.batches
        && [batches.tasks, batches.answers]
            .iter()
            .any(|b| b.batches > b.messages || (b.batches == 0) != (b.messages == 0))
    {
        return Err("there were more batches of messages than messages, or messages in none".into());
    }
    let ended = |row: LedgerRow| {
        let accepted = row.accepted.checked_sub(row.in_flight)?;
        Some(LedgerRow { accepted, in_flight: 0, ..row })
    };
    if ended(total) != ended(ledger.client) || total.in_flight > ledger.client.in_flight {
        return Err("the client's ledger is not the sum of its rows".into());
    }
    Ok(())
}

/// No end counts more than its tasks can have brought about, whatever is on its way.
pub(super) fn at_most(ledger: &Ledger) -> Result<(), String> {
    let tasks = ledger.client.accepted.saturating_add(ledger.refused).saturating_add(1);
    let most = tasks.saturating_mul(ATTEMPTS_MAX);
    let pool = ledger.pool.unwrap_or_default();
    let batches = ledger.batches.unwrap_or_default();
    let rows = ledger.coordinators.iter().flat_map(|row| [Some(row.client), row.coordinator]).flatten();
    let counted = rows.map(|row| row.late.max(row.duplicates));
    let used = [pool.attempts(), pool.retried, pool.recycled, pool.poisoned];
    let sent = [batches.tasks.messages, batches.answers.messages];
    if counted.chain(used).chain(sent).any(|count| count > most) {
        return Err(format!(
            "a checkpoint with more late or second answers, attempts or messages than its {} tasks can have had",
            ledger.client.accepted
        ));
    }
    Ok(())
}

/// Workers that others have replaced in order, if the counts of all coordinators were read.
pub(super) fn renewed(ledger: &Ledger) -> Option<u64> {
    let is_whole = ledger.coordinators.iter().all(|row| row.coordinator.is_some());
    ledger.pool.filter(|_| is_whole).map(|pool| pool.recycled.saturating_add(pool.poisoned))
}

/// Attempts at tasks that neither a task nor a failed attempt accounts for.
pub(super) fn given_again(ledger: &Ledger) -> u64 {
    let tried = |pool: Pool| ledger.client.accepted.saturating_add(pool.retried);
    ledger.pool.map_or(0, |pool| pool.attempts().saturating_sub(tried(pool)))
}

/// What a fleet lost before its ledgers were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Losses {
    /// A process: its tasks were done again.
    pub(super) processes: bool,
    /// One that keeps counts.
    pub(super) counts: bool,
}

/// Times that a task may be tried, as any scenario may have it: attempts are counted in a byte.
const ATTEMPTS_MAX: u64 = 256;

/// No end counts more than the tasks of this ledger can have brought about, and none less where nothing has befallen them.
pub(super) fn bounded(ledger: &Ledger, plan: &PlanFacts, lost: Losses) -> Result<(), String> {
    let most = |row: LedgerRow| {
        let tasks = row.accepted.saturating_add(ledger.refused).saturating_add(1);
        tasks.saturating_mul(ATTEMPTS_MAX)
    };
    for row in &ledger.coordinators {
        for (end, counts) in [("client", Some(row.client)), ("coordinator", row.coordinator)] {
            if counts.is_some_and(|counts| counts.late.max(counts.duplicates) > most(row.client)) {
                return Err(format!(
                    "the {end}'s ledger of {} has more late or second answers than its {} tasks can have had",
                    row.name, row.client.accepted
                ));
            }
        }
    }
    let (client, most) = (ledger.client, most(ledger.client));
    let is_whole = !lost.counts
        && !ledger.coordinators.is_empty()
        && ledger.coordinators.iter().all(|row| row.coordinator.is_some());
    let least = if is_whole { client.answered } else { 0 };
    let is_plain = is_whole
        && !lost.processes
        && ledger.is_undisturbed()
        && plan.tasks_per_round.is_none()
        && plan.workers_least.is_none();
    let within = |count: u64, plain: u64| (least..=most).contains(&count) && (!is_plain || count == plain);
    // Of fleets that lost workers, some answers were seen to be in no batch.
    let least_sent = if lost.processes { 0 } else { least };
    let is_sent =
        |batch: Batch| batch.messages >= least_sent && (!is_plain || batch.messages == client.accepted);
    if let Some(pool) = ledger.pool {
        let attempts = pool.hits.saturating_add(pool.misses);
        let plain = client.accepted.saturating_add(pool.retried);
        // Each task that is tried again is given to a worker again, if all were answered.
        let all_answered = is_whole && client.accepted == client.answered;
        if !within(attempts, plain)
            || (all_answered && attempts < plain)
            || pool.retried.max(pool.recycled).max(pool.poisoned) > attempts
        {
            return Err(format!(
                "{} tasks, and workers were used {attempts} times, replaced {} times and asked again {} times",
                client.accepted,
                pool.recycled.saturating_add(pool.poisoned),
                pool.retried
            ));
        }
    }
    match ledger.batches {
        Some(Batches { tasks, answers })
            if !(is_sent(tasks) && is_sent(answers)) || tasks.messages.max(answers.messages) > most =>
        {
            Err(format!(
                "{} tasks, and {} messages to the coordinators and {} from them",
                client.accepted, tasks.messages, answers.messages
            ))
        }
        _ => Ok(()),
    }
}
