//! Faults that wait for what the load is at, on a scripted system.

use super::fake::{Fake, Obeys, Reply};
use super::{Done, SCENARIO, run_into};
use crate::engine::sink::MemorySink;
use crate::system::PlaceId;
use reports::Verdict;
use reports::runlog::event::FaultStepKind::{
    HealProven, Healed, Injected, MomentMissed, MomentShown, NotInjected, Proven,
};
use reports::runlog::event::{Event, FaultMoment, FaultStep, FaultStepKind, MomentSeen};
use std::time::Duration;

const MS: u64 = 1_000_000;
const PAUSE: &str = "kind = \"pause\"\nrole = \"worker\"\nfor = \"1s\"";

/// A load of 12 s whose rounds begin every `every`, the first after a lead of 20 ms, with a fault; the verdict of the check
/// of faults.
fn run(
    fault: &str,
    every: &str,
    replies: impl Fn(u64, PlaceId) -> Reply + 'static,
) -> (Vec<FaultStep>, Done, Verdict) {
    let text = SCENARIO
        .replace("duration = \"1s\"", "duration = \"12s\"")
        .replace("every = \"50ms\"", &format!("every = \"{every}\""))
        .replace("[[criterion]]", &format!("[[fault]]\nname = \"planned\"\n{fault}\n[[criterion]]"));
    let sink = MemorySink::default();
    let done = run_into(&sink, &text, |clock, _| Fake::new(clock, 3).obeys(Obeys::All).replies(replies));
    let (judgement, _) = reports::judge_log(&sink.bytes()[..]).unwrap();
    let check = judgement.evidence.iter().find(|check| check.name == "faults proven").unwrap();
    let steps = done.all(|event| if let Event::Fault(step) = event { Some(step) } else { None });
    (steps.into_iter().cloned().collect(), done, check.verdict)
}

fn kinds(steps: &[FaultStep]) -> Vec<FaultStepKind> {
    steps.iter().map(|step| step.step).collect()
}

fn after(ms: u64) -> Reply {
    Reply::After(Duration::from_millis(ms))
}

#[test]
fn a_fault_in_the_middle_of_a_round_waits_for_one_and_counts_what_was_open() {
    // Rounds begin at 20 ms and at 3,020 ms.
    let fault = format!("{PAUSE}\nat = \"1s\"\nmoment = \"mid-round\"");
    let slow = |_, place| after(if place == PlaceId::worker(0, 0) { 1 } else { 40 });
    let (steps, _, verdict) = run(&fault, "3s", slow);
    assert_eq!(kinds(&steps), [Injected, Proven, MomentShown, Healed, HealProven], "{steps:?}");
    let seen = steps[0].moment.unwrap();
    let MomentSeen { moment, waited_ns, round, tasks, open } = seen;
    assert_eq!((moment, round, tasks), (FaultMoment::MidRound, Some(1), 3));
    assert!((1..=3).contains(&open), "{seen:?}");
    assert_eq!(steps[0].at_ns, 1_020 * MS + waited_ns);
    assert!((3_020..3_060).contains(&(steps[0].at_ns / MS)), "{steps:?}");
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn a_fault_into_a_worker_with_a_task_waits_until_that_one_has_one() {
    // From the second round on each worker has a task, for 40 ms.
    let fault = "kind = \"kill\"\nrole = \"worker\"\nat = \"1s\"\nmoment = \"task-in-flight\"";
    let (steps, done, verdict) = run(fault, "3s", |_, _| after(40));
    assert_eq!(kinds(&steps), [Injected, Proven, MomentShown], "{steps:?}");
    let seen = steps[0].moment.unwrap();
    assert_eq!((seen.moment, seen.round, seen.tasks, seen.open), (FaultMoment::TaskInFlight, None, 1, 1));
    assert!((3_020..3_060).contains(&(steps[0].at_ns / MS)), "{steps:?}");
    let victim = &done.crashes()[0].name;
    assert!(done.failures()[0].reason.contains(&format!("{victim} died with the task")), "{victim}");
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn a_coordinator_has_the_tasks_of_its_workers_in_hand() {
    let fault =
        "kind = \"pause\"\nrole = \"coordinator\"\nfor = \"1s\"\nat = \"1s\"\nmoment = \"task-in-flight\"";
    let (steps, _, verdict) = run(fault, "3s", |_, _| after(40));
    assert_eq!(steps[0].moment.map(|seen| (seen.tasks, seen.open)), Some((3, 3)));
    assert_eq!(verdict, Verdict::Pass);
}

#[test]
fn a_moment_that_does_not_come_in_its_time_is_not_injected() {
    for moment in ["mid-round", "task-in-flight"] {
        let fault = format!("{PAUSE}\nat = \"1s\"\nmoment = \"{moment}\"\nwithin = \"500ms\"");
        let (steps, _, verdict) = run(&fault, "3s", |_, _| after(40));
        assert_eq!((kinds(&steps), verdict), (vec![NotInjected], Verdict::Inconclusive), "{moment}");
        assert!((1_520..1_530).contains(&(steps[0].at_ns / MS)), "{steps:?}");
        assert!(steps[0].how.contains("within 500ms"), "{}", steps[0].how);
    }
}

#[test]
fn tasks_that_had_ended_when_a_fault_was_injected_are_not_in_flight() {
    // Made a millisecond after the begin of the round, and here 30 ms later; the fault is due between the two.
    let held = |_, _| Reply::Held(Duration::from_millis(31));
    for moment in ["mid-round", "task-in-flight"] {
        let fault = format!("{PAUSE}\nat = \"3010ms\"\nmoment = \"{moment}\"");
        let (steps, _, verdict) = run(&fault, "3s", held);
        let found = kinds(&steps);
        assert_eq!(found, [Injected, Proven, MomentMissed, Healed, HealProven], "{moment}: {steps:?}");
        assert_eq!(verdict, Verdict::Inconclusive, "{moment}");
    }
}
