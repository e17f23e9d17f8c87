//! `report.html`: one file, no network, no script; for a reader who was not there.
//!
//! The template is `templates/report.html`; here is only what it shows, already in words.

use askama::Template;

use super::faults::{self, FaultRow};
use super::plot;
use crate::facts::{Facts, Figure, Gauge, WorkloadLoad};
use crate::runlog::event::{
    AgentExit, Arrivals, Incident, LedgerRow, LoadModel, PlanFacts, Severity, Topology, WorkloadFacts,
};
use crate::scope::Scope;
use crate::units;
use crate::verdict::{Judgement, Verdict};

/// Of lists that may be long.
const LISTED_MAX: usize = 20;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    judgement: &'a Judgement,
    headline: String,
    banners: Vec<Vec<Part>>,
    explained: &'static str,
    reasons: Vec<Vec<Part>>,
    summary: Vec<Fact>,
    plots: Vec<Drawn>,
    harness: Vec<Fact>,
    workloads: Vec<WorkloadLine>,
    commands: Vec<String>,
    ledger: Vec<LedgerLine>,
    deaths: Vec<String>,
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
}

struct LedgerLine {
    name: String,
    end: &'static str,
    cells: Vec<String>,
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

pub fn render(judgement: &Judgement, facts: &Facts) -> String {
    let (faults, faults_more) = faults::rows(facts);
    let page = Page {
        judgement,
        headline: judgement.headline(),
        banners: judgement.banners().iter().map(|b| parts(b)).collect(),
        explained: explained(judgement),
        reasons: judgement.reasons.iter().map(|r| parts(r)).collect(),
        summary: summary(facts),
        plots: plot::all(facts)
            .iter()
            .map(|p| Drawn {
                name: p.name,
                caption: p.caption.clone(),
                title: p.title.clone(),
                svg: p.inline(),
            })
            .collect(),
        harness: harness(facts),
        commands: super::commands(facts),
        workloads: facts.workloads.iter().map(WorkloadLine::of).collect(),
        ledger: ledger(facts),
        deaths: deaths(facts),
        incidents: incidents(facts),
        faults,
        faults_more,
        failures: facts
            .task_failures
            .items
            .iter()
            .take(LISTED_MAX)
            .map(|f| {
                format!("round {}, task {}, {}: {}", f.round, f.task, facts.agent_name(f.worker), f.reason)
            })
            .collect(),
        failures_by_reason: super::reasons(&facts.load.counts),
        failures_more: more(facts.task_failures.total, LISTED_MAX),
        alerts: facts
            .alerts
            .items
            .iter()
            .take(LISTED_MAX)
            .map(|(t, a)| AlertLine {
                at: units::nanos(*t),
                severity: severity(a.severity),
                text: a.text.clone(),
            })
            .collect(),
        alerts_more: more(facts.alerts.total, LISTED_MAX),
        plan: plan(facts),
        host: host(facts),
        provenance: provenance(judgement, facts),
        command: &facts.header.command,
    };
    super::page(&page)
}

fn deaths(facts: &Facts) -> Vec<String> {
    let line = |e: &AgentExit| {
        format!("{} (pid {}) {}, noticed at {}", e.name, e.pid, e.how, units::nanos(e.seen_ns))
    };
    facts.exits_unexpected.items.iter().map(line).collect()
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

fn summary(facts: &Facts) -> Vec<Fact> {
    let counts = &facts.load.counts;
    let coordination = &facts.load.coordination;
    vec![
        fact("processes", n(u64::from(facts.header.plan.processes))),
        fact("rounds", n(counts.rounds)),
        fact("tasks answered", format!("{} of {}", n(counts.answered), n(counts.tasks))),
        fact("delivery", counts.delivery().map_or_else(|| "—".into(), units::percent)),
        fact("coordination p50", time(coordination.quantile_ns(0.5))),
        fact("coordination p99", time(coordination.supported_quantile_ns(0.99))),
        fact("coordination max", time(coordination.max_ns())),
        fact(
            "bus messages",
            facts
                .throughput_messages()
                .map_or_else(|| "—".into(), |r| format!("{}/s", units::count(r.round()))),
        ),
    ]
}

fn harness(facts: &Facts) -> Vec<Fact> {
    let samples = &facts.samples;
    let gauge = |figure, whose| samples.gauge(figure, whose).filter(|g| g.count > 0);
    let mean = |gauge: Option<&Gauge>| gauge.and_then(Gauge::mean).map_or_else(|| "—".into(), units::percent);
    let peak = |gauge: Option<&Gauge>| gauge.map_or_else(|| "—".into(), |g| units::percent(g.max));
    let cpu = gauge(Figure::Cpu, Scope::Harness);
    let memory = gauge(Figure::Rss, Scope::Harness);
    let late = &facts.load.lateness;
    let mut out = vec![
        fact("CPU, mean (of one core)", mean(cpu)),
        fact("CPU, max (of one core)", peak(cpu)),
        fact(
            "memory (RSS), least to greatest",
            memory.map_or_else(
                || "—".into(),
                |g| format!("{} to {}", units::bytes(g.min), units::bytes(g.max)),
            ),
        ),
        fact("rounds started late by, p50 / p99 / max", three(late)),
        fact("sampling, CPU mean (of one core)", mean(gauge(Figure::SamplerCost, Scope::Fleet))),
        fact("sweeps started late by, p50 / p99 / max", three(&samples.lateness)),
        fact("longest sweep", units::nanos(samples.took_max_ns)),
        fact("sweeps in the load phase", format!("{} ({} missed)", n(samples.sweeps), n(samples.missed))),
    ];
    if let Some(shown) = facts.own.shown() {
        let [start, warm, end] = shown.map(|held| held.fds);
        out.push(fact("descriptors, start / after warm-up / end", format!("{start} / {warm} / {end}")));
        let [start, warm, end] = shown.map(|held| held.threads);
        out.push(fact("threads, start / after warm-up / end", format!("{start} / {warm} / {end}")));
        let [start, warm, end] = shown.map(|held| units::bytes(held.anon_bytes as f64));
        out.push(fact("memory (RssAnon), start / after warm-up / end", format!("{start} / {warm} / {end}")));
    }
    if let Some(end) = &facts.end {
        out.push(fact("CPU time, whole run", units::nanos(end.harness_cpu_ns)));
        out.push(fact("memory peak, whole run", units::bytes(end.harness_rss_max_kib as f64 * 1024.0)));
    }
    out
}

fn three(d: &crate::facts::Distribution) -> String {
    format!("{} / {} / {}", time(d.quantile_ns(0.5)), time(d.supported_quantile_ns(0.99)), time(d.max_ns()))
}

fn ledger(facts: &Facts) -> Vec<LedgerLine> {
    let Some(ledger) = &facts.ledger else { return Vec::new() };
    let line = |name: &str, end, row: &LedgerRow, executed: Option<u64>| {
        let figures = [row.accepted, row.answered, row.failed, row.in_flight, row.late, row.duplicates];
        let mut cells: Vec<_> = figures.into_iter().map(n).collect();
        cells.push(executed.map_or_else(String::new, n));
        LedgerLine { name: name.to_owned(), end, cells }
    };
    let mut out = vec![line("all", "client", &ledger.client, None)];
    for c in &ledger.coordinators {
        out.push(line(&c.name, "client", &c.client, None));
        out.push(c.coordinator.as_ref().map_or_else(
            || LedgerLine {
                name: String::new(),
                end: "coordinator",
                cells: vec!["could not be read".into()],
            },
            |own| line("", "coordinator", own, c.executed_by_workers),
        ));
    }
    // They stand in the rounds alone: there they failed, and in the ledgers they did not.
    for (count, name) in [(ledger.refused, "refused by the bus"), (ledger.rejected, "answered incorrectly")] {
        if count > 0 {
            let cells = vec![String::new(), String::new(), n(count)];
            out.push(LedgerLine { name: name.into(), end: "rounds", cells });
        }
    }
    out
}

fn plan(run: &Facts) -> Vec<Fact> {
    let p = &run.header.plan;
    let topology = match p.topology {
        Topology::Flat => "flat",
        Topology::Hybrid => "hybrid",
    };
    let every = units::nanos(p.round_every_ns);
    let load = match (p.load, p.arrivals) {
        (LoadModel::Open, Arrivals::Constant) => format!("open loop: a round every {every}"),
        (LoadModel::Open, Arrivals::Poisson) => {
            format!("open loop: rounds at random (Poisson), one every {every} on average")
        }
        (LoadModel::Closed, _) => "closed loop: a round when the previous one has finished".to_owned(),
    };
    let tasks = p.tasks_per_round.map_or_else(
        || "one for every worker".to_owned(),
        |tasks| format!("{}, each for any worker", n(u64::from(tasks))),
    );
    let mut facts = vec![
        fact(
            "topology",
            format!(
                "{topology}: {} × {} workers, {} processes with the supervisor",
                n(u64::from(p.coordinators)),
                n(u64::from(p.workers_per_coordinator)),
                n(u64::from(p.processes))
            ),
        ),
        fact("workload", p.workload.clone()),
        fact("load", load),
        fact("tasks of a round", tasks),
        fact("warm-up, load", format!("{}, {}", units::nanos(p.warm_up_ns), units::nanos(p.duration_ns))),
        fact("rounds planned", if p.rounds_planned == 0 { "open".into() } else { n(p.rounds_planned) }),
        fact("rounds in flight, at most", n(u64::from(p.rounds_in_flight_max))),
        fact("task time-out", units::nanos(p.task_timeout_ns)),
        fact(
            "sampled every",
            format!("{} (PSS {})", units::nanos(p.sample_every_ns), units::nanos(p.pss_every_ns)),
        ),
        fact("shared memory reserved", units::bytes(p.shm_bytes as f64)),
        fact("open descriptors of the process with the most", n(p.fds_max)),
        fact("launched in", time(run.launch_ns)),
    ];
    facts.extend(size_over_time(p));
    facts
}

/// Where the number of workers changes.
fn size_over_time(p: &PlanFacts) -> Vec<Fact> {
    let workers = |count: u32| n(u64::from(count));
    let Some(least) = p.workers_least else { return Vec::new() };
    let mut facts = Vec::new();
    if let (Some(start), Some(least)) = (p.coordinators_at_start, p.coordinators_least) {
        facts.push(fact("coordinators at the start", n(u64::from(start))));
        let most = n(u64::from(p.coordinators));
        facts.push(fact("coordinators, by load", format!("{} to {most}", n(u64::from(least)))));
    }
    facts.push(fact("workers at the start", workers(p.workers_at_start.unwrap_or(p.places()))));
    if p.stages.is_empty() {
        facts.push(fact("workers, by load", format!("{} to {}", workers(least), workers(p.places()))));
    }
    for stage in &p.stages {
        let over = match stage.over_ns {
            0 => String::new(),
            over_ns => format!(" over {}", units::nanos(over_ns)),
        };
        let pace = match stage.round_every_ns {
            every_ns if every_ns == p.round_every_ns => String::new(),
            every_ns => format!(", a round every {}", units::nanos(every_ns)),
        };
        let (at, many) = (units::nanos(stage.at_ns), workers(stage.workers));
        facts.push(fact("stage", format!("{}: from {at} on {many} workers{over}{pace}", stage.name)));
    }
    facts
}

fn host(facts: &Facts) -> Vec<Fact> {
    let h = &facts.header.host;
    vec![
        fact("fingerprint", h.fingerprint.clone()),
        fact("name", h.hostname.clone()),
        fact("kernel", h.kernel.clone()),
        fact("CPU", format!("{} × {}", h.cpus, h.cpu_model)),
        fact(
            "memory, swap",
            format!("{}, {}", units::bytes(h.memory_bytes as f64), units::bytes(h.swap_bytes as f64)),
        ),
        fact("/dev/shm", format!("{}, {} inodes", units::bytes(h.shm_bytes as f64), n(h.shm_inodes))),
        fact("descriptors, soft and hard limit", format!("{}, {}", n(h.nofile_soft), n(h.nofile_hard))),
        fact("processes, at most", n(h.pids_max)),
        fact("clock", h.clock_source.clone()),
        fact("virtualization", h.virtualization.clone()),
        fact("load at the start (1 min)", format!("{:.2}", h.load1_at_start)),
        fact("boot", h.boot_id.clone()),
    ]
}

fn provenance(judgement: &Judgement, facts: &Facts) -> Vec<Fact> {
    let h = &facts.header;
    let dirty = if h.build.dirty { ", with uncommitted changes" } else { "" };
    let mut out = vec![
        fact("run", judgement.run_id.clone()),
        fact("started", h.started_utc.clone()),
        fact("scenario file", format!("{} (SHA-256 {})", h.scenario.file, h.scenario.sha256)),
        fact("seed", h.seed.to_string()),
        fact(
            "build",
            format!("{} ({}{dirty}), {}, {}", h.build.version, h.build.git, h.build.profile, h.build.rustc),
        ),
        fact("requirements", h.scenario.requirements.join(", ")),
    ];
    if let Some(profile) = &h.scenario.profile {
        out.push(fact("profile", profile.clone()));
    }
    if !h.scenario.overrides.is_empty() {
        out.push(fact("overrides", h.scenario.overrides.join(", ")));
    }
    if let Some(by) = &h.scenario.judged_by {
        out.push(fact("criteria of", format!("{} (SHA-256 {})", by.file, by.sha256)));
    }
    out.push(fact("exit code", format!("{} ({})", judgement.exit.code, judgement.exit.name)));
    out
}
