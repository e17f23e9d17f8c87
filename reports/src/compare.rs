//! Whether one side's runs are worse than another's.
//!
//! A *side* is a few runs of one build; a *figure* is one value that a run has. Each figure is compared by its
//! effect, with an interval and with the least effect that these runs could have shown, and held against a limit that the caller
//! states. Deliberately absent: reading runs and baselines from disk, and a limit of its own.

mod agree;
mod baseline;
mod compared;
mod counts;
mod figures;
mod history;
mod judge;
mod measured;
mod side;
mod terms;

pub use agree::agree;
pub use baseline::{BASELINE_FORMAT, Baseline, BaselineError};
pub use compared::{Compared, Word};
pub use figures::{FigureKind, FigureValue, Part, RunFigures, figure_kinds, figure_names, show};
pub use history::{Changed, Entry, History, HistoryLine, Point, Subject, Tracked};
pub use judge::{Against, COMPARISON_VERSION, Comparison, Limits, Outcome, SideFacts, compare};
pub use measured::{CoverageFormat, Estimate, Measurement, Source, criterion_estimate, criterion_id};
pub use side::{LeftOut, Pair, Side, SideError};
pub(crate) use terms::set_key;
pub use terms::{Across, Difference, Terms};

#[cfg(test)]
mod tests;
