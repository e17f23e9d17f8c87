//! Between which values the figure of a criterion can lie: by what it is, by the plan of the run, and by its host.
//!
//! [`planned`] names every metric: a new one cannot forget that the plan may decide it. Ends are where no sound run can
//! go, and rather too far out than too near: a criterion between them can be met and missed.

use std::fmt::Display;

use super::catalogue::{Aggregation, MetricId, Scale, Unit};
use super::limits::{HostLimits, THREADS_MAX, addresses, descriptors, physical};
use super::{Criterion, Scope};
use crate::units;

/// A number of things that may change during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub least: u32,
    pub most: u32,
}

/// What the plan of a run says of the figures in it. Numbers that it does not bound are infinite.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub coordinators: Sizes,
    /// Of the whole fleet.
    pub workers: Sizes,
    /// Processes that may end in one place, one after the other.
    pub deaths_per_place: f64,
    pub attempts_per_task: f64,
    /// In the load.
    pub tasks: f64,
    /// In the load and its warm-up.
    pub tasks_of_run: f64,
    /// On their way at the same time.
    pub tasks_in_flight: f64,
    /// Answered in a second, over the whole load.
    pub tasks_per_second: f64,
    /// The same over any part of it.
    pub tasks_per_second_at_once: f64,
    pub messages_per_task: f64,
    /// The longest that a run can take.
    pub longest_s: f64,
    /// The longest from the scheduled start of a round to its last answer or time-out.
    pub round_longest_s: f64,
    pub load_s: f64,
    /// The least time that a task takes, by the name of its workload.
    pub task_least_s: Vec<(Option<String>, f64)>,
    /// Whether a worker runs anything else.
    pub has_commands: bool,
}

impl Planned {
    /// Supervisor, coordinators and workers.
    pub(super) fn processes(&self) -> Sizes {
        let of = |coordinators: u32, workers: u32| 1 + coordinators + workers;
        Sizes {
            least: of(self.coordinators.least, self.workers.least),
            most: of(self.coordinators.most, self.workers.most),
        }
    }

    pub(super) fn processes_of(&self, scope: Scope) -> Sizes {
        const ONE: Sizes = Sizes { least: 1, most: 1 };
        match scope {
            Scope::Fleet => self.processes(),
            Scope::Workers => self.workers,
            Scope::Coordinators => self.coordinators,
            Scope::Supervisor | Scope::Harness => ONE,
            // As many as it likes, and at times none.
            Scope::Commands => Sizes { least: 0, most: u32::MAX },
        }
    }

    fn task_least_s(&self, workload: Option<&str>) -> f64 {
        let of = |named: &Option<String>| workload.is_none() || named.as_deref() == workload;
        let least = self.task_least_s.iter().filter(|(named, _)| of(named)).map(|(_, least)| *least);
        least.reduce(f64::min).unwrap_or(0.0)
    }
}

/// What is known of a run before it starts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    pub plan: Option<&'a Planned>,
    pub host: Option<&'a HostLimits>,
}

/// Where a figure can go no further, and a lower-case fragment that says why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub(super) at: f64,
    pub(super) why: String,
}

impl From<(f64, String)> for End {
    fn from((at, why): (f64, String)) -> Self {
        Self { at, why }
    }
}

/// Between which values a figure can lie, both ends included unless `above_low`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    pub(super) low: End,
    pub(super) high: End,
    /// The low end itself is not reached.
    pub(super) above_low: bool,
}

impl Range {
    /// By what the figure is.
    pub(super) fn of(criterion: &Criterion) -> Self {
        let metric = criterion.metric();
        let unbounded = |at| End { at, why: String::new() };
        let low = |at, why: &str| End { at, why: why.to_owned() };
        let (low, high) = match criterion.aggregation().scale() {
            Scale::Slope => (unbounded(f64::NEG_INFINITY), unbounded(f64::INFINITY)),
            // All of it gone.
            Scale::Relative => (low(-1.0, "it is never below -100%"), unbounded(f64::INFINITY)),
            Scale::Level if metric.unit == Unit::Share => {
                (low(0.0, "it lies between 0% and 100%"), low(1.0, "it lies between 0% and 100%"))
            }
            Scale::Level => (
                least(criterion),
                physical(criterion, processes_most(criterion, None))
                    .map_or(unbounded(f64::INFINITY), End::from),
            ),
        };
        // It may be that no worker runs a command.
        let above_low = criterion.aggregation().scale() == Scale::Level
            && metric.id.is_never_zero()
            && criterion.scope() != Scope::Commands;
        let mut range = Self { low, high, above_low };
        if above_low {
            "it is always more than 0".clone_into(&mut range.low.why);
        }
        range
    }

    /// By all that is known before the start.
    pub(super) fn within(criterion: &Criterion, known: Known<'_>) -> Self {
        let mut range = Self::of(criterion);
        if criterion.scope() == Scope::Commands && known.plan.is_some_and(|plan| !plan.has_commands) {
            let nothing = || End { at: 0.0, why: NO_COMMANDS.to_owned() };
            return Self { low: nothing(), high: nothing(), above_low: false };
        }
        if criterion.aggregation().scale() != Scale::Level {
            return range;
        }
        let of_plan = known.plan.map(|plan| planned(criterion, plan)).unwrap_or_default();
        let of_host = known.host.and_then(|host| host.most(criterion, processes_most(criterion, known.plan)));
        if let Some((at, why)) = of_plan.low.filter(|(at, _)| *at > range.low.at) {
            range.low = End { at, why };
            range.above_low = false;
        }
        if let Some(why) = known.plan.and(never_nothing(criterion)).filter(|_| range.low.at <= 0.0) {
            range.above_low = true;
            why.clone_into(&mut range.low.why);
        }
        for (at, why) in of_plan.high.into_iter().chain(of_host) {
            if at < range.high.at {
                range.high = End { at, why };
            }
        }
        range
    }
}

/// The most processes that a figure can cover.
fn processes_most(criterion: &Criterion, plan: Option<&Planned>) -> f64 {
    if criterion.is_each() {
        return 1.0;
    }
    plan.map_or(THREADS_MAX, |plan| f64::from(plan.processes_of(criterion.scope()).most).min(THREADS_MAX))
}

/// The least that a level can be.
fn least(criterion: &Criterion) -> End {
    let of_batches = matches!(criterion.metric().id, MetricId::BatchTasks | MetricId::BatchAnswers);
    let (at, why) = if of_batches { (1.0, "it is never below 1") } else { (0.0, "it is never below 0") };
    End { at, why: why.to_owned() }
}

const NO_ANSWER: &str = "a run without any answer fails anyhow";

/// About all answers of a load: a run has at least one, whatever is asked.
fn answers_only(criterion: &Criterion) -> bool {
    matches!(
        criterion.metric().id,
        MetricId::DeliveryRate | MetricId::ThroughputTasks | MetricId::ThroughputMessages
    ) && criterion.every_ns().is_none()
        && criterion.stretch().is_none()
        && criterion.workload().is_none()
}

/// Why a figure over the whole of a run is more than nothing, if it is.
fn never_nothing(criterion: &Criterion) -> Option<&'static str> {
    if answers_only(criterion) && criterion.metric().id != MetricId::DeliveryRate {
        return Some(NO_ANSWER);
    }
    is_of_work(criterion).then_some("a run that does any work has some of it")
}

/// What costs processors: over a whole load, it has cost something. In steps of 10 ms, a supervisor may have none.
fn is_of_work(criterion: &Criterion) -> bool {
    matches!(
        criterion.metric().id,
        MetricId::Cpu | MetricId::SwitchesVoluntary | MetricId::HarnessCpu | MetricId::SamplerCost
    ) && !matches!(criterion.scope(), Scope::Commands | Scope::Supervisor)
        && criterion.aggregation() != Aggregation::Min
        && criterion.stretch().is_none()
}

/// What a plan says of one figure.
#[derive(Debug, Default)]
struct Bounds {
    low: Option<(f64, String)>,
    high: Option<(f64, String)>,
}

impl Bounds {
    fn most(at: f64, why: impl Into<String>) -> Self {
        Self { low: None, high: Some((at, why.into())) }
    }
}

const NO_COMMANDS: &str = "no worker of this scenario runs a command, so it is always 0";

/// How far the plan lets a level go.
fn planned(criterion: &Criterion, plan: &Planned) -> Bounds {
    use MetricId as Id;
    let tasks = || failed(plan.tasks);
    match criterion.metric().id {
        Id::TaskTime | Id::FirstAnswer => working_time(criterion, plan),
        // A round ends sooner than its tasks take if they fail.
        Id::CoordinationTime | Id::CompletionTime => Bounds { low: None, high: longest_round(plan) },
        Id::Silence
        | Id::RecoveryTime
        | Id::DetectionTime
        | Id::DeathDetection
        | Id::ScalingTime
        | Id::LoadLateness
        | Id::SamplerLateness
        | Id::LaunchTime => Bounds { low: None, high: longest(plan) },
        Id::ExitsNonzero if !plan.has_commands => Bounds::most(0.0, NO_COMMANDS),
        Id::DeliveryLate
        | Id::DeliveryCorrupt
        | Id::ExitsNonzero
        | Id::DeliveryFailed
        | Id::Timeouts
        | Id::FailuresDeaths
        | Id::FailuresRefused
        | Id::FailuresOther => tasks(),
        Id::DeliveryRate => Bounds { low: one_answer(criterion, plan), high: None },
        Id::FaultLoss | Id::FaultTasksHit => at_most(plan.tasks_of_run, "the number of its tasks"),
        Id::DeliveryDuplicates | Id::FaultDuplicates => answers(plan),
        Id::PoolPoisoned => attempts(plan),
        Id::Retries => retries(plan),
        Id::ThroughputTasks => throughput(criterion, plan, 1.0),
        Id::ThroughputMessages => throughput(criterion, plan, plan.messages_per_task),
        Id::BatchTasks => in_flight(plan.tasks_in_flight, |most| most.to_string()),
        Id::BatchAnswers => in_flight(plan.tasks_in_flight * plan.attempts_per_task, |most| most.to_string()),
        Id::BatchEfficiency => {
            in_flight(1.0 - 1.0 / (plan.tasks_in_flight * plan.attempts_per_task), units::percent)
        }
        Id::Balance => balance(plan),
        Id::Threads => Bounds { low: each_has(criterion, plan, 1.0), high: None },
        Id::Fds => fds(criterion, plan),
        Id::MemoryVsz => vsz(criterion, plan),
        Id::MemoryPss | Id::MemoryRss => Bounds { low: pages(criterion, plan), high: None },
        Id::HarnessRss | Id::ShmUsed => Bounds { low: is_greatest(criterion).then(one_page), high: None },
        Id::Incidents => deaths(plan),
        Id::IncidentsMinor => looks(plan),
        Id::AgentsLive => live(criterion, plan),
        Id::LaunchRatio => launch_ratio(plan),
        // Bounded by what they are, or by the host.
        Id::GapTime
        | Id::SamplerCost
        | Id::PoolReuse
        | Id::FdsUse
        | Id::HostSteal
        | Id::MemoryAnon
        | Id::Cpu
        | Id::SwitchesVoluntary
        | Id::SwitchesInvoluntary
        | Id::HostLoad
        | Id::HarnessCpu => Bounds::default(),
    }
}

fn at_most(most: f64, what: &str) -> Bounds {
    said_at_most(most, most, what)
}

/// `said` is the figure as people read it.
fn said_at_most(most: f64, said: impl Display, what: &str) -> Bounds {
    Bounds::most(most, format!("this scenario cannot bring it above {said}, {what}"))
}

/// A run in which none is answered fails, whatever is asked.
fn failed(tasks: f64) -> Bounds {
    let most = (tasks - 1.0).max(0.0);
    at_most(most, "all tasks in its load but one, and a run without any answer fails anyhow")
}

fn one_answer(criterion: &Criterion, plan: &Planned) -> Option<(f64, String)> {
    let tasks = plan.tasks;
    let is_known = answers_only(criterion) && tasks.is_finite() && tasks >= 1.0;
    is_known.then(|| {
        let why =
            format!("{NO_ANSWER}, and one of {} is {}", units::count(tasks), units::percent(1.0 / tasks));
        (1.0 / tasks, why)
    })
}

/// No host starts and reaps a process sooner.
const FORK_LEAST_S: f64 = 1e-5;

/// Of the longest launch to the quickest forks.
fn launch_ratio(plan: &Planned) -> Bounds {
    if !plan.longest_s.is_finite() {
        return Bounds::default();
    }
    let forks_s = f64::from(plan.processes().least) * FORK_LEAST_S;
    let why = format!(
        "no launch takes longer than {}, and no fork less than 10 µs",
        units::seconds(plan.longest_s)
    );
    Bounds::most(plan.longest_s / forks_s, why)
}

fn attempts(plan: &Planned) -> Bounds {
    at_most(plan.tasks_of_run * plan.attempts_per_task, "the number of attempts at its tasks")
}

/// The first attempt at a task is not a retry.
fn retries(plan: &Planned) -> Bounds {
    let most = plan.tasks_of_run * (plan.attempts_per_task - 1.0);
    at_most(most, "the number of further attempts at its tasks that `attempts_max` allows")
}

/// A defective worker may answer twice.
fn answers(plan: &Planned) -> Bounds {
    at_most(2.0 * plan.tasks_of_run * plan.attempts_per_task, "two answers to each attempt at its tasks")
}

/// No process is looked at more often.
fn looks(plan: &Planned) -> Bounds {
    at_most(f64::from(plan.processes().most) * plan.longest_s * 1e3, "one a process and millisecond")
}

/// Workers die with their coordinator, whose successor counts their deaths anew. No process is replaced within a millisecond.
fn deaths(plan: &Planned) -> Bounds {
    let per_place = plan.deaths_per_place.powi(2).min(plan.longest_s * 1e3);
    at_most(f64::from(plan.processes().most) * per_place, "as often as its policy replaces its processes")
}

fn longest(plan: &Planned) -> Option<(f64, String)> {
    let longest = plan.longest_s;
    longest.is_finite().then(|| {
        (longest, format!("this scenario cannot take longer than {} in all", units::seconds(longest)))
    })
}

fn longest_round(plan: &Planned) -> Option<(f64, String)> {
    let most = plan.round_longest_s;
    if most >= plan.longest_s {
        return longest(plan);
    }
    Some((
        most,
        format!(
            "no round of it takes longer than {}: by then its tasks have timed out",
            units::seconds(most)
        ),
    ))
}

/// Of times of tasks that were done.
fn working_time(criterion: &Criterion, plan: &Planned) -> Bounds {
    let least = plan.task_least_s(criterion.workload());
    let why = || format!("no task of it takes its worker less than {}", units::seconds(least));
    Bounds { low: (least > 0.0).then(|| (least, why())), high: longest_round(plan) }
}

fn throughput(criterion: &Criterion, plan: &Planned, weight: f64) -> Bounds {
    let rate = match (criterion.every_ns(), criterion.stretch()) {
        // What has waited may be answered then.
        (_, Some(_)) => plan.tasks_per_second_at_once,
        // The least of the windows is no more than their mean.
        (Some(every_ns), None) => {
            let every_s = every_ns as f64 / 1e9;
            let windows = (plan.load_s / every_s).floor().max(1.0);
            plan.tasks_per_second.max(plan.tasks / (windows * every_s)).min(plan.tasks_per_second_at_once)
        }
        (None, None) => plan.tasks_per_second,
    } * weight;
    if !rate.is_finite() {
        return Bounds::default();
    }
    Bounds::most(rate, format!("this scenario offers no more than {:.1}/s", (rate * 10.0).ceil() / 10.0))
}

fn in_flight(most: f64, said: impl Fn(f64) -> String) -> Bounds {
    if !most.is_finite() {
        return Bounds::default();
    }
    said_at_most(most, said(most), "with as many tasks as it has on their way at the same time")
}

/// Of a coefficient of variation: one of them has done all.
fn balance(plan: &Planned) -> Bounds {
    let Sizes { least, most } = plan.coordinators;
    match most {
        1 => Bounds::most(0.0, "this scenario has one coordinator, which shares with no other"),
        // Of a fleet that is scaled, parts differ.
        _ if least != most => Bounds::default(),
        all => {
            let highest = f64::from(all - 1).sqrt();
            let why = format!(
                "one of {all} coordinators that does everything brings it to {}",
                units::percent(highest)
            );
            Bounds::most(highest, why)
        }
    }
}

/// So much is the least that a process has of it.
fn each_has(criterion: &Criterion, plan: &Planned, least: f64) -> Option<(f64, String)> {
    let scope = criterion.scope();
    if scope == Scope::Commands {
        return None;
    }
    // Where processes die, a sweep may see fewer, and the fewest of all sweeps is no matter of the plan.
    let is_sum = !criterion.is_each() && criterion.aggregation() != Aggregation::Min;
    let processes = if is_sum { plan.processes_of(scope).least } else { 1 };
    let much = if least > 1.0 { units::bytes(least) } else { "one".to_owned() };
    let why = match processes {
        1 => format!("a process has at least {much}"),
        processes => format!("each of at least {processes} processes has at least {much}"),
    };
    Some((f64::from(processes) * least, why))
}

/// The smallest on the machines that are known today.
const PAGE_BYTES: f64 = 4096.0;

/// What is not used may be swapped out: then the greatest figure alone is known to be so much.
fn pages(criterion: &Criterion, plan: &Planned) -> Option<(f64, String)> {
    if is_greatest(criterion) { each_has(criterion, plan, PAGE_BYTES) } else { None }
}

fn one_page() -> (f64, String) {
    (PAGE_BYTES, format!("it takes at least {}", units::bytes(PAGE_BYTES)))
}

fn is_greatest(criterion: &Criterion) -> bool {
    criterion.aggregation() == Aggregation::Max
}

fn fds(criterion: &Criterion, plan: &Planned) -> Bounds {
    let most = descriptors(processes_most(criterion, Some(plan)));
    Bounds { low: each_has(criterion, plan, 1.0), high: Some(most) }
}

fn vsz(criterion: &Criterion, plan: &Planned) -> Bounds {
    let most = addresses(processes_most(criterion, Some(plan)));
    Bounds { low: pages(criterion, plan), high: Some(most) }
}

fn live(criterion: &Criterion, plan: &Planned) -> Bounds {
    let Sizes { least, most } = plan.processes();
    // Where the number changes, the fewest that a sweep may see.
    let high = if criterion.aggregation() == Aggregation::Min { least } else { most };
    Bounds {
        low: Some((1.0, "a run that is left without a process of its fleet is lost anyhow".to_owned())),
        high: Some((f64::from(high), format!("this scenario starts {high} processes"))),
    }
}
