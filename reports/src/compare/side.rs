//! A side of a comparison: the runs of one build that can be used, and those that cannot, with the reason.

use serde::{Deserialize, Serialize};

use super::figures::RunFigures;
use super::terms::Terms;
use crate::summary::Summary;
use crate::verdict::LogState;

#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// What the caller calls it: a directory, a baseline, a program.
    pub label: String,
    pub runs: Vec<(Terms, RunFigures)>,
    pub left_out: Vec<LeftOut>,
    /// Runs that were found more than once, and count once: `latest`, a copy, a run that a baseline has, too.
    pub again: Vec<LeftOut>,
}

/// A run that is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub run: String,
    pub why: String,
}

/// Positions of two runs that were made one after the other, in the first side and in the second.
pub type Pair = (usize, usize);

/// Why sides cannot be compared. Nothing was judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SideError {
    #[error("{first} and {second} differ in {}", what.join("; "))]
    Different { first: String, second: String, what: Vec<String>, options: Vec<&'static str> },
    #[error("the run {run} is on both sides: {first} and {second}")]
    Shared { run: String, first: String, second: String },
    #[error("there is nothing to compare with {label}")]
    Alone { label: String },
}

impl SideError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Different { options, .. } => {
                format!(
                    "compare runs that have these in common, or add {}: every document will say so",
                    options.join(" and ")
                )
            }
            Self::Shared { .. } => "name other runs for one of the sides".into(),
            Self::Alone { .. } => "name a second run, or a baseline with --baseline".into(),
        }
    }
}

impl Side {
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), runs: Vec::new(), left_out: Vec::new(), again: Vec::new() }
    }

    /// Takes a run, or leaves it out if its log does not hold all of it, or if the side has it. The position that it has, if it
    /// was taken. `records_sha256` is that of its logs.
    pub fn push(
        &mut self,
        run: &str,
        summary: &Summary,
        log: &LogState,
        records_sha256: Option<String>,
    ) -> Option<usize> {
        let contradiction =
            log.contradiction.as_ref().map(|what| format!("its log contradicts itself: {what}"));
        let why = match (contradiction, log.torn, &summary.end) {
            (Some(why), ..) => why,
            (None, Some((line, _)), _) => format!("its log ends in the middle of line {line}"),
            (None, None, None) => "its log has no end: it goes on, or was killed".into(),
            (None, None, Some(end)) => match RunFigures::of(summary) {
                Some(figures) => {
                    return self.admit(run, Terms::of(summary), RunFigures { records_sha256, ..figures });
                }
                None => format!(
                    "it did not come to its end ({})",
                    end.detail.clone().unwrap_or_else(|| format!("{:?}", end.reason).to_lowercase())
                ),
            },
        };
        self.leave_out(run, why);
        None
    }

    /// Takes all runs of another side that this one does not have. `found_in` says where they were.
    pub fn join(&mut self, found_in: &str, other: Self) {
        for (terms, figures) in other.runs {
            let place = format!("{} in {found_in}", figures.run_id);
            self.admit(&place, terms, figures);
        }
        self.left_out.extend(other.left_out);
        self.again.extend(other.again);
    }

    fn admit(&mut self, run: &str, terms: Terms, figures: RunFigures) -> Option<usize> {
        if let Some((_, known)) = self.runs.iter().find(|(_, known)| known.is_that_of(&figures)) {
            let why = format!("it is the run {}, which counts once", known.run_id);
            self.again.push(LeftOut { run: run.to_owned(), why });
            return None;
        }
        self.runs.push((terms, figures));
        Some(self.runs.len() - 1)
    }

    pub fn leave_out(&mut self, run: &str, why: impl Into<String>) {
        self.left_out.push(LeftOut { run: run.to_owned(), why: why.into() });
    }

    /// All that was found and does not count, the missing first.
    pub fn not_counted(&self) -> impl Iterator<Item = &LeftOut> {
        self.left_out.iter().chain(&self.again)
    }

    /// Of all that it has, without those that have no such figure.
    pub(super) fn levels(&self, name: &str) -> Vec<(f64, f64)> {
        self.runs.iter().filter_map(|(_, run)| run.level(name)).collect()
    }

    pub(super) fn counts(&self, name: &str) -> Vec<(u64, u64)> {
        self.runs.iter().filter_map(|(_, run)| run.count(name)).collect()
    }
}
