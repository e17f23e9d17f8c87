//! What a forecast is asked for, and whether runs of other sizes came out as it said.

use serde::{Deserialize, Serialize};

use super::family::{ForecastError, Sized};
use super::{REACH, USUAL};
use crate::stats::Predicted;

/// Sizes in agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// What to predict; the usual sizes if it is empty.
    pub predict: Vec<u32>,
    /// Larger fleets are not fitted but predicted, and compared with the prediction.
    pub fit_up_to: Option<u32>,
}

/// What a model says of one more run of a size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    pub agents: u32,
    /// Absent where the model has no value.
    pub run: Option<Predicted>,
    /// Outside the sizes that were measured.
    pub is_extrapolated: bool,
}

/// Runs that the models were not fitted to, beside what was predicted of one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub agents: u32,
    pub predicted: Predicted,
    /// One a run, and their median.
    pub measured: Vec<f64>,
    pub median: f64,
    /// Whether the median lies in the interval.
    pub inside: bool,
}

impl Asked {
    pub(super) fn sizes(&self, largest: u32, reach: u32, held: &[&Sized]) -> Result<Vec<u32>, ForecastError> {
        let too_large = self.predict.iter().copied().chain(held.iter().map(|run| run.agents));
        if let Some(agents) = too_large.filter(|agents| *agents > reach).max() {
            return Err(ForecastError::OutOfReach { agents, largest, reach });
        }
        let mut sizes = self.predict.clone();
        if sizes.is_empty() {
            sizes.extend(USUAL.into_iter().filter(|agents| *agents <= reach));
            sizes.extend([largest, largest.saturating_mul(REACH / 2), reach]);
        }
        sizes.sort_unstable();
        sizes.dedup();
        Ok(sizes)
    }
}
