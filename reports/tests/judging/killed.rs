//! A segment whose harness was killed counts up to its last checkpoint.

mod after;

use hdrhistogram::Histogram;
use reports::runlog::event::*;
use reports::{Facts, Judgement, Verdict};

use crate::segments::{GAP_NS, directory, end_of, judged, later_segment, note, run};
use crate::synthetic::{MS, Run, criterion, latency, log_of, read, report};

/// Rounds of the load up to the last checkpoint,
const COUNTED: u64 = 60;
/// after which others were carried out,
const AFTER: u64 = 5;
/// and between two checkpoints.
const BETWEEN: u64 = 20;

/// On its way at the last checkpoint: all of its six tasks are done, and two answers have reached the client.
const OPEN: OpenRounds = OpenRounds { rounds: 1, tasks: 6, answered: 2, failed: 0 };

type Events = Vec<(u64, Event)>;

fn at_ns(run: &Run, round: u64) -> u64 {
    run.load_ns() + round * run.round_every_ns - MS
}

fn checkpoint(run: &Run, rounds: u64, open: OpenRounds) -> Checkpoint {
    let mut ledger = Run { rounds, ..run.clone() }.ledger();
    let OpenRounds { tasks, answered, failed, .. } = open;
    let first = &mut ledger.coordinators[0];
    for row in [&mut ledger.client, &mut first.client] {
        row.accepted += tasks;
        row.answered += answered;
        row.failed += failed;
        row.in_flight += open.in_hand();
    }
    let own = first.coordinator.as_mut().unwrap();
    own.accepted += tasks;
    own.answered += tasks - failed;
    own.failed += failed;
    *first.executed_by_workers.as_mut().unwrap() += tasks - failed;
    ledger.pool.as_mut().unwrap().hits += tasks;
    Checkpoint { ledger, open }
}

/// A run up to the moment at which its harness was killed.
fn killed_with(run: &Run, open: OpenRounds) -> Vec<(u64, Event)> {
    let end = at_ns(run, COUNTED + AFTER);
    let mut events = run.events();
    events.retain(|(t, event)| *t < end && !matches!(event, Event::Latency(_)));
    for rounds in (0..=COUNTED).step_by(BETWEEN as usize) {
        let at = at_ns(run, rounds);
        let since = rounds.saturating_sub(BETWEEN);
        let mut tasks = Histogram::<u64>::new(3).unwrap();
        for (_, event) in &events {
            if let Event::Round(round) = event
                && round.phase == Phase::Load
                && (since..rounds).contains(&(round.round - run.warm_up_rounds))
            {
                tasks.record_n(round.task_max_ns.unwrap(), round.answered.into()).unwrap();
            }
        }
        if !tasks.is_empty() {
            let start = at_ns(run, since);
            events.push((at, Event::Latency(latency(&tasks, start, at - start))));
        }
        let open = if rounds == COUNTED { open } else { OpenRounds::default() };
        events.push((at, Event::Checkpoint(Box::new(checkpoint(run, rounds, open)))));
    }
    events.sort_by_key(|(t, _)| *t);
    events
}

pub(crate) fn killed(run: &Run) -> Vec<(u64, Event)> {
    killed_with(run, OPEN)
}

fn last_checkpoint(events: &[(u64, Event)]) -> Option<u64> {
    events.iter().rposition(|(_, event)| matches!(event, Event::Checkpoint(_))).map(|at| at as u64)
}

/// The log of what was killed, and that of the rest, which follows its last checkpoint.
fn resumed(run: &Run, events: Vec<(u64, Event)>) -> [Vec<u8>; 2] {
    let counted_to = last_checkpoint(&events);
    let first = log_of(events);
    let resumes = Resumes { counted_to, ..end_of(&first) };
    let second = log_of(later_segment(run, resumes, (COUNTED, AFTER)));
    [first, second]
}

pub(crate) fn judge(run: &Run, events: Vec<(u64, Event)>) -> (Judgement, Facts) {
    judged(&resumed(run, events))
}

fn last(events: &mut [(u64, Event)]) -> &mut Checkpoint {
    let at = last_checkpoint(events).unwrap() as usize;
    let Event::Checkpoint(checkpoint) = &mut events[at].1 else { panic!("no checkpoint") };
    checkpoint
}

#[test]
fn a_killed_run_that_goes_on_passes_and_says_what_was_in_hand() {
    let run = run();
    let logs = resumed(&run, killed(&run));
    let (judgement, facts) = judged(&logs);
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    // The five rounds after the checkpoint were carried out again.
    assert_eq!(facts.load.counts.rounds, run.rounds);
    assert_eq!(facts.load.counts.answered, run.rounds * 6);
    assert_eq!(facts.cuts.len(), 1);
    assert_eq!((facts.cuts[0].rounds_after, facts.in_hand(), facts.lost_tasks()), (AFTER, 4, 0));
    let gap = &facts.gaps[0];
    assert_eq!((gap.from_ns, gap.length_ns(), gap.in_hand), (at_ns(&run, COUNTED), GAP_NS + MS, Some(4)));
    assert_eq!(facts.load_ns(), run.rounds * run.round_every_ns - MS);
    let (_, found) = note(&judgement, "ledger");
    assert!(found.contains("4 in hand when the run was cut off"), "{found}");
    assert!(found.contains("5 rounds ended after it and count only where they are bad"), "{found}");
    assert!(judgement.interruptions().unwrap().ends_with("; 4 tasks in hand when the run was cut off"));

    let dir = directory(&[&logs[0], &logs[1]]);
    let (from_dir, _) = report(dir.path());
    assert_eq!(from_dir, judgement);
    for file in ["report.md", "report.html"] {
        let text = read(dir.path(), file);
        assert!(text.contains("4 tasks in hand when the run was cut off"), "{file}: {text}");
    }
    assert!(read(dir.path(), "verdict.json").contains("\"in_hand\": 4"));
    assert_eq!(read(dir.path(), "rounds.csv").lines().count() as u64, 1 + run.rounds + run.warm_up_rounds);
}

#[test]
fn the_time_from_the_last_checkpoint_on_counts_as_gap() {
    for (pass, verdict) in [
        ("gap.time < 61m", Verdict::Pass),
        ("gap.time <= 1h", Verdict::Fail),
        ("gap.time < 30m", Verdict::Fail),
    ] {
        let run = Run { criteria: vec![criterion("gap", pass, None)], ..run() };
        let (judgement, _) = judge(&run, killed(&run));
        assert_eq!(judgement.verdict, verdict, "{pass}: {judgement:#?}");
    }
}

#[test]
fn an_answer_that_was_lost_before_the_kill_fails_the_run() {
    // In a round before the last checkpoint, and in one after it.
    let lost: [fn(u64) -> u32; 2] = [|n| u32::from(n == 30), |n| u32::from(n == COUNTED + 2)];
    for lost in lost {
        let with =
            Run { failed: lost, causes: |timed_out| Causes { timed_out, ..Causes::default() }, ..run() };
        let events = killed(&with);
        // It is carried out again, and well.
        let (judgement, facts) = judge(&run(), events);
        assert_eq!(facts.load.counts.failed, 1);
        assert_eq!(judgement.criteria[0].verdict, Verdict::Fail, "{judgement:#?}");
        assert_eq!(judgement.verdict, Verdict::Fail, "{judgement:#?}");
    }
}

#[test]
fn what_failed_where_no_ledger_has_it_is_not_decided_by_what_may_be_lost() {
    let criteria = vec![criterion("most", "delivery.rate >= 90%", None)];
    let calm = Run { criteria: criteria.clone(), ..run() };
    let with = Run { failed: |n| u32::from(n == COUNTED + 2), ..calm.clone() };
    let (judgement, _) = judge(&calm, killed(&with));
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:#?}");
    let (verdict, found) = note(&judgement, "ledger");
    assert!(verdict == Verdict::Inconclusive && found.contains("1 task failed in rounds"), "{found}");
    // Of a round on its way at the checkpoint, too.
    let open = OpenRounds { failed: 1, ..OPEN };
    let (judgement, facts) = judge(&calm, killed_with(&calm, open));
    assert_eq!((judgement.verdict, facts.lost_tasks()), (Verdict::Inconclusive, 1), "{judgement:#?}");
}

#[test]
fn a_task_that_no_round_waits_for_and_that_never_ended_fails_the_run() {
    let run = run();
    let mut events = killed(&run);
    let at = last(&mut events);
    // Given up by the harness, which counts it as failed, and still in flight at the client.
    at.open.failed += 1;
    let (judgement, _) = judge(&run, events);
    let (verdict, found) = note(&judgement, "ledger");
    assert_eq!((verdict, judgement.verdict), (Verdict::Fail, Verdict::Fail));
    assert!(found.contains("given up and still in flight"), "{found}");
}

#[test]
fn ends_that_count_further_apart_than_what_was_on_its_way_fail_the_run() {
    let run = run();
    let bends: [fn(&mut LedgerRow); 3] = [
        |row| row.answered -= 5,
        |row| (row.accepted, row.answered) = (row.accepted + 1, row.answered + 1),
        |row| (row.accepted, row.answered) = (row.accepted - 5, row.answered - 5),
    ];
    for bend in bends {
        let mut events = killed(&run);
        bend(last(&mut events).ledger.coordinators[0].coordinator.as_mut().unwrap());
        let (judgement, _) = judge(&run, events);
        let (verdict, found) = note(&judgement, "ledger");
        assert_eq!((verdict, judgement.verdict), (Verdict::Fail, Verdict::Fail), "{found}");
        assert!(found.contains("coord/0: "), "{found}");
    }
    // A coordinator whose counts could not be read then.
    let mut events = killed(&run);
    let own = &mut last(&mut events).ledger.coordinators[1];
    (own.coordinator, own.executed_by_workers) = (None, None);
    assert_eq!(judge(&run, events).0.verdict, Verdict::Inconclusive);
}

#[test]
fn what_is_bad_after_the_last_checkpoint_counts() {
    let calm = run();
    let slow = Run { criteria: vec![criterion("quick", "coordination.time max < 100ms", None)], ..run() };
    let with = Run { round_ns: |n| if n == COUNTED + 1 { 200 * MS } else { 9 * MS }, ..slow.clone() };
    let (judgement, facts) = judge(&slow, killed(&with));
    assert_eq!((judgement.verdict, facts.load.counts.rounds), (Verdict::Fail, slow.rounds), "{judgement:#?}");

    let mut events = killed(&calm);
    let worker = calm.agents().pop().unwrap();
    let seen_ns = events.last().unwrap().0;
    events.push((
        seen_ns,
        Event::AgentExit(AgentExit {
            agent: worker.id,
            incarnation: 1,
            name: worker.name,
            pid: worker.pid,
            how: "killed by SIGKILL".into(),
            expected: false,
            seen_ns,
        }),
    ));
    let (judgement, _) = judge(&calm, events);
    assert_eq!(note(&judgement, "no undeclared death").0, Verdict::Fail, "{judgement:#?}");
}

/// The judgement of a run whose first segment was killed, by what the second says that it had left; and the log's version.
fn left(left: Option<Vec<String>>, minor: u16) -> Judgement {
    let run = run();
    let of_version = |mut events: Vec<(u64, Event)>| {
        for (_, event) in &mut events {
            if let Event::Header(header) = event {
                header.format.minor = minor;
            }
        }
        events
    };
    let events = of_version(killed(&run));
    let counted_to = last_checkpoint(&events);
    let first = log_of(events);
    let resumes = Resumes { counted_to, left, ..end_of(&first) };
    let second = log_of(of_version(later_segment(&run, resumes, (COUNTED, AFTER))));
    judged(&[first, second]).0
}

#[test]
fn what_a_killed_segment_left_is_looked_for_before_the_next() {
    let nothing = left(Some(Vec::new()), 11);
    assert_eq!(nothing.verdict, Verdict::Pass, "{nothing:#?}");
    assert!(
        !nothing
            .evidence
            .iter()
            .any(|check| check.note.as_deref().is_some_and(|note| note.contains("segments only")))
    );
    let some = left(Some(vec!["sleep (pid 7)".into()]), 11);
    let (verdict, found) = note(&some, "nothing left behind");
    assert_eq!(verdict, Verdict::Fail);
    assert!(found.contains("sleep (pid 7), which outlived the harness of its segment"), "{found}");
}

#[test]
fn what_was_not_looked_for_does_not_pass() {
    let (verdict, found) = note(&left(None, 11), "nothing left behind");
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(found.contains("looked for after 1 of 2 segments only"), "{found}");
    // Earlier versions did not look.
    assert_eq!(left(None, 10).verdict, Verdict::Pass);
}

#[test]
fn the_segment_that_follows_must_name_the_last_checkpoint() {
    let run = run();
    let events = killed(&run);
    let right = last_checkpoint(&events);
    let earlier = events.iter().position(|(_, event)| matches!(event, Event::Checkpoint(_)));
    let first = log_of(events);
    for counted_to in [None, earlier.map(|at| at as u64), right.map(|at| at + 1), Some(0)] {
        let resumes = Resumes { counted_to, ..end_of(&first) };
        let second = log_of(later_segment(&run, resumes, (COUNTED, AFTER)));
        let (judgement, _) = judged(&[first.clone(), second]);
        let (verdict, found) = note(&judgement, "log consistent");
        assert_eq!(verdict, Verdict::Inconclusive, "{counted_to:?}");
        assert!(found.contains("does not resume the end"), "{found}");
        assert!(judgement.verdict >= Verdict::Inconclusive);
    }
}

#[test]
fn a_segment_that_was_killed_before_it_did_anything_needs_no_ledger() {
    let run = run();
    let whole = run.events();
    let launch: Vec<_> = whole.into_iter().take(2).collect();
    assert!(matches!(launch[1].1, Event::Phase(PhaseBegan { phase: Phase::Launch })));
    let first = log_of(launch);
    let second = log_of(later_segment(&run, end_of(&first), (0, 0)));
    let (judgement, facts) = judged(&[first, second]);
    assert!(!facts.lacks_a_ledger());
    assert_eq!(note(&judgement, "ledger").0, Verdict::Pass, "{judgement:#?}");
}

#[test]
fn a_segment_that_was_killed_in_its_first_round_needs_a_ledger() {
    let run = run();
    let begun: Vec<_> = run.events().into_iter().take(4).collect();
    assert!(matches!(begun[3].1, Event::Phase(PhaseBegan { phase: Phase::WarmUp })));
    let first = log_of(begun);
    let second = log_of(later_segment(&run, end_of(&first), (0, 0)));
    let (judgement, facts) = judged(&[first, second]);
    assert!(facts.lacks_a_ledger());
    assert_eq!(note(&judgement, "ledger").0, Verdict::Inconclusive, "{judgement:#?}");
}

#[test]
fn a_killed_run_that_does_not_go_on_is_inconclusive_as_ever() {
    let run = run();
    let (judgement, facts) = judged(&[log_of(killed(&run))]);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(note(&judgement, "run complete").0, Verdict::Inconclusive);
    assert_eq!(facts.load.counts.rounds, COUNTED + AFTER, "all that is known is shown");
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint() {
    let run = run();
    let events = killed(&run);
    let counted_to = last_checkpoint(&events);
    let log = log_of(events);
    let unfinished = reports::unfinished(directory(&[&log]).path()).unwrap();
    let facts = unfinished.case.facts();
    assert_eq!((unfinished.resumes.counted_to, unfinished.in_hand), (counted_to, Some(4)));
    assert_eq!((facts.load.counts.rounds, facts.load_ns()), (COUNTED, COUNTED * run.round_every_ns - MS));
    assert_eq!(unfinished.next_round, run.warm_up_rounds + COUNTED + AFTER);
    // Killed again: the first segment counts as far as the second says.
    let [first, second] = resumed(&run, killed(&run));
    let cut = second.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(20).unwrap().0;
    let unfinished = reports::unfinished(directory(&[&first, &second[..=cut]]).path()).unwrap();
    assert_eq!((unfinished.segment, unfinished.case.facts().cuts.len()), (2, 1));
    assert_eq!(unfinished.resumes.counted_to, None, "it had no checkpoint");
}

#[test]
fn a_checkpoint_holds_what_the_log_holds_and_only_grows() {
    let run = run();
    let contradicts = |bend: &dyn Fn(&mut Events), says: &str| {
        let mut events = killed(&run);
        bend(&mut events);
        let (judgement, _) = judge(&run, events);
        let (verdict, found) = note(&judgement, "log consistent");
        assert_eq!(verdict, Verdict::Inconclusive, "{says}");
        assert!(found.contains(says), "{found}");
    };
    contradicts(&|events| last(events).ledger.client.accepted += 1, "the sum of its rows");
    contradicts(
        &|events| {
            let ledger = &mut last(events).ledger;
            for row in [&mut ledger.client, &mut ledger.coordinators[0].client] {
                (row.accepted, row.answered) = (row.accepted + 6, row.answered + 6);
            }
        },
        "the rounds hold",
    );
    contradicts(&|events| last(events).open.rounds = 0, "rounds of 6 tasks on their way");
    contradicts(&|events| last(events).open.rounds = 999, "rounds on their way, of");
    contradicts(&|events| last(events).ledger.client.in_flight = 3, "the sum of its rows");
    contradicts(
        &|events| {
            let own = last(events).ledger.coordinators[0].coordinator.as_mut().unwrap();
            (own.accepted, own.answered) = (1, 1);
        },
        "was 150 at a checkpoint, and is 1 later",
    );
    contradicts(
        &|events| {
            let at = events.iter().rposition(|(_, event)| matches!(event, Event::Latency(_))).unwrap();
            events.remove(at);
        },
        "have latencies",
    );
    contradicts(
        &|events| {
            let at = last_checkpoint(events).unwrap() as usize;
            let (t, event) = events.remove(at);
            let round = events[at..].iter().position(|(_, event)| matches!(event, Event::Round(_))).unwrap();
            let t = t.max(events[at + round].0);
            events.insert(at + round + 1, (t, event));
        },
        "the rounds hold",
    );
    // A log that claims to be older has none.
    contradicts(
        &|events| {
            let Event::Header(header) = &mut events[0].1 else { panic!("no header") };
            header.format.minor = 9;
        },
        "came with format 2.10",
    );
}
