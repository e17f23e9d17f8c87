//! One history for each outcome, as a person reads it.

use insta::assert_snapshot;
use reports::Verdict;
use reports::gate::decision::Decision;
use reports::gate::plan::*;
use reports::render::gate::{documents, text};

use super::{History, coverage, evidence, gate, green, ran, red, runs, waiver};
use crate::synthetic::{Run, criterion};

#[track_caller]
fn ends(decision: &Decision, outcome: &str, code: u8) -> String {
    assert_eq!((decision.outcome, decision.exit.code), (outcome, code), "{}", text(decision));
    text(decision)
}

const COVERED: &str = "SF:a.rs\nLF:100\nLH:80\nend_of_record\n";
const NEARLY: &str = "SF:a.rs\nLF:100\nLH:72\nend_of_record\n";
const HARDLY: &str = "SF:a.rs\nLF:100\nLH:40\nend_of_record\n";

/// The first gate asks for three environments, and has options.
pub(super) fn gate_0(tried: &[(&str, bool)]) -> History {
    let exhibits = (1..).zip(tried).map(|(day, (environment, works))| {
        let run = if *works { Run::default() } else { Run { failed: |_| 3, ..Run::default() } };
        ran(day + 10, &run, |header| header.host.virtualization = (*environment).into())
    });
    let mut history = History::of(exhibits.collect());
    let quorum = Quorum { pass: 3, conditional: Some(1) };
    let of = Source::Runs(Runs { environments: Some(quorum), ..runs() });
    history.gate = gate(Outcomes::Go, vec![evidence(of)]);
    let option = |name: &str, says: &str, evidence: &[&str]| PivotOption {
        name: name.into(),
        says: says.into(),
        evidence: evidence.iter().map(|name| (*name).into()).collect(),
    };
    history.gate.options =
        vec![option("typescript", "Another language.", &[]), option("smaller", "Fewer hosts.", &["stable"])];
    history
}

#[test]
fn go_if_it_works_in_three_environments() {
    let history = gate_0(&[("none", true), ("docker", true), ("kvm", true)]);
    assert_snapshot!(ends(&history.decide(), "GO", 0));
}

#[test]
fn pivot_if_it_works_in_one_of_three_and_the_options_say_what_speaks_for_them() {
    let history = gate_0(&[("none", true), ("docker", false), ("kvm", false)]);
    assert_snapshot!(ends(&history.decide(), "PIVOT", 11));
}

/// A quorum passes by two of three: the headline says what the third does.
#[test]
fn an_environment_that_fails_beside_a_quorum_that_passes_is_in_the_headline() {
    let of = |tried: &[(&str, bool)]| {
        let mut history = gate_0(tried).asking(|runs| {
            runs.environments = Some(Quorum { pass: 2, conditional: None });
        });
        history.gate.outcomes = Outcomes::Pass;
        history.decide()
    };
    let decision = of(&[("none", true), ("docker", true), ("arm64", false)]);
    assert_eq!(decision.headline(), "PASS, in 2 of 3 environments, arm64 is FAIL");
    for (name, text) in documents(&decision) {
        assert!(name == "evidence.csv" || text.contains("arm64 is FAIL"), "{name} hides it: {text}");
    }
    assert_eq!(of(&[("none", true), ("docker", true)]).headline(), "PASS");
}

#[test]
fn no_go_if_it_works_in_none() {
    let history = gate_0(&[("none", false), ("docker", false), ("kvm", false)]);
    assert_snapshot!(ends(&history.decide(), "NO-GO", 10));
}

#[test]
fn what_was_not_tried_is_missing_and_no_failure() {
    let history = gate_0(&[("none", true), ("docker", true)]);
    assert_snapshot!(ends(&history.decide(), "INCONCLUSIVE", 12));
}

#[test]
fn pass_if_all_that_is_asked_holds() {
    let mut history = History::of(vec![green(20)]);
    history.gate.evidence.push(coverage());
    history.lcov = Some(COVERED);
    assert_snapshot!(ends(&history.decide(), "PASS", 0));
}

#[test]
fn conditional_names_what_has_to_be_mended() {
    let mut history = History::of(vec![green(20)]);
    history.gate.evidence.push(coverage());
    history.lcov = Some(NEARLY);
    assert_snapshot!(ends(&history.decide(), "CONDITIONAL", 11));
}

#[test]
fn fail_if_a_file_from_outside_misses_its_target() {
    let mut history = History::of(vec![green(20)]);
    history.gate.evidence.push(coverage());
    history.lcov = Some(HARDLY);
    assert_snapshot!(ends(&history.decide(), "FAIL", 10));
}

#[test]
fn inconclusive_names_what_is_missing_and_the_commands_that_produce_it() {
    let mut history = History::of(Vec::new()).asking(|runs| runs.runs = 3);
    history.gate.evidence.push(coverage());
    assert_snapshot!(ends(&history.decide(), "INCONCLUSIVE", 12));
}

#[test]
fn a_waiver_makes_a_failure_conditional_and_is_shown() {
    let mut history = History::of(vec![red(20)]);
    history.gate.waivers.push(waiver("all delivered", "2026-02-01"));
    assert_snapshot!(ends(&history.decide(), "CONDITIONAL", 11));
    // At the first gate it is a PIVOT.
    history.gate.outcomes = Outcomes::Go;
    ends(&history.decide(), "PIVOT", 11);
}

#[test]
fn an_expired_waiver_does_nothing_and_is_shown() {
    let mut history = History::of(vec![red(20)]);
    history.gate.waivers.push(waiver("all delivered", "2026-01-31"));
    assert_snapshot!(ends(&history.decide(), "FAIL", 10));
}

#[test]
fn a_waiver_is_for_one_criterion_and_for_failures_alone() {
    let both = Run {
        criteria: vec![
            criterion("all delivered", "delivery.rate >= 100%", None),
            criterion("fast", "coordination.time p95 < 1ms", None),
        ],
        failed: |n| u32::from(n % 10 == 0),
        ..Run::default()
    };
    let mut history = History::of(vec![ran(20, &both, |_| ())]);
    history.gate.waivers.push(waiver("all delivered", "2026-12-31"));
    let decision = history.decide();
    assert_eq!(decision.outcome, "FAIL");
    // What is missing cannot be waived.
    history.exhibits.clear();
    let decision = history.decide();
    assert_eq!((decision.outcome, decision.waivers[0].state), ("INCONCLUSIVE", "not needed"));
}

/// p95 is 15 ms.
fn aiming_at(limit: &'static str) -> History {
    let criteria =
        vec![criterion("all delivered", "delivery.rate >= 100%", None), criterion("fast", limit, None)];
    let run = Run { criteria, ..Run::default() };
    let mut history = History::of(vec![ran(20, &run, |_| ())]);
    history.gate.conditional_from = Some(0.8);
    history
}

#[test]
fn four_fifths_of_a_target_are_conditional_and_the_bands_have_no_gap() {
    for (limit, verdict) in [
        ("coordination.time p95 < 16ms", Verdict::Pass),
        ("coordination.time p95 < 14ms", Verdict::Conditional),
        ("coordination.time p95 < 12500us", Verdict::Conditional),
        ("coordination.time p95 < 11ms", Verdict::Fail),
        ("coordination.time p95 < 1ms", Verdict::Fail),
    ] {
        assert_eq!(aiming_at(limit).decide().verdict, verdict, "{limit}");
    }
    // Without a band, what misses its target fails.
    let mut strict = aiming_at("coordination.time p95 < 14ms");
    strict.gate.conditional_from = None;
    assert_eq!(strict.decide().verdict, Verdict::Fail);
}

#[test]
fn what_a_gate_does_not_ask_costs_the_pass_and_no_more() {
    let history =
        aiming_at("coordination.time p95 < 1ms").asking(|runs| runs.criteria = vec!["all delivered".into()]);
    let decision = history.decide();
    assert_eq!(decision.outcome, "CONDITIONAL");
    let fast = decision.evidence[0].findings.iter().find(|finding| finding.criterion == "fast").unwrap();
    assert_eq!((fast.verdict, fast.strictly), (Verdict::Conditional, Some(Verdict::Fail)));
}

#[test]
fn risks_follow_what_was_measured() {
    let now = |exhibits: Vec<_>| History::of(exhibits).decide().risks[0].now;
    assert_eq!(now(vec![green(20)]), "low");
    assert_eq!(now(vec![red(20)]), "has occurred");
    assert_eq!(now(Vec::new()), "medium");
}

#[test]
fn no_text_of_a_plan_is_markup_in_the_markdown() {
    let mut history = History::of(vec![red(20)]);
    history.gate.on_fail = "Stop.\n# GO: <b>all is well</b>".into();
    history.gate.waivers.push(waiver("all delivered", "2026-02-01"));
    history.gate.waivers[0].reason = "known\n\n# PASS <b>".into();
    for expires in ["2026-02-01", "2026-01-31"] {
        history.gate.waivers[0].expires = expires.parse().unwrap();
        let documents = documents(&history.decide());
        let (_, text) = documents.into_iter().find(|(name, _)| *name == "decision.md").unwrap();
        let heads = text.lines().filter(|line| line.starts_with("# ")).count();
        assert!(heads == 1 && !text.contains("<b>"), "{text}");
    }
}
