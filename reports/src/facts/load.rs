//! Rounds: counts, times, windows.

use serde::{Deserialize, Serialize};

use super::distribution::{Distribution, decode};
use super::fleet_time::FleetTime;
use super::periods::Periods;
use super::series::{Medians, Series, Windows};
use super::spans::Spans;
use super::time_bins::TimeBins;
use crate::runlog::event::{LatencyInterval, LatencyTag, Phase, PlanFacts, Round};

/// Buckets of five minutes, as the requirements define growth and drift.
pub(super) const BUCKET_NS: f64 = 300e9;
/// A shorter run has shorter buckets: so many of them.
const BUCKETS_MIN: u64 = 40;
/// Bins of a plot to begin with; the series coarsens itself when the run is longer than planned.
const PLOT_BINS: u64 = 600;
/// Bins of percentiles to begin with.
const TIME_BINS: u64 = 100;

/// Sums over rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub rounds: u64,
    pub tasks: u64,
    pub answered: u64,
    pub failed: u64,
    pub late: u64,
    pub duplicates: u64,
    pub corrupt: u64,
    #[serde(default)]
    pub contradicted: u64,
    /// Answered by a second or later attempt.
    #[serde(default)]
    pub retried: u64,
    /// Failed tasks by their reasons; see [`Counts::other`].
    #[serde(default)]
    pub timed_out: u64,
    #[serde(default)]
    pub exited: u64,
    #[serde(default)]
    pub died: u64,
    #[serde(default)]
    pub refused: u64,
}

impl Counts {
    /// Answered over accepted; `None` without a task.
    pub fn delivery(&self) -> Option<f64> {
        (self.tasks > 0).then(|| self.answered as f64 / self.tasks as f64)
    }

    /// Failed tasks whose reason has no count of its own.
    pub fn other(&self) -> u64 {
        let named = [self.corrupt, self.contradicted, self.timed_out, self.exited, self.died, self.refused];
        self.failed.saturating_sub(named.iter().sum())
    }

    /// Failed tasks by their reasons, in words, without those that did not occur.
    pub fn reasons(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("timed out", self.timed_out),
            ("command failed", self.exited),
            ("process died or hung", self.died),
            ("not taken", self.refused),
            ("wrong answer", self.corrupt),
            ("impossible times", self.contradicted),
            ("other", self.other()),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.tasks += u64::from(round.tasks);
        self.answered += u64::from(round.answered);
        self.failed += u64::from(round.failed);
        self.retried += u64::from(round.retried);
        self.add_bad(round);
    }

    /// What is bad of a round, without how many of its tasks failed.
    fn add_bad(&mut self, round: &Round) {
        self.late += u64::from(round.late);
        self.duplicates += u64::from(round.duplicates);
        self.corrupt += u64::from(round.corrupt);
        self.contradicted += u64::from(round.contradicted);
        self.timed_out += u64::from(round.causes.timed_out);
        self.exited += u64::from(round.causes.exited);
        self.died += u64::from(round.causes.died);
        self.refused += u64::from(round.causes.refused);
    }
}

/// What answered tasks are counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Accepted tasks: a share.
    Tasks,
    /// Time: a rate.
    Time,
}

impl Over {
    /// Shares slide. Rates do not: rounds that end a moment later or earlier would move in and out of them.
    pub(super) fn windows(self, width_ns: u64, load_ns: u64) -> Windows {
        match self {
            Self::Tasks => Windows::sliding(width_ns, load_ns),
            Self::Time => Windows::tumbling(width_ns),
        }
    }
}

/// Whose times are kept in windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timed {
    /// By their scheduled starts.
    Rounds,
    /// By the interval of the log that their histogram is of.
    Tasks,
}

/// What is kept in windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windowed {
    Answered(Over),
    Times(Timed),
}

/// Windows that a criterion will ask for: they must be kept from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    pub of: Windowed,
    /// On the run's clock.
    pub width_ns: u64,
}

#[derive(Debug, Clone)]
pub struct LoadFacts {
    /// Of the load phase.
    pub counts: Counts,
    pub warm_up: Counts,
    pub coordination: Distribution,
    /// Of answered tasks, from the scheduled start of their round.
    pub task: Distribution,
    /// The same from the moment of sending.
    pub task_from_send: Distribution,
    pub lateness: Distribution,
    /// From the first task of a round sent to its first answer.
    pub first_answer: Distribution,
    /// From the moment the last answer of a round was made until it was recorded.
    pub completion: Distribution,
    /// Medians over time, in seconds, for drift.
    pub coordination_medians: Medians,
    pub task_medians: Medians,
    /// Without what the load was late by its own doing.
    pub fleet_time: FleetTime,
    pub last_coordination_ns: Option<u64>,
    pub last_scheduled_ns: Option<u64>,
    pub last_finished_ns: Option<u64>,
    /// Histograms in the log that could not be decoded, and why the first of them could not.
    pub latency_unreadable: u64,
    pub latency_error: Option<String>,
    /// Warm-up and load, for plots: seconds by scheduled time.
    pub coordination_series: Series,
    /// The same by percentiles.
    pub coordination_bins: TimeBins,
    /// Failed tasks, by scheduled time.
    pub failed_series: Series,
    /// Answered by tasks, by scheduled time.
    pub delivery_series: Series,
    /// Answered tasks, by the time of their round's end.
    pub throughput_series: Series,
    pub lateness_series: Series,
    windows: Vec<(Over, Windows)>,
    periods: Vec<(Timed, Periods)>,
}

impl LoadFacts {
    pub(super) fn new(plan: &PlanFacts, factor: f64, windows: &[WindowSpec]) -> Self {
        let whole = plan.warm_up_ns.saturating_add(plan.duration_ns);
        let bin = (whole / PLOT_BINS).max(1_000_000);
        // Whole rounds fall into each bin, or a steady throughput would read as a saw.
        let coarse = (whole / 60).max(bin).next_multiple_of(plan.round_every_ns.max(1));
        let bucket = bucket_ns(plan.duration_ns, factor).max(plan.round_every_ns);
        Self {
            counts: Counts::default(),
            warm_up: Counts::default(),
            coordination: Distribution::default(),
            task: Distribution::default(),
            task_from_send: Distribution::default(),
            lateness: Distribution::default(),
            first_answer: Distribution::default(),
            completion: Distribution::default(),
            coordination_medians: Medians::new(bucket),
            task_medians: Medians::new(bucket),
            fleet_time: FleetTime::new(plan, bucket),
            last_coordination_ns: None,
            last_scheduled_ns: None,
            last_finished_ns: None,
            latency_unreadable: 0,
            latency_error: None,
            coordination_series: Series::new(bin),
            coordination_bins: TimeBins::new((whole / TIME_BINS).max(plan.round_every_ns)),
            failed_series: Series::new(coarse),
            delivery_series: Series::new(coarse),
            throughput_series: Series::new(coarse),
            lateness_series: Series::new(bin),
            windows: windows
                .iter()
                .filter_map(|w| match w.of {
                    Windowed::Answered(over) => Some((over, over.windows(w.width_ns, plan.duration_ns))),
                    Windowed::Times(Timed::Rounds | Timed::Tasks) => None,
                })
                .collect(),
            periods: windows
                .iter()
                .filter_map(|w| match w.of {
                    Windowed::Times(timed) => Some((timed, Periods::new(w.width_ns))),
                    Windowed::Answered(Over::Tasks | Over::Time) => None,
                })
                .collect(),
        }
    }

    /// The windows of this width, over tasks (ratios) or over time (rates).
    pub fn windows(&self, over: Over, width_ns: u64) -> Option<&Windows> {
        self.windows.iter().find(|w| w.0 == over && w.1.width_ns() == width_ns).map(|w| &w.1)
    }

    /// The times in windows of this width.
    pub fn periods(&self, timed: Timed, width_ns: u64) -> Option<&Periods> {
        self.periods.iter().find(|p| p.0 == timed && p.1.width_ns() == width_ns).map(|p| &p.1)
    }

    pub(super) fn push_round(&mut self, round: &Round, spans: &Spans) {
        let took = round.finished_ns.saturating_sub(round.scheduled_ns);
        let late = round.started_ns.saturating_sub(round.scheduled_ns);
        self.coordination_series.push(round.scheduled_ns, took as f64 / 1e9);
        self.lateness_series.push(round.scheduled_ns, late as f64 / 1e9);
        self.coordination_bins.push(round.scheduled_ns, took);
        self.failed_series.push(round.scheduled_ns, f64::from(round.failed));
        let (answered, tasks) = (u64::from(round.answered), u64::from(round.tasks));
        self.delivery_series.push_weighted(round.scheduled_ns, answered as f64, tasks as f64);
        self.throughput_series.push(round.finished_ns, answered as f64);
        self.fleet_time.push(round, spans.since_start(round.scheduled_ns));
        if round.phase != Phase::Load {
            self.warm_up.add(round);
            return;
        }
        self.counts.add(round);
        self.coordination.record(took);
        self.lateness.record(late);
        if let Some(first_ns) = round.first_ns {
            self.first_answer.record(first_ns.saturating_sub(round.started_ns));
        }
        if let Some(made_ns) = round.made_ns {
            self.completion.record(round.finished_ns.saturating_sub(made_ns));
        }
        let since = spans.since_start(round.scheduled_ns);
        self.coordination_medians.push(since, took as f64 / 1e9);
        if let Some(p50) = round.task_p50_ns {
            self.task_medians.push(since, p50 as f64 / 1e9);
        }
        self.last_coordination_ns = Some(took);
        self.last_scheduled_ns = self.last_scheduled_ns.max(Some(round.scheduled_ns));
        self.last_finished_ns = self.last_finished_ns.max(Some(round.finished_ns));
        for (_, periods) in self.periods.iter_mut().filter(|p| p.0 == Timed::Rounds) {
            periods.of(spans.load_time(round.scheduled_ns)).record(took);
        }
        for (over, windows) in &mut self.windows {
            match over {
                Over::Tasks => windows.push(spans.load_time(round.scheduled_ns), answered, tasks),
                Over::Time => windows.push(spans.load_time(round.finished_ns), answered, 0),
            }
        }
    }

    /// Takes what is bad of a round that does not count, but for how many of its tasks failed. `load_ns`: the last time of the load that
    /// counts, whose windows have it.
    pub(super) fn take_bad(&mut self, round: &Round, load_ns: u64) {
        if round.phase != Phase::Load {
            self.warm_up.add_bad(round);
            return;
        }
        self.counts.add_bad(round);
        self.fleet_time.take_bad(round);
        let took = round.finished_ns.saturating_sub(round.scheduled_ns);
        if self.coordination.record_if_greatest(took) {
            self.coordination_series.push(round.scheduled_ns, took as f64 / 1e9);
            for (_, periods) in self.periods.iter_mut().filter(|p| p.0 == Timed::Rounds) {
                periods.of(load_ns).record(took);
            }
        }
        if let Some(took) = round.task_max_ns
            && self.task.record_if_greatest(took)
        {
            for (_, periods) in self.periods.iter_mut().filter(|p| p.0 == Timed::Tasks) {
                periods.of(load_ns).record(took);
            }
        }
        if let Some(first_ns) = round.first_ns {
            self.first_answer.record_if_greatest(first_ns.saturating_sub(round.started_ns));
        }
        if let Some(made_ns) = round.made_ns {
            self.completion.record_if_greatest(round.finished_ns.saturating_sub(made_ns));
        }
    }

    /// Tasks have failed, and no round that counts has them. `load_ns`: the last time of the load that counts.
    pub(super) fn lose(&mut self, tasks: u64, at_ns: u64, load_ns: u64) {
        if tasks == 0 {
            return;
        }
        self.counts.tasks = self.counts.tasks.saturating_add(tasks);
        self.counts.failed = self.counts.failed.saturating_add(tasks);
        self.failed_series.push(at_ns, tasks as f64);
        for (_, windows) in self.windows.iter_mut().filter(|(over, _)| *over == Over::Tasks) {
            windows.push(load_ns, 0, tasks);
        }
    }

    pub(super) fn push_latency(&mut self, interval: &LatencyInterval, spans: &Spans) {
        let target = match interval.tag {
            LatencyTag::Task => &mut self.task,
            LatencyTag::TaskFromSend => &mut self.task_from_send,
            // The rounds themselves say it, without rounding.
            LatencyTag::Coordination => return,
        };
        if interval.phase != Phase::Load {
            return;
        }
        let decoded = decode(&interval.histogram);
        let merged = decoded.as_ref().map_err(Clone::clone).and_then(|h| target.merge(h, interval.max_ns));
        self.unreadable(merged);
        let (Ok(histogram), LatencyTag::Task) = (decoded, interval.tag) else { return };
        let middle = spans.load_time(interval.start_ns.saturating_add(interval.length_ns / 2));
        for (_, periods) in self.periods.iter_mut().filter(|p| p.0 == Timed::Tasks) {
            periods.too_coarse |= interval.length_ns > periods.width_ns();
            // What cannot be added here could not be added above, and that is told.
            let _ = periods.of(middle).merge(&histogram, interval.max_ns);
        }
    }

    /// Counts a histogram that could not be read.
    pub(super) fn unreadable(&mut self, merged: Result<(), String>) {
        if let Err(error) = merged {
            self.latency_unreadable += 1;
            self.latency_error.get_or_insert(error);
        }
    }
}

/// Width of the buckets that medians are taken over, in real time.
pub(super) fn bucket_ns(duration_ns: u64, factor: f64) -> u64 {
    ((BUCKET_NS / factor) as u64).min(duration_ns / BUCKETS_MIN).max(1_000_000)
}
