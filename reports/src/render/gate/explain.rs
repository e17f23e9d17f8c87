//! `--explain`: everything behind one piece of evidence, or one criterion.

use std::fmt::Write as _;

use crate::gate::decision::{Decision, Weighed};
use crate::gate::plan::PlanFile;
use crate::verdict::Exit;
use notation::suggest;
use serde::Serialize;

/// What is behind one piece of evidence, or behind one criterion wherever it was judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    pub gate: String,
    /// The evidence or the criterion, as it was asked for.
    pub explains: String,
    /// Of the whole gate.
    pub outcome: &'static str,
    pub exit: Exit,
    pub plan: PlanFile,
    pub decided_utc: String,
    pub demo: bool,
    /// Each with its runs, and with the findings in question alone.
    pub evidence: Vec<Weighed>,
}

/// The error names what was meant.
pub fn explained(decision: &Decision, name: &str) -> Result<Explained, String> {
    let of = |weighed: &Weighed| {
        let mut weighed = weighed.clone();
        let is_named = weighed.name == name;
        weighed.findings.retain(|finding| is_named || finding.criterion == name);
        (is_named || !weighed.findings.is_empty()).then_some(weighed)
    };
    let evidence: Vec<Weighed> = decision.evidence.iter().filter_map(of).collect();
    if evidence.is_empty() {
        let mut known: Vec<&str> = decision.evidence.iter().map(|weighed| weighed.name.as_str()).collect();
        known.extend(decision.evidence.iter().flat_map(|w| w.findings.iter().map(|f| f.criterion.as_str())));
        known.sort_unstable();
        known.dedup();
        return Err(suggest::hint(name, &known));
    }
    Ok(Explained {
        gate: decision.gate.clone(),
        explains: name.to_owned(),
        outcome: decision.outcome,
        exit: decision.exit.clone(),
        plan: decision.plan.clone(),
        decided_utc: decision.decided_utc.clone(),
        demo: decision.demo,
        evidence,
    })
}

/// For a terminal.
pub fn text(explained: &Explained) -> String {
    let mut out = String::new();
    for weighed in &explained.evidence {
        evidence(&mut out, weighed);
    }
    out
}

fn evidence(out: &mut String, weighed: &Weighed) {
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "{}  {}: {}", weighed.verdict.word(), weighed.name, weighed.says);
    let _ = writeln!(
        out,
        "  wanted: {}\n  found: {}\n  asked at {}",
        weighed.wanted, weighed.found, weighed.place
    );
    for note in &weighed.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    for run in &weighed.runs {
        let counts = run.why_not.as_ref().map_or_else(
            || format!("counts as {}", run.verdict.map_or("INCONCLUSIVE", crate::Verdict::word)),
            |why| format!("does not count: {why}"),
        );
        let _ = writeln!(out, "  run {}: {} by its own criteria, {counts}", run.directory, run.headline);
        if !run.host.is_empty() {
            let _ = writeln!(
                out,
                "    {}, host {}, build {}, {}",
                run.started_utc, run.host, run.build, run.environment
            );
        }
    }
    for finding in &weighed.findings {
        let _ = writeln!(
            out,
            "  {} {}: asked `{}`, measured {} in {}",
            finding.verdict.word().to_lowercase(),
            finding.criterion,
            finding.asked,
            finding.measured,
            finding.source
        );
        let details = [
            finding.interval.as_ref().map(|text| format!("interval {text}")),
            finding.samples.map(|n| format!("{} samples", crate::units::count(n as f64))),
            finding.margin.as_ref().map(|text| format!("margin {text}")),
            finding.strictly.map(|verdict| format!("strictly {}", verdict.word())),
            finding.note.clone(),
        ];
        let details: Vec<String> = details.into_iter().flatten().collect();
        if !details.is_empty() {
            let _ = writeln!(out, "    {}", details.join("; "));
        }
    }
}
