use super::*;
use crate::wire::{ANY, TaskId};
use proptest::prelude::*;

const LIMITS: Limits = Limits { workers: 8, payload_max: 100, attempts_max: 3, epoch: 1 };

fn found(word: Word) -> Found {
    let id = TaskId { epoch: 1, sender: 1, sequence: 42 };
    let task = TaskHeader {
        id,
        deadline_ns: 9,
        parameter: 0,
        sent_ns: 1,
        entry: 3,
        lease: 0,
        timeout_ms: 0,
        worker: 5,
        kind: TaskKind::Echo as u8,
        attempts_max: 0,
    };
    let answer = AnswerHeader {
        id,
        started_ns: 0,
        finished_ns: 0,
        worker: 5,
        entry: 3,
        lease: 1,
        status: AnswerStatus::Ok as u32,
        code: 0,
        stdout_len: 0,
    };
    Found { entry: 3, word, task, task_len: 10, answer, answer_len: 10, in_hand: false }
}

fn queued() -> Word {
    Word::from_raw(0).queue(5).unwrap()
}

#[test]
fn a_leased_task_goes_back_until_it_was_begun_too_often() {
    let mut word = queued().lease(5).unwrap();
    for _ in 1..LIMITS.attempts_max {
        let begun = Found { in_hand: true, ..found(word) };
        assert_eq!(decide(&begun, &LIMITS), Action::Requeue(Attempt::Begun));
        word = word.requeue(Attempt::Begun, 5).unwrap().lease(5).unwrap();
    }
    assert_eq!(decide(&found(word), &LIMITS), Action::Requeue(Attempt::NotBegun));
    let begun = Found { in_hand: true, ..found(word) };
    assert_eq!(decide(&begun, &LIMITS), Action::Fail(AnswerStatus::WorkerDied));
}

#[test]
fn what_is_done_is_told_once_more_and_what_waits_waits_on() {
    let done = queued().lease(5).unwrap().finish().unwrap();
    assert_eq!(decide(&found(done), &LIMITS), Action::Report);
    assert_eq!(decide(&found(queued()), &LIMITS), Action::Wait);
    assert_eq!(decide(&found(done.free().unwrap()), &LIMITS), Action::Leave);
}

#[test]
fn what_cannot_be_is_told_or_cleared() {
    let leased = queued().lease(5).unwrap();
    let done = leased.finish().unwrap();
    let right = found(done);
    let wrong = |change: fn(&mut Found)| {
        let mut found = right;
        change(&mut found);
        decide(&found, &LIMITS)
    };
    assert_eq!(wrong(|f| f.answer_len = 101), Action::Condemn);
    assert_eq!(wrong(|f| f.answer.id.sequence += 1), Action::Condemn);
    assert_eq!(wrong(|f| f.answer.entry += 1), Action::Condemn);
    assert_eq!(wrong(|f| f.answer.status = 77), Action::Condemn);
    assert_eq!(wrong(|f| f.answer.status = AnswerStatus::Cancelled as u32), Action::Condemn);
    let ended = |f: &mut Found| {
        f.answer.status = AnswerStatus::Cancelled as u32;
        f.task.kind |= crate::wire::ENDING;
    };
    assert_eq!(wrong(ended), Action::Report, "its worker was asked to end it");
    assert_eq!(wrong(|f| f.word = Word::from_raw(f.word.raw() | 0xff)), Action::Condemn);
    assert_eq!(wrong(|f| f.word = Word::from_raw(0).queue(6).unwrap()), Action::Condemn);
    assert_eq!(wrong(|f| f.task.worker = 8), Action::Clear);
    assert_eq!(wrong(|f| f.task_len = 101), Action::Clear);
    assert_eq!(wrong(|f| f.task.kind = 0), Action::Clear);
    assert_eq!(wrong(|f| f.task.id.epoch = 0), Action::Clear);
}

#[test]
fn payloads_of_the_largest_size_are_sound() {
    let leased = queued().lease(5).unwrap();
    assert_eq!(decide(&Found { task_len: 100, ..found(queued()) }, &LIMITS), Action::Wait);
    assert_eq!(
        decide(&Found { answer_len: 100, ..found(leased.finish().unwrap()) }, &LIMITS),
        Action::Report
    );
}

/// As often leased as `attempts` says, each lease an attempt.
fn leased(attempts: u8) -> Word {
    (1..attempts).fold(queued().lease(5).unwrap(), |word, _| {
        word.requeue(Attempt::Begun, 5).unwrap().lease(5).unwrap()
    })
}

#[test]
fn the_last_attempt_is_sound_and_one_beyond_it_is_not() {
    let (last, beyond) = (leased(3), leased(4));
    assert_eq!(decide(&found(last.finish().unwrap()), &LIMITS), Action::Report);
    assert_eq!(decide(&found(beyond.finish().unwrap()), &LIMITS), Action::Condemn);
    assert_eq!(decide(&failed(last, AnswerStatus::TimedOut, 0), &LIMITS), Action::Report);
    assert_eq!(decide(&failed(beyond, AnswerStatus::TimedOut, 0), &LIMITS), Action::Condemn);
    let waits = |word: Word| decide(&found(word.requeue(Attempt::Begun, 5).unwrap()), &LIMITS);
    assert_eq!((waits(leased(2)), waits(last)), (Action::Wait, Action::Condemn));
    assert_eq!(decide(&found(beyond), &LIMITS), Action::Condemn);
}

/// An entry that was failed from `word`, with an answer that says so.
fn failed(word: Word, status: AnswerStatus, answer_len: u32) -> Found {
    let mut entry = found(word.fail().unwrap());
    entry.answer.status = status as u32;
    entry.answer.worker = u32::from(word.worker());
    entry.answer_len = answer_len;
    entry
}

#[test]
fn a_failure_is_reported_again_with_a_reason_of_a_failure_and_without_a_payload() {
    use AnswerStatus::{
        AgentDied, AgentFailed, Cancelled, Damaged, Duplicate, Late, Ok, Refused, Returned, TimedOut,
        WorkerDead, WorkerDied, WorkerHung,
    };
    let leased = leased(1);
    for reason in [TimedOut, WorkerDied, WorkerDead, WorkerHung, Damaged, Returned, Cancelled] {
        assert_eq!(decide(&failed(leased, reason, 0), &LIMITS), Action::Report, "{reason:?}");
        assert_eq!(decide(&failed(leased, reason, 1), &LIMITS), Action::Condemn, "{reason:?}");
    }
    for answer in [Ok, Refused, Late, Duplicate, AgentFailed, AgentDied] {
        assert_eq!(decide(&failed(leased, answer, 0), &LIMITS), Action::Condemn, "{answer:?}");
    }
    for answer in [Ok, Refused, TimedOut, AgentFailed, AgentDied] {
        let mut done = found(leased.finish().unwrap());
        done.answer.status = answer as u32;
        assert_eq!(decide(&done, &LIMITS), Action::Report, "{answer:?}");
    }
}

#[test]
fn a_task_for_any_worker_waits_at_none_and_is_leased_to_one_that_there_is() {
    let any = |entry: Found| {
        let mut entry = entry;
        entry.task.worker = ANY;
        decide(&entry, &LIMITS)
    };
    let waits = Word::from_raw(0).queue(NO_WORKER).unwrap();
    assert_eq!(any(found(waits)), Action::Wait);
    assert_eq!(any(found(queued())), Action::Condemn);
    assert_eq!(any(found(waits.lease(7).unwrap())), Action::Requeue(Attempt::NotBegun));
    assert_eq!(any(found(waits.lease(8).unwrap())), Action::Condemn);
    assert_eq!(any(failed(waits, AnswerStatus::TimedOut, 0)), Action::Report);
    assert_eq!(any(failed(waits.lease(7).unwrap(), AnswerStatus::TimedOut, 0)), Action::Report);
    assert_eq!(any(failed(waits.lease(8).unwrap(), AnswerStatus::TimedOut, 0)), Action::Condemn);
}

#[test]
fn a_worker_without_a_successor_died_with_what_it_had_in_hand_and_with_nothing_else() {
    let leased = leased(1);
    assert_eq!(abandoned(leased, true), AnswerStatus::WorkerDied);
    assert_eq!(abandoned(leased, false), AnswerStatus::WorkerDead);
    assert_eq!(abandoned(queued(), true), AnswerStatus::WorkerDead);
}

#[test]
fn the_ending_that_was_under_way_is_counted() {
    let counted = |answered, failed, returned| Endings { answered, failed, returned, ..Endings::default() };
    assert_eq!(balanced(10, 3, counted(5, 2, 0), Some(Ending::Failed)), counted(5, 2, 0));
    assert_eq!(balanced(10, 3, counted(5, 1, 0), Some(Ending::Answered)), counted(6, 1, 0));
    assert_eq!(balanced(10, 3, counted(5, 1, 0), Some(Ending::Failed)), counted(5, 2, 0));
    assert_eq!(balanced(10, 3, counted(5, 0, 1), Some(Ending::Returned)), counted(5, 0, 2));
    let failed_tasks = |failed_tasks| Endings { failed_tasks, ..counted(5, 0, 0) };
    assert_eq!(balanced(10, 3, failed_tasks(1), Some(Ending::FailedTask)), failed_tasks(2));
}

#[test]
fn counts_that_do_not_balance_stay_as_far_as_they_can_and_the_rest_has_failed() {
    let of = |[answered, failed_tasks, failed, returned]: [u64; 4]| Endings {
        answered,
        failed_tasks,
        failed,
        returned,
    };
    for (counted, expected) in [
        ([4, 3, 9, 2], [4, 3, 1, 2]),
        ([4, 3, 0, 9], [4, 3, 0, 3]),
        ([4, 9, 0, 5], [4, 6, 0, 0]),
        ([12, 1, 1, 1], [10, 0, 0, 0]),
        ([1, 2, 0, 3], [1, 2, 4, 3]),
    ] {
        assert_eq!(balanced(13, 3, of(counted), None), of(expected), "{counted:?}");
    }
}

proptest! {
    /// Whatever lies in an entry: what is done with it is a step that its state allows, and nothing is
    /// reported whose lengths or worker are out of range.
    #[test]
    fn nonsense_is_never_trusted(raw: u64, worker in 0_u32..20, any_worker: bool, task_len in 0_u32..200,
                                 answer_len in 0_u32..200, status in 0_u32..14, in_hand: bool) {
        let mut entry = found(Word::from_raw(raw));
        entry.task.worker = if any_worker { ANY } else { worker as u16 };
        entry.task_len = task_len;
        entry.answer.worker = worker;
        entry.answer_len = answer_len;
        entry.answer.status = status;
        entry.in_hand = in_hand;
        let action = decide(&entry, &LIMITS);
        let word = entry.word;
        if !matches!(action, Action::Leave | Action::Clear) {
            prop_assert!((any_worker || worker < LIMITS.workers) && task_len <= LIMITS.payload_max);
        }
        match action {
            Action::Leave => prop_assert_eq!(word.state(), Some(State::Free)),
            Action::Wait => {
                let to = if any_worker { 0 } else { worker as u16 };
                prop_assert!(word.lease(to).is_some());
            }
            Action::Requeue(hand) => {
                let next = word.requeue(hand, if any_worker { NO_WORKER } else { worker as u16 });
                prop_assert!(next.and_then(|next| next.lease(word.worker())).is_some());
            }
            Action::Fail(_) => prop_assert!(word.fail().is_some()),
            Action::Report => {
                prop_assert!(word.free().is_some());
                prop_assert!(answer_len <= LIMITS.payload_max);
            }
            Action::Condemn | Action::Clear => {}
        }
        prop_assert_eq!(word.condemn(worker as u16).state(), Some(State::Failed));
        prop_assert_eq!(word.clear().state(), Some(State::Free));
    }

    /// However counts were left: the ledger balances afterwards, and never counts up what was not there.
    #[test]
    fn the_ledger_balances(accepted in 0_u64..50, in_flight in 0_u64..50, answered in 0_u64..50,
                           failed_tasks in 0_u64..50, failed in 0_u64..50, returned in 0_u64..50,
                           under_way in 0_u32..6) {
        let in_flight = in_flight.min(accepted);
        let now = balanced(accepted, in_flight, Endings { answered, failed_tasks, failed, returned }, Ending::from_raw(under_way));
        prop_assert_eq!(accepted, in_flight + now.answered + now.failed_tasks + now.failed + now.returned);
        prop_assert!(now.answered <= answered + 1 && now.returned <= returned + 1);
        prop_assert!(now.failed_tasks <= failed_tasks + 1);
    }

    /// A task's whole life with deaths at random: it is begun `attempts_max` times at most, and
    /// ends once.
    #[test]
    fn a_task_ends_once_however_often_its_workers_die(deaths in prop::collection::vec(any::<bool>(), 0..20)) {
        let mut word = queued();
        let mut begun = 0;
        let mut ended = false;
        for in_hand in deaths {
            word = word.lease(5).unwrap();
            begun += u32::from(in_hand);
            match decide(&Found { in_hand, ..found(word) }, &LIMITS) {
                Action::Requeue(hand) => word = word.requeue(hand, word.worker()).unwrap(),
                Action::Fail(status) => {
                    prop_assert_eq!(status, AnswerStatus::WorkerDied);
                    word = word.fail().unwrap();
                    ended = true;
                    break;
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(ended, begun == u32::from(LIMITS.attempts_max));
        prop_assert!(begun <= u32::from(LIMITS.attempts_max));
        if ended {
            prop_assert_eq!(word.fail(), None);
        }
    }
}

/// Found by the fuzzer: a sum that stopped at the largest number looked as if it balanced.
#[test]
fn counts_beyond_every_number_do_not_balance() {
    let counted = Endings { answered: u64::MAX, failed: 0xffff, ..Endings::default() };
    let now = balanced(u64::MAX, 0, counted, None);
    assert_eq!((now.answered, now.failed, now.returned), (u64::MAX, 0, 0));
}
