//! What a criterion's figure is in a run, and how sure that is.
//!
//! [`source`] says for each metric of the catalogue where its figure comes from: a metric that it does not
//! name does not compile. Missing or thin data is no value, and says why; the verdict makes INCONCLUSIVE of it.

mod ask;
mod each;
mod faults;
mod noise;
mod series;
mod strays;

use super::case::real_ns;
use crate::criterion::{Criterion, MetricId as Id};
use crate::facts::balance::{Share, variation};
use crate::facts::{
    Counts, Distribution, Facts, Figure, Gauge, LoadFacts, Medians, Over, Periods, WorkloadLoad,
};
use crate::runlog::event::{Batches, Pool};
use crate::scope::Scope;
use crate::stats::{self, Interval};
use crate::units;

pub(super) use ask::{ask, restarts, trend_points};
pub(super) use noise::round_time;

/// In base units: seconds, bytes, ratios, counts; slopes per hour of the scenario's time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    pub(super) value: Option<f64>,
    pub(super) interval: Option<Interval>,
    /// Values that it rests on.
    pub(super) samples: u64,
    /// Why there is no value, or what to know of it.
    pub(super) note: Option<String>,
    /// Whatever the interval says, it cannot pass.
    pub(super) open: bool,
    /// What the fleet alone is answerable for, where something else may be to blame: it fails only if this fails too, and so
    /// on, where several things may be.
    pub(super) fleets_own: Option<Box<Measured>>,
}

impl Measured {
    fn exact(value: f64, samples: u64) -> Self {
        Self { value: Some(value), interval: None, samples, note: None, open: false, fleets_own: None }
    }

    fn nothing(samples: u64, why: impl Into<String>) -> Self {
        Self { value: None, interval: None, samples, note: Some(why.into()), open: true, fleets_own: None }
    }

    /// With one thing more to know of it.
    fn noting(mut self, note: impl Into<String>) -> Self {
        let note = note.into();
        self.note = Some(self.note.map_or(note.clone(), |before| format!("{before}; {note}")));
        self
    }
}

/// What each value of a distribution is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    Round,
    Task,
    Sweep,
    Firing,
}

/// Where a metric's figure comes from.
pub(super) enum Source<'a> {
    /// Times, in nanoseconds; medians over time where it can drift.
    Times { values: &'a Distribution, medians: Option<&'a Medians>, each: Each },
    /// Absent if no sweep has it.
    Gauge(Option<&'a Gauge>),
    /// Answered tasks over something; `weight` is how much each counts. Of one workload, or of all.
    Answered { over: Over, weight: f64, of: Option<&'a WorkloadLoad> },
    /// So many, among so many that were looked at.
    Count { value: u64, among: u64 },
    /// In words: why the run has no such figure.
    Nothing(String),
    /// One value a run, or why there is none.
    Once(Result<f64, &'static str>),
}

pub(super) fn source<'a>(criterion: &Criterion, facts: &'a Facts) -> Source<'a> {
    let named = criterion.workload();
    let of = named.and_then(|name| facts.workload(name));
    if let Some(number) = criterion.coordinator() {
        return strays::of_coordinator(criterion.metric().id, number, facts);
    }
    if let (Some(name), None) = (named, of) {
        return Source::Nothing(format!("the run has no workload `{name}`"));
    }
    source_of(criterion, facts, of)
}

/// Of the tasks of one workload, or of all.
fn source_of<'a>(criterion: &Criterion, facts: &'a Facts, of: Option<&'a WorkloadLoad>) -> Source<'a> {
    let (load, samples, counts) = (&facts.load, &facts.samples, counts_of(of, facts));
    let scoped = |figure| Source::Gauge(samples.gauge(figure, criterion.scope()));
    match criterion.metric().id {
        Id::CoordinationTime => times(&load.coordination, &load.coordination_medians, Each::Round),
        Id::TaskTime => task_times(of, load),
        Id::Silence => Source::Once(silence(facts)),
        Id::GapTime => Source::Once(Ok(facts.gaps_ns() as f64 / 1e9)),
        Id::DeliveryRate => Source::Answered { over: Over::Tasks, weight: 1.0, of },
        Id::DeliveryLate | Id::DeliveryDuplicates => strays::of(criterion, counts, of.is_some(), facts),
        Id::DeliveryCorrupt => Source::Count { value: counts.corrupt, among: counts.tasks },
        Id::DeliveryFailed => Source::Count { value: counts.failed, among: counts.tasks },
        Id::ThroughputTasks => Source::Answered { over: Over::Time, weight: 1.0, of },
        Id::ThroughputMessages => messages(facts, of),
        Id::MemoryPss => scoped(Figure::Pss),
        Id::MemoryRss => scoped(Figure::Rss),
        Id::MemoryAnon => scoped(Figure::Anon),
        Id::MemoryVsz => scoped(Figure::Vsz),
        Id::Fds => scoped(Figure::Fds),
        Id::FdsUse => scoped(Figure::FdsUse),
        Id::Threads => scoped(Figure::Threads),
        Id::Cpu => scoped(Figure::Cpu),
        Id::SwitchesVoluntary => scoped(Figure::VoluntarySwitches),
        Id::SwitchesInvoluntary => scoped(Figure::InvoluntarySwitches),
        Id::ShmUsed => of_fleet(Figure::FleetShm, facts),
        Id::HostLoad => of_fleet(Figure::LoadAverage, facts),
        Id::HostSteal => of_fleet(Figure::Steal, facts),
        Id::Balance => Source::Once(balance(facts)),
        Id::PoolReuse => Source::Once(pool_reuse(facts)),
        Id::PoolPoisoned => pool_count(facts, |pool| pool.poisoned),
        Id::Retries => pool_count(facts, |pool| pool.retried),
        Id::BatchTasks => batches(facts, |all| all.tasks.mean()),
        Id::BatchAnswers => batches(facts, |all| all.answers.mean()),
        Id::BatchEfficiency => batches(facts, efficiency),
        Id::Timeouts => because(facts, counts.timed_out),
        Id::ExitsNonzero => because(facts, counts.exited),
        Id::FailuresDeaths => because(facts, counts.died),
        Id::FailuresRefused => because(facts, counts.refused),
        Id::FailuresOther => because(facts, counts.other()),
        Id::Incidents => among_agents(facts, facts.exits_unexpected.total),
        Id::IncidentsMinor => incidents_minor(facts),
        Id::RecoveryTime => faults::recovery(&facts.faults),
        Id::DetectionTime => faults::detection(&facts.faults),
        Id::DeathDetection => death_detection(facts),
        Id::ScalingTime => times_of(&facts.resizings, "the number of processes never changed"),
        Id::FaultLoss => faults::loss(&facts.faults),
        Id::FaultDuplicates => faults::duplicates(&facts.faults),
        Id::FaultTasksHit => faults::tasks_hit(facts),
        Id::AgentsLive => of_fleet(Figure::Live, facts),
        Id::FirstAnswer => per_round(&load.first_answer),
        Id::CompletionTime => per_round(&load.completion),
        Id::LoadLateness => per_round(&load.lateness),
        Id::SamplerLateness => sweeps(&samples.lateness),
        Id::SamplerCost => of_fleet(Figure::SamplerCost, facts),
        Id::HarnessCpu => of_harness(Figure::Cpu, facts),
        Id::HarnessRss => of_harness(Figure::Rss, facts),
        Id::LaunchTime => Source::Once(launch(facts)),
        Id::LaunchRatio => Source::Once(launch_ratio(facts)),
    }
}

fn messages<'a>(facts: &Facts, of: Option<&'a WorkloadLoad>) -> Source<'a> {
    Source::Answered { over: Over::Time, weight: f64::from(facts.header.plan.messages_per_task), of }
}

fn times<'a>(values: &'a Distribution, medians: &'a Medians, each: Each) -> Source<'a> {
    Source::Times { values, medians: Some(medians), each }
}

const NOTHING_COUNTED: Source<'static> = Source::Count { value: 0, among: 0 };

/// Failed tasks of one reason. An earlier version did not say why a task failed.
fn because(facts: &Facts, value: u64) -> Source<'_> {
    let counts = &facts.load.counts;
    let is_known = counts.failed == 0 || facts.has(1);
    if is_known { Source::Count { value, among: counts.tasks } } else { NOTHING_COUNTED }
}

fn among_agents(facts: &Facts, value: u64) -> Source<'_> {
    Source::Count { value, among: facts.agents.len() as u64 }
}

/// What an earlier version did not look for, it did not see.
fn incidents_minor(facts: &Facts) -> Source<'_> {
    if facts.has(1) { among_agents(facts, facts.incidents_minor) } else { NOTHING_COUNTED }
}

/// Of the tasks of one workload, or of all.
fn task_times<'a>(of: Option<&'a WorkloadLoad>, load: &'a LoadFacts) -> Source<'a> {
    match of {
        Some(of) => times(&of.task, &of.task_medians, Each::Task),
        None => times(&load.task, &load.task_medians, Each::Task),
    }
}

/// Times that have no drift, one a round.
fn per_round(values: &Distribution) -> Source<'_> {
    Source::Times { values, medians: None, each: Each::Round }
}

/// Times of what need not happen in a run, one each.
fn times_of<'a>(values: &'a Distribution, none: &str) -> Source<'a> {
    match values.count() {
        0 => Source::Nothing(none.to_owned()),
        _ => Source::Times { values, medians: None, each: Each::Firing },
    }
}

/// Of all processes that the run has killed, or of none: what is missing may have been the slowest.
fn death_detection(facts: &Facts) -> Source<'_> {
    let missing = facts.faults.unnoticed();
    if missing > 0 && facts.deaths_noticed.count() > 0 {
        let those = units::things(missing as u64, "process");
        return Source::Nothing(format!(
            "the log does not say when the fleet noticed the death of {those} that the run has killed"
        ));
    }
    times_of(&facts.deaths_noticed, "no death was noticed")
}

fn sweeps(values: &Distribution) -> Source<'_> {
    Source::Times { values, medians: None, each: Each::Sweep }
}

fn launch(facts: &Facts) -> Result<f64, &'static str> {
    facts.launch_ns.map(|ns| ns as f64 / 1e9).ok_or("the fleet never came up")
}

fn of_fleet(figure: Figure, facts: &Facts) -> Source<'_> {
    Source::Gauge(facts.samples.gauge(figure, Scope::Fleet))
}

fn of_harness(figure: Figure, facts: &Facts) -> Source<'_> {
    Source::Gauge(facts.samples.gauge(figure, Scope::Harness))
}

fn silence(facts: &Facts) -> Result<f64, &'static str> {
    let has_rounds = facts.load.counts.rounds > 0;
    has_rounds.then(|| facts.load.fleet_time.silence_max_ns as f64 / 1e9).ok_or("no round in the load phase")
}

fn launch_ratio(facts: &Facts) -> Result<f64, &'static str> {
    let bare = facts.bare_forks_ns.filter(|ns| *ns > 0);
    let bare_ns =
        bare.ok_or("no bare forks were measured: the scenario that ran does not ask for launch.ratio")?;
    launch(facts).map(|seconds| seconds * 1e9 / bare_ns as f64)
}

fn pool_reuse(facts: &Facts) -> Result<f64, &'static str> {
    let pool = pool(facts)?;
    match pool.attempts() {
        0 => Err("the coordinators had no task"),
        all => Ok(pool.hits as f64 / all as f64),
    }
}

fn batches(facts: &Facts, of: fn(Batches) -> Option<f64>) -> Source<'_> {
    let counted = facts.ledger.as_ref().and_then(|ledger| ledger.batches);
    Source::Once(
        counted
            .ok_or("the log has no counts of batches")
            .and_then(|all| of(all).ok_or("no message was sent")),
    )
}

/// The share of all messages that needed no wake-up of their own.
fn efficiency(all: Batches) -> Option<f64> {
    all.tasks.plus(all.answers).mean().map(|mean| 1.0 - 1.0 / mean)
}

fn pool(facts: &Facts) -> Result<Pool, &'static str> {
    facts.ledger.as_ref().and_then(|ledger| ledger.pool).ok_or("the log has no counts of the workers' use")
}

/// Among the attempts at tasks.
fn pool_count(facts: &Facts, of: fn(Pool) -> u64) -> Source<'_> {
    match pool(facts) {
        Ok(pool) => Source::Count { value: of(pool), among: pool.attempts() },
        Err(_) => NOTHING_COUNTED,
    }
}

/// Coefficient of variation of the tasks that the coordinators have answered while none was missing; in logs from before 2.3, of
/// all.
fn balance(facts: &Facts) -> Result<f64, &'static str> {
    let shares: Vec<Share> = match facts.balance.shares() {
        Some(_) if facts.balance.rounds() == 0 => return Err("no round had all coordinators"),
        // One that was never there has no part.
        Some(shares) => {
            let was_there =
                |share: &&Share| share.equal > 0.0 || facts.header.plan.coordinators_least.is_none();
            shares.iter().filter(was_there).copied().collect()
        }
        None => {
            let ledger = facts.ledger.as_ref().ok_or("the log has no ledger")?;
            let done = || ledger.coordinators.iter().map(|row| row.client.answered);
            let equal = done().map(|n| n as f64).sum::<f64>() / done().count().max(1) as f64;
            done().map(|answered| Share { answered, equal }).collect()
        }
    };
    if shares.len() < 2 {
        return Err("there was one coordinator, which shared with no other");
    }
    variation(&shares).ok_or("no task was answered")
}

/// The criterion's figure over what the facts hold so far.
pub(super) fn measure(criterion: &Criterion, facts: &Facts) -> Measured {
    let Some(stretch) = criterion.stretch() else { return over(criterion, facts) };
    match facts.within(stretch) {
        Ok(part) => over(criterion, &part),
        Err(why) => Measured::nothing(0, why),
    }
}

/// Over all that the facts hold.
fn over(criterion: &Criterion, facts: &Facts) -> Measured {
    match source(criterion, facts) {
        Source::Times { values, medians, each } => timed(criterion, (values, medians, each), facts),
        Source::Gauge(gauge) => series::gauge(criterion, gauge, facts),
        Source::Answered { over, weight, of } => match criterion.every_ns() {
            Some(every) => windowed(criterion, (over, weight, of), every, facts),
            None => whole(criterion, (over, weight, of), facts),
        },
        Source::Nothing(why) => Measured::nothing(0, why),
        Source::Count { among: 0, .. } => Measured::nothing(0, "nothing was there to count"),
        Source::Count { value, among } => Measured::exact(value as f64, among),
        Source::Once(Ok(value)) => Measured::exact(value, 1),
        Source::Once(Err(why)) => Measured::nothing(0, why),
    }
}

fn timed(
    criterion: &Criterion,
    (values, medians, each): (&Distribution, Option<&Medians>, Each),
    facts: &Facts,
) -> Measured {
    if let Some(every) = criterion.every_ns() {
        let width = real_ns(every, facts.time_factor());
        let measured = series::worst_window(criterion, each, width, facts);
        let judged = |periods: &Periods| series::of_windows(criterion, periods, width, facts);
        return noise::of_others_in_windows(measured, criterion, (series::timed(each), width), facts, judged);
    }
    let measured = series::times(criterion, values, medians, each, facts);
    let own = &facts.load.fleet_time;
    let measured = if criterion.metric().id == Id::CoordinationTime {
        let fleets = series::times(criterion, &own.times, Some(&own.medians), each, facts);
        noise::of_the_load(measured, fleets, facts)
    } else {
        measured
    };
    let judged = |times: &Distribution| series::times(criterion, times, None, each, facts);
    if each == Each::Firing {
        return noise::of_others_in_recoveries(measured, criterion, facts, judged);
    }
    noise::of_others(measured, criterion, values, facts, judged)
}

/// Of one workload, or of all.
pub(super) fn counts_of<'a>(of: Option<&'a WorkloadLoad>, facts: &'a Facts) -> &'a Counts {
    of.map_or(&facts.load.counts, |of| &of.counts)
}

type Answered<'a> = (Over, f64, Option<&'a WorkloadLoad>);

fn whole(criterion: &Criterion, (over, weight, of): Answered<'_>, facts: &Facts) -> Measured {
    let counts = counts_of(of, facts);
    let value = match over {
        Over::Tasks => counts.delivery(),
        Over::Time => facts.per_second(counts.answered),
    };
    match (value, over) {
        (None, _) => Measured::nothing(0, "no task in the load phase"),
        (Some(value), Over::Time) => Measured::exact(value * weight, counts.tasks),
        (Some(value), Over::Tasks) => Measured {
            interval: share_of(criterion, counts.answered, counts.tasks),
            ..Measured::exact(value * weight, counts.tasks)
        },
    }
}

/// What so many answered tasks say of the share of all that could have been asked. A criterion that wants all of them
/// is about the tasks of the run itself: no number of them shows that none would ever be lost.
fn share_of(criterion: &Criterion, answered: u64, tasks: u64) -> Option<Interval> {
    let wants_all = criterion.threshold().value() >= 1.0;
    (!wants_all).then(|| stats::share_interval(answered, tasks, stats::MISS_TWO))
}

/// The worst window. Ratios leave out windows in which nothing was asked.
fn windowed(
    criterion: &Criterion,
    (over, weight, of): Answered<'_>,
    every_ns: u64,
    facts: &Facts,
) -> Measured {
    let width = real_ns(every_ns, facts.time_factor());
    let kept = of.map_or_else(|| facts.load.windows(over, width), |of| of.windows(over, width));
    let Some(windows) = kept else {
        return Measured::nothing(0, "no windows were kept for this criterion");
    };
    if windows.overflowed() {
        return Measured::nothing(0, "the run has more windows than are kept; take longer ones");
    }
    // While the load goes on only what is complete: the open window may still get better.
    let is_over = facts.load_end_ns().is_some();
    let step = windows.step_ns();
    let length_ns = if is_over { facts.load_ns() } else { facts.load_ns() / step * step };
    let complete = is_over || length_ns >= width;
    let within = if complete { windows.within(length_ns) } else { Vec::new() };
    let within: Vec<Window> = within.into_iter().filter(|w| over == Over::Time || w.1.1 > 0).collect();
    let rate = |window: &Window| rate_of(*window, over) * weight;
    let Some(least) = within.iter().min_by(|a, b| rate(a).total_cmp(&rate(b))) else {
        return Measured::nothing(
            0,
            format!(
                "no window of {} is complete: the load took {}",
                units::nanos(width),
                units::nanos(facts.load_ns())
            ),
        );
    };
    let (value, count) = (rate(least), within.len() as u64);
    let counts = counts_of(of, facts);
    let interval = match over {
        // Where no window lost any, all of them together say how sure that is.
        Over::Tasks if value >= 1.0 => share_of(criterion, counts.answered, counts.tasks),
        Over::Tasks => least_share(criterion, &within),
        Over::Time => None,
    };
    let note = format!("the least of {} windows", units::count(count as f64));
    Measured { interval, ..Measured::exact(value, count) }.noting(note)
}

/// The time that it covers; answered and asked.
type Window = (u64, (u64, u64));

fn rate_of((covered, (part, whole)): Window, over: Over) -> f64 {
    match over {
        Over::Tasks => part as f64 / whole as f64,
        Over::Time => part as f64 / (covered as f64 / 1e9),
    }
}

/// Of the least share, among the windows that lost any.
fn least_share(criterion: &Criterion, windows: &[Window]) -> Option<Interval> {
    let lossy = windows.iter().filter(|(_, (part, whole))| part < whole);
    let ends = lossy.filter_map(|(_, (part, whole))| share_of(criterion, *part, *whole));
    ends.reduce(|a, b| Interval { low: a.low.min(b.low), high: a.high.min(b.high) })
}
