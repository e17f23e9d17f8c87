//! `report.html`: one file, no network, no script; for a reader who was not there.
//!
//! The template is `templates/report.html`; here is only what it shows, already in words.

mod about;
pub(super) mod head;
mod tables;

use askama::Template;

use super::faults::{self, FaultRow};
use super::plot;
use crate::facts::{Facts, WorkloadLoad, deaths};
use crate::runlog::event::{Alert, Incident, Severity, TaskFailed, WorkloadFacts};
use crate::units;
use crate::verdict::{CriterionResult, EvidenceResult, Judgement, Verdict};
use head::Tile;
use tables::LedgerLine;

/// Of lists that may be long.
const LISTED_MAX: usize = 20;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    judgement: &'a Judgement,
    headline: String,
    /// `28 Nov 2026, 19:04 UTC`.
    started: String,
    /// At the foot of a printed page.
    printed: String,
    /// What was run, and on what.
    subtitle: String,
    banners: Vec<Vec<Part>>,
    explained: &'static str,
    reasons: Vec<Vec<Part>>,
    /// What to do next.
    next: Vec<Vec<Part>>,
    tiles: Vec<Tile>,
    /// The gravest first,
    criteria: Vec<&'a CriterionResult>,
    /// and those that hold, where others do not.
    criteria_held: Vec<&'a CriterionResult>,
    evidence: Vec<&'a EvidenceResult>,
    evidence_held: Vec<&'a EvidenceResult>,
    files: Vec<head::File>,
    plots: Vec<Drawn>,
    harness: Vec<Fact>,
    workloads: Vec<WorkloadLine>,
    commands: Vec<String>,
    ledger: Vec<LedgerLine>,
    deaths: Vec<String>,
    every_death: Vec<String>,
    incidents: Vec<String>,
    faults: Vec<FaultRow>,
    faults_more: usize,
    failures: Vec<String>,
    failures_by_reason: String,
    failures_more: String,
    alerts: Vec<AlertLine>,
    alerts_more: String,
    plan: Vec<Fact>,
    host: Vec<Fact>,
    provenance: Vec<Fact>,
    command: &'a str,
}

/// A piece of a sentence; what stood between backticks is code.
struct Part {
    code: bool,
    text: String,
}

struct Fact {
    label: &'static str,
    value: String,
}

struct Drawn {
    name: &'static str,
    caption: String,
    title: String,
    svg: String,
    /// The same with powers of ten upwards.
    log: Option<String>,
}

struct WorkloadLine {
    name: String,
    weight: u32,
    what: String,
    /// Answered, delivery, p50, p99 and greatest time of a task.
    cells: [String; 5],
}

impl WorkloadLine {
    fn of(workload: &WorkloadLoad) -> Self {
        let WorkloadFacts { name, weight, workload: what, .. } = workload.facts.clone();
        Self { name, weight, what, cells: super::workload_figures(workload) }
    }
}

struct AlertLine {
    at: String,
    severity: &'static str,
    text: String,
}

/// To stand beside the log, and to link to it.
pub fn render(judgement: &Judgement, facts: &Facts) -> String {
    draw(judgement, facts, head::files(facts, true))
}

/// To stand in another directory than the log.
pub fn render_apart(judgement: &Judgement, facts: &Facts) -> String {
    draw(judgement, facts, head::files(facts, false))
}

fn draw(judgement: &Judgement, facts: &Facts, files: Vec<head::File>) -> String {
    let (faults, faults_more) = faults::rows(facts);
    let (criteria, criteria_held) = head::criteria(judgement);
    let (evidence_held, evidence) = judgement.evidence.iter().partition(|e| e.verdict == Verdict::Pass);
    let page = Page {
        judgement,
        headline: judgement.headline(),
        banners: judgement.banners().iter().map(|b| parts(b)).collect(),
        explained: explained(judgement),
        reasons: judgement.reasons.iter().map(|r| parts(r)).collect(),
        next: super::next::steps(judgement, facts).iter().map(|s| parts(s)).collect(),
        started: head::date(&judgement.started_utc),
        printed: head::printed(judgement),
        subtitle: head::subtitle(judgement, facts),
        tiles: head::tiles(judgement, facts),
        criteria,
        criteria_held,
        evidence,
        evidence_held,
        files,
        plots: plots(facts),
        harness: about::harness(facts),
        commands: super::commands(facts),
        workloads: facts.workloads.iter().map(WorkloadLine::of).collect(),
        ledger: tables::ledger(facts),
        deaths: deaths::deaths(facts),
        every_death: deaths::every_death(facts),
        incidents: incidents(facts),
        faults,
        faults_more,
        failures: failures(facts),
        failures_by_reason: super::reasons(&facts.load.counts),
        failures_more: more(facts.task_failures.total, LISTED_MAX),
        alerts: alerts(facts),
        alerts_more: more(facts.alerts.total, LISTED_MAX),
        plan: about::plan(facts),
        host: about::host(facts),
        provenance: about::provenance(judgement, facts),
        command: &facts.header.command,
    };
    super::page(&page)
}

fn plots(facts: &Facts) -> Vec<Drawn> {
    let drawn = |plot: plot::Plot| {
        let (svg, log) = (plot.inline(), plot.inline_log());
        Drawn { name: plot.name, caption: plot.caption, title: plot.title, svg, log }
    };
    plot::all(facts).into_iter().map(drawn).collect()
}

fn failures(facts: &Facts) -> Vec<String> {
    let line = |failed: &TaskFailed| {
        let worker = facts.agent_name(failed.worker);
        format!("round {}, task {}, {worker}: {}", failed.round, failed.task, failed.reason)
    };
    facts.task_failures.items.iter().take(LISTED_MAX).map(line).collect()
}

fn alerts(facts: &Facts) -> Vec<AlertLine> {
    let line = |(t, alert): &(u64, Alert)| AlertLine {
        at: units::nanos(*t),
        severity: severity(alert.severity),
        text: alert.text.clone(),
    };
    facts.alerts.items.iter().take(LISTED_MAX).map(line).collect()
}

fn incidents(facts: &Facts) -> Vec<String> {
    let line = |i: &Incident| {
        let at = units::nanos(i.from_ns);
        format!("{}: {} (pid {}) {}, seen from {at} on", severity(i.kind.severity()), i.name, i.pid, i.how)
    };
    facts.incidents.items.iter().map(line).collect()
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Minor => "minor",
        Severity::Critical => "critical",
    }
}

fn explained(judgement: &Judgement) -> &'static str {
    match judgement.verdict {
        Verdict::Pass => "Everything that was asked holds, and the evidence for it is complete.",
        Verdict::Conditional => {
            "What was asked does not hold in full, but within the limits set for a conditional pass."
        }
        Verdict::Inconclusive => {
            "This run does not show whether what was asked holds. It is neither a pass nor a failure: something is missing."
        }
        Verdict::Fail => {
            let asked = judgement.criteria.iter().any(|c| c.verdict == Verdict::Fail && !c.informational);
            let fault = judgement.evidence.iter().any(|e| e.verdict == Verdict::Fail);
            match (asked, fault) {
                (true, true) => {
                    "What was asked does not hold, and the run shows a fault that no criterion excuses."
                }
                (true, false) => "What was asked does not hold.",
                (false, _) => "The run shows a fault that no criterion excuses.",
            }
        }
    }
}

fn parts(sentence: &str) -> Vec<Part> {
    let pieces = sentence.split('`').enumerate();
    pieces.map(|(i, text)| Part { code: i % 2 == 1, text: text.to_owned() }).collect()
}

fn more(total: u64, shown: usize) -> String {
    let left = total.saturating_sub(shown as u64);
    if left == 0 { String::new() } else { format!("… and {} more.", units::count(left as f64)) }
}

fn fact(label: &'static str, value: impl Into<String>) -> Fact {
    Fact { label, value: value.into() }
}

fn n(value: u64) -> String {
    units::count(value as f64)
}

fn time(ns: Option<u64>) -> String {
    ns.map_or_else(|| "—".into(), units::nanos)
}
