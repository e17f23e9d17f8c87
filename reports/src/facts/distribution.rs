//! Many times, as a histogram.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::stats;

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

    /// Records a value that is greater than all before it; whether it is.
    pub(super) fn record_if_greatest(&mut self, ns: u64) -> bool {
        let is_greatest = self.max_ns().is_none_or(|max| ns > max);
        if is_greatest {
            self.record(ns);
        }
        is_greatest
    }

    /// The same value so many times.
    pub(crate) fn record_many(&mut self, ns: u64, count: u64) {
        if count > 0 {
            self.histogram.record_n(ns, count).expect("an auto-resizing histogram of u64 takes every value");
            self.min_ns = self.min_ns.min(ns);
            self.max_ns = self.max_ns.max(ns);
            self.sum_ns += ns as f64 * count as f64;
        }
    }

    /// The values of an interval of the log, whose greatest is known exactly.
    pub(super) fn merge(&mut self, other: &Histogram<u64>, max_ns: u64) -> Result<(), String> {
        if other.is_empty() {
            return Ok(());
        }
        self.histogram.add(other).map_err(|e| e.to_string())?;
        self.min_ns = self.min_ns.min(other.min());
        // What a log says of its maximum may contradict its histogram.
        self.max_ns = self.max_ns.max(max_ns).max(self.min_ns);
        self.sum_ns += other.mean() * other.len() as f64;
        Ok(())
    }

    /// The values of another one, too.
    pub(crate) fn take_in(&mut self, other: &Self) {
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

    /// The value of a rank, from 1.
    pub fn ranked_ns(&self, rank: u64) -> Option<u64> {
        let count = self.count();
        (1..=count).contains(&rank).then(|| self.quantile_ns((rank as f64 - 0.5) / count as f64)).flatten()
    }

    /// Between which values a quantile lies, of all that could have been recorded: the lower end, and the upper one
    /// where the values are enough for one.
    pub fn quantile_interval_ns(&self, quantile: f64) -> (Option<u64>, Option<u64>) {
        let (low, high) = stats::rank_interval(self.count(), quantile, stats::MISS_TWO);
        (low.and_then(|rank| self.ranked_ns(rank)), high.and_then(|rank| self.ranked_ns(rank)))
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

    /// The same with so many of its greatest values as small as its least.
    pub(crate) fn without_greatest(&self, count: u64) -> Self {
        let mut out = Self::default();
        let mut left = self.count().saturating_sub(count);
        for (ns, there) in self.buckets() {
            let kept = there.min(left);
            out.record_many(ns.clamp(self.min_ns, self.max_ns), kept);
            left -= kept;
        }
        out.record_many(self.min_ns, count.min(self.count()));
        out
    }

    /// `(value, count)` of the recorded buckets.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_since_last_iteration()))
    }
}

/// Of an interval of the log.
pub(super) fn decode(base64: &str) -> Result<Histogram<u64>, String> {
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
