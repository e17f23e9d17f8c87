//! The right-hand side of a criterion: a number with the unit that its metric wants.

use std::fmt;

use super::catalogue::{Aggregation, Kind, Metric, MetricId, Scale, Unit};
use crate::units;

/// Over which time a slope is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Hour,
    Day,
}

impl Per {
    fn hours(self) -> f64 {
        match self {
            Self::Hour => 1.0,
            Self::Day => 24.0,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Hour => "/h",
            Self::Day => "/d",
        }
    }
}

/// As written, so that it prints as it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    Nanos(u64),
    Bytes(u64),
    Percent(f64),
    Count(f64),
    Cores(f64),
    PerSecond(f64),
    /// Of the first steady level.
    PercentPer(f64, Per),
    BytesPer(u64, Per),
    CountPer(f64, Per),
}

impl Threshold {
    /// In base units: seconds, bytes, a ratio, a count; slopes per hour.
    pub fn value(self) -> f64 {
        match self {
            Self::Nanos(ns) => ns as f64 / 1e9,
            Self::Bytes(b) => b as f64,
            Self::Percent(p) => p / 100.0,
            Self::Count(n) | Self::Cores(n) | Self::PerSecond(n) => n,
            Self::PercentPer(p, per) => p / 100.0 / per.hours(),
            Self::BytesPer(b, per) => b as f64 / per.hours(),
            Self::CountPer(n, per) => n / per.hours(),
        }
    }

    /// A slope in percent of the level, not in the metric's own unit.
    pub fn is_relative(self) -> bool {
        matches!(self, Self::PercentPer(..))
    }

    pub fn parse(text: &str, metric: &Metric, aggregation: Aggregation) -> Result<Self, String> {
        match aggregation.scale() {
            Scale::Slope => parse_slope(text, metric),
            Scale::Relative => units::parse_percent(text).map(Self::Percent),
            Scale::Level => parse_level(text, metric),
        }
    }
}

fn parse_level(text: &str, metric: &Metric) -> Result<Threshold, String> {
    match metric.unit {
        Unit::Seconds => notation::duration::parse(text).map(Threshold::Nanos),
        Unit::Bytes => notation::size::parse(text).map(Threshold::Bytes),
        Unit::Share => {
            let percent = units::parse_percent(text)?;
            if percent > 100.0 {
                return Err(format!("`{}` cannot exceed 100%", metric.name));
            }
            Ok(Threshold::Percent(percent))
        }
        Unit::OfOneCore | Unit::OfMean => units::parse_percent(text).map(Threshold::Percent),
        Unit::Count if text.ends_with('%') && metric.id == MetricId::Fds => Err(format!(
            "`{}` is a count; for a share of the limit write `fds.use max < {text}`",
            metric.name
        )),
        Unit::Count => {
            let number = units::parse_number(text);
            let number = number.ok_or_else(|| {
                format!("`{text}` is not a count; write a plain number, such as `0` or `708`")
            })?;
            if metric.kind == Kind::Count && number.fract() != 0.0 {
                return Err(format!("`{}` counts whole things; write a whole number", metric.name));
            }
            Ok(Threshold::Count(number))
        }
        Unit::Cores => text
            .strip_suffix("cores")
            .and_then(|n| units::parse_number(n.trim_end()))
            .map(Threshold::Cores)
            .ok_or_else(|| format!("`{text}` is not a number of cores; write `1.5 cores`")),
        Unit::PerSecond => text
            .strip_suffix("/s")
            .and_then(units::parse_number)
            .map(Threshold::PerSecond)
            .ok_or_else(|| format!("`{text}` is not a rate; write `8000/s`")),
    }
}

fn parse_slope(text: &str, metric: &Metric) -> Result<Threshold, String> {
    let example = match metric.unit {
        Unit::Bytes => "`10%/h` or `1MiB/h`",
        Unit::Seconds
        | Unit::Count
        | Unit::PerSecond
        | Unit::Share
        | Unit::OfOneCore
        | Unit::OfMean
        | Unit::Cores => "`10%/h` or `2/h`",
    };
    let per = |suffix| text.strip_suffix(suffix).map(str::trim_end);
    let (amount, per) = match (per("/h"), per("/d")) {
        (Some(amount), _) => (amount, Per::Hour),
        (_, Some(amount)) => (amount, Per::Day),
        _ => return Err(format!("a slope needs a time unit; write {example}")),
    };
    if amount.ends_with('%') {
        return units::parse_percent(amount).map(|p| Threshold::PercentPer(p, per));
    }
    if metric.unit == Unit::Bytes {
        return notation::size::parse(amount).map(|b| Threshold::BytesPer(b, per));
    }
    units::parse_number(amount)
        .map(|n| Threshold::CountPer(n, per))
        .ok_or_else(|| format!("`{text}` is not a slope; write {example}"))
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Nanos(ns) => f.write_str(&notation::duration::exact(ns)),
            Self::Bytes(b) => f.write_str(&notation::size::exact(b)),
            Self::Percent(p) => write!(f, "{p}%"),
            Self::Count(n) => write!(f, "{n}"),
            Self::Cores(n) => write!(f, "{n} cores"),
            Self::PerSecond(n) => write!(f, "{n}/s"),
            Self::PercentPer(p, per) => write!(f, "{p}%{}", per.suffix()),
            Self::BytesPer(b, per) => write!(f, "{}{}", notation::size::exact(b), per.suffix()),
            Self::CountPer(n, per) => write!(f, "{n}{}", per.suffix()),
        }
    }
}
