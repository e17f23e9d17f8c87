//! What does not go on, and whom it waits for.

use super::read::Open;
use super::{CoordinatorStatus, ProcessStatus, Stuck, WorkerStatus};
use std::collections::BTreeMap;

/// What is in hand for less is at work.
const LONG_NS: u64 = 1_000_000_000;

pub(super) fn look(into: &mut Vec<Stuck>, coordinator: &CoordinatorStatus, tasks: &[Open], now: u64) {
    let own = &coordinator.process;
    into.extend(suspicion(own));
    for worker in &coordinator.workers {
        into.extend(suspicion(&worker.process));
        into.extend(in_hand(worker));
    }
    // Those that wait for the same are told together, by the oldest of them.
    let mut waiting: BTreeMap<(String, String), Stuck> = BTreeMap::new();
    for open in tasks.iter().filter(|open| open.is_queued) {
        let Some((who, why)) = nobody_to_take(coordinator, open) else { continue };
        let for_ns = now.saturating_sub(open.task.sent_ns);
        let stuck = waiting.entry((who.clone(), why.clone())).or_insert(Stuck {
            who,
            kind: if coordinator.paused { "paused" } else { "queued" },
            why,
            tasks: 0,
            task_id: None,
            for_ns: 0,
        });
        stuck.tasks += 1;
        if stuck.task_id.is_none() || for_ns > stuck.for_ns {
            stuck.task_id = Some(open.task.id.to_string());
            stuck.for_ns = for_ns;
        }
    }
    into.extend(waiting.into_values());
}

fn suspicion(process: &ProcessStatus) -> Option<Stuck> {
    Some(Stuck {
        who: process.name.clone(),
        kind: "suspected",
        why: "its progress has stopped".to_owned(),
        tasks: 0,
        task_id: None,
        for_ns: process.suspected_ns?,
    })
}

fn in_hand(worker: &WorkerStatus) -> Option<Stuck> {
    let sequence = worker.task?;
    let for_ns = worker.idle_or_busy_ns.filter(|busy_ns| *busy_ns > LONG_NS)?;
    let attempt = worker.attempt.filter(|attempt| *attempt > 1);
    Some(Stuck {
        who: worker.process.name.clone(),
        kind: "in-hand",
        why: match attempt {
            Some(attempt) => format!("in hand, attempt {attempt}"),
            None => "in hand".to_owned(),
        },
        tasks: 1,
        task_id: Some(worker.task_id.clone().unwrap_or_else(|| sequence.to_string())),
        for_ns,
    })
}

/// Whom a queued task waits for, and why that will not take it for now. `None` if somebody will: they are only busy.
fn nobody_to_take(coordinator: &CoordinatorStatus, open: &Open) -> Option<(String, String)> {
    let own = &coordinator.process;
    let told = |process: &ProcessStatus, why: &str| Some((process.name.clone(), why.to_owned()));
    if !own.is_live() {
        return told(own, not_there(own));
    }
    if coordinator.paused {
        return told(own, "it stands still, as an operator wants");
    }
    if let Some(place) = open.task.place() {
        let process = &coordinator.workers.get(place as usize)?.process;
        if !process.is_live() {
            return told(process, not_there(process));
        }
    } else if coordinator.live == 0 {
        return told(own, "none of its workers lives");
    }
    (open.attempt > 0).then(|| (own.name.clone(), "they failed, and wait for their next attempt".to_owned()))
}

fn not_there(process: &ProcessStatus) -> &'static str {
    match process.life {
        "dead" => "it is dead, and nobody comes in its place",
        "replacing" => "it is dead, and its successor has not come yet",
        "stopped" => "it was told to stop",
        _ => "it has not started yet",
    }
}
