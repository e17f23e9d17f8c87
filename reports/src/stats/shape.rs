//! What a series looks like, before a line is laid through it: spikes, jumps, a warm-up, a rise that slows down, a
//! sawtooth. A slope means nothing of some of them.

use super::line::{LINE_POINTS_MIN, Noise, theil_sen};
use super::{DEVIATION_OF_MEDIAN, median, tenth};

/// How many robust standard deviations of the usual step make a jump.
const JUMP: f64 = 6.0;
/// So many medians before and after a jump must agree that it lasts.
pub(super) const LASTS: usize = 3;
/// A rise that goes on over more medians is no jump.
const ABRUPT_MAX: usize = 2;

/// A level that changed from one median to the next, and stayed changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Jump {
    /// Index of the first point at the new level.
    pub(super) at: usize,
    pub(super) height: f64,
}

/// What the usual step from one value to the next is, and how much steps differ.
fn steps(values: &[f64], quantum: f64) -> (f64, f64) {
    let mut steps: Vec<f64> = values.windows(2).map(|w| w[1] - w[0]).collect();
    let usual = median(&mut steps).unwrap_or(0.0);
    let mut away: Vec<f64> = steps.iter().map(|s| (s - usual).abs()).collect();
    let spread = median(&mut away).unwrap_or(0.0) * DEVIATION_OF_MEDIAN;
    (usual, (JUMP * spread).max(LASTS as f64 * quantum))
}

/// Values that stand out alone, or two of them together, are laid on the line between their neighbours.
pub(super) fn without_spikes(values: &[f64], quantum: f64) -> Vec<f64> {
    let mut out = values.to_vec();
    let (usual, tolerance) = steps(values, quantum);
    for width in 1..=2 {
        for at in 1..out.len().saturating_sub(width) {
            let (before, after) = (out[at - 1], out[at + width]);
            let expected = (after - before).abs() <= tolerance + usual.abs() * (width + 1) as f64;
            let apart = |v: f64| {
                let (a, b) = (v - before, v - after);
                a.abs() > tolerance && b.abs() > tolerance && (a > 0.0) == (b > 0.0)
            };
            if expected && out[at..at + width].iter().all(|v| apart(*v)) {
                for i in 0..width {
                    out[at + i] = before + (after - before) * (i + 1) as f64 / (width + 1) as f64;
                }
            }
        }
    }
    out
}

/// Where the level changed at once and for good.
pub(super) fn jumps(values: &[f64], quantum: f64) -> Vec<Jump> {
    let (usual, tolerance) = steps(values, quantum);
    let beyond = |at: usize| {
        let step = values[at] - values[at - 1] - usual;
        (step.abs() > tolerance).then_some(step)
    };
    let mut out = Vec::new();
    let mut at = 1;
    while at < values.len() {
        let Some(step) = beyond(at) else {
            at += 1;
            continue;
        };
        let mut end = at + 1;
        let mut height = step;
        while let Some(more) = (end < values.len()).then(|| beyond(end)).flatten()
            && (more > 0.0) == (step > 0.0)
        {
            height += more;
            end += 1;
        }
        if end - at <= ABRUPT_MAX && lasts(values, at, end, height) {
            out.push(Jump { at: end - 1, height });
        }
        at = end;
    }
    out
}

fn lasts(values: &[f64], from: usize, to: usize, height: f64) -> bool {
    let before = median(&mut values[from.saturating_sub(LASTS)..from].to_vec());
    let after = median(&mut values[to - 1..(to - 1 + LASTS).min(values.len())].to_vec());
    let Some((before, after)) = before.zip(after) else { return false };
    let change = after - before;
    (change > 0.0) == (height > 0.0) && change.abs() >= height.abs() / 2.0
}

/// The series with its jumps taken out: each part continues the one before.
pub(super) fn joined(values: &[f64], jumps: &[Jump]) -> Vec<f64> {
    let mut out = values.to_vec();
    for jump in jumps {
        for value in &mut out[jump.at..] {
            *value -= jump.height;
        }
    }
    out
}

/// How many points belong to a warm-up that is over: those that do not lie on the line of the rest, a third at most.
/// A series that is a line from its start has no warm-up.
pub(super) fn warm_up(points: &[(f64, f64)], quantum: f64) -> usize {
    let third = points.len() / 3;
    let rest = &points[third..];
    let Some(slope) = theil_sen(rest).filter(|_| third > 0) else { return 0 };
    let Some(level) = median(&mut rest.iter().map(|p| p.1 - slope * p.0).collect::<Vec<_>>()) else {
        return 0;
    };
    let away = |p: &(f64, f64)| (p.1 - slope * p.0 - level).abs();
    let spread = median(&mut rest.iter().map(away).collect::<Vec<_>>()).unwrap_or(0.0) * DEVIATION_OF_MEDIAN;
    let band = (4.0 * spread).max(quantum);
    let settled = |at: usize| points[at..(at + LASTS).min(points.len())].iter().all(|p| away(p) <= band);
    (0..third).find(|at| settled(*at)).unwrap_or(third)
}

/// A rise that becomes slower and is not over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levelling {
    /// Time in which what is missing shrinks to a third (1/e), in the unit of the points' time.
    pub(super) constant: f64,
    /// Slope at the end.
    pub(super) slope: f64,
}

/// Whether the first half rises, the second clearly less, and its own second half less again. `noise` is that of the
/// series about its parts.
pub(super) fn levelling(points: &[(f64, f64)], noise: Noise, quantum: f64) -> Option<Levelling> {
    let (first, second) = rises(points, noise, quantum)?;
    let slows = |a: Rise, b: Rise| a.height - b.height > a.error.hypot(b.error) && b.height < 0.75 * a.height;
    if first.height <= first.error || !slows(first, second) {
        return None;
    }
    // If the later half does not slow down itself, what it shows is not the end of a warm-up.
    if let Some((third, fourth)) = rises(&points[points.len() / 2..], noise, quantum)
        && fourth.height > fourth.error
        && fourth.height - fourth.error > 0.7 * third.height
    {
        return None;
    }
    let half = (points.last()?.0 - points.first()?.0) / 2.0;
    let ratio = (second.height / first.height).clamp(0.01, 0.75);
    let constant = half / (1.0 / ratio).ln();
    let slope = second.height.max(0.0) / half * (half / constant) / (half / constant).exp_m1();
    Some(Levelling { constant, slope })
}

/// From the median of the beginning to that of the end, and how far noise may move it: once in a hundred series.
#[derive(Clone, Copy)]
struct Rise {
    height: f64,
    error: f64,
}

/// Of the first half and of the second.
fn rises(points: &[(f64, f64)], noise: Noise, quantum: f64) -> Option<(Rise, Rise)> {
    let n = points.len();
    if n < 2 * LINE_POINTS_MIN {
        return None;
    }
    let size = tenth(n);
    let level = |from: usize| median(&mut points[from..from + size].iter().map(|p| p.1).collect::<Vec<_>>());
    let (start, middle, end) = (level(0)?, level((n - size) / 2)?, level(n - size)?);
    let error = (2.58 * (2.0 * noise.of_median(size)).sqrt()).max(quantum);
    Some((Rise { height: middle - start, error }, Rise { height: end - middle, error }))
}

/// A series that rises and falls back again and again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sawtooth {
    /// Between two falls, in the unit of the points' time; over the whole series, if there was one fall.
    pub(super) period: f64,
    /// Whole periods that the series holds, at most.
    pub(super) periods: f64,
    /// `(time, value)` of the least point of each tooth.
    pub(super) minima: Vec<(f64, f64)>,
}

/// If falls take back at least half of what the rises between them add.
pub(super) fn sawtooth(points: &[(f64, f64)], jumps: &[Jump]) -> Option<Sawtooth> {
    let falls: Vec<&Jump> = jumps.iter().filter(|j| j.height < 0.0).collect();
    let fallen: f64 = falls.iter().map(|j| -j.height).sum();
    let (first, last) = (points.first()?, points.last()?);
    let risen = last.1 - first.1 + fallen;
    if falls.is_empty() || fallen < 0.5 * risen || risen < 0.5 * fallen {
        return None;
    }
    let length = last.0 - first.0;
    let mut apart: Vec<f64> =
        falls.windows(2).map(|pair| points[pair[1].at].0 - points[pair[0].at].0).collect();
    let ends = [points[falls[0].at].0 - first.0, last.0 - points[falls[falls.len() - 1].at].0];
    let period = median(&mut apart).unwrap_or(0.0).max(ends[0]).max(ends[1]);
    let starts = falls.iter().map(|j| j.at);
    let minima = starts.map(|at| points[at]).collect();
    Some(Sawtooth { period, periods: length / period.max(f64::MIN_POSITIVE), minima })
}
