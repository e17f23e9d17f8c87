//! Ranges, units and titles of the axes of a figure, and what lies behind its lines.

use super::limits::Limit;
use super::model::{Axis, Line, Over};
use super::windows;
use crate::facts::{Facts, Span};
use crate::runlog::event::Phase;
use crate::units;

/// Limits are drawn up to so many times the greatest value.
const NEAR: f64 = 2.0;
/// As [`NEAR`], where a factor of ten is a step.
const NEAR_LOG: f64 = 100.0;
/// Deaths that are marked: closer together they are one mark anyway.
const MARKS_MAX: usize = 200;

/// Ranges, units and titles of the axes.
pub(super) struct Frame {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
    pub(super) x_scale: f64,
    pub(super) y_scale: f64,
    pub(super) x_title: String,
    pub(super) y_title: String,
    pub(super) x_labels: usize,
    /// Of the lines, in the axis's own unit.
    pub(super) greatest: f64,
    /// The vertical axis counts powers of ten.
    pub(super) is_log: bool,
}

/// From just below the least to just above all.
fn percents(min: f64) -> (f64, f64) {
    let low = (min * 100.0).min(98.0);
    ((low - (100.0 - low) * 0.1).max(0.0), 100.0 + (100.0 - low) * 0.06)
}

/// Whole powers of ten around all that is not zero.
fn powers(min: f64, max: f64) -> (f64, f64) {
    let (low, high) = (min.log10().floor(), max.log10().ceil());
    if low.is_finite() && high > low { (low, high) } else { (high - 1.0, high) }
}

/// An axis that does not start there makes a mole-hill a mountain.
fn from_zero(max: f64) -> (f64, f64) {
    (0.0, if max > 0.0 { max * 1.08 } else { 1.0 })
}

impl Frame {
    pub(super) fn of((axis, over): (Axis, Over), lines: &[Line], limits: &[Limit], facts: &Facts) -> Self {
        let points = || lines.iter().flat_map(|l| &l.points);
        let max = points().map(|p| p.high.max(p.mean)).fold(0.0, f64::max);
        let min = points().map(|p| p.low.min(p.mean)).fold(f64::INFINITY, f64::min);
        let greatest = max;
        // A limit that is near is part of the picture.
        let near = limits.iter().map(|limit| limit.value).filter(|value| *value <= NEAR * max);
        let max = near.fold(max, f64::max);
        let (unit, y_scale) = axis.unit(max);
        let y = if axis.percent { percents(min) } else { from_zero(max / y_scale) };
        let y_title = match unit {
            "" => axis.what.to_owned(),
            unit => format!("{} [{unit}]", axis.what),
        };
        let end = points().map(|p| p.t_ns).fold(0.0, f64::max);
        let of = |x: (f64, f64), x_scale: f64, x_title: String, x_labels: usize| Self {
            x,
            y,
            x_scale,
            y_scale,
            x_title,
            y_title,
            x_labels,
            greatest,
            is_log: false,
        };
        match over {
            Over::Places => of((-0.6, end + 0.6), 1.0, "coordinator".into(), 11),
            // A single point has an axis, too.
            Over::Ranks => of((1.0, end.max(2.0)), 1.0, "worker, the slowest on average first".into(), 9),
            Over::Percentiles => of((0.0, end.max(0.5)), 1.0, "share of rounds or tasks".into(), 6),
            Over::Time | Over::Heat { .. } => {
                let end = end.max(facts.load_end_ns().unwrap_or(0) as f64).max(1e6);
                let (unit, scale) = match end / 1e9 {
                    s if s < 240.0 => ("s", 1e9),
                    s if s < 4.0 * 3600.0 => ("min", 60e9),
                    s if s < 4.0 * 86_400.0 => ("h", 3600e9),
                    _ => ("d", 86_400e9),
                };
                of((0.0, end / scale), scale, format!("time [{unit}]; {}", shades(facts)), 9)
            }
        }
    }

    /// As [`Self::of`], with powers of ten upwards: what is small is seen beside what is large. `None` where nothing is above zero.
    pub(super) fn log(axis: (Axis, Over), lines: &[Line], limits: &[Limit], facts: &Facts) -> Option<Self> {
        let points = || lines.iter().flat_map(|line| &line.points);
        let min = points().map(|p| p.low).filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        let max = points().map(|p| p.high).fold(0.0, f64::max);
        let near = limits.iter().map(|limit| limit.value).filter(|value| *value <= NEAR_LOG * max);
        let max = near.fold(max, f64::max);
        if !min.is_finite() || max <= 0.0 {
            return None;
        }
        let y_title = format!("{} (log)", axis.0.what);
        let frame = Self::of(axis, lines, limits, facts);
        // The mean of a heat map's cell is a count, and not on this axis.
        let greatest = points().map(|p| p.high).fold(0.0, f64::max);
        Some(Self { y: powers(min, max), y_scale: 1.0, y_title, greatest, is_log: true, ..frame })
    }

    /// Where a value is drawn.
    pub(super) fn y_at(&self, value: f64) -> f64 {
        if self.is_log { value.log10().max(self.y.0) } else { value / self.y_scale }
    }

    pub(super) fn y_label(&self, y: f64, show: fn(f64) -> String) -> String {
        match self.is_log {
            false => number(y, self.y.1 - self.y.0),
            // Between the powers a grid line says enough.
            true if (y - y.round()).abs() > 1e-6 => String::new(),
            true => show(10f64.powf(y.round())),
        }
    }

    pub(super) fn x_label(&self, x: f64, over: Over) -> String {
        match over {
            Over::Time | Over::Heat { .. } => number(x, self.x.1 - self.x.0),
            // Between the nines a grid line says enough: no reader looks for 96.8377 %, or for half a coordinator.
            Over::Places | Over::Ranks | Over::Percentiles if (x - x.round()).abs() > 1e-6 => String::new(),
            // Plus zero, or the first would read as -0.
            Over::Places | Over::Ranks => format!("{}", x.round() + 0.0),
            Over::Percentiles => {
                let share = 100.0 - 10f64.powf(2.0 - x);
                format!("{} %", (share * 1e4).round() / 1e4)
            }
        }
    }

    pub(super) fn shows(&self, limit: &Limit) -> bool {
        // Values that are below a logarithmic axis lie on its bottom; a limit there would be read as one of that height.
        let y = if self.is_log { limit.value.log10() } else { self.y_at(limit.value) };
        (self.y.0..=self.y.1).contains(&y)
    }

    /// While a declared fault lasts, or the fleet has not recovered from it.
    pub(super) fn faults(&self, facts: &Facts) -> Vec<(f64, f64)> {
        let at = |ns: u64| (ns as f64 / self.x_scale).clamp(self.x.0, self.x.1);
        windows::of_faults(facts).into_iter().map(|(from, to)| (at(from), at(to))).collect()
    }

    /// When processes died, declared or not.
    pub(super) fn deaths(&self, facts: &Facts) -> Vec<f64> {
        let all = facts.exits_unexpected.items.iter().chain(&facts.exits_declared.items);
        let mut at: Vec<f64> = all.map(|exit| exit.seen_ns as f64 / self.x_scale).collect();
        at.sort_by(f64::total_cmp);
        at.dedup_by(|a, b| (*a - *b).abs() < (self.x.1 - self.x.0) / MARKS_MAX as f64);
        at.retain(|x| (self.x.0..=self.x.1).contains(x));
        at
    }

    /// While the run was interrupted, and nothing was recorded.
    pub(super) fn gaps(&self, facts: &Facts) -> Vec<(f64, f64)> {
        let at = |ns: u64| (ns as f64 / self.x_scale).clamp(self.x.0, self.x.1);
        facts.gaps.iter().map(|gap| (at(gap.from_ns), at(gap.to_ns))).filter(|(from, to)| to > from).collect()
    }

    /// What lies before and after the load phase, and between its spans: a gap, and the warm-up of another fleet.
    pub(super) fn unjudged(&self, facts: &Facts) -> Vec<(f64, f64)> {
        let at = |ns: u64| (ns as f64 / self.x_scale).clamp(self.x.0, self.x.1);
        let has_load = facts.phases.iter().any(|p| p.0 == Phase::Load);
        let mut out = Vec::new();
        if let Some(start) = facts.load_start_ns() {
            out.push((self.x.0, at(start)));
        }
        if let (true, Some(end)) = (has_load, facts.load_end_ns()) {
            out.push((at(end), self.x.1));
        }
        let spans: Vec<Span> = facts.spans.iter().copied().collect();
        for pair in spans.windows(2) {
            out.extend(pair[0].end_ns.map(|end| (at(end), at(pair[1].start_ns))));
        }
        out.retain(|(from, to)| to > from);
        out
    }
}

/// What the shades mean.
fn shades(facts: &Facts) -> String {
    let died = !facts.exits_unexpected.items.is_empty() || !facts.exits_declared.items.is_empty();
    let areas = match (facts.faults.firings.is_empty(), facts.gaps.is_empty()) {
        (true, true) => "shaded: not judged",
        (true, false) => "shaded: not judged; hatched: gap",
        (false, true) => "grey: not judged; red: faults",
        (false, false) => "grey: not judged; hatched: gap; red: fault",
    };
    format!("{areas}{}", if died { "; ticks: deaths" } else { "" })
}

/// As many decimals as the range needs.
pub(super) fn number(value: f64, range: f64) -> String {
    let decimals = match range {
        r if r >= 8.0 => 0,
        r if r >= 0.8 => 1,
        r if r >= 0.08 => 2,
        r if r > 0.0 => ((0.8 / r).log10().ceil() as usize + 1).clamp(3, 9),
        _ => 3,
    };
    if decimals == 0 {
        // Plus zero, or what is rounded up to it would read as -0.
        return units::count(value.round() + 0.0);
    }
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') { "0".into() } else { text }
}
