//! The table of a report that needs more than a row of the facts: the ledger.

use super::n;
use crate::facts::Facts;
use crate::runlog::event::LedgerRow;

pub(super) struct LedgerLine {
    pub(super) name: String,
    pub(super) end: &'static str,
    pub(super) cells: Vec<String>,
}

pub(super) fn ledger(facts: &Facts) -> Vec<LedgerLine> {
    let Some(ledger) = &facts.ledger else { return Vec::new() };
    let line = |name: &str, end, row: &LedgerRow, executed: Option<u64>| {
        let figures = [row.accepted, row.answered, row.failed, row.in_flight, row.late, row.duplicates];
        let mut cells: Vec<_> = figures.into_iter().map(n).collect();
        cells.push(executed.map_or_else(String::new, n));
        LedgerLine { name: name.to_owned(), end, cells }
    };
    let mut out = vec![line("all", "client", &ledger.client, None)];
    for c in &ledger.coordinators {
        out.push(line(&c.name, "client", &c.client, None));
        out.push(c.coordinator.as_ref().map_or_else(
            || LedgerLine {
                name: String::new(),
                end: "coordinator",
                cells: vec!["could not be read".into()],
            },
            |own| line("", "coordinator", own, c.executed_by_workers),
        ));
    }
    // They stand in the rounds alone: there they failed, and in the ledgers they did not.
    for (count, name) in [(ledger.refused, "refused by the bus"), (ledger.rejected, "answered incorrectly")] {
        if count > 0 {
            let cells = vec![String::new(), String::new(), n(count)];
            out.push(LedgerLine { name: name.into(), end: "rounds", cells });
        }
    }
    out
}
