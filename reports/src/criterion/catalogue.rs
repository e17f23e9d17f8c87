//! Everything that a criterion can be about.
//!
//! One table: name, kind, unit, and what it means when it gates. The kind decides which aggregations
//! are legal; the unit decides how a threshold is written.

use crate::scope::Scope;
use crate::stretch::Side;

/// What is measured, apart from whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricId {
    CoordinationTime,
    TaskTime,
    Silence,
    GapTime,
    DeliveryRate,
    DeliveryLate,
    DeliveryDuplicates,
    DeliveryCorrupt,
    DeliveryFailed,
    ThroughputTasks,
    ThroughputMessages,
    MemoryPss,
    MemoryRss,
    MemoryAnon,
    MemoryVsz,
    Fds,
    FdsUse,
    Threads,
    Cpu,
    SwitchesVoluntary,
    SwitchesInvoluntary,
    ShmUsed,
    HostLoad,
    HostSteal,
    Balance,
    PoolReuse,
    PoolPoisoned,
    Retries,
    BatchTasks,
    BatchAnswers,
    BatchEfficiency,
    Timeouts,
    ExitsNonzero,
    FailuresDeaths,
    FailuresRefused,
    FailuresOther,
    Incidents,
    IncidentsMinor,
    RecoveryTime,
    DetectionTime,
    DeathDetection,
    ScalingTime,
    FaultLoss,
    FaultDuplicates,
    FaultTasksHit,
    AgentsLive,
    FirstAnswer,
    CompletionTime,
    LoadLateness,
    SamplerLateness,
    SamplerCost,
    HarnessCpu,
    HarnessRss,
    LaunchTime,
    LaunchRatio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One share over the whole load phase, or the least of its windows.
    Ratio,
    /// Many values; a percentile, `max`, `mean` or `drift` must be named.
    Distribution,
    /// A figure read again and again; `max`, `mean`, `slope`, … must be named.
    Gauge,
    /// One number over the whole load phase.
    Count,
    /// So many a second over the whole load phase, or the least of its windows.
    Rate,
    /// One value a run.
    Value,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Distribution => "distribution",
            Self::Gauge => "gauge",
            Self::Count => "count",
            Self::Rate => "rate",
            Self::Value => "value",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Seconds,
    Bytes,
    Count,
    PerSecond,
    /// Cannot exceed 100 %.
    Share,
    /// Can: CPU as a share of one core.
    OfOneCore,
    /// Can: a spread as a share of its mean, a time as a share of another.
    OfMean,
    Cores,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// For kinds that need none: the whole run, or the worst window.
    Whole,
    P50,
    P90,
    P95,
    P99,
    P999,
    Max,
    Min,
    Mean,
    /// Robust slope over bucket medians, after the warm-up of the series, per hour.
    Slope,
    /// From the first steady bucket to the last, in percent.
    Growth,
    /// Median of the last window over the median of the first steady one, minus 1.
    Drift,
}

/// What the thresholds of an aggregation are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The metric's own unit.
    Level,
    /// An amount in a time.
    Slope,
    /// A share of an earlier level.
    Relative,
}

impl Aggregation {
    pub fn scale(self) -> Scale {
        match self {
            Self::Slope => Scale::Slope,
            Self::Growth | Self::Drift => Scale::Relative,
            Self::Whole
            | Self::P50
            | Self::P90
            | Self::P95
            | Self::P99
            | Self::P999
            | Self::Max
            | Self::Min
            | Self::Mean => Scale::Level,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Slope => "slope",
            Self::Growth => "growth",
            Self::Drift => "drift",
        }
    }

    /// The share of values below it.
    pub fn quantile(self) -> Option<f64> {
        Some(match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
            Self::Whole | Self::Max | Self::Min | Self::Mean | Self::Slope | Self::Growth | Self::Drift => {
                return None;
            }
        })
    }
}

/// What can be asked of many values.
pub(crate) const OF_VALUES: [Aggregation; 8] = [
    Aggregation::P50,
    Aggregation::P90,
    Aggregation::P95,
    Aggregation::P99,
    Aggregation::P999,
    Aggregation::Max,
    Aggregation::Min,
    Aggregation::Mean,
];
const DISTRIBUTION: &[Aggregation] = &OF_VALUES;
const DRIFTING: &[Aggregation] = &[
    Aggregation::P50,
    Aggregation::P90,
    Aggregation::P95,
    Aggregation::P99,
    Aggregation::P999,
    Aggregation::Max,
    Aggregation::Min,
    Aggregation::Mean,
    Aggregation::Drift,
];
const TREND: &[Aggregation] = &[
    Aggregation::Max,
    Aggregation::Mean,
    Aggregation::Min,
    Aggregation::Slope,
    Aggregation::Growth,
    Aggregation::Drift,
];
const EXTREMES: &[Aggregation] = &[Aggregation::Max, Aggregation::Mean];
const RANGE: &[Aggregation] = &[Aggregation::Max, Aggregation::Mean, Aggregation::Min];
const MOST: &[Aggregation] = &[Aggregation::Max];
const WHOLE: &[Aggregation] = &[Aggregation::Whole];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub id: MetricId,
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub aggregations: &'static [Aggregation],
    /// `.workers`, `.commands`, `.coordinators`, `.supervisor` or `.harness` may follow the name: see [`Metric::scopes`].
    pub scoped: bool,
    /// What it means when it gates, in a sentence.
    pub says: &'static str,
}

impl Metric {
    pub fn of(id: MetricId) -> &'static Self {
        CATALOGUE.iter().find(|m| m.id == id).expect("a test holds that the catalogue names every metric")
    }

    /// Needs the sweeps that read PSS.
    pub fn needs_pss(&self) -> bool {
        self.id == MetricId::MemoryPss
    }

    /// Whose figures a criterion may name, beside the whole fleet's. What commands hold is known in sums alone, and
    /// not how often they were switched.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> + use<> {
        let scoped = self.scoped;
        let of_commands = !matches!(
            self.id,
            MetricId::FdsUse | MetricId::SwitchesVoluntary | MetricId::SwitchesInvoluntary
        );
        Scope::ALL
            .into_iter()
            .skip(1)
            .filter(move |scope| scoped && (of_commands || *scope != Scope::Commands))
    }

    /// Can be of the tasks of one workload: `{workload="compile"}` may follow the name.
    pub fn by_workload(&self) -> bool {
        matches!(
            self.id,
            MetricId::TaskTime
                | MetricId::DeliveryRate
                | MetricId::DeliveryLate
                | MetricId::DeliveryDuplicates
                | MetricId::DeliveryCorrupt
                | MetricId::DeliveryFailed
                | MetricId::ThroughputTasks
                | MetricId::ThroughputMessages
        )
    }

    /// Can be of the answers of one coordinator: `{coordinator="3"}` may follow the name.
    pub fn by_coordinator(&self) -> bool {
        matches!(self.id, MetricId::DeliveryLate | MetricId::DeliveryDuplicates)
    }

    /// Whether `each` may follow: the worst process counts then. Of levels that a single process has;
    /// of commands, those of each worker together.
    pub fn has_each(&self, aggregation: Aggregation) -> bool {
        let of_processes = matches!(
            self.id,
            MetricId::MemoryPss
                | MetricId::MemoryRss
                | MetricId::MemoryAnon
                | MetricId::MemoryVsz
                | MetricId::Fds
                | MetricId::Threads
        );
        let asked = matches!(aggregation, Aggregation::Max | Aggregation::Slope | Aggregation::Growth);
        of_processes && asked
    }

    /// Whether `after kill-3` and the like may follow. Not what is known of the whole run alone, nor trends; of what faults
    /// cost, `during` says of which.
    pub fn has_stretch(&self, aggregation: Aggregation, side: Side) -> bool {
        if self.id.is_of_faults() {
            return side == Side::During;
        }
        let of_run = matches!(
            self.id,
            MetricId::PoolReuse
                | MetricId::PoolPoisoned
                | MetricId::Retries
                | MetricId::BatchTasks
                | MetricId::BatchAnswers
                | MetricId::BatchEfficiency
                | MetricId::DeathDetection
                | MetricId::ScalingTime
                | MetricId::LaunchTime
                | MetricId::LaunchRatio
        );
        !of_run && aggregation.scale() == Scale::Level
    }

    /// Whether `every 15m` may follow: the worst of its windows counts then. Of times, those that the log has in windows.
    pub fn has_windows(&self, aggregation: Aggregation) -> bool {
        let of_times = matches!(self.id, MetricId::CoordinationTime | MetricId::TaskTime);
        matches!(self.kind, Kind::Ratio | Kind::Rate) || (of_times && aggregation.scale() == Scale::Level)
    }
}

/// In the order of the documents.
pub fn catalogue() -> &'static [Metric] {
    CATALOGUE
}

/// All names, with scopes.
pub fn names() -> Vec<String> {
    let mut out = Vec::new();
    for m in CATALOGUE {
        out.push(m.name.to_owned());
        out.extend(m.scopes().map(|s| format!("{}.{}", m.name, s.name())));
    }
    // The name that people look for first.
    out.push("agents.deaths".to_owned());
    out
}

const fn metric(
    id: MetricId,
    name: &'static str,
    kind: Kind,
    unit: Unit,
    aggregations: &'static [Aggregation],
    says: &'static str,
) -> Metric {
    Metric { id, name, kind, unit, aggregations, scoped: false, says }
}

const fn scoped(
    id: MetricId,
    name: &'static str,
    unit: Unit,
    aggregations: &'static [Aggregation],
    says: &'static str,
) -> Metric {
    Metric { id, name, kind: Kind::Gauge, unit, aggregations, scoped: true, says }
}

#[rustfmt::skip]
const CATALOGUE: &[Metric] = &[
    metric(MetricId::CoordinationTime, "coordination.time", Kind::Distribution, Unit::Seconds, DRIFTING,
        "from the scheduled start of a round to the moment its last answer or last time-out is recorded at the client"),
    metric(MetricId::TaskTime, "task.time", Kind::Distribution, Unit::Seconds, DRIFTING,
        "from the scheduled start of its round to the answer of a single task; its drift follows the rounds' medians"),
    metric(MetricId::Silence, "silence", Kind::Value, Unit::Seconds, WHOLE,
        "longest time in which the fleet had a round in hand and answered none: what a closed loop hides, which asks nothing while it waits"),
    metric(MetricId::GapTime, "gap.time", Kind::Value, Unit::Seconds, WHOLE,
        "time between the segments of a run that was resumed, summed, from the last checkpoint on if its harness was killed: what the fleet would have done in it is not known; 0 s of a run in one piece"),
    metric(MetricId::DeliveryRate, "delivery.rate", Kind::Ratio, Unit::Share, WHOLE,
        "tasks answered, by unique id, with the right content and within their deadline, over tasks accepted"),
    metric(MetricId::DeliveryLate, "delivery.late", Kind::Count, Unit::Count, WHOLE,
        "answers after their deadline; their tasks are lost"),
    metric(MetricId::DeliveryDuplicates, "delivery.duplicates", Kind::Count, Unit::Count, WHOLE,
        "second answers to a task; never counted as answered"),
    metric(MetricId::DeliveryCorrupt, "delivery.corrupt", Kind::Count, Unit::Count, WHOLE,
        "answers with the wrong content; their tasks are lost"),
    metric(MetricId::DeliveryFailed, "delivery.failed", Kind::Count, Unit::Count, WHOLE,
        "tasks accepted and not answered in time and right"),
    metric(MetricId::Timeouts, "timeouts", Kind::Count, Unit::Count, WHOLE,
        "tasks that failed because they were not done in time: no answer within the time-out, or a command that was ended at it"),
    metric(MetricId::ExitsNonzero, "exits.nonzero", Kind::Count, Unit::Count, WHOLE,
        "commands that ended by themselves with an exit code that is no answer, or were killed by a signal; those ended at their time-out are `timeouts`"),
    metric(MetricId::FailuresDeaths, "failures.deaths", Kind::Count, Unit::Count, WHOLE,
        "tasks that failed because a process of the fleet died or hung with them in hand"),
    metric(MetricId::FailuresRefused, "failures.refused", Kind::Count, Unit::Count, WHOLE,
        "tasks that failed because the bus or their worker did not take them"),
    metric(MetricId::FailuresOther, "failures.other", Kind::Count, Unit::Count, WHOLE,
        "tasks that failed for any other reason; without wrong answers (delivery.corrupt), and answers whose times cannot be true"),
    metric(MetricId::Balance, "balance", Kind::Value, Unit::OfMean, WHOLE,
        "how unevenly the coordinators shared the work: standard deviation of the tasks that each had answered, over their mean (coefficient of variation); over the rounds in which none was missing"),
    metric(MetricId::PoolReuse, "pool.reuse", Kind::Value, Unit::Share, WHOLE,
        "attempts at tasks that found their worker there, over all attempts: for the others a worker had to be started; over the whole run"),
    metric(MetricId::PoolPoisoned, "pool.poisoned", Kind::Count, Unit::Count, WHOLE,
        "workers that were replaced because their state could not be reset after a task, over the whole run"),
    metric(MetricId::Retries, "retries", Kind::Count, Unit::Count, WHOLE,
        "attempts at tasks that failed and were followed by another one, over the whole run"),
    metric(MetricId::BatchTasks, "batch.tasks", Kind::Value, Unit::Count, WHOLE,
        "tasks that the client sent to a coordinator at once, on the average over the whole run: published together, with one wake-up"),
    metric(MetricId::BatchAnswers, "batch.answers", Kind::Value, Unit::Count, WHOLE,
        "answers and failures that a coordinator sent to the client at once, on the average over the whole run: as many as there were while it was busy"),
    metric(MetricId::BatchEfficiency, "batch.efficiency", Kind::Value, Unit::Share, WHOLE,
        "share of these messages, both ways, that needed no publication and no wake-up of their own: 1 - batches / messages, so that batches of ten have 90%"),
    metric(MetricId::ThroughputTasks, "throughput.tasks", Kind::Rate, Unit::PerSecond, WHOLE,
        "answered tasks a second, from the start of the load to its last answer"),
    metric(MetricId::ThroughputMessages, "throughput.messages", Kind::Rate, Unit::PerSecond, WHOLE,
        "bus messages a second: as many for each answered task as the plan says; four in a fleet (client to coordinator to worker, and back)"),
    scoped(MetricId::MemoryPss, "memory.pss", Unit::Bytes, TREND,
        "proportional set size, summed over the processes: shared pages count once"),
    scoped(MetricId::MemoryRss, "memory.rss", Unit::Bytes, TREND,
        "resident set size, summed over the processes: shared pages count once a process"),
    scoped(MetricId::MemoryAnon, "memory.anon", Unit::Bytes, TREND,
        "anonymous resident memory (RssAnon), summed over the processes"),
    scoped(MetricId::MemoryVsz, "memory.vsz", Unit::Bytes, TREND,
        "virtual size, summed over the processes"),
    scoped(MetricId::Fds, "fds", Unit::Count, TREND,
        "open file descriptors, summed over the processes"),
    scoped(MetricId::FdsUse, "fds.use", Unit::Share, MOST,
        "descriptors of the process with the most of them, over its soft limit"),
    scoped(MetricId::Threads, "threads", Unit::Count, TREND,
        "threads, summed over the processes"),
    scoped(MetricId::Cpu, "cpu", Unit::Cores, TREND,
        "CPU time a second, user and system, summed over the processes"),
    scoped(MetricId::SwitchesVoluntary, "switches.voluntary", Unit::PerSecond, EXTREMES,
        "context switches a second of processes that waited for something, summed over the processes: wake-ups"),
    scoped(MetricId::SwitchesInvoluntary, "switches.involuntary", Unit::PerSecond, EXTREMES,
        "context switches a second that the scheduler forced, summed over the processes: the processors are contended"),
    metric(MetricId::ShmUsed, "shm.used", Kind::Gauge, Unit::Bytes, TREND,
        "bytes of the fleet's own directory in /dev/shm"),
    metric(MetricId::HostLoad, "host.load", Kind::Gauge, Unit::Count, EXTREMES,
        "load average of the host over a minute: processes that run or want to, also those of others"),
    metric(MetricId::HostSteal, "host.steal", Kind::Gauge, Unit::Share, EXTREMES,
        "share of the host's CPU time that its hypervisor gave to others between two sweeps"),
    metric(MetricId::Incidents, "incidents", Kind::Count, Unit::Count, WHOLE,
        "agents that ended and were not asked to, over the whole run; also called agents.deaths"),
    metric(MetricId::IncidentsMinor, "incidents.minor", Kind::Count, Unit::Count, WHOLE,
        "processes that were stopped, or suspected of hanging and then went on, and fleets that were scaled, without the run's asking, over the whole run; without a criterion that allows any, one makes the run INCONCLUSIVE"),
    metric(MetricId::RecoveryTime, "recovery.time", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "from the proven effect of a declared fault, or from its proven heal if it lasts, to the moment from which every affected place is attached again and, for 5 s, every task is answered and no round takes longer than a second and three times the longest while no fault is under way; the 5 s are not counted; one value a firing"),
    metric(MetricId::DetectionTime, "detection.time", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "from the injection of a declared fault to the first death or incident in the log that it explains; one value a firing that had any"),
    metric(MetricId::DeathDetection, "death.detection", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "from the end of a process of the fleet, as the kernel shows it to the harness, or from the instant before the run itself killed it, to the moment when the fleet noticed it; one value a death, declared or not. Workers that end with their coordinator are part of its death"),
    metric(MetricId::ScalingTime, "scaling.time", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "from the decision to have another number of processes to the moment when the last of them was there or gone: a stage's order, or, by load, the fleet's own decision after `scale_hold`; one value a change"),
    metric(MetricId::FaultLoss, "fault.loss", Kind::Count, Unit::Count, WHOLE,
        "tasks that failed in rounds that ended between the injection of a declared fault and the recovery from it"),
    metric(MetricId::FaultDuplicates, "fault.duplicates", Kind::Count, Unit::Count, WHOLE,
        "second answers in those rounds; never counted as answered"),
    metric(MetricId::FaultTasksHit, "fault.tasks_hit", Kind::Count, Unit::Count, WHOLE,
        "tasks of those rounds that failed, or were answered by a second or later attempt: what the fault reached, lost or not"),
    metric(MetricId::AgentsLive, "agents.live", Kind::Gauge, Unit::Count, RANGE,
        "fleet processes that a sweep found, each with the right start time, or whose place had its next worker (`recycle_after`) before the sweep was over"),
    metric(MetricId::FirstAnswer, "first.answer", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "from the first task of a round sent to its first answer: how soon a fleet whose workers are there begins to answer; one value a round"),
    metric(MetricId::CompletionTime, "completion.time", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "from the moment a worker had made the last answer of a round, as it says itself, to the moment it was recorded at the client; one value a round of which every task was answered"),
    metric(MetricId::LoadLateness, "load.lateness", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "how late the harness itself was: from a round's scheduled start to its first task sent"),
    metric(MetricId::SamplerLateness, "sampler.lateness", Kind::Distribution, Unit::Seconds, DISTRIBUTION,
        "from the moment a sweep was due to its start"),
    metric(MetricId::SamplerCost, "sampler.cost", Kind::Gauge, Unit::OfOneCore, EXTREMES,
        "CPU time of the sampling thread, as a share of one core"),
    metric(MetricId::HarnessCpu, "harness.cpu", Kind::Gauge, Unit::OfOneCore, EXTREMES,
        "CPU time of the harness itself, as a share of one core"),
    metric(MetricId::HarnessRss, "harness.rss", Kind::Gauge, Unit::Bytes, TREND,
        "resident memory of the harness itself"),
    metric(MetricId::LaunchTime, "launch.time", Kind::Value, Unit::Seconds, WHOLE,
        "from the start of the launch until the last agent had attached to the bus"),
    metric(MetricId::LaunchRatio, "launch.ratio", Kind::Value, Unit::OfMean, WHOLE,
        "launch.time as a share of what as many bare forks took just before, one after the other, until the last was reaped: the median of three times"),
];
