//! Rounds: counts, times, windows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use super::periods::Periods;
use super::series::{Medians, Series, Windows};
use super::spans::Spans;
use crate::runlog::event::{LatencyInterval, LatencyTag, Phase, PlanFacts, Round};

/// Buckets of five minutes, as the requirements define growth and drift.
pub(super) const BUCKET_NS: f64 = 300e9;
/// A shorter run has shorter buckets: so many of them.
const BUCKETS_MIN: u64 = 40;
/// Bins of a plot to begin with; the series coarsens itself when the run is longer than planned.
const PLOT_BINS: u64 = 600;

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

/// A percentile is shown by a sample only if one value at least can lie above it.
pub(crate) fn samples_needed(quantile: f64) -> u64 {
    (1.0 / (1.0 - quantile) - 1e-6).ceil() as u64
}

/// A histogram with three significant digits, and exact extremes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Distribution {
    histogram: Histogram<u64>,
    min_ns: u64,
    max_ns: u64,
    sum_ns: f64,
}

impl Default for Distribution {
    fn default() -> Self {
        let histogram = Histogram::new(3).expect("three digits are legal");
        Self { histogram, min_ns: u64::MAX, max_ns: 0, sum_ns: 0.0 }
    }
}

impl Distribution {
    pub fn record(&mut self, ns: u64) {
        // Not `saturating_record`: that one never grows the histogram, and would clip everything.
        self.histogram.record(ns).expect("an auto-resizing histogram of u64 takes every value");
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns += ns as f64;
    }

    fn merge(&mut self, other: &Histogram<u64>, max_ns: u64) -> Result<(), String> {
        if other.is_empty() {
            return Ok(());
        }
        self.histogram.add(other).map_err(|e| e.to_string())?;
        self.min_ns = self.min_ns.min(other.min());
        self.max_ns = self.max_ns.max(max_ns);
        self.sum_ns += other.mean() * other.len() as f64;
        Ok(())
    }

    /// The values of another one, too.
    pub(super) fn take_in(&mut self, other: &Self) {
        if other.count() > 0 {
            self.histogram.add(&other.histogram).expect("both take every value");
            self.min_ns = self.min_ns.min(other.min_ns);
            self.max_ns = self.max_ns.max(other.max_ns);
            self.sum_ns += other.sum_ns;
        }
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// To within a thousandth, never above the exact maximum.
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        (!self.histogram.is_empty())
            .then(|| self.histogram.value_at_quantile(quantile).clamp(self.min_ns, self.max_ns))
    }

    /// As [`Self::quantile_ns`], if the sample supports it: p99 from 100 values on, p99.9 from 1,000. For
    /// whatever shows a percentile; below that it is the maximum under another name.
    pub fn supported_quantile_ns(&self, quantile: f64) -> Option<u64> {
        (self.count() >= samples_needed(quantile)).then(|| self.quantile_ns(quantile)).flatten()
    }

    pub fn min_ns(&self) -> Option<u64> {
        (!self.histogram.is_empty()).then_some(self.min_ns)
    }

    pub fn max_ns(&self) -> Option<u64> {
        (!self.histogram.is_empty()).then_some(self.max_ns)
    }

    pub fn mean_ns(&self) -> Option<f64> {
        (!self.histogram.is_empty()).then(|| self.sum_ns / self.histogram.len() as f64)
    }

    /// How many lie above a value.
    pub fn above(&self, ns: u64) -> u64 {
        self.histogram.len() - self.histogram.count_between(0, ns)
    }

    /// `(value, count)` of the recorded buckets.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_since_last_iteration()))
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
    /// Medians over time, in seconds, for drift.
    pub coordination_medians: Medians,
    pub task_medians: Medians,
    pub last_coordination_ns: Option<u64>,
    pub last_scheduled_ns: Option<u64>,
    pub last_finished_ns: Option<u64>,
    /// Histograms in the log that could not be decoded, and why the first of them could not.
    pub latency_unreadable: u64,
    pub latency_error: Option<String>,
    /// Warm-up and load, for plots: seconds by scheduled time.
    pub coordination_series: Series,
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
            coordination_medians: Medians::new(bucket),
            task_medians: Medians::new(bucket),
            last_coordination_ns: None,
            last_scheduled_ns: None,
            last_finished_ns: None,
            latency_unreadable: 0,
            latency_error: None,
            coordination_series: Series::new(bin),
            delivery_series: Series::new(coarse),
            throughput_series: Series::new(coarse),
            lateness_series: Series::new(bin),
            windows: windows
                .iter()
                .filter_map(|w| match w.of {
                    Windowed::Answered(over) => Some((over, Windows::new(w.width_ns))),
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
        let (answered, tasks) = (u64::from(round.answered), u64::from(round.tasks));
        self.delivery_series.push_weighted(round.scheduled_ns, answered as f64, tasks as f64);
        self.throughput_series.push(round.finished_ns, answered as f64);
        if round.phase != Phase::Load {
            self.warm_up.add(round);
            return;
        }
        self.counts.add(round);
        self.coordination.record(took);
        self.lateness.record(late);
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
        if let Err(error) = merged {
            self.latency_unreadable += 1;
            self.latency_error.get_or_insert(error);
        }
        let (Ok(histogram), LatencyTag::Task) = (decoded, interval.tag) else { return };
        let middle = spans.load_time(interval.start_ns.saturating_add(interval.length_ns / 2));
        for (_, periods) in self.periods.iter_mut().filter(|p| p.0 == Timed::Tasks) {
            periods.too_coarse |= interval.length_ns > periods.width_ns();
            // What cannot be added here could not be added above, and that is told.
            let _ = periods.of(middle).merge(&histogram, interval.max_ns);
        }
    }
}

/// Width of the buckets that medians are taken over, in real time.
pub(super) fn bucket_ns(duration_ns: u64, factor: f64) -> u64 {
    ((BUCKET_NS / factor) as u64).min(duration_ns / BUCKETS_MIN).max(1_000_000)
}

fn decode(base64: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(base64).map_err(|e| e.to_string())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| e.to_string())
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("memory takes all bytes");
    STANDARD.encode(bytes)
}

/// A distribution in JSON.
#[derive(Serialize, Deserialize)]
struct Written {
    min_ns: Option<u64>,
    max_ns: Option<u64>,
    sum_ns: f64,
    /// V2-compressed, in base64, as an `.hlog` line carries it.
    histogram: String,
}

impl From<Distribution> for Written {
    fn from(d: Distribution) -> Self {
        Self { min_ns: d.min_ns(), max_ns: d.max_ns(), sum_ns: d.sum_ns, histogram: encode(&d.histogram) }
    }
}

impl TryFrom<Written> for Distribution {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut histogram = decode(&written.histogram)?;
        // What is read back has fixed bounds otherwise.
        histogram.auto(true);
        if histogram.is_empty() == written.min_ns.is_some() {
            return Err("the least value and the histogram contradict each other".into());
        }
        Ok(Self {
            histogram,
            min_ns: written.min_ns.unwrap_or(u64::MAX),
            max_ns: written.max_ns.unwrap_or(0),
            sum_ns: written.sum_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_sorted_values(
            values in prop::collection::vec(0u64..100_000_000_000, 1..300),
            quantile in 0.0..1.0f64,
        ) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let mut d = Distribution::default();
            for v in values {
                d.record(v);
            }
            let rank = ((sorted.len() as f64 * quantile).ceil() as usize).clamp(1, sorted.len());
            let exact = sorted[rank - 1] as f64;
            let found = d.quantile_ns(quantile).unwrap() as f64;
            prop_assert!((found - exact).abs() <= exact * 1e-3 + 1.0, "{found} for {exact}");
            prop_assert_eq!(d.max_ns(), sorted.last().copied());
        }

        #[test]
        fn extreme_values_are_taken(value in prop::sample::select(vec![0, 1, u64::MAX / 2, u64::MAX])) {
            let mut d = Distribution::default();
            d.record(value);
            prop_assert_eq!(d.quantile_ns(0.5), Some(value));
        }
    }
}
