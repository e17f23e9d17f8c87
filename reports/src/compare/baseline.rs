//! A baseline: the runs that later ones are held against, in a file that belongs in git.
//!
//! It holds every figure of every run, and the histograms of all runs together; so what is asked of it later need not
//! have been known when it was made. The same runs give the same bytes: there is no time of its making in it.

use serde::{Deserialize, Serialize};

use super::agree::agree;
use super::figures::RunFigures;
use super::side::{Side, SideError};
use super::terms::{Across, Terms};
use crate::facts::Distribution;
use crate::summary::Summary;

/// The version of the file.
pub const BASELINE_FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub format: u32,
    pub name: String,
    pub terms: Terms,
    /// In the order in which they began.
    pub runs: Vec<RunFigures>,
    /// Of all runs together, in nanoseconds.
    pub coordination: Distribution,
    pub task: Distribution,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    #[error(transparent)]
    Side(#[from] SideError),
    #[error("none of these runs can be part of a baseline: {}", why.join("; "))]
    NoRun { why: Vec<String> },
    #[error("it is not a baseline: {what}")]
    NotABaseline { what: String },
    #[error("it has format {found}, and this program reads {BASELINE_FORMAT}")]
    Format { found: u64 },
}

impl Baseline {
    /// Of runs that can be compared with each other, without those that `side` has left out.
    pub fn of(name: &str, side: &Side, summaries: &[Summary]) -> Result<Self, BaselineError> {
        agree(std::slice::from_ref(side), Across::default())?;
        let Some((terms, _)) = side.runs.first() else {
            let why = side.left_out.iter().map(|left| format!("{}: {}", left.run, left.why)).collect();
            return Err(BaselineError::NoRun { why });
        };
        let mut runs: Vec<RunFigures> = side.runs.iter().map(|(_, run)| run.clone()).collect();
        runs.sort_by(|a, b| (&a.started_utc, &a.run_id).cmp(&(&b.started_utc, &b.run_id)));
        runs.dedup_by(|a, b| a.run_id == b.run_id);
        let mut taken: Vec<&Summary> = summaries
            .iter()
            .filter(|summary| runs.iter().any(|run| run.run_id == summary.identity.run_id))
            .collect();
        taken.sort_by_key(|summary| (&summary.identity.started_utc, &summary.identity.run_id));
        taken.dedup_by_key(|summary| &summary.identity.run_id);
        let merged = |of: fn(&Summary) -> &Distribution| {
            let mut all = Distribution::default();
            for summary in &taken {
                all.take_in(of(summary));
            }
            all
        };
        Ok(Self {
            format: BASELINE_FORMAT,
            name: name.to_owned(),
            terms: terms.clone(),
            runs,
            coordination: merged(|summary| &summary.distributions.coordination),
            task: merged(|summary| &summary.distributions.task),
        })
    }

    /// The side of a comparison that it is.
    pub fn side(&self, label: impl Into<String>) -> Side {
        let runs = self.runs.iter().map(|run| (self.terms.clone(), run.clone())).collect();
        Side { runs, ..Side::new(label) }
    }

    /// As it is written: readable, in a fixed order, with a line end.
    pub fn to_json(&self) -> String {
        // These types hold nothing that JSON cannot.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        #[derive(Deserialize)]
        struct Formatted {
            format: u64,
        }
        let refuse = |error: serde_json::Error| BaselineError::NotABaseline { what: error.to_string() };
        // The format first: a file of another one has other keys.
        let Formatted { format } = serde_json::from_str(text).map_err(refuse)?;
        if format != u64::from(BASELINE_FORMAT) {
            return Err(BaselineError::Format { found: format });
        }
        serde_json::from_str(text).map_err(refuse)
    }
}
