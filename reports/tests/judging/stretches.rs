//! Criteria on a part of the load: before, during, after and outside a declared fault.

use reports::Verdict;
use reports::runlog::event::*;
use reports::verdict::CriterionResult;

use crate::faults::{AT, Faulty, MS, WORKER};

/// Of a run whose worker is killed while round 8 is in flight, and back before round 9.
fn judged(asking: &str, bend: impl Fn(&mut Faulty)) -> CriterionResult {
    let mut faulty = Faulty::killed(asking);
    bend(&mut faulty);
    faulty.judge().criteria.swap_remove(0)
}

const SIDES: [&str; 4] = ["before", "during", "after", "outside"];

/// Whether all tasks were answered before, during, after and outside the fault, if those of some rounds were not.
fn delivered(failed: fn(u64) -> u32) -> [bool; 4] {
    SIDES.map(|side| {
        let result =
            judged(&format!("delivery.rate >= 100% {side} planned"), |faulty| faulty.run.failed = failed);
        assert!(matches!(result.verdict, Verdict::Pass | Verdict::Fail), "{result:?}");
        result.verdict == Verdict::Pass
    })
}

#[test]
fn each_round_is_on_one_side_of_a_fault() {
    assert_eq!(delivered(|_| 0), [true, true, true, true]);
    assert_eq!(delivered(|n| u32::from(n == 2)), [false, true, true, false]);
    assert_eq!(delivered(|n| u32::from(n == 8)), [true, false, true, true], "in flight at the kill");
    assert_eq!(delivered(|n| u32::from(n == 60)), [true, true, false, false]);
}

#[test]
fn a_relapse_within_the_time_that_must_be_well_is_during_the_fault() {
    // 3 s after the kill, and 3 s after that: it is over only then.
    assert_eq!(delivered(|n| u32::from(n == 15)), [true, false, true, true]);
    assert_eq!(delivered(|n| u32::from(n == 15 || n == 21)), [true, false, true, true]);
    // After 5 s without a failed task it was over.
    assert_eq!(delivered(|n| u32::from(n == 25)), [true, true, false, false]);
}

#[test]
fn what_was_never_seen_to_be_over_has_no_after() {
    let mut faulty = Faulty::new("delivery.rate >= 100% after planned", FaultKind::Kill, WORKER);
    faulty.step(AT, FaultStepKind::Injected).step(AT + MS, FaultStepKind::Proven).exit(AT + 10 * MS, WORKER);
    let result = &faulty.judge().criteria[0];
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(result.note.as_ref().unwrap().contains("seen to have recovered from `planned`"), "{result:?}");
    let result = judged("delivery.rate >= 100% after other", |_| {});
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(result.note.unwrap().contains("declares no fault `other`"));
}

#[test]
fn levels_rates_and_incidents_are_divided_as_well() {
    let heavy = |n: u64| if (9..=9).contains(&n) { 9_000 } else { 2_000 };
    let of = |asking: &str| judged(asking, |faulty| faulty.run.worker_pss_kib = heavy).verdict;
    assert_eq!(of("memory.pss.workers max < 20MiB"), Verdict::Fail);
    assert_eq!(of("memory.pss.workers max < 20MiB outside planned"), Verdict::Pass);
    assert_eq!(of("memory.pss.workers max < 20MiB during faults"), Verdict::Fail);
    // Six workers, a round each 0.5 s.
    let rate = judged("throughput.tasks > 11/s after planned", |_| {});
    assert_eq!((rate.verdict, rate.value.map(f64::round)), (Verdict::Pass, Some(12.0)), "{rate:?}");
    let slow = |asking: &str| {
        judged(asking, |faulty| faulty.run.round_ns = |n| if n == 8 { 400 * MS } else { 9 * MS })
    };
    let during = slow("coordination.time max < 100ms during faults");
    assert_eq!(during.verdict, Verdict::Fail, "{during:?}");
    assert_eq!(slow("coordination.time max < 100ms outside faults").verdict, Verdict::Pass);
    let again = |asking: &str| {
        judged(asking, |faulty| {
            faulty.exit(AT - 3_000 * MS, (5, "worker/0.2"));
        })
        .verdict
    };
    assert_eq!(again("incidents == 0 before planned"), Verdict::Fail);
    assert_eq!(again("incidents == 0 after planned"), Verdict::Pass);
}

#[test]
fn what_a_fault_cost_can_be_asked_of_each_fault() {
    assert_eq!(judged("recovery.time max < 1s during planned", |_| {}).value_text, "299 ms");
    assert_eq!(judged("detection.time max < 1s during planned", |_| {}).value_text, "10 ms");
    let lost =
        judged("fault.loss <= 0 during planned", |faulty| faulty.run.failed = |n| u32::from(n == 8) * 2);
    assert_eq!((lost.verdict, lost.value), (Verdict::Fail, Some(2.0)));
    let hit = |asking: &str| {
        let result = judged(asking, |faulty| {
            faulty.run.failed = |n| u32::from(n == 8) * 2;
            faulty.run.retried = |n| u32::from(n == 8) + 3 * u32::from(n == 40);
        });
        (result.verdict, result.value)
    };
    assert_eq!(
        hit("fault.tasks_hit <= 3"),
        (Verdict::Pass, Some(3.0)),
        "those of round 40 are not the fault's"
    );
    assert_eq!(hit("fault.tasks_hit <= 2 during planned"), (Verdict::Fail, Some(3.0)));
}
