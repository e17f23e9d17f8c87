//! The shape of the ledger: one row for each coordinator that was planned.

use std::collections::HashSet;

use super::plan;
use crate::runlog::event::{Ledger, LedgerRow, PlanFacts, Role};

/// Whether both ends agree is for the evidence; this is whether it is a ledger of this fleet.
pub(super) fn check(ledger: &Ledger, plan: &PlanFacts) -> Result<(), String> {
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
    if total != ledger.client {
        return Err("the client's ledger is not the sum of its rows".into());
    }
    Ok(())
}
