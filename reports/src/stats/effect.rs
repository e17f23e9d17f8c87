//! By how much one side's runs differ from another's, and how sure that is.
//!
//! A run is one value: what happened within it is not independent, and ten thousand tasks of one run say nothing of the next.
//! The difference is the median of all differences (Hodges and Lehmann 1963), with the interval between two of them that the
//! null distribution of the ranks gives (Moses 1965; Tukey 1949 for pairs). It asks nothing of how runs are distributed, and one
//! run on a disturbed host does not move it. Where there are too few runs for ranks to convince, the difference of the means has the interval of
//! Student (1908), with Welch's (1947) degrees of freedom. One run on a side borrows the spread of the other.
//!
//! Runs that happen to agree do not show that the next one will: values that go in steps differ by half a step at least (a [`Step`] says why).
//! So no interval has zero width.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::ranks::Null;
use super::{Interval, MISS_TWO, line, median, squares};

/// How often a change is to be seen that is called detectable.
pub(super) const POWER: f64 = 0.8;

/// Where a difference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Hodges and Lehmann, over the differences of pairs.
    PairedRanks,
    /// Hodges and Lehmann, over all differences between the sides.
    Ranks,
    /// Student, over the differences of pairs.
    PairedMeans,
    /// Student and Welch.
    Means,
    /// Student, with the spread of the side that has several runs.
    OneRun,
}

/// The least that values of one figure can differ by, and what it means where they agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// They are rounded to such steps: all of them can be off by one in the same way, however many there are.
    Rounded(f64),
    /// They are counts of whole things, and exact. What goes to and fro by one step has a standard deviation of half a step at most
    /// (Popoviciu 1935), and a few values that agree do not show that it is less.
    Whole(f64),
}

impl Step {
    pub fn size(self) -> f64 {
        let (Self::Rounded(size) | Self::Whole(size)) = self;
        size
    }

    /// The least standard error of a difference between means of so many values.
    fn error(self, first: f64, second: f64) -> f64 {
        self.size() / 2.0 * (1.0 / first + 1.0 / second).sqrt()
    }

    /// How far a difference of means is off, whatever its error.
    fn off(self) -> f64 {
        match self {
            Self::Rounded(size) => size,
            Self::Whole(_) => 0.0,
        }
    }

    /// As [`Self::off`] of ranks, which have no error of their own.
    fn off_ranks(self, first: f64, second: f64) -> f64 {
        self.off().max(normal(1.0 - MISS_TWO / 2.0) * self.error(first, second))
    }
}

/// The second side's values less the first's.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    method: Method,
    estimate: f64,
    found: Found,
    /// No difference is surer than this.
    off: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Found {
    /// Differences in order, and how the number of them above the true one is distributed.
    Ranks {
        differences: Vec<f64>,
        null: Null,
    },
    Means {
        error: f64,
        freedom: f64,
    },
}

impl Effect {
    /// Of two sides whose runs have nothing to do with each other. `convincing` is the probability that ranks must be able to
    /// reach. `None` without a value on each side and three in all.
    pub fn between(first: &[f64], second: &[f64], convincing: f64, step: Step) -> Option<Self> {
        if first.is_empty() || second.is_empty() || first.len() + second.len() < 3 {
            return None;
        }
        let null = Null::greater_pairs(first.len(), second.len()).filter(|null| null.least() <= convincing);
        if let Some(null) = null {
            let pairs = first.iter().flat_map(|a| second.iter().map(move |b| b - a));
            let off = step.off_ranks(first.len() as f64, second.len() as f64);
            return Self::ranked(Method::Ranks, pairs.collect(), null, off);
        }
        let (a, b) = (Moments::of(first), Moments::of(second));
        let estimate = b.mean - a.mean;
        let (method, error, freedom) = if first.len() == 1 || second.len() == 1 {
            let (spread, freedom) =
                if first.len() == 1 { (b.variance, b.n - 1.0) } else { (a.variance, a.n - 1.0) };
            (Method::OneRun, (spread * (1.0 / a.n + 1.0 / b.n)).sqrt(), freedom)
        } else {
            let (of_a, of_b) = (a.variance / a.n, b.variance / b.n);
            let freedom = (of_a + of_b).powi(2) / (of_a.powi(2) / (a.n - 1.0) + of_b.powi(2) / (b.n - 1.0));
            (Method::Means, (of_a + of_b).sqrt(), if freedom.is_nan() { a.n + b.n - 2.0 } else { freedom })
        };
        let error = error.max(step.error(a.n, b.n));
        Some(Self { method, estimate, found: Found::Means { error, freedom }, off: step.off() })
    }

    /// Of runs that were made in pairs, one of each side in turn. `None` with fewer than two pairs.
    pub fn paired(pairs: &[(f64, f64)], convincing: f64, step: Step) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| b - a).collect();
        if differences.len() < 2 {
            return None;
        }
        let null = Null::signed_ranks(differences.len());
        if null.least() <= convincing {
            let walsh = differences.iter().enumerate();
            let walsh = walsh.flat_map(|(i, a)| differences[i..].iter().map(move |b| f64::midpoint(*a, *b)));
            let off = step.off_ranks(pairs.len() as f64, pairs.len() as f64);
            return Self::ranked(Method::PairedRanks, walsh.collect(), null, off);
        }
        let all = Moments::of(&differences);
        let error = (all.variance / all.n).sqrt().max(step.error(all.n, all.n));
        let found = Found::Means { error, freedom: all.n - 1.0 };
        Some(Self { method: Method::PairedMeans, estimate: all.mean, found, off: step.off() })
    }

    fn ranked(method: Method, mut differences: Vec<f64>, null: Null, off: f64) -> Option<Self> {
        differences.sort_by(f64::total_cmp);
        let estimate = median(&mut differences.clone())?;
        Some(Self { method, estimate, found: Found::Ranks { differences, null }, off })
    }

    /// No surer than an error of this size makes it: what is known of single values of a run. Ranks stay as they are.
    #[must_use]
    pub fn with_error_of_at_least(mut self, least: f64) -> Self {
        if let Found::Means { error, .. } = &mut self.found {
            *error = error.max(least);
        }
        self
    }

    pub fn method(&self) -> Method {
        self.method
    }

    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Each end misses with half of [`MISS_TWO`].
    pub fn interval(&self) -> Interval {
        let (low, high) = match &self.found {
            Found::Ranks { differences, null } => {
                let k = null.tail(MISS_TWO / 2.0);
                match k.checked_sub(1) {
                    Some(at) => (differences[at], differences[differences.len() - k]),
                    None => (f64::NEG_INFINITY, f64::INFINITY),
                }
            }
            Found::Means { error, freedom } => {
                let half = line::quantile(*freedom, MISS_TWO) * error;
                (self.estimate - half, self.estimate + half)
            }
        };
        Interval { low: low.min(self.estimate - self.off), high: high.max(self.estimate + self.off) }
    }

    /// How probable values like these are if the true difference is no greater than `limit`.
    pub fn chance_of_at_most(&self, limit: f64) -> f64 {
        self.beyond(limit + self.off, |difference| difference, self.estimate)
    }

    /// How probable values like these are if the true difference is no less than `limit`.
    pub fn chance_of_at_least(&self, limit: f64) -> f64 {
        self.beyond(self.off - limit, |difference| -difference, -self.estimate)
    }

    fn beyond(&self, limit: f64, turned: fn(f64) -> f64, estimate: f64) -> f64 {
        match &self.found {
            Found::Ranks { differences, null } => {
                null.at_least(differences.iter().filter(|difference| turned(**difference) > limit).count())
            }
            Found::Means { error, .. } if *error <= 0.0 => f64::from(u8::from(estimate <= limit)),
            Found::Means { error, freedom } => {
                StudentsT::new(0.0, 1.0, *freedom).map_or(1.0, |t| t.sf((estimate - limit) / error))
            }
        }
    }

    /// The least true difference that runs like these show as one, in four of five comparisons (Bloom 1995).
    pub fn detectable(&self) -> f64 {
        let size = match &self.found {
            Found::Ranks { .. } => {
                let Interval { low, high } = self.interval();
                let (miss, seen) = (normal(1.0 - MISS_TWO / 2.0), normal(POWER));
                (high - low) / 2.0 / miss * (miss + seen)
            }
            Found::Means { error, freedom } => {
                let seen = line::quantile(*freedom, 2.0 * (1.0 - POWER));
                error * (line::quantile(*freedom, MISS_TWO) + seen)
            }
        };
        size.max(self.off)
    }
}

fn normal(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

struct Moments {
    n: f64,
    mean: f64,
    /// Of the sample; of a single value 0.
    variance: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let (mean, squares) = squares(values);
        Self { n, mean, variance: squares / (n - 1.0).max(1.0) }
    }
}
