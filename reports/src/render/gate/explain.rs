//! `--explain`: everything behind one piece of evidence, or one criterion.

use std::fmt::Write as _;

use crate::gate::decision::{Decision, Finding, Weighed};
use notation::suggest;

/// The error names what was meant.
pub fn explain(decision: &Decision, name: &str) -> Result<String, String> {
    let mut out = String::new();
    for weighed in &decision.evidence {
        let is_named = weighed.name == name;
        let of: Vec<&Finding> =
            weighed.findings.iter().filter(|finding| is_named || finding.criterion == name).collect();
        if is_named || !of.is_empty() {
            evidence(&mut out, weighed, &of);
        }
    }
    if out.is_empty() {
        let mut known: Vec<&str> = decision.evidence.iter().map(|weighed| weighed.name.as_str()).collect();
        known.extend(decision.evidence.iter().flat_map(|w| w.findings.iter().map(|f| f.criterion.as_str())));
        known.sort_unstable();
        known.dedup();
        return Err(suggest::hint(name, &known));
    }
    Ok(out)
}

fn evidence(out: &mut String, weighed: &Weighed, findings: &[&Finding]) {
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
    for finding in findings {
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
