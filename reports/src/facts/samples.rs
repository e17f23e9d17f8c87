//! Sweeps: gauges by figure and role, and whether the sampler did its own work.

use std::collections::BTreeMap;

use super::contention::Use;
use super::distribution::Distribution;
use super::each::{Each, EachSpec};
use super::figure::{Figure, Part, SUMMED};
use super::load::bucket_ns;
use super::scaling::Scaling;
use super::series::{Medians, Series};
use super::spans::Spans;
use super::turnover::Turnover;
use super::typical::{Typical, Typicals};
use crate::runlog::event::{
    AgentExit, AgentId, AgentReplaced, AgentSample, CommandsSample, HostFacts, HostSample, PlanFacts, Role,
    Sample, SampleMissed,
};
use crate::scope::Scope;

/// Times of restarts that are kept: as many as trends have medians.
const RESTARTS_MAX: usize = 1_024;

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

/// Counters as they stand, for each of [`SUMMED`].
type Counts = [u64; SUMMED.len()];

/// Of one process, and of its commands where they were looked for.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    own: Counts,
    commands: Option<Counts>,
}

impl Counters {
    fn of(s: &AgentSample) -> Self {
        let own = SUMMED.each_ref().map(|(_, part)| match part {
            Part::Level(..) => 0,
            Part::Rate(count, ..) => count(s),
        });
        let commands = s.commands.map(|commands| {
            SUMMED.each_ref().map(|(_, part)| match part {
                Part::Rate(_, Some(count), _) => count(&commands),
                Part::Level(..) | Part::Rate(..) => 0,
            })
        });
        Self { own, commands }
    }

    /// What has come since. Nothing of commands that were not looked for before.
    fn since(self, before: Self) -> Self {
        let minus =
            |now: Counts, before: Counts| std::array::from_fn(|at| now[at].saturating_sub(before[at]));
        Self {
            own: minus(self.own, before.own),
            commands: self.commands.zip(before.commands).map(|(now, before)| minus(now, before)),
        }
    }
}

/// Sums over one sweep and one role, in the order of [`SUMMED`].
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    rows: u64,
    /// How many parts should have the figure, and how many have.
    wanted: [u64; SUMMED.len()],
    with: [u64; SUMMED.len()],
    totals: [f64; SUMMED.len()],
    fds_max: f64,
}

impl Sums {
    fn add(&mut self, s: &AgentSample, since: &Counters) {
        self.rows += 1;
        self.fds_max = self.fds_max.max(f64::from(s.fds));
        for (at, (_, part)) in SUMMED.iter().enumerate() {
            self.part(
                at,
                match part {
                    Part::Level(value, _) => value(s),
                    Part::Rate(.., over) => Some(since.own[at] as f64 / over),
                },
            );
        }
    }

    fn add_commands(&mut self, commands: &CommandsSample, since: Option<Counts>) {
        self.rows += 1;
        for (at, (_, part)) in SUMMED.iter().enumerate() {
            match part {
                Part::Level(_, value) => self.part(at, value(commands)),
                Part::Rate(_, Some(_), over) => {
                    self.part(at, Some(since.map_or(0.0, |since| since[at] as f64 / over)));
                }
                Part::Rate(_, None, _) => {}
            }
        }
    }

    fn part(&mut self, at: usize, value: Option<f64>) {
        self.wanted[at] += 1;
        if let Some(value) = value {
            self.with[at] += 1;
            self.totals[at] += value;
        }
    }

    /// `None` if a process lacks the figure: such a sum would read as a fall.
    fn of(&self, at: usize) -> Option<f64> {
        (self.wanted[at] > 0 && self.with[at] == self.wanted[at]).then_some(self.totals[at])
    }
}

#[derive(Debug, Clone)]
pub struct SampleFacts {
    gauges: BTreeMap<(Figure, Scope), Gauge>,
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
    /// Sweeps of the load phase that came when some workers had ended in order, and whose successors were seen before the sweep was over.
    pub sweeps_in_turn: u64,
    turnover: Turnover,
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
    /// Which process each place had in the newest sweep, and its counters.
    counters_before: BTreeMap<AgentId, (u32, Counters)>,
    swept_before: Option<u64>,
    /// CPU time of the host, and what was stolen of it, in the newest sweep.
    host_before: Option<(u64, u64)>,
    /// The same without the stolen and the idle.
    busy_before: Option<(u64, u64)>,
    cpus: f64,
    /// Whether a fault used processors between the newest two sweeps.
    pub(super) is_taken: bool,
    /// Of the load phase, without what a fault took: what others used of the processors, and what was stolen of them.
    untaken: BTreeMap<Figure, Medians>,
    /// What the processors did before the newest sweep, as far as all of it is known, and
    /// no fault took any of it.
    pub(super) used_last: Option<Use>,
    /// Of the load phase: the newest sweep, or the start.
    load_before: Option<u64>,
    /// How many processes there should be.
    pub scaling: Scaling,
    each: Vec<Each>,
    typical: Typicals,
    /// When processes of the fleet were replaced: of many at once, the first.
    pub restarts: Vec<u64>,
    nofile: f64,
    bin_ns: u64,
    bucket_ns: u64,
    pss_bucket_ns: u64,
}

impl SampleFacts {
    pub(super) fn new(plan: &PlanFacts, host: &HostFacts, factor: f64, each: &[EachSpec]) -> Self {
        let whole = plan.warm_up_ns.saturating_add(plan.duration_ns);
        let bucket = bucket_ns(plan.duration_ns, factor);
        let (bucket_ns, pss_bucket_ns) = (bucket.max(plan.sample_every_ns), bucket.max(plan.pss_every_ns));
        let bin_ns = (whole / 600).max(plan.sample_every_ns).max(1_000_000);
        let width = |figure| if figure == Figure::Pss { pss_bucket_ns } else { bucket_ns };
        Self {
            each: each.iter().filter_map(|spec| Each::new(*spec, width(spec.figure))).collect(),
            gauges: BTreeMap::new(),
            sweeps: 0,
            sweeps_with_pss: 0,
            missed: 0,
            missed_why: Vec::new(),
            live_min: None,
            sweeps_short: 0,
            sweeps_in_turn: 0,
            turnover: Turnover::default(),
            live_last: None,
            fleet_pss_last: None,
            gap_max_ns: 0,
            lateness: Distribution::default(),
            cpu_ns: 0,
            took_max_ns: 0,
            saw_harness: false,
            roles: BTreeMap::from([(0, Role::Harness)]),
            counters_before: BTreeMap::new(),
            swept_before: None,
            host_before: None,
            busy_before: None,
            cpus: f64::from(host.cpus.max(1)),
            is_taken: false,
            untaken: BTreeMap::new(),
            used_last: None,
            load_before: None,
            scaling: Scaling::new(plan),
            typical: Typicals::new(bin_ns),
            restarts: Vec::new(),
            nofile: host.nofile_soft as f64,
            bin_ns,
            bucket_ns,
            pss_bucket_ns,
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

    pub(super) fn exit(&mut self, exit: &AgentExit) {
        self.turnover.exit(exit);
    }

    /// A process of the fleet was replaced. Of the times for the plots, those that follow at once, and those after very many, are not kept.
    pub(super) fn replaced(&mut self, new: &AgentReplaced, t_ns: u64) {
        if self.roles.get(&new.agent) == Some(&Role::Worker) {
            self.turnover.replaced(new);
        }
        let is_new = self.restarts.last().is_none_or(|last| t_ns.saturating_sub(*last) >= self.bucket_ns);
        if is_new && self.restarts.len() < RESTARTS_MAX {
            self.restarts.push(t_ns);
        }
    }

    pub fn gauge(&self, figure: Figure, whose: Scope) -> Option<&Gauge> {
        self.gauges.get(&(figure, whose))
    }

    /// Of one process of a role, if its figure was read.
    pub fn typical(&self, figure: Figure, role: Role) -> Option<&Typical> {
        self.typical.get(figure, role)
    }

    /// What others used of the processors, or was stolen of them, between sweeps between which no fault took any.
    pub fn untaken(&self, figure: Figure) -> Option<&Medians> {
        self.untaken.get(&figure)
    }

    /// When the newest sweep began.
    pub(super) fn swept_ns(&self) -> Option<u64> {
        self.swept_before
    }

    /// The figures of single processes, if a criterion asks for them.
    pub fn each(&self, spec: EachSpec) -> Option<&Each> {
        self.each.iter().find(|each| each.spec == spec)
    }

    pub fn gauges(&self) -> impl Iterator<Item = (Figure, Scope, &Gauge)> {
        self.gauges.iter().map(|((figure, whose), gauge)| (*figure, *whose, gauge))
    }

    pub(super) fn push_missed(&mut self, missed: &SampleMissed, spans: &Spans) {
        if spans.contains(missed.due_ns) {
            self.missed += 1;
            if self.missed_why.len() < 5 && !self.missed_why.contains(&missed.reason) {
                self.missed_why.push(missed.reason.clone());
            }
        }
    }

    /// `excused`: so many processes may be missing. `is_taken`: a fault used processors since the sweep before. Whether any
    /// process was missing.
    pub(super) fn push(&mut self, sample: &Sample, spans: &Spans, excused: u32, is_taken: bool) -> bool {
        let t = sample.started_ns;
        let since = spans.contains(t).then(|| spans.since_start(t));
        let seconds = self.swept_before.map(|before| t.saturating_sub(before) as f64 / 1e9);
        let seconds = seconds.filter(|s| *s > 0.0);
        self.swept_before = Some(t);
        self.is_taken = is_taken;
        let in_turn = self.turnover.during(sample);
        let live = sample.live.saturating_add(in_turn);
        self.live_last = Some(live);
        self.typical.push(sample, &self.roles);

        let mut has_pss = false;
        let mut own_cpu = 0.0;
        let mut own_parts = 0;
        for (whose, sums) in self.sums(sample, since).into_iter().filter(|(_, sums)| sums.rows > 0) {
            for (at, (figure, part)) in SUMMED.iter().enumerate() {
                let value = match part {
                    Part::Level(..) => sums.of(at),
                    Part::Rate(..) => sums.of(at).zip(seconds).map(|(sum, s)| sum / s),
                };
                if let Some(value) = value {
                    self.set(*figure, whose, t, since, value);
                    if *figure == Figure::Cpu && matches!(whose, Scope::Fleet | Scope::Harness) {
                        own_cpu += value;
                        own_parts += 1;
                    }
                    if (*figure, whose) == (Figure::Pss, Scope::Fleet) {
                        has_pss = true;
                        self.fleet_pss_last = Some(value);
                    }
                }
            }
            if self.nofile > 0.0 && whose != Scope::Commands {
                self.set(Figure::FdsUse, whose, t, since, sums.fds_max / self.nofile);
            }
            self.saw_harness |= whose == Scope::Harness;
        }
        let host = [
            (Figure::FleetShm, sample.host.fleet_shm_bytes as f64),
            (Figure::HostShm, sample.host.shm_used_bytes as f64),
            (Figure::MemoryAvailable, sample.host.mem_available_kib as f64 * 1024.0),
            (Figure::LoadAverage, sample.host.load1),
            (Figure::Live, f64::from(live)),
        ];
        for (figure, value) in host {
            self.set(figure, Scope::Fleet, t, since, value);
        }
        let used = self.push_use(sample, since, (own_cpu, own_parts == 2));
        self.used_last = used.filter(|_| !is_taken);
        if let Some(seconds) = seconds {
            self.set(Figure::SamplerCost, Scope::Fleet, t, since, sample.cpu_ns as f64 / 1e9 / seconds);
        }
        since.is_some() && self.account(sample, has_pss, (live, excused))
    }

    /// What the processors did, by the fleet and the harness (whether both are known), and by others.
    fn push_use(
        &mut self,
        sample: &Sample,
        since: Option<u64>,
        (own_cpu, is_whole): (f64, bool),
    ) -> Option<Use> {
        let t = sample.started_ns;
        let steal = self.steal(&sample.host);
        let busy = self.busy(&sample.host);
        let others = busy.map(|busy| (busy - own_cpu / self.cpus).clamp(0.0, 1.0));
        for (figure, share) in [(Figure::Steal, steal), (Figure::OthersBusy, others)] {
            let Some(share) = share else { continue };
            self.set(figure, Scope::Fleet, t, since, share);
            if let Some(since) = since.filter(|_| !self.is_taken) {
                let width = self.bucket_ns;
                self.untaken.entry(figure).or_insert_with(|| Medians::new(width)).push(since, share);
            }
        }
        let used = busy.zip(others).zip(steal).filter(|_| is_whole);
        used.map(|((busy, others), steal)| Use { all: busy + steal, others: others + steal })
    }

    /// Since the sweep before; the counters of a host that was restarted meanwhile begin again.
    fn steal(&mut self, host: &HostSample) -> Option<f64> {
        let now = host.cpu_ticks.zip(host.steal_ticks)?;
        let before = self.host_before.replace(now)?;
        let (all, stolen) = (now.0.checked_sub(before.0)?, now.1.checked_sub(before.1)?);
        (all > 0).then(|| (stolen as f64 / all as f64).min(1.0))
    }

    /// Share of the processors' time since the sweep before that some process used.
    fn busy(&mut self, host: &HostSample) -> Option<f64> {
        let (all, stolen) = host.cpu_ticks.zip(host.steal_ticks)?;
        let now = (all, all.saturating_sub(host.idle_ticks?).saturating_sub(stolen));
        let before = self.busy_before.replace(now)?;
        let (all, used) = (now.0.checked_sub(before.0)?, now.1.saturating_sub(before.1));
        (all > 0).then(|| (used as f64 / all as f64).min(1.0))
    }

    /// `live`: with those between two workers.
    fn account(&mut self, sample: &Sample, has_pss: bool, (live, excused): (u32, u32)) -> bool {
        self.sweeps += 1;
        self.sweeps_with_pss += u64::from(has_pss);
        self.live_min = Some(self.live_min.unwrap_or(u32::MAX).min(live));
        let expected = self.scaling.least_at(sample.due_ns);
        // A process may be both excused and followed by another: it counts once.
        let short = live.max(sample.live.saturating_add(excused)) < expected;
        self.sweeps_short += u64::from(short);
        self.sweeps_in_turn += u64::from(live > sample.live);
        self.lateness.record(sample.started_ns.saturating_sub(sample.due_ns));
        self.cpu_ns += sample.cpu_ns;
        self.took_max_ns = self.took_max_ns.max(sample.took_ns);
        if let Some(before) = self.load_before {
            self.gap_max_ns = self.gap_max_ns.max(sample.started_ns.saturating_sub(before));
        }
        self.load_before = Some(sample.started_ns);
        !short && live < expected
    }

    fn sums(&mut self, sample: &Sample, since_load: Option<u64>) -> [(Scope, Sums); Scope::ALL.len()] {
        let mut out = Scope::ALL.map(|whose| (whose, Sums::default()));
        for agent in &sample.agents {
            let since = self.since_before(agent);
            let Some(role) = self.roles.get(&agent.agent).copied() else { continue };
            if let Some(since_ns) = since_load {
                self.each.iter_mut().for_each(|each| each.push(agent, role, since_ns));
            }
            for (whose, sums) in &mut out {
                if whose.includes(role) {
                    sums.add(agent, &since);
                }
                if let Some(commands) = agent.commands.as_ref().filter(|_| whose.includes_commands()) {
                    sums.add_commands(commands, since.commands);
                }
            }
        }
        out
    }

    fn since_before(&mut self, agent: &AgentSample) -> Counters {
        let now = Counters::of(agent);
        let before = self.counters_before.get(&agent.agent).copied();
        let same =
            before.filter(|(incarnation, _)| *incarnation == agent.incarnation).map(|(_, before)| before);
        // Commands that could not be read once are held against what they were before.
        let commands = now.commands.or_else(|| same.and_then(|before| before.commands));
        self.counters_before.insert(agent.agent, (agent.incarnation, Counters { commands, ..now }));
        match (same, before) {
            (Some(before), _) => now.since(before),
            // Another process: all that it has used is new.
            (None, Some(_)) => now,
            (None, None) => Counters::default(),
        }
    }

    fn set(&mut self, figure: Figure, whose: Scope, t_ns: u64, since: Option<u64>, value: f64) {
        let bucket = if figure == Figure::Pss { self.pss_bucket_ns } else { self.bucket_ns };
        let bin = self.bin_ns;
        self.gauges
            .entry((figure, whose))
            .or_insert_with(|| Gauge::new(bin, bucket))
            .push(t_ns, since, value);
    }
}
