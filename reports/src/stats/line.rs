//! A straight line through a series whose neighbouring points depend on each other, and how sure its slope is.
//!
//! The points of a memory series are not independent: what a process holds now it mostly held a minute ago. An
//! interval that forgets this is too narrow. Here the dependence is estimated as that of an AR(1) process, its
//! estimate is corrected for its known bias in short series (Kendall 1954; Marriott and Pope 1954), the line is fitted
//! by generalised least squares (Prais and Winsten 1954), and Student's t has as many degrees of freedom as there are
//! effectively independent points. Noise that is no AR(1) is met by a second estimate of the slope's error, from the
//! lowest frequencies of the residuals (equally weighted cosines: Müller 2007; Lazarus, Lewis, Stock and Watson 2018);
//! the wider of the two counts. `stats/tests.rs` measures how often the interval misses, and
//! `stats/oracle.rs` holds slopes and errors against those of statsmodels.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Interval, median};

/// Above it, a series cannot be told from one that wanders.
pub(super) const DEPENDENCE_MAX: f64 = 0.95;
/// Fewer effectively independent points say nothing about a slope.
pub(super) const EFFECTIVE_MIN: f64 = 5.0;
/// Cosines that the second estimate of the error is made of.
const COSINES: usize = 4;
/// Fewest points that a line is laid through.
pub(super) const LINE_POINTS_MIN: usize = 8;

/// What a fit found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// A unit of time.
    pub(super) slope: f64,
    pub(super) interval: Interval,
    /// Too dependent, or too few effective points: the interval is the widest that the values' own range allows.
    pub(super) wanders: bool,
}

/// How the points of a series depend on each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    /// Of single points about the line.
    pub(super) variance: f64,
    pub(super) dependence: f64,
}

impl Noise {
    pub(super) fn effective(self, points: usize) -> f64 {
        points as f64 * (1.0 - self.dependence) / (1.0 + self.dependence)
    }

    /// Variance of the mean of so many neighbours; their median's is larger by π/2 at most.
    pub(super) fn of_median(self, points: usize) -> f64 {
        let share = (1.0 + self.dependence) / (1.0 - self.dependence) / points.max(1) as f64;
        self.variance * (share * std::f64::consts::FRAC_PI_2).min(1.0)
    }
}

/// Through `(time, value)`. `quantum` is the least step that the values can make: no slope is surer than one step over
/// the whole time. `miss` is how often the interval may miss, in theory; `at_least` is a dependence that is known from a
/// longer part of the series. `None` for fewer than [`LINE_POINTS_MIN`] points, or points of one time.
pub(super) fn fit(points: &[(f64, f64)], quantum: f64, miss: f64, at_least: f64) -> Option<Line> {
    let n = points.len();
    let hours = points.last()?.0 - points.first()?.0;
    if n < LINE_POINTS_MIN || hours <= 0.0 {
        return None;
    }
    let plain = least_squares(points);
    let residuals: Vec<f64> = points.iter().map(|p| p.1 - plain.at(p.0)).collect();
    let dependence = dependence(&residuals, 2).max(at_least);
    let noise = Noise { variance: 0.0, dependence };
    let effective = noise.effective(n);
    let (slope, error) = generalised(points, dependence.min(DEPENDENCE_MAX));
    let half = (quantile((effective - 2.0).max(3.0), miss) * error)
        .max(quantile(COSINES as f64, miss) * low_frequency_error(points, &residuals))
        .max(quantum / hours);
    let wanders = dependence > DEPENDENCE_MAX || effective < EFFECTIVE_MIN;
    let mut line = Line { slope, interval: Interval { low: slope - half, high: slope + half }, wanders };
    if wanders {
        // No line that least squares lays through values of this range is steeper.
        let (low, high) = super::range(points.iter().map(|p| p.1));
        let steepest = (1.5 * (high - low) / hours).max(half);
        line.slope = plain.slope;
        line.interval = Interval { low: plain.slope.min(-steepest), high: plain.slope.max(steepest) };
    }
    Some(line)
}

/// How often Student's t of so many degrees of freedom lies beyond, on both sides together.
pub(super) fn quantile(freedom: f64, miss: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - miss / 2.0))
}

/// Correlation of neighbours in residuals of a fit with so many parameters, corrected for the bias of short series;
/// between 0 and 1.
pub(super) fn dependence(residuals: &[f64], parameters: usize) -> f64 {
    let n = residuals.len() as f64;
    let all: f64 = residuals.iter().map(|r| r * r).sum();
    if all <= 0.0 || n < 6.0 {
        return 0.0;
    }
    let pairs: f64 = residuals.windows(2).map(|w| w[0] * w[1]).sum();
    let own = 2.0 + parameters as f64;
    ((n * (pairs / all) + own / 2.0) / (n - own)).clamp(0.0, 0.999)
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Straight {
    pub(super) slope: f64,
    mean_time: f64,
    mean: f64,
}

impl Straight {
    pub(super) fn at(&self, time: f64) -> f64 {
        self.mean + self.slope * (time - self.mean_time)
    }
}

pub(super) fn least_squares(points: &[(f64, f64)]) -> Straight {
    let n = points.len() as f64;
    let mean_time = points.iter().map(|p| p.0).sum::<f64>() / n;
    let mean = points.iter().map(|p| p.1).sum::<f64>() / n;
    let square: f64 = points.iter().map(|p| (p.0 - mean_time).powi(2)).sum();
    let product: f64 = points.iter().map(|p| (p.0 - mean_time) * (p.1 - mean)).sum();
    Straight { slope: if square > 0.0 { product / square } else { 0.0 }, mean_time, mean }
}

/// Slope and its standard error after the dependence is taken out.
pub(super) fn generalised(points: &[(f64, f64)], dependence: f64) -> (f64, f64) {
    let first = (1.0 - dependence * dependence).sqrt();
    let rows = std::iter::once((first, first * points[0].0, first * points[0].1)).chain(
        points
            .windows(2)
            .map(|w| (1.0 - dependence, w[1].0 - dependence * w[0].0, w[1].1 - dependence * w[0].1)),
    );
    let rows: Vec<(f64, f64, f64)> = rows.collect();
    // Normal equations of two unknowns, about the weighted mean time.
    let ones: f64 = rows.iter().map(|r| r.0 * r.0).sum();
    let (shift, mean) = (
        rows.iter().map(|r| r.0 * r.1).sum::<f64>() / ones,
        rows.iter().map(|r| r.0 * r.2).sum::<f64>() / ones,
    );
    let square: f64 = rows.iter().map(|r| (r.1 - r.0 * shift).powi(2)).sum();
    let product: f64 = rows.iter().map(|r| (r.1 - r.0 * shift) * (r.2 - r.0 * mean)).sum();
    let slope = product / square;
    let left: f64 = rows.iter().map(|r| (r.2 - r.0 * mean - slope * (r.1 - r.0 * shift)).powi(2)).sum();
    (slope, (left / (rows.len() as f64 - 2.0) / square).sqrt())
}

/// Standard error of the least-squares slope, from what the residuals hold of the slowest cosines.
fn low_frequency_error(points: &[(f64, f64)], residuals: &[f64]) -> f64 {
    let n = points.len();
    let unit = |mut v: Vec<f64>| {
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        for x in &mut v {
            *x /= length.max(f64::MIN_POSITIVE);
        }
        v
    };
    let mean_time = points.iter().map(|p| p.0).sum::<f64>() / n as f64;
    let mut basis = vec![unit(vec![1.0; n]), unit(points.iter().map(|p| p.0 - mean_time).collect())];
    let square: f64 = points.iter().map(|p| (p.0 - mean_time).powi(2)).sum();
    let mut power = 0.0;
    for j in 1..=COSINES {
        let wave = |i: usize| (std::f64::consts::PI * j as f64 * (i as f64 + 0.5) / n as f64).cos();
        let mut cosine: Vec<f64> = (0..n).map(wave).collect();
        // The first cosine is nearly a line: what a line explains is taken out of it.
        for other in &basis {
            let along: f64 = cosine.iter().zip(other).map(|(a, b)| a * b).sum();
            for (c, b) in cosine.iter_mut().zip(other) {
                *c -= along * b;
            }
        }
        let cosine = unit(cosine);
        power += cosine.iter().zip(residuals).map(|(c, r)| c * r).sum::<f64>().powi(2);
        basis.push(cosine);
    }
    (power / COSINES as f64 / square).sqrt()
}

/// The noise of a series, about its own line in each sixth: so a kink is no noise.
pub(super) fn noise(points: &[(f64, f64)]) -> Noise {
    let size = (points.len() / 6).max(2 * LINE_POINTS_MIN);
    let mut residuals = Vec::with_capacity(points.len());
    let mut parts = 0;
    for part in points.chunks(size).filter(|part| part.len() >= LINE_POINTS_MIN / 2) {
        let line = least_squares(part);
        residuals.extend(part.iter().map(|p| p.1 - line.at(p.0)));
        parts += 1;
    }
    let freedom = residuals.len() as f64 - 2.0 * f64::from(parts);
    if freedom < 1.0 {
        return Noise { variance: 0.0, dependence: 0.0 };
    }
    let variance = residuals.iter().map(|r| r * r).sum::<f64>() / freedom;
    let dependence = dependence(&residuals, 2 * parts as usize).min(DEPENDENCE_MAX);
    // The lines of the parts take a part of a dependent noise with them.
    let held = 1.0 + dependence / (1.0 - dependence) * 2.0 / size as f64;
    Noise { variance: variance * held, dependence }
}

/// The median of all pairwise slopes (Theil 1950, Sen 1968); `None` if no two points differ in time.
pub(super) fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
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
