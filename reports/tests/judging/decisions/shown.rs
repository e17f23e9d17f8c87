//! Documents of gates as a browser shows them: one of each kind that a reader meets.

use reports::gate::decide::{decide, decide_all};
use reports::gate::plan::*;
use reports::gate::schedule::schedule;
use reports::render::gate::{documents, phases_svg};

use super::outcomes::gate_0;
use super::plans::{later, plan};
use super::{History, green, ran, red, waiver};
use crate::synthetic::Run;

const COVERED: &str = "SF:a.rs\nLF:100\nLH:72\nend_of_record\n";

/// Names of pages, and their HTML.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("gate-go", html(&gate_0(&[("none", true), ("docker", true), ("kvm", true)]), false)),
        ("gate-pivot", html(&gate_0(&[("none", true), ("docker", false), ("kvm", false)]), true)),
        ("gate-waived", html(&waived(), false)),
        ("gate-fail", html(&foreign(), false)),
        ("gate-missing", second()),
        ("phases", calendar()),
    ]
}

fn html(history: &History, demo: bool) -> String {
    let mut plan = plan(vec![history.gate.clone()]);
    plan.demo = demo;
    document(&plan, &history.gate, history)
}

fn document(plan: &Plan, gate: &Gate, history: &History) -> String {
    let decision = decide(plan, gate, &history.inputs());
    documents(&decision).into_iter().find(|(name, _)| *name == "decision.html").unwrap().1
}

/// One waiver serves, another has expired; nine reds are beside one green.
fn waived() -> History {
    let mut history = History::of((10..19).map(red).chain([green(20)]).collect());
    history.gate.waivers = vec![waiver("all delivered", "2026-03-01"), waiver("fast", "2025-03-01")];
    history
}

/// Texts in another direction, with nowhere to break, and with what hides.
fn foreign() -> History {
    let long = "a-name-with-nowhere-to-break-".repeat(6);
    let mut history = History::of(vec![
        ran(12, &Run { overrides: vec!["x".repeat(300)], ..Run::default() }, |_| ()),
        ran(14, &Run { failed: |_| 3, ..Run::default() }, |header| {
            header.host.virtualization.clone_from(&long);
        }),
        red(20),
    ]);
    history.gate.asks = "هل يجيب كل عامل في الوقت المحدد؟ <b>\u{202e}PASS</b>".into();
    history.gate.on_fail.clone_from(&long);
    history.gate.evidence[0].says = "כל המשימות נענו".into();
    history.gate.evidence[0].place = format!("/very/deep{}:12", "/very/deep".repeat(30));
    history.gate.risks[0].mitigation = long;
    history.recipes[0].command = format!("harness run {}", "/very/deep".repeat(40));
    history
}

/// Behind a gate that is not passed, with conditions and with what is missing.
fn second() -> String {
    let mut history = History::of(vec![red(20)]);
    history.lcov = Some(COVERED);
    let mut gate = later();
    gate.evidence.extend(history.gate.evidence.clone());
    let Source::Runs(runs) = &mut gate.evidence[1].source else { unreachable!("it asks for runs") };
    (runs.runs, runs.build) = (100, Whose::This);
    let plan = plan(vec![history.gate.clone(), gate]);
    document(&plan, &plan.gates[1], &history)
}

/// The drawing alone is no page: it stands in one as the page of a project would show it.
fn calendar() -> String {
    let mut history = History::of(vec![green(20)]);
    history.lcov = Some(COVERED);
    let plan = plan(vec![history.gate.clone(), later()]);
    let svg = phases_svg(&schedule(&plan, &decide_all(&plan, &history.inputs())));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Phases</title><meta name=\"color-scheme\" content=\"light dark\"><main><h1>Phases</h1>{svg}</main></html>"
    )
}
