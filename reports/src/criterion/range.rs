//! Between which values the figure of a criterion can lie: by what it is, by the plan of the run, and by its host.
//!
//! [`planned`] names every metric: a new one cannot forget that the plan may decide it. Ends are where no sound run can
//! go, and rather too far out than too near: a criterion between them can be met and missed. With a label, they are those of
//! the labelled part of the work.

use std::fmt::Display;

use super::catalogue::{Aggregation, MetricId, Scale, Unit};
use super::limits::{HostLimits, THREADS_MAX, addresses, descriptors, physical};
use super::planned::{Planned, Sizes};
use super::{Criterion, Scope};
use crate::units;

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
        let is_level = criterion.aggregation().scale() == Scale::Level;
        // It may be that no worker runs a command.
        let is_never_zero = metric.id.is_never_zero() && criterion.scope() != Scope::Commands;
        let above_low = is_level && is_never_zero && low.at <= 0.0;
        let mut range = Self { low, high, above_low };
        if above_low {
            "it is always more than 0".clone_into(&mut range.low.why);
        }
        range.exclude_nothing(criterion, None);
        range
    }

    /// Of a figure that is never nothing.
    fn exclude_nothing(&mut self, criterion: &Criterion, plan: Option<&Planned>) {
        let why = never_nothing(criterion, plan);
        let why = why.filter(|_| criterion.aggregation().scale() == Scale::Level && self.low.at <= 0.0);
        if let Some(why) = why {
            self.above_low = true;
            why.clone_into(&mut self.low.why);
        }
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
        range.exclude_nothing(criterion, known.plan);
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

/// The least that a level can be, whatever the plan: no figure of a process that lives is less.
fn least(criterion: &Criterion) -> End {
    use MetricId as Id;
    let is_greatest = criterion.aggregation() == Aggregation::Max;
    let of_agents = criterion.scope() != Scope::Commands;
    let id = criterion.metric().id;
    // What is not used may be swapped out: then the greatest figure alone is known to be so much.
    let is_of_pages = is_greatest
        && matches!(id, Id::MemoryPss | Id::MemoryRss | Id::MemoryVsz | Id::HarnessRss | Id::ShmUsed);
    let (at, why) = if matches!(id, Id::BatchTasks | Id::BatchAnswers) {
        (1.0, "it is never below 1")
    } else if id == Id::AgentsLive {
        (1.0, "a run that is left without a process of its fleet is lost anyhow")
    } else if of_agents && matches!(id, Id::Threads | Id::Fds) {
        (1.0, "a process has at least one")
    } else if of_agents && is_of_pages {
        (PAGE_BYTES, "it is at least a page, 4 KiB")
    } else {
        (0.0, "it is never below 0")
    };
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
}

/// Why a figure over the whole of a run is more than nothing, if it is. `plan` may show that a label covers all.
fn never_nothing(criterion: &Criterion, plan: Option<&Planned>) -> Option<&'static str> {
    let is_whole = match plan {
        Some(plan) => plan.is_whole(criterion),
        None => criterion.workload().is_none() && criterion.coordinator().is_none(),
    };
    if answers_only(criterion) && is_whole {
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
    let tasks = || failed(criterion, plan);
    match criterion.metric().id {
        Id::TaskTime | Id::FirstAnswer | Id::CoordinationTime => working_time(criterion, plan),
        Id::CompletionTime => Bounds { low: None, high: longest_round(plan) },
        Id::Silence => silence(criterion, plan),
        Id::RecoveryTime
        | Id::DetectionTime
        | Id::DeathDetection
        | Id::ScalingTime
        | Id::LoadLateness
        | Id::SamplerLateness => Bounds { low: None, high: longest(plan) },
        Id::LaunchTime => launch_time(plan),
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
        Id::DeliveryDuplicates | Id::FaultDuplicates => answers(criterion, plan),
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
        Id::ShmUsed => shm(plan),
        Id::Incidents => deaths(plan),
        Id::IncidentsMinor => looks(plan),
        Id::AgentsLive => live(criterion, plan),
        Id::LaunchRatio => launch_ratio(plan),
        // Bounded by what they are, or by the host.
        Id::GapTime
        | Id::HarnessRss
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

/// What a criterion is about, where that is not all.
fn labelled(criterion: &Criterion) -> String {
    match (criterion.workload(), criterion.coordinator()) {
        (Some(named), _) => format!(" of the workload `{named}`"),
        (None, Some(number)) => format!(" of coordinator {number}"),
        (None, None) => String::new(),
    }
}

/// A run in which none is answered fails, whatever is asked.
fn failed(criterion: &Criterion, plan: &Planned) -> Bounds {
    if plan.is_whole(criterion) {
        let most = (plan.tasks - 1.0).max(0.0);
        return at_most(most, "all tasks in its load but one, and a run without any answer fails anyhow");
    }
    let what = format!("the most tasks{} in its load", labelled(criterion));
    at_most(plan.part(criterion, plan.tasks), &what)
}

fn one_answer(criterion: &Criterion, plan: &Planned) -> Option<(f64, String)> {
    let tasks = plan.tasks;
    let is_known = answers_only(criterion) && plan.is_whole(criterion) && tasks.is_finite() && tasks >= 1.0;
    is_known.then(|| {
        let why =
            format!("{NO_ANSWER}, and one of {} is {}", units::count(tasks), units::percent(1.0 / tasks));
        (1.0 / tasks, why)
    })
}

/// No host starts a process sooner, or starts and reaps one.
const FORK_LEAST_S: f64 = 1e-5;

/// A coordinator starts its workers one after the other, and the supervisor the coordinators.
fn launch_time(plan: &Planned) -> Bounds {
    let (coordinators, workers) = (plan.coordinators, plan.workers);
    let in_turn = coordinators.least.max(workers.least / coordinators.most.max(1));
    let low = f64::from(in_turn) * FORK_LEAST_S;
    let why = format!(
        "{} are started one after the other, and no fork takes less than 10 µs",
        units::counted(in_turn.into(), "process", "processes")
    );
    let longest = plan.launch_longest_s;
    let given_up = format!("a launch that takes longer than {} has failed", units::seconds(longest));
    Bounds { low: Some((low, why)), high: Some((longest, given_up)) }
}

/// Of the longest launch to the quickest forks.
fn launch_ratio(plan: &Planned) -> Bounds {
    let forks_s = f64::from(plan.processes().least) * FORK_LEAST_S;
    let longest = plan.launch_longest_s;
    let why = format!("no launch takes longer than {}, and no fork less than 10 µs", units::seconds(longest));
    Bounds::most(longest / forks_s, why)
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
fn answers(criterion: &Criterion, plan: &Planned) -> Bounds {
    let tasks = plan.part(criterion, plan.tasks_of_run);
    let what = format!("two answers to each attempt at its tasks{}", labelled(criterion));
    at_most(2.0 * tasks * plan.attempts_per_task, &what)
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

/// Of times of tasks that were done, and of rounds in which one was: a round in which none is answered may be over sooner,
/// and such a round is not what is asked for.
fn working_time(criterion: &Criterion, plan: &Planned) -> Bounds {
    let least = plan.task_least_s(criterion.workload());
    let why = || format!("no task of it takes its worker less than {}", units::seconds(least));
    // A round in which no coordinator took a task is over at once, however long the others take.
    let is_least_round =
        criterion.metric().id == MetricId::CoordinationTime && criterion.aggregation() == Aggregation::Min;
    let low = (least > 0.0 && !is_least_round).then(|| (least, why()));
    Bounds { low, high: longest_round(plan) }
}

/// Where rounds overlap, one may end soon after another.
fn silence(criterion: &Criterion, plan: &Planned) -> Bounds {
    let of_round = working_time(criterion, plan);
    Bounds { low: of_round.low.filter(|_| !plan.rounds_overlap), high: of_round.high }
}

fn throughput(criterion: &Criterion, plan: &Planned, weight: f64) -> Bounds {
    let share = if plan.tasks > 0.0 && plan.tasks.is_finite() {
        plan.part(criterion, plan.tasks) / plan.tasks
    } else {
        1.0
    };
    let rate = match (criterion.every_ns(), criterion.stretch()) {
        // What has waited may be answered then.
        (_, Some(_)) => plan.tasks_per_second_at_once,
        // The least of the windows is no more than their mean.
        (Some(every_ns), None) => {
            let every_s = every_ns as f64 / 1e9;
            let windows = (plan.load_s / every_s).floor().max(1.0);
            let offered = plan.tasks_per_second.max(plan.tasks / (windows * every_s)) * share;
            offered.min(plan.tasks_per_second_at_once)
        }
        (None, None) => plan.tasks_per_second * share,
    } * weight;
    let high = rate.is_finite().then(|| {
        let most = (rate * 10.0).ceil() / 10.0;
        (rate, format!("this scenario offers no more than {most:.1}/s{}", labelled(criterion)))
    });
    let has_one = answers_only(criterion) && plan.is_whole(criterion);
    let low = has_one.then(|| {
        let within = units::seconds(plan.last_answer_s);
        let why = format!("{NO_ANSWER}, and the last one comes within {within} of the start of the load");
        (weight / plan.last_answer_s, why)
    });
    Bounds { low, high }
}

fn shm(plan: &Planned) -> Bounds {
    let Some(most) = plan.shm_bytes else { return Bounds::default() };
    Bounds::most(most, format!("the run's own /dev/shm holds {}", units::bytes(most)))
}

fn in_flight(most: f64, said: impl Fn(f64) -> String) -> Bounds {
    if !most.is_finite() {
        return Bounds::default();
    }
    said_at_most(most, said(most), "with as many tasks as it has on their way at the same time")
}

/// Of a coefficient of variation: one of them has done all.
fn balance(plan: &Planned) -> Bounds {
    match plan.coordinators.most {
        1 => Bounds::most(0.0, "this scenario has one coordinator, which shares with no other"),
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
    Bounds { low: None, high: Some((f64::from(high), format!("this scenario starts {high} processes"))) }
}
