//! What the harness's own process holds: descriptors, threads and memory, early and late in the load.
//!
//! One reading may catch a file that is open for a moment, or memory that is soon given back. So what it held early is
//! the most of the first quarter of the load, and what it holds late the least of the last: only growth that stays is
//! between them. Two sweeps are enough, and nothing is kept of the others. Each segment has a process of its own, which is held to
//! itself.

use crate::runlog::event::AgentSample;

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub fds: u64,
    pub threads: u64,
    /// RssAnon, in bytes.
    pub anon_bytes: u64,
}

impl Held {
    fn of(row: &AgentSample) -> Self {
        Self {
            fds: row.fds.into(),
            threads: row.threads.into(),
            anon_bytes: row.anon_kib.saturating_mul(1024),
        }
    }

    fn most(self, other: Self) -> Self {
        Self {
            fds: self.fds.max(other.fds),
            threads: self.threads.max(other.threads),
            anon_bytes: self.anon_bytes.max(other.anon_bytes),
        }
    }

    fn least(self, other: Self) -> Self {
        Self {
            fds: self.fds.min(other.fds),
            threads: self.threads.min(other.threads),
            anon_bytes: self.anon_bytes.min(other.anon_bytes),
        }
    }
}

/// Of the load phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InLoad {
    first: Held,
    last: Held,
    early: Held,
    late: Option<Held>,
}

impl InLoad {
    fn early_and_late(self) -> (Held, Held) {
        (self.early, self.late.unwrap_or(self.last))
    }
}

#[derive(Debug, Clone, Default)]
pub struct OwnFacts {
    duration_ns: u64,
    /// How much of the load lies before this segment.
    from_ns: u64,
    start: Option<Held>,
    load: Option<InLoad>,
    /// Of each segment before.
    before: Vec<(Held, Held)>,
}

impl OwnFacts {
    pub(super) fn new(duration_ns: u64) -> Self {
        Self { duration_ns, ..Self::default() }
    }

    /// Another process measures from here on; so much of the load is over.
    pub(super) fn resume(&mut self, load_ns: u64) {
        self.before.extend(self.load.take().map(InLoad::early_and_late));
        (self.from_ns, self.start) = (load_ns, None);
    }

    /// `load_ns`: how much of the load was over; `None` outside of it.
    pub(super) fn push(&mut self, row: &AgentSample, load_ns: Option<u64>) {
        let held = Held::of(row);
        self.start.get_or_insert(held);
        let Some(load_ns) = load_ns else { return };
        let load = self.load.get_or_insert(InLoad { first: held, last: held, early: held, late: None });
        load.last = held;
        let quarter_ns = self.duration_ns.saturating_sub(self.from_ns) / 4;
        if load_ns < self.from_ns.saturating_add(quarter_ns) {
            load.early = load.early.most(held);
        } else if load_ns >= self.duration_ns.saturating_sub(quarter_ns) {
            load.late = Some(load.late.map_or(held, |late| late.least(held)));
        }
    }

    /// Of the newest segment that had a sweep in the load: in the first sweep, in the first of the load, and in the last of the load.
    pub fn shown(&self) -> Option<[Held; 3]> {
        let before = || self.before.last().map(|(early, late)| [*early, *early, *late]);
        self.load.and_then(|load| Some([self.start?, load.first, load.last])).or_else(before)
    }

    /// The most that it held early in the load, and the least late in it, of each segment.
    pub fn early_and_late(&self) -> impl Iterator<Item = (Held, Held)> {
        self.before.iter().copied().chain(self.load.map(InLoad::early_and_late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runlog::columns;

    fn row(fds: u32, anon_kib: u64) -> AgentSample {
        AgentSample { anon_kib, fds, threads: fds + 1, ..columns::NOTHING }
    }

    fn early_and_late(rows: &[(u32, u64)]) -> [u64; 2] {
        let mut own = OwnFacts::new(rows.len() as u64 * 10);
        for (at, (fds, anon)) in rows.iter().enumerate() {
            own.push(&row(*fds, *anon), Some(at as u64 * 10));
        }
        let (early, late) = own.early_and_late().next().unwrap();
        assert_eq!((early.threads, late.threads), (early.fds + 1, late.fds + 1));
        [early.fds, late.fds]
    }

    #[test]
    fn only_growth_that_stays_is_growth() {
        assert_eq!(
            early_and_late(&[(5, 1), (9, 1), (5, 1), (5, 1), (5, 1), (5, 1), (90, 1), (5, 1)]),
            [9, 5]
        );
        assert_eq!(
            early_and_late(&[(5, 1), (6, 1), (7, 1), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1)]),
            [6, 11]
        );
        // A run that has one sweep has not grown.
        assert_eq!(early_and_late(&[(5, 1)]), [5, 5]);
        assert_eq!(early_and_late(&[(5, 1), (8, 1)]), [5, 8]);
    }

    #[test]
    fn each_segment_is_held_to_its_own_process() {
        let mut own = OwnFacts::new(80);
        for (load_ns, fds) in [(0, 4), (10, 5), (30, 6)] {
            own.push(&row(fds, 1), Some(load_ns));
        }
        own.resume(40);
        assert_eq!(own.shown().unwrap().map(|held| held.fds), [5, 5, 6]);
        // The rest of the load is 40 ns: its first quarter ends at 50, and its last begins at 70.
        for (load_ns, fds) in [(40, 20), (49, 21), (50, 90), (70, 23), (75, 22)] {
            own.push(&row(fds, 1), Some(load_ns));
        }
        let fds: Vec<_> = own.early_and_late().map(|(early, late)| (early.fds, late.fds)).collect();
        assert_eq!(fds, [(5, 6), (21, 22)]);
    }

    #[test]
    fn what_is_shown_are_single_readings() {
        let mut own = OwnFacts::new(100);
        assert_eq!(own.shown(), None);
        own.push(&row(3, 1), None);
        assert_eq!((own.shown(), own.early_and_late().next()), (None, None));
        for (load_ns, fds) in [(0, 4), (50, 9), (90, 5)] {
            own.push(&row(fds, 2), Some(load_ns));
        }
        own.push(&row(7, 1), None);
        let shown = own.shown().unwrap();
        assert_eq!(shown.map(|held| held.fds), [3, 4, 5]);
        assert_eq!(shown[2].anon_bytes, 2_048);
    }
}
