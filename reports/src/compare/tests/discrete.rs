//! Figures that go in steps, and counts: values that agree by chance, and those that differ by one.

use super::*;

fn level(value: f64) -> FigureValue {
    FigureValue::Level { value, step: 1.0 }
}

/// `threads max` of runs on each side.
fn threads(before: &[f64], now: &[f64]) -> Compared {
    let mut maker = Maker::new(40, 0.02);
    let (mut old, mut new) = (maker.side("old", before.len(), 1.0), maker.side("new", now.len(), 1.0));
    set(&mut old, "threads max", |at| level(before[at]));
    set(&mut new, "threads max", |at| level(now[at]));
    let found = outcome(old, new, false);
    found.against[0].figures.iter().find(|figure| figure.name == "threads max").unwrap().clone()
}

#[test]
fn one_more_thread_in_one_run_is_no_regression() {
    for runs in [2, 3, 5, 10, 20] {
        let found = threads(&vec![9.0; runs], &[10.0]);
        assert_eq!(found.word, Word::Undecided, "{runs} runs: {found:?}");
        // What was kept before steps were known has none.
        let mut maker = Maker::new(41, 0.02);
        let (mut old, mut new) = (maker.side("old", runs, 1.0), maker.side("new", 1, 1.0));
        for (side, value) in [(&mut old, 9.0), (&mut new, 10.0)] {
            set(side, "threads max", |_| FigureValue::Level { value, step: 0.0 });
        }
        assert_eq!(word(&outcome(old, new, false), "threads max").0, Word::Undecided, "{runs} runs");
    }
}

#[test]
fn counts_that_agree_are_the_same_and_those_that_differ_in_every_run_are_not() {
    assert_eq!(threads(&[11.0; 3], &[11.0; 3]).word, Word::Same);
    assert_eq!(threads(&[11.0; 10], &[11.0]).word, Word::Same);
    for (before, now) in [([9.0; 10], [11.0; 10]), ([100.0; 10], [120.0; 10])] {
        assert_eq!(threads(&before, &now).word, Word::Regressed, "{before:?} {now:?}");
    }
    assert_eq!(threads(&[100.0; 10], &[200.0]).word, Word::Regressed, "one run shows a large change");
}

#[test]
fn no_interval_has_zero_width() {
    for (before, now) in [(2, 1), (1, 3), (3, 3), (10, 1), (10, 10), (60, 60)] {
        let mut maker = Maker::new(42, 0.02);
        let (mut old, mut new) = (maker.side("old", before, 1.0), maker.side("new", now, 1.0));
        for kind in figure_kinds() {
            for side in [&mut old, &mut new] {
                if !side.counts(kind.name).is_empty() {
                    continue;
                }
                set(side, kind.name, |_| FigureValue::Level { value: 8.0, step: 0.0 });
            }
        }
        for paired in [false, true].into_iter().filter(|paired| !paired || before == now) {
            for figure in &outcome(old.clone(), new.clone(), paired).against[0].figures {
                if let (Some(low), Some(high)) = (figure.low, figure.high) {
                    assert!(low < high, "{before} and {now} runs: {figure:?}");
                }
            }
        }
    }
}

fn counts(name: &str, before: &[u64], now: &[u64], among: u64) -> (Comparison, Compared) {
    let mut maker = Maker::new(43, 0.02);
    let (mut old, mut new) = (maker.side("old", before.len(), 1.0), maker.side("new", now.len(), 1.0));
    set(&mut old, name, |at| FigureValue::Count { count: before[at], among });
    set(&mut new, name, |at| FigureValue::Count { count: now[at], among });
    let found = outcome(old, new, false);
    let figure = found.against[0].figures.iter().find(|figure| figure.name == name).unwrap().clone();
    (found, figure)
}

#[test]
fn the_limit_is_held_against_all_that_counts_may_be_and_not_against_their_sum_alone() {
    let spread = |middle: u64| -> Vec<u64> { (0..10).map(|at| middle - 9 + 2 * at).collect() };
    // More for sure, by 12 % in sum, and open whether by more than 10 %.
    let (found, figure) = counts("delivery.failed", &spread(100), &spread(112), 2_400);
    assert_eq!((figure.word, figure.counts), (Word::Undecided, true), "{figure:?}");
    assert_eq!(found.outcome, Outcome::Inconclusive);
    let (_, figure) = counts("delivery.failed", &spread(100), &spread(150), 2_400);
    assert_eq!(figure.word, Word::Regressed, "{figure:?}");
}

#[test]
fn failures_that_are_as_many_as_before_are_the_same_where_they_are_many_enough_to_say() {
    let (_, figure) = counts("delivery.failed", &[240; 10], &[240; 10], 2_400);
    assert_eq!(figure.word, Word::Same, "{figure:?}");
    // Of one in each run, chance alone makes three or none.
    let (_, figure) = counts("delivery.failed", &[1; 10], &[1; 10], 2_400);
    assert_eq!((figure.word, figure.counts), (Word::Undecided, false), "{figure:?}");
    let (_, figure) = counts("delivery.failed", &[240; 10], &[0; 10], 2_400);
    assert_eq!(figure.word, Word::Improved, "{figure:?}");
}

#[test]
fn a_build_all_of_whose_runs_fail_has_regressed_with_three_runs_of_each() {
    let (found, figure) = counts("runs.failed", &[0; 3], &[1; 3], 1);
    assert_eq!((figure.word, found.exit.code), (Word::Regressed, 13), "{figure:?}");
    for (before, now) in [(&[0, 0, 0][..], &[1, 1, 0][..]), (&[0, 0], &[1, 1]), (&[0, 0, 0], &[1])] {
        let (_, figure) = counts("runs.failed", before, now, 1);
        assert_eq!((figure.word, figure.counts), (Word::Undecided, true), "{before:?} {now:?}");
    }
    // Of two sides, each may be the one that fails by chance.
    let mut maker = Maker::new(44, 0.02);
    let mut sides = [maker.side("a", 3, 1.0), maker.side("b", 3, 1.0), maker.side("c", 3, 1.0)];
    set(&mut sides[1], "runs.failed", |_| FigureValue::Count { count: 1, among: 1 });
    assert_eq!(compare(&sides, None, &limits()).unwrap().outcome, Outcome::Inconclusive);
}

#[test]
fn failures_of_very_many_runs_are_seen() {
    let (_, figure) = counts("delivery.failed", &[0; 60], &[40; 60], 2_400);
    assert_eq!(figure.word, Word::Regressed, "{figure:?}");
}

/// Commits from the first of the month on, with a run of each.
fn history(name: &str, values: &[FigureValue]) -> Tracked {
    let mut maker = Maker::new(45, 0.03);
    let line = |(at, value): (usize, &FigureValue)| {
        let mut run = maker.run(1.0);
        run.commit = format!("c{at:02}");
        run.started_utc = format!("2026-01-{:02}T03:04:05Z", at + 1);
        run.figures.insert(name.to_owned(), *value);
        HistoryLine { run, terms: terms() }.into()
    };
    let entries = values.iter().enumerate().map(line).collect();
    let [history] = <[History; 1]>::try_from(History::of(entries, 0.05)).unwrap();
    history.figures.into_iter().find(|figure| figure.name == name).unwrap()
}

#[test]
fn a_few_runs_with_one_thread_more_are_no_change_and_many_are_one() {
    let of = |before: usize, after: usize| -> Vec<FigureValue> {
        std::iter::repeat_n(12.0, before).chain(std::iter::repeat_n(13.0, after)).map(level).collect()
    };
    assert_eq!(history("threads max", &of(7, 3)).changes, []);
    let found = history("threads max", &of(10, 10)).changes;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].first_commit.as_str(), found[0].is_worse), ("c10", true));
    assert!(found[0].chance > 0.0 && found[0].chance < 1e-2, "{found:?}");
}

#[test]
fn clean_histories_of_figures_that_go_in_steps_show_a_change_in_one_of_a_hundred() {
    let mut random = ChaCha8Rng::seed_from_u64(46);
    let mut draw = |often: f64| {
        let values = (0..20).map(|_| level(if random.random::<f64>() < often { 13.0 } else { 12.0 }));
        values.collect::<Vec<_>>()
    };
    let noisy = (0..400).filter(|at| {
        let values = draw([0.1, 0.2, 0.3, 0.5][at % 4]);
        !history("threads max", &values).changes.is_empty()
    });
    let noisy = noisy.count();
    assert!(noisy <= 4, "{noisy} of 400");
}

#[test]
fn failures_that_begin_are_drawn_and_found() {
    let count = |count: u64| FigureValue::Count { count, among: 2_400 };
    let values: Vec<FigureValue> = (0..20).map(|at| count(if at < 10 { 0 } else { 40 + at % 3 })).collect();
    let found = history("delivery.failed", &values);
    assert_eq!((found.values[0], found.values[10]), (Some(0.0), Some(41.0 / 2_400.0)));
    let [change] = &found.changes[..] else { panic!("{:?}", found.changes) };
    assert_eq!((change.first_commit.as_str(), change.is_worse, change.change), ("c10", true, None));
    assert!(change.sentence().starts_with("1.71 % after 0 % (worse)"), "{}", change.sentence());
    // One bad run in a while, and a few that follow each other, are none.
    for bad in [&[4_u64, 9, 15][..], &[8, 9, 10], &[17, 18, 19]] {
        let values: Vec<FigureValue> =
            (0..20).map(|at| count(if bad.contains(&at) { 40 } else { 0 })).collect();
        assert_eq!(history("delivery.failed", &values).changes, [], "{bad:?}");
    }
}

#[test]
fn failures_that_became_more_are_found_and_told_as_a_share() {
    let values: Vec<FigureValue> = (0..20)
        .map(|at| FigureValue::Count { count: if at < 12 { 20 } else { 60 } + at * 7 % 5, among: 2_400 })
        .collect();
    let [change] = &history("delivery.failed", &values).changes[..] else { panic!() };
    assert_eq!((change.first_commit.as_str(), change.is_worse), ("c12", true));
    assert!((change.change.unwrap() - 1.8).abs() < 0.1, "{change:?}");
}

#[test]
fn figures_of_a_workload_are_tracked() {
    let name = "task.time{workload=\"compile\"} p50";
    let values: Vec<FigureValue> = (0..20)
        .map(|at| {
            let value = if at < 11 { 1e-3 } else { 2e-3 } * (1.0 + f64::from(at * 7 % 5) * 0.01);
            FigureValue::Level { value, step: value * 1e-3 }
        })
        .collect();
    let [change] = &history(name, &values).changes[..] else { panic!() };
    assert_eq!(change.first_commit, "c11");
}

#[test]
fn a_run_that_a_side_has_counts_once_by_its_id_or_by_what_it_recorded() {
    let mut maker = Maker::new(47, 0.02);
    let one = maker.side("a baseline", 3, 1.0);
    let mut side = Side::new("these runs");
    side.join("a.json", one.clone());
    side.join("b.json", one.clone());
    assert_eq!((side.runs.len(), side.left_out.len(), side.again.len()), (3, 0, 3));
    assert_eq!(side.again[0].run, "run-1 in b.json");
    let recorded = |mut of: Side, id: &str| {
        of.runs.truncate(1);
        of.runs[0].1.records_sha256 = Some("1a2b".into());
        of.runs[0].1.run_id = id.into();
        of
    };
    let mut side = recorded(one.clone(), "run-8");
    side.join("c.json", recorded(one.clone(), "run-9"));
    assert_eq!((side.runs.len(), side.again.len()), (1, 1));
    let refused = compare(&[side, recorded(one, "run-7")], None, &limits()).unwrap_err();
    assert!(matches!(refused, SideError::Shared { .. }), "{refused}");
}
