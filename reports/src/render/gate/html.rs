//! `decision.html`: one file, no network, no script. The decision, its reason and the next step come first.

use askama::Template;

use super::strip::{Strip, strips};
use super::{DEMO, takes};
use crate::gate::decision::{Decision, Step, Weighed};

#[derive(Template)]
#[template(path = "gate.html")]
struct Page<'a> {
    decision: &'a Decision,
    headline: String,
    demo: &'static str,
    reasons: Vec<String>,
    conditions: Vec<String>,
    first: Option<Next<'a>>,
    next: Vec<Next<'a>>,
    evidence: Vec<Shown<'a>>,
}

struct Next<'a> {
    step: &'a Step,
    takes: String,
}

struct Shown<'a> {
    weighed: &'a Weighed,
    strips: Vec<Strip>,
}

impl<'a> Next<'a> {
    fn of(step: &'a Step) -> Self {
        Self { step, takes: takes(step.takes_ns) }
    }
}

/// Without the marks of Markdown.
fn plain(sentences: &[String]) -> Vec<String> {
    sentences.iter().map(|sentence| sentence.replace('`', "")).collect()
}

pub(super) fn render(decision: &Decision) -> String {
    let page = Page {
        decision,
        headline: decision.headline(),
        demo: DEMO,
        reasons: plain(&decision.reasons),
        conditions: plain(&decision.conditions),
        first: decision.first_step().map(Next::of),
        next: decision.next.iter().map(Next::of).collect(),
        evidence: decision
            .evidence
            .iter()
            .map(|weighed| Shown { weighed, strips: strips(weighed) })
            .collect(),
    };
    crate::render::page(&page)
}
