//! Where a series changes its level for good.
//!
//! Every division of the series into two parts has a Student's t; the greatest one is where the level most likely changes
//! (Hawkins 1977), and its chance is that of the t times the number of divisions (Worsley 1979: the bound of Bonferroni, which is
//! nearly exact for short series). Where there is a change, both parts are asked again (binary segmentation, Vostrikova 1981). A part has
//! three values at least, and a single value far from its neighbours takes their median first (Hampel 1974): a bad hour of the host is no
//! change, and must not hide one. `stats/oracle/compare.rs` holds the greatest t against SciPy.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{DEVIATION_OF_MEDIAN, median, squares};

/// Values on each side of a change, at least.
const PART_MIN: usize = 3;

/// Values before and after a single one that say whether it stands apart.
const NEIGHBOURS: usize = 2;
/// How many standard deviations apart that is.
const APART: f64 = 4.0;

/// From which value on the level is another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Position of the first value of the new level.
    pub at: usize,
    /// Mean after less mean before, within the part of the series that holds no other change.
    pub by: f64,
    pub chance: f64,
}

/// In the order of the series. `miss` is how often a series without a change may show one, and `least` the smallest change that
/// is worth a word.
pub fn changes(values: &[f64], miss: f64, least: f64) -> Vec<Change> {
    let mut found = Vec::new();
    divide(&without_spikes(values), 0, (miss, least), &mut found);
    found.sort_by_key(|change| change.at);
    found
}

/// With the median of its neighbourhood for each value that stands apart from it. The noise is that of neighbouring values, which a
/// change of level hardly touches.
fn without_spikes(values: &[f64]) -> Vec<f64> {
    let mut steps: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let Some(step) = median(&mut steps) else { return values.to_vec() };
    let deviation = DEVIATION_OF_MEDIAN * step / std::f64::consts::SQRT_2;
    let steady = |(at, value): (usize, &f64)| {
        let from = at.saturating_sub(NEIGHBOURS);
        let to = (at + NEIGHBOURS + 1).min(values.len());
        let middle = median(&mut values[from..to].to_vec()).unwrap_or(*value);
        if (value - middle).abs() > APART * deviation { middle } else { *value }
    };
    values.iter().enumerate().map(steady).collect()
}

fn divide(values: &[f64], offset: usize, (miss, least): (f64, f64), found: &mut Vec<Change>) {
    let Some(change) = likeliest(values) else { return };
    if change.chance > miss || change.by.abs() < least {
        return;
    }
    let at = change.at;
    found.push(Change { at: offset + at, ..change });
    divide(&values[..at], offset, (miss, least), found);
    divide(&values[at..], offset + at, (miss, least), found);
}

/// Whether or not it is one. `None` if the series is too short for two parts.
pub(super) fn likeliest(values: &[f64]) -> Option<Change> {
    let n = values.len();
    let divisions = (n + 1).checked_sub(2 * PART_MIN).filter(|divisions| *divisions > 0)?;
    let freedom = n as f64 - 2.0;
    let at = |at: usize| {
        let ((before, a), (after, b)) = (squares(&values[..at]), squares(&values[at..]));
        let (first, second) = (at as f64, (n - at) as f64);
        let error = ((a + b) / freedom * (1.0 / first + 1.0 / second)).sqrt();
        let by = after - before;
        let size = if error > 0.0 { by.abs() / error } else { f64::MAX * f64::from(u8::from(by != 0.0)) };
        (size, Change { at, by, chance: 1.0 })
    };
    let (size, change) = (PART_MIN..=n - PART_MIN).map(at).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let beyond = StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |t| 2.0 * t.sf(size));
    Some(Change { chance: (beyond * divisions as f64).min(1.0), ..change })
}
