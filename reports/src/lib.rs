//! Judges run logs, and tells people and pipelines about them.
//!
//! Never runs anything, and imports neither `coordinator` nor `harness`: if a report needs a fact,
//! that fact belongs in the run log. No clock, environment, thread or randomness in here; the file
//! system only in `runlog::codec` (reading) and in `write` (the final files). So the same log gives
//! the same bytes wherever and whenever it is read.
#![forbid(unsafe_code)]

pub mod criterion;
pub mod facts;
pub mod render;
pub mod runlog;
pub mod stats;
pub mod units;
pub mod verdict;
mod write;

pub use criterion::{Criterion, CriterionError, CriterionPair};
pub use facts::{Facts, LiveView};
pub use verdict::{Judgement, Verdict, cannot_pass};
pub use write::{JudgeError, Judged, judge, judge_log, report};
