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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::slot::Life;
    use crate::client::Ledger;
    use crate::client::status::{Counts, word};
    use crate::wire::place::PlaceId;
    use crate::wire::{ANY, TaskHeader, TaskId};

    const NOW: u64 = 100_000_000_000;

    fn process(place: PlaceId, life: Life) -> ProcessStatus {
        ProcessStatus {
            place,
            name: place.to_string(),
            pid: 1,
            start_ticks: 1,
            up_ns: None,
            life: word(life),
            ended: None,
            incarnation: 1,
            deaths: 0,
            last_death: None,
            suspected_ns: None,
            retiring: false,
        }
    }

    fn worker(number: u32, life: Life) -> WorkerStatus {
        WorkerStatus {
            process: process(PlaceId::worker(0, number), life),
            executed: 0,
            task: None,
            task_id: None,
            attempt: None,
            idle_or_busy_ns: None,
        }
    }

    /// With two workers, one of them dead for good.
    fn coordinator(life: Life) -> CoordinatorStatus {
        CoordinatorStatus {
            process: process(PlaceId::Coordinator(0), life),
            epoch: 1,
            ledger: Ledger::default(),
            requeued: 0,
            fenced: 0,
            damaged: 0,
            counts: Counts::default(),
            queued: 0,
            live: 1,
            busy: 0,
            wanted: None,
            paused: false,
            workers: vec![worker(0, Life::Live), worker(1, Life::Dead)],
        }
    }

    fn queued(sequence: u64, worker: u16, attempt: u8) -> Open {
        let task = TaskHeader {
            id: TaskId { epoch: 1, sender: 1, sequence },
            deadline_ns: u64::MAX,
            parameter: 0,
            // The lower its sequence, the longer it waits.
            sent_ns: sequence * 1_000_000_000,
            entry: 0,
            lease: 0,
            timeout_ms: 0,
            worker,
            kind: 1,
            attempts_max: 0,
        };
        Open { task, is_queued: true, leased_to: None, attempt }
    }

    /// Who, of what kind, how many, the oldest, and for how many seconds.
    fn check(
        coordinator: &CoordinatorStatus,
        tasks: &[Open],
        expect: &[(&str, &str, u64, Option<&str>, u64)],
    ) {
        let mut found = Vec::new();
        look(&mut found, coordinator, tasks, NOW);
        let found: Vec<_> = found
            .iter()
            .map(|s| (s.who.as_str(), s.kind, s.tasks, s.task_id.as_deref(), s.for_ns / 1_000_000_000))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn who_waits_for_somebody_busy_is_not_stuck() {
        check(&coordinator(Life::Live), &[queued(1, ANY, 0), queued(2, 0, 0)], &[]);
    }

    #[test]
    fn tasks_that_wait_for_the_same_dead_worker_are_told_by_the_oldest() {
        let tasks = [queued(7, 1, 0), queued(3, 1, 0), queued(5, 1, 0)];
        check(&coordinator(Life::Live), &tasks, &[("worker/0.1", "queued", 3, Some("1.1.3"), 97)]);
    }

    #[test]
    fn nobody_takes_anything_from_a_dead_coordinator_or_without_workers() {
        let tasks = [queued(7, 0, 0), queued(3, ANY, 0)];
        for life in [Life::Dead, Life::Replacing, Life::Starting, Life::Stopped] {
            check(&coordinator(life), &tasks, &[("coord/0", "queued", 2, Some("1.1.3"), 97)]);
        }
        let empty = CoordinatorStatus { live: 0, ..coordinator(Life::Live) };
        check(&empty, &tasks[1..], &[("coord/0", "queued", 1, Some("1.1.3"), 97)]);
    }

    #[test]
    fn what_failed_waits_for_its_next_attempt() {
        check(&coordinator(Life::Live), &[queued(7, ANY, 2)], &[("coord/0", "queued", 1, Some("1.1.7"), 93)]);
    }

    #[test]
    fn a_pause_holds_everything_up() {
        let paused = CoordinatorStatus { paused: true, ..coordinator(Life::Live) };
        check(&paused, &[queued(7, ANY, 0)], &[("coord/0", "paused", 1, Some("1.1.7"), 93)]);
    }

    #[test]
    fn who_is_suspected_and_what_is_long_in_hand_is_told() {
        let mut one = coordinator(Life::Live);
        one.process.suspected_ns = Some(4_000_000_000);
        one.workers[0].process.suspected_ns = Some(3_000_000_000);
        one.workers[0].task = Some(9);
        one.workers[0].idle_or_busy_ns = Some(LONG_NS + 1);
        check(
            &one,
            &[],
            &[
                ("coord/0", "suspected", 0, None, 4),
                ("worker/0.0", "suspected", 0, None, 3),
                ("worker/0.0", "in-hand", 1, Some("9"), 1),
            ],
        );
        one.workers[0].idle_or_busy_ns = Some(LONG_NS);
        one.workers[0].process.suspected_ns = None;
        one.process.suspected_ns = None;
        check(&one, &[], &[]);
    }
}
