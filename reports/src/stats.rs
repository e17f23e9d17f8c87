//! What a series says, and how sure one can be of it.
//!
//! Pure functions over `(hours, value)` points, medians of buckets, so that a spike does not move them; and over
//! counts. Deliberately absent: time stamps and thresholds of its own.

mod change;
mod effect;
mod factorial;
mod fit;
mod line;
mod ranks;
mod scaling;
mod shape;
mod share;
mod trend;

pub use change::{Change, Noise, changes};
pub use effect::{Effect, Method, Step};
pub use factorial::{FACTORS_MAX, FactorEffect, NoEffects, Observed, factor_effects};
pub use ranks::{higher_by_chance, holm, least_chance, rank_correlation};
pub use scaling::{Growth, Parameter, Predicted, Scaling};
pub use share::{rank_interval, share_interval};
pub use trend::{Asked, NoTrend, Question, Trend, trend};

/// Fewer points than this say nothing about a trend.
pub const TREND_POINTS_MIN: usize = 8;
/// How often an interval may miss.
pub const MISS: f64 = 0.05;
/// The same of an interval of which one end is held against a limit, and may miss as often alone.
pub const MISS_TWO: f64 = 0.1;

/// So many values, none of which is above a limit, show that the quantile is below it: 299 for a p99.
pub fn values_for(quantile: f64) -> u64 {
    ((MISS_TWO / 2.0).ln() / quantile.ln() - 1e-9).ceil() as u64
}

/// The standard deviation of normal values over the median of their distances from the middle.
pub(crate) const DEVIATION_OF_MEDIAN: f64 = 1.4826;

/// Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// The middle value, or the mean of the two middle ones. Reorders the slice.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let (below, mid, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    let mid = *mid;
    if n % 2 == 1 {
        return Some(mid);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(mid);
    Some(f64::midpoint(lower, mid))
}

/// Their mean, and the sum of the squares of their distances from it.
fn squares(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum())
}

/// Points of a tenth of so many; three at least.
pub(crate) fn tenth(points: usize) -> usize {
    (points / 10).max(3)
}

/// Least and greatest.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
