//! Which runs a forecast can be made of: finished, of one scenario, build and host, and of any size.

use std::collections::BTreeSet;

use super::{REACH, RUNS_MIN, SIZES_MIN};
use crate::compare::{Across, Difference, RunFigures, Side, Terms, set_key};
use crate::runlog::event::{HostFacts, LoadModel, PlanFacts};
use crate::summary::Summary;
use crate::verdict::Verdict;

/// Keys of a scenario that say how large its fleet is.
const SIZE_KEYS: [&str; 2] = ["fleet.coordinators", "fleet.workers"];

/// A run, and how many processes its fleet has.
#[derive(Debug, Clone, PartialEq)]
pub struct Sized {
    pub agents: u32,
    pub terms: Terms,
    pub figures: RunFigures,
    pub plan: PlanFacts,
}

impl Sized {
    pub(super) fn is_open(&self) -> bool {
        self.figures.verdict == Verdict::Inconclusive
    }
}

/// Runs that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    runs: Vec<Sized>,
    host: HostFacts,
    /// What differs all the same, and what else makes the runs doubtful.
    pub warnings: Vec<String>,
}

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForecastError {
    #[error("these runs are too few for a forecast: missing are {}", wanted.join(", "))]
    TooFew { wanted: Vec<String> },
    #[error("the run {run} cannot be used: {why}")]
    Unusable { run: String, why: String },
    #[error("the run {run} is a rehearsal: its schedule was compressed, and its figures are of no real load")]
    Rehearsal { run: String },
    #[error("the run {run} is named more than once")]
    Twice { run: String },
    #[error("the runs {first} and {second} differ in {}", what.join("; "))]
    Different { first: String, second: String, what: Vec<String>, options: Vec<&'static str> },
    #[error(
        "{agents} agents are out of reach: these runs predict up to {reach}, {REACH} times the largest fleet ({largest})"
    )]
    OutOfReach { agents: u32, largest: u32, reach: u32 },
    #[error("a baseline does not hold what a forecast needs of its runs")]
    Baseline,
    #[error("there is no run")]
    Nothing,
}

impl ForecastError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::TooFew { .. } => {
                format!(
                    "make them with `harness run capacity`, or with `--set fleet.coordinators=N --runs {RUNS_MIN}` for each size"
                )
            }
            Self::Unusable { .. } => {
                "name finished runs of fleets that did their work, or make it again".into()
            }
            Self::Rehearsal { .. } => "name runs that were made without --rehearse".into(),
            Self::Twice { .. } => "name each run once".into(),
            Self::Different { options, .. } => format!(
                "name runs that have these in common, or add {}: every document will say so",
                options.join(" and ")
            ),
            Self::OutOfReach { reach, .. } => {
                format!("ask for at most {reach}, or measure a larger fleet")
            }
            Self::Baseline => "name the runs themselves".into(),
            Self::Nothing => format!("name runs of at least {SIZES_MIN} sizes, {RUNS_MIN} of each"),
        }
    }
}

impl Family {
    /// `summaries` belong to the runs of `side`, one to one.
    pub fn new(side: &Side, summaries: &[Summary], across: Across) -> Result<Self, ForecastError> {
        if let Some(left) = side.left_out.first() {
            return Err(ForecastError::Unusable { run: left.run.clone(), why: left.why.clone() });
        }
        // A baseline has figures of its runs, and not their plans.
        if side.runs.len() != summaries.len() {
            return Err(ForecastError::Baseline);
        }
        let mut runs: Vec<Sized> = Vec::new();
        for ((terms, figures), summary) in side.runs.iter().zip(summaries) {
            let run = figures.run_id.clone();
            if terms.rehearsal.is_some() {
                return Err(ForecastError::Rehearsal { run });
            }
            if runs.iter().any(|other| other.figures.run_id == run) {
                return Err(ForecastError::Twice { run });
            }
            if let Some(why) = unfit(summary) {
                return Err(ForecastError::Unusable { run, why });
            }
            let (terms, figures, plan) = (terms.clone(), figures.clone(), summary.plan.clone());
            runs.push(Sized { agents: plan.processes, terms, figures, plan });
        }
        let host = summaries.first().ok_or(ForecastError::Nothing)?.identity.host.clone();
        let mut warnings = agree(&runs, across)?;
        warnings.extend(side.again.iter().map(|again| format!("{}: {}", again.run, again.why)));
        warnings.extend(doubts(&runs));
        Ok(Self { runs, host, warnings })
    }

    pub(super) fn host(&self) -> &HostFacts {
        &self.host
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.runs[0].terms
    }

    pub(super) fn scenario(&self) -> &str {
        &self.terms().scenario
    }

    pub(super) fn commits(&self) -> Vec<String> {
        self.runs.iter().map(|run| run.figures.commit.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The runs that models are fitted to, none of which is open itself, and those that they are held against.
    pub(super) fn divided(
        &self,
        fit_up_to: Option<u32>,
    ) -> Result<(Vec<&Sized>, Vec<&Sized>), ForecastError> {
        let (fitted, held): (Vec<&Sized>, Vec<&Sized>) =
            self.runs.iter().partition(|run| fit_up_to.is_none_or(|most| run.agents <= most));
        if let Some(open) = fitted.iter().find(|run| run.is_open()) {
            let (run, why) = (open.figures.run_id.clone(), "its verdict is INCONCLUSIVE".to_owned());
            return Err(ForecastError::Unusable { run, why });
        }
        Ok((fitted, held))
    }
}

/// Why a run that came to its end has no figures of one size of fleet.
fn unfit(summary: &Summary) -> Option<String> {
    let plan = &summary.plan;
    if plan.workers_least.is_some() || plan.coordinators_least.is_some() {
        return Some("its fleet changed its size while it ran".into());
    }
    let is_whole =
        summary.end.as_ref().is_some_and(|end| end.reason == crate::runlog::event::EndReason::Completed);
    if !is_whole {
        return Some("its fleet did not come to the end of the load".into());
    }
    summary.unserved()
}

/// Whether the runs differ in nothing but the size; what differs all the same, because the caller allows it.
fn agree(runs: &[Sized], across: Across) -> Result<Vec<String>, ForecastError> {
    let Some(first) = runs.first() else { return Err(ForecastError::Nothing) };
    let mut warnings = BTreeSet::new();
    for other in &runs[1..] {
        let found = differences(first, other);
        let (allowed, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|difference| across.allows(difference));
        if !refused.is_empty() {
            return Err(ForecastError::Different {
                first: first.figures.run_id.clone(),
                second: other.figures.run_id.clone(),
                options: refused.iter().map(|d| d.option).collect::<BTreeSet<_>>().into_iter().collect(),
                what: refused.into_iter().map(|difference| difference.what).collect(),
            });
        }
        warnings.extend(
            allowed.into_iter().map(|d| format!("fitted together although they differ in {}", d.what)),
        );
    }
    Ok(warnings.into_iter().collect())
}

fn differences(first: &Sized, other: &Sized) -> Vec<Difference> {
    let mut found = without_size(first, first).differences(&without_size(other, first));
    let tasks = |run: &Sized| {
        run.plan.tasks_per_round.map_or("one for each worker".into(), |tasks| tasks.to_string())
    };
    if tasks(first) != tasks(other) {
        let what = format!("the tasks of a round: {} and {}", tasks(first), tasks(other));
        found.push(Difference { what, option: "--across-scenarios" });
    }
    if first.figures.commit != other.figures.commit {
        let what = format!("the commit of the build: {} and {}", first.figures.commit, other.figures.commit);
        found.push(Difference { what, option: "--across-builds" });
    }
    found
}

/// What a run has in common with others of its family.
fn without_size(run: &Sized, first: &Sized) -> Terms {
    let terms = &run.terms;
    let is_size = |set: &String| SIZE_KEYS.contains(&set_key(set));
    Terms {
        // A matrix over the size puts it into the name.
        scenario: if terms.sha256 == first.terms.sha256 { String::new() } else { terms.scenario.clone() },
        overrides: terms.overrides.iter().filter(|set| !is_size(set)).cloned().collect(),
        coordinators: 0,
        workers_per_coordinator: 0,
        ..terms.clone()
    }
}

fn doubts(runs: &[Sized]) -> Vec<String> {
    let mut found = Vec::new();
    let count = runs.iter().filter(|run| run.figures.verdict == Verdict::Fail).count();
    if count > 0 {
        found.push(format!(
            "{count} of {} runs have the verdict FAIL: see what failed before you rely on their figures",
            runs.len()
        ));
    }
    if runs[0].terms.load == LoadModel::Open {
        found.push("rounds start on schedule (`load.model = \"open\"`), so throughput is what was offered, and not what a fleet could do".into());
    }
    found
}
