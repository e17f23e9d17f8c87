//! `report.md`: for a CI summary or a comment, which hold 64 KiB.

use std::fmt::Write;

use crate::facts::Facts;
use crate::units;
use crate::verdict::Verdict;

/// Of each list; the rest is in the other files.
const LISTED_MAX: usize = 50;

pub fn render(verdict: &Verdict, facts: &Facts) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}: {}\n", verdict.headline(), cell(&verdict.scenario));
    let _ = writeln!(out, "> {}\n", cell(&verdict.asks));
    if let Some(factor) = verdict.rehearsal {
        let _ = writeln!(out, "**REHEARSAL**: schedule compressed {factor} times; satisfies no gate.\n");
    }
    for reason in verdict.reasons.iter().take(LISTED_MAX) {
        let _ = writeln!(out, "- {}", cell(reason));
    }
    left_out(&mut out, verdict.reasons.len());
    criteria(&mut out, verdict);
    evidence(&mut out, verdict);
    run(&mut out, facts);
    out
}

fn criteria(out: &mut String, verdict: &Verdict) {
    if verdict.criteria.is_empty() {
        return;
    }
    out.push_str("\n## Criteria\n\n| verdict | criterion | asked | measured | margin | samples |\n|---|---|---|---:|---:|---:|\n");
    for c in verdict.criteria.iter().take(LISTED_MAX) {
        let interval = c.interval_text.as_ref().map(|i| format!(" ({i})")).unwrap_or_default();
        let id = c.requirement.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {}{} | `{}` | {}{} | {} | {} |",
            c.outcome.word(),
            cell(&c.name),
            cell(&id),
            cell(&c.pass),
            cell(&c.value_text),
            cell(&interval),
            cell(&c.margin_text),
            c.samples_text(),
        );
    }
    left_out(out, verdict.criteria.len());
}

fn evidence(out: &mut String, verdict: &Verdict) {
    out.push_str("\n## Evidence\n\n| verdict | check | wanted | found |\n|---|---|---|---|\n");
    for e in &verdict.evidence {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            e.outcome.word(),
            cell(&e.name),
            cell(&e.wanted),
            cell(&e.found)
        );
    }
}

fn run(out: &mut String, facts: &Facts) {
    let h = &facts.header;
    let time = &facts.load.coordination;
    let show = |ns: Option<u64>| ns.map_or_else(|| "—".into(), units::nanos);
    out.push_str("\n## Run\n\n");
    let _ = writeln!(
        out,
        "- coordination time: p50 {}, p99 {}, max {} over {} rounds",
        show(time.quantile_ns(0.5)),
        show(time.supported_quantile_ns(0.99)),
        show(time.max_ns()),
        units::count(time.count() as f64),
    );
    let _ = writeln!(
        out,
        "- fleet: {} processes ({} coordinators × {} workers), {}",
        h.plan.processes,
        h.plan.coordinators,
        h.plan.workers_per_coordinator,
        cell(&h.plan.workload)
    );
    let _ = writeln!(
        out,
        "- host: {} CPUs ({}), {}, Linux {}",
        h.host.cpus,
        cell(&h.host.cpu_model),
        units::bytes(h.host.memory_bytes as f64),
        cell(&h.host.kernel)
    );
    let _ = writeln!(out, "- run `{}`, started {}, seed {}", cell(&h.run_id), cell(&h.started_utc), h.seed);
    let _ = writeln!(out, "- again: `{}`", cell(&h.command));
}

fn left_out(out: &mut String, total: usize) {
    if total > LISTED_MAX {
        let _ = writeln!(out, "\n… and {} more in verdict.json.", total - LISTED_MAX);
    }
}

/// One line, no cell borders, and of a length that fits the whole into a comment.
fn cell(text: &str) -> String {
    const CHARS_MAX: usize = 400;
    let mut out: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARS_MAX).collect();
    if text.chars().count() > CHARS_MAX {
        out.push('…');
    }
    out.replace('|', "\\|")
}
