//! The tables and lists of a report that need more than a row of the facts: the ledger, and who died with whom.

use super::n;
use crate::facts::Facts;
use crate::runlog::event::{AgentExit, LedgerRow, dependents};
use crate::units;

/// Deaths seen within this time of a coordinator's are its workers', if they are its workers.
const WITH_IT_NS: u64 = 2_000_000_000;
/// Names that stand in a line for many.
const NAMED_MAX: usize = 3;

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

/// One line for a death and its consequences: `coord/0 (pid 7) killed by SIGKILL at 11.2 s, and 20 workers under it`.
/// Those that died alike at the same time share one.
pub(super) fn deaths(facts: &Facts) -> Vec<String> {
    let mut rest: Vec<&AgentExit> = facts.exits_unexpected.items.iter().collect();
    rest.sort_by_key(|exit| !exit.name.starts_with("coord/"));
    let mut lines = Vec::new();
    while let Some(first) = rest.first().copied() {
        let with = consequences(first, &rest);
        let line = match first.name.strip_prefix("coord/") {
            Some(_) if !with.is_empty() => format!("{}, and {} under it", death(first), workers(with.len())),
            _ => match with.len() {
                0 => death(first),
                more => format!("{}, and {} alike: {}", death(first), n(more as u64), names(&with)),
            },
        };
        lines.push((first.seen_ns, line));
        rest.retain(|exit| {
            !std::ptr::eq(*exit, first) && !with.iter().any(|other| std::ptr::eq(*exit, *other))
        });
    }
    lines.sort();
    let mut lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    match facts.exits_unexpected.left_out() {
        0 => {}
        more => lines.push(format!("and {} more in the run log", n(more))),
    }
    lines
}

/// One line each, for who wants every pid.
pub(super) fn every_death(facts: &Facts) -> Vec<String> {
    facts.exits_unexpected.items.iter().map(death).collect()
}

/// Of a coordinator, its workers; of any other process, what ended in the same way at the same time. The order of the log
/// says nothing of causes.
fn consequences<'a>(first: &AgentExit, rest: &[&'a AgentExit]) -> Vec<&'a AgentExit> {
    let near = |other: &&&AgentExit| other.seen_ns.abs_diff(first.seen_ns) <= WITH_IT_NS;
    let others = rest.iter().filter(|other| !std::ptr::eq(**other, first)).filter(near);
    match dependents(&first.name) {
        Some(prefix) => others.filter(|other| other.name.starts_with(&prefix)).copied().collect(),
        None => others
            .filter(|other| other.how == first.how && role(&other.name) == role(&first.name))
            .copied()
            .collect(),
    }
}

fn role(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

fn death(exit: &AgentExit) -> String {
    format!("{} (pid {}) {} at {}", exit.name, exit.pid, exit.how, units::nanos(exit.seen_ns))
}

fn workers(count: usize) -> String {
    match count {
        1 => "the worker".to_owned(),
        more => format!("{} workers", n(more as u64)),
    }
}

fn names(exits: &[&AgentExit]) -> String {
    let shown: Vec<&str> = exits.iter().take(NAMED_MAX).map(|exit| exit.name.as_str()).collect();
    match exits.len().saturating_sub(NAMED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), n(more as u64)),
    }
}
