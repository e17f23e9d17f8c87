//! How a figure grows with the size of a fleet: the Universal Scalability Law, and a straight line.
//!
//! The law (Gunther 1993; *Guerrilla Capacity Planning*, Springer 2007, chapters 4 to 6) says of the throughput of N that share something
//! X(N) = λN / (1 + σ(N − 1) + κN(N − 1)): λ is that of one alone, σ the share of the work that only one can do at a time, and κ what
//! each costs every other. Runs of a fleet differ by a share and not by an amount, so the law is fitted to logarithms, and the line to what
//! falls on each of the N. λ > 0, 0 ≤ σ ≤ 1 and κ ≥ 0: where the best parameters lie beyond one of these, the best ones on that
//! boundary are taken, and the model says so.

use super::Interval;
use super::fit::{Curve, Fit};

/// What the law is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Growth {
    /// Work done in a unit of time.
    Throughput,
    /// Time until N pieces of work are done: N over it is the throughput.
    Time,
}

/// A curve with its parameters, found from runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    form: Form,
    fit: Fit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Law(Growth, Law),
    Line,
}

/// A parameter of a curve. Without an interval it lies on the boundary of what it may be.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Parameter {
    pub name: String,
    pub value: f64,
    pub interval: Option<Interval>,
}

/// A run at a size that may not have been made.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Predicted {
    pub value: f64,
    /// Of one more run.
    pub interval: Interval,
}

/// The law, with the parameters that are not free.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Law {
    sigma: Option<f64>,
    kappa: Option<f64>,
}

impl Law {
    /// σ and κ: those that are fixed, and the others from behind λ in the parameters.
    fn both(self, parameters: &[f64]) -> (f64, f64) {
        let mut free = parameters[1..].iter().copied();
        let sigma = self.sigma.or_else(|| free.next()).unwrap_or(0.0);
        (sigma, self.kappa.or_else(|| free.next()).unwrap_or(0.0))
    }

    fn start(self, (lambda, sigma, kappa): (f64, f64, f64)) -> Vec<f64> {
        let mut start = vec![lambda.ln()];
        start.extend(self.sigma.is_none().then_some(sigma));
        start.extend(self.kappa.is_none().then_some(kappa));
        start
    }
}

/// The logarithm of the throughput; its first parameter is that of λ.
impl Curve for Law {
    fn at(&self, parameters: &[f64], size: f64) -> Option<(f64, Vec<f64>)> {
        let (sigma, kappa) = self.both(parameters);
        let slowed = 1.0 + sigma * (size - 1.0) + kappa * size * (size - 1.0);
        if !(slowed > 0.0 && slowed.is_finite()) {
            return None;
        }
        let mut slopes = vec![1.0];
        slopes.extend(self.sigma.is_none().then_some(-(size - 1.0) / slowed));
        slopes.extend(self.kappa.is_none().then_some(-size * (size - 1.0) / slowed));
        Some((parameters[0] + size.ln() - slowed.ln(), slopes))
    }
}

/// Of the value over the size.
struct Line;

impl Curve for Line {
    fn at(&self, parameters: &[f64], size: f64) -> Option<(f64, Vec<f64>)> {
        Some((parameters[0] / size + parameters[1], vec![1.0 / size, 1.0]))
    }
}

impl Scaling {
    /// The law through runs of `(size, value)`. `None` if a value is not above zero, or the sizes are too few.
    pub fn law(growth: Growth, runs: &[(f64, f64)]) -> Option<Self> {
        if runs.iter().any(|(size, value)| !(*size >= 1.0 && *value > 0.0 && value.is_finite())) {
            return None;
        }
        let logs: Vec<(f64, f64)> = runs
            .iter()
            .map(|(size, value)| (*size, if growth == Growth::Time { size / value } else { *value }.ln()))
            .collect();
        let starts = starts(&logs);
        // A law with a fixed parameter counts only where the free one lies outside its bounds: otherwise that one is the better.
        let mut best: Option<(Law, Fit)> = None;
        for sigma in [None, Some(0.0), Some(1.0)] {
            for kappa in [None, Some(0.0)] {
                let law = Law { sigma, kappa };
                for fit in starts.iter().filter_map(|start| Fit::of(&law, &law.start(*start), &logs)) {
                    let (sigma, kappa) = law.both(&fit.parameters);
                    let is_possible = (0.0..=1.0).contains(&sigma) && kappa >= 0.0;
                    // If a fit is better by rounding alone, its extra parameter is not needed.
                    let is_better =
                        best.as_ref().is_none_or(|(_, best)| fit.squares < best.squares * (1.0 - 1e-9));
                    if is_possible && is_better {
                        best = Some((law, fit));
                    }
                }
            }
        }
        best.map(|(law, fit)| Self { form: Form::Law(growth, law), fit })
    }

    /// A straight line through runs of `(size, value)`.
    pub fn line(runs: &[(f64, f64)]) -> Option<Self> {
        if runs.iter().any(|(size, value)| !(*size >= 1.0 && value.is_finite())) {
            return None;
        }
        let shares: Vec<(f64, f64)> = runs.iter().map(|(size, value)| (*size, value / size)).collect();
        Some(Self { form: Form::Line, fit: Fit::of(&Line, &[0.0, 0.0], &shares)? })
    }

    /// What one more run of this size would have; nothing of these figures is ever below zero.
    pub fn at(&self, size: f64) -> Option<Predicted> {
        let predicted = match self.form {
            Form::Line => {
                let (share, slopes) = Line.at(&self.fit.parameters, size)?;
                let half = self.fit.half_of_run(&slopes);
                let of = |share: f64| (share * size).max(0.0);
                Predicted {
                    value: of(share),
                    interval: Interval { low: of(share - half), high: of(share + half) },
                }
            }
            Form::Law(growth, law) => {
                let (log, slopes) = law.at(&self.fit.parameters, size)?;
                let half = self.fit.half_of_run(&slopes);
                let of = |log: f64| match growth {
                    Growth::Throughput => log.exp(),
                    Growth::Time => size / log.exp(),
                };
                let (a, b) = (of(log - half), of(log + half));
                Predicted { value: of(log), interval: Interval { low: a.min(b), high: a.max(b) } }
            }
        };
        (!predicted.interval.low.is_nan() && !predicted.interval.high.is_nan()).then_some(predicted)
    }

    pub fn is_law(&self) -> bool {
        matches!(self.form, Form::Law(..))
    }

    /// λ, σ and κ of the law; what the line has for any fleet, and for each of the N.
    pub fn parameters(&self) -> Vec<Parameter> {
        let raw = |at: usize| {
            let half = self.fit.half_of_parameter(at);
            (self.fit.parameters[at], half)
        };
        let named = |name: &str, value: f64, interval: Option<Interval>| Parameter {
            name: name.to_owned(),
            value,
            interval,
        };
        match self.form {
            Form::Line => (0..2)
                .map(|at| {
                    let (value, half) = raw(at);
                    let interval = Interval { low: value - half, high: value + half };
                    named(["for any fleet", "for each agent"][at], value, Some(interval))
                })
                .collect(),
            Form::Law(_, law) => {
                let (log, half) = raw(0);
                let lambda = Interval { low: (log - half).exp(), high: (log + half).exp() };
                let mut free = 1..;
                let mut bounded = |fixed: Option<f64>, most: f64| {
                    if let Some(value) = fixed {
                        return (value, None);
                    }
                    let (value, half) = raw(free.next().unwrap_or(1));
                    (value, Some(Interval { low: (value - half).max(0.0), high: (value + half).min(most) }))
                };
                let (sigma, of_sigma) = bounded(law.sigma, 1.0);
                let (kappa, of_kappa) = bounded(law.kappa, f64::INFINITY);
                vec![
                    named("λ", log.exp(), Some(lambda)),
                    named("σ", sigma, of_sigma),
                    named("κ", kappa, of_kappa),
                ]
            }
        }
    }

    /// Where the throughput of the law is greatest, if its κ is certainly above zero.
    pub fn peak(&self) -> Option<f64> {
        let parameters = self.parameters();
        let [_, sigma, kappa] = &parameters[..] else { return None };
        let is_sure = kappa.interval.is_some_and(|interval| interval.low > 0.0);
        is_sure.then(|| ((1.0 - sigma.value).max(0.0) / kappa.value).sqrt().max(1.0))
    }
}

/// Where to begin: a fit from a bad place can end in a wrong one, so there are several.
fn starts(logs: &[(f64, f64)]) -> Vec<(f64, f64, f64)> {
    let single = |(size, log): &(f64, f64)| log.exp() / size;
    let lambda = logs.iter().map(single).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let most = logs.iter().map(|(size, _)| *size).fold(1.0, f64::max);
    [0.0, 0.01, 1.0, 30.0]
        .into_iter()
        .flat_map(|slowed| {
            [(slowed / most, 0.0), (slowed / most / 2.0, slowed / most / most / 2.0)]
                .map(|(sigma, kappa)| (lambda * (1.0 + slowed / 4.0), f64::min(sigma, 1.0), kappa))
        })
        .collect()
}
