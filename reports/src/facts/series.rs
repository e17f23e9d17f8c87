//! Series of bounded size: for plots, and for trends.
//!
//! Both start fine and coarsen themselves when they are full, so a month costs as much as a minute.
//! What they hold depends on the values alone, never on when they are asked.

/// Points of a plot: as many as a wide screen shows.
const BINS_MAX: usize = 1_200;
/// Medians of a trend: Theil–Sen looks at all pairs of them.
const MEDIANS_MAX: usize = 400;
/// Values kept to take one bucket's median from.
const BUCKET_VALUES_MAX: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    index: u64,
    pub sum: f64,
    pub weight: f64,
    pub min: f64,
    pub max: f64,
}

impl Bin {
    /// `None` if all its weight is nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// Sum, weight, least and greatest over equal bins of time.
#[derive(Debug, Clone)]
pub struct Series {
    width_ns: u64,
    bins: Vec<Bin>,
}

impl Series {
    pub fn new(width_ns: u64) -> Self {
        Self { width_ns: width_ns.max(1), bins: Vec::new() }
    }

    pub fn push(&mut self, t_ns: u64, value: f64) {
        self.push_weighted(t_ns, value, 1.0);
    }

    /// For a ratio: `sum` of so much `weight`. Least and greatest are of `sum / weight`.
    pub fn push_weighted(&mut self, t_ns: u64, sum: f64, weight: f64) {
        let index = t_ns / self.width_ns;
        let value = if weight > 0.0 { sum / weight } else { 0.0 };
        let at = self.bins.partition_point(|b| b.index < index);
        match self.bins.get_mut(at).filter(|b| b.index == index) {
            Some(bin) => {
                bin.sum += sum;
                bin.weight += weight;
                bin.min = bin.min.min(value);
                bin.max = bin.max.max(value);
            }
            None => self.bins.insert(at, Bin { index, sum, weight, min: value, max: value }),
        }
        if self.bins.len() > BINS_MAX {
            self.coarsen();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// `(middle of the bin, bin)`, in order of time.
    pub fn bins(&self) -> impl Iterator<Item = (u64, &Bin)> {
        self.bins.iter().map(|b| (b.index * self.width_ns + self.width_ns / 2, b))
    }

    /// The same with at most so many bins.
    #[must_use]
    pub fn at_most(&self, bins: usize) -> Self {
        let mut out = self.clone();
        while out.bins.len() > bins.max(1) {
            out.coarsen();
        }
        out
    }

    /// The same with bins of at least this width.
    #[must_use]
    pub fn at_least_wide(&self, width_ns: u64) -> Self {
        let mut out = self.clone();
        while out.width_ns < width_ns {
            out.coarsen();
        }
        out
    }

    fn coarsen(&mut self) {
        self.width_ns *= 2;
        let mut merged: Vec<Bin> = Vec::with_capacity(self.bins.len() / 2 + 1);
        for bin in &self.bins {
            let index = bin.index / 2;
            match merged.last_mut().filter(|b| b.index == index) {
                Some(last) => {
                    last.sum += bin.sum;
                    last.weight += bin.weight;
                    last.min = last.min.min(bin.min);
                    last.max = last.max.max(bin.max);
                }
                None => merged.push(Bin { index, ..*bin }),
            }
        }
        self.bins = merged;
    }
}

/// Medians over equal buckets of time. Values must come nearly in order: one that belongs to a bucket
/// already closed is counted in the open one.
#[derive(Debug, Clone)]
pub struct Medians {
    width_ns: u64,
    /// Start of the bucket, and its median.
    closed: Vec<(u64, f64)>,
    open: Option<u64>,
    values: Vec<f64>,
    /// Only each n-th value of the open bucket is kept.
    stride: u64,
    seen: u64,
}

impl Medians {
    pub fn new(width_ns: u64) -> Self {
        Self {
            width_ns: width_ns.max(1),
            closed: Vec::new(),
            open: None,
            values: Vec::new(),
            stride: 1,
            seen: 0,
        }
    }

    pub fn push(&mut self, t_ns: u64, value: f64) {
        let bucket = t_ns / self.width_ns;
        if self.open.is_some_and(|open| bucket > open) {
            self.close();
        }
        self.open.get_or_insert(bucket);
        if self.seen.is_multiple_of(self.stride) {
            self.values.push(value);
        }
        self.seen += 1;
        if self.values.len() >= BUCKET_VALUES_MAX {
            let mut i = 0;
            self.values.retain(|_| {
                i += 1;
                i % 2 == 1
            });
            self.stride *= 2;
        }
    }

    fn close(&mut self) {
        if let (Some(open), Some(median)) = (self.open.take(), crate::stats::median(&mut self.values)) {
            self.closed.push((open * self.width_ns, median));
        }
        self.values.clear();
        self.stride = 1;
        self.seen = 0;
        if self.closed.len() > MEDIANS_MAX {
            self.width_ns *= 2;
            let width = self.width_ns;
            let mut merged: Vec<(u64, f64)> = Vec::with_capacity(MEDIANS_MAX);
            for &(t, value) in &self.closed {
                let t = t / width * width;
                match merged.last_mut().filter(|m| m.0 == t) {
                    Some(last) => last.1 = f64::midpoint(last.1, value),
                    None => merged.push((t, value)),
                }
            }
            self.closed = merged;
        }
    }

    /// `(middle of the bucket in ns, median)`. The open bucket counts if it is at least half full or
    /// nothing else is there; `until_ns` is the end of the series.
    pub fn points(&self, until_ns: u64) -> Vec<(u64, f64)> {
        let half = self.width_ns / 2;
        let mut out: Vec<(u64, f64)> = self.closed.iter().map(|(t, v)| (t + half, *v)).collect();
        if let Some(open) = self.open {
            let start = open * self.width_ns;
            if (until_ns.saturating_sub(start) >= half || out.is_empty())
                && let Some(median) = crate::stats::median(&mut self.values.clone())
            {
                out.push((start + half, median));
            }
        }
        out
    }
}

/// Windows with two sums each: as many as were planned, and bounded. They slide in steps of a part of their width, so
/// that nothing hides between two of them; with one step a width they follow on each other.
#[derive(Debug, Clone)]
pub struct Windows {
    width_ns: u64,
    /// Of a step.
    step_ns: u64,
    /// `(part, whole)` of each step.
    sums: Vec<(u64, u64)>,
    overflowed: bool,
}

/// Steps that are kept: a month of one-minute windows in quarters of a minute, and half as much again.
pub const STEPS_MAX: usize = 262_144;
/// Steps of a window, if so many are not too many for the length of the run.
const STEPS_A_WINDOW: u64 = 30;

impl Windows {
    /// Each begins where the one before ends.
    pub fn tumbling(width_ns: u64) -> Self {
        let width_ns = width_ns.max(1);
        Self { width_ns, step_ns: width_ns, sums: Vec::new(), overflowed: false }
    }

    /// For a load of about this length.
    pub fn sliding(width_ns: u64, load_ns: u64) -> Self {
        let width_ns = width_ns.max(1);
        let coarsest = load_ns / (STEPS_MAX as u64 / 2) + 1;
        let step_ns = (width_ns / STEPS_A_WINDOW).max(coarsest).clamp(1, width_ns);
        // Whole steps make a window.
        let step_ns = width_ns.div_ceil((width_ns / step_ns).max(1));
        Self { width_ns, step_ns, sums: Vec::new(), overflowed: false }
    }

    pub fn push(&mut self, since_start_ns: u64, part: u64, whole: u64) {
        let index = since_start_ns / self.step_ns;
        if index >= STEPS_MAX as u64 {
            self.overflowed = true;
            return;
        }
        let index = index as usize;
        if self.sums.len() <= index {
            self.sums.resize(index + 1, (0, 0));
        }
        self.sums[index].0 += part;
        self.sums[index].1 += whole;
    }

    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// From one window to the next, on the run's clock.
    pub fn step_ns(&self) -> u64 {
        self.step_ns
    }

    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Windows of a phase of this length, each with the time it covers. What is left at the end and shorter than a
    /// window belongs to the last one if it is shorter than half, and is one of its own otherwise: what happens at the
    /// end of a run is never left out. Empty if the phase is shorter than half a window.
    pub fn within(&self, length_ns: u64) -> Vec<(u64, (u64, u64))> {
        let steps = (self.width_ns / self.step_ns).max(1) as usize;
        let width_ns = steps as u64 * self.step_ns;
        let sum = |from: usize, to: usize| {
            let kept = self.sums.get(from.min(self.sums.len())..to.min(self.sums.len())).unwrap_or_default();
            kept.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
        };
        if length_ns.saturating_mul(2) < self.width_ns {
            return Vec::new();
        }
        if length_ns < width_ns {
            return vec![(length_ns, sum(0, usize::MAX))];
        }
        let last = ((length_ns - width_ns) / self.step_ns).min(STEPS_MAX as u64) as usize;
        let (mut out, mut running) = (Vec::with_capacity(last + 2), sum(0, steps));
        for from in 0..=last {
            out.push((width_ns, running));
            let step = |at: usize| self.sums.get(at).copied().unwrap_or_default();
            let (gone, come) = (step(from), step(from + steps));
            running = (running.0 + come.0 - gone.0, running.1 + come.1 - gone.1);
        }
        // What no window covers: less than a step.
        let covered = last as u64 * self.step_ns + width_ns;
        let tail = sum(last + steps, usize::MAX);
        match length_ns.saturating_sub(covered) {
            0 if tail == (0, 0) => {}
            left if left.saturating_mul(2) >= self.width_ns => out.push((left, tail)),
            left => {
                if let Some((time, sums)) = out.last_mut() {
                    *time += left;
                    *sums = (sums.0 + tail.0, sums.1 + tail.1);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_month_costs_as_much_as_a_minute() {
        let mut series = Series::new(1_000);
        let mut medians = Medians::new(10_000);
        for i in 0..500_000u64 {
            series.push(i * 1_000, (i % 7) as f64);
            medians.push(i * 1_000, (i % 7) as f64);
        }
        assert!(series.bins().count() <= BINS_MAX);
        let points = medians.points(500_000_000);
        assert!(points.len() <= MEDIANS_MAX + 1);
        assert!(points.iter().all(|(_, m)| (2.0..=4.0).contains(m)));
    }

    #[test]
    fn a_last_window_counts_from_half_its_length() {
        let mut windows = Windows::tumbling(100);
        windows.push(0, 1, 1);
        windows.push(250, 0, 1);
        assert_eq!(windows.within(249), vec![(100, (1, 1)), (149, (0, 1))], "the short tail is not lost");
        assert_eq!(windows.within(250), vec![(100, (1, 1)), (100, (0, 0)), (50, (0, 1))]);
        assert!(windows.within(49).is_empty());
    }

    /// Held against every window that can be laid, a step apart.
    #[test]
    fn what_lies_across_a_border_is_in_one_window() {
        let mut windows = Windows::sliding(900, 3_600);
        assert_eq!(windows.step_ns(), 30);
        for t in (0..3_600).step_by(10) {
            windows.push(t, u64::from(!(860..940).contains(&t)), 1);
        }
        let all = windows.within(3_600);
        assert_eq!(all.len(), 91);
        let least = all.iter().map(|(_, (part, whole))| (*part, *whole)).min().unwrap();
        assert_eq!(least, (82, 90), "the whole outage is in one window");
        let sums: Vec<u64> = all.iter().map(|(_, s)| s.1).collect();
        assert!(sums.iter().all(|whole| *whole == 90), "{sums:?}");
    }

    #[test]
    fn the_end_is_in_the_last_window_however_long_the_load() {
        for length in 50..400 {
            let mut windows = Windows::sliding(100, length);
            for t in 0..length {
                windows.push(t, u64::from(t + 1 < length), 1);
            }
            let all = windows.within(length);
            assert!(all.iter().any(|(_, (part, whole))| part < whole), "{length}: {all:?}");
            assert!(all.iter().all(|(time, (_, whole))| time == whole), "{length}: {all:?}");
        }
    }

    proptest! {
        #[test]
        fn coarsening_loses_no_sum_and_no_extreme(
            points in prop::collection::vec((0u64..10_000_000, -1e6..1e6f64), 1..5_000)
        ) {
            let mut series = Series::new(1);
            for (t, v) in &points {
                series.push(*t, *v);
            }
            let weight: f64 = series.bins().map(|(_, b)| b.weight).sum();
            prop_assert!((weight - points.len() as f64).abs() < 0.5);
            let max = series.bins().map(|(_, b)| b.max).fold(f64::MIN, f64::max);
            let wanted = points.iter().map(|p| p.1).fold(f64::MIN, f64::max);
            prop_assert!((max - wanted).abs() < 1e-9);
        }
    }
}
