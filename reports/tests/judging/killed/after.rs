//! What came after the last checkpoint of a killed segment: what is bad counts wherever good would, and nothing else does.

use reports::runlog::event::*;
use reports::{Facts, Judgement, Verdict};

use super::{AFTER, COUNTED, Events, at_ns, checkpoint, killed, last_checkpoint};
use crate::mix::parts;
use crate::segments::{end_of, judged, later_segment, note, run};
use crate::synthetic::{MS, Run, SECOND, criterion, log_of};

/// A killed run and the rest of it, both changed.
fn judge_changed(run: &Run, mut events: Events, change: impl Fn(&mut Event)) -> (Judgement, Facts) {
    let counted_to = last_checkpoint(&events);
    for (_, event) in &mut events {
        change(event);
    }
    let first = log_of(events);
    let mut second = later_segment(run, Resumes { counted_to, ..end_of(&first) }, (COUNTED, AFTER));
    for (_, event) in &mut second {
        change(event);
    }
    judged(&[first, log_of(second)])
}

/// A round after the last checkpoint: of the load, `back` before the last one.
fn round_after(events: &mut Events, back: usize) -> &mut Round {
    let rounds = events.iter_mut().rev().filter_map(|(_, event)| match event {
        Event::Round(round) => Some(round),
        _ => None,
    });
    rounds.into_iter().nth(back).unwrap()
}

/// A mix of two workloads; `quick` has the late answers, the slow tasks and the failed ones.
fn mixed(event: &mut Event) {
    match event {
        Event::Header(header) => {
            let facts = |name: &str, weight| WorkloadFacts {
                name: name.into(),
                weight,
                workload: format!("what {name} does"),
                cpu_per_task_ns: None,
            };
            header.plan.workloads = vec![facts("compile", 1), facts("quick", 2)];
        }
        Event::Round(round) => round.workloads = parts(round),
        _ => {}
    }
}

/// A kill of a worker that comes so long after the start of the load.
fn faulty(at_ns: u64) -> impl Fn(&mut Event) {
    move |event| {
        let Event::Header(header) = event else { return };
        header.plan.faults = vec![FaultFacts {
            name: "planned".into(),
            kind: FaultKind::Kill,
            words: "something to 1 of 6 workers".into(),
            firings: vec![FiringFacts {
                firing: 0,
                at_ns,
                lasts_ns: None,
                targets: vec!["worker/0.0".into()],
                words: vec![],
                moment: None,
            }],
            may_meet_nothing: false,
        }];
    }
}

#[test]
fn a_slow_round_after_the_last_checkpoint_counts_in_windows_and_parts_of_the_load() {
    let slow = |n| if n == COUNTED + 1 { 200 * MS } else { 9 * MS };
    for (pass, wanted) in [
        ("coordination.time max < 100ms every 10s", Verdict::Fail),
        ("coordination.time max < 300ms every 10s", Verdict::Pass),
        ("task.time max < 100ms", Verdict::Fail),
        ("task.time max < 100ms every 60s", Verdict::Fail),
        ("coordination.time max < 100ms before planned", Verdict::Fail),
        ("coordination.time max < 300ms before planned", Verdict::Pass),
        ("task.time max < 100ms before planned", Verdict::Fail),
        ("first.answer max < 100ms", Verdict::Fail),
    ] {
        let calm = Run { criteria: vec![criterion("quick", pass, None)], ..run() };
        let events = killed(&Run { round_ns: slow, ..calm.clone() });
        // The fault does not come.
        let (judgement, facts) = judge_changed(&calm, events, faulty(COUNTED * calm.round_every_ns));
        assert_eq!(judgement.criteria[0].verdict, wanted, "{pass}: {:#?}", judgement.criteria);
        assert_eq!(facts.load.counts.rounds, calm.rounds);
    }
}

#[test]
fn what_is_bad_after_the_last_checkpoint_counts_for_its_workload_and_coordinator() {
    for (pass, wanted) in [
        ("delivery.late == 0", Verdict::Fail),
        ("delivery.late{workload=quick} == 0", Verdict::Fail),
        ("delivery.late{workload=compile} == 0", Verdict::Pass),
        ("delivery.late{coordinator=1} == 0", Verdict::Fail),
        ("delivery.late{coordinator=0} == 0", Verdict::Pass),
        ("task.time{workload=quick} max < 100ms", Verdict::Fail),
        ("task.time{workload=compile} max < 150ms", Verdict::Pass),
        ("delivery.rate{workload=quick} >= 100%", Verdict::Fail),
        ("delivery.rate{workload=quick} >= 100% every 10s", Verdict::Fail),
        ("delivery.rate{workload=compile} >= 100%", Verdict::Pass),
    ] {
        let calm = Run { criteria: vec![criterion("quick", pass, None)], ..run() };
        let with = Run {
            round_ns: |n| if n == COUNTED + 1 { 200 * MS } else { 9 * MS },
            failed: |n| u32::from(n == COUNTED + 2),
            ..calm.clone()
        };
        let mut events = killed(&with);
        let round = round_after(&mut events, 0);
        round.late = 1;
        round.strays = vec![StrayAnswers { workload: Some(1), coordinator: Some(1), late: 1, duplicates: 0 }];
        let (judgement, _) = judge_changed(&calm, events, mixed);
        assert_eq!(judgement.criteria[0].verdict, wanted, "{pass}: {:#?}", judgement.criteria);
    }
}

/// A run that was killed soon after its load began, whose last checkpoint is of the warm-up.
fn killed_as_the_load_began(run: &Run, checkpoint_ns: u64, rounds_before: u64) -> Events {
    let end = at_ns(run, AFTER);
    let mut events = run.events();
    events.retain(|(t, event)| *t < end && !matches!(event, Event::Latency(_)));
    let booked = Run { warm_up_rounds: rounds_before, ..run.clone() };
    let checkpoint = checkpoint(&booked, 0, OpenRounds::default());
    events.push((checkpoint_ns, Event::Checkpoint(Box::new(checkpoint))));
    events.sort_by_key(|(t, _)| *t);
    events
}

fn judge_from_the_start(run: &Run, events: Events) -> (Judgement, Facts) {
    let counted_to = last_checkpoint(&events);
    let first = log_of(events);
    let resumes = Resumes { counted_to, ..end_of(&first) };
    judged(&[first, log_of(later_segment(run, resumes, (0, AFTER)))])
}

#[test]
fn a_load_that_began_after_the_last_checkpoint_hides_nothing() {
    let calm = Run { criteria: vec![criterion("quick", "coordination.time max < 100ms", None)], ..run() };
    let before = calm.load_ns() - 100 * MS;
    let events = |with: &Run| killed_as_the_load_began(with, before, with.warm_up_rounds);
    let (judgement, facts) = judge_from_the_start(&calm, events(&calm));
    assert_eq!((judgement.verdict, facts.lost_tasks()), (Verdict::Pass, 0), "{judgement:#?}");
    assert_eq!(facts.load.counts.rounds, calm.rounds);

    let slow = Run { round_ns: |n| if n == 0 { 200 * MS } else { 9 * MS }, ..calm.clone() };
    let (judgement, _) = judge_from_the_start(&calm, events(&slow));
    assert_eq!(judgement.verdict, Verdict::Fail, "{judgement:#?}");

    let failed = Run { failed: |n| u32::from(n == 1), ..calm.clone() };
    let (judgement, facts) = judge_from_the_start(&calm, events(&failed));
    assert_eq!((facts.lost_tasks(), facts.load.counts.failed), (1, 1));
    assert_eq!(note(&judgement, "ledger").0, Verdict::Inconclusive, "{judgement:#?}");
}

#[test]
fn a_second_answer_in_the_warm_up_after_the_last_checkpoint_counts() {
    let run = run();
    let before = run.load_ns() - 5 * run.round_every_ns - MS;
    let mut events = killed_as_the_load_began(&run, before, run.warm_up_rounds - 5);
    let round = round_after(&mut events, AFTER as usize);
    assert_eq!(round.phase, Phase::WarmUp);
    round.duplicates = 1;
    let (judgement, facts) = judge_from_the_start(&run, events);
    assert_eq!((facts.load.counts.duplicates, facts.load.warm_up.duplicates), (0, 1));
    assert_eq!(note(&judgement, "each task counted once").0, Verdict::Fail, "{judgement:#?}");
}

#[test]
fn a_fault_that_was_not_over_at_the_last_checkpoint_is_not_proven() {
    let run = run();
    let cut = at_ns(&run, COUNTED);
    let judge = |injected_ns: u64, proven_ns: u64| {
        let mut events = killed(&run);
        for (at_ns, step) in [(injected_ns, FaultStepKind::Injected), (proven_ns, FaultStepKind::Proven)] {
            let target = FaultTarget {
                agent: 3,
                incarnation: 1,
                name: "worker/0.0".into(),
                pid: 1_003,
                start_ticks: 42,
            };
            let targets = if step == FaultStepKind::Injected { vec![target] } else { vec![] };
            let how = "was seen".into();
            let step = FaultStep { firing: 0, step, at_ns, targets, how, moment: None, met: None };
            events.push((at_ns, Event::Fault(step)));
        }
        events.sort_by_key(|(t, _)| *t);
        note(&judge_changed(&run, events, faulty(injected_ns - run.load_ns())).0, "faults proven")
    };
    assert_eq!(judge(cut - 3 * MS, cut - 2 * MS).0, Verdict::Pass);
    for (injected_ns, proven_ns) in [(cut - MS, cut + MS), (cut + MS, cut + 2 * MS)] {
        let (verdict, found) = judge(injected_ns, proven_ns);
        assert_eq!(verdict, Verdict::Inconclusive, "{found}");
        assert!(found.contains("was not over at the last checkpoint of its segment"), "{found}");
    }
}

#[test]
fn sweeps_are_due_after_a_checkpoint_only_while_the_load_goes_on() {
    let run = run();
    let mut events = killed(&run);
    let drain = at_ns(&run, COUNTED + AFTER);
    events.push((drain, Event::Phase(PhaseBegan { phase: Phase::Drain })));
    // A minute later it waits for its last round still.
    let alert = Alert { severity: Severity::Info, text: "as it goes".into() };
    events.push((drain + 60 * SECOND, Event::Alert(alert)));
    let counted_to = last_checkpoint(&events);
    let first = log_of(events);
    let resumes = Resumes { counted_to, ..end_of(&first) };
    let later = later_segment(&run, resumes, (COUNTED, AFTER));
    let (judgement, facts) = judged(&[first, log_of(later)]);
    assert_eq!(facts.tail_ns, AFTER * run.round_every_ns);
    assert_eq!(note(&judgement, "sampling coverage").0, Verdict::Pass, "{judgement:#?}");
}
