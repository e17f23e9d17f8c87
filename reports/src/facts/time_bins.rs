//! Times over time, by their percentiles: for plots, in bounded memory.

use hdrhistogram::Histogram;

use super::distribution::samples_needed;

/// As many as a plot shows; twice as many are merged in pairs.
const BINS_MAX: usize = 120;
/// Of a value: a plot shows no more.
const DIGITS: u8 = 2;

/// The times of one stretch.
#[derive(Debug, Clone)]
pub struct TimeBin {
    index: u64,
    histogram: Histogram<u32>,
    max_ns: u64,
}

impl TimeBin {
    /// To within a hundredth, if there are enough values for it.
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        (self.histogram.len() >= samples_needed(quantile))
            .then(|| self.histogram.value_at_quantile(quantile).min(self.max_ns))
    }

    /// Exactly.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// `(greatest value, count)` of each step of the histogram that has any.
    pub fn steps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.histogram.iter_recorded().map(|v| (v.value_iterated_to(), v.count_since_last_iteration()))
    }
}

/// Equal bins of time, as wide as their number asks for.
#[derive(Debug, Clone)]
pub struct TimeBins {
    width_ns: u64,
    bins: Vec<TimeBin>,
}

impl TimeBins {
    pub(super) fn new(width_ns: u64) -> Self {
        Self { width_ns: width_ns.max(1), bins: Vec::new() }
    }

    pub(super) fn push(&mut self, t_ns: u64, ns: u64) {
        let index = t_ns / self.width_ns;
        let at = self.bins.partition_point(|bin| bin.index < index);
        if self.bins.get(at).is_none_or(|bin| bin.index != index) {
            let histogram = Histogram::new(DIGITS).expect("two digits are legal");
            self.bins.insert(at, TimeBin { index, histogram, max_ns: 0 });
        }
        let bin = &mut self.bins[at];
        // Not `saturating_record`: that one never grows the histogram.
        bin.histogram.record(ns).expect("an auto-resizing histogram of u64 takes every value");
        bin.max_ns = bin.max_ns.max(ns);
        while self.bins.len() > BINS_MAX {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.width_ns = self.width_ns.saturating_mul(2);
        let mut merged: Vec<TimeBin> = Vec::with_capacity(BINS_MAX);
        for bin in self.bins.drain(..) {
            let index = bin.index / 2;
            match merged.last_mut().filter(|last| last.index == index) {
                Some(last) => {
                    last.histogram.add(&bin.histogram).expect("both take every value");
                    last.max_ns = last.max_ns.max(bin.max_ns);
                }
                None => merged.push(TimeBin { index, ..bin }),
            }
        }
        self.bins = merged;
    }

    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// `(start of the bin, bin)`, in order of time; without those that have no value.
    pub fn bins(&self) -> impl Iterator<Item = (u64, &TimeBin)> {
        self.bins.iter().map(|bin| (bin.index * self.width_ns, bin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_the_percentiles_of_all_their_values_however_often_they_were_merged() {
        let mut bins = TimeBins::new(1_000);
        for n in 0..100_000_u64 {
            bins.push(n * 100, n * 7_919 % 1_000 + 1);
        }
        assert!(bins.bins().count() <= BINS_MAX);
        assert_eq!(bins.bins().map(|(_, bin)| bin.histogram.len()).sum::<u64>(), 100_000);
        let width_ns = bins.width_ns();
        for (start_ns, bin) in bins.bins() {
            assert!(start_ns.is_multiple_of(width_ns));
            if bin.histogram.len() == width_ns / 100 {
                let p50 = bin.quantile_ns(0.5).unwrap();
                assert!((470..=530).contains(&p50), "{p50}");
                assert_eq!(bin.max_ns(), 1_000);
            }
        }
    }

    #[test]
    fn a_percentile_needs_its_values_and_any_time_is_kept() {
        let mut bins = TimeBins::new(1_000);
        (0..99).for_each(|_| bins.push(0, u64::MAX));
        let (_, bin) = bins.bins().next().unwrap();
        assert_eq!((bin.quantile_ns(0.99), bin.max_ns()), (None, u64::MAX));
        bins.push(u64::MAX, 1);
        assert_eq!(bins.bins().count(), 2);
        let p50 = bins.bins().next().unwrap().1.quantile_ns(0.5).unwrap();
        assert!(p50 > u64::MAX - u64::MAX / 100, "{p50}");
    }
}
