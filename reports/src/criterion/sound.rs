//! Whether a criterion can distinguish a good run from a bad one.
//!
//! A criterion that holds of every run is no bar, one that holds of none is no question, and one that a worse run
//! meets sooner than a better one asks for the wrong thing. All three are known before the run: which way is better, and
//! between which bounds its figures lie ([`super::range`]).

use super::catalogue::MetricId;
use super::planned::Planned;
use super::range::{End, Known, Range};
use super::{Comparator, Criterion};

/// Which way a figure is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

impl Better {
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
        }
    }
}

impl MetricId {
    pub fn better(self) -> Better {
        match self {
            Self::DeliveryRate
            | Self::ThroughputTasks
            | Self::ThroughputMessages
            | Self::PoolReuse
            | Self::BatchTasks
            | Self::BatchAnswers
            | Self::BatchEfficiency
            | Self::AgentsLive => Better::Higher,
            Self::CoordinationTime
            | Self::TaskTime
            | Self::DeliveryLate
            | Self::DeliveryDuplicates
            | Self::DeliveryCorrupt
            | Self::DeliveryFailed
            | Self::MemoryPss
            | Self::MemoryRss
            | Self::MemoryAnon
            | Self::MemoryVsz
            | Self::Fds
            | Self::FdsUse
            | Self::Threads
            | Self::Cpu
            | Self::SwitchesVoluntary
            | Self::SwitchesInvoluntary
            | Self::ShmUsed
            | Self::HostLoad
            | Self::HostSteal
            | Self::Balance
            | Self::PoolPoisoned
            | Self::Retries
            | Self::Timeouts
            | Self::ExitsNonzero
            | Self::FailuresDeaths
            | Self::FailuresRefused
            | Self::FailuresOther
            | Self::Incidents
            | Self::IncidentsMinor
            | Self::RecoveryTime
            | Self::DetectionTime
            | Self::DeathDetection
            | Self::ScalingTime
            | Self::FaultLoss
            | Self::FaultDuplicates
            | Self::FaultTasksHit
            | Self::FirstAnswer
            | Self::CompletionTime
            | Self::LoadLateness
            | Self::SamplerLateness
            | Self::SamplerCost
            | Self::HarnessCpu
            | Self::HarnessRss
            | Self::Silence
            | Self::GapTime
            | Self::LaunchTime
            | Self::LaunchRatio => Better::Lower,
        }
    }

    /// Whether only a scenario that declares faults can have it.
    pub fn is_of_faults(self) -> bool {
        matches!(
            self,
            Self::RecoveryTime
                | Self::DetectionTime
                | Self::FaultLoss
                | Self::FaultDuplicates
                | Self::FaultTasksHit
        )
    }

    /// Of a process that lives, or an event that takes time: no such figure is nothing.
    pub(super) fn is_never_zero(self) -> bool {
        match self {
            Self::CoordinationTime
            | Self::TaskTime
            | Self::Silence
            | Self::LaunchTime
            | Self::LaunchRatio
            | Self::FirstAnswer
            | Self::MemoryPss
            | Self::MemoryRss
            | Self::MemoryVsz
            | Self::Fds
            | Self::FdsUse
            | Self::Threads
            | Self::ShmUsed
            | Self::HarnessRss => true,
            Self::GapTime
            | Self::DeliveryRate
            | Self::DeliveryLate
            | Self::DeliveryDuplicates
            | Self::DeliveryCorrupt
            | Self::DeliveryFailed
            | Self::ThroughputTasks
            | Self::ThroughputMessages
            | Self::MemoryAnon
            | Self::Cpu
            | Self::SwitchesVoluntary
            | Self::SwitchesInvoluntary
            | Self::HostLoad
            | Self::HostSteal
            | Self::Balance
            | Self::PoolReuse
            | Self::PoolPoisoned
            | Self::Retries
            | Self::BatchTasks
            | Self::BatchAnswers
            | Self::BatchEfficiency
            | Self::Timeouts
            | Self::ExitsNonzero
            | Self::FailuresDeaths
            | Self::FailuresRefused
            | Self::FailuresOther
            | Self::Incidents
            | Self::IncidentsMinor
            | Self::RecoveryTime
            | Self::DetectionTime
            | Self::DeathDetection
            | Self::ScalingTime
            | Self::FaultLoss
            | Self::FaultDuplicates
            | Self::FaultTasksHit
            | Self::AgentsLive
            | Self::CompletionTime
            | Self::LoadLateness
            | Self::SamplerLateness
            | Self::SamplerCost
            | Self::HarnessCpu => false,
        }
    }
}

impl Range {
    #[expect(clippy::float_cmp, reason = "where both ends are the same number, a figure is that number")]
    fn holds_always(&self, comparator: Comparator, limit: f64) -> bool {
        let (low, high) = (self.low.at, self.high.at);
        match comparator {
            Comparator::AtLeast => limit <= low,
            Comparator::Greater => limit < low || (self.above_low && limit <= low),
            Comparator::AtMost => limit >= high,
            Comparator::Less => limit > high,
            Comparator::Equal => low == high && limit == low && !self.above_low,
        }
    }

    fn holds_never(&self, comparator: Comparator, limit: f64) -> bool {
        let (low, high) = (self.low.at, self.high.at);
        match comparator {
            Comparator::AtLeast => limit > high,
            Comparator::Greater => limit >= high,
            Comparator::AtMost => limit < low || (self.above_low && limit <= low),
            Comparator::Less => limit <= low,
            Comparator::Equal => limit < low || limit > high || (self.above_low && limit <= low),
        }
    }

    /// The end that the threshold is at or beyond.
    fn end(&self, limit: f64) -> &End {
        if limit <= self.low.at && self.low.at < self.high.at { &self.low } else { &self.high }
    }
}

/// Why a criterion cannot gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsound {
    /// A lower-case fragment.
    pub message: String,
    pub hint: String,
}

/// Between which thresholds something lies, in base units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    pub low: f64,
    /// Whether `low` itself is one of them.
    pub has_low: bool,
    pub high: f64,
    pub has_high: bool,
}

impl Criterion {
    /// With which thresholds in the place of its own it could be met and missed, and, unless it is `informational`, would ask
    /// for the better: what [`Self::is_settled`] and [`Self::points_the_wrong_way`] leave, whatever the plan and the host. None
    /// if there is no such threshold.
    pub fn thresholds(&self, informational: bool) -> Option<Thresholds> {
        let range = Range::of(self);
        let (low, high, reaches_low) = (range.low.at, range.high.at, !range.above_low);
        let between = |has_low, has_high| Some(Thresholds { low, has_low, high, has_high });
        let better = self.better();
        let is_wrong = match better {
            Better::Lower => self.comparator.is_floor(),
            Better::Higher => self.comparator.is_ceiling(),
        };
        match self.comparator {
            _ if is_wrong && !informational => None,
            Comparator::AtLeast | Comparator::Less => between(false, true),
            Comparator::Greater | Comparator::AtMost => between(reaches_low, false),
            Comparator::Equal if low >= high => None,
            Comparator::Equal if informational || self.metric == MetricId::AgentsLive => {
                between(reaches_low, true)
            }
            Comparator::Equal => {
                let best = if better == Better::Lower { low } else { high };
                let is_there = best.is_finite() && (better == Better::Higher || reaches_low);
                is_there.then_some(Thresholds { low: best, has_low: true, high: best, has_high: true })
            }
        }
    }

    /// Which way its figure is good.
    pub fn better(&self) -> Better {
        self.metric.better()
    }

    /// Why no run could fail it, or none could pass it, as far as it is known what runs there can be.
    pub fn is_settled(&self, known: Known<'_>) -> Option<Unsound> {
        if let Some((what, hint)) = known.plan.and_then(|plan| plan.lacks(self)) {
            return Some(Unsound { message: format!("the scenario has {what}"), hint });
        }
        let range = Range::within(self, known);
        let limit = self.threshold.value();
        let how = if range.holds_always(self.comparator, limit) {
            "holds of every run"
        } else if range.holds_never(self.comparator, limit) {
            "can never hold"
        } else {
            return self.asks_for_losses(known.plan);
        };
        let message = format!("`{self}` {how}: {}", range.end(limit).why);
        Some(Unsound { message, hint: self.rightly(&range) })
    }

    /// So many agents and no more, where there are more unless some are lost.
    fn asks_for_losses(&self, plan: Option<&Planned>) -> Option<Unsound> {
        let least = f64::from(plan?.processes().least);
        let limit = self.threshold.value();
        if self.metric != MetricId::AgentsLive || self.comparator != Comparator::Equal || limit >= least {
            return None;
        }
        let message = format!(
            "`{self}` can never hold of a run that loses none: this scenario starts {least} processes"
        );
        Some(Unsound { message, hint: self.rightly(&Range::within(self, Known { plan, host: None })) })
    }

    /// Why a worse run would meet it sooner than a better one.
    pub fn points_the_wrong_way(&self) -> Option<Unsound> {
        let better = self.better();
        let is_wrong = match better {
            Better::Lower => self.comparator.is_floor(),
            Better::Higher => self.comparator.is_ceiling(),
        };
        if is_wrong {
            let message = format!(
                "`{self}` points the wrong way: of `{}`, {} is better",
                self.metric_name(),
                better.name()
            );
            let hint = format!(
                "{}; or add `informational = true` to show it unjudged",
                self.rightly(&Range::of(self))
            );
            return Some(Unsound { message, hint });
        }
        if self.comparator == Comparator::Equal && !self.asks_for_the_best() {
            let message = format!("`{self}` fails runs that are better than what it asks for");
            return Some(Unsound { message, hint: self.rightly(&Range::of(self)) });
        }
        None
    }

    /// `== 0` of what should be nothing; `== 100%` of what should be all; as many agents as were started.
    #[expect(clippy::float_cmp, reason = "thresholds are parsed from text: 0 is 0, and 100% is 1")]
    fn asks_for_the_best(&self) -> bool {
        let range = Range::of(self);
        let limit = self.threshold.value();
        match self.better() {
            Better::Lower => limit == range.low.at,
            Better::Higher => limit == range.high.at || self.metric == MetricId::AgentsLive,
        }
    }

    /// The same question, asked the right way.
    fn rightly(&self, range: &Range) -> String {
        let comparator = match self.better() {
            Better::Lower => Comparator::AtMost,
            Better::Higher => Comparator::AtLeast,
        };
        let useless = range.holds_always(comparator, self.threshold.value())
            || range.holds_never(comparator, self.threshold.value());
        if useless {
            if self.metric == MetricId::AgentsLive && range.high.at.is_finite() {
                return format!("write `agents.live {} >= {}`", self.aggregation.name(), range.high.at);
            }
            let words = match self.better() {
                Better::Lower => "the most that a good run may have",
                Better::Higher => "the least that a good run must have",
            };
            return format!("write `{}` and {words}", comparator.symbol());
        }
        format!("write `{}`", Self { comparator, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(text: &str) -> Option<String> {
        Criterion::parse(text).unwrap().is_settled(Known::default()).map(|u| u.message)
    }

    fn wrong(text: &str) -> Option<String> {
        Criterion::parse(text).unwrap().points_the_wrong_way().map(|u| u.message)
    }

    #[test]
    fn what_holds_of_every_run_is_no_bar() {
        for text in [
            "delivery.failed >= 0",
            "delivery.rate >= 0%",
            "delivery.rate <= 100%",
            "coordination.time p50 >= 0ms",
            "coordination.time p50 > 0ms",
            "throughput.tasks >= 0/s",
            "agents.live min >= 0",
            "fds.use max <= 100%",
            "launch.time > 0s",
            "delivery.rate >= 0% every 15m",
            "fds max < 10000000000000000",
            "fds max < 3000000000 each",
            "threads max < 99999999999999",
            "cpu max < 100000 cores",
            "harness.cpu mean <= 900000%",
            "delivery.rate > 0%",
            "throughput.tasks > 0/s",
            "agents.live max >= 1",
            "threads max >= 1",
            "memory.vsz max <= 100000TiB each",
            "memory.pss max < 5000TiB",
            "harness.rss max < 5000TiB",
            "shm.used max < 5000TiB",
            "host.load max < 100000000000",
            "switches.voluntary max < 99999999999999/s",
            "switches.involuntary mean < 99999999999999/s",
            "sampler.cost max <= 100%",
        ] {
            assert!(settled(text).is_some_and(|m| m.contains("holds of every run")), "{text}");
        }
    }

    #[test]
    fn what_holds_of_no_run_is_no_question() {
        for text in [
            "incidents < 0",
            "delivery.rate > 100%",
            "coordination.time p99 < 0s",
            "coordination.time p99 <= 0s",
            "coordination.time max == 0s",
            "memory.pss max <= 0B",
            "delivery.duplicates < 0",
            "harness.rss max <= 0B",
            "shm.used max < 1B",
            "memory.pss.workers max <= 4095B",
            "fds max < 1",
            "cpu max <= 0 cores",
        ] {
            assert!(settled(text).is_some_and(|m| m.contains("can never hold")), "{text}");
        }
    }

    #[test]
    fn the_wrong_way_is_named_and_the_right_one_shown() {
        for (text, right) in [
            ("delivery.rate <= 95%", "write `delivery.rate >= 95%`"),
            ("coordination.time p99 > 1s", "write `coordination.time p99 <= 1s`"),
            ("incidents > 3", "write `incidents <= 3`"),
            ("memory.pss slope >= 1%/h", "write `memory.pss slope <= 1%/h`"),
            ("throughput.tasks < 100/s", "write `throughput.tasks >= 100/s`"),
            ("agents.live min <= 100", "write `agents.live min >= 100`"),
            ("delivery.failed == 5", "write `delivery.failed <= 5`"),
            ("delivery.rate == 95%", "write `delivery.rate >= 95%`"),
            ("fds slope == 0/h", "write `fds slope <= 0/h`"),
        ] {
            let unsound = Criterion::parse(text).unwrap().points_the_wrong_way().expect(text);
            assert!(unsound.hint.starts_with(right), "{text}: {}", unsound.hint);
        }
    }

    #[test]
    fn criteria_that_can_go_either_way_are_sound() {
        for text in [
            "delivery.rate >= 95%",
            "delivery.rate == 100%",
            "delivery.rate > 0% every 1m",
            "delivery.rate{workload=\"a\"} > 0%",
            "cpu.supervisor max <= 0 cores",
            "memory.pss min < 1B",
            "threads.commands max < 1",
            "incidents == 0",
            "incidents <= 0",
            "incidents < 1",
            "coordination.time p99 < 1s",
            "coordination.time drift < 20%",
            "memory.pss slope < 1%/h",
            "memory.pss growth < 0%",
            "fds.use max < 100%",
            "agents.live min == 101",
            "load.lateness max <= 0s",
            "cpu max < 1.5 cores",
            "cpu max < 8000 cores",
            "threads max < 4000000",
            "fds max < 2000000000 each",
        ] {
            assert_eq!((settled(text), wrong(text)), (None, None), "{text}");
        }
    }
}
