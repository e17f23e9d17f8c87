//! The summary for a terminal: plain; the caller colours it, and folds it to the width of the terminal.

use std::fmt::Write;

use super::workload_figures;
use crate::facts::{Counts, Facts};
use crate::units;
use crate::verdict::{Judgement, Verdict};
use notation::visible;

fn workloads(out: &mut String, facts: &Facts) {
    for workload in &facts.workloads {
        let [answered, delivery, p50, p99, max] = workload_figures(workload);
        let _ = writeln!(
            out,
            "  {}: {answered} answered ({delivery}), task time: p50 {p50}, p99 {p99}, max {max}",
            workload.facts.name
        );
    }
}

pub fn render(judgement: &Judgement, facts: &Facts) -> String {
    let mut out = String::new();
    let counts = &facts.load.counts;
    let time = &facts.load.coordination;
    let _ = writeln!(out, "{}  {}", judgement.headline(), judgement.scenario);
    if judgement.ran.is_some() {
        let _ = writeln!(out, "  {}", visible::line(judgement.title()));
    }
    let _ = writeln!(out, "  {}", visible::line(&judgement.asks));
    for banner in judgement.banners() {
        let _ = writeln!(out, "  {}", visible::line(&banner));
    }
    out.push('\n');
    let _ = writeln!(
        out,
        "  {} processes, {} rounds, {} of {} tasks answered ({})",
        units::count(f64::from(facts.header.plan.processes)),
        units::count(counts.rounds as f64),
        units::count(counts.answered as f64),
        units::count(counts.tasks as f64),
        counts.delivery().map_or_else(|| "no delivery".into(), units::percent),
    );
    failed(&mut out, counts);
    let show = |ns: Option<u64>| ns.map_or_else(|| "—".into(), units::nanos);
    let (p50, p99) = (show(time.quantile_ns(0.5)), show(time.supported_quantile_ns(0.99)));
    let _ = writeln!(out, "  coordination time: p50 {p50}, p99 {p99}, max {}", show(time.max_ns()));
    workloads(&mut out, facts);
    if !judgement.criteria.is_empty() {
        out.push_str("\ncriteria\n");
        let width = |f: fn(&crate::verdict::CriterionResult) -> &str| {
            judgement.criteria.iter().map(|c| f(c).chars().count()).max().unwrap_or(0)
        };
        let (name, pass, value) = (width(|c| &c.name), width(|c| &c.pass), width(|c| &c.value_text));
        for c in &judgement.criteria {
            let _ = writeln!(
                out,
                "  {:<12}  {:<name$}  {:<pass$}  {:>value$}  margin {}",
                c.word(),
                c.name,
                c.pass,
                c.value_text,
                c.margin_text
            );
        }
    }
    let held = judgement.evidence.iter().filter(|e| e.verdict == Verdict::Pass).count();
    let _ = writeln!(out, "\nevidence: {held} of {} checks hold", judgement.evidence.len());
    for e in judgement.evidence.iter().filter(|e| e.verdict != Verdict::Pass) {
        let _ =
            writeln!(out, "  {:<12}  {}: {}", e.verdict.word(), e.name, visible::line(&e.wanted_and_found()));
    }
    conclusion(&mut out, judgement, facts);
    out
}

/// Why, and what to do next.
fn conclusion(out: &mut String, judgement: &Judgement, facts: &Facts) {
    out.push('\n');
    for reason in &judgement.reasons {
        let _ = writeln!(out, "{}", visible::line(reason));
    }
    if judgement.verdict != Verdict::Pass {
        for step in super::next::steps(judgement, facts) {
            let _ = writeln!(out, "next: {}", visible::line(&step));
        }
    }
}

fn failed(out: &mut String, counts: &Counts) {
    if counts.failed > 0 {
        let _ = writeln!(out, "  failed: {}", super::reasons(counts));
    }
}
