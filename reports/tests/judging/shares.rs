//! What a round says of its first and last answer and of its coordinators, what a launch says of bare forks, and a fleet that is
//! smaller than what was asked for.

use reports::runlog::event::*;
use reports::{Judgement, Verdict};

use crate::gates::{bent, evidence};
use crate::synthetic::{Run, criterion};

const MS: u64 = 1_000_000;

/// The first answer after 2 ms, the last one made 1 ms before it was here, and so many answers under the first of two
/// coordinators.
fn shared(pass: &str, first: impl Fn(&Round) -> u32) -> Judgement {
    let run = Run { criteria: vec![criterion("asked", pass, None)], ..Run::default() };
    bent(&run, |event| {
        if let Event::Agents(agents) = event {
            agents.bare_forks_ns = Some(25 * MS);
        }
        if let Event::Round(round) = event {
            round.first_ns = Some(round.started_ns + 2 * MS);
            round.made_ns = Some(round.finished_ns - MS);
            let first = first(round);
            round.coordinators = vec![first, round.answered - first];
        }
        true
    })
}

#[track_caller]
fn value(judgement: &Judgement) -> f64 {
    let asked = judgement.criteria.iter().find(|criterion| criterion.name == "asked").unwrap();
    asked.value.unwrap_or_else(|| panic!("{asked:?}"))
}

#[test]
fn figures_of_rounds_and_of_the_launch_are_measured() {
    let even = |round: &Round| round.answered / 2;
    for (pass, wanted) in [
        ("first.answer max < 1s", 0.002),
        ("completion.time p50 < 1s", 0.001),
        ("launch.ratio < 200%", 1.6),
        ("balance < 5%", 0.0),
    ] {
        let judgement = shared(pass, even);
        assert_eq!(judgement.verdict, Verdict::Pass, "{pass}: {:?}", judgement.reasons);
        let found = value(&judgement);
        assert!((found - wanted).abs() < wanted / 1000.0 + 1e-9, "{pass}: {found}");
    }
    let uneven = shared("balance < 5%", |round| round.answered / 3);
    assert_eq!(uneven.verdict, Verdict::Fail);
    assert!((value(&uneven) - 1.0 / 3.0).abs() < 1e-9, "{:?}", uneven.criteria);
}

#[test]
fn a_log_that_does_not_say_it_leaves_the_criterion_open() {
    for pass in ["first.answer max < 1s", "completion.time max < 1s", "launch.ratio < 200%"] {
        let run = Run { criteria: vec![criterion("asked", pass, None)], ..Run::default() };
        let judgement = bent(&run, |event| {
            match event {
                // An older one.
                Event::Header(header) => {
                    header.format.minor = 2;
                    header.sources.clear();
                }
                Event::Round(round) => {
                    (round.first_ns, round.made_ns, round.coordinators) = (None, None, Vec::new());
                }
                Event::Sample(sample) => sample.host.idle_ticks = None,
                _ => {}
            }
            true
        });
        evidence(&judgement, "log consistent", Verdict::Pass);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "{pass}: {:?}", judgement.reasons);
    }
}

#[test]
fn a_log_that_contradicts_itself_there_is_no_pass() {
    let bends: [fn(&mut Round); 5] = [
        |round| round.first_ns = Some(round.finished_ns + 1),
        |round| round.first_ns = Some(round.started_ns - 1),
        |round| round.made_ns = Some(round.finished_ns + 1),
        |round| round.coordinators = vec![round.answered, 1],
        |round| round.coordinators = vec![round.answered],
    ];
    for bend in bends {
        let judgement = bent(&Run::default(), |event| {
            if let Event::Round(round) = event {
                bend(round);
            }
            true
        });
        evidence(&judgement, "log consistent", Verdict::Inconclusive);
    }
}

#[test]
fn a_smaller_fleet_satisfies_no_gate_and_says_how_much_smaller_it_was() {
    let with = |asked: fn(u32) -> u32| {
        bent(&Run::default(), |event| {
            if let Event::Header(header) = event {
                header.plan.workers_asked = Some(asked(header.plan.places()));
            }
            true
        })
    };
    let smaller = with(|places| places + 1);
    assert_eq!((smaller.verdict, smaller.satisfies_gate), (Verdict::Pass, false), "{:?}", smaller.reasons);
    assert!(smaller.variant.banners()[0].contains("SMALLER FLEET"), "{:?}", smaller.variant.banners());
    assert!(smaller.headline().contains(" workers)"), "{}", smaller.headline());
    evidence(&with(|places| places), "log consistent", Verdict::Inconclusive);
}
