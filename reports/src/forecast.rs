//! What larger fleets will cost, from runs of smaller ones.
//!
//! Each figure is fitted over the size of the fleet, by the Universal Scalability Law and by a straight line ([`crate::stats::Scaling`]); a prediction
//! is always an interval, and reaches to four times the largest fleet that was measured. Deliberately absent: reading runs from disk, and a
//! judgement whether a fleet is good enough.

mod asked;
mod family;
mod figures;
mod fitted;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::things;
pub use asked::{Asked, Expected, Held};
pub use family::{Family, ForecastError, Sized};
pub use fitted::{Fitted, Model};
pub use limits::{Reached, Resource};

/// The version of a forecast in JSON.
pub const FORECAST_VERSION: u32 = 2;
/// The largest fleet that is predicted, as a multiple of the largest that was measured.
pub const REACH: u32 = 4;
/// Fewest sizes of fleets, and runs of each.
pub const SIZES_MIN: usize = 6;
pub const RUNS_MIN: usize = 3;
/// What is predicted unless the caller asks for something else, where it is in reach.
const USUAL: [u32; 6] = [500, 600, 708, 750, 1_000, 2_000];

/// What was measured, and what it says of larger fleets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    pub version: u32,
    pub scenario: String,
    pub commits: Vec<String>,
    pub machine: String,
    pub fingerprint: String,
    pub cpu_model: String,
    pub cpus: u32,
    /// Of the fleets that the models are fitted to; an agent is a process of a fleet.
    pub sizes: Vec<Measured>,
    /// The largest fleet of these, and the largest one that they say something of.
    pub largest: u32,
    pub reach: u32,
    pub warnings: Vec<String>,
    pub figures: Vec<Fitted>,
    pub resources: Vec<Resource>,
    /// In a sentence: which resource runs out first, and when.
    pub first: String,
    /// Whether figures of runs that the models were not fitted to lie where they were predicted; absent if there are none.
    pub holds: Option<bool>,
    /// How many of these runs are INCONCLUSIVE themselves.
    pub open: usize,
}

/// A size of fleet that runs were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    pub agents: u32,
    pub coordinators: u32,
    pub runs: usize,
}

impl Forecast {
    /// Of runs that belong together.
    ///
    /// # Errors
    /// There are too few sizes or runs, or something is asked that they do not reach.
    pub fn of(family: &Family, asked: &Asked) -> Result<Self, ForecastError> {
        let (fitted, held) = family.divided(asked.fit_up_to)?;
        let open = held.iter().filter(|run| run.is_open()).count();
        let sizes = measured(&fitted);
        missing(&sizes)?;
        let largest = sizes.iter().map(|size| size.agents).max().unwrap_or(1);
        let reach = largest.saturating_mul(REACH);
        let predict = asked.sizes(largest, reach, &held)?;
        let (figures, mut warnings): (Vec<Fitted>, Vec<String>) =
            figures::all(&fitted, &held, &predict, largest);
        warnings.splice(0..0, family.warnings.iter().cloned());
        if open > 0 {
            warnings.push(format!(
                "{open} of {} above those that are fitted are INCONCLUSIVE, and so is what they show of the models",
                things(held.len() as u64, "run")
            ));
        }
        let resources = limits::all(family.host(), &figures, reach);
        let held: Vec<bool> = figures.iter().flat_map(|f| f.held.iter().map(|held| held.inside)).collect();
        Ok(Self {
            version: FORECAST_VERSION,
            scenario: family.scenario().to_owned(),
            commits: family.commits(),
            machine: family.terms().machine.clone(),
            fingerprint: family.terms().fingerprint.clone(),
            cpu_model: family.terms().cpu_model.clone(),
            cpus: family.terms().cpus,
            sizes,
            largest,
            reach,
            warnings,
            first: limits::first(&resources, reach),
            figures,
            resources,
            open,
            holds: (!held.is_empty()).then(|| held.iter().all(|inside| *inside)),
        })
    }
}

fn measured(runs: &[&Sized]) -> Vec<Measured> {
    let mut sizes: BTreeMap<u32, Measured> = BTreeMap::new();
    for run in runs {
        let fresh = Measured { agents: run.agents, coordinators: run.terms.coordinators, runs: 0 };
        sizes.entry(run.agents).or_insert(fresh).runs += 1;
    }
    sizes.into_values().collect()
}

/// What there is too little of, all at once.
fn missing(sizes: &[Measured]) -> Result<(), ForecastError> {
    let mut wanted = Vec::new();
    if sizes.len() < SIZES_MIN {
        let more = things((SIZES_MIN - sizes.len()) as u64, "more size");
        wanted.push(format!("{more} of fleet, with {RUNS_MIN} runs each"));
    }
    for size in sizes.iter().filter(|size| size.runs < RUNS_MIN) {
        let more = things((RUNS_MIN - size.runs) as u64, "more run");
        wanted.push(format!("{more} of {} agents", size.agents));
    }
    if wanted.is_empty() { Ok(()) } else { Err(ForecastError::TooFew { wanted }) }
}
