//! `decision.md`: for a summary in CI, or a comment.

use std::fmt::Write as _;

use super::{DEMO, takes};
use crate::gate::decision::Decision;
use crate::render::markdown::marked;
use notation::visible;

pub(super) fn render(decision: &Decision) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "# {}: {}\n", decision.headline(), sentence(&decision.title));
    if decision.demo {
        let _ = writeln!(out, "**{DEMO}**\n");
    }
    let _ = writeln!(out, "> {}\n\n**{}**\n", sentence(&decision.asks), sentence(&decision.recommendation));
    for reason in &decision.reasons {
        let _ = writeln!(out, "- {}", sentence(reason));
    }
    steps(&mut out, decision);
    out.push_str("\n## Evidence\n\n| verdict | evidence | wanted | found |\n|---|---|---|---|\n");
    for before in &decision.before {
        let _ = writeln!(
            out,
            "| {} | {} | passed before this one | {} |",
            before.outcome,
            before.gate,
            cell(&before.basis())
        );
    }
    for weighed in &decision.evidence {
        let found = [std::slice::from_ref(&weighed.found), &weighed.notes].concat().join("; ");
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            weighed.verdict.word(),
            cell(&weighed.name),
            cell(&weighed.wanted),
            cell(&found)
        );
    }
    uncounted(&mut out, decision);
    waivers(&mut out, decision);
    if !decision.conditions.is_empty() {
        out.push_str("\n## Conditions\n\n");
        for condition in &decision.conditions {
            let _ = writeln!(out, "- {}", sentence(condition));
        }
    }
    risks(&mut out, decision);
    let _ = writeln!(
        out,
        "\nDecided at {} from `{}` (SHA-256 {}), each run judged from its log.",
        decision.decided_utc, decision.plan.path, decision.plan.sha256
    );
    out
}

fn steps(out: &mut String, decision: &Decision) {
    if decision.next.is_empty() {
        return;
    }
    out.push_str("\n## Next\n\n| evidence | what | command | takes |\n|---|---|---|---|\n");
    for step in &decision.next {
        let _ = writeln!(
            out,
            "| {} | {} | `{}` | {} |",
            cell(&step.evidence),
            cell(&step.what),
            step.command.replace('|', "\\|"),
            takes(step.takes_ns)
        );
    }
}

fn uncounted(out: &mut String, decision: &Decision) {
    let all = decision.evidence.iter().flat_map(|weighed| &weighed.runs).filter(|run| !run.counts);
    let lines: Vec<String> = all
        .map(|run| {
            let why = run.why_not.as_deref().unwrap_or_default();
            format!("| {} | {} | {} |", cell(&run.directory), cell(&run.headline), cell(why))
        })
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(
            out,
            "\n## Runs that do not count\n\n| run | its own verdict | why |\n|---|---|---|\n{}",
            lines.join("\n")
        );
    }
}

fn waivers(out: &mut String, decision: &Decision) {
    if decision.waivers.is_empty() {
        return;
    }
    out.push_str("\n## Waivers\n\n| state | criterion | author | until | reason |\n|---|---|---|---|---|\n");
    for waiver in &decision.waivers {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            waiver.state,
            cell(&decision.waived(waiver)),
            cell(&waiver.author),
            waiver.expires,
            cell(&waiver.reason)
        );
    }
}

fn risks(out: &mut String, decision: &Decision) {
    if decision.risks.is_empty() {
        return;
    }
    out.push_str("\n## Risks\n\n| risk | likelihood | now | impact | mitigation |\n|---|---|---|---|---|\n");
    for risk in &decision.risks {
        let _ = writeln!(
            out,
            "| {} | {} | {}: {} | {} | {} |",
            cell(&risk.says),
            risk.likelihood,
            risk.now,
            cell(&risk.why),
            risk.impact,
            cell(&risk.mitigation)
        );
    }
}

/// In a table: a bar would be the cell's border.
fn cell(text: &str) -> String {
    sentence(text).replace('|', "\\|")
}

/// On one line, whole, and with no markup but code between backticks.
fn sentence(text: &str) -> String {
    marked(&visible::line(text))
}
