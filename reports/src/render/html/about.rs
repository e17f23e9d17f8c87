//! What a report says of the run beside its verdict: the harness's own cost, the plan, the host, and where it comes from.

use super::{Fact, fact, n, time};
use crate::facts::{Facts, Figure, Gauge};
use crate::runlog::event::{Arrivals, LoadModel, PlanFacts, Topology};
use crate::scope::Scope;
use crate::units;
use crate::verdict::Judgement;

pub(super) fn harness(facts: &Facts) -> Vec<Fact> {
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

pub(super) fn plan(run: &Facts) -> Vec<Fact> {
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

pub(super) fn host(facts: &Facts) -> Vec<Fact> {
    let h = &facts.header.host;
    let limit = |text: String| format!("; limit of the control group: {text}");
    let limited = |text: Option<String>| text.map_or_else(String::new, limit);
    vec![
        fact("fingerprint", h.fingerprint.clone()),
        fact("name", h.hostname.clone()),
        fact("kernel", h.kernel.clone()),
        fact(
            "CPU",
            format!("{} × {}{}", h.cpus, h.cpu_model, limited(h.cgroup_cpus.map(|cpus| format!("{cpus}")))),
        ),
        fact(
            "memory, swap",
            format!(
                "{}, {}{}",
                units::bytes(h.memory_bytes as f64),
                units::bytes(h.swap_bytes as f64),
                limited(h.cgroup_memory_bytes.map(|bytes| units::bytes(bytes as f64)))
            ),
        ),
        fact("/dev/shm", format!("{}, {} inodes", units::bytes(h.shm_bytes as f64), n(h.shm_inodes))),
        fact("descriptors, soft and hard limit", format!("{}, {}", n(h.nofile_soft), n(h.nofile_hard))),
        fact("processes, at most", format!("{}{}", n(h.pids_max), limited(h.cgroup_pids.map(n)))),
        fact("clock", h.clock_source.clone()),
        fact("virtualization", h.virtualization.clone()),
        fact("load at the start (1 min)", format!("{:.2}", h.load1_at_start)),
        fact("boot", h.boot_id.clone()),
    ]
}

pub(super) fn provenance(judgement: &Judgement, facts: &Facts) -> Vec<Fact> {
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
