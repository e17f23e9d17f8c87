//! Times over their limit, on a host that other programs used at the same time.

use reports::runlog::Writer;
use reports::runlog::event::*;
use reports::verdict::CriterionResult;
use reports::{Case, Verdict};

use crate::synthetic::{Run, SECOND, judge, log_of};

const MS: u64 = 1_000_000;

/// Ticks of 200 that a host with two processors has a second.
#[derive(Debug, Clone, Copy)]
struct Host {
    idle: u64,
    steal: u64,
    /// By a process of the fleet, beside the little that each uses.
    own: u64,
}

const QUIET: Host = Host { idle: 150, steal: 3, own: 0 };
/// All is used, next to nothing by the run.
const TAKEN: Host = Host { idle: 0, ..QUIET };

/// Rounds 40 and 41 of the load take 900 ms.
fn two_slow(pass: &str) -> Run {
    let commands = |_| Some(CommandsSample::default());
    Run { round_ns: |n| if n == 40 || n == 41 { 900 * MS } else { 9 * MS }, commands, ..Run::asking(pass) }
}

/// The run on a host that is like `near` while the slow rounds go on, and like `far` otherwise.
fn events_on(run: &Run, near: Host, far: Host) -> Vec<(u64, Event)> {
    let mut events = run.events();
    let slow: Vec<(u64, u64)> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Round(round) if round.finished_ns - round.scheduled_ns > 100 * MS => {
                Some((round.scheduled_ns, round.finished_ns))
            }
            _ => None,
        })
        .collect();
    let (from_ns, to_ns) = (slow[0].0, slow[slow.len() - 1].1);
    let (mut idle, mut steal, mut own_us) = (700_000, 5_000, 0);
    for (_, event) in &mut events {
        let Event::Sample(sample) = event else { continue };
        let is_near = sample.started_ns > from_ns && sample.started_ns < to_ns + SECOND;
        let host = if is_near { near } else { far };
        (idle, steal, own_us) = (idle + host.idle, steal + host.steal, own_us + host.own * 10_000);
        (sample.host.idle_ticks, sample.host.steal_ticks) = (Some(idle), Some(steal));
        sample.agents.iter_mut().filter(|row| row.agent == 3).for_each(|row| row.cpu_us += own_us);
    }
    events
}

fn on(run: &Run, near: Host, far: Host) -> CriterionResult {
    judge(&log_of(events_on(run, near, far))).criteria.remove(0)
}

/// All rounds are slow, and the host was quiet but for a few sweeps in the middle.
fn all_slow(pass: &str) -> CriterionResult {
    let run = Run { round_ns: |n| if n == 40 || n == 41 { 900 * MS } else { 200 * MS }, ..two_slow(pass) };
    let mut events = events_on(&run, TAKEN, QUIET);
    let mut idle = 0;
    for (_, event) in &mut events {
        let Event::Sample(sample) = event else { continue };
        idle += if (20..24).contains(&sample.sweep) { 0 } else { 150 };
        sample.host.idle_ticks = Some(700_000 + idle);
    }
    judge(&log_of(events)).criteria.remove(0)
}

#[test]
fn a_time_over_its_limit_while_others_had_the_processors_is_open() {
    for host in [TAKEN, Host { idle: 0, steal: 190, own: 0 }] {
        let found = on(&two_slow("coordination.time max < 500ms"), host, QUIET);
        assert_eq!((found.verdict, found.value), (Verdict::Inconclusive, Some(0.9)), "{found:#?}");
        let note = found.note.unwrap();
        assert!(note.contains("other programs used more than 50 %") && note.contains("quiet host"), "{note}");
    }
    // No round of the run was as quick as that.
    let out_of_reach = on(&two_slow("coordination.time max < 5ms"), TAKEN, TAKEN);
    assert_eq!(out_of_reach.verdict, Verdict::Fail, "{out_of_reach:#?}");
    // Never a PASS by that, and a PASS on a busy host stays one.
    let held = on(&two_slow("coordination.time max < 1s"), TAKEN, TAKEN);
    assert_eq!((held.verdict, held.note), (Verdict::Pass, None));
}

#[test]
fn what_the_run_did_itself_or_others_at_another_time_is_a_failure() {
    let run = two_slow("coordination.time max < 500ms");
    for (what, near, far) in [
        ("a quiet host", QUIET, QUIET),
        ("the fleet used the processors itself", Host { own: 150, ..TAKEN }, QUIET),
        ("half of the processors were idle", Host { idle: 100, ..TAKEN }, QUIET),
        ("others used them, but not then", QUIET, TAKEN),
    ] {
        let found = on(&run, near, far);
        assert_eq!(found.verdict, Verdict::Fail, "{what}: {found:#?}");
    }
    let mut prepared = events_on(&run, TAKEN, QUIET);
    let Event::Header(header) = &mut prepared[0].1 else { panic!("a log begins with its header") };
    header.plan.setup = vec!["stress".into()];
    let found = judge(&log_of(prepared)).criteria.remove(0);
    assert_eq!(found.verdict, Verdict::Fail, "what a set-up left running is the run's own");
    let unread = Run { commands: |_| None, ..run };
    assert_eq!(on(&unread, TAKEN, QUIET).verdict, Verdict::Fail, "of the workers' commands nothing is known");
}

/// With a fault of the run's own from `from_ns` on for `lasts_ns`.
pub(crate) fn with_fault(
    mut events: Vec<(u64, Event)>,
    kind: FaultKind,
    from_ns: u64,
    lasts_ns: u64,
) -> Vec<(u64, Event)> {
    let Event::Header(header) = &mut events[0].1 else { panic!("a log begins with its header") };
    let firing = FiringFacts {
        firing: 0,
        at_ns: 0,
        lasts_ns: Some(lasts_ns),
        targets: Vec::new(),
        words: Vec::new(),
        moment: None,
    };
    let (name, words) = ("busy".into(), "4 busy processes beside the fleet".into());
    header.plan.faults =
        vec![FaultFacts { name, kind, words, firings: vec![firing], may_meet_nothing: false }];
    let to_ns = from_ns + lasts_ns;
    for (at_ns, step) in [
        (from_ns, FaultStepKind::Injected),
        (from_ns + 10 * MS, FaultStepKind::Proven),
        (to_ns - 10 * MS, FaultStepKind::Healed),
        (to_ns, FaultStepKind::HealProven),
    ] {
        let step = FaultStep {
            firing: 0,
            step,
            at_ns,
            targets: Vec::new(),
            how: "was seen".into(),
            moment: None,
            met: None,
        };
        events.push((at_ns, Event::Fault(step)));
    }
    events.sort_by_key(|event| event.0);
    events
}

#[test]
fn what_a_fault_of_the_run_used_is_not_others() {
    let run = two_slow("coordination.time max < 500ms");
    let events = events_on(&run, TAKEN, QUIET);
    let slow_ns = events.iter().find_map(|(_, event)| match event {
        Event::Round(round) if round.finished_ns - round.scheduled_ns > 100 * MS => Some(round.scheduled_ns),
        _ => None,
    });
    let slow_ns = slow_ns.unwrap();
    for (kind, from_ns, wanted) in [
        (FaultKind::CpuHogs, slow_ns - SECOND, Verdict::Fail),
        (FaultKind::Memory, slow_ns - SECOND, Verdict::Fail),
        (FaultKind::CpuHogs, slow_ns - 8 * SECOND, Verdict::Inconclusive),
        (FaultKind::CpuHogs, slow_ns + 8 * SECOND, Verdict::Inconclusive),
        (FaultKind::Cpus, slow_ns - SECOND, Verdict::Inconclusive),
    ] {
        let faulty = with_fault(events.clone(), kind, from_ns, 5 * SECOND);
        let found = judge(&log_of(faulty)).criteria.remove(0);
        assert_eq!(found.verdict, wanted, "{kind:?} {from_ns} {slow_ns}: {found:#?}");
    }
}

#[test]
fn slow_rounds_that_others_do_not_explain_are_a_failure_beside_those_that_they_do() {
    let found = all_slow("coordination.time max < 150ms");
    assert_eq!(found.verdict, Verdict::Fail, "{found:#?}");
    assert!(found.note.as_ref().unwrap().contains("do not explain it"), "{found:#?}");
}

#[test]
fn a_percentile_is_open_only_if_enough_of_the_slow_rounds_are_others_doing() {
    let slow = Run {
        round_ns: |n| if (40..100).contains(&n) { 400 * MS } else { 9 * MS },
        ..two_slow("coordination.time p90 < 300ms")
    };
    assert_eq!(on(&slow, QUIET, QUIET).verdict, Verdict::Fail);
    let found = on(&slow, TAKEN, QUIET);
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:#?}");
    // All are too slow: those that others had change nothing.
    let all = Run { round_ns: |_| 400 * MS, ..slow };
    let mut events = events_on(&all, QUIET, QUIET);
    let mut idle = 0;
    for (_, event) in &mut events {
        let Event::Sample(sample) = event else { continue };
        idle += if sample.sweep < 20 { 0 } else { 150 };
        sample.host.idle_ticks = Some(700_000 + idle);
    }
    let found = judge(&log_of(events)).criteria.remove(0);
    assert_eq!(found.verdict, Verdict::Fail, "{found:#?}");
}

/// After how many rounds of the load a criterion with `abort` ends the run.
fn given_up(run: &Run, near: Host) -> Option<u64> {
    let mut events = events_on(run, near, QUIET);
    let Event::Header(header) = &mut events[0].1 else { panic!("a log begins with its header") };
    header.criteria[0].abort = true;
    let mut case = Case::new(header);
    let mut writer = Writer::new(Vec::new());
    events.into_iter().find_map(|(t_ns, event)| {
        case.push(&writer.append(t_ns, event).unwrap());
        case.cannot_pass(t_ns).map(|_| case.facts().live().rounds)
    })
}

#[test]
fn a_run_is_not_given_up_for_what_others_did() {
    let max = two_slow("coordination.time max < 500ms");
    let p95 = Run {
        round_ns: |n| if (40..60).contains(&n) { 400 * MS } else { 9 * MS },
        ..two_slow("coordination.time p95 < 300ms")
    };
    for run in [max, p95] {
        assert_eq!(given_up(&run, TAKEN), None);
        // As soon as the sweep after it has shown that no others were there: it comes every second round.
        let rounds = given_up(&run, QUIET).unwrap();
        assert!((41..=50).contains(&rounds), "{rounds}");
    }
}

#[test]
fn times_of_tasks_of_windows_and_of_first_answers_are_open_as_those_of_rounds_are() {
    for pass in [
        "task.time max < 500ms",
        "task.time p99 < 500ms",
        "coordination.time max < 500ms every 10s",
        "first.answer max < 500ms",
    ] {
        let run = Run { rounds: 60, ..two_slow(pass) };
        // All answers of a round come at once.
        let on = |near, far| {
            let mut events = events_on(&run, near, far);
            for (_, event) in &mut events {
                let Event::Round(round) = event else { continue };
                round.first_ns = Some(round.finished_ns);
            }
            judge(&log_of(events)).criteria.remove(0)
        };
        let slow = on(QUIET, QUIET);
        assert_eq!(slow.verdict, Verdict::Fail, "{pass}: {slow:#?}");
        let found = on(TAKEN, QUIET);
        assert_eq!(found.verdict, Verdict::Inconclusive, "{pass}: {found:#?}");
        assert!(found.note.unwrap().contains("quiet host"), "{pass}");
        for (what, near, far) in [
            ("the fleet used the processors itself", Host { own: 150, ..TAKEN }, QUIET),
            ("half of the processors were idle", Host { idle: 100, ..TAKEN }, QUIET),
            ("others used them, but not then", QUIET, TAKEN),
        ] {
            let found = on(near, far);
            assert_eq!(found.verdict, Verdict::Fail, "{pass}: {what}: {found:#?}");
        }
    }
}

#[test]
fn tasks_that_others_do_not_explain_are_a_failure_beside_those_that_they_do() {
    for pass in ["task.time p50 < 150ms", "task.time p90 < 150ms", "task.time max < 150ms"] {
        let found = all_slow(pass);
        assert_eq!(found.verdict, Verdict::Fail, "{pass}: {found:#?}");
    }
}

#[test]
fn a_recovery_while_others_had_the_processors_is_open() {
    // Two seconds after the heal, tasks are answered again.
    let run = Run { failed: |n| u32::from((40..48).contains(&n)), ..two_slow("recovery.time max < 1s") };
    let run = Run { round_ns: |_| 9 * MS, ..run };
    let load_ns = run.events().iter().find_map(|(_, event)| match event {
        Event::Round(round) if round.phase == Phase::Load => Some(round.scheduled_ns),
        _ => None,
    });
    let from_ns = load_ns.unwrap() + 20 * SECOND;
    let judged = |is_taken: fn(u64) -> bool| {
        let mut events = run.events();
        let (mut idle, mut steal) = (700_000, 5_000);
        for (_, event) in &mut events {
            let Event::Sample(sample) = event else { continue };
            let after_s = (sample.started_ns.saturating_sub(from_ns)) / SECOND;
            idle += if is_taken(after_s) { 0 } else { 150 };
            steal += 3;
            (sample.host.idle_ticks, sample.host.steal_ticks) = (Some(idle), Some(steal));
        }
        judge(&log_of(with_fault(events, FaultKind::Pause, from_ns, SECOND))).criteria.remove(0)
    };
    let quiet = judged(|_| false);
    assert_eq!(quiet.verdict, Verdict::Fail, "{quiet:#?}");
    let taken = judged(|after_s| (1..8).contains(&after_s));
    assert_eq!(taken.verdict, Verdict::Inconclusive, "{taken:#?}");
    assert!(taken.note.unwrap().contains("during 1 recovery the processors were busy"));
    let later = judged(|after_s| after_s > 8);
    assert_eq!(later.verdict, Verdict::Fail, "{later:#?}");
}
