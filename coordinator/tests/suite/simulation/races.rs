//! The races that are known by name, each as a list of events. What follows them, `calm` does.

use super::event::Event::{self, *};
use super::event::How::{Badly, Well};
use super::run::{Broken, finish};
use super::world::{Bug, Setup, World};

const REPLACED: Setup = Setup::new(1, 2, true);
/// As many stores as the longest act in here has, and some more.
const CUTS: u8 = 60;

fn played(setup: Setup, events: &[Event]) -> World {
    let mut world = World::new(setup);
    if let Some(Broken { why, after }) = finish(&mut world, events) {
        panic!("{why}, after {after} of {events:#?}");
    }
    world
}

fn sent(task: u64, worker: Option<u16>) -> Event {
    Send { task, coord: 0, worker, life_ms: 5000, retry: false }
}

/// `task` is in the hand of a worker of coordinator 0.
fn begun(send: Event, worker: u16) -> Vec<Event> {
    vec![
        send,
        Accept { coord: 0, cut: None },
        Fork { coord: 0 },
        Fork { coord: 0 },
        HandOver { coord: 0, cut: None },
        Begin { coord: 0, worker },
    ]
}

/// Answered, failed and begun, all told.
fn outcomes(world: &World) -> (u64, u64, usize) {
    (world.client.answered, world.client.failed, world.ghost.begun())
}

#[test]
fn an_answer_after_the_time_out_is_late() {
    let mut events = begun(Send { task: 1, coord: 0, worker: Some(0), life_ms: 15, retry: false }, 0);
    events.extend([
        Tick { ms: 20 },
        Expire { coord: 0, cut: None },
        Answer { coord: 0, worker: 0, how: Well, cut: None },
        Drain { coord: 0, worker: 0, cut: None },
    ]);
    let world = played(REPLACED, &events);
    assert_eq!(outcomes(&world), (0, 1, 1));
    assert_eq!(world.seats[0].region.counters.late, 1);
}

#[test]
fn an_answer_and_a_cancel_are_one_outcome_whichever_comes_first() {
    let answer =
        [Answer { coord: 0, worker: 0, how: Well, cut: None }, Drain { coord: 0, worker: 0, cut: None }];
    let cancel = [Cancel { task: 1 }, Obey { coord: 0, cut: None }];
    let cancelled = played(REPLACED, &[&begun(sent(1, Some(0)), 0)[..], &cancel, &answer].concat());
    assert_eq!((outcomes(&cancelled), cancelled.seats[0].region.counters.late), ((0, 1, 1), 1));
    let answered = played(REPLACED, &[&begun(sent(1, Some(0)), 0)[..], &answer, &cancel].concat());
    assert_eq!((outcomes(&answered), answered.seats[0].region.counters.late), ((1, 0, 1), 0));
}

#[test]
fn a_worker_that_dies_after_publishing_has_answered() {
    for cut in 0..4 {
        let mut events = begun(sent(1, None), 0);
        events.push(Answer { coord: 0, worker: 0, how: Well, cut: Some(cut) });
        events.push(Reap { coord: 0, cut: None });
        let world = played(REPLACED, &events);
        // Killed before the first of its stores it has not.
        assert_eq!(outcomes(&world), (1, 0, if cut == 0 { 2 } else { 1 }), "cut {cut}");
    }
}

#[test]
fn a_coordinator_that_dies_between_state_and_count_has_counted_once() {
    for (how, retry, expected) in
        [(Well, false, (1, 0)), (Badly, false, (1, 0)), (super::event::How::Refused, false, (0, 1))]
    {
        for cut in 0..CUTS {
            let mut events = begun(Send { task: 1, coord: 0, worker: None, life_ms: 5000, retry }, 0);
            events.extend([
                Answer { coord: 0, worker: 0, how, cut: None },
                Drain { coord: 0, worker: 0, cut: Some(cut) },
                Tell { coord: 0, cut: None },
                Succeed { coord: 0, cut: None },
            ]);
            let world = played(REPLACED, &events);
            let counters = &world.seats[0].region.counters;
            assert_eq!(outcomes(&world), (expected.0, expected.1, 1), "cut {cut}");
            assert_eq!((counters.answered + counters.failed_tasks, counters.failed), expected, "cut {cut}");
            assert_eq!(counters.failed_tasks, u64::from(how == Badly), "cut {cut}");
        }
    }
}

#[test]
fn a_successor_killed_half_way_has_a_successor() {
    let setup = Setup::new(1, 2, true);
    for first in 0..CUTS {
        for second in [0, 1, 3, 5, 8, 13, 21, 34] {
            let mut events = begun(sent(1, Some(0)), 0);
            events.extend([
                sent(2, Some(1)),
                Accept { coord: 0, cut: None },
                sent(3, Some(0)),
                Accept { coord: 0, cut: None },
                HandOver { coord: 0, cut: None },
                Begin { coord: 0, worker: 1 },
                sent(4, None),
                Answer { coord: 0, worker: 0, how: Well, cut: None },
                KillCoordinator { coord: 0 },
                Succeed { coord: 0, cut: Some(first) },
                Succeed { coord: 0, cut: Some(second) },
                Succeed { coord: 0, cut: None },
            ]);
            let world = played(setup, &events);
            // The second was in hand when its worker died.
            assert_eq!(outcomes(&world), (4, 0, 5), "cut {first}, then {second}");
        }
    }
}

#[test]
fn a_false_suspicion_heals_and_costs_nothing() {
    let mut events = begun(sent(1, Some(0)), 0);
    events.extend([
        StallWorker { coord: 0, worker: 0 },
        Watch { coord: 0 },
        Tick { ms: 31 },
        Watch { coord: 0 },
        WakeWorker { coord: 0, worker: 0 },
        Answer { coord: 0, worker: 0, how: Well, cut: None },
        Watch { coord: 0 },
        Tick { ms: 60 },
    ]);
    let world = played(REPLACED, &events);
    assert_eq!(outcomes(&world), (1, 0, 1));
    assert!(world.ghost.sights.contains_key("a worker suspected and healed"));
    assert!(!world.ghost.sights.contains_key("a worker ended because it hung"));
}

#[test]
fn who_hangs_is_ended_and_its_task_tried_again() {
    let mut events = begun(sent(1, Some(0)), 0);
    events.extend([
        StallWorker { coord: 0, worker: 0 },
        Watch { coord: 0 },
        Tick { ms: 31 },
        Watch { coord: 0 },
        Beat { coord: 0, worker: 1 },
        Tick { ms: 16 },
        Watch { coord: 0 },
        Watch { coord: 0 },
        Reap { coord: 0, cut: None },
    ]);
    let world = played(REPLACED, &events);
    assert_eq!(outcomes(&world), (1, 0, 2));
    assert_eq!(world.ghost.sights.get("a worker ended because it hung"), Some(&1));
}

#[test]
fn two_deaths_in_one_pass_lose_nothing() {
    for cut in 0..CUTS {
        let mut events = begun(sent(1, Some(0)), 0);
        events.extend([
            sent(2, None),
            sent(3, Some(0)),
            Accept { coord: 0, cut: None },
            Accept { coord: 0, cut: None },
            HandOver { coord: 0, cut: None },
            Begin { coord: 0, worker: 1 },
            Answer { coord: 0, worker: 1, how: Well, cut: Some(1) },
            KillWorker { coord: 0, worker: 0 },
            Reap { coord: 0, cut: Some(cut) },
            Succeed { coord: 0, cut: None },
        ]);
        let world = played(REPLACED, &events);
        // The first was in hand, the second published, the third waited.
        assert_eq!(outcomes(&world), (3, 0, 4), "cut {cut}");
    }
}

#[test]
fn what_is_settled_while_its_client_sends_it_elsewhere_is_done_once() {
    let setup = Setup::new(2, 1, false);
    for cut in 0..CUTS {
        for tell in 0..6 {
            let mut events = begun(sent(1, None), 0);
            events.extend([
                sent(2, None),
                Accept { coord: 0, cut: None },
                sent(3, None),
                KillCoordinator { coord: 0 },
                Succeed { coord: 0, cut: Some(cut) },
                Succeed { coord: 0, cut: None },
                Tell { coord: 0, cut: Some(tell) },
                Poll { coord: 0 },
                Resend { coord: 1 },
                Resend { coord: 1 },
                Accept { coord: 1, cut: None },
                Succeed { coord: 0, cut: None },
                Tell { coord: 0, cut: None },
                Poll { coord: 0 },
            ]);
            let world = played(setup, &events);
            assert_eq!(outcomes(&world), (3, 0, 4), "cut {cut}, then {tell}");
        }
    }
}

#[test]
fn what_is_sent_to_one_who_has_just_ended_is_taken_back() {
    let setup = Setup::new(2, 1, true);
    let events =
        [Retire { coord: 0 }, Tell { coord: 0, cut: None }, sent(1, None), Look, Resend { coord: 1 }];
    assert_eq!(outcomes(&played(setup, &events)), (1, 0, 1));
}

/// A dead letter that becomes a task whose worker dies of it again; ordered twice, and every process killed on the
/// way.
#[test]
fn a_letter_revived_while_it_fails_again_is_one_task_at_a_time() {
    let setup = Setup::new(1, 1, true);
    for cut in 0..30 {
        for tell in [None, Some(0), Some(1), Some(2)] {
            let mut events = begun(Send { task: 1, coord: 0, worker: Some(0), life_ms: 15, retry: false }, 0);
            events.extend([
                Tick { ms: 20 },
                Expire { coord: 0, cut: None },
                Revive { coord: 0, task: 1 },
                Obey { coord: 0, cut: None },
                Revive { coord: 0, task: 1 },
                Tell { coord: 0, cut: tell },
                Obey { coord: 0, cut: Some(cut) },
                KillWorker { coord: 0, worker: 0 },
                Succeed { coord: 0, cut: None },
                Revive { coord: 0, task: 1 },
                Reap { coord: 0, cut: None },
                Tick { ms: 20 },
                Expire { coord: 0, cut: None },
                Obey { coord: 0, cut: Some(cut) },
                Succeed { coord: 0, cut: None },
            ]);
            let world = played(setup, &events);
            // To its client it has failed, once, whatever became of it since.
            assert_eq!((world.client.answered, world.client.failed), (0, 1), "cut {cut}, {tell:?}");
        }
    }
}

#[test]
fn a_restored_fleet_does_what_was_not_answered_and_nothing_else() {
    let setup = Setup::new(1, 2, true);
    let mut events = begun(sent(1, None), 0);
    events.extend([
        sent(2, None),
        Answer { coord: 0, worker: 0, how: Well, cut: None },
        Drain { coord: 0, worker: 0, cut: None },
        sent(3, None),
        Pause { coord: 0, cut: None },
        Backup,
        Go,
        Restore,
    ]);
    // The first was answered, and not even its client had heard.
    assert_eq!(outcomes(&played(setup, &events)), (2, 0, 2));
}

/// Found by a storm: a letter that is revived goes to the worker that is still at it.
#[test]
fn an_answer_of_a_former_life_counts_for_no_other() {
    let mut events = begun(Send { task: 1, coord: 0, worker: Some(0), life_ms: 15, retry: false }, 0);
    events.extend([
        Tick { ms: 20 },
        Expire { coord: 0, cut: None },
        Tell { coord: 0, cut: None },
        Revive { coord: 0, task: 1 },
        Obey { coord: 0, cut: None },
        HandOver { coord: 0, cut: None },
        Answer { coord: 0, worker: 0, how: Well, cut: None },
        Drain { coord: 0, worker: 0, cut: None },
    ]);
    let world = played(REPLACED, &events);
    assert_eq!((outcomes(&world), world.seats[0].region.counters.late), ((0, 1, 2), 1));
    let bug = Setup { bug: Some(Bug::FormerLife), ..REPLACED };
    assert!(super::run::run(bug, &events).is_some_and(|broken| broken.why.contains("former life")));
}

/// Found by a storm: sent back to the coordinator that returned it, a task would go to and fro for ever.
#[test]
fn who_returns_a_task_does_not_get_it_again() {
    let events =
        [sent(1, None), sent(2, None), KillCoordinator { coord: 0 }, Succeed { coord: 0, cut: None }];
    assert_eq!(outcomes(&played(Setup::new(1, 1, false), &events)), (2, 0, 2));
}

/// Found by a storm: what fails at a take-over waits for its time, and is queued once.
#[test]
fn an_attempt_that_failed_among_the_last_words_of_the_dead_is_followed_by_one() {
    let mut events = begun(Send { task: 1, coord: 0, worker: None, life_ms: 5000, retry: true }, 0);
    events.extend([
        Answer { coord: 0, worker: 0, how: Badly, cut: None },
        KillCoordinator { coord: 0 },
        Succeed { coord: 0, cut: None },
    ]);
    assert_eq!(outcomes(&played(REPLACED, &events)), (1, 0, 2));
}

/// Found by a storm: what is given back and comes again to the same coordinator is not what was taken before.
#[test]
fn what_was_given_back_and_is_sent_here_again_is_taken_again() {
    let setup = Setup::new(1, 1, true);
    for cut in 0..CUTS {
        for tell in 0..4 {
            let events = [
                sent(1, None),
                Accept { coord: 0, cut: None },
                Spill { coord: 0, cut: None },
                Tell { coord: 0, cut: Some(tell) },
                Poll { coord: 0 },
                Resend { coord: 0 },
                Succeed { coord: 0, cut: Some(cut) },
                Succeed { coord: 0, cut: None },
            ];
            assert_eq!(outcomes(&played(setup, &events)), (1, 0, 1), "tell {tell}, cut {cut}");
        }
    }
}
