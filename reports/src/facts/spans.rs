//! When the load was on: one span in most runs, one a segment in a run that was resumed.
//!
//! Series stay on the run's clock, which goes on across a gap. What is counted against the time of load (its
//! length, throughput, windows) leaves gaps out.

use serde::{Deserialize, Serialize};

/// A part of the load phase, on the run's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub start_ns: u64,
    /// Absent while the load goes on, and where the log stops within it.
    pub end_ns: Option<u64>,
}

/// Time between two segments: from the end of the one before, or from the checkpoint up to which it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from_ns: u64,
    pub to_ns: u64,
    /// Tasks that were on their way when the segment before was cut off; absent if it ended in order, or if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_hand: Option<u64>,
}

impl Gap {
    pub fn length_ns(&self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }
}

/// In order, without overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Span>);

impl Spans {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Span> {
        self.0.iter()
    }

    pub(super) fn begin(&mut self, t_ns: u64) {
        self.0.push(Span { start_ns: t_ns, end_ns: None });
    }

    /// A span behind all others.
    pub(super) fn add(&mut self, span: Span) {
        self.0.push(span);
    }

    /// True if the load was on.
    pub(super) fn end(&mut self, t_ns: u64) -> bool {
        match self.0.last_mut() {
            Some(span) if span.end_ns.is_none() => {
                span.end_ns = Some(t_ns);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Of the first span.
    pub fn start_ns(&self) -> Option<u64> {
        self.0.first().map(|span| span.start_ns)
    }

    /// Of the last span; absent while it is open.
    pub fn end_ns(&self) -> Option<u64> {
        self.0.last()?.end_ns
    }

    pub fn contains(&self, t_ns: u64) -> bool {
        let at = self.0.partition_point(|span| span.start_ns <= t_ns);
        at > 0 && self.0[at - 1].end_ns.is_none_or(|end| t_ns < end)
    }

    /// Since the start of the load, gaps included: the clock of series. 0 before.
    pub fn since_start(&self, t_ns: u64) -> u64 {
        t_ns.saturating_sub(self.start_ns().unwrap_or(0))
    }

    /// Time of load up to a moment, gaps left out. After the last span it goes on, so that what comes in late
    /// has a time of its own.
    pub fn load_time(&self, t_ns: u64) -> u64 {
        let Some((last, before)) = self.0.split_last() else { return t_ns };
        let length = |span: &Span| span.end_ns.unwrap_or(t_ns).min(t_ns).saturating_sub(span.start_ns);
        before.iter().map(length).sum::<u64>() + t_ns.saturating_sub(last.start_ns)
    }

    /// Of load that was cut off at a moment: the last time of load before it, 0 if there was none.
    pub(super) fn last_load_time(&self, cut_ns: u64) -> u64 {
        let before = |span: &Span| span.end_ns.unwrap_or(cut_ns).min(cut_ns).saturating_sub(span.start_ns);
        self.0.iter().map(before).sum::<u64>().saturating_sub(1)
    }

    /// Of all spans; one that is open lasts until `now_ns`.
    pub fn length_ns(&self, now_ns: u64) -> u64 {
        self.0.iter().map(|span| span.end_ns.unwrap_or(now_ns).saturating_sub(span.start_ns)).sum()
    }

    /// From the start of the first to the end of the last.
    pub fn extent_ns(&self, now_ns: u64) -> u64 {
        self.start_ns().map_or(0, |start| self.end_ns().unwrap_or(now_ns).saturating_sub(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_for_series_and_not_for_the_load() {
        let mut spans = Spans::default();
        assert!(!spans.end(5) && !spans.contains(5));
        spans.begin(100);
        assert_eq!((spans.length_ns(130), spans.extent_ns(130), spans.end_ns()), (30, 30, None));
        assert!(spans.end(150) && !spans.end(160));
        spans.begin(1_000);
        assert_eq!((spans.length_ns(1_020), spans.extent_ns(1_020)), (70, 920));
        assert!(spans.end(1_050));
        assert_eq!((spans.length_ns(9_999), spans.extent_ns(9_999)), (100, 950));
        let inside: Vec<u64> =
            [99, 100, 149, 150, 999, 1_000, 1_050].into_iter().filter(|t| spans.contains(*t)).collect();
        assert_eq!(inside, [100, 149, 1_000]);
        assert_eq!([90, 120, 500, 1_010, 1_060].map(|t| spans.load_time(t)), [0, 20, 50, 60, 110]);
        assert_eq!(spans.since_start(1_010), 910);
        assert_eq!([90, 120, 500, 1_010, 9_999].map(|t| spans.last_load_time(t)), [0, 19, 49, 59, 99]);
    }
}
