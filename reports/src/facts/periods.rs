//! Times in equal windows: of each window what it amounts to, and of all windows the worst.
//!
//! Windows slide by a quarter of their width, so that what lies across a border is not halved. The histograms of five
//! quarters are kept, however long the run is. Values come nearly in order: one of an older quarter counts in the oldest
//! that is kept.

use std::collections::VecDeque;

use super::distribution::Distribution;
use crate::criterion::{Aggregation, OF_VALUES};

/// Steps of a window.
const QUARTERS: usize = 4;

/// Of the windows that are over.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Worst {
    /// In nanoseconds; `None` if no window has enough values.
    pub ns: Option<f64>,
    /// Windows with values.
    pub windows: u64,
    /// The fewest values of a window that has too few for what is asked.
    pub fewest: Option<u64>,
    /// Of a percentile: the greatest of the lower ends of its intervals, and of the upper ones.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// The fewest values of a window whose percentile may lie above all of them.
    pub unbounded: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct Periods {
    width_ns: u64,
    /// Number of the newest quarter.
    at: u64,
    /// The newest last; at most a window and a quarter.
    quarters: VecDeque<Distribution>,
    /// For each of [`OF_VALUES`], over all windows that ended before the newest quarter.
    closed: [Worst; OF_VALUES.len()],
    /// A histogram of the log spans more than a window.
    pub(super) too_coarse: bool,
}

impl Periods {
    pub(super) fn new(width_ns: u64) -> Self {
        Self {
            width_ns: width_ns.max(1),
            at: 0,
            quarters: VecDeque::from([Distribution::default()]),
            closed: [Worst::default(); OF_VALUES.len()],
            too_coarse: false,
        }
    }

    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    fn step_ns(&self) -> u64 {
        self.width_ns.div_ceil(QUARTERS as u64)
    }

    /// Histograms of the log were too coarse for such windows.
    pub fn too_coarse(&self) -> bool {
        self.too_coarse
    }

    /// The values of a time since the start of the load.
    pub(super) fn of(&mut self, load_ns: u64) -> &mut Distribution {
        let quarter = load_ns / self.step_ns();
        // After a window without a value there is nothing that a later one could share.
        if quarter > self.at + QUARTERS as u64 + 1 {
            for _ in 0..=QUARTERS {
                self.step();
            }
            self.at = quarter;
        }
        while quarter > self.at {
            self.step();
            self.at += 1;
        }
        let back = usize::try_from(self.at.saturating_sub(quarter)).unwrap_or(usize::MAX);
        let newest = self.quarters.len() - 1;
        // The oldest may be in no window to come.
        let oldest = self.quarters.len().saturating_sub(QUARTERS);
        &mut self.quarters[newest.saturating_sub(back).max(oldest)]
    }

    /// The newest quarter is over.
    fn step(&mut self) {
        if self.quarters.len() >= QUARTERS {
            let from = self.quarters.len() - QUARTERS;
            fold(&mut self.closed, &merged(self.quarters.iter().skip(from)));
        }
        self.quarters.push_back(Distribution::default());
        if self.quarters.len() > QUARTERS + 1 {
            self.quarters.pop_front();
        }
    }

    /// Over all windows of a load of this length. While it goes on, the open quarter does not count: it may get better.
    /// The last window is longer by what is left at the end.
    pub fn worst(&self, asked: Aggregation, load_ns: u64, is_over: bool) -> Option<Worst> {
        let at = OF_VALUES.iter().position(|one| *one == asked)?;
        let mut all = self.closed;
        let newest_began = self.at.saturating_mul(self.step_ns());
        let newest_is_whole = load_ns.saturating_sub(newest_began) >= self.step_ns();
        if is_over && load_ns.saturating_mul(2) >= self.width_ns {
            // A quarter that is whole leaves one out in front.
            let skip = if newest_is_whole { self.quarters.len().saturating_sub(QUARTERS) } else { 0 };
            fold(&mut all, &merged(self.quarters.iter().skip(skip)));
        }
        Some(all[at])
    }
}

fn merged<'a>(parts: impl Iterator<Item = &'a Distribution>) -> Distribution {
    let mut out = Distribution::default();
    for part in parts {
        out.take_in(part);
    }
    out
}

fn fold(all: &mut [Worst; OF_VALUES.len()], window: &Distribution) {
    if window.count() == 0 {
        return;
    }
    let most = |a: Option<f64>, b: f64| Some(a.map_or(b, |a| a.max(b)));
    let fewest = |a: Option<u64>| Some(a.map_or(window.count(), |n| n.min(window.count())));
    for (worst, asked) in all.iter_mut().zip(OF_VALUES) {
        worst.windows += 1;
        let value = match asked {
            Aggregation::Max => window.max_ns().map(|ns| ns as f64),
            Aggregation::Min => window.min_ns().map(|ns| ns as f64),
            Aggregation::Mean => window.mean_ns(),
            Aggregation::P50 | Aggregation::P90 | Aggregation::P95 | Aggregation::P99 | Aggregation::P999 => {
                let share = asked.quantile().unwrap_or(0.5);
                let (low, high) = window.quantile_interval_ns(share);
                if let Some(low) = low {
                    worst.low = most(worst.low, low as f64);
                }
                match high {
                    Some(high) => worst.high = most(worst.high, high as f64),
                    None => worst.unbounded = fewest(worst.unbounded),
                }
                window.supported_quantile_ns(share).map(|ns| ns as f64)
            }
            Aggregation::Whole | Aggregation::Slope | Aggregation::Growth | Aggregation::Drift => None,
        };
        match value {
            Some(value) => worst.ns = most(worst.ns, value),
            None => worst.fewest = fewest(worst.fewest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn worst(periods: &Periods, asked: Aggregation, load_ns: u64, is_over: bool) -> (Option<f64>, u64) {
        let worst = periods.worst(asked, load_ns, is_over).unwrap();
        (worst.ns, worst.windows)
    }

    /// Windows of 100 that begin every 25; the last one has what is left at the end.
    fn windows(values: &[(u64, u64)], load_ns: u64) -> Vec<Vec<u64>> {
        let newest = values.iter().map(|v| v.0 / 25).max().unwrap_or(0);
        let whole = load_ns >= (newest + 1) * 25;
        let mut out = Vec::new();
        for end in 4..=newest + 1 {
            let is_last = end == newest + 1;
            let (from, to) = match (is_last, whole) {
                (false, _) | (true, true) => (end - 4, end),
                (true, false) => (end.saturating_sub(5), end),
            };
            let of = |t: u64| (from..to).contains(&(t / 25));
            out.push(values.iter().filter(|v| of(v.0)).map(|v| v.1).collect());
        }
        if newest + 1 < 4 && load_ns >= 50 {
            out.push(values.iter().map(|v| v.1).collect());
        }
        out.retain(|window: &Vec<u64>| !window.is_empty());
        out
    }

    proptest! {
        #[test]
        fn the_worst_window_is_that_of_all_that_can_be_laid(
            mut values in prop::collection::vec((0u64..900, 1u64..1_000), 1..60),
            more in 1u64..40,
        ) {
            values.sort_unstable();
            let load_ns = values[values.len() - 1].0 + more;
            let mut periods = Periods::new(100);
            for (at, ns) in &values {
                periods.of(*at).record(*ns);
            }
            let windows = windows(&values, load_ns);
            let of = |f: fn(&Vec<u64>) -> f64| windows.iter().map(f).reduce(f64::max);
            let count = windows.len() as u64;
            let max = of(|w| *w.iter().max().unwrap() as f64);
            let min = of(|w| *w.iter().min().unwrap() as f64);
            let mean = of(|w| w.iter().sum::<u64>() as f64 / w.len() as f64);
            prop_assert_eq!(worst(&periods, Aggregation::Max, load_ns, true), (max, count));
            prop_assert_eq!(worst(&periods, Aggregation::Min, load_ns, true), (min, count));
            let found = worst(&periods, Aggregation::Mean, load_ns, true).0;
            prop_assert!(found.zip(mean).is_none_or(|(a, b)| (a - b).abs() < 1e-6), "{:?} {:?}", found, mean);
            prop_assert_eq!(found.is_some(), mean.is_some());
        }
    }

    #[test]
    fn while_the_load_goes_on_the_open_quarter_does_not_count() {
        let mut periods = Periods::new(100);
        for (at, ns) in [(0, 10), (30, 9), (60, 8), (80, 7), (110, 1)] {
            periods.of(at).record(ns);
        }
        assert_eq!(worst(&periods, Aggregation::Min, 111, false), (Some(7.0), 1));
        assert_eq!(worst(&periods, Aggregation::Max, 40, true).1, 1, "what is closed stays");
    }

    #[test]
    fn late_values_are_not_lost() {
        let mut periods = Periods::new(100);
        periods.of(0).record(1);
        periods.of(510).record(2);
        // Of a window that is long over: in the oldest that is kept.
        periods.of(20).record(70);
        assert_eq!(worst(&periods, Aggregation::Max, 600, true).0, Some(70.0));
    }

    #[test]
    fn a_percentile_needs_its_values_in_each_window() {
        let mut periods = Periods::new(1_000);
        for at in 0..1_500 {
            periods.of(at).record(if at % 1_000 == 999 { 50 } else { 7 });
        }
        let worst = periods.worst(Aggregation::P99, 1_500, true).unwrap();
        assert_eq!((worst.ns, worst.fewest, worst.unbounded), (Some(7.0), None, None));
        assert_eq!((worst.low, worst.high), (Some(7.0), Some(7.0)), "one in a thousand moves no p99");
        let worst = periods.worst(Aggregation::P999, 1_500, true).unwrap();
        assert_eq!((worst.fewest, worst.unbounded), (None, Some(1_000)));
        assert_eq!(periods.worst(Aggregation::Drift, 1_500, true), None);
    }
}
