//! What is wrong with a run, so that the figure of one criterion is a given share of its limit.

use super::noise::random;
use crate::synthetic::overlay::{WORKER, agent};
use crate::synthetic::settle::{lost, took};
use crate::synthetic::sweep::memory;
use crate::synthetic::{LAUNCHED_NS, Synthetic, exit};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use reports::criterion::{Aggregation, CriterionPair, MetricId};
use reports::runlog::event::{AgentSample, CriterionSpec, Event, PlanFacts};
use reports::verdict::Check;

/// A defect and the limit of its criterion, in the metric's base unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defect {
    pub kind: DefectKind,
    metric: MetricId,
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefectKind {
    /// Every process grows by this share of itself an hour, or over the load.
    LeakOfAll { over_load: bool },
    /// One worker grows by so much an hour.
    LeakOfOne,
    /// Rounds become slower.
    Slowdown,
    /// This share of the rounds is slow.
    SlowRounds { share: f64 },
    /// Tasks are lost: over the whole load, or in one window of it.
    Losses { window_ns: Option<u64> },
    /// Something happens so many times.
    Events,
    /// The figure has another level.
    Level { floor: bool },
}

impl Defect {
    /// What makes this criterion fail, or why there is nothing of the kind.
    pub fn of(pair: &CriterionPair) -> Result<Self, &'static str> {
        let pass = pair.pass();
        if pass.stretch().is_some() || pass.workload().is_some() || pass.coordinator().is_some() {
            return Err("it is about a part of the tasks or of the run");
        }
        // What is conditional is not a failure yet.
        let limit = pair.conditional().unwrap_or(pass).threshold().value();
        let kind = match (pass.metric().id, pass.aggregation()) {
            (_, Aggregation::Drift) => DefectKind::Slowdown,
            (_, Aggregation::Slope) if !pass.threshold().is_relative() => DefectKind::LeakOfOne,
            (_, Aggregation::Slope | Aggregation::Growth) if pass.is_each() => {
                return Err("no single process is made to grow by a share");
            }
            (_, Aggregation::Slope) => DefectKind::LeakOfAll { over_load: false },
            (_, Aggregation::Growth) => DefectKind::LeakOfAll { over_load: true },
            (MetricId::DeliveryRate, _) => DefectKind::Losses { window_ns: pass.every_ns() },
            (MetricId::CoordinationTime | MetricId::TaskTime, _) if pass.every_ns().is_some() => {
                return Err("no window of it is made slow");
            }
            (MetricId::CoordinationTime | MetricId::TaskTime, Aggregation::Max) => {
                DefectKind::SlowRounds { share: 0.0 }
            }
            (MetricId::CoordinationTime | MetricId::TaskTime, of) => {
                let share =
                    of.quantile().map(|q| (4.0 * (1.0 - q)).min(1.0)).ok_or("it is not a percentile")?;
                DefectKind::SlowRounds { share }
            }
            (MetricId::Incidents | MetricId::DeliveryDuplicates | MetricId::DeliveryFailed, _) => {
                DefectKind::Events
            }
            (
                MetricId::FdsUse | MetricId::HarnessCpu | MetricId::HarnessRss | MetricId::AgentsLive,
                Aggregation::Max | Aggregation::Mean | Aggregation::Min,
            ) => DefectKind::Level { floor: pass.comparator().is_floor() },
            _ => return Err("the model has no defect for this metric"),
        };
        Ok(Self { kind, metric: pass.metric().id, limit })
    }

    /// In words.
    pub fn name(&self) -> &'static str {
        match self.kind {
            DefectKind::LeakOfAll { .. } => "every process grows",
            DefectKind::LeakOfOne => "one worker grows",
            DefectKind::Slowdown => "rounds become slower",
            DefectKind::SlowRounds { .. } => "slow rounds",
            DefectKind::Losses { window_ns: Some(_) } => "tasks are lost in one window",
            DefectKind::Losses { window_ns: None } => "tasks are lost",
            DefectKind::Events => "it happens",
            DefectKind::Level { .. } => "another level",
        }
    }

    /// Whether a criterion or check with this name is about the same fact.
    pub(super) fn is_noticed_by(&self, name: &str, criteria: &[CriterionSpec]) -> bool {
        let own = subject(self.metric);
        let named = criteria.iter().find(|spec| spec.name == name);
        if let Some(spec) = named {
            let pair = CriterionPair::parse(&spec.pass, spec.conditional.as_deref());
            return pair.is_ok_and(|pair| subject(pair.pass().metric().id) == own);
        }
        checks(own).iter().any(|check| check.name() == name)
    }
}

/// What a metric is about: one defect may be seen by all that are about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Memory,
    Descriptors,
    Times,
    Delivery,
    Duplicates,
    Processes,
    Harness,
    Other(MetricId),
}

fn subject(metric: MetricId) -> Subject {
    use MetricId as Id;
    match metric {
        Id::MemoryPss | Id::MemoryRss | Id::MemoryAnon | Id::MemoryVsz => Subject::Memory,
        Id::Fds | Id::FdsUse => Subject::Descriptors,
        Id::CoordinationTime | Id::TaskTime | Id::FirstAnswer | Id::CompletionTime | Id::Silence => {
            Subject::Times
        }
        Id::DeliveryRate | Id::DeliveryFailed | Id::FailuresOther | Id::Timeouts | Id::ThroughputTasks => {
            Subject::Delivery
        }
        Id::DeliveryDuplicates => Subject::Duplicates,
        Id::Incidents | Id::AgentsLive => Subject::Processes,
        Id::HarnessCpu | Id::HarnessRss => Subject::Harness,
        other => Subject::Other(other),
    }
}

fn checks(subject: Subject) -> &'static [Check] {
    match subject {
        Subject::Duplicates => &[Check::CountedOnce],
        Subject::Processes => &[Check::NoDeath, Check::AgentsSeen, Check::PssRead],
        Subject::Harness => &[Check::HarnessDoesNotGrow],
        Subject::Delivery => &[Check::WorkDone],
        Subject::Memory | Subject::Descriptors | Subject::Times | Subject::Other(_) => &[],
    }
}

/// Bends the run so that the figure is `size` times the limit.
pub(super) fn lay(run: &mut Synthetic, defect: Defect, size: f64, seed: u64) {
    let mut random = random(seed ^ 0x5eed);
    let figure = defect.limit * size;
    let plan = run.header().plan.clone();
    match defect.kind {
        DefectKind::LeakOfAll { over_load } => {
            let hours = hours(plan.duration_ns, run);
            let whole = if over_load { figure } else { figure * hours };
            grow(run, &plan, |_, at, row| scale(row, 1.0 + whole * at, defect.metric));
        }
        DefectKind::LeakOfOne => {
            let (hours, leaks) = (hours(plan.duration_ns, run), agent(run, WORKER));
            grow(run, &plan, |id, at, row| {
                if id == leaks {
                    add(row, figure * hours * at, defect.metric);
                }
            });
        }
        DefectKind::Slowdown => slowdown(run, &plan, figure),
        DefectKind::SlowRounds { share } => slow(run, &plan, share, figure, &mut random),
        DefectKind::Losses { window_ns } => lose(run, &plan, defect.limit, (size, window_ns), &mut random),
        DefectKind::Events => happen(run, &plan, defect, size),
        DefectKind::Level { floor } => {
            let figure = if floor { (defect.limit / size).min(f64::from(plan.processes)) } else { figure };
            level(run, defect.metric, figure);
        }
    }
}

/// Of the scenario's time.
fn hours(ns: u64, run: &mut Synthetic) -> f64 {
    ns as f64 / 3.6e12 * run.header().rehearsal.unwrap_or(1.0)
}

/// Each process of the fleet in each sweep, at a share of the load.
fn grow(run: &mut Synthetic, plan: &PlanFacts, bend: impl Fn(u32, f64, &mut AgentSample)) {
    let load_ns = LAUNCHED_NS + plan.warm_up_ns;
    for sample in run.sweeps() {
        let at = sample.due_ns.saturating_sub(load_ns) as f64 / plan.duration_ns as f64;
        for row in sample.agents.iter_mut().filter(|row| row.agent != 0) {
            bend(row.agent, at, row);
        }
    }
}

fn scale(row: &mut AgentSample, factor: f64, metric: MetricId) {
    if matches!(metric, MetricId::Fds) {
        row.fds = (f64::from(row.fds) * factor).round() as u32;
    } else {
        memory(row, |kib| kib * factor);
    }
}

fn add(row: &mut AgentSample, amount: f64, metric: MetricId) {
    if matches!(metric, MetricId::Fds) {
        row.fds += amount.round() as u32;
        return;
    }
    memory(row, |kib| kib + amount / 1024.0);
}

/// From the first tenth of the load to the last: that is what a drift compares.
fn slowdown(run: &mut Synthetic, plan: &PlanFacts, figure: f64) {
    for (number, round) in run.load_rounds() {
        let at = number as f64 / plan.rounds_planned.max(1) as f64;
        let took_ns = (round.finished_ns - round.scheduled_ns) as f64;
        took(round, (took_ns * (1.0 + figure * ((at - 0.05) / 0.9).clamp(0.0, 1.0))) as u64);
    }
    run.settle();
}

fn slow(run: &mut Synthetic, plan: &PlanFacts, share: f64, seconds: f64, random: &mut ChaCha8Rng) {
    let only = random.random_range(0..plan.rounds_planned.max(1));
    for (number, round) in run.load_rounds() {
        let is_slow = if share > 0.0 { random.random_bool(share.min(1.0)) } else { number == only };
        if is_slow {
            took(round, (seconds * 1e9) as u64);
        }
    }
    run.settle();
}

/// So many times more than the limit allows. A limit of all of them allows none: half of one is none.
fn lose(
    run: &mut Synthetic,
    plan: &PlanFacts,
    limit: f64,
    (size, window_ns): (f64, Option<u64>),
    random: &mut ChaCha8Rng,
) {
    let rounds = plan.rounds_planned.max(1);
    let width = window_ns.map_or(rounds, |ns| (ns / plan.round_every_ns.max(1)).clamp(1, rounds));
    let first = random.random_range(0..=rounds - width);
    let share = (1.0 - limit) * size;
    let mut whole = if limit >= 1.0 { size.floor() } else { 0.0 };
    let mut due = 0.0;
    for (number, round) in run.load_rounds() {
        if !(first..first + width).contains(&number) {
            continue;
        }
        due += share * f64::from(round.tasks) + std::mem::take(&mut whole);
        let failed = f64::floor(due);
        due -= failed;
        lost(round, failed as u32, plan);
    }
    run.settle();
}

fn happen(run: &mut Synthetic, plan: &PlanFacts, defect: Defect, size: f64) {
    // No run has more of them than rounds.
    let times = ((defect.limit.max(1.0) * size).floor() as u64).min(plan.rounds_planned);
    if defect.metric == MetricId::Incidents {
        let died_ns = run.middle_ns();
        let workers: Vec<_> =
            run.agents().iter().filter(|agent| agent.name.starts_with("worker/")).cloned().collect();
        for agent in workers.iter().cycle().take(times as usize) {
            run.add(died_ns, Event::AgentExit(exit(agent, died_ns, false)));
        }
        return;
    }
    for (_, round) in run.load_rounds().take(times as usize) {
        if defect.metric == MetricId::DeliveryDuplicates {
            round.duplicates = 1;
        } else {
            lost(round, 1, plan);
        }
    }
    run.settle();
}

fn level(run: &mut Synthetic, metric: MetricId, figure: f64) {
    let nofile = run.header().host.nofile_soft as f64;
    let first = agent(run, WORKER);
    let mut last_ns = 0;
    let mut cpu_us = 1.0;
    for sample in run.sweeps() {
        let passed_us = sample.due_ns.saturating_sub(last_ns) as f64 / 1e3;
        last_ns = sample.due_ns;
        if metric == MetricId::AgentsLive {
            sample.live = figure.floor() as u32;
        }
        for row in &mut sample.agents {
            match metric {
                MetricId::FdsUse if row.agent == first => row.fds = (figure * nofile) as u32,
                MetricId::HarnessCpu if row.agent == 0 => {
                    cpu_us += figure * passed_us;
                    row.cpu_us = cpu_us as u64;
                }
                MetricId::HarnessRss if row.agent == 0 => row.rss_kib = (figure / 1024.0) as u64,
                _ => {}
            }
        }
    }
}
