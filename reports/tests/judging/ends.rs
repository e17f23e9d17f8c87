//! What ends of processes account for: who came after them, and what was done again.

use reports::runlog::event::*;
use reports::{Judgement, Verdict};

use crate::faults::{AT, COORDINATOR, Faulty, MS, WORKER};
use crate::gates::evidence;

/// The workers of [`COORDINATOR`].
const THEIRS: [(u32, &str); 3] = [(3, "worker/0.0"), (4, "worker/0.1"), (5, "worker/0.2")];

/// A coordinator is killed; its workers end with it, and it has no successor yet.
fn coordinator_killed(asking: &str) -> Faulty {
    let mut faulty = Faulty::new(asking, FaultKind::Kill, COORDINATOR);
    faulty.step(AT, FaultStepKind::Injected).step(AT + MS, FaultStepKind::Proven);
    for agent in [COORDINATOR].into_iter().chain(THEIRS) {
        faulty.exit(AT + 10 * MS, agent);
    }
    faulty
}

/// As above, and all of them have successors.
fn coordinator_replaced(asking: &str) -> Faulty {
    let mut faulty = coordinator_killed(asking);
    for agent in THEIRS.into_iter().chain([COORDINATOR]) {
        faulty.replaced(AT + 400 * MS, agent, 2);
    }
    faulty
}

#[test]
fn with_a_coordinator_its_workers_may_die_and_no_other_worker() {
    let mut faulty = coordinator_replaced("recovery.time max < 1s");
    let judgement = faulty.judge();
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert_eq!(judgement.criteria[0].value_text, "399 ms");
    let other = (8, "worker/1.1");
    let judgement = faulty.exit(AT + 10 * MS, other).replaced(AT + 400 * MS, other, 2).judge();
    evidence(&judgement, "no undeclared death", Verdict::Fail);
}

/// A coordinator is killed, its first successor ends `how`, and the second one serves; its workers come with it.
fn started_twice(how: Option<&str>) -> Faulty {
    let mut faulty = coordinator_killed("incidents == 0");
    faulty.replaced(AT + 100 * MS, COORDINATOR, 2);
    if let Some(how) = how {
        faulty.exit_of(AT + 200 * MS, COORDINATOR, (2, 4_000 + COORDINATOR.0)).how(how);
        if let Some((_, Event::AgentExit(exit))) = faulty.more.last_mut() {
            exit.expected = how == KEPT_OUT;
        }
    }
    faulty.replaced(AT + 200 * MS, COORDINATOR, 3);
    for worker in THEIRS {
        faulty.replaced(AT + 400 * MS, worker, 2);
    }
    faulty
}

fn consistency(judgement: &Judgement) -> Verdict {
    judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap().verdict
}

/// The round that is under way when the coordinator dies, and one long after.
const HIT: u64 = 8;
const CALM: u64 = 20;

/// Whether a log is consistent in which so many tasks of these rounds were answered by a later attempt, and in which the
/// coordinators count `retried`, and have given out `again` tasks more than that accounts for.
fn is_consistent(retried: fn(u64) -> u32, counted: u64, again: u64) -> bool {
    let mut faulty = coordinator_replaced("delivery.rate >= 100%");
    faulty.run.retried = retried;
    let tasks = (faulty.run.warm_up_rounds + faulty.run.rounds) * 6;
    let hits = tasks + counted + again;
    faulty.run.pool = Some(Pool { hits, misses: 0, recycled: 0, poisoned: 0, retried: counted });
    let judgement = faulty.judge();
    let check = judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap();
    let said = ["`retried` of the ledger is", "workers were used"];
    let is_it = said.iter().any(|said| check.found.contains(said));
    assert!(is_it || check.verdict == Verdict::Pass, "{check:?}");
    check.verdict == Verdict::Pass
}

#[test]
fn a_death_of_a_coordinator_hides_retries_of_what_its_workers_had_in_hand_and_no_others() {
    // A worker has one task in hand, and three died.
    assert!(is_consistent(|n| if n == HIT { 3 } else { 0 }, 0, 0));
    assert!(!is_consistent(|n| if n == HIT { 4 } else { 0 }, 0, 0));
    // Of a round that was not under way then, each is counted.
    assert!(!is_consistent(|n| u32::from(n == CALM), 0, 0));
    assert!(is_consistent(|n| u32::from(n == CALM), 1, 0));
    assert!(is_consistent(|n| u32::from(n == CALM || n == HIT), 1, 0));
}

#[test]
fn tasks_are_given_out_again_only_where_processes_have_ended() {
    // Four ended, and each had at most what may be on its way at once: the tasks of four rounds under one coordinator.
    assert!(is_consistent(|_| 0, 0, 4 * 4 * 3));
    assert!(!is_consistent(|_| 0, 0, 4 * 4 * 3 + 1));
}

#[test]
fn a_coordinator_that_the_kernel_kept_from_its_memory_has_not_died_and_its_end_is_not_left_out() {
    let judgement = started_twice(Some(KEPT_OUT)).judge();
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    // The same, as a death that nothing has asked for.
    let judgement = started_twice(Some("exited with status 78")).judge();
    evidence(&judgement, "no undeclared death", Verdict::Fail);
    assert_eq!(consistency(&judgement), Verdict::Pass);
    assert_eq!(consistency(&started_twice(None).judge()), Verdict::Inconclusive);
    // Before 2.9, no writer knew of it.
    let older = |event: &mut Event| {
        if let Event::Header(header) = event {
            header.format.minor = 8;
        }
    };
    assert_eq!(consistency(&started_twice(None).judge_with(older)), Verdict::Pass);
    assert_eq!(consistency(&started_twice(Some(KEPT_OUT)).judge_with(older)), Verdict::Inconclusive);
}

#[test]
fn only_a_coordinator_that_follows_another_one_and_has_a_successor_can_have_been_kept_from_its_memory() {
    let bent = |bend: &dyn Fn(&mut Faulty, usize)| {
        let mut faulty = started_twice(Some(KEPT_OUT));
        let is_it = |event: &Event| matches!(event, Event::AgentExit(exit) if exit.how == KEPT_OUT);
        let at = faulty.more.iter().position(|(_, event)| is_it(event)).unwrap();
        bend(&mut faulty, at);
        evidence(&faulty.judge(), "log consistent", Verdict::Inconclusive);
    };
    // Not expected.
    bent(&|faulty, at| {
        let Event::AgentExit(exit) = &mut faulty.more[at].1 else { panic!("no exit") };
        exit.expected = false;
    });
    // None comes after it.
    bent(&|faulty, at| {
        faulty.more.remove(at + 1);
    });
    // None was before it.
    bent(&|faulty, _| {
        faulty.more.retain(|(_, event)| !matches!(event, Event::AgentExit(exit) if exit.incarnation == 1));
    });
    // A worker has no memory of its own to open.
    bent(&|faulty, _| {
        faulty.exit_of(AT + 500 * MS, WORKER, (2, 4_000 + WORKER.0)).how(KEPT_OUT);
        if let Some((_, Event::AgentExit(exit))) = faulty.more.last_mut() {
            exit.expected = true;
        }
        faulty.replaced(AT + 500 * MS, WORKER, 3);
    });
}
