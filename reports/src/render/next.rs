//! What a reader does next: few steps, the gravest first.

use crate::facts::Facts;
use crate::runlog::event::EndReason;
use crate::verdict::{Check, CriterionResult, EvidenceResult, Judgement, Verdict};

/// More would be the tables.
const STEPS_MAX: usize = 3;

const IN_ONE_PIECE: &str = "A segment that was killed before its first checkpoint has no ledger, so this run cannot be decided any further. Run it \
                            again if the verdict needs the counts of both ends.";

const LOST_IN_THE_TAIL: &str = "Tasks failed after the last checkpoint before the harness was killed, so no ledger counts them. The report lists them; run the \
                                scenario again. `harness stop` interrupts a run and leaves its ledger.";

const SETUP_FAILED: &str = "Read in the reasons which command of the set-up failed; its output is in `commands.output` in the run's directory.";

const LAUNCH_FAILED: &str = "Read in the reasons why the launch failed; `harness doctor` says what this host lacks, and how to get it.";

/// Sentences; what stands between backticks is typed.
pub(super) fn steps(judgement: &Judgement, facts: &Facts) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let ended = facts.end.as_ref().map(|end| end.reason);
    if ended == Some(EndReason::LaunchFailed) {
        steps.push(if facts.setup_failed() { SETUP_FAILED } else { LAUNCH_FAILED }.into());
    }
    if ended == Some(EndReason::FleetLost) {
        steps.push("Find out in the report and in the kernel's log what ended the fleet, and run the scenario again.".into());
    }
    if ended == Some(EndReason::RecordingFailed) {
        steps.push("Make room where the run log is written, or give the directory of the runs another place, and run the scenario again.".into());
    }
    for verdict in [Verdict::Fail, Verdict::Inconclusive, Verdict::Conditional] {
        steps.extend(of_evidence(judgement, verdict, facts));
        steps.extend(of_criteria(judgement, verdict, ended));
    }
    if steps.is_empty() {
        let passed = judgement.verdict == Verdict::Pass;
        steps.push(if passed { of_pass(judgement) } else { "Run the scenario again.".into() });
    }
    let mut told = std::collections::BTreeSet::new();
    steps.retain(|step| told.insert(step.clone()));
    steps.truncate(STEPS_MAX);
    steps
}

/// What is missing because the run is cut short needs no step of its own, and a run that cannot be resumed is not.
fn of_evidence(judgement: &Judgement, verdict: Verdict, facts: &Facts) -> impl Iterator<Item = String> {
    let open = judgement.evidence.iter().filter(move |result| result.verdict == verdict);
    let check = |result: &EvidenceResult| Check::named(&result.name);
    let ended = facts.end.as_ref().map(|end| end.reason);
    let can_be_resumed = ended.is_none_or(|reason| reason.can_be_resumed(facts.segments));
    let counts = move |check: &Check| {
        let is_done = verdict == Verdict::Fail || ended == Some(EndReason::Completed);
        if *check == Check::RunComplete { can_be_resumed } else { is_done }
    };
    // What both ends of a killed segment counted is not known, and not wrong.
    let is_open = verdict == Verdict::Inconclusive;
    let of_ledger = if is_open && facts.lacks_a_ledger() {
        IN_ONE_PIECE
    } else if is_open && facts.lost_tasks() > 0 {
        LOST_IN_THE_TAIL
    } else {
        Check::Ledger.remedy()
    };
    let remedy = move |check: Check| if check == Check::Ledger { of_ledger } else { check.remedy() };
    open.filter_map(check).filter(counts).map(move |check| remedy(check).to_owned())
}

/// A run that is cut short decides no criterion: going on with it is the step.
fn of_criteria(judgement: &Judgement, verdict: Verdict, ended: Option<EndReason>) -> Option<String> {
    if verdict != Verdict::Fail && ended != Some(EndReason::Completed) {
        return None;
    }
    let open: Vec<&CriterionResult> =
        judgement.criteria.iter().filter(|c| c.verdict == verdict && !c.informational).collect();
    let first = open.first()?;
    let name = first.name.replace('`', "'");
    Some(match (verdict, &first.note) {
        (Verdict::Inconclusive, Some(note)) => {
            format!(
                "Run it again, longer or on a quiet host, to decide “{name}”: {}.",
                note.trim_end_matches('.')
            )
        }
        (Verdict::Inconclusive, None) => {
            format!(
                "Run it again, longer or on a quiet host, to decide “{name}”: `--retry-inconclusive 2` does it by itself."
            )
        }
        _ => format!(
            "Check whether “{name}” misses again, with the command under “How to repeat it”; `harness compare` sets both runs beside an earlier one."
        ),
    })
}

fn of_pass(judgement: &Judgement) -> String {
    if judgement.variant.is_plain() {
        "Nothing is open. `harness baseline set` keeps this run as what later ones are compared with.".into()
    } else {
        "Run the scenario file as it stands, without changes to it, if the answer has to count for a gate."
            .into()
    }
}
