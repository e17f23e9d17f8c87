//! What the log says of each worker, when a load is over.

use super::fake::{Fake, Reply};
use super::{Done, SCENARIO, run, run_into, run_scenario};
use crate::engine::sink::MemorySink;
use crate::engine::stop::StopMode;
use crate::system::PlaceId;
use reports::runlog::event::{EndReason, Event, Phase, WorkerTimes, Workers};
use reports::runlog::validate::Validator;
use std::time::Duration;

/// The rows of the one event, which are those of the rounds of the load, added up.
fn rows(done: &Done) -> Vec<WorkerTimes> {
    let all: Vec<&Workers> =
        done.all(|event| if let Event::Workers(workers) = event { Some(workers) } else { None });
    let [workers] = all[..] else { panic!("{} events", all.len()) };
    let load = || done.rounds().into_iter().filter(|round| round.phase == Phase::Load);
    let answered: u64 = workers.workers.iter().map(|row| row.answered).sum();
    assert_eq!(answered, load().map(|round| u64::from(round.answered)).sum::<u64>());
    let slowest = workers.workers.iter().map(|row| row.max_ns).max();
    assert_eq!(slowest, load().filter_map(|round| round.task_max_ns).max());
    workers.workers.clone()
}

fn short(rows: &[WorkerTimes]) -> Vec<(&str, u64, u64, u64)> {
    let ms = |ns: u64| ns / 1_000_000;
    rows.iter().map(|row| (&row.name[..], row.answered, ms(row.sum_ns), ms(row.max_ns))).collect()
}

/// The task of worker 1 in round 3; every other one is answered after a millisecond.
fn with_one(reply: Reply) -> Done {
    run(|clock, _| {
        Fake::new(clock, 3).replies(move |round, place| match (round, place == PlaceId::worker(0, 1)) {
            (3, true) => reply,
            _ => Reply::Right,
        })
    })
}

#[test]
fn each_worker_has_its_tasks_the_sum_of_their_times_and_the_greatest() {
    let done = with_one(Reply::After(Duration::from_millis(700)));
    let rows = rows(&done);
    let wanted = [("worker/0.0", 20, 20, 1), ("worker/0.1", 20, 719, 700), ("worker/0.2", 20, 20, 1)];
    assert_eq!(short(&rows), wanted);
}

#[test]
fn what_is_not_answered_right_is_no_workers_answer_nor_is_a_late_or_second_one() {
    for (reply, answered) in [
        (Reply::Wrong, 19),
        (Reply::Failed, 19),
        (Reply::Never, 19),
        (Reply::FailedThenLate, 19),
        (Reply::Twice, 20),
    ] {
        let done = with_one(reply);
        assert_eq!(short(&rows(&done))[1], ("worker/0.1", answered, answered, 1), "{reply:?}");
    }
}

#[test]
fn a_task_for_any_worker_is_of_the_one_that_answered_it_and_the_warm_up_of_none() {
    let text = SCENARIO
        .replace("every = \"50ms\"", "every = \"50ms\"\ntasks_per_round = 7")
        .replace("duration = \"1s\"", "warm_up = \"500ms\"\nduration = \"1s\"");
    let sink = MemorySink::default();
    let done = run_into(&sink, &text, |clock, _| {
        Fake::new(clock, 3).replies(|_, place| {
            let is_slow = place == PlaceId::worker(0, 2);
            if is_slow { Reply::After(Duration::from_millis(9)) } else { Reply::Right }
        })
    });
    assert!(done.rounds().iter().any(|round| round.phase == Phase::WarmUp));
    let rows = rows(&done);
    // Of seven tasks a round, each worker has every third.
    assert_eq!(rows.iter().map(|row| row.answered).sum::<u64>(), 140);
    assert!(rows.iter().all(|row| (46..=47).contains(&row.answered)), "{rows:?}");
    assert_eq!((short(&rows)[1].3, short(&rows)[2].3), (1, 9));
    // A fake is there in no time, which contradicts much, and not this.
    let mut validator = Validator::new();
    for record in &done.records {
        let found = validator.step(record);
        assert!(found.is_ok() || !matches!(record.event, Event::Workers(_)), "{found:?}");
    }
    let (_, facts) = reports::judge_log(&sink.bytes()[..]).unwrap();
    assert_eq!(facts.workers.slowest_first()[0].name, "worker/0.2");
}

/// Rounds that are cut off are in no record, and so are their answers.
#[test]
fn of_a_run_that_was_interrupted_or_lost_only_whole_rounds_count() {
    let slow = |_, place| {
        let is_slow = place == PlaceId::worker(0, 1);
        if is_slow { Reply::After(Duration::from_millis(300)) } else { Reply::Right }
    };
    let lost = run(|clock, _| Fake::new(clock, 3).replies(slow).at(500, Fake::lose));
    let killed = run(|clock, stop| {
        let stop = stop.clone();
        let ask = move |_: &mut Fake| stop.ask(StopMode::Kill, EndReason::Interrupted, "SIGINT".to_owned());
        Fake::new(clock, 3).replies(slow).at(500, ask)
    });
    for done in [lost, killed] {
        let rows = rows(&done);
        // Begun every 50 ms from 20 ms on: those before 200 ms were whole.
        assert!(rows.iter().all(|row| row.answered == 4), "{rows:?}");
    }
    let nothing = run_scenario(SCENARIO, |clock, _| Fake::new(clock, 3).at(10, Fake::lose));
    assert!(!nothing.records.iter().any(|record| matches!(record.event, Event::Workers(_))));
}
