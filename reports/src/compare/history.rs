//! Figures from run to run, and the commits between which they changed for good.
//!
//! Only runs that can be compared are in one series: what was asked, the machine and the kind of build are the same. What was measured without a
//! run, such as benchmarks, has series of its own, by its source. Counts are shares here: of so many tasks, so many failed. Deliberately absent: a
//! verdict. A change is something to look at; whether it is a regression, `compare` says.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::figures::{FigureKind, RunFigures, figure_names, show};
use super::measured::{Measurement, Source};
use super::terms::Terms;
use crate::criterion::{Better, Unit};
use crate::stats::{self, Noise, changes};

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
    /// One a run, in base units, or a share of what could have been; absent where the run has none.
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
    /// As a share of the old level: 0.1 is a tenth more. Absent where that was 0.
    pub change: Option<f64>,
    pub is_worse: bool,
    /// How probable such a change is by chance, in a series of this length.
    pub chance: f64,
    /// What it is, in words.
    #[serde(skip)]
    what: String,
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

    fn is_that_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Run(run), Self::Run(other)) => run.is_that_of(other),
            (Self::Run(_) | Self::Measured(_), Self::Run(_) | Self::Measured(_)) => {
                self.run_id() == other.run_id()
            }
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
            Self::Run(run) => {
                let share = |(count, among): (u64, u64)| count as f64 / among.max(1) as f64;
                run.level(name).map(|level| level.0).or_else(|| run.count(name).map(share))
            }
            Self::Measured(own) => own.figures.get(name).map(|estimate| estimate.value),
        }
    }

    /// Among how many, where it is a count.
    fn among(&self, name: &str) -> Option<u64> {
        match self {
            Self::Run(run) => run.count(name).map(|(_, among)| among.max(1)),
            Self::Measured(_) => None,
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
                Some((_, points)) if points.iter().any(|known| known.is_that_of(&point)) => {}
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
        Subject::Runs { .. } => {
            let runs = points.iter().filter_map(|point| match point {
                Point::Run(run) => Some(run),
                Point::Measured(_) => None,
            });
            figure_names(runs).map(|(kind, name)| (name, kind.unit, kind.better)).collect()
        }
        Subject::Measured(source) => {
            let names = points.iter().filter_map(|point| match point {
                Point::Measured(own) => Some(own.figures.keys()),
                Point::Run(_) => None,
            });
            let names: BTreeSet<&String> = names.flatten().collect();
            names.into_iter().map(|name| (name.clone(), source.unit(), source.better())).collect()
        }
    };
    let series: Vec<Series<'_>> = kinds.into_iter().map(|kind| Series::of(kind, subject, points)).collect();
    // A figure that never varies cannot show a change, and is not counted among the questions (Tarone 1990).
    let asked = series.iter().filter(|one| one.varies()).count();
    let miss = MISS / asked.max(1) as f64;
    series.into_iter().map(|one| one.tracked(miss, least)).collect()
}

/// A figure over the points that have it.
struct Series<'a> {
    name: String,
    unit: Unit,
    better: Better,
    points: &'a [Point],
    /// What is missing is passed over.
    known: Vec<(&'a Point, f64)>,
    noise: Noise,
    is_count: bool,
}

impl<'a> Series<'a> {
    fn of((name, unit, better): (String, Unit, Better), subject: &Subject, points: &'a [Point]) -> Self {
        let among = points.iter().filter_map(|point| point.among(&name)).min();
        let is_count = among.is_some();
        // Levels are compared as ratios, which 0 has none of.
        let is_known = |value: &f64| is_count || *value > 0.0;
        let known: Vec<(&Point, f64)> =
            points.iter().filter_map(|point| Some((point, point.value(&name).filter(is_known)?))).collect();
        let noise = match (subject, among) {
            (Subject::Measured(Source::Coverage { .. }), _) => Noise::Exact,
            (Subject::Measured(Source::Criterion { .. }), _) => Noise::Steps(0.0),
            // Chance alone gives transformed shares half of this as their deviation.
            (Subject::Runs { .. }, Some(among)) => Noise::Steps(1.0 / (among as f64).sqrt()),
            (Subject::Runs { .. }, None) => Noise::Steps(step(&name, points)),
        };
        Self { name, unit: if is_count { Unit::Share } else { unit }, better, points, known, noise, is_count }
    }

    fn varies(&self) -> bool {
        self.known.windows(2).any(|pair| pair[0].1.total_cmp(&pair[1].1).is_ne())
    }

    /// On the scale on which the spread is the same for small values and large ones: shares after the transformation of Anscombe (1948).
    fn scaled(&self) -> Vec<f64> {
        let scale = |value: f64| if self.is_count { value.min(1.0).sqrt().asin() } else { value.ln() };
        self.known.iter().map(|(_, value)| scale(*value)).collect()
    }

    /// Levels before and after, and by how much that is more as a share; that of 0 is infinite.
    fn levels(&self, change: &stats::Change) -> (f64, f64, f64) {
        if !self.is_count {
            return (change.before.exp(), change.after.exp(), change.by().exp_m1());
        }
        let mean = |of: &[(&Point, f64)]| of.iter().map(|(_, value)| value).sum::<f64>() / of.len() as f64;
        let (from, to) = change.part;
        let (before, after) = (mean(&self.known[from..change.at]), mean(&self.known[change.at..to]));
        (before, after, after / before - 1.0)
    }

    fn described(&self, change: &stats::Change) -> Changed {
        let (last, first) = (self.known[change.at - 1].0, self.known[change.at].0);
        let (before, after, by) = self.levels(change);
        let is_worse = (by > 0.0) == (self.better == Better::Lower);
        let change_of = Some(by).filter(|by| by.is_finite());
        let what = match change_of {
            Some(by) => format!("{:+.1} %", by * 100.0),
            None => format!("{} after {}", show(self.unit, after), show(self.unit, before)),
        };
        Changed {
            last_run: last.run_id().to_owned(),
            last_commit: last.commit().to_owned(),
            first_run: first.run_id().to_owned(),
            first_commit: first.commit().to_owned(),
            change: change_of,
            is_worse,
            chance: change.chance,
            what,
        }
    }

    fn tracked(self, miss: f64, least: f64) -> Tracked {
        let is_worth = |change: &stats::Change| self.levels(change).2.ln_1p().abs() >= least.ln_1p();
        let found = changes(&self.scaled(), self.noise, miss, &is_worth);
        let found = found.iter().map(|change| self.described(change)).collect();
        let mut intervals: Vec<_> = self.points.iter().map(|point| point.interval(&self.name)).collect();
        if intervals.iter().all(Option::is_none) {
            intervals.clear();
        }
        let values = self.points.iter().map(|point| point.value(&self.name)).collect();
        let better = self.better.name().to_owned();
        Tracked { name: self.name, better, values, intervals, changes: found, unit: self.unit }
    }
}

/// The least that values can differ by, as a share.
fn step(name: &str, points: &[Point]) -> f64 {
    let levels: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|point| match point {
            Point::Run(run) => run.level(name).filter(|level| level.0 > 0.0),
            Point::Measured(_) => None,
        })
        .collect();
    FigureKind::named(name).map_or(0.0, |kind| kind.step(levels.iter()).size())
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
    /// `+30.2 % (worse) between commits abc and def (runs smoke-1 and smoke-2)`
    pub fn sentence(&self) -> String {
        let word = if self.is_worse { "worse" } else { "better" };
        format!(
            "{} ({word}) between commits {} and {} (runs {} and {})",
            self.what, self.last_commit, self.first_commit, self.last_run, self.first_run
        )
    }
}
