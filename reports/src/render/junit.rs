//! `junit.xml`: a case a criterion, a case a check of the evidence, for pipelines.
//!
//! JUnit knows no CONDITIONAL: it is no failure and no plain pass, so it is `skipped`, of type `conditional`, and
//! a pipeline shows it without turning red. INCONCLUSIVE is an error: the test itself could not tell. Values stand in the message, for readers
//! that drop properties.

use std::fmt::Write;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::facts::Facts;
use crate::verdict::{Check, CriterionResult, EvidenceResult, Judgement, Verdict};
use notation::visible;

pub fn render(judgement: &Judgement, facts: &Facts) -> String {
    let mut suite = TestSuite::new(judgement.scenario.as_str());
    let mut property = |name: &str, value: &str| {
        suite.add_property(Property::new(name, &*visible::text(value)));
    };
    property("verdict", &judgement.headline());
    property("run_id", &judgement.run_id);
    property("command", &facts.header.command);
    property("ran", judgement.title());
    property("seed", &facts.header.seed.to_string());
    let variant = &judgement.variant;
    if let Some(smaller) = variant.smaller {
        property("smaller_fleet", &smaller.words());
    }
    if let Some(factor) = variant.rehearsal {
        property("rehearsal", &factor.to_string());
    }
    if let Some(words) = judgement.interruptions() {
        property("interrupted", &words);
    }
    if let Some(profile) = &variant.profile {
        property("profile", profile);
    }
    for given in &variant.overrides {
        property("override", given);
    }
    if let Some(by) = &variant.judged_by {
        property("judged_by", &by.file);
        property("judged_by_sha256", &by.sha256);
    }
    for c in &judgement.criteria {
        suite.add_test_case(criterion(c, &judgement.scenario));
    }
    let took = Duration::from_nanos(facts.last_ns);
    for e in &judgement.evidence {
        suite.add_test_case(check(e, &judgement.scenario, took));
    }
    suite.set_time(took);
    let host = &facts.header.host.hostname;
    suite.extra.insert("hostname".into(), (&*visible::text(host)).into());
    if let Ok(started) = facts.header.started_utc.parse::<jiff::Timestamp>() {
        let timestamp = started.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
        suite.extra.insert("timestamp".into(), timestamp.into());
    }
    let reasons = format!("{}\n{}", judgement.headline(), judgement.reasons.join("\n"));
    suite.set_system_out(&*visible::text(&reasons));
    let mut report = Report::new(format!("{} {}", judgement.scenario, judgement.headline()));
    report.set_time(took);
    report.add_test_suite(suite);
    // Writing to a string fails only if memory does.
    report.to_string().unwrap_or_default()
}

/// For pipelines that add up their cases, the check for completeness has the time of the run: a run is one thing, and no
/// criterion has a time of its own.
fn check(e: &EvidenceResult, scenario: &str, took: Duration) -> TestCase {
    let mut message = e.wanted_and_found();
    if let Some(note) = &e.note {
        message.extend(["; ", note.as_str()]);
    }
    let mut case = case("evidence", scenario, &e.name, e.verdict, &message);
    if e.name == Check::RunComplete.name() {
        case.set_time(took);
    }
    case
}

fn criterion(c: &CriterionResult, scenario: &str) -> TestCase {
    let mut message = format!(
        "{}: asked `{}`, measured {} (margin {}, {} samples, {})",
        c.name, c.pass, c.value_text, c.margin_text, c.samples, c.source
    );
    if let (Verdict::Conditional, Some(weaker)) = (c.verdict, &c.conditional) {
        let _ = write!(message, "; it still meets `{weaker}`, which was set for a conditional pass");
    }
    if let Some(note) = &c.note {
        message.extend(["; ", note.as_str()]);
    }
    let mut tested = case("criterion", scenario, &c.name, c.verdict, &message);
    if c.informational {
        let mut status = TestCaseStatus::skipped();
        status.set_message(&*visible::text(&message)).set_type("informational");
        tested.status = status;
    }
    tested
}

/// A case of kind `kind`, of a scenario or a gate.
pub(super) fn case(kind: &str, of: &str, name: &str, verdict: Verdict, message: &str) -> TestCase {
    let message = &*visible::text(message);
    let failing = |kind, ty: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(message).set_type(ty);
        status
    };
    let status = match verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Conditional => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(message).set_type("conditional");
            status
        }
        Verdict::Fail => failing(NonSuccessKind::Failure, "fail"),
        Verdict::Inconclusive => failing(NonSuccessKind::Error, "inconclusive"),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("{of}.{kind}")).set_system_out(message);
    case
}
