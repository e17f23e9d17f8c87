//! Figures from run to run, and the commits between which they changed for good.
//!
//! Only runs that can be compared are in one series: what was asked, the machine and the kind of build are the same. Deliberately absent: a
//! verdict. A change is something to look at; whether it is a regression, `compare` says.

use serde::{Deserialize, Serialize};

use super::figures::{FigureKind, RunFigures, figure_kinds, show};
use super::terms::Terms;
use crate::stats::{self, changes};

/// How often a history without a change may show one, over all its figures together.
const MISS: f64 = 0.01;

/// One run, as a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryLine {
    #[serde(flatten)]
    pub run: RunFigures,
    pub terms: Terms,
}

/// Runs that can be compared, in the order in which they began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    pub terms: Terms,
    pub runs: Vec<RunFigures>,
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
    pub changes: Vec<Changed>,
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

impl HistoryLine {
    pub fn to_json(&self) -> String {
        // These types hold nothing that JSON cannot.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    pub fn parse(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }
}

impl History {
    /// A history for each series, in the order of their first runs. A run that comes twice counts once. `least` is the smallest
    /// change that is worth a word, as a share.
    pub fn of(lines: Vec<HistoryLine>, least: f64) -> Vec<Self> {
        let mut lines = lines;
        lines.sort_by(|a, b| (&a.run.started_utc, &a.run.run_id).cmp(&(&b.run.started_utc, &b.run.run_id)));
        lines.dedup_by(|a, b| a.run.run_id == b.run.run_id);
        let mut series: Vec<(Terms, Vec<RunFigures>)> = Vec::new();
        for HistoryLine { run, terms } in lines {
            match series.iter_mut().find(|(known, _)| known.differences(&terms).is_empty()) {
                Some((_, runs)) => runs.push(run),
                None => series.push((terms, vec![run])),
            }
        }
        let whole = |(terms, runs): (Terms, Vec<RunFigures>)| {
            let figures = track(&runs, least);
            Self { terms, runs, figures }
        };
        series.into_iter().map(whole).collect()
    }
}

fn track(runs: &[RunFigures], least: f64) -> Vec<Tracked> {
    let has_one = |kind: &&FigureKind| runs.iter().any(|run| run.level(kind.name).is_some());
    let kinds: Vec<&FigureKind> = figure_kinds().iter().filter(has_one).collect();
    let miss = MISS / kinds.len().max(1) as f64;
    kinds.into_iter().map(|kind| one(kind, runs, (miss, least))).collect()
}

fn one(kind: &FigureKind, runs: &[RunFigures], (miss, least): (f64, f64)) -> Tracked {
    let values: Vec<Option<f64>> = runs.iter().map(|run| run.level(kind.name).map(|level| level.0)).collect();
    // What is missing is passed over. Levels are compared as ratios.
    let known: Vec<(&RunFigures, f64)> = runs
        .iter()
        .zip(&values)
        .filter_map(|(run, value)| Some((run, value.filter(|value| *value > 0.0)?.ln())))
        .collect();
    let logs: Vec<f64> = known.iter().map(|(_, log)| *log).collect();
    let describe = |change: stats::Change| {
        let (last, first) = (known[change.at - 1].0, known[change.at].0);
        let is_more = change.by > 0.0;
        Changed {
            last_run: last.run_id.clone(),
            last_commit: last.commit.clone(),
            first_run: first.run_id.clone(),
            first_commit: first.commit.clone(),
            change: change.by.exp_m1(),
            is_worse: is_more == (kind.better == crate::criterion::Better::Lower),
            chance: change.chance,
        }
    };
    let found = changes(&logs, miss, least.ln_1p()).into_iter().map(describe).collect();
    Tracked { name: kind.name.to_owned(), better: kind.better.name().to_owned(), values, changes: found }
}

impl Tracked {
    /// A value with its unit; a dash where there is none.
    pub fn text(&self, at: usize) -> String {
        let kind = FigureKind::named(&self.name);
        let value = self.values.get(at).copied().flatten();
        kind.zip(value).map_or_else(|| "—".to_owned(), |(kind, value)| show(kind.unit, value))
    }

    /// Median and range of all values.
    pub fn summary(&self) -> String {
        let mut values: Vec<f64> = self.values.iter().copied().flatten().collect();
        let Some((kind, median)) = FigureKind::named(&self.name).zip(stats::median(&mut values)) else {
            return "—".to_owned();
        };
        values.sort_by(f64::total_cmp);
        let of = |value: f64| show(kind.unit, value);
        format!("{} ({} to {})", of(median), of(values[0]), of(values[values.len() - 1]))
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
