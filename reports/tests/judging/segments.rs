//! A run that was resumed: judged as one, and its gap known.

use reports::runlog::Reader;
use reports::runlog::event::*;
use reports::{Facts, Judgement, Verdict, judge_logs};

use crate::synthetic::{Run, SECOND, criterion, log_of, read, report};

pub(crate) const GAP_NS: u64 = 3_600 * SECOND;
/// Rounds of the load in the first segment.
pub(crate) const BEFORE: u64 = 60;

pub(crate) fn run() -> Run {
    Run {
        criteria: vec![
            criterion("all delivered", "delivery.rate >= 100% every 10s", None),
            criterion("steady", "throughput.tasks >= 11/s every 10s", None),
            criterion("memory level", "memory.pss.workers slope < 10%/h", None),
        ],
        ..Run::default()
    }
}

fn cut_ns(run: &Run) -> u64 {
    SECOND + (run.warm_up_rounds + BEFORE) * run.round_every_ns
}

/// Everything up to the cut; with an orderly end, or without any.
fn first(run: &Run, orderly: bool) -> Vec<u8> {
    log_of(first_events(run, orderly))
}

pub(crate) fn first_events(run: &Run, orderly: bool) -> Vec<(u64, Event)> {
    let cut = cut_ns(run);
    let mut events = run.events();
    events.retain(|(t, _)| *t < cut);
    if orderly {
        let booked = Run { rounds: BEFORE, ..run.clone() };
        events.push((cut, Event::Phase(PhaseBegan { phase: Phase::Drain })));
        events.push((cut, Event::Ledger(booked.ledger())));
        events.push((cut, Event::Phase(PhaseBegan { phase: Phase::Verify })));
        events.push((
            cut,
            Event::Verify(Verify {
                processes_left: vec![],
                files_left: vec![],
                cleaned: vec![],
                altered: vec![],
            }),
        ));
        let mut end = run.events().pop().unwrap().1;
        if let Event::End(end) = &mut end {
            (end.reason, end.rounds) = (EndReason::Interrupted, run.warm_up_rounds + BEFORE);
        }
        events.push((cut, end));
    }
    events
}

pub(crate) fn end_of(log: &[u8]) -> Resumes {
    let mut reader = Reader::new(log);
    for record in reader.by_ref().flatten() {
        let _ = record;
    }
    Resumes {
        run: "20260102T030405Z-abc123".into(),
        seq: reader.lines() - 1,
        crc: reader.crc(),
        counted_to: None,
        left: Some(Vec::new()),
    }
}

fn later(event: Event) -> Event {
    match event {
        Event::Round(round) => Event::Round(Round {
            scheduled_ns: round.scheduled_ns + GAP_NS,
            started_ns: round.started_ns + GAP_NS,
            finished_ns: round.finished_ns + GAP_NS,
            first_ns: round.first_ns.map(|ns| ns + GAP_NS),
            made_ns: round.made_ns.map(|ns| ns + GAP_NS),
            ..round
        }),
        Event::Sample(sample) => Event::Sample(Sample {
            due_ns: sample.due_ns + GAP_NS,
            started_ns: sample.started_ns + GAP_NS,
            ..sample
        }),
        Event::AgentExit(exit) => {
            Event::AgentExit(AgentExit { incarnation: 2, seen_ns: exit.seen_ns + GAP_NS, ..exit })
        }
        other => other,
    }
}

/// What was left, an hour later, on a new fleet.
fn second(run: &Run, resumes: Resumes) -> Vec<u8> {
    log_of(later_segment(run, resumes, (BEFORE, 0)))
}

/// The rounds of the load from one on, an hour after it was due, with numbers that are greater by `by` than in one piece.
pub(crate) fn later_segment(run: &Run, resumes: Resumes, (from, by): (u64, u64)) -> Vec<(u64, Event)> {
    let cut = run.load_ns() + from * run.round_every_ns;
    let resumed = cut + GAP_NS;
    let header = Header { segment: 1, resumes: Some(resumes), ..run.header() };
    let agents = run.agents().into_iter().map(|a| AgentInfo { incarnation: 2, ..a }).collect();
    let mut events = vec![
        (resumed, Event::Header(Box::new(header))),
        (resumed, Event::Phase(PhaseBegan { phase: Phase::Launch })),
        (resumed, Event::Agents(Agents { agents, launch_ns: 30_000_000, bare_forks_ns: None })),
        (resumed, Event::Phase(PhaseBegan { phase: Phase::Load })),
    ];
    let booked = Run { rounds: run.rounds - from, warm_up_rounds: 0, ..run.clone() };
    // The load has begun above.
    let begins = |event: &Event| matches!(event, Event::Phase(PhaseBegan { phase: Phase::Load }));
    let rest = run.events().into_iter().filter(|(t, event)| *t >= cut && !begins(event));
    events.extend(rest.map(|(t, event)| match event {
        Event::Ledger(_) => (t + GAP_NS, Event::Ledger(booked.ledger())),
        Event::Round(round) => (t + GAP_NS, later(Event::Round(Round { round: round.round + by, ..round }))),
        event => (t + GAP_NS, later(event)),
    }));
    events
}

#[track_caller]
pub(crate) fn judged(logs: &[Vec<u8>]) -> (Judgement, Facts) {
    judge_logs(logs.iter().map(Vec::as_slice), |_| None).unwrap()
}

/// Of a run with a gap of an hour.
pub(crate) fn resumed() -> tempfile::TempDir {
    let run = run();
    let first = first(&run, true);
    let second = second(&run, end_of(&first));
    directory(&[&first, &second])
}

pub(crate) fn note(judgement: &Judgement, name: &str) -> (Verdict, String) {
    let check = judgement.evidence.iter().find(|e| e.name == name).unwrap();
    (check.verdict, format!("{} {}", check.found, check.note.clone().unwrap_or_default()))
}

#[test]
fn a_resumed_run_is_judged_as_one_and_its_gap_is_known() {
    let run = run();
    let first = first(&run, true);
    let second = second(&run, end_of(&first));
    let (judgement, facts) = judged(&[first.clone(), second.clone()]);
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert_eq!((facts.segments, facts.load.counts.rounds), (2, run.rounds));
    assert_eq!(facts.gaps.iter().map(reports::facts::Gap::length_ns).collect::<Vec<_>>(), [GAP_NS]);
    assert_eq!(facts.spans.iter().len(), 2);
    let load_ns = run.rounds * run.round_every_ns;
    assert_eq!((facts.load_ns(), facts.load_extent_ns()), (load_ns, load_ns + GAP_NS));
    assert!((facts.throughput_tasks().unwrap() - 12.0).abs() < 0.1);
    assert_eq!(note(&judgement, "load duration").1, "60 s in 2 segments, and 1 h between them");
    // Twelve windows of load, and none of the gap.
    assert!(
        judgement.criteria[1].note.as_ref().unwrap().contains("6 windows"),
        "{:?}",
        judgement.criteria[1]
    );

    let dir = resumed();
    let (from_dir, _) = report(dir.path());
    assert_eq!(from_dir, judgement);
    assert_eq!(read(dir.path(), "rounds.csv").lines().count() as u64, 1 + run.rounds + run.warm_up_rounds);
}

#[test]
fn a_segment_must_resume_the_end_of_the_one_before() {
    let run = run();
    let first = first(&run, true);
    let end = end_of(&first);
    let inconsistent = |logs: &[Vec<u8>], says: &str| {
        let (judgement, _) = judged(logs);
        let (verdict, found) = note(&judgement, "log consistent");
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(judgement.verdict >= Verdict::Inconclusive && found.contains(says), "{found}");
    };
    for wrong in [
        Resumes { run: "another".into(), ..end.clone() },
        Resumes { seq: end.seq - 1, ..end.clone() },
        Resumes { crc: "00000000".into(), ..end.clone() },
    ] {
        inconsistent(&[first.clone(), second(&run, wrong)], "does not resume the end");
    }
    inconsistent(&[second(&run, end.clone())], "segment 1 comes first");
    let other = Run { rounds: 240, ..run.clone() };
    inconsistent(&[first.clone(), second(&other, end.clone())], "another plan");
    let whole = run.log();
    inconsistent(&[whole.clone(), second(&run, end_of(&whole))], "resumes a run that had ended");
}

#[test]
fn a_segment_that_was_killed_before_its_first_checkpoint_leaves_its_ledger_open() {
    let run = run();
    let mut first = first(&run, false);
    let end = end_of(&first);
    first.extend(b"{\"seq\":77,");
    let (judgement, facts) = judged(&[first, second(&run, end)]);
    assert_eq!(note(&judgement, "log consistent").0, Verdict::Pass, "{judgement:#?}");
    assert_eq!(note(&judgement, "run complete").0, Verdict::Pass);
    assert_eq!(facts.load.counts.rounds, run.rounds);
    // Its rounds are in no ledger.
    let (verdict, found) = note(&judgement, "ledger");
    assert_eq!((verdict, judgement.verdict), (Verdict::Inconclusive, Verdict::Inconclusive));
    assert!(found.contains("1 of 2 segments have a ledger"), "{found}");
}

/// The directory of a run with these logs.
pub(crate) fn directory(logs: &[&[u8]]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (segment, log) in (0..).zip(logs) {
        std::fs::write(dir.path().join(reports::run_dir::layout::segment_log(segment)), log).unwrap();
    }
    dir
}

#[test]
fn a_run_that_was_cut_off_goes_on_where_its_last_whole_line_is() {
    let run = run();
    let (killed, end) = (first(&run, false), end_of(&first(&run, false)));
    let torn = [&*killed, b"{\"seq\":77,"].concat();
    let unfinished = reports::unfinished(directory(&[&torn]).path()).unwrap();
    assert_eq!(unfinished.segment, 1);
    assert!(unfinished.resumes.is_same_end(&end), "{:?}", unfinished.resumes);
    assert_eq!(unfinished.next_round, run.warm_up_rounds + BEFORE);
    assert_eq!(unfinished.case.facts().load.counts.rounds, BEFORE);
    assert!(unfinished.begun.is_none());
    // A segment that got no further than its first line says nothing.
    for begun in [&b""[..], b"{\"seq\":0,\"t_ns\":0,"] {
        let dir = directory(&[&killed, begun]);
        let unfinished = reports::unfinished(dir.path()).unwrap();
        assert!(unfinished.segment == 1 && unfinished.resumes.is_same_end(&end), "{:?}", unfinished.resumes);
        assert_eq!(unfinished.begun, Some(dir.path().join("run.2.log")));
    }
}

#[test]
fn a_run_that_ended_or_is_damaged_does_not_go_on() {
    let run = run();
    let refused = |logs: &[&[u8]]| reports::unfinished(directory(logs).path()).unwrap_err().to_string();
    let (killed, end) = (first(&run, false), end_of(&first(&run, false)));
    let whole = [&*killed, &*second(&run, end)];
    assert!(refused(&whole).contains("run.2.log is the log of a run that has ended (it was carried out"));
    let orderly = first(&run, true);
    reports::unfinished(directory(&[&orderly]).path()).expect("a run that was interrupted");
    assert!(refused(&[&killed, &orderly]).contains("contradicts itself"));
    let text = String::from_utf8(killed.clone()).unwrap().replacen("answered", "Answered", 1);
    assert!(refused(&[text.as_bytes()]).contains("damaged"));
    assert!(refused(&[b""]).contains("not a run log"));
}

#[test]
fn a_segment_of_another_machine_build_or_plan_cannot_follow() {
    let run = run();
    let unfinished = reports::unfinished(directory(&[&first(&run, false)]).path()).unwrap();
    let same = run.header();
    assert_eq!(unfinished.stands_against(&same), None);
    let mut other = same.clone();
    other.host.machine = "m1-other".into();
    assert!(unfinished.stands_against(&other).unwrap().contains("another machine"));
    let mut other = same.clone();
    other.build.dirty = !other.build.dirty;
    assert!(unfinished.stands_against(&other).unwrap().contains("another build"));
    let mut other = same;
    other.plan.duration_ns += 1;
    assert!(unfinished.stands_against(&other).unwrap().contains("another plan"));
}

#[test]
fn rounds_of_a_later_segment_may_end_in_any_order() {
    let run = run();
    let (killed, end) = (first(&run, false), end_of(&first(&run, false)));
    let log = second(&run, end);
    let mut lines: Vec<Event> = Vec::new();
    let mut times = Vec::new();
    for record in Reader::new(&*log) {
        let record = record.unwrap();
        times.push(record.t_ns);
        lines.push(record.event);
    }
    let of_rounds: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, event)| matches!(event, Event::Round(_)))
        .map(|(at, _)| at)
        .collect();
    let (one, two) = (of_rounds[0], of_rounds[1]);
    // The second round of the segment is over before the first.
    lines.swap(one, two);
    for (at, t) in times.iter_mut().enumerate() {
        if (one..two).contains(&at) {
            *t = t.saturating_add(run.round_every_ns);
        }
    }
    let last = times[two];
    times.iter_mut().skip(one).take(two - one + 1).for_each(|t| *t = last);
    let swapped = log_of(times.into_iter().zip(lines).collect());
    let (judgement, facts) = judged(&[killed, swapped]);
    let (verdict, found) = note(&judgement, "log consistent");
    assert_eq!((verdict, facts.load.counts.rounds), (Verdict::Pass, run.rounds), "{found}");
}
