//! One piece of evidence: which runs count and why not, what each amounts to, and what they amount to together.

mod bands;
mod file;
mod runs;

use jiff::Timestamp;

use super::decision::{Finding, Step, Weighed};
use super::exhibit::Inputs;
use super::plan::{Evidence, Gate, Source};
use crate::verdict::Verdict;

/// What an evidence is weighed for.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) gate: &'a Gate,
    pub(super) inputs: &'a Inputs,
    /// The time of the decision. Runs that started later do not count.
    pub(super) at: Timestamp,
    /// The build that decides, as its commit; absent if it has none.
    pub(super) commit: Option<&'a str>,
}

/// The evidence, and what would complete it.
pub(super) struct Answer {
    pub(super) weighed: Weighed,
    pub(super) steps: Vec<Step>,
    /// INCONCLUSIVE by what is there or is gone, and not by what is missing or old: no earlier time answers for it.
    pub(super) is_closed: bool,
}

pub(super) fn weigh(evidence: &Evidence, question: Question<'_>) -> Answer {
    match &evidence.source {
        Source::Runs(runs) => runs::weigh(evidence, runs, question),
        Source::File(file) => file::weigh(evidence, file, question),
    }
}

/// Whether one of the keys that are asked for is among those that have signed; so it is if none is asked for.
fn is_signed(asked: &[String], signers: &[String]) -> bool {
    asked.is_empty() || asked.iter().any(|key| signers.contains(key))
}

fn worst(findings: &[Finding]) -> Option<Verdict> {
    findings.iter().map(|finding| finding.verdict).max()
}

/// Turns the FAIL of a waived criterion into CONDITIONAL, as long as the waiver holds: by the day of the decision, also where the
/// evidence is that of an earlier one.
fn waive(evidence: &Evidence, question: Question<'_>, finding: &mut Finding) {
    let day = question.inputs.circumstances.day();
    let waiver = question.gate.waivers.iter().find(|waiver| {
        waiver.evidence == evidence.name && waiver.criterion == finding.criterion && waiver.expires >= day
    });
    let (Verdict::Fail, Some(waiver)) = (finding.verdict, waiver) else { return };
    finding.soften(format!("FAIL, waived by {} until {}: {}", waiver.author, waiver.expires, waiver.reason));
    finding.is_waived = true;
}
