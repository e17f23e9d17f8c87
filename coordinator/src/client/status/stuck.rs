//! Finds what is stuck, and which process it waits for.

use super::open::Open;
use super::{CoordinatorStatus, Life, ProcessStatus, Stuck, StuckKind, WorkerStatus};
use crate::wire::place::PlaceId;
use std::collections::BTreeMap;

/// A task in hand for less than this is being worked on.
pub(super) const LONG_NS: u64 = 1_000_000_000;

pub(super) fn look(into: &mut Vec<Stuck>, coordinator: &CoordinatorStatus, tasks: &[Open], now: u64) {
    let own = &coordinator.process;
    into.extend(suspicion(own));
    for worker in &coordinator.workers {
        into.extend(suspicion(&worker.process));
        into.extend(in_hand(worker));
    }
    // Tasks that wait for the same process for the same reason are one entry, named after the oldest.
    let mut waiting: BTreeMap<(PlaceId, String), Stuck> = BTreeMap::new();
    for open in tasks.iter().filter(|open| open.is_queued) {
        let Some((place, message)) = waits_for(coordinator, open) else { continue };
        let for_ns = now.saturating_sub(open.task.sent_ns);
        let stuck = waiting.entry((place, message.clone())).or_insert(Stuck {
            place,
            kind: if coordinator.paused { StuckKind::Paused } else { StuckKind::Queued },
            message,
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
        place: process.place,
        kind: StuckKind::Suspected,
        message: "makes no progress".to_owned(),
        tasks: 0,
        task_id: None,
        for_ns: process.suspected_ns?,
    })
}

fn in_hand(worker: &WorkerStatus) -> Option<Stuck> {
    let sequence = worker.task?;
    let for_ns = worker.idle_or_busy_ns.filter(|busy_ns| *busy_ns > LONG_NS)?;
    let attempt = worker.attempt.filter(|attempt| *attempt > 1);
    let attempt = attempt.map(|attempt| format!(", attempt {attempt}"));
    let stopped =
        worker.stopped.map(|pid| format!(", process {pid} of it stopped (`kill -CONT {pid}` continues it),"));
    let message = format!("in hand{}{}", attempt.unwrap_or_default(), stopped.unwrap_or_default());
    Some(Stuck {
        place: worker.process.place,
        kind: if worker.stopped.is_some() { StuckKind::Stopped } else { StuckKind::TaskInHand },
        message,
        tasks: 1,
        task_id: Some(worker.task_id.clone().unwrap_or_else(|| sequence.to_string())),
        for_ns,
    })
}

/// The process that a queued task waits for, and why that process does not take it for now. `None` if a worker will
/// take it as soon as one is free.
fn waits_for(coordinator: &CoordinatorStatus, open: &Open) -> Option<(PlaceId, String)> {
    let own = &coordinator.process;
    let stuck = |process: &ProcessStatus, message: &str| Some((process.place, message.to_owned()));
    if !own.is_live() {
        return stuck(own, not_there(own));
    }
    if coordinator.paused {
        return stuck(own, "paused by an operator");
    }
    if let Some(place) = open.task.place() {
        let process = &coordinator.workers.get(place as usize)?.process;
        if !process.is_live() {
            return stuck(process, not_there(process));
        }
    } else if coordinator.live == 0 {
        return stuck(own, "none of its workers is alive");
    }
    (open.attempt > 0)
        .then(|| (own.place, "an attempt failed; the next one follows after a pause".to_owned()))
}

fn not_there(process: &ProcessStatus) -> &'static str {
    match process.life {
        Life::Dead => "it is dead and will not be restarted",
        Life::Replacing => "it is dead, and its successor is not ready yet",
        Life::Stopped => "it was stopped on request",
        Life::Absent | Life::Starting | Life::Live => "it has not started yet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Ledger;
    use crate::client::status::Counts;
    use crate::wire::{ANY, TaskHeader, TaskId};

    const NOW: u64 = 100_000_000_000;
    const COORDINATOR: PlaceId = PlaceId::Coordinator(0);

    fn process(place: PlaceId, life: Life) -> ProcessStatus {
        ProcessStatus {
            place,
            pid: 1,
            start_ticks: 1,
            up_ns: None,
            life,
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
            stopped: None,
        }
    }

    /// With two workers, one of them dead and not to be restarted.
    fn coordinator(life: Life) -> CoordinatorStatus {
        CoordinatorStatus {
            process: process(PlaceId::Coordinator(0), life),
            epoch: 1,
            ledger: Ledger::default(),
            untold: 0,
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
            // The lower its sequence, the longer it has waited.
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

    /// The place, the kind, how many tasks, the oldest, and for how many seconds.
    fn check(
        coordinator: &CoordinatorStatus,
        tasks: &[Open],
        expect: &[(PlaceId, StuckKind, u64, Option<&str>, u64)],
    ) {
        let mut found = Vec::new();
        look(&mut found, coordinator, tasks, NOW);
        let found: Vec<_> = found
            .iter()
            .map(|s| (s.place, s.kind, s.tasks, s.task_id.as_deref(), s.for_ns / 1_000_000_000))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_task_that_waits_for_a_busy_worker_is_not_stuck() {
        check(&coordinator(Life::Live), &[queued(1, ANY, 0), queued(2, 0, 0)], &[]);
    }

    #[test]
    fn tasks_that_wait_for_the_same_dead_worker_are_one_entry_named_after_the_oldest() {
        let tasks = [queued(7, 1, 0), queued(3, 1, 0), queued(5, 1, 0)];
        check(
            &coordinator(Life::Live),
            &tasks,
            &[(PlaceId::worker(0, 1), StuckKind::Queued, 3, Some("1.1.3"), 97)],
        );
    }

    #[test]
    fn tasks_of_a_dead_coordinator_or_of_one_without_workers_are_stuck() {
        let tasks = [queued(7, 0, 0), queued(3, ANY, 0)];
        for life in [Life::Dead, Life::Replacing, Life::Starting, Life::Stopped] {
            check(&coordinator(life), &tasks, &[(COORDINATOR, StuckKind::Queued, 2, Some("1.1.3"), 97)]);
        }
        let empty = CoordinatorStatus { live: 0, ..coordinator(Life::Live) };
        check(&empty, &tasks[1..], &[(COORDINATOR, StuckKind::Queued, 1, Some("1.1.3"), 97)]);
    }

    #[test]
    fn a_failed_task_waits_for_its_next_attempt() {
        check(
            &coordinator(Life::Live),
            &[queued(7, ANY, 2)],
            &[(COORDINATOR, StuckKind::Queued, 1, Some("1.1.7"), 93)],
        );
    }

    #[test]
    fn a_pause_holds_everything_up() {
        let paused = CoordinatorStatus { paused: true, ..coordinator(Life::Live) };
        check(&paused, &[queued(7, ANY, 0)], &[(COORDINATOR, StuckKind::Paused, 1, Some("1.1.7"), 93)]);
    }

    #[test]
    fn suspected_processes_and_tasks_long_in_hand_are_listed() {
        let mut one = coordinator(Life::Live);
        one.process.suspected_ns = Some(4_000_000_000);
        one.workers[0].process.suspected_ns = Some(3_000_000_000);
        one.workers[0].task = Some(9);
        one.workers[0].idle_or_busy_ns = Some(LONG_NS + 1);
        check(
            &one,
            &[],
            &[
                (COORDINATOR, StuckKind::Suspected, 0, None, 4),
                (PlaceId::worker(0, 0), StuckKind::Suspected, 0, None, 3),
                (PlaceId::worker(0, 0), StuckKind::TaskInHand, 1, Some("9"), 1),
            ],
        );
        one.workers[0].stopped = Some(12);
        one.process.suspected_ns = None;
        one.workers[0].process.suspected_ns = None;
        check(&one, &[], &[(PlaceId::worker(0, 0), StuckKind::Stopped, 1, Some("9"), 1)]);
        one.workers[0].idle_or_busy_ns = Some(LONG_NS);
        one.workers[0].process.suspected_ns = None;
        one.process.suspected_ns = None;
        check(&one, &[], &[]);
    }
}
