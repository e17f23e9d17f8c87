//! How many processes there should be: workers of a coordinator, or coordinators of a fleet.
//!
//! Load is work over places. Above the high mark for a while, a quarter more are started; below the low
//! mark for a while, up to a quarter are retired. A decision never leads to its opposite: not so many are
//! started that the low mark would be passed, nor so many retired that the high mark would be.

use crate::config::Thresholds;
use std::time::Duration;

/// What the numbers may be and when they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    pub min: u32,
    /// At least `min`; it wins if it is not.
    pub max: u32,
    /// Percent of the living that are at work.
    pub high_percent: u32,
    /// Percent; below `high_percent`.
    pub low_percent: u32,
    /// A mark counts when every look for so long was beyond it.
    pub hold_ns: u64,
    /// Between two decisions.
    pub cool_down_ns: u64,
}

impl Marks {
    /// Between `min` and `max`.
    pub fn between(min: u32, max: u32, thresholds: &Thresholds) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            min,
            max,
            high_percent: thresholds.up_at,
            low_percent: thresholds.down_at,
            hold_ns: ns(thresholds.hold),
            cool_down_ns: ns(thresholds.pause),
        }
    }
}

/// A look at the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// At work; together with what waits for a place it may be more than live.
    pub busy: u32,
    pub live: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Stay,
    /// So many more; never 0.
    Grow(u32),
    /// So many fewer; never 0.
    Shrink(u32),
}

/// Remembers when it last decided, and since when a mark is passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scaler {
    decided_ns: Option<u64>,
    passed: Option<(Side, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    High,
    Low,
}

impl Scaler {
    /// A look at `now_ns`.
    pub fn step(&mut self, load: Load, now_ns: u64, marks: &Marks) -> Decision {
        let since_ns = self.since(load, now_ns, marks);
        if self.decided_ns.is_some_and(|last| now_ns < last.saturating_add(marks.cool_down_ns)) {
            return Decision::Stay;
        }
        let held = since_ns.is_some_and(|(_, since)| now_ns >= since.saturating_add(marks.hold_ns));
        let decision = match back_to_bounds(load.live, marks) {
            Decision::Stay if held => match since_ns {
                Some((Side::High, _)) => grow(load, marks),
                Some((Side::Low, _)) => shrink(load, marks),
                None => Decision::Stay,
            },
            bounds => bounds,
        };
        if decision != Decision::Stay {
            self.decided_ns = Some(now_ns);
            self.passed = None;
        }
        decision
    }

    /// Which mark is passed, and since when.
    fn since(&mut self, load: Load, now_ns: u64, marks: &Marks) -> Option<(Side, u64)> {
        let (busy, live) = (u64::from(load.busy) * 100, u64::from(load.live));
        let side = if busy > live * u64::from(marks.high_percent) {
            Some(Side::High)
        } else if busy < live * u64::from(marks.low_percent) {
            Some(Side::Low)
        } else {
            None
        };
        self.passed = side.map(|side| match self.passed {
            Some((before, since)) if before == side => (side, since),
            _ => (side, now_ns),
        });
        self.passed
    }
}

/// The bounds have been moved, or some processes have died for good.
fn back_to_bounds(live: u32, marks: &Marks) -> Decision {
    let max = marks.max.max(marks.min);
    if live < marks.min {
        Decision::Grow(marks.min - live)
    } else if live > max {
        Decision::Shrink(live - max)
    } else {
        Decision::Stay
    }
}

fn grow(load: Load, marks: &Marks) -> Decision {
    let max = marks.max.max(marks.min);
    assert!(load.live <= max, "{} live processes exceed {max}, which is corrected first", load.live);
    let room = max - load.live;
    // Not so many that they would be retired again for want of work.
    let useful = u64::from(load.busy) * 100 / u64::from(marks.low_percent.max(1));
    let useful = useful.saturating_sub(u64::from(load.live)).min(u64::from(u32::MAX)) as u32;
    decided(Decision::Grow, (load.live / 4).max(1).min(room).min(useful))
}

fn shrink(load: Load, marks: &Marks) -> Decision {
    assert!(load.live >= marks.min, "{} live processes are fewer than {}", load.live, marks.min);
    let spare = load.live - marks.min;
    // Not so many that the rest would be too busy.
    let needed = (u64::from(load.busy) * 100).div_ceil(u64::from(marks.high_percent.max(1)));
    let needless = u64::from(load.live).saturating_sub(needed) as u32;
    decided(Decision::Shrink, (load.live / 4).max(1).min(spare).min(needless))
}

fn decided(which: fn(u32) -> Decision, number: u32) -> Decision {
    if number == 0 { Decision::Stay } else { which(number) }
}

#[cfg(test)]
mod tests;
