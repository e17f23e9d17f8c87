//! Figures from run to run, and the commits between which they changed for good.
//!
//! Only runs that can be compared are in one series: what was asked, the machine and the kind of build are the same. What was measured without a
//! run, such as benchmarks, has series of its own, by its source. Deliberately absent: a verdict. A change is something to look at; whether it is a
//! regression, `compare` says.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::figures::{RunFigures, figure_kinds, show};
use super::measured::{Measurement, Source};
use super::terms::Terms;
use crate::criterion::{Better, Unit};
use crate::stats::{self, changes};

/// How often a history without a change may show one, over all its figures together.
const MISS: f64 = 0.01;
/// The key that a run does not have, and a measurement does.
const SOURCE: &str = "source";

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryLine {
    #[serde(flatten)]
    pub run: RunFigures,
    pub terms: Terms,
}

/// What is kept as a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Entry {
    Run(Box<HistoryLine>),
    Measured(Measurement),
}

/// What the points of a series have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Subject {
    Runs { terms: Box<Terms> },
    Measured(Source),
}

/// A run or a measurement, without what it has in common with its series.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Point {
    Run(RunFigures),
    Measured(Measurement),
}

/// What can be compared, in the order in which it began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    #[serde(flatten)]
    pub subject: Subject,
    /// Runs, or measurements.
    pub runs: Vec<Point>,
    pub figures: Vec<Tracked>,
}

/// A figure over the runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tracked {
    pub name: String,
    /// Which way it is good.
    pub better: String,
    /// One a run, in base units; absent where the run has none.
    pub values: Vec<Option<f64>>,
    /// One a value, where its source says how sure it is; empty if it never does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<Option<(f64, f64)>>,
    pub changes: Vec<Changed>,
    #[serde(skip)]
    unit: Unit,
}

/// A figure has another level from one run on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// The last run of the old level, and the first of the new one: the change came between their commits.
    pub last_run: String,
    pub last_commit: String,
    pub first_run: String,
    pub first_commit: String,
    /// As a share of the old level: 0.1 is a tenth more.
    pub change: f64,
    pub is_worse: bool,
    /// How probable such a change is by chance, in a series of this length.
    pub chance: f64,
}

impl Entry {
    pub fn to_json(&self) -> String {
        // These types hold nothing that JSON cannot.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// The error says what is missing of the one that it is.
    pub fn parse(line: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let read = if value.get(SOURCE).is_some() {
            serde_json::from_value(value).map(Self::Measured)
        } else {
            serde_json::from_value(value).map(|run| Self::Run(Box::new(run)))
        };
        read.map_err(|error| error.to_string())
    }

    /// `None` of what is not a run.
    pub fn scenario(&self) -> Option<&str> {
        match self {
            Self::Run(line) => Some(&line.terms.scenario),
            Self::Measured(_) => None,
        }
    }

    fn split(self) -> (Subject, Point) {
        match self {
            Self::Run(line) => {
                let HistoryLine { run, terms } = *line;
                (Subject::Runs { terms: Box::new(terms) }, Point::Run(run))
            }
            Self::Measured(own) => (Subject::Measured(own.source.clone()), Point::Measured(own)),
        }
    }
}

impl From<HistoryLine> for Entry {
    fn from(line: HistoryLine) -> Self {
        Self::Run(Box::new(line))
    }
}

impl Subject {
    fn is_comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Runs { terms }, Self::Runs { terms: others }) => terms.differences(others).is_empty(),
            (Self::Measured(source), Self::Measured(other)) => source == other,
            (Self::Runs { .. }, Self::Measured(_)) | (Self::Measured(_), Self::Runs { .. }) => false,
        }
    }
}

impl Point {
    pub fn run_id(&self) -> &str {
        match self {
            Self::Run(run) => &run.run_id,
            Self::Measured(own) => &own.run_id,
        }
    }

    /// RFC 3339, UTC.
    pub fn started_utc(&self) -> &str {
        match self {
            Self::Run(run) => &run.started_utc,
            Self::Measured(own) => &own.started_utc,
        }
    }

    pub fn commit(&self) -> &str {
        match self {
            Self::Run(run) => &run.commit,
            Self::Measured(own) => &own.commit,
        }
    }

    /// A dash where nothing was judged.
    pub fn verdict(&self) -> &'static str {
        match self {
            Self::Run(run) => run.verdict.word(),
            Self::Measured(_) => "—",
        }
    }

    fn value(&self, name: &str) -> Option<f64> {
        match self {
            Self::Run(run) => run.level(name).map(|level| level.0),
            Self::Measured(own) => own.figures.get(name).map(|estimate| estimate.value),
        }
    }

    fn interval(&self, name: &str) -> Option<(f64, f64)> {
        match self {
            Self::Run(_) => None,
            Self::Measured(own) => own.figures.get(name)?.interval(),
        }
    }
}

impl History {
    /// A history for each series, in the order of their first runs. What comes twice counts once. `least` is the smallest
    /// change that is worth a word, as a share.
    pub fn of(entries: Vec<Entry>, least: f64) -> Vec<Self> {
        let mut points: Vec<(Subject, Point)> = entries.into_iter().map(Entry::split).collect();
        let key = |point: &Point| (point.started_utc().to_owned(), point.run_id().to_owned());
        points.sort_by_cached_key(|(_, point)| key(point));
        let mut series: Vec<(Subject, Vec<Point>)> = Vec::new();
        for (subject, point) in points {
            match series.iter_mut().find(|(known, _)| known.is_comparable(&subject)) {
                Some((_, points)) if points.last().is_some_and(|last| last.run_id() == point.run_id()) => {}
                Some((_, points)) => points.push(point),
                None => series.push((subject, vec![point])),
            }
        }
        let whole = |(subject, runs): (Subject, Vec<Point>)| {
            let figures = track(&subject, &runs, least);
            Self { subject, runs, figures }
        };
        series.into_iter().map(whole).collect()
    }
}

fn track(subject: &Subject, points: &[Point], least: f64) -> Vec<Tracked> {
    let kinds: Vec<(String, Unit, Better)> = match subject {
        Subject::Runs { .. } => figure_kinds()
            .iter()
            .filter(|kind| points.iter().any(|point| point.value(kind.name).is_some()))
            .map(|kind| (kind.name.to_owned(), kind.unit, kind.better))
            .collect(),
        Subject::Measured(source) => {
            let names = points.iter().filter_map(|point| match point {
                Point::Measured(own) => Some(own.figures.keys()),
                Point::Run(_) => None,
            });
            let names: BTreeSet<&String> = names.flatten().collect();
            names.into_iter().map(|name| (name.clone(), source.unit(), source.better())).collect()
        }
    };
    let miss = MISS / kinds.len().max(1) as f64;
    kinds.into_iter().map(|kind| one(kind, points, (miss, least))).collect()
}

fn one((name, unit, better): (String, Unit, Better), points: &[Point], (miss, least): (f64, f64)) -> Tracked {
    let values: Vec<Option<f64>> = points.iter().map(|point| point.value(&name)).collect();
    // What is missing is passed over. Levels are compared as ratios.
    let known: Vec<(&Point, f64)> = points
        .iter()
        .zip(&values)
        .filter_map(|(point, value)| Some((point, value.filter(|value| *value > 0.0)?.ln())))
        .collect();
    let logs: Vec<f64> = known.iter().map(|(_, log)| *log).collect();
    let describe = |change: stats::Change| {
        let (last, first) = (known[change.at - 1].0, known[change.at].0);
        let is_more = change.by > 0.0;
        Changed {
            last_run: last.run_id().to_owned(),
            last_commit: last.commit().to_owned(),
            first_run: first.run_id().to_owned(),
            first_commit: first.commit().to_owned(),
            change: change.by.exp_m1(),
            is_worse: is_more == (better == Better::Lower),
            chance: change.chance,
        }
    };
    let found = changes(&logs, miss, least.ln_1p()).into_iter().map(describe).collect();
    let mut intervals: Vec<_> = points.iter().map(|point| point.interval(&name)).collect();
    if intervals.iter().all(Option::is_none) {
        intervals.clear();
    }
    Tracked { name, better: better.name().to_owned(), values, intervals, changes: found, unit }
}

impl Tracked {
    /// Median and range of all values; and the last one with its interval, where it has one.
    pub fn summary(&self) -> String {
        let mut values: Vec<f64> = self.values.iter().copied().flatten().collect();
        let of = |value: f64| show(self.unit, value);
        let Some(median) = stats::median(&mut values) else { return "—".to_owned() };
        values.sort_by(f64::total_cmp);
        let last = match (self.values.last(), self.intervals.last()) {
            (Some(Some(value)), Some(Some((low, high)))) => {
                format!("; last {}, mean within {} to {}", of(*value), of(*low), of(*high))
            }
            _ => String::new(),
        };
        format!("{} ({} to {}){last}", of(median), of(values[0]), of(values[values.len() - 1]))
    }
}

impl Changed {
    /// `+30.2 % between commits abc and def (runs smoke-1 and smoke-2)`
    pub fn sentence(&self) -> String {
        let percent = self.change * 100.0;
        let word = if self.is_worse { "worse" } else { "better" };
        format!(
            "{percent:+.1} % ({word}) between commits {} and {} (runs {} and {})",
            self.last_commit, self.first_commit, self.last_run, self.first_run
        )
    }
}
