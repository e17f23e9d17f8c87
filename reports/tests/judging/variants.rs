//! What was asked is what was run: whatever the command line laid over the scenario file stands in every document,
//! and such a run satisfies no gate.

use crate::synthetic::{Run, criterion, judge, read, report, run_dir};
use reports::Verdict;
use reports::runlog::event::CriterionSpec;

fn bent() -> Run {
    let overrides =
        vec!["load.duration=6s".to_owned(), "criterion.delivery.pass=delivery.rate > 1%".to_owned()];
    Run { profile: Some("laptop"), overrides, ..Run::default() }
}

#[test]
fn overrides_and_profile_are_listed_in_every_document() {
    let run = bent();
    let dir = run_dir(&run.log());
    let (judgement, files) = report(dir.path());
    assert_eq!(judgement.verdict, Verdict::Pass);
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let is_plot = file.extension().is_some_and(|extension| extension == "svg");
        // A plot has room for how many there are.
        let said: &[&str] = if is_plot {
            &["laptop", "2 overrides"]
        } else {
            &["laptop", "load.duration=6s", "delivery.rate"]
        };
        for part in said {
            assert!(text.contains(part), "{part} is not in {}", file.display());
        }
    }
    let text = reports::render::text::render(&judgement, &crate::synthetic::facts(&run.log()));
    assert!(
        text.contains("OVERRIDES") && text.contains("load.duration=6s") && text.contains("laptop"),
        "{text}"
    );
}

#[test]
fn a_run_of_something_else_than_the_file_satisfies_no_gate() {
    let plain = judge(&Run::default().log());
    assert!(plain.satisfies_gate && plain.variant.is_plain());
    let runs = [
        Run { profile: Some("ci"), ..Run::default() },
        Run { overrides: vec!["seed=3".into()], ..Run::default() },
        Run { rehearsal: Some(2.0), ..Run::default() },
        bent(),
    ];
    for run in runs {
        let judgement = judge(&run.log());
        assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
        assert!(!judgement.satisfies_gate, "{:?}", judgement.variant);
        assert_ne!(judgement.headline(), "PASS");
    }
}

#[test]
fn the_title_states_what_was_run() {
    let judgement = judge(&bent().log());
    assert_eq!(
        judgement.title(),
        "6 workers under 2 coordinators: echo 256 B, a round every 500 ms, for 60 s"
    );
    let dir = run_dir(&bent().log());
    report(dir.path());
    let html = read(dir.path(), "report.html");
    assert!(html.contains(&format!("<h1>{}</h1>", judgement.title())), "the heading is what was run");
    assert!(
        !html.contains(&format!("<h1>{}</h1>", judgement.asks)),
        "the heading is not the file's question"
    );
    let json: serde_json::Value = serde_json::from_str(&read(dir.path(), "verdict.json")).unwrap();
    assert_eq!(json["ran"]["seed"], 7);
    assert_eq!(json["ran"]["duration_ns"], 60_000_000_000_u64);
    assert_eq!((json["ran"]["processes"].as_u64(), json["ran"]["workers"].as_u64()), (Some(9), Some(6)));
    assert_eq!(json["overrides"][0], "load.duration=6s");
    assert_eq!(json["profile"], "laptop");
}

#[test]
fn an_informational_criterion_is_shown_and_not_judged() {
    let shown =
        CriterionSpec { informational: true, ..criterion("shown", "coordination.time max < 1ns", None) };
    let run =
        Run { criteria: vec![criterion("judged", "delivery.rate >= 100%", None), shown], ..Run::default() };
    let judgement = judge(&run.log());
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    let shown = &judgement.criteria[1];
    assert_eq!((shown.verdict, shown.informational, shown.word()), (Verdict::Fail, true, "INFO"));
    assert!(!judgement.reasons.iter().any(|reason| reason.contains("shown")), "{:?}", judgement.reasons);
    let dir = run_dir(&run.log());
    report(dir.path());
    let junit = read(dir.path(), "junit.xml");
    assert!(junit.contains("type=\"informational\"") && junit.contains("failures=\"0\""), "{junit}");
    assert!(read(dir.path(), "report.html").contains("badge INFO"));
}

#[test]
fn a_run_of_nothing_but_informational_criteria_proves_nothing() {
    let shown = CriterionSpec { informational: true, ..criterion("shown", "delivery.rate >= 100%", None) };
    let judgement = judge(&Run { criteria: vec![shown], ..Run::default() }.log());
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{:#?}", judgement.reasons);
}
