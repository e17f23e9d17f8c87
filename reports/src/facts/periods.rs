//! Times in equal windows: of each window what it amounts to, and of all windows the worst.
//!
//! Two histograms are kept, however long the run is: that of the open window, and that of the one before, to which a
//! last window belongs that is shorter than half. Values come nearly in order: one of an older window counts in the
//! oldest that is kept.

use super::distribution::Distribution;
use crate::criterion::{Aggregation, OF_VALUES};

/// Of the windows that are over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    /// In nanoseconds; `None` if no window has enough values.
    pub ns: Option<f64>,
    /// Windows with values.
    pub windows: u64,
    /// The fewest values of a window that has too few for what is asked.
    pub fewest: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct Periods {
    width_ns: u64,
    /// Number of the open window.
    at: u64,
    open: Distribution,
    before: Distribution,
    /// For each of [`OF_VALUES`], over all windows but these two.
    closed: [Worst; OF_VALUES.len()],
    /// A histogram of the log spans more than a window.
    pub(super) too_coarse: bool,
}

impl Periods {
    pub(super) fn new(width_ns: u64) -> Self {
        Self {
            width_ns: width_ns.max(1),
            at: 0,
            open: Distribution::default(),
            before: Distribution::default(),
            closed: [Worst { ns: None, windows: 0, fewest: None }; OF_VALUES.len()],
            too_coarse: false,
        }
    }

    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// Histograms of the log were too coarse for such windows.
    pub fn too_coarse(&self) -> bool {
        self.too_coarse
    }

    /// The values of a time since the start of the load.
    pub(super) fn of(&mut self, load_ns: u64) -> &mut Distribution {
        let window = load_ns / self.width_ns;
        if window > self.at {
            let ended = std::mem::take(&mut self.open);
            // If windows without a value lie between, the one before the new one is one of them.
            let adjacent = window == self.at + 1;
            let before = std::mem::replace(
                &mut self.before,
                if adjacent { ended.clone() } else { Distribution::default() },
            );
            fold(&mut self.closed, &before);
            if !adjacent {
                fold(&mut self.closed, &ended);
            }
            self.at = window;
        }
        if window < self.at { &mut self.before } else { &mut self.open }
    }

    /// Over all windows of a load of this length. While it goes on, the open window does not count: it may get better.
    pub fn worst(&self, asked: Aggregation, load_ns: u64, is_over: bool) -> Option<Worst> {
        let at = OF_VALUES.iter().position(|one| *one == asked)?;
        let mut all = self.closed;
        let into = load_ns.saturating_sub(self.at.saturating_mul(self.width_ns));
        // Shorter than half a window: its values belong to the one before.
        if is_over && self.at > 0 && into.saturating_mul(2) < self.width_ns {
            let mut last = self.before.clone();
            last.take_in(&self.open);
            fold(&mut all, &last);
        } else {
            fold(&mut all, &self.before);
            if is_over && into.saturating_mul(2) >= self.width_ns {
                fold(&mut all, &self.open);
            }
        }
        Some(all[at])
    }
}

fn fold(all: &mut [Worst; OF_VALUES.len()], window: &Distribution) {
    if window.count() == 0 {
        return;
    }
    for (worst, asked) in all.iter_mut().zip(OF_VALUES) {
        worst.windows += 1;
        let value = match asked {
            Aggregation::Max => window.max_ns().map(|ns| ns as f64),
            Aggregation::Min => window.min_ns().map(|ns| ns as f64),
            Aggregation::Mean => window.mean_ns(),
            Aggregation::P50 | Aggregation::P90 | Aggregation::P95 | Aggregation::P99 | Aggregation::P999 => {
                let quantile = asked.quantile().and_then(|share| window.supported_quantile_ns(share));
                quantile.map(|ns| ns as f64)
            }
            Aggregation::Whole | Aggregation::Slope | Aggregation::Growth | Aggregation::Drift => None,
        };
        match value {
            Some(value) => worst.ns = Some(worst.ns.map_or(value, |before| before.max(value))),
            None => worst.fewest = Some(worst.fewest.map_or(window.count(), |n| n.min(window.count()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn periods(values: &[(u64, u64)]) -> Periods {
        let mut periods = Periods::new(100);
        for (at, ns) in values {
            periods.of(*at).record(*ns);
        }
        periods
    }

    fn worst(periods: &Periods, asked: Aggregation, load_ns: u64, is_over: bool) -> (Option<f64>, u64) {
        let worst = periods.worst(asked, load_ns, is_over).unwrap();
        (worst.ns, worst.windows)
    }

    #[test]
    fn the_worst_window_counts_and_not_the_worst_value() {
        // Maxima 9, 3 and 5; means 6, 3 and 5; least values 3, 3 and 5.
        let periods = periods(&[(0, 3), (10, 9), (110, 3), (250, 5), (251, 5)]);
        assert_eq!(worst(&periods, Aggregation::Max, 300, true), (Some(9.0), 3));
        assert_eq!(worst(&periods, Aggregation::Mean, 300, true), (Some(6.0), 3));
        assert_eq!(worst(&periods, Aggregation::Min, 300, true), (Some(5.0), 3));
        // The open window may get better.
        assert_eq!(worst(&periods, Aggregation::Min, 260, false), (Some(3.0), 2));
    }

    #[test]
    fn a_short_last_window_belongs_to_the_one_before() {
        let periods = periods(&[(0, 10), (110, 2), (210, 8)]);
        // Means 10, 2 and 8, or 10 and 5.
        assert_eq!(worst(&periods, Aggregation::Min, 249, true), (Some(10.0), 2));
        assert_eq!(worst(&periods, Aggregation::Mean, 249, true), (Some(10.0), 2));
        assert_eq!(worst(&periods, Aggregation::Mean, 250, true), (Some(10.0), 3));
        let late = super::Periods::new(100);
        assert_eq!(worst(&late, Aggregation::Max, 1_000, true), (None, 0));
    }

    #[test]
    fn windows_without_a_value_are_left_out_and_late_values_are_not_lost() {
        let mut periods = periods(&[(0, 1), (510, 2)]);
        // Of a window that is long over: in the oldest that is kept.
        periods.of(20).record(70);
        assert_eq!(worst(&periods, Aggregation::Max, 600, true), (Some(70.0), 3));
    }

    #[test]
    fn a_percentile_needs_its_values_in_each_window() {
        let mut periods = Periods::new(1_000);
        for at in 0..1_500 {
            periods.of(at).record(if at % 1_000 == 999 { 50 } else { 7 });
        }
        let worst = periods.worst(Aggregation::P99, 1_500, true).unwrap();
        assert_eq!((worst.ns, worst.windows, worst.fewest), (Some(7.0), 2, None));
        let worst = periods.worst(Aggregation::P999, 1_500, true).unwrap();
        assert_eq!((worst.windows, worst.fewest), (2, Some(500)));
        assert_eq!(periods.worst(Aggregation::Drift, 1_500, true), None);
    }
}
