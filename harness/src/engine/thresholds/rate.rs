//! The share of tasks that failed in a sliding window.

use std::collections::VecDeque;
use std::time::Duration;

/// Parts of a window: it slides by one of them.
const PARTS: u64 = 30;

#[derive(Debug)]
pub(super) struct Failures {
    part_ns: u64,
    /// Tasks and failures, by the number of the part; in order.
    parts: VecDeque<(u64, u64, u64)>,
}

impl Failures {
    pub(super) fn within(window: Duration) -> Self {
        let part_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).div_ceil(PARTS).max(1);
        Self { part_ns, parts: VecDeque::new() }
    }

    /// Tasks of a round that ended at `at_ns`.
    pub(super) fn push(&mut self, at_ns: u64, tasks: u64, failed: u64) {
        // Rounds may end out of order: what is late counts in the newest part.
        let newest = self.parts.back().map_or(0, |(part, ..)| *part);
        let part = (at_ns / self.part_ns).max(newest);
        match self.parts.back_mut().filter(|(last, ..)| *last == part) {
            Some((_, all, bad)) => (*all, *bad) = (*all + tasks, *bad + failed),
            None => self.parts.push_back((part, tasks, failed)),
        }
        self.forget(at_ns);
    }

    /// In the window that ends at `at_ns`; nothing if no task has ended in it.
    pub(super) fn rate(&mut self, at_ns: u64) -> Option<f64> {
        self.forget(at_ns);
        let (all, bad) = self.parts.iter().fold((0, 0), |(all, bad), (_, n, m)| (all + n, bad + m));
        (all > 0).then(|| bad as f64 / all as f64)
    }

    fn forget(&mut self, at_ns: u64) {
        let oldest = (at_ns / self.part_ns).saturating_sub(PARTS - 1);
        while self.parts.front().is_some_and(|(part, ..)| *part < oldest) {
            self.parts.pop_front();
        }
    }
}
