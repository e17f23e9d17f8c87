//! One frame: lines of text, as wide and as many as there is room for.

use crate::cli::shown;
use crate::client::status::{CoordinatorStatus, FleetStatus, WorkerStatus};
use std::time::Duration;

/// Without a terminal that limits the number of lines.
const WORKERS_SHOWN: usize = 20;
const STUCK_SHOWN: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// `before` is an earlier reading, for the rates.
pub(super) fn frame(
    name: &str,
    before: Option<&FleetStatus>,
    now: &FleetStatus,
    age: Duration,
    size: Option<Size>,
) -> Vec<String> {
    let mut lines =
        vec![shown::head(name, now, age), shown::tasks(now), rates(before, now), shown::pool(now)];
    lines.extend(shown::holders(now));
    lines.push(String::new());
    lines.extend(coordinators(before, now));
    if !now.stuck.is_empty() {
        lines.push(String::new());
        lines.push("STUCK".to_owned());
        lines.extend(now.stuck.iter().take(STUCK_SHOWN).map(shown::stuck));
    }
    lines.push(String::new());
    let room = size.map_or(WORKERS_SHOWN, |size| size.rows.saturating_sub(lines.len() + 1));
    lines.extend(workers(before, now, room));
    let Size { columns, rows } = size.unwrap_or(Size { columns: usize::MAX, rows: usize::MAX });
    lines.truncate(rows);
    for line in &mut lines {
        *line = line.trim_end().chars().take(columns).collect();
    }
    lines
}

/// The increase per second.
fn per_second(before: u64, now: u64, apart_ns: u64) -> f64 {
    // The shared memory may have been overwritten: a count that goes back gives no rate.
    let more = now.saturating_sub(before) as f64;
    if apart_ns == 0 { 0.0 } else { more / Duration::from_nanos(apart_ns).as_secs_f64() }
}

fn rates(before: Option<&FleetStatus>, now: &FleetStatus) -> String {
    let Some(before) = before else { return "rates: with the next update".to_owned() };
    let apart_ns = now.read_ns.saturating_sub(before.read_ns);
    let rate = |of: fn(&FleetStatus) -> u64| per_second(of(before), of(now), apart_ns);
    format!(
        "rates: {:.1} accepted/s, {:.1} answered/s, {:.1} failed tasks/s, {:.1} failed deliveries/s, {:.1} retried/s, {:.1} deaths/s",
        rate(|status| status.ledger.accepted),
        rate(|status| status.ledger.answered),
        rate(|status| status.ledger.failed_tasks),
        rate(|status| status.ledger.failed),
        rate(|status| status.counts.retried),
        rate(|status| status.deaths),
    )
}

fn coordinators(before: Option<&FleetStatus>, now: &FleetStatus) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<10} {:>8} {:>12} {:>5} {:>5} {:>5} {:>6} {:>6} {:>6} {:>9} {:>6}  STATE",
        "NAME", "PID", "UP", "EPOCH", "LIVE", "BUSY", "WANTED", "QUEUED", "FLIGHT", "DONE/S", "DEATHS"
    )];
    for (at, one) in now.coordinators.iter().enumerate() {
        if one.process.is_absent() {
            continue;
        }
        let earlier = before.and_then(|before| Some((before.read_ns, before.coordinators.get(at)?)));
        let done = |one: &CoordinatorStatus| one.ledger.answered.saturating_add(one.ledger.failed);
        let rate = earlier.map(|(read_ns, earlier)| {
            per_second(done(earlier), done(one), now.read_ns.saturating_sub(read_ns))
        });
        lines.push(format!(
            "{:<10} {:>8} {:>12} {:>5} {:>5} {:>5} {:>6} {:>6} {:>6} {:>9} {:>6}  {}",
            one.process.place.to_string(),
            one.process.pid,
            up(one.process.up_ns),
            one.epoch,
            one.live,
            one.busy,
            one.wanted.map_or_else(|| "-".to_owned(), |wanted| wanted.to_string()),
            one.queued,
            one.ledger.in_flight,
            rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
            one.process.deaths,
            state(one),
        ));
    }
    lines
}

fn up(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), |ns| shown::time(Duration::from_nanos(ns)))
}

fn state(one: &CoordinatorStatus) -> String {
    let mut text = one.process.life.to_string();
    for (is_so, word) in [
        (one.process.retiring, ", retiring"),
        (one.paused, ", paused"),
        (one.process.suspected_ns.is_some(), ", suspected"),
    ] {
        if is_so {
            text.push_str(word);
        }
    }
    text
}

/// The workers that have been busy longest first, then those that have died, then the idle ones.
fn workers(before: Option<&FleetStatus>, now: &FleetStatus, room: usize) -> Vec<String> {
    let earlier = |at: usize, number: usize| before?.coordinators.get(at)?.workers.get(number);
    let mut all: Vec<(&WorkerStatus, Option<f64>)> = Vec::new();
    for (at, one) in now.coordinators.iter().enumerate() {
        for (number, worker) in
            one.workers.iter().enumerate().filter(|(_, worker)| !worker.process.is_absent())
        {
            let rate = before.zip(earlier(at, number)).map(|(before, earlier)| {
                per_second(earlier.executed, worker.executed, now.read_ns.saturating_sub(before.read_ns))
            });
            all.push((worker, rate));
        }
    }
    all.sort_by_key(|(worker, _)| {
        let busy_ns = worker.task.and(worker.idle_or_busy_ns).unwrap_or(0);
        std::cmp::Reverse((busy_ns, worker.process.deaths))
    });
    let mut lines = vec![format!(
        "{:<14} {:>8} {:>12} {:>8} {:>9} {:>6}  {:<10} TASK",
        "NAME", "PID", "UP", "DONE", "DONE/S", "DEATHS", "STATE"
    )];
    for (worker, rate) in all.iter().take(room) {
        let process = &worker.process;
        lines.push(format!(
            "{:<14} {:>8} {:>12} {:>8} {:>9} {:>6}  {:<10} {}",
            process.place.to_string(),
            process.pid,
            up(process.up_ns),
            worker.executed,
            rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
            process.deaths,
            if process.suspected_ns.is_some() { "suspected".to_owned() } else { process.life.to_string() },
            task(worker),
        ));
    }
    if let Some(more) = all.len().checked_sub(room).filter(|more| *more > 0) {
        // In place of the last worker, so that it fits.
        lines.pop();
        lines.push(format!("and {} more", more + 1));
    }
    lines
}

fn task(worker: &WorkerStatus) -> String {
    let Some(sequence) = worker.task else { return String::new() };
    let id = worker.task_id.clone().unwrap_or_else(|| sequence.to_string());
    let long = worker.idle_or_busy_ns.map(|ns| shown::time(Duration::from_nanos(ns)));
    format!("{id} for {}", long.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_second_and_never_of_no_time() {
        assert!((per_second(10, 20, 500_000_000) - 20.0).abs() < 1e-9);
        assert!(per_second(20, 10, 500_000_000).abs() < 1e-9);
        assert!(per_second(0, 10, 0).abs() < 1e-9);
    }
}
