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

/// A coordinator is killed whose last worker had ended in order before, since the fleet was to be smaller, or ends so afterwards.
#[test]
fn a_place_that_the_fleet_has_given_up_is_not_awaited() {
    let retired = |at_ns: u64, pid| {
        let exit = AgentExit {
            agent: WORKER.0,
            incarnation: 1,
            name: WORKER.1.into(),
            pid,
            how: "retired when the fleet was scaled".into(),
            expected: true,
            seen_ns: at_ns,
        };
        (at_ns, Event::AgentExit(exit))
    };
    let others = [COORDINATOR, (3, "worker/0.0"), (5, "worker/0.2")];
    let of = |asking: &str, when: Option<u64>| {
        let mut faulty = Faulty::new(asking, FaultKind::Kill, COORDINATOR);
        faulty.step(AT, FaultStepKind::Injected).step(AT + MS, FaultStepKind::Proven);
        for place in others {
            faulty.exit(AT + 10 * MS, place).replaced(AT + 200 * MS, place, 2);
        }
        faulty.more.extend(when.map(|at_ns| retired(at_ns, 1_000 + WORKER.0)));
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
