//! One threshold: crossed for so many looks in a row it is raised, and holds again when it is clear of the limit for as many.

use reports::runlog::event::ThresholdState;

/// How far on the right side of its limit a figure must be to recover: it would be raised anew at every step, otherwise.
const CLEARANCE: f64 = 0.2;

/// Which side of the limit is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Above,
    Below,
}

#[derive(Debug)]
pub(super) struct Gate {
    side: Side,
    /// Looks in a row that a change needs.
    needs: u32,
    is_raised: bool,
    /// Looks in a row that speak for a change, and when the first of them was.
    streak: (u32, u64),
}

impl Gate {
    pub(super) fn new(side: Side, needs: u32) -> Self {
        Self { side, needs, is_raised: false, streak: (0, 0) }
    }

    /// What a look at `at_ns` changes, and since when that is so.
    pub(super) fn step(&mut self, at_ns: u64, value: f64, limit: f64) -> Option<(ThresholdState, u64)> {
        let is_crossed = match self.side {
            Side::Above => value > limit,
            Side::Below => value < limit,
        };
        let is_clear = match self.side {
            Side::Above => value <= limit * (1.0 - CLEARANCE),
            Side::Below => value >= limit * (1.0 + CLEARANCE),
        };
        if !(if self.is_raised { is_clear } else { is_crossed }) {
            self.streak = (0, 0);
            return None;
        }
        let (looks, since_ns) = self.streak;
        self.streak = (looks + 1, if looks == 0 { at_ns } else { since_ns });
        if self.streak.0 < self.needs {
            return None;
        }
        let since_ns = self.streak.1;
        (self.is_raised, self.streak) = (!self.is_raised, (0, 0));
        Some((if self.is_raised { ThresholdState::Raised } else { ThresholdState::Recovered }, since_ns))
    }
}
