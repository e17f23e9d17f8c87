//! What comparisons decide about runs whose true difference is known.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

mod discrete;

use super::*;
use crate::runlog::event::{LoadModel, Topology};
use crate::verdict::Verdict;

fn terms() -> Terms {
    Terms {
        scenario: "smoke".into(),
        sha256: "0123456789abcdef".into(),
        profile: None,
        overrides: Vec::new(),
        rehearsal: None,
        topology: Topology::Hybrid,
        coordinators: 2,
        workers_per_coordinator: 4,
        workload: "echo 256 B".into(),
        load: LoadModel::Open,
        round_every_ns: 20_000_000,
        duration_ns: 6_000_000_000,
        machine: "m1-here".into(),
        fingerprint: "f1-here".into(),
        cpu_model: "a processor".into(),
        cpus: 2,
        build_profile: "release".into(),
    }
}

fn limits() -> Limits {
    Limits { all: 0.1, single: BTreeMap::new(), only: Vec::new(), across: Across::default() }
}

/// Runs of made-up builds: how slow a build is, and how far its runs differ.
struct Maker {
    random: ChaCha8Rng,
    made: u64,
    /// Standard deviation of the logarithm of a figure between runs.
    noise: f64,
}

impl Maker {
    fn new(seed: u64, noise: f64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), made: 0, noise }
    }

    /// The sum of twelve equal draws is as good as normal here.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0
    }

    /// A run in which everything that takes time takes `slow` times as long. One in 20 has a bad time on the host.
    fn run(&mut self, slow: f64) -> RunFigures {
        let disturbed = if self.random.random::<f64>() < 0.05 { 2.0 } else { 1.0 };
        let common = self.noise * self.normal();
        let mut level = |usual: f64, noise: f64| {
            let value = usual * (common + noise * self.normal()).exp();
            FigureValue::Level { value, step: value * 1e-3 }
        };
        let slow = slow * disturbed;
        let figures = [
            ("coordination.time p50", level(1e-3 * slow, 0.02)),
            ("coordination.time p99", level(4e-3 * slow, 0.2)),
            ("coordination.time spread", level(5e-4 * slow, 0.1)),
            ("task.time p50", level(8e-4 * slow, 0.02)),
            ("task.time p99", level(3e-3 * slow, 0.2)),
            ("memory.pss mean", FigureValue::Level { value: 12e6, step: 4096.0 }),
            ("delivery.failed", FigureValue::Count { count: 0, among: 2_400 }),
            ("runs.failed", FigureValue::Count { count: 0, among: 1 }),
        ];
        self.made += 1;
        RunFigures {
            run_id: format!("run-{}", self.made),
            started_utc: "2026-01-02T03:04:05Z".into(),
            commit: "abc".into(),
            verdict: Verdict::Pass,
            records_sha256: None,
            figures: figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    fn side(&mut self, label: &str, runs: usize, slow: f64) -> Side {
        let runs = (0..runs).map(|_| (terms(), self.run(slow))).collect();
        Side { runs, ..Side::new(label) }
    }
}

fn outcome(first: Side, second: Side, paired: bool) -> Comparison {
    let pairs: Vec<Pair> = (0..first.runs.len()).map(|at| (at, at)).collect();
    compare(&[first, second], paired.then_some(&pairs[..]), &limits()).unwrap()
}

/// How many of 200 comparisons come to each outcome: no regression, inconclusive, regression.
fn tally(seed: u64, noise: f64, runs: usize, slow: f64, paired: bool) -> [usize; 3] {
    let mut maker = Maker::new(seed, noise);
    let mut tally = [0; 3];
    for _ in 0..200 {
        let (old, new) = (maker.side("old", runs, 1.0), maker.side("new", runs, slow));
        tally[outcome(old, new, paired).outcome as usize] += 1;
    }
    tally
}

#[test]
fn a_build_compared_with_itself_has_no_regression() {
    for (runs, paired) in [(20, true), (10, true), (10, false), (3, false)] {
        let [_, _, regressions] = tally(1, 0.05, runs, 1.0, paired);
        assert!(regressions <= 2, "{runs} runs, paired {paired}: {regressions} of 200");
    }
    let [clean, ..] = tally(2, 0.05, 20, 1.0, true);
    assert!(clean >= 160, "{clean} of 200");
}

#[test]
fn a_build_that_is_slower_by_30_percent_has_regressed() {
    for (runs, paired) in [(20, true), (10, true), (10, false)] {
        let [_, _, regressions] = tally(3, 0.05, runs, 1.3, paired);
        assert!(regressions >= 180, "{runs} runs, paired {paired}: {regressions} of 200");
    }
}

#[test]
fn runs_made_in_turn_on_a_host_that_drifts_are_compared_in_pairs() {
    let mut maker = Maker::new(15, 0.01);
    let (mut old, mut new) = (maker.side("old", 12, 1.0), maker.side("new", 12, 1.3));
    for side in [&mut old, &mut new] {
        // The host becomes three times as slow, and quick again.
        for (at, (_, run)) in side.runs.iter_mut().enumerate() {
            let Some(FigureValue::Level { value, .. }) = run.figures.get_mut("coordination.time p50") else {
                unreachable!()
            };
            *value *= [1.0, 1.5, 2.2, 3.0, 2.0, 1.2][at % 6];
        }
    }
    let paired = outcome(old.clone(), new.clone(), true);
    let figure = &paired.against[0].figures[0];
    assert_eq!((figure.word, figure.method), (Word::Regressed, Some(crate::stats::Method::PairedRanks)));
    assert_eq!(word(&outcome(old, new, false), "coordination.time p50").0, Word::Undecided);
}

#[test]
fn a_build_that_is_slower_by_15_percent_is_never_taken_for_the_same() {
    for (runs, paired) in [(20, true), (10, true), (10, false), (3, false)] {
        let [clean, ..] = tally(4, 0.05, runs, 1.15, paired);
        assert_eq!(clean, 0, "{runs} runs, paired {paired}");
    }
}

#[test]
fn noise_that_hides_the_limit_is_inconclusive_and_says_what_could_have_been_seen() {
    let mut maker = Maker::new(5, 0.5);
    let found = outcome(maker.side("old", 5, 1.0), maker.side("new", 5, 1.0), false);
    assert_eq!((found.outcome, found.exit.code), (Outcome::Inconclusive, 12));
    let median = &found.against[0].figures[0];
    assert_eq!((median.name.as_str(), median.word), ("coordination.time p50", Word::Undecided));
    assert!(median.detectable.unwrap() > 0.1, "{median:?}");
}

fn set(side: &mut Side, name: &str, value: impl Fn(usize) -> FigureValue) {
    for (at, (_, run)) in side.runs.iter_mut().enumerate() {
        run.figures.insert(name.to_owned(), value(at));
    }
}

fn word(found: &Comparison, name: &str) -> (Word, bool) {
    let figure = found.against[0].figures.iter().find(|figure| figure.name == name).unwrap();
    (figure.word, figure.counts)
}

#[test]
fn a_wider_spread_is_a_regression_although_the_median_is_the_same() {
    let mut maker = Maker::new(6, 0.02);
    let (old, mut new) = (maker.side("old", 10, 1.0), maker.side("new", 10, 1.0));
    set(&mut new, "coordination.time spread", |at| FigureValue::Level {
        value: 1.1e-3 + at as f64 * 1e-6,
        step: 1e-6,
    });
    let found = outcome(old, new, false);
    assert_eq!(word(&found, "coordination.time p50").0, Word::Same);
    assert_eq!(word(&found, "coordination.time spread"), (Word::Regressed, true));
    assert_eq!(found.exit.code, 13);
}

#[test]
fn failures_where_there_were_none_are_a_regression_or_open_but_never_the_same() {
    let lost = |every: usize| {
        move |at: usize| FigureValue::Count { count: u64::from(at.is_multiple_of(every)) * 7, among: 2_400 }
    };
    let mut maker = Maker::new(7, 0.02);
    for (runs, every, wanted) in
        [(10, 1, Outcome::Regression), (3, 1, Outcome::Regression), (10, 5, Outcome::Inconclusive)]
    {
        let (old, mut new) = (maker.side("old", runs, 1.0), maker.side("new", runs, 1.0));
        set(&mut new, "delivery.failed", lost(every));
        let found = outcome(old, new, false);
        assert_eq!(found.outcome, wanted, "{runs} runs, every {every}: {:?}", found.reasons);
    }
    let (old, mut new) = (maker.side("old", 1, 1.0), maker.side("new", 1, 1.0));
    set(&mut new, "delivery.failed", lost(1));
    assert_eq!(outcome(old, new, false).outcome, Outcome::Inconclusive);
}

#[test]
fn failures_that_were_there_before_hold_nothing_up() {
    let mut maker = Maker::new(8, 0.02);
    let (mut old, mut new) = (maker.side("old", 10, 1.0), maker.side("new", 10, 1.0));
    for side in [&mut old, &mut new] {
        set(side, "delivery.failed", |at| FigureValue::Count { count: at as u64 % 3, among: 2_400 });
    }
    assert_eq!(word(&outcome(old, new, false), "delivery.failed"), (Word::Undecided, false));
}

#[test]
fn what_is_missing_is_not_zero() {
    let mut maker = Maker::new(9, 0.02);
    let (mut old, new) = (maker.side("old", 10, 1.0), maker.side("new", 10, 1.0));
    for (_, run) in &mut old.runs {
        run.figures.remove("task.time p50");
        run.figures.remove("delivery.failed");
    }
    let found = outcome(old, new, false);
    assert_eq!(word(&found, "task.time p50"), (Word::Undecided, true));
    assert_eq!(word(&found, "delivery.failed"), (Word::Undecided, true));
    assert_eq!(found.exit.code, 12);
}

#[test]
fn one_run_on_each_side_decides_nothing_and_one_against_many_can() {
    let mut maker = Maker::new(10, 0.02);
    let alone = outcome(maker.side("old", 1, 1.0), maker.side("new", 1, 1.0), false);
    assert_eq!(alone.exit.code, 12);
    // Said once, and not again for each figure.
    let said = alone.reasons.iter().filter(|reason| reason.contains("one run on each side"));
    assert_eq!(said.count(), 1, "{:#?}", alone.reasons);
    let mut slow = maker.side("new", 1, 1.0);
    set(&mut slow, "coordination.time p50", |_| FigureValue::Level { value: 2e-3, step: 1e-6 });
    let mut old = maker.side("old", 10, 1.0);
    set(&mut old, "coordination.time p50", |at| FigureValue::Level {
        value: 1e-3 + at as f64 * 5e-6,
        step: 1e-6,
    });
    assert_eq!(outcome(old, slow, false).exit.code, 13);
}

#[test]
fn less_throughput_is_worse_and_more_is_better() {
    let mut maker = Maker::new(11, 0.02);
    for (rate, wanted) in [(80.0, Word::Regressed), (125.0, Word::Improved), (100.0, Word::Same)] {
        let (mut old, mut new) = (maker.side("old", 10, 1.0), maker.side("new", 10, 1.0));
        let at_rate =
            |rate: f64| move |at: usize| FigureValue::Level { value: rate + at as f64 / 10.0, step: 0.0 };
        set(&mut old, "throughput.tasks", at_rate(100.0));
        set(&mut new, "throughput.tasks", at_rate(rate));
        let found = outcome(old, new, false);
        assert_eq!(word(&found, "throughput.tasks").0, wanted, "{rate}");
        let figure = found.against[0].figures.iter().find(|f| f.name == "throughput.tasks").unwrap();
        assert!((figure.change.unwrap() - (rate / 100.0 - 1.0)).abs() < 0.01, "{figure:?}");
    }
}

type Change = fn(&mut Terms);

#[test]
fn what_differs_in_more_than_the_build_is_refused_unless_it_is_allowed_and_then_it_says_so() {
    let mut maker = Maker::new(12, 0.02);
    let changes: [(Change, &str, Across); 5] = [
        (|t| t.machine = "m1-there".into(), "--across-hosts", Across { hosts: true, ..Across::default() }),
        (
            |t| t.sha256 = "other".into(),
            "--across-scenarios",
            Across { scenarios: true, ..Across::default() },
        ),
        (
            |t| t.profile = Some("ci".into()),
            "--across-scenarios",
            Across { scenarios: true, ..Across::default() },
        ),
        (|t| t.rehearsal = Some(60.0), "--across-scenarios", Across { scenarios: true, ..Across::default() }),
        (
            |t| t.build_profile = "debug".into(),
            "--across-builds",
            Across { builds: true, ..Across::default() },
        ),
    ];
    for (change, option, across) in changes {
        let (old, mut new) = (maker.side("old", 4, 1.0), maker.side("new", 4, 1.0));
        new.runs.iter_mut().for_each(|(terms, _)| change(terms));
        let sides = [old, new];
        let refused = compare(&sides, None, &limits()).unwrap_err();
        assert!(refused.hint().contains(option), "{refused}: {}", refused.hint());
        let found = compare(&sides, None, &Limits { across, ..limits() }).unwrap();
        assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    }
}

#[test]
fn a_run_is_not_compared_with_itself() {
    let mut maker = Maker::new(13, 0.02);
    let side = maker.side("old", 3, 1.0);
    let refused = compare(&[side.clone(), side], None, &limits()).unwrap_err();
    assert!(matches!(refused, SideError::Shared { .. }), "{refused}");
}

#[test]
fn a_limit_of_its_own_and_a_choice_of_figures_are_kept_to() {
    let mut maker = Maker::new(14, 0.02);
    let sides = [maker.side("old", 10, 1.0), maker.side("new", 10, 1.3)];
    let single = BTreeMap::from([("coordination.time p50".to_owned(), 0.6)]);
    let only = vec!["coordination.time p50".to_owned()];
    let found = compare(&sides, None, &Limits { single, only, ..limits() }).unwrap();
    assert_eq!(found.against[0].figures.len(), 1);
    assert_eq!((found.exit.code, found.against[0].figures[0].limit), (0, 0.6));
}

#[test]
fn a_watched_figure_that_is_named_is_judged() {
    let mut maker = Maker::new(16, 0.02);
    let (mut old, mut new) = (maker.side("old", 5, 1.0), maker.side("new", 5, 1.0));
    for (side, by) in [(&mut old, 1.0), (&mut new, 1.1)] {
        let level =
            |at: usize| FigureValue::Level { value: 4e-3 * by * [1.0, 1.3, 0.7, 1.6, 0.8][at], step: 1e-6 };
        set(side, "coordination.time p99", level);
    }
    let sides = [old, new];
    let name = "coordination.time p99";
    assert_eq!(word(&compare(&sides, None, &limits()).unwrap(), name), (Word::Undecided, false));
    let single = BTreeMap::from([(name.to_owned(), 0.25)]);
    let found = compare(&sides, None, &Limits { single, ..limits() }).unwrap();
    assert_eq!(word(&found, name), (Word::Undecided, true));
}

/// Twenty commits, a run of each; from `planted` on every run is slower.
fn twenty(seed: u64, planted: usize, slow: f64) -> Vec<History> {
    History::of(twenty_lines(seed, planted, slow), 0.05)
}

fn twenty_lines(seed: u64, planted: usize, slow: f64) -> Vec<Entry> {
    let mut maker = Maker::new(seed, 0.03);
    let line = |at: usize| {
        let mut run = maker.run(if at < planted { 1.0 } else { slow });
        run.commit = format!("c{at:02}");
        run.started_utc = format!("2026-01-{:02}T03:04:05Z", at + 1);
        HistoryLine { run, terms: terms() }.into()
    };
    let mut lines: Vec<Entry> = (0..20).map(line).collect();
    lines.reverse();
    lines
}

#[test]
fn the_planted_commit_is_found_among_twenty() {
    let mut found = 0;
    for seed in 0..50 {
        let planted = 3 + (seed as usize * 7) % 14;
        let histories = twenty(seed, planted, 1.3);
        let figure = histories[0].figures.iter().find(|figure| figure.name == "task.time p50").unwrap();
        let is_it = |change: &Changed| {
            change.is_worse
                && change.first_commit == format!("c{planted:02}")
                && change.last_commit == format!("c{:02}", planted - 1)
        };
        found += usize::from(figure.changes.iter().any(is_it));
    }
    // One run in 20 has a bad time on the host, which may hide where a change near an end began.
    assert!(found >= 40, "{found} of 50");
}

#[test]
fn twenty_clean_commits_show_no_change() {
    let noisy = (0..50)
        .filter(|seed| twenty(100 + seed, 0, 1.0)[0].figures.iter().any(|figure| !figure.changes.is_empty()));
    assert!(noisy.count() <= 1);
}

#[test]
fn runs_that_cannot_be_compared_are_in_histories_of_their_own() {
    let mut maker = Maker::new(17, 0.02);
    let mut elsewhere = terms();
    elsewhere.machine = "m1-there".into();
    let of = |terms: Terms, run: RunFigures| Entry::from(HistoryLine { run, terms });
    let twice = of(terms(), maker.run(1.0));
    let lines = vec![twice.clone(), of(elsewhere, maker.run(1.0)), twice];
    let histories = History::of(lines.clone(), 0.05);
    assert_eq!(histories.iter().map(|history| history.runs.len()).collect::<Vec<_>>(), [1, 1]);
    for line in lines {
        assert_eq!(Entry::parse(&line.to_json()).unwrap(), line);
    }
}

/// A commit a day, with one benchmark and one coverage report.
fn measured(day: usize, seconds: f64, covered: f64) -> [Entry; 2] {
    let of = |source: Source, name: &str, value: f64, within: Option<(f64, f64)>| {
        let (low, high) = within.unzip();
        Entry::Measured(Measurement {
            source,
            run_id: format!("m-{day:02}"),
            started_utc: format!("2026-01-{:02}T03:04:05Z", day + 1),
            commit: format!("c{day:02}"),
            figures: BTreeMap::from([(name.to_owned(), Estimate { value, low, high })]),
        })
    };
    let here = Source::Criterion { machine: "m1-here".into(), fingerprint: "f1-here".into() };
    [
        of(here, "ring/one", seconds, Some((seconds * 0.99, seconds * 1.01))),
        of(Source::Coverage { format: CoverageFormat::Lcov }, "coverage.lines", covered, None),
    ]
}

#[test]
fn benchmarks_and_coverage_have_series_of_their_own_in_which_changes_are_found() {
    let slower = |day: usize| if day < 8 { 1e-6 } else { 1.3e-6 };
    let entries: Vec<Entry> = (0..16)
        .flat_map(|day| {
            measured(day, slower(day) * (1.0 + (day * 7 % 5) as f64 * 2e-3), if day < 5 { 0.9 } else { 0.8 })
        })
        .chain(twenty_lines(17, 20, 1.0))
        .collect();
    let kept: Vec<Entry> =
        entries.iter().map(|entry| Entry::parse(entry.to_json().trim_end()).unwrap()).collect();
    assert_eq!(kept, entries);
    // What is kept, and is measured again, counts once.
    let histories = History::of([kept, entries].concat(), 0.05);
    assert_eq!(histories.iter().map(|history| history.runs.len()).collect::<Vec<_>>(), [16, 16, 20]);
    let commits = |history: &History| -> Vec<(String, bool)> {
        let figure = &history.figures[0];
        figure.changes.iter().map(|change| (change.first_commit.clone(), change.is_worse)).collect()
    };
    assert_eq!(commits(&histories[0]), [("c08".to_owned(), true)]);
    assert_eq!(commits(&histories[1]), [("c05".to_owned(), true)]);
    assert!(
        histories[0].figures[0].summary().contains("; last 1.3 µs, mean within 1.29 µs to 1.31 µs"),
        "{}",
        histories[0].figures[0].summary()
    );
    assert!(histories[1].figures[0].intervals.is_empty());
}

#[test]
fn a_line_that_is_neither_a_run_nor_a_measurement_is_refused_with_what_it_lacks() {
    let [line, _] = measured(0, 1e-6, 0.9);
    let line = line.to_json();
    for (bent, why) in [
        (line.replace("\"criterion\"", "\"guess\""), "unknown variant `guess`"),
        (line.replace("\"commit\"", "\"comit\""), "missing field `commit`"),
        (line.replace("1e-6", "\"quick\""), "expected f64"),
        ("{}".to_owned(), "missing field"),
        ("[1]".to_owned(), "expected"),
    ] {
        let error = Entry::parse(&bent).unwrap_err();
        assert!(error.contains(why), "{bent}: {error}");
    }
}
