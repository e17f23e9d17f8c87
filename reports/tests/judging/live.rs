//! What the harness asks while a run goes on.

use proptest::prelude::*;
use reports::runlog::event::{CriterionSpec, Event, Phase};
use reports::verdict::LogState;
use reports::{Case, Criterion, CriterionPair, Verdict};

use crate::synthetic::{Run, criterion};

/// The facts after every record, and what could not pass any more first: at which round of the load.
fn first_that_cannot_pass(run: &Run) -> Option<(u64, String)> {
    let mut case = Case::new(&run.header());
    let mut writer = reports::runlog::Writer::new(Vec::new());
    for (t, event) in run.events() {
        case.push(&writer.append(t, event).unwrap());
        if let Some((name, _)) = case.cannot_pass(t) {
            return Some((case.facts().live().rounds, name));
        }
    }
    None
}

fn aborting(pass: &str, grace_ns: u64) -> Vec<CriterionSpec> {
    vec![CriterionSpec { abort: true, grace_ns, ..criterion("a", pass, None) }]
}

#[test]
fn delivery_is_given_up_when_a_perfect_rest_would_not_do() {
    let run = |criteria| Run { criteria, failed: |n| if n < 30 { 6 } else { 0 }, ..Run::default() };
    // 10 % of 120 rounds may be lost: the 13th loss decides.
    assert_eq!(first_that_cannot_pass(&run(aborting("delivery.rate >= 90%", 0))), Some((13, "a".into())));
    assert_eq!(first_that_cannot_pass(&run(aborting("delivery.rate >= 70%", 0))), None);
}

#[test]
fn nothing_is_given_up_within_its_grace_or_without_abort() {
    let run = |criteria| Run { criteria, failed: |n| u32::from(n == 3), ..Run::default() };
    assert_eq!(first_that_cannot_pass(&run(aborting("delivery.failed == 0", 0))).unwrap().0, 4);
    let graced = first_that_cannot_pass(&run(aborting("delivery.failed == 0", 20_000_000_000))).unwrap();
    assert!(graced.0 >= 39, "{graced:?}");
    assert_eq!(first_that_cannot_pass(&run(vec![criterion("a", "delivery.failed == 0", None)])), None);
}

#[test]
fn percentiles_and_windows_are_given_up_when_they_cannot_recover() {
    let slow = |criteria| Run { criteria, round_ns: |_| 400_000_000, ..Run::default() };
    // Two of 120 rounds may be over the limit of p99. What others may have done is known with the next sweep, two rounds on.
    let p99 = first_that_cannot_pass(&slow(aborting("coordination.time p99 < 100ms", 0))).unwrap().0;
    let max = first_that_cannot_pass(&slow(aborting("coordination.time max < 100ms", 0))).unwrap().0;
    assert!((3..=5).contains(&p99) && (1..=3).contains(&max), "{p99} {max}");
    assert_eq!(first_that_cannot_pass(&slow(aborting("coordination.time p99 < 1s", 0))), None);
    let lossy = Run {
        criteria: aborting("delivery.rate >= 99% every 10s", 0),
        failed: |n| if n == 25 { 6 } else { 0 },
        ..Run::default()
    };
    let at = first_that_cannot_pass(&lossy).unwrap().0;
    assert!((25..=28).contains(&at), "a window ends with round 26, and it was {at}");
}

/// The first rounds are done under one coordinator, and as many after them under the other.
#[test]
fn shares_that_may_even_out_end_no_run() {
    let run = Run { criteria: aborting("balance < 20%", 0), ..Run::default() };
    let mut case = Case::new(&run.header());
    let mut writer = reports::runlog::Writer::new(Vec::new());
    let asked = |case: &Case| case.judgement(&LogState::default()).criteria[0].clone();
    let mut uneven = 0;
    for (t, mut event) in run.events() {
        if let Event::Round(round) = &mut event
            && round.phase == Phase::Load
        {
            round.coordinators = if case.facts().live().rounds < 60 { vec![6, 0] } else { vec![0, 6] };
        }
        case.push(&writer.append(t, event).unwrap());
        assert_eq!(case.cannot_pass(t), None);
        uneven += u32::from(asked(&case).value.is_some_and(|share| share > 0.2));
    }
    assert!(uneven > 60, "it was uneven before its end: {uneven}");
    assert_eq!(asked(&case).verdict, Verdict::Pass);
}

#[test]
fn a_live_view_tells_what_the_log_holds() {
    let run = Run::default();
    let mut case = Case::new(&run.header());
    assert_eq!(case.facts().live().delivery, None);
    let mut writer = reports::runlog::Writer::new(Vec::new());
    for (t, event) in run.events() {
        let done = matches!(event, Event::Phase(p) if p.phase == Phase::Drain);
        case.push(&writer.append(t, event).unwrap());
        if done {
            break;
        }
    }
    let live = case.facts().live();
    assert_eq!((live.rounds, live.warm_up_rounds, live.tasks), (120, 10, 720));
    assert_eq!(live.delivery, Some(1.0));
    assert_eq!(live.agents_live, Some(9));
    assert_eq!(live.coordination_max_ns, Some(15_000_000));
    assert!((live.throughput_tasks.unwrap() - 12.0).abs() < 0.1);
}

#[test]
fn a_conditional_must_be_weaker_and_of_the_same_figure() {
    let pair = |pass, weaker| CriterionPair::parse(pass, Some(weaker));
    assert!(pair("delivery.rate >= 95%", "delivery.rate >= 90%").is_ok());
    assert!(pair("delivery.rate > 95%", "delivery.rate >= 95%").is_ok());
    assert!(pair("incidents == 0", "incidents < 3").is_ok());
    for (pass, weaker) in [
        ("delivery.rate >= 95%", "delivery.rate >= 95%"),
        ("delivery.rate >= 95%", "delivery.rate >= 97%"),
        ("delivery.rate >= 95%", "delivery.rate <= 90%"),
        ("delivery.rate >= 95%", "delivery.rate >= 90% every 1m"),
        ("coordination.time p99 < 1s", "coordination.time p50 < 2s"),
        ("memory.pss slope < 1%/h", "memory.pss.workers slope < 2%/h"),
        ("memory.pss slope < 1%/h", "memory.pss slope < 1MiB/h"),
        ("incidents < 3", "incidents == 0"),
    ] {
        let error = pair(pass, weaker).unwrap_err();
        assert_eq!(error.field, reports::criterion::Field::Conditional);
        assert!(error.hint.is_some());
    }
}

proptest! {
    #[test]
    fn what_is_read_prints_and_reads_again(
        metric in prop::sample::select(reports::criterion::names()),
        aggregation in prop::sample::select(vec!["", "p50", "p99", "p99.9", "max", "min", "mean", "slope", "growth", "drift"]),
        comparator in prop::sample::select(vec!["<", "<=", ">", ">=", "=="]),
        number in 0u32..100_000,
        unit in prop::sample::select(vec!["", "s", "ms", "h", "%", "MiB", "B", "/s", " cores", "%/h", "/d", "KiB/h"]),
        every in prop::sample::select(vec!["", " every 15m", " every 1h 30m"]),
    ) {
        let text = format!("{metric} {aggregation}{comparator}{number}{unit}{every}");
        if let Ok(read) = Criterion::parse(&text) {
            prop_assert_eq!(Criterion::parse(&read.to_string()), Ok(read));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        if let Err(e) = Criterion::parse(&text) {
            prop_assert!(text.get(e.span).is_some());
        }
    }
}

/// A month of rounds must not cost the memory of a month.
#[test]
fn the_facts_of_a_long_run_are_no_bigger_than_those_of_a_short_one() {
    let size = |rounds: u64| {
        let run = Run {
            rounds,
            round_every_ns: 100_000_000,
            failed: |n| u32::from(n % 3 == 0),
            criteria: vec![criterion("a", "delivery.rate >= 1% every 1m", None)],
            ..Run::default()
        };
        let mut header = run.header();
        // What was planned decides the size of the bins: the same for both.
        header.plan.duration_ns = 60_000_000_000;
        let mut case = Case::new(&header);
        for (seq, (t_ns, event)) in (0..).zip(run.events()) {
            case.push(&reports::runlog::Record { seq, t_ns, event });
        }
        let facts = case.facts();
        let points = [
            &facts.load.coordination_series,
            &facts.load.delivery_series,
            &facts.load.throughput_series,
            &facts.load.lateness_series,
        ]
        .map(|series| series.bins().count());
        let medians = facts.load.coordination_medians.points(facts.load_ns()).len();
        (points, medians, facts.task_failures.items.len())
    };
    let (points, medians, failures) = size(60_000);
    assert!(points.iter().all(|n| *n <= 1_200), "{points:?}");
    assert!(medians <= 401 && failures <= 100, "{medians} {failures}");
}
