//! `report.md`: for a CI summary or a comment, which hold 64 KiB.

use std::fmt::Write;

use super::workload_figures;
use crate::facts::Facts;
use crate::units;
use crate::verdict::Judgement;
use notation::visible;

/// Of each list; the rest is in the other files.
const LISTED_MAX: usize = 50;

pub fn render(judgement: &Judgement, facts: &Facts) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}: {}\n", judgement.headline(), prose(&judgement.scenario));
    if judgement.ran.is_some() {
        let _ = writeln!(out, "**{}**\n", prose(judgement.title()));
    }
    let _ = writeln!(out, "> {}\n", prose(&judgement.asks));
    for banner in judgement.banners() {
        let _ = writeln!(out, "**{}**\n", sentence(&banner));
    }
    for reason in judgement.reasons.iter().take(LISTED_MAX) {
        let _ = writeln!(out, "- {}", sentence(reason));
    }
    left_out(&mut out, judgement.reasons.len());
    out.push_str("\nWhat next:\n\n");
    for step in super::next::steps(judgement, facts) {
        let _ = writeln!(out, "- {}", sentence(&step));
    }
    criteria(&mut out, judgement);
    evidence(&mut out, judgement);
    workloads(&mut out, facts);
    commands(&mut out, facts);
    faults(&mut out, facts);
    run(&mut out, facts);
    out
}

fn criteria(out: &mut String, judgement: &Judgement) {
    if judgement.criteria.is_empty() {
        return;
    }
    out.push_str("\n## Criteria\n\n| verdict | criterion | asked | measured | margin | samples |\n|---|---|---|---:|---:|---:|\n");
    for c in judgement.criteria.iter().take(LISTED_MAX) {
        let interval = c.interval_text.as_ref().map(|i| format!(" ({i})")).unwrap_or_default();
        let id = c.requirement.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {}{} | {} | {}{} | {} | {} |",
            c.word(),
            cell(&c.name),
            cell(&id),
            code(&c.pass).replace('|', "\\|"),
            cell(&c.value_text),
            cell(&interval),
            cell(&c.margin_text),
            c.samples_text(),
        );
    }
    left_out(out, judgement.criteria.len());
}

fn evidence(out: &mut String, judgement: &Judgement) {
    out.push_str("\n## Evidence\n\n| verdict | check | wanted | found |\n|---|---|---|---|\n");
    for e in &judgement.evidence {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            e.verdict.word(),
            cell(&e.name),
            cell(&e.wanted),
            cell(&e.found)
        );
    }
}

fn faults(out: &mut String, facts: &Facts) {
    let (rows, more) = super::faults::rows(facts);
    if rows.is_empty() {
        return;
    }
    out.push_str("\n## Faults\n\n| fault | asked | injected | proof | healed | deaths | tasks hit | tasks lost | recovery |\n|---|---|---:|---|---|---:|---:|---:|---:|\n");
    for row in rows {
        let (asked, done) = ([row.name, row.asked, row.injected], [row.proof, row.healed, row.deaths]);
        let cells = [asked, done, [row.hit, row.lost, row.recovery]].concat();
        let _ = writeln!(out, "| {} |", cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | "));
    }
    if more > 0 {
        let _ = writeln!(out, "\n… and {more} more in the run log.");
    }
}

fn workloads(out: &mut String, facts: &Facts) {
    if facts.workloads.is_empty() {
        return;
    }
    out.push_str("\n## Workloads\n\n| workload | weight | what | answered | delivery | task p50 | p99 | max |\n|---|---:|---|---:|---:|---:|---:|---:|\n");
    for workload in facts.workloads.iter().take(LISTED_MAX) {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            cell(&workload.facts.name),
            workload.facts.weight,
            cell(&workload.facts.workload),
            workload_figures(workload).map(|figure: String| cell(&figure)).join(" | ")
        );
    }
    left_out(out, facts.workloads.len());
}

fn commands(out: &mut String, facts: &Facts) {
    let commands = super::commands(facts);
    if commands.is_empty() {
        return;
    }
    out.push_str("\n## Set-up and tear-down\n\n");
    for command in commands.iter().take(LISTED_MAX) {
        let _ = writeln!(out, "- {}", prose(command));
    }
    left_out(out, commands.len());
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
    if facts.load.counts.failed > 0 {
        let _ = writeln!(out, "- failed tasks: {}", super::reasons(&facts.load.counts));
    }
    let _ = writeln!(
        out,
        "- fleet: {} processes ({} coordinators × {} workers{}), {}",
        h.plan.processes,
        h.plan.coordinators,
        h.plan.workers_per_coordinator,
        if h.plan.workers_least.is_some() { ", at most" } else { "" },
        prose(&h.plan.workload)
    );
    let _ = writeln!(
        out,
        "- host: {} CPUs ({}), {}, Linux {}",
        h.host.cpus,
        prose(&h.host.cpu_model),
        units::bytes(h.host.memory_bytes as f64),
        prose(&h.host.kernel)
    );
    let _ = writeln!(out, "- run {}, started {}, seed {}", code(&h.run_id), prose(&h.started_utc), h.seed);
    let _ = writeln!(out, "- again: {}", code(&h.command));
}

fn left_out(out: &mut String, total: usize) {
    if total > LISTED_MAX {
        let _ = writeln!(out, "\n… and {} more in verdict.json.", total - LISTED_MAX);
    }
}

/// One line, of a length that fits the whole into a comment.
fn line(text: &str) -> String {
    const CHARS_MAX: usize = 400;
    let text = visible::line(text);
    let mut out: String = text.chars().take(CHARS_MAX).collect();
    if text.chars().count() > CHARS_MAX {
        out.push('…');
    }
    out
}

/// Text that is no markup.
pub(super) fn prose(text: &str) -> String {
    escaped(&line(text))
}

/// A line as Markdown shows it, whatever is in it.
fn escaped(line: &str) -> String {
    line.replace('\\', "\\\\").replace('`', "\\`").replace('<', "&lt;").replace('>', "&gt;")
}

/// As [`prose`], in a table: a bar would be the cell's border.
pub(super) fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|")
}

/// A table after an empty line: the first row is its head. Nothing without rows.
pub(super) fn table(out: &mut String, rows: &[Vec<String>]) {
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        let before = if at == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{before}| {} |", cells.join(" | "));
        if at == 0 {
            let _ = writeln!(out, "|{}", "---|".repeat(row.len()));
        }
    }
}

/// Prose in which pairs of backticks hold code, as our own sentences do.
fn sentence(text: &str) -> String {
    marked(&line(text))
}

/// As [`sentence`], of a line of any length.
pub(super) fn marked(line: &str) -> String {
    let pieces: Vec<&str> = line.split('`').collect();
    // An odd backtick opens nothing.
    let paired = pieces.len() - usize::from(pieces.len().is_multiple_of(2));
    let mut out = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        match i {
            _ if i >= paired => out.extend(["\\`", escaped(piece).as_str()]),
            _ if i.is_multiple_of(2) || piece.is_empty() => out.push_str(&escaped(piece)),
            _ => out.push_str(&fenced(piece)),
        }
    }
    out
}

/// A code span.
fn code(text: &str) -> String {
    fenced(&line(text))
}

/// With more backticks around it than it has in a row.
fn fenced(line: &str) -> String {
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // Markdown takes one space off either end, where there is one at both.
    let pad = if line.starts_with(['`', ' ']) || line.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_spans_are_longer_than_the_backticks_in_them() {
        assert_eq!(code("a | b"), "`a | b`");
        assert_eq!(code("echo `date`"), "`` echo `date` ``");
        assert_eq!(code("a ``` b"), "````a ``` b````");
        assert_eq!(code("<b>"), "`<b>`");
    }

    #[test]
    fn prose_is_no_markup_and_bars_are_escaped_in_tables_alone() {
        assert_eq!(prose("a <b> `c` | d"), "a &lt;b&gt; \\`c\\` | d");
        assert_eq!(cell("a | b"), "a \\| b");
        assert_eq!(sentence("asked `x < 1s`, <i> | measured"), "asked `x < 1s`, &lt;i&gt; | measured");
        assert_eq!(sentence("one ` alone"), "one \\` alone");
    }
}
