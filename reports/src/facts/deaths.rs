//! Who died with whom, in words: a death and its consequences are one line.

use super::Facts;
use crate::runlog::event::{AgentExit, dependents};
use crate::units;

/// Deaths seen within this time of a coordinator's are its workers', if they are its workers.
const WITH_IT_NS: u64 = 2_000_000_000;
/// Names that stand in a line for many.
const NAMED_MAX: usize = 3;

/// One line for a death and its consequences: `coord/0 (pid 7) killed by SIGKILL at 11.2 s, and 20 workers under it`.
/// Those that died alike at the same time share one.
pub(crate) fn deaths(facts: &Facts) -> Vec<String> {
    let mut rest: Vec<&AgentExit> = facts.exits_unexpected.items.iter().collect();
    rest.sort_by_key(|exit| !exit.name.starts_with("coord/"));
    let mut lines = Vec::new();
    while let Some(first) = rest.first().copied() {
        let with = consequences(first, &rest);
        let line = match first.name.strip_prefix("coord/") {
            Some(_) if !with.is_empty() => format!("{}, and {} under it", death(first), workers(with.len())),
            _ => match with.len() {
                0 => death(first),
                more => {
                    format!("{}, and {} alike: {}", death(first), units::count(more as f64), names(&with))
                }
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
        more => lines.push(format!("and {} more in the run log", units::count(more as f64))),
    }
    lines
}

/// One line each, for who wants every pid.
pub(crate) fn every_death(facts: &Facts) -> Vec<String> {
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
        more => format!("{} workers", units::count(more as f64)),
    }
}

fn names(exits: &[&AgentExit]) -> String {
    let shown: Vec<&str> = exits.iter().take(NAMED_MAX).map(|exit| exit.name.as_str()).collect();
    match exits.len().saturating_sub(NAMED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), units::count(more as f64)),
    }
}
