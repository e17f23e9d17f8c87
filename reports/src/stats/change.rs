//! Where a series changes its level for good.
//!
//! Every division of the series into two parts has a Student's t; the greatest one is where the level most likely changes
//! (Hawkins 1977), and its chance is that of the t times the number of divisions (Worsley 1979: the bound of Bonferroni, which is
//! nearly exact for short series). Where there is a change, both parts are asked again (binary segmentation, Vostrikova 1981). A part has
//! three values at least, and a single value far from its neighbours takes their median first (Hampel 1974): a bad hour of the host is no
//! change, and must not hide one. `reports/oracle/compare.py` holds the greatest t against SciPy.
//!
//! Values that go in few steps have no spread to speak of: three that happen to be alike would be a change for sure. So where most values are
//! like the one before, it is counted how often such a division comes by chance (Fisher's exact test of those that differ from the most
//! common value, over all divisions: Pettitt 1980 has the same of zeros and ones). And no spread is less than that of half a step.

use statrs::distribution::{ContinuousCDF, DiscreteCDF, Hypergeometric, StudentsT};

use super::{DEVIATION_OF_MEDIAN, median, squares};

/// Values on each side of a change, at least.
const PART_MIN: usize = 3;

/// Values before and after a single one that say whether it stands apart.
const NEIGHBOURS: usize = 2;
/// How many standard deviations apart that is.
const APART: f64 = 4.0;

/// How values differ where nothing changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// From one to the next, by no less than this, or not at all.
    Steps(f64),
    /// They would be the same if they were measured again: that some are alike is no chance.
    Exact,
}

/// From which value on the level is another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Position of the first value of the new level.
    pub at: usize,
    /// The part of the series, around it, that holds no change before it was found: its first position, and the one behind its last.
    pub part: (usize, usize),
    /// Means of that part.
    pub before: f64,
    pub after: f64,
    pub chance: f64,
}

impl Change {
    pub fn by(&self) -> f64 {
        self.after - self.before
    }
}

/// In the order of the series. `miss` is how often a series without a change may show one, and `is_worth` says whether a change is
/// large enough for a word.
pub fn changes(values: &[f64], noise: Noise, miss: f64, is_worth: &dyn Fn(&Change) -> bool) -> Vec<Change> {
    let mut found = Vec::new();
    divide(&without_spikes(values, noise), 0, noise, &mut |change: Change| {
        let is_one = change.chance <= miss && is_worth(&change);
        if is_one {
            found.push(change);
        }
        is_one
    });
    found.sort_by_key(|change| change.at);
    found
}

/// With the median of its neighbourhood for each value that stands apart from it. The noise is that of neighbouring values, which a
/// change of level hardly touches. Few steps are counted as they are.
fn without_spikes(values: &[f64], noise: Noise) -> Vec<f64> {
    let mut steps: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let (Some(step), false) = (median(&mut steps), is_counted(values, noise)) else {
        return values.to_vec();
    };
    let deviation = (DEVIATION_OF_MEDIAN * step / std::f64::consts::SQRT_2).max(noise.deviation());
    let steady = |(at, value): (usize, &f64)| {
        let from = at.saturating_sub(NEIGHBOURS);
        let to = (at + NEIGHBOURS + 1).min(values.len());
        let middle = median(&mut values[from..to].to_vec()).unwrap_or(*value);
        if (value - middle).abs() > APART * deviation { middle } else { *value }
    };
    values.iter().enumerate().map(steady).collect()
}

/// Whether most values are like the one before, so that divisions are counted.
fn is_counted(values: &[f64], noise: Noise) -> bool {
    let like = values.windows(2).filter(|pair| pair[1].total_cmp(&pair[0]).is_eq()).count();
    noise != Noise::Exact && like * 2 > values.len().saturating_sub(1)
}

impl Noise {
    /// The least that values have: what goes to and fro by a step has half of it at most.
    fn deviation(self) -> f64 {
        match self {
            Self::Steps(step) => step / 2.0,
            Self::Exact => 0.0,
        }
    }
}

/// `is_one` takes a change, or says that it is none.
fn divide(values: &[f64], offset: usize, noise: Noise, is_one: &mut dyn FnMut(Change) -> bool) {
    let Some(change) = likeliest(values, noise) else { return };
    let at = change.at;
    let placed = Change { at: offset + at, part: (offset, offset + values.len()), ..change };
    if is_one(placed) {
        divide(&values[..at], offset, noise, is_one);
        divide(&values[at..], offset + at, noise, is_one);
    }
}

/// Whether or not it is one. `None` if the series is too short for two parts.
pub(super) fn likeliest(values: &[f64], noise: Noise) -> Option<Change> {
    let n = values.len();
    let divisions = (n + 1).checked_sub(2 * PART_MIN).filter(|divisions| *divisions > 0)?;
    let freedom = n as f64 - 2.0;
    let counted = is_counted(values, noise).then(|| Counted::of(values));
    let at = |at: usize| {
        let ((before, a), (after, b)) = (squares(&values[..at]), squares(&values[at..]));
        let (first, second) = (at as f64, (n - at) as f64);
        let variance = ((a + b) / freedom).max(noise.deviation().powi(2));
        let (by, error) = (after - before, (variance * (1.0 / first + 1.0 / second)).sqrt());
        let size = if error > 0.0 { by.abs() / error } else { f64::MAX * f64::from(u8::from(by != 0.0)) };
        let chance = match &counted {
            Some(counted) => counted.chance(at),
            None => StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |t| 2.0 * t.sf(size)),
        };
        (size, Change { at, part: (0, n), before, after, chance })
    };
    let divided = (PART_MIN..=n - PART_MIN).map(at);
    // The least probable: all have the same degrees of freedom, so that of Student's it is that of the greatest t.
    let by_size = |a: &(f64, Change), b: &(f64, Change)| a.0.total_cmp(&b.0);
    let by_count =
        |a: &(f64, Change), b: &(f64, Change)| b.1.chance.total_cmp(&a.1.chance).then(by_size(a, b));
    let (_, change) = if counted.is_some() { divided.max_by(by_count) } else { divided.max_by(by_size) }?;
    Some(Change { chance: (change.chance * divisions as f64).min(1.0), ..change })
}

/// Which values are greater than the most common one, and which are less.
struct Counted {
    above: Vec<bool>,
    below: Vec<bool>,
}

impl Counted {
    fn of(values: &[f64]) -> Self {
        let is_like = |value: f64| move |other: &&f64| other.total_cmp(&value).is_eq();
        let times = |value: f64| values.iter().filter(is_like(value)).count();
        let most = values.iter().copied().max_by_key(|value| times(*value)).unwrap_or(0.0);
        Self {
            above: values.iter().map(|value| *value > most).collect(),
            below: values.iter().map(|value| *value < most).collect(),
        }
    }

    /// How probable it is that those that differ lie so much on one side of the division, if their order says nothing.
    fn chance(&self, at: usize) -> f64 {
        let asked: Vec<&Vec<bool>> =
            [&self.above, &self.below].into_iter().filter(|differ| differ.contains(&true)).collect();
        let least = asked.iter().map(|differ| fisher(differ, at)).fold(1.0, f64::min);
        (least * asked.len() as f64).min(1.0)
    }
}

/// Twice the chance that as many of those that differ, or more, lie on the side where more than their share is (Fisher 1935).
fn fisher(differ: &[bool], at: usize) -> f64 {
    let count = |of: &[bool]| of.iter().filter(|differs| **differs).count() as u64;
    let (all, after) = (differ.len() as u64, (differ.len() - at) as u64);
    let Ok(null) = Hypergeometric::new(all, count(differ), after) else { return 1.0 };
    let found = count(&differ[at..]);
    let (at_most, at_least) = (null.cdf(found), found.checked_sub(1).map_or(1.0, |below| null.sf(below)));
    (2.0 * at_most.min(at_least)).min(1.0)
}
