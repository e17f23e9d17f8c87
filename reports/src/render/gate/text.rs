//! For a terminal, plain: the decision, why, and what to do next.

use std::fmt::Write as _;

use super::{DEMO, takes};
use crate::gate::decision::{Decision, EXPIRED, Weighed};
use crate::verdict::Verdict;

pub fn render(decision: &Decision) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "{}  {}", decision.headline(), decision.title);
    if decision.demo {
        let _ = writeln!(out, "  {DEMO}");
    }
    let _ = writeln!(out, "  {}\n  {}", decision.asks, decision.recommendation);
    for reason in &decision.reasons {
        let _ = writeln!(out, "  - {reason}");
    }
    out.push_str("\nevidence\n");
    let width = decision.evidence.iter().map(|weighed| weighed.name.chars().count()).max().unwrap_or(0);
    for before in &decision.before {
        let _ = writeln!(
            out,
            "  {:<12}  {:<width$}  the gate before this one, {}",
            before.outcome,
            before.gate,
            before.basis()
        );
    }
    for weighed in &decision.evidence {
        let _ =
            writeln!(out, "  {:<12}  {:<width$}  {}", weighed.verdict.word(), weighed.name, weighed.found);
        details(&mut out, weighed);
    }
    waivers(&mut out, decision);
    list(&mut out, "conditions", &decision.conditions);
    options(&mut out, decision);
    next(&mut out, decision);
    out
}

fn details(out: &mut String, weighed: &Weighed) {
    for note in &weighed.notes {
        let _ = writeln!(out, "                note: {note}");
    }
    for run in weighed.runs.iter().filter(|run| !run.counts) {
        let why = run.why_not.as_deref().unwrap_or_default();
        let _ = writeln!(out, "                does not count: {} ({}): {why}", run.directory, run.headline);
    }
    let bad = weighed.findings.iter().filter(|finding| finding.verdict != Verdict::Pass);
    for finding in bad {
        let note = finding.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        let _ = writeln!(
            out,
            "                {}: {}: asked `{}`, found {}{note}",
            finding.mark().to_lowercase(),
            finding.criterion,
            finding.asked,
            finding.measured
        );
    }
}

fn waivers(out: &mut String, decision: &Decision) {
    if decision.waivers.is_empty() {
        return;
    }
    out.push_str("\nwaivers\n");
    for waiver in &decision.waivers {
        let _ = writeln!(
            out,
            "  {}: {}, by {} until {}: {}",
            waiver.state,
            decision.waived(waiver),
            waiver.author,
            waiver.expires,
            waiver.reason
        );
        if waiver.state == EXPIRED {
            let _ = writeln!(
                out,
                "    at {}: renew it with its author, or take it out of the plan",
                waiver.place
            );
        }
    }
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for line in lines {
        let _ = writeln!(out, "  - {line}");
    }
}

fn options(out: &mut String, decision: &Decision) {
    if decision.options.is_empty() || decision.verdict == Verdict::Pass {
        return;
    }
    out.push_str("\noptions\n");
    for option in &decision.options {
        let _ = writeln!(out, "  {}: {}", option.name, option.says);
        if option.speaks.is_empty() {
            out.push_str("    nothing that was measured speaks for it\n");
        }
        for speaks in &option.speaks {
            let _ = writeln!(out, "    speaks for it: {speaks}");
        }
    }
}

fn next(out: &mut String, decision: &Decision) {
    if decision.next.is_empty() {
        // Conditions are listed above; after a PASS the plan says what comes.
        if decision.verdict == Verdict::Pass {
            let _ = writeln!(out, "\nnext\n  {}", decision.recommendation);
        }
        return;
    }
    out.push_str("\nnext\n");
    for step in &decision.next {
        let _ = writeln!(
            out,
            "  {}: {}\n    {}    # takes {}",
            step.evidence,
            step.what,
            step.command,
            takes(step.takes_ns)
        );
    }
}
