//! What repeated runs have in common, and how several of them end.

use super::*;
use crate::scenario::{PlanOptions, Scenario, Selection, Source};
use crate::synthetic::Synthetic;

/// A run of a file with this name, in which the criterion `delivery` asks for `pass`.
fn line(file: &str, pass: &str) -> Line {
    let text = include_str!("../../../../../scenarios/smoke.toml");
    let asked = "pass = \"delivery.rate >= 100%\"";
    assert!(text.contains(asked));
    let source = Source::new(file, text.replacen(asked, &format!("pass = \"{pass}\""), 1));
    let scenario = Scenario::parse(&source, &Selection::default()).unwrap();
    let plan = Plan::new(scenario, &PlanOptions { seed: Some(1), fallback_seed: 1, rehearsal: None });
    let mut line = Line::new(&plan);
    line.push(Ran {
        exit: ExitCode::Pass,
        directory: None,
        judgement: Some(Synthetic::of(&plan).judge_as_it_is()),
        is_stopped: false,
    });
    line
}

fn recap(lines: Vec<Line>) -> Recap {
    Recap { total: lines.len(), lines }
}

#[test]
fn a_signal_that_leaves_runs_out_is_the_exit_code_of_the_whole() {
    let stopped = || Line { is_stopped: true, ..line("a.toml", SLOW) };
    for (lines, total, exit) in [
        (vec![line("a.toml", SLOW), stopped()], 3, ExitCode::Interrupted),
        (vec![stopped()], 9, ExitCode::Interrupted),
        // It came while the last one was judged: all were run.
        (vec![line("a.toml", SLOW), stopped()], 2, ExitCode::Pass),
        (vec![stopped()], 1, ExitCode::Pass),
    ] {
        let recap = Recap { total, lines };
        assert_eq!(recap.worst(), exit, "{} of {total}", recap.lines.len());
    }
    let text = Recap { total: 3, lines: vec![stopped()] }.text(ExitCode::Interrupted);
    assert!(text.ends_with("\nexit 21: a signal has ended the runs\n"), "{text}");
}

/// The unit of `delivery` in each spread, with its number of values.
fn delivery(recap: &Recap) -> Vec<(String, String, u64)> {
    let json = recap.json(ExitCode::Pass, None);
    let spreads = json["spread"].as_object().unwrap();
    let of = |(label, spread): (&String, &serde_json::Value)| {
        let found = spread.as_array().unwrap().iter().find(|found| found["criterion"] == "delivery").unwrap();
        let unit = found["unit"].as_str().unwrap().to_owned();
        (label.clone(), unit, found["values"].as_u64().unwrap())
    };
    spreads.iter().map(of).collect()
}

const SLOW: &str = "coordination.time max < 3s";

#[test]
fn runs_of_two_files_that_have_one_name_are_not_mixed() {
    let lines = || ["a.toml", "b.toml", "a.toml", "b.toml"].into_iter();
    let asked = |file: &str| if file == "a.toml" { "delivery.rate >= 100%" } else { SLOW };
    let both = recap(lines().map(|file| line(file, asked(file))).collect());
    let of = |label: &str, unit: &str| (label.to_owned(), unit.to_owned(), 2);
    assert_eq!(delivery(&both), [of("smoke (a.toml)", "ratio"), of("smoke (b.toml)", "seconds")]);
    let text = both.text(ExitCode::Pass);
    assert!(text.contains("\nsmoke (a.toml): 2 runs\n"), "{text}");
    assert_eq!(text.matches("smoke (b.toml)").count(), 3, "{text}");
    // One file that has changed between its runs has a name that tells nothing.
    let changed = recap(
        ["delivery.rate >= 100%", SLOW].repeat(2).into_iter().map(|pass| line("a.toml", pass)).collect(),
    );
    let labels: Vec<String> = delivery(&changed).into_iter().map(|(label, ..)| label).collect();
    assert!(labels.len() == 2 && labels.iter().all(|label| label.contains("SHA-256")), "{labels:?}");
}

#[test]
fn the_same_text_is_one_scenario_in_whichever_file_it_stands() {
    let same = recap(vec![line("a.toml", SLOW), line("b.toml", SLOW)]);
    assert_eq!(delivery(&same), [("smoke".to_owned(), "seconds".to_owned(), 2)]);
}

#[test]
fn a_name_that_stands_for_two_criteria_has_a_spread_of_each() {
    let lines = [line("a.toml", SLOW), line("a.toml", "delivery.rate >= 100%"), line("a.toml", SLOW)];
    let judgements: Vec<&Judgement> = lines.iter().filter_map(|line| line.judgement.as_ref()).collect();
    let spreads = Spreads::of("it".to_owned(), &judgements);
    let delivery: Vec<_> = spreads.criteria.iter().filter(|spread| spread.criterion == "delivery").collect();
    // The other one has one value.
    let [spread] = delivery[..] else { panic!("{delivery:?}") };
    assert_eq!((spread.pass.as_str(), spread.values), (SLOW, 2));
}

const P99: (&str, &str) = ("seconds", "coordination.time p99 < 1s");
const RATE: (&str, &str) = ("ratio", "delivery.rate >= 100%");

#[test]
fn a_spread_is_that_of_the_sample_and_names_what_lies_apart() {
    let spread = Spread::of("p99", P99, vec![2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
    assert_eq!((spread.mean, spread.least, spread.most), (5.0, 2.0, 9.0));
    assert!((spread.deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
    // Quartiles 4 and 5.5: fences at 1.75 and 7.75.
    assert_eq!(spread.outliers, 1);
    assert!(spread.is_wide());
    assert_eq!(Spread::of("p99", P99, vec![1.0]), None);
    assert!(!Spread::of("rate", RATE, vec![1.0, 1.0, 1.0]).unwrap().is_wide());
}

#[test]
fn a_spread_is_told_in_the_units_of_its_criterion() {
    let words = |asked, values| Spread::of("it", asked, values).unwrap().words();
    assert_eq!(words(P99, vec![0.002, 0.004]), "it: mean 3 ms, standard deviation 1.41 ms, 2 ms to 4 ms");
    assert_eq!(words(RATE, vec![1.0, 1.0]), "it: mean 100 %, standard deviation 0 %, 100 % to 100 %");
    assert!(words(("count", "of a later version"), vec![1.0, 3.0]).contains("mean 2.000 count"));
}

#[test]
fn figures_have_four_digits() {
    assert_eq!(short(0.001_234_56), "0.001235");
    assert_eq!(short(1234.56), "1235");
    assert_eq!(short(0.0), "0");
}
