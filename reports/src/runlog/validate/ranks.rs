//! The histograms of a phase against what its rounds say of their own times.
//!
//! A round gives its median, its 99th percentile and its longest time, all of which occurred. So it says of each time how many of its tasks
//! took no longer: at least so many, and at most so many. Summed over all rounds, this bounds the histogram of all tasks from both
//! sides, wherever one looks. The size of what is kept here is bounded: the precision of the log's own histograms.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::runlog::event::Round;

/// Significant digits of every histogram of a log.
const DIGITS: u8 = 3;
/// What a forged record says beyond it counts as this long.
const NS_MAX: u64 = 1 << 62;

/// Times of one kind, as histograms have them and as rounds bound them.
#[derive(Debug, Clone)]
pub(super) struct Ranks {
    logged: Histogram<u64>,
    /// As if each task had taken as long as its round allows,
    slowest: Histogram<u64>,
    /// and as if none had taken longer than it must.
    quickest: Histogram<u64>,
}

impl Default for Ranks {
    fn default() -> Self {
        let empty = || Histogram::new(DIGITS).expect("three digits are legal");
        Self { logged: empty(), slowest: empty(), quickest: empty() }
    }
}

/// A round's number of answers, median, 99th percentile and longest time.
pub(super) type Percentiles = (u32, [Option<u64>; 3]);

pub(super) fn of_round(r: &Round) -> Percentiles {
    (r.answered, [r.task_p50_ns, r.task_p99_ns, r.task_max_ns])
}

impl Ranks {
    /// Percentiles of values that occurred.
    pub(super) fn round(&mut self, (answered, times): Percentiles) {
        let [Some(p50), Some(p99), Some(max)] = times else { return };
        let answered = u64::from(answered);
        if answered == 0 {
            return;
        }
        let (middle, late) = (rank(answered, 50), rank(answered, 99));
        add(&mut self.slowest, [(p50, middle), (p99, late - middle), (max, answered - late)]);
        // Those of a percentile, and none of what lies before it.
        add(&mut self.quickest, [(1, middle - 1), (p50, late - middle), (p99, answered - late), (max, 1)]);
    }

    /// One time that is known.
    pub(super) fn known(&mut self, time_ns: u64) {
        add(&mut self.slowest, [(time_ns, 1)]);
        add(&mut self.quickest, [(time_ns, 1)]);
    }

    pub(super) fn histogram(&mut self, histogram: &Histogram<u64>) {
        for value in histogram.iter_recorded() {
            // To the precision of both, this is the same value.
            let ns = histogram.lowest_equivalent(value.value_iterated_to());
            add(&mut self.logged, [(ns, value.count_since_last_iteration())]);
        }
    }

    /// Nothing is said where there are no histograms: whether they may be missing is asked elsewhere.
    pub(super) fn agree(&self) -> Result<(), String> {
        if self.logged.is_empty() || self.logged.len() != self.slowest.len() {
            return Ok(());
        }
        if let Some((ns, less, more)) = beyond(&self.slowest, &self.logged) {
            return Err(format!(
                "the histograms have {less} times of {ns} ns at most, and by its rounds there were {more} or more"
            ));
        }
        if let Some((ns, less, more)) = beyond(&self.logged, &self.quickest) {
            return Err(format!(
                "the histograms have {more} times of {ns} ns at most, and by its rounds there were {less} or fewer"
            ));
        }
        Ok(())
    }

    /// How many times the histograms hold.
    pub(super) fn count(&self) -> u64 {
        self.logged.len()
    }

    /// The least and the most that the times of the histograms can add up to.
    pub(super) fn sum(&self) -> (u128, u128) {
        let steps = self.logged.iter_recorded().map(|value| {
            let (count, most) = (u128::from(value.count_since_last_iteration()), value.value_iterated_to());
            // What took no time counts as 1 ns.
            let least = if most <= 1 { 0 } else { self.logged.lowest_equivalent(most) };
            (count * u128::from(least), count * u128::from(most))
        });
        steps.fold((0, 0), |sum, step| (sum.0 + step.0, sum.1 + step.1))
    }

    /// The first of these times that the histograms do not hold, or not as often.
    pub(super) fn missing(&self, times: impl Iterator<Item = u64>) -> Option<u64> {
        let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
        times.into_iter().find(|ns| {
            let step = self.logged.lowest_equivalent((*ns).clamp(1, NS_MAX));
            let count = seen.entry(step).or_default();
            *count += 1;
            *count > self.logged.count_at(step)
        })
    }

    /// Whether each of these times can be one of the other, or a part of it.
    pub(super) fn within(&self, whole: &Self) -> bool {
        self.logged.len() != whole.logged.len() || beyond(&whole.logged, &self.logged).is_none()
    }
}

/// Of so many sorted values, which is the percentile: from 1.
fn rank(values: u64, percent: u64) -> u64 {
    (values * percent).div_ceil(100)
}

fn add<const N: usize>(histogram: &mut Histogram<u64>, values: [(u64, u64); N]) {
    for (ns, count) in values {
        histogram.record_n(ns.clamp(1, NS_MAX), count).expect("it grows with what it is given");
    }
}

/// The first time up to which `few` has more values than `many`: the time, and how many values `many` and `few` have up to it.
fn beyond(few: &Histogram<u64>, many: &Histogram<u64>) -> Option<(u64, u64, u64)> {
    let mut other = many.iter_recorded().peekable();
    let (mut of_few, mut of_many) = (0, 0);
    for value in few.iter_recorded() {
        let ns = value.value_iterated_to();
        of_few += value.count_since_last_iteration();
        while let Some(next) = other.next_if(|next| next.value_iterated_to() <= ns) {
            of_many += next.count_since_last_iteration();
        }
        if of_few > of_many {
            return Some((ns, of_many, of_few));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percentiles(times: &mut [u64]) -> Percentiles {
        times.sort_unstable();
        let at = |percent| times.get(rank(times.len() as u64, percent) as usize - 1).copied();
        (times.len() as u32, [at(50), at(99), times.last().copied()])
    }

    fn histogram(times: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 1 << 46, DIGITS).unwrap();
        for ns in times {
            histogram.record(*ns).unwrap();
        }
        histogram
    }

    fn ranks(rounds: &mut [Vec<u64>], logged: &[u64]) -> Ranks {
        let mut ranks = Ranks::default();
        for times in rounds {
            ranks.round(percentiles(times));
        }
        ranks.histogram(&histogram(logged));
        ranks
    }

    proptest! {
        #[test]
        fn the_times_of_rounds_agree_with_a_histogram_of_them(
            mut rounds in prop::collection::vec(prop::collection::vec(1_u64..1 << 40, 1..250), 1..20),
        ) {
            let all = rounds.concat();
            prop_assert_eq!(ranks(&mut rounds, &all).agree(), Ok(()));
        }

        #[test]
        fn a_time_that_is_known_agrees_with_no_other(times in prop::collection::vec(1_u64..1 << 40, 1..50), at: prop::sample::Index) {
            let mut known = Ranks::default();
            for ns in &times {
                known.known(*ns);
            }
            let mut moved = times.clone();
            moved[at.index(times.len())] *= 2;
            known.histogram(&histogram(&moved));
            prop_assert!(known.agree().is_err());
        }
    }

    #[test]
    fn a_histogram_of_other_times_with_the_same_extremes_disagrees() {
        let mut rounds: Vec<Vec<u64>> = (0..10).map(|n| (1..=100).map(|t| t * 1_000 + n).collect()).collect();
        // The shortest and the longest time stay, and what lies between them becomes quick or slow.
        let quick: Vec<u64> =
            rounds.concat().iter().map(|ns| if *ns < 99_000 { 1_000 } else { *ns }).collect();
        let slow: Vec<u64> =
            rounds.concat().iter().map(|ns| if *ns > 2_000 { 100_000 } else { *ns }).collect();
        for (forged, why) in [(quick, "or fewer"), (slow, "or more")] {
            let found = ranks(&mut rounds, &forged).agree().unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }
}
