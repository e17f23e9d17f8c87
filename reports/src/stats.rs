//! What a series says, and how sure one can be of it.
//!
//! Pure functions over `(hours, value)` points: medians of buckets, so that a spike does not move
//! them. Deliberately absent: time stamps, units, thresholds.

pub mod slope;

pub use slope::{Interval, SlopeEstimate, slope_interval, theil_sen};

/// Fewer points than this say nothing about a trend.
pub const TREND_POINTS_MIN: usize = 8;

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

/// The first index at which the series has levelled: it has reached the band in which the second
/// half of it lives. At most a third of the series is cut, so that a leak cannot hide as a warm-up.
pub fn plateau(values: &[f64]) -> usize {
    let n = values.len();
    if n < TREND_POINTS_MIN {
        return 0;
    }
    let tail = &values[n / 2..];
    let low = tail.iter().copied().min_by(f64::total_cmp).unwrap_or(f64::NEG_INFINITY);
    let high = tail.iter().copied().max_by(f64::total_cmp).unwrap_or(f64::INFINITY);
    // A tenth of the band as slack: a flat tail has no band at all.
    let slack = (high - low) * 0.1 + high.abs() * 1e-3;
    let first = values.iter().position(|v| (low - slack..=high + slack).contains(v)).unwrap_or(0);
    first.min(n / 3)
}

/// Median of the last `window` points over the median of the first `window` after the plateau, minus 1.
pub fn drift(values: &[f64], window: usize) -> Option<f64> {
    let steady = &values[plateau(values)..];
    if steady.len() < TREND_POINTS_MIN || window == 0 || steady.len() < 2 * window {
        return None;
    }
    let first = median(&mut steady[..window].to_vec())?;
    let last = median(&mut steady[steady.len() - window..].to_vec())?;
    (first > 0.0).then(|| last / first - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_warm_up_is_cut_and_a_leak_is_not() {
        let mut warm: Vec<f64> = (0..6).map(|i| 50.0 + 10.0 * f64::from(i)).collect();
        warm.extend(std::iter::repeat_n(110.0, 24));
        assert_eq!(plateau(&warm), 6);
        let leak: Vec<f64> = (0..30).map(|i| 100.0 + f64::from(i)).collect();
        assert!(plateau(&leak) <= 10);
        assert!(drift(&leak, 4).unwrap() > 0.1);
        assert!(drift(&warm, 4).unwrap().abs() < 1e-9);
    }

    #[test]
    fn too_few_points_have_no_drift() {
        assert_eq!(drift(&[1.0; 7], 2), None);
    }
}
