//! Runs as an analysis takes them, those that it cannot take, and what all must have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::design::{Cell, Design};
use super::figures::FIGURES;
use crate::compare::{Difference, RunFigures, Terms};
use crate::summary::Summary;
use crate::units::things;
use crate::verdict::Verdict;

/// A run that is analysed.
#[derive(Debug, Clone, PartialEq)]
pub struct ImpactRun {
    /// What the caller calls it.
    pub name: String,
    pub block: u32,
    pub cell: Cell,
    pub run_id: String,
    pub commit: String,
    pub verdict: Verdict,
    pub terms: Terms,
    /// Value and step, by name.
    pub(super) figures: BTreeMap<&'static str, (f64, f64)>,
}

/// A run that was to be there, and why it is not analysed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its cell and block, or what the caller calls it if that is not known.
    pub run: String,
    pub why: String,
}

/// Why there is no analysis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("the runs {first} and {second} differ in {}", what.join("; "))]
    Different { first: String, second: String, what: Vec<String> },
    #[error("the run {run} is a rehearsal: its schedule was compressed, and its figures are of no real load")]
    Rehearsal { run: String },
    #[error("the run {run} is named more than once")]
    Twice { run: String },
    #[error("there is no run that can be analysed{}", absent(missing))]
    Nothing { missing: Vec<Missing> },
}

fn absent(missing: &[Missing]) -> String {
    match missing {
        [] => String::new(),
        [one] => format!(": {}", one.why),
        [first, ..] => {
            format!(": {} are missing, the first because {}", things(missing.len() as u64, "run"), first.why)
        }
    }
}

impl Mismatch {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Different { .. } => "name runs that differ in the factors alone, or make them anew",
            Self::Rehearsal { .. } => "name runs that were made without --rehearse",
            Self::Twice { .. } => "name each run once",
            Self::Nothing { .. } => {
                "name runs that have come to their end, or make them with `harness impact SCENARIO`"
            }
        }
    }

    /// Whether nothing is wrong with the request: the runs are only not there.
    pub fn is_missing_runs(&self) -> bool {
        matches!(self, Self::Nothing { missing } if !missing.is_empty())
    }
}

impl ImpactRun {
    /// # Errors
    /// In words: why nothing of it can be analysed.
    pub fn of(
        name: &str,
        (block, cell): (u32, Cell),
        (terms, figures): &(Terms, RunFigures),
        summary: &Summary,
    ) -> Result<Self, String> {
        if figures.verdict == Verdict::Inconclusive {
            return Err(format!("the verdict of {name} is INCONCLUSIVE"));
        }
        if let Some(why) = summary.unserved() {
            return Err(format!("{name} has no figures of a fleet that did its work: {why}"));
        }
        let of: BTreeMap<&'static str, (f64, f64)> = FIGURES
            .iter()
            .filter_map(|figure| Some((figure.name, figure.value(figures, summary)?)))
            .collect();
        // A fleet that was lost, or did not start.
        let is_whole = figures.figures.len() > 1;
        if !is_whole || of.is_empty() {
            return Err(format!("the load of {name} was not carried out to its end"));
        }
        Ok(Self {
            name: name.to_owned(),
            block,
            cell,
            run_id: figures.run_id.clone(),
            commit: figures.commit.clone(),
            verdict: figures.verdict,
            terms: terms.clone(),
            figures: of,
        })
    }
}

/// Whether runs differ in the factors alone.
pub(super) fn agree(design: &Design, runs: &[ImpactRun]) -> Result<(), Mismatch> {
    let Some(first) = runs.first() else { return Ok(()) };
    let wanted = common(design, first, first);
    for (at, run) in runs.iter().enumerate() {
        if run.terms.rehearsal.is_some() {
            return Err(Mismatch::Rehearsal { run: run.name.clone() });
        }
        if runs[..at].iter().any(|other| other.run_id == run.run_id) {
            return Err(Mismatch::Twice { run: run.run_id.clone() });
        }
        let mut what: Vec<String> = wanted
            .differences(&common(design, run, first))
            .into_iter()
            .map(|Difference { what, .. }| what)
            .collect();
        if first.commit != run.commit {
            what.push(format!("the commit of the build: {} and {}", first.commit, run.commit));
        }
        if !what.is_empty() {
            return Err(Mismatch::Different { first: first.name.clone(), second: run.name.clone(), what });
        }
    }
    Ok(())
}

/// The terms without the keys of factors. What follows from them, such as the size of a fleet, counts as that of `first`: the
/// file and the other keys are the same.
fn common(design: &Design, run: &ImpactRun, first: &ImpactRun) -> Terms {
    let (own, first) = (&run.terms, &first.terms);
    Terms {
        overrides: own.overrides.iter().filter(|set| !design.is_about(set)).cloned().collect(),
        scenario: if own.sha256 == first.sha256 { first.scenario.clone() } else { own.scenario.clone() },
        topology: first.topology,
        coordinators: first.coordinators,
        workers_per_coordinator: first.workers_per_coordinator,
        workload: first.workload.clone(),
        load: first.load,
        round_every_ns: first.round_every_ns,
        duration_ns: first.duration_ns,
        ..own.clone()
    }
}
