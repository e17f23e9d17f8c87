//! Theil–Sen slope, and an interval for it from a block bootstrap.
//!
//! Theil–Sen (the median of the slopes between all pairs) bears up to 29 % of outliers. Neighbouring
//! points of a memory series depend on each other, so residuals are drawn in blocks (Künsch 1989);
//! single points would give an interval that is too narrow. The seed is fixed: the same log must
//! give the same verdict.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{TREND_POINTS_MIN, median, plateau};

/// Resamples: enough for a 95 % interval whose ends move little with the seed.
const RESAMPLES: usize = 400;
const SEED: u64 = 0x5eed_0f51_09e5;

/// Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlopeEstimate {
    /// Per hour, in the unit of the values.
    pub slope: f64,
    /// 95 %.
    pub interval: Interval,
    /// The line's value at the first steady point.
    pub level: f64,
    /// Points used, after the warm-up was cut.
    pub points: usize,
    /// Points cut as warm-up.
    pub cut: usize,
    /// From the first used point to the last.
    pub hours: f64,
}

/// The median of all pairwise slopes; `None` if no two points differ in time.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (i, a) in points.iter().enumerate() {
        for b in &points[i + 1..] {
            let dt = b.0 - a.0;
            if dt.abs() > 0.0 {
                slopes.push((b.1 - a.1) / dt);
            }
        }
    }
    median(&mut slopes)
}

/// Slope of the steady part of a series of `(hours, value)`; `None` if it has too few points.
pub fn slope_interval(points: &[(f64, f64)]) -> Option<SlopeEstimate> {
    let values: Vec<f64> = points.iter().map(|p| p.1).collect();
    let cut = plateau(&values);
    let steady = &points[cut..];
    if steady.len() < TREND_POINTS_MIN {
        return None;
    }
    let slope = theil_sen(steady)?;
    let intercept = median(&mut steady.iter().map(|p| p.1 - slope * p.0).collect::<Vec<_>>())?;
    let residuals: Vec<f64> = steady.iter().map(|p| p.1 - slope * p.0 - intercept).collect();
    let (first, last) = (steady[0].0, steady[steady.len() - 1].0);
    let mut estimate = SlopeEstimate {
        slope,
        interval: Interval { low: slope, high: slope },
        level: intercept + slope * first,
        points: steady.len(),
        cut,
        hours: last - first,
    };
    if residuals.iter().any(|r| r.abs() > 0.0) {
        estimate.interval = bootstrap(steady, slope, intercept, &residuals);
    }
    Some(estimate)
}

fn bootstrap(steady: &[(f64, f64)], slope: f64, intercept: f64, residuals: &[f64]) -> Interval {
    let n = steady.len();
    let block = (n as f64).cbrt().ceil() as usize;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut resampled = steady.to_vec();
    let mut slopes = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let mut at = 0;
        while at < n {
            let start = random.random_range(0..=n - block);
            for residual in residuals[start..start + block].iter().take(n - at) {
                let t = steady[at].0;
                resampled[at] = (t, intercept + slope * t + residual);
                at += 1;
            }
        }
        slopes.extend(theil_sen(&resampled));
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let end = |share: f64| slopes[((slopes.len() - 1) as f64 * share).round() as usize];
    Interval { low: end(0.025).min(slope), high: end(0.975).max(slope) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(n: u32, slope: f64, noise: f64) -> Vec<(f64, f64)> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        (0..n)
            .map(|i| {
                let t = f64::from(i) / 12.0;
                (t, 1_000.0 + slope * t + noise * (random.random::<f64>() - 0.5))
            })
            .collect()
    }

    #[test]
    fn a_known_leak_lies_within_its_interval() {
        let estimate = slope_interval(&line(96, 20.0, 5.0)).unwrap();
        assert!(estimate.interval.low <= 20.0 && 20.0 <= estimate.interval.high, "{estimate:?}");
        assert!(estimate.interval.low > 10.0, "{estimate:?}");
    }

    #[test]
    fn noise_without_a_trend_holds_zero() {
        let estimate = slope_interval(&line(96, 0.0, 50.0)).unwrap();
        assert!(estimate.interval.low <= 0.0 && 0.0 <= estimate.interval.high, "{estimate:?}");
    }

    #[test]
    fn a_flat_series_has_a_slope_of_exactly_nothing() {
        let estimate = slope_interval(&line(20, 0.0, 0.0)).unwrap();
        assert_eq!(estimate.interval, Interval { low: 0.0, high: 0.0 });
    }

    #[test]
    fn seven_points_say_nothing() {
        assert_eq!(slope_interval(&line(7, 1.0, 0.0)), None);
    }

    proptest! {
        #[test]
        fn an_exact_line_gives_its_slope(slope in -1e6..1e6f64, level in -1e6..1e6f64, n in 2usize..60) {
            let points: Vec<_> = (0..n).map(|i| (i as f64, level + slope * i as f64)).collect();
            let found = theil_sen(&points).unwrap();
            prop_assert!((found - slope).abs() <= 1e-6 * (1.0 + slope.abs() + level.abs()));
        }

        #[test]
        fn one_spike_does_not_move_it(at in 0usize..40, spike in -1e9..1e9f64) {
            let mut points: Vec<_> = (0..40).map(|i| (f64::from(i), 100.0 + 2.0 * f64::from(i))).collect();
            points[at].1 += spike;
            let found = theil_sen(&points).unwrap();
            prop_assert!((found - 2.0).abs() < 1e-9, "{found}");
        }

        #[test]
        fn the_interval_holds_the_slope_and_is_the_same_each_time(
            values in prop::collection::vec(0.0..1e3f64, 8..40)
        ) {
            let points: Vec<_> = values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
            let a = slope_interval(&points);
            prop_assert_eq!(a, slope_interval(&points));
            if let Some(a) = a {
                prop_assert!(a.interval.low <= a.slope && a.slope <= a.interval.high);
            }
        }
    }
}
