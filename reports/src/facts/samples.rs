//! Sweeps: gauges by metric and role, and whether the sampler did its own work.

use std::collections::BTreeMap;

use super::load::{Distribution, bucket_ns};
use super::series::{Medians, Series};
use super::spans::Spans;
use crate::criterion::{MetricId, Scope};
use crate::runlog::event::{AgentId, AgentSample, HostFacts, PlanFacts, Role, Sample, SampleMissed};

/// Metrics that are summed over the processes of a role.
const SUMMED: [MetricId; 7] = [
    MetricId::MemoryPss,
    MetricId::MemoryRss,
    MetricId::MemoryAnon,
    MetricId::MemoryVsz,
    MetricId::Fds,
    MetricId::Threads,
    MetricId::Cpu,
];

/// One figure over time; `max` and so on are of the load phase.
#[derive(Debug, Clone)]
pub struct Gauge {
    /// The whole run, for plots.
    pub series: Series,
    /// The load phase, since its start.
    pub medians: Medians,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u64,
}

impl Gauge {
    fn new(bin_ns: u64, bucket_ns: u64) -> Self {
        Self {
            series: Series::new(bin_ns),
            medians: Medians::new(bucket_ns),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            count: 0,
        }
    }

    fn push(&mut self, t_ns: u64, since_load: Option<u64>, value: f64) {
        self.series.push(t_ns, value);
        if let Some(since) = since_load {
            self.medians.push(since, value);
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += value;
            self.count += 1;
        }
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Sums over one sweep and one role.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    agents: u64,
    rss: f64,
    anon: f64,
    vsz: f64,
    fds: f64,
    fds_max: f64,
    threads: f64,
    cpu_s: f64,
    pss: f64,
    pss_agents: u64,
}

impl Sums {
    fn add(&mut self, s: &AgentSample, cpu_us: u64) {
        self.agents += 1;
        self.rss += s.rss_kib as f64 * 1024.0;
        self.anon += s.anon_kib as f64 * 1024.0;
        self.vsz += s.vsz_kib as f64 * 1024.0;
        self.fds += f64::from(s.fds);
        self.fds_max = self.fds_max.max(f64::from(s.fds));
        self.threads += f64::from(s.threads);
        self.cpu_s += cpu_us as f64 / 1e6;
        if let Some(pss) = s.pss_kib {
            self.pss += pss as f64 * 1024.0;
            self.pss_agents += 1;
        }
    }
}

#[derive(Debug, Clone)]
pub struct SampleFacts {
    gauges: BTreeMap<(MetricId, Scope), Gauge>,
    /// Sweeps that began in the load phase.
    pub sweeps: u64,
    pub sweeps_with_pss: u64,
    /// Of the load phase, or without a phase yet.
    pub missed: u64,
    pub missed_why: Vec<String>,
    /// Fewest processes that a sweep of the load phase saw.
    pub live_min: Option<u32>,
    /// Sweeps of the load phase that saw fewer than planned.
    pub sweeps_short: u64,
    pub live_last: Option<u32>,
    pub fleet_pss_last: Option<f64>,
    /// Longest time without a sweep in the load phase.
    pub gap_max_ns: u64,
    pub lateness: Distribution,
    /// CPU time of the sweeps of the load phase, and the longest wall time of one.
    pub cpu_ns: u64,
    pub took_max_ns: u64,
    /// Whether the harness has sampled itself.
    pub saw_harness: bool,
    roles: BTreeMap<AgentId, Role>,
    /// Which process each place had in the newest sweep, and its CPU time.
    cpu_before: BTreeMap<AgentId, (u32, u64)>,
    swept_before: Option<u64>,
    /// Of the load phase: the newest sweep, or the start.
    load_before: Option<u64>,
    processes: u32,
    nofile: f64,
    bin_ns: u64,
    bucket_ns: u64,
    pss_bucket_ns: u64,
}

impl SampleFacts {
    pub(super) fn new(plan: &PlanFacts, host: &HostFacts, factor: f64) -> Self {
        let whole = plan.warm_up_ns.saturating_add(plan.duration_ns);
        let bucket = bucket_ns(plan.duration_ns, factor);
        Self {
            gauges: BTreeMap::new(),
            sweeps: 0,
            sweeps_with_pss: 0,
            missed: 0,
            missed_why: Vec::new(),
            live_min: None,
            sweeps_short: 0,
            live_last: None,
            fleet_pss_last: None,
            gap_max_ns: 0,
            lateness: Distribution::default(),
            cpu_ns: 0,
            took_max_ns: 0,
            saw_harness: false,
            roles: BTreeMap::from([(0, Role::Harness)]),
            cpu_before: BTreeMap::new(),
            swept_before: None,
            load_before: None,
            processes: plan.processes,
            nofile: host.nofile_soft as f64,
            bin_ns: (whole / 600).max(plan.sample_every_ns).max(1_000_000),
            bucket_ns: bucket.max(plan.sample_every_ns),
            pss_bucket_ns: bucket.max(plan.pss_every_ns),
        }
    }

    pub(super) fn begin_load(&mut self, t_ns: u64) {
        self.load_before = Some(t_ns);
    }

    pub(super) fn end_load(&mut self, t_ns: u64) {
        // The time from the last sweep to the end of the load is a gap as well.
        if let Some(before) = self.load_before.take() {
            self.gap_max_ns = self.gap_max_ns.max(t_ns.saturating_sub(before));
        }
    }

    pub(super) fn introduce(&mut self, agent: AgentId, role: Role) {
        self.roles.insert(agent, role);
    }

    pub fn gauge(&self, metric: MetricId, scope: Scope) -> Option<&Gauge> {
        self.gauges.get(&(metric, scope))
    }

    pub(super) fn push_missed(&mut self, missed: &SampleMissed, spans: &Spans) {
        if spans.contains(missed.due_ns) {
            self.missed += 1;
            if self.missed_why.len() < 5 && !self.missed_why.contains(&missed.reason) {
                self.missed_why.push(missed.reason.clone());
            }
        }
    }

    pub(super) fn push(&mut self, sample: &Sample, spans: &Spans) {
        let t = sample.started_ns;
        let since = spans.contains(t).then(|| spans.since_start(t));
        let by_scope = self.sums(sample);
        let seconds = self.swept_before.map(|before| t.saturating_sub(before) as f64 / 1e9);
        self.swept_before = Some(t);
        self.live_last = Some(sample.live);

        let mut has_pss = false;
        for (scope, sums) in by_scope.into_iter().filter(|(_, sums)| sums.agents > 0) {
            // A sum that lacks a process would read as a fall in memory.
            let pss = (sums.pss_agents == sums.agents).then_some(sums.pss);
            let cpu = seconds.filter(|s| *s > 0.0).map(|s| sums.cpu_s / s);
            let values = [
                pss,
                Some(sums.rss),
                Some(sums.anon),
                Some(sums.vsz),
                Some(sums.fds),
                Some(sums.threads),
                cpu,
            ];
            for (metric, value) in SUMMED.into_iter().zip(values) {
                if let Some(value) = value {
                    self.set(metric, scope, t, since, value);
                }
            }
            if self.nofile > 0.0 {
                self.set(MetricId::FdsUse, scope, t, since, sums.fds_max / self.nofile);
            }
            match scope {
                Scope::Fleet => {
                    has_pss = pss.is_some();
                    self.fleet_pss_last = pss.or(self.fleet_pss_last);
                }
                Scope::Harness => {
                    self.saw_harness = true;
                    self.set(MetricId::HarnessRss, Scope::Fleet, t, since, sums.rss);
                    if let Some(cpu) = cpu {
                        self.set(MetricId::HarnessCpu, Scope::Fleet, t, since, cpu);
                    }
                }
                _ => {}
            }
        }
        self.set(MetricId::ShmUsed, Scope::Fleet, t, since, sample.host.fleet_shm_bytes as f64);
        self.set(MetricId::AgentsLive, Scope::Fleet, t, since, f64::from(sample.live));
        if let Some(seconds) = seconds.filter(|s| *s > 0.0) {
            self.set(MetricId::SamplerCost, Scope::Fleet, t, since, sample.cpu_ns as f64 / 1e9 / seconds);
        }
        if since.is_some() {
            self.account(sample, has_pss);
        }
    }

    fn account(&mut self, sample: &Sample, has_pss: bool) {
        self.sweeps += 1;
        self.sweeps_with_pss += u64::from(has_pss);
        self.live_min = Some(self.live_min.unwrap_or(u32::MAX).min(sample.live));
        self.sweeps_short += u64::from(sample.live < self.processes);
        self.lateness.record(sample.started_ns.saturating_sub(sample.due_ns));
        self.cpu_ns += sample.cpu_ns;
        self.took_max_ns = self.took_max_ns.max(sample.took_ns);
        if let Some(before) = self.load_before {
            self.gap_max_ns = self.gap_max_ns.max(sample.started_ns.saturating_sub(before));
        }
        self.load_before = Some(sample.started_ns);
    }

    fn sums(&mut self, sample: &Sample) -> [(Scope, Sums); 5] {
        let mut out = Scope::ALL.map(|scope| (scope, Sums::default()));
        for agent in &sample.agents {
            let before = self.cpu_before.insert(agent.agent, (agent.incarnation, agent.cpu_us));
            let cpu_us = match before {
                Some((incarnation, before)) if incarnation == agent.incarnation => {
                    agent.cpu_us.saturating_sub(before)
                }
                // Another process: all that it has used is new.
                Some(_) => agent.cpu_us,
                None => 0,
            };
            let Some(role) = self.roles.get(&agent.agent) else { continue };
            let own = match role {
                Role::Worker => Scope::Workers,
                Role::Coordinator => Scope::Coordinators,
                Role::Supervisor => Scope::Supervisor,
                Role::Harness => Scope::Harness,
            };
            for (scope, sums) in &mut out {
                if *scope == own || (*scope == Scope::Fleet && own != Scope::Harness) {
                    sums.add(agent, cpu_us);
                }
            }
        }
        out
    }

    fn set(&mut self, metric: MetricId, scope: Scope, t_ns: u64, since: Option<u64>, value: f64) {
        let bucket = if metric == MetricId::MemoryPss { self.pss_bucket_ns } else { self.bucket_ns };
        let bin = self.bin_ns;
        self.gauges
            .entry((metric, scope))
            .or_insert_with(|| Gauge::new(bin, bucket))
            .push(t_ns, since, value);
    }
}
