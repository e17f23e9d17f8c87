//! What a figure is made of: lines of points, and the axis that they are shown on.

use super::palette::Colour;
use crate::units;

#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Nanoseconds since the start; in a figure over percentiles, nines; in one over ranks, the rank.
    pub(super) t_ns: f64,
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Band {
    Shown,
    Hidden,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) label: String,
    pub(super) colour: Colour,
    pub(super) points: Vec<Point>,
    pub(super) band: Band,
}

/// Which value of a line stands beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Legend {
    Newest,
    Mean,
}

/// The vertical axis: what, and in which units it may be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) what: &'static str,
    units: &'static [(&'static str, f64)],
    /// 100 % is drawn even if nothing comes near.
    pub(super) percent: bool,
    /// A value with its unit.
    pub(super) show: fn(f64) -> String,
    pub(super) legend: Legend,
}

impl Axis {
    pub(super) fn seconds(what: &'static str) -> Self {
        Self {
            what,
            units: &[("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)],
            percent: false,
            show: units::seconds,
            legend: Legend::Newest,
        }
    }

    pub(super) fn bytes(what: &'static str) -> Self {
        const KIB: f64 = 1024.0;
        let units: &[_] = &[("KiB", KIB), ("MiB", KIB * KIB), ("GiB", KIB * KIB * KIB)];
        Self { what, units, percent: false, show: units::bytes, legend: Legend::Newest }
    }

    pub(super) fn percent(what: &'static str) -> Self {
        Self { what, units: &[("%", 0.01)], percent: true, show: units::percent, legend: Legend::Newest }
    }

    /// As [`Self::percent`], of what has no end at 100 %, and from zero.
    pub(super) fn share(what: &'static str) -> Self {
        Self { percent: false, ..Self::percent(what) }
    }

    /// `what` says the unit itself.
    pub(super) fn count(what: &'static str) -> Self {
        Self { what, units: &[("", 1.0)], percent: false, show: units::count, legend: Legend::Newest }
    }

    /// Noisy: the newest value would say nothing.
    pub(super) fn cores(what: &'static str) -> Self {
        Self { show: units::cores, legend: Legend::Mean, ..Self::count(what) }
    }

    /// The largest unit of which the greatest value has at least one and a half.
    pub(super) fn unit(&self, max: f64) -> (&'static str, f64) {
        *self.units.iter().rev().find(|(_, scale)| max >= 1.5 * scale).unwrap_or(&self.units[0])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Time,
    Percentiles,
    /// Of the coordinators: bars.
    Places,
    /// Of the workers, from 1.
    Ranks,
    /// Over time, columns of this width: how many values lie between `low` and `high` of a point is its `mean`.
    Heat {
        width_ns: u64,
    },
}

impl Over {
    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::Time | Self::Heat { .. })
    }
}
