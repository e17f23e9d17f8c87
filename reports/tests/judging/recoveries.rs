//! When a fleet has recovered from a fault, and what was lost until then: with rounds that end late, stall or are cut off, and with
//! fleets that have become smaller.

use reports::Verdict;
use reports::runlog::event::*;
use reports::verdict::CriterionResult;

use crate::faults::{AT, COORDINATOR, Faulty, MS, SECOND, WORKER};

/// The round of the load that begins with the fault; one comes each half second.
const HIT: u64 = 8;

fn asked(faulty: &Faulty) -> CriterionResult {
    faulty.judge().criteria.swap_remove(0)
}

fn killed(asking: &str, round_ns: fn(u64) -> u64, failed: fn(u64) -> u32) -> Faulty {
    let mut faulty = Faulty::killed(asking);
    (faulty.run.round_ns, faulty.run.failed) = (round_ns, failed);
    faulty
}

/// Stopped for a second, and all of it shown.
fn paused(asking: &str, round_ns: fn(u64) -> u64) -> Faulty {
    let mut faulty = Faulty::new(asking, FaultKind::Pause, WORKER);
    faulty
        .step(AT, FaultStepKind::Injected)
        .step(AT + MS, FaultStepKind::Proven)
        .step(AT + SECOND, FaultStepKind::Healed)
        .step(AT + SECOND + MS, FaultStepKind::HealProven);
    faulty.run.round_ns = round_ns;
    faulty
}

/// It times out 30 s after its round began, when a dozen whole rounds have ended well.
#[test]
fn a_task_that_is_lost_by_its_time_out_is_lost_to_the_fault_whatever_ends_before() {
    let long = |n| if n == HIT { 30 * SECOND } else { 9 * MS };
    let lost = |asking: &str| asked(&killed(asking, long, |n| u32::from(n == HIT)));
    assert_eq!(lost("fault.loss == 0").verdict, Verdict::Fail);
    assert_eq!(lost("fault.loss <= 1").verdict, Verdict::Pass);
    assert_eq!(lost("fault.tasks_hit <= 1").value_text, "1");
    assert_eq!(lost("fault.loss <= 1 during planned").verdict, Verdict::Pass);
    // From the proof of the effect at 10.001 s.
    let took = lost("recovery.time max < 1s");
    assert_eq!((took.verdict, took.value_text.as_str()), (Verdict::Fail, "30 s"), "{took:?}");
    // Nothing of it is lost if it only takes as long as that.
    let late = |asking: &str| asked(&killed(asking, long, |_| 0));
    assert_eq!(late("fault.loss == 0").verdict, Verdict::Pass);
    assert_eq!(late("recovery.time max < 1s").verdict, Verdict::Fail);
}

#[test]
fn a_fleet_that_stalls_after_a_fault_has_not_recovered() {
    // All rounds wait until 19 s, 8 s after the heal, and are answered whole.
    let stalled = |n| if (HIT..26).contains(&n) { (26 - n) * (SECOND / 2) } else { 9 * MS };
    let took = asked(&paused("recovery.time max < 1s", stalled));
    assert_eq!(took.verdict, Verdict::Fail, "{took:?}");
    assert_eq!(asked(&paused("delivery.rate >= 100%", stalled)).verdict, Verdict::Pass);
    // What takes as long as the fault lasts is over with it.
    let held = |n| if n == HIT { SECOND + 20 * MS } else { 9 * MS };
    let took = asked(&paused("recovery.time max < 1s", held));
    assert_eq!((took.verdict, took.value_text.as_str()), (Verdict::Pass, "19 ms"), "{took:?}");
}

#[test]
fn rounds_that_always_take_long_are_no_stall() {
    let long = |_| 2 * SECOND;
    let took = asked(&paused("recovery.time max < 1s", long));
    assert_eq!((took.verdict, took.value_text.as_str()), (Verdict::Pass, "0 s"), "{took:?}");
}

#[test]
fn what_is_outside_a_fault_that_was_not_seen_to_be_over_is_unknown() {
    let mut faulty = Faulty::new("delivery.rate >= 100% outside planned", FaultKind::Kill, WORKER);
    faulty.run.failed = |n| u32::from(n == 60);
    faulty.step(AT, FaultStepKind::Injected).step(AT + MS, FaultStepKind::Proven).exit(AT + 10 * MS, WORKER);
    let result = asked(&faulty);
    assert_eq!(result.verdict, Verdict::Inconclusive, "{result:?}");
    assert!(result.note.unwrap().contains("seen to have recovered from `planned`"));
}

fn retired(at_ns: u64, (agent, name): (u32, &str)) -> (u64, Event) {
    let exit = AgentExit {
        agent,
        incarnation: 1,
        name: name.into(),
        pid: 1_000 + agent,
        how: "retired when the fleet was scaled".into(),
        expected: true,
        seen_ns: at_ns,
    };
    (at_ns, Event::AgentExit(exit))
}

/// A coordinator is killed whose last worker had ended in order before, since the fleet was to be smaller, or ends so afterwards.
#[test]
fn a_place_that_the_fleet_has_given_up_is_not_awaited() {
    let others = [COORDINATOR, (3, "worker/0.0"), (5, "worker/0.2")];
    let of = |asking: &str, when: Option<u64>| {
        let mut faulty = Faulty::new(asking, FaultKind::Kill, COORDINATOR);
        faulty.step(AT, FaultStepKind::Injected).step(AT + MS, FaultStepKind::Proven);
        for place in others {
            faulty.exit(AT + 10 * MS, place).replaced(AT + 200 * MS, place, 2);
        }
        faulty.more.extend(when.map(|at_ns| retired(at_ns, WORKER)));
        asked(&faulty)
    };
    let before = of("recovery.time max < 1s", Some(AT - SECOND));
    assert_eq!((before.verdict, before.value_text.as_str()), (Verdict::Pass, "199 ms"), "{before:?}");
    let after = of("recovery.time max < 1s", Some(AT + 500 * MS));
    assert_eq!((after.verdict, after.value_text.as_str()), (Verdict::Pass, "499 ms"), "{after:?}");
    assert_eq!(of("recovery.time max < 1s", None).verdict, Verdict::Inconclusive, "it never comes back");
}

/// The log of a place can have its successor first.
#[test]
fn a_death_that_is_told_after_its_successor_awaits_no_other() {
    let mut faulty = Faulty::new("recovery.time max < 1s", FaultKind::Kill, WORKER);
    faulty
        .step(AT, FaultStepKind::Injected)
        .step(AT + MS, FaultStepKind::Proven)
        .replaced(AT + 300 * MS, WORKER, 2)
        .exit(AT + 310 * MS, WORKER);
    let took = asked(&faulty);
    assert_eq!((took.verdict, took.value_text.as_str()), (Verdict::Pass, "299 ms"), "{took:?}");
}

const BESIDE: [(u32, &str); 2] = [(3, "worker/0.0"), (5, "worker/0.2")];

/// What becomes of a fleet that follows its load, one of whose places was emptied for good.
fn follows(mut faulty: Faulty, more: Vec<(u64, Event)>) -> (Verdict, String) {
    faulty.more.extend(more);
    let judgement = faulty.judge_with(|event| {
        if let Event::Header(header) = event {
            (header.plan.workers_least, header.plan.workers_at_start) = (Some(2), Some(6));
            header.plan.coordinators_least = Some(1);
            header.plan.coordinators_at_start = Some(2);
        }
    });
    let took = &judgement.criteria[0];
    (took.verdict, took.value_text.clone())
}

fn emptied(at: (u32, &'static str), with: &[(u32, &str)], dead_ns: u64) -> Faulty {
    let mut faulty = Faulty::new("recovery.time max < 1s", FaultKind::Kill, at);
    faulty.step(AT, FaultStepKind::Injected).step(AT + MS, FaultStepKind::Proven);
    for place in std::iter::once(&at).chain(with) {
        faulty.exit(dead_ns, *place);
    }
    faulty
}

fn resized(at_ns: u64, name: &str, from: u32, to: u32) -> (u64, Event) {
    let resized = Resized { name: name.into(), from, to, decided_ns: at_ns - 100 * MS, reached_ns: at_ns };
    (at_ns, Event::Resized(resized))
}

/// Its dead worker has no successor, whichever of the two ends the log has first.
#[test]
fn the_dead_of_a_coordinator_that_has_ended_in_order_are_not_awaited() {
    for dead_ns in [AT + 10 * MS, AT + 600 * MS] {
        let ended = || BESIDE.into_iter().chain([COORDINATOR]).map(|place| retired(AT + 500 * MS, place));
        let took = follows(emptied(WORKER, &[], dead_ns), ended().collect());
        assert_eq!(took, (Verdict::Pass, "499 ms".to_owned()), "{dead_ns}");
    }
    // Its neighbours' ends alone say nothing about it.
    let neighbours = BESIDE.map(|place| retired(AT + 500 * MS, place)).to_vec();
    assert_eq!(follows(emptied(WORKER, &[], AT + 10 * MS), neighbours).0, Verdict::Inconclusive);
}

#[test]
fn a_place_of_a_pool_that_has_become_smaller_without_it_is_not_awaited() {
    let of = |more| follows(emptied(WORKER, &[], AT + 10 * MS), more);
    assert_eq!(of(vec![]).0, Verdict::Inconclusive, "it is awaited");
    assert_eq!(of(vec![resized(AT + 400 * MS, "coord/0", 3, 2)]), (Verdict::Pass, "399 ms".to_owned()));
    // Those of another coordinator, and a pool that grows, do not concern it.
    assert_eq!(of(vec![resized(AT + 400 * MS, "coord/1", 3, 2)]).0, Verdict::Inconclusive);
    assert_eq!(of(vec![resized(AT + 400 * MS, "coord/0", 2, 3)]).0, Verdict::Inconclusive);
    // It was decided anew.
    let again = vec![resized(AT + 400 * MS, "coord/0", 3, 2), resized(AT + 700 * MS, "coord/0", 2, 3)];
    assert_eq!(of(again).0, Verdict::Inconclusive);
}

/// Another one ends instead, which the log has later: then the place is wanted.
#[test]
fn a_place_that_a_smaller_pool_still_wants_is_awaited() {
    let smaller = || vec![resized(AT + 400 * MS, "coord/0", 3, 2), retired(AT + 450 * MS, BESIDE[1])];
    let of = |faulty| follows(faulty, smaller());
    assert_eq!(of(emptied(WORKER, &[], AT + 10 * MS)).0, Verdict::Inconclusive);
    let mut back = emptied(WORKER, &[], AT + 10 * MS);
    back.replaced(AT + 900 * MS, WORKER, 2);
    assert_eq!(of(back), (Verdict::Pass, "899 ms".to_owned()));
}

#[test]
fn a_coordinator_that_its_supervisor_wants_no_more_is_not_awaited_nor_are_its_workers() {
    let of = |more| {
        let workers = [BESIDE[0], WORKER, BESIDE[1]];
        follows(emptied(COORDINATOR, &workers, AT + 10 * MS), more)
    };
    assert_eq!(of(vec![]).0, Verdict::Inconclusive);
    assert_eq!(of(vec![resized(AT + 400 * MS, "supervisor", 2, 1)]), (Verdict::Pass, "399 ms".to_owned()));
    assert_eq!(of(vec![resized(AT + 400 * MS, "coord/1", 3, 2)]).0, Verdict::Inconclusive);
}
