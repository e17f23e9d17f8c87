//! Exact null distributions of rank statistics, with and without ties.
//!
//! Of the signed-rank statistic (Wilcoxon 1945), and of the rank-sum statistic (Mann and Whitney 1947) over any ranks: the number
//! of subsets with each sum is counted, so that ties need no correction. Probabilities are sums of positive terms, and so
//! lose no digits. `stats/oracle.rs` holds them against those of SciPy.

/// Values on both sides together, up to which sums of ranks are counted; beyond it the normal distribution is near enough.
const COUNTED_MAX: usize = 100;

/// How probable each value of a statistic is, from 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Null {
    probabilities: Vec<f64>,
}

impl Null {
    /// Of the sum of those of the ranks 1 to `n` that have a positive sign.
    pub(super) fn signed_ranks(n: usize) -> Self {
        let mut probabilities = vec![1.0];
        for rank in 1..=n {
            let mut next = vec![0.0; probabilities.len() + rank];
            for (sum, p) in probabilities.iter().enumerate() {
                next[sum] += p / 2.0;
                next[sum + rank] += p / 2.0;
            }
            probabilities = next;
        }
        Self { probabilities }
    }

    /// Of the number of pairs in which the value of the one side is greater than that of the other: of `a` and `b` values
    /// without ties. `None` if there are too many to count.
    pub(super) fn greater_pairs(a: usize, b: usize) -> Option<Self> {
        if a + b > COUNTED_MAX {
            return None;
        }
        let ranks: Vec<usize> = (1..=a + b).collect();
        let sums = Self::subset_sums(&ranks, a)?;
        // The least sum is that of the ranks 1 to a.
        Some(Self { probabilities: sums.probabilities[a * (a + 1) / 2..].to_vec() })
    }

    /// Of the sum of a random subset of `size` among whole numbers. `None` if there are too many to count.
    pub(super) fn subset_sums(values: &[usize], size: usize) -> Option<Self> {
        if values.len() > COUNTED_MAX || size > values.len() {
            return None;
        }
        let most: usize = values.iter().sum();
        // `ways[k][s]`: how probable it is that a subset of the first values has k members and the sum s, when each subset of
        // all sizes is as probable as any other.
        let mut ways = vec![vec![0.0; most + 1]; size + 1];
        ways[0][0] = 1.0;
        for (seen, value) in values.iter().enumerate() {
            for k in (1..=size.min(seen + 1)).rev() {
                let (below, here) = ways.split_at_mut(k);
                for sum in (*value..=most).rev() {
                    here[0][sum] += below[k - 1][sum - value];
                }
            }
        }
        let all: f64 = ways[size].iter().sum();
        let mut probabilities = ways.swap_remove(size);
        for p in &mut probabilities {
            *p /= all;
        }
        let possible = probabilities.iter().rposition(|p| *p > 0.0).map_or(0, |last| last + 1);
        probabilities.truncate(possible);
        Some(Self { probabilities })
    }

    /// That the statistic is so great, or greater.
    pub(super) fn at_least(&self, value: usize) -> f64 {
        self.probabilities.iter().skip(value).sum::<f64>().min(1.0)
    }

    /// The greatest `k` for which the statistic is below `k` with a probability of at most `miss`: 0 if there is none.
    pub(super) fn tail(&self, miss: f64) -> usize {
        let mut below = 0.0;
        let fits = |p: &&f64| {
            below += **p;
            below <= miss * (1.0 + 1e-12)
        };
        self.probabilities.iter().take_while(fits).count()
    }

    /// The least probability that any outcome can have.
    pub(super) fn least(&self) -> f64 {
        self.probabilities.last().copied().unwrap_or(1.0)
    }
}

/// Twice the rank of each value among all: ties share the mean of their ranks, and twice a mean of ranks is whole.
pub(super) fn doubled_midranks(values: &[f64]) -> Vec<usize> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count();
    let not_above = |value: f64| values.iter().filter(|other| **other <= value).count();
    values.iter().map(|value| below(*value) + not_above(*value) + 1).collect()
}

/// How probable it is, if both sides are alike, that the second has ranks as high as these, or higher: the exact test of
/// Wilcoxon, Mann and Whitney with ties. Where each value is 0 or 1 it is Fisher's. `None` if a side has no values, or both
/// have too many to count.
pub fn higher_by_chance(first: &[f64], second: &[f64]) -> Option<f64> {
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let ranks = doubled_midranks(&all);
    let found: usize = ranks[first.len()..].iter().sum();
    Some(Null::subset_sums(&ranks, second.len())?.at_least(found))
}

/// The least that [`higher_by_chance`] can be for so many values.
pub fn least_chance(first: usize, second: usize) -> f64 {
    Null::greater_pairs(first, second).map_or(0.0, |null| null.least())
}

/// How far the ranks of the one go with those of the other (Spearman 1904). `None` with fewer than three pairs, or if one side
/// is the same everywhere.
pub fn rank_correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let ranks = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        let ranks = doubled_midranks(&pairs.iter().map(of).collect::<Vec<_>>());
        let middle = (pairs.len() + 1) as f64;
        ranks.into_iter().map(|rank| rank as f64 - middle).collect()
    };
    let (a, b) = (ranks(|pair| pair.0), ranks(|pair| pair.1));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let size = (product(&a, &a) * product(&b, &b)).sqrt();
    (size > 0.0).then(|| product(&a, &b) / size)
}

/// Adjusted for the number of questions, in their order (Holm 1979): what is at most `miss` may be believed, and all that are
/// believed hold together with a probability of 1 − `miss`.
pub fn holm(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|a, b| chances[*a].total_cmp(&chances[*b]));
    let mut adjusted = vec![0.0; chances.len()];
    let mut highest = 0.0_f64;
    for (step, at) in order.into_iter().enumerate() {
        highest = highest.max((chances[at] * (chances.len() - step) as f64).min(1.0));
        adjusted[at] = highest;
    }
    adjusted
}
