//! Least squares of a few parameters, and how far a run at some size may lie from the curve.
//!
//! Gauss and Newton's steps, damped as Levenberg (1944) and Marquardt (1963) do it; a model that is linear in its parameters is
//! found in the same way. The error of a prediction is that of the delta method: the curve is taken for straight near
//! the best parameters. Runs of one size are not independent trials of the curve: what the curve does not follow is
//! the same in all of them. So there are two estimates of the spread, one from all runs and one from the means of the sizes, which has
//! only as many degrees of freedom as there are sizes to spare; the wider interval counts.

use std::collections::BTreeMap;

use super::MISS;
use super::line::quantile;

/// Steps after which a fit that still moves is given up.
const STEPS_MAX: usize = 500;
/// A fit has ended when a step gains less than this share of the sum of squares,
const GAIN_MIN: f64 = 1e-13;
/// or when not even a step this heavily damped gains anything: to the precision of numbers, both are a minimum.
const DAMPING_MAX: f64 = 1e12;

/// A curve of a few parameters; `None` where it has no value.
pub(super) trait Curve {
    /// Its value at `size`, and how it changes with each parameter.
    fn at(&self, parameters: &[f64], size: f64) -> Option<(f64, Vec<f64>)>;
}

/// The best parameters for some runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    pub(super) parameters: Vec<f64>,
    pub(super) squares: f64,
    /// Of the normal equations.
    inverse: Vec<Vec<f64>>,
    /// Variance, and Student's t for its degrees of freedom, from all runs and from the means of the sizes.
    spreads: Vec<(f64, f64)>,
}

impl Fit {
    /// From `start`, to runs of `(size, value)`. `None` if there are too few of them for the parameters, or the fit still moves after
    /// [`STEPS_MAX`] steps.
    pub(super) fn of(curve: &impl Curve, start: &[f64], runs: &[(f64, f64)]) -> Option<Self> {
        let mut best = start.to_vec();
        let mut squares = sum(curve, &best, runs)?;
        let mut damping = 1e-3;
        let mut has_ended = false;
        for _ in 0..STEPS_MAX {
            let (normal, slope) = equations(curve, &best, runs)?;
            let mut damped = normal.clone();
            for (at, row) in damped.iter_mut().enumerate() {
                row[at] *= 1.0 + damping;
            }
            let step = inverse(&damped).map(|inverse| times(&inverse, &slope));
            let next = step.map(|step| best.iter().zip(step).map(|(a, b)| a + b).collect::<Vec<f64>>());
            let found = next.and_then(|next| Some((sum(curve, &next, runs)?, next)));
            match found {
                Some((less, next)) if less <= squares => {
                    let gain = squares - less;
                    (best, squares) = (next, less);
                    damping = (damping / 10.0).max(1e-12);
                    has_ended = gain <= GAIN_MIN * squares.max(f64::MIN_POSITIVE);
                }
                _ if damping > DAMPING_MAX => has_ended = true,
                _ => damping *= 10.0,
            }
            if has_ended {
                break;
            }
        }
        if !has_ended {
            return None;
        }
        let inverse = inverse(&equations(curve, &best, runs)?.0)?;
        let spreads = spreads(curve, &best, squares, runs)?;
        let is_sound = best.iter().all(|value| value.is_finite()) && squares.is_finite();
        is_sound.then_some(Self { parameters: best, squares, inverse, spreads })
    }

    /// Half the width of the interval that holds one more run where the curve has these slopes.
    pub(super) fn half_of_run(&self, slopes: &[f64]) -> f64 {
        self.half(1.0 + dot(slopes, &times(&self.inverse, slopes)))
    }

    /// Half the width of the interval of a parameter.
    pub(super) fn half_of_parameter(&self, at: usize) -> f64 {
        self.half(self.inverse[at][at])
    }

    fn half(&self, share: f64) -> f64 {
        let half = |(variance, t): &(f64, f64)| t * (variance * share).sqrt();
        self.spreads.iter().map(half).fold(0.0, f64::max)
    }
}

fn sum(curve: &impl Curve, parameters: &[f64], runs: &[(f64, f64)]) -> Option<f64> {
    let squares = runs.iter().map(|(size, value)| Some((value - curve.at(parameters, *size)?.0).powi(2)));
    squares.sum::<Option<f64>>().filter(|squares| squares.is_finite())
}

/// The normal equations: their matrix, and their right side.
fn equations(
    curve: &impl Curve,
    parameters: &[f64],
    runs: &[(f64, f64)],
) -> Option<(Vec<Vec<f64>>, Vec<f64>)> {
    let n = parameters.len();
    let (mut normal, mut right) = (vec![vec![0.0; n]; n], vec![0.0; n]);
    for (size, value) in runs {
        let (found, slopes) = curve.at(parameters, *size)?;
        for i in 0..n {
            right[i] += slopes[i] * (value - found);
            for j in 0..n {
                normal[i][j] += slopes[i] * slopes[j];
            }
        }
    }
    Some((normal, right))
}

fn spreads(
    curve: &impl Curve,
    parameters: &[f64],
    squares: f64,
    runs: &[(f64, f64)],
) -> Option<Vec<(f64, f64)>> {
    let mut sizes: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (size, value) in runs {
        sizes.entry(size.to_bits()).or_default().push(*value);
    }
    let free = |count: usize| (count > parameters.len()).then(|| (count - parameters.len()) as f64);
    let mut between = 0.0;
    for (size, values) in &sizes {
        let (mean, _) = super::squares(values);
        between += values.len() as f64 * (mean - curve.at(parameters, f64::from_bits(*size))?.0).powi(2);
    }
    let of = |squares: f64, freedom: f64| (squares / freedom, quantile(freedom, MISS));
    Some(vec![of(squares, free(runs.len())?), of(between, free(sizes.len())?)])
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn times(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| dot(row, vector)).collect()
}

/// By Gauss and Jordan, each row and column scaled to a diagonal of ones before. `None` of a matrix that has none.
pub(super) fn inverse(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let n = matrix.len();
    let scale: Vec<f64> = (0..n).map(|at| matrix[at][at].sqrt()).collect();
    if scale.iter().any(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return None;
    }
    let mut left: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| matrix[i][j] / scale[i] / scale[j]).collect()).collect();
    let mut right: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for at in 0..n {
        let pivot = (at..n).max_by(|a, b| left[*a][at].abs().total_cmp(&left[*b][at].abs()))?;
        if left[pivot][at].abs() < 1e-13 {
            return None;
        }
        left.swap(at, pivot);
        right.swap(at, pivot);
        let by = left[at][at];
        for value in left[at].iter_mut().chain(&mut right[at]) {
            *value /= by;
        }
        let (own_left, own_right) = (left[at].clone(), right[at].clone());
        for other in (0..n).filter(|other| *other != at) {
            let by = left[other][at];
            for column in 0..n {
                left[other][column] -= by * own_left[column];
                right[other][column] -= by * own_right[column];
            }
        }
    }
    Some((0..n).map(|i| (0..n).map(|j| right[i][j] / scale[i] / scale[j]).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Falls for ever as its parameter grows.
    struct Falling;

    impl Curve for Falling {
        fn at(&self, parameters: &[f64], _: f64) -> Option<(f64, Vec<f64>)> {
            let value = (-parameters[0]).exp();
            Some((value, vec![-value]))
        }
    }

    #[test]
    fn a_fit_that_still_moves_after_its_last_step_is_given_up() {
        // Each step takes the parameter one further, and divides the sum of squares by e².
        assert_eq!(Fit::of(&Falling, &[-300.0], &[(1.0, 0.0), (2.0, 0.0)]), None);
        let ended = Fit::of(&Falling, &[0.0], &[(1.0, 0.5), (2.0, 0.5)]).expect("it has a minimum");
        assert!((ended.parameters[0] - 2_f64.ln()).abs() < 1e-9, "{ended:?}");
    }
}
