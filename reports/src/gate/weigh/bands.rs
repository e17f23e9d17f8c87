//! What a criterion is for a gate: as the run has it, but for bands, criteria that the gate does not ask, and waivers.

use super::{Question, waive};
use crate::gate::decision::{CHECK, Finding};
use crate::gate::exhibit::JudgedRun;
use crate::gate::plan::{Evidence, Runs};
use crate::units;
use crate::verdict::{CriterionResult, EvidenceResult, Verdict};

/// All criteria and checks of a run that are judged.
pub(super) fn findings(
    evidence: &Evidence,
    runs: &Runs,
    question: Question<'_>,
    directory: &str,
    run: &JudgedRun,
) -> Vec<Finding> {
    let judgement = &run.judgement;
    let judged = judgement.criteria.iter().filter(|criterion| !criterion.informational);
    let mut findings: Vec<Finding> = judged
        .map(|criterion| {
            let mut finding = of_criterion(criterion, directory);
            let is_asked = runs.criteria.is_empty() || runs.criteria.contains(&criterion.name);
            if is_asked {
                band(&mut finding, question.gate.conditional_from);
                waive(evidence, question, &mut finding);
            } else {
                set_aside(&mut finding);
            }
            finding
        })
        .collect();
    findings.extend(judgement.evidence.iter().map(|check| of_check(check, directory)));
    // A run that was interrupted was not judged, whatever its criteria say so far.
    if judgement.verdict == Verdict::Inconclusive && super::worst(&findings) < Some(Verdict::Inconclusive) {
        findings.push(unjudged(judgement.reasons.first(), directory));
    }
    findings
}

fn of_criterion(criterion: &CriterionResult, directory: &str) -> Finding {
    Finding {
        criterion: criterion.name.clone(),
        source: directory.to_owned(),
        asked: criterion.pass.clone(),
        measured: criterion.value_text.clone(),
        verdict: criterion.verdict,
        value: criterion.value,
        threshold: Some(criterion.threshold),
        comparator: Some(criterion.comparator.clone()),
        interval: criterion.interval_text.clone(),
        samples: Some(criterion.samples),
        margin: Some(criterion.margin_text.clone()),
        note: criterion.note.clone(),
        strictly: None,
        is_waived: false,
    }
}

fn of_check(check: &EvidenceResult, directory: &str) -> Finding {
    Finding {
        criterion: format!("{CHECK}{}", check.name),
        source: directory.to_owned(),
        asked: check.wanted.clone(),
        measured: check.found.clone(),
        verdict: check.verdict,
        value: None,
        threshold: None,
        comparator: None,
        interval: None,
        samples: None,
        margin: None,
        note: check.note.clone(),
        strictly: None,
        is_waived: false,
    }
}

fn unjudged(reason: Option<&String>, directory: &str) -> Finding {
    let check = EvidenceResult {
        name: "run judged".to_owned(),
        verdict: Verdict::Inconclusive,
        wanted: "a run that was judged to its end".to_owned(),
        found: reason.cloned().unwrap_or_else(|| "none".to_owned()),
        note: None,
    };
    of_check(&check, directory)
}

/// How much of its target a figure has reached: 0.9 of `> 8000/s` is 7,200/s, and of `< 30s` it is 33.3 s.
fn reached(finding: &Finding) -> Option<f64> {
    let (value, threshold) = (finding.value?, finding.threshold?);
    let share = match finding.comparator.as_deref()? {
        ">" | ">=" => value / threshold,
        "<" | "<=" => threshold / value,
        _ => return None,
    };
    share.is_finite().then_some(share)
}

/// A figure that misses its target by little is CONDITIONAL, be it of a run or of a file.
pub(super) fn band(finding: &mut Finding, from: Option<f64>) {
    let (Verdict::Fail, Some(from), Some(share)) = (finding.verdict, from, reached(finding)) else {
        return;
    };
    // A share of two decimal figures is off by what a float rounds.
    if share < from * (1.0 - 1e-9) {
        return;
    }
    finding.soften(format!(
        "{} of its target; this gate is CONDITIONAL from {} on",
        units::percent(share),
        units::percent(from)
    ));
}

/// Of a criterion that the gate does not ask: what does not pass costs the PASS, and no more.
fn set_aside(finding: &mut Finding) {
    if finding.verdict > Verdict::Conditional {
        let word = finding.verdict.word();
        finding.soften(format!("{word}; this gate does not ask it: it costs the PASS, and no more"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_adds_to_what_the_criterion_says_of_itself() {
        let check = EvidenceResult {
            name: "fast".to_owned(),
            verdict: Verdict::Fail,
            wanted: "< 10 ms".to_owned(),
            found: "11 ms".to_owned(),
            note: Some("6 windows".to_owned()),
        };
        let mut finding = of_check(&check, "runs/1");
        (finding.value, finding.threshold) = (Some(11.0), Some(10.0));
        finding.comparator = Some("<".to_owned());
        band(&mut finding, Some(0.9));
        assert_eq!((finding.verdict, finding.strictly), (Verdict::Conditional, Some(Verdict::Fail)));
        let note = finding.note.unwrap();
        assert!(note.starts_with("6 windows; ") && note.contains("CONDITIONAL from 90"), "{note}");
    }
}
