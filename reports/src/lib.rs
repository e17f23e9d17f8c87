//! Judges run logs, and tells people and pipelines about them.
//!
//! Never runs anything, and imports neither `coordinator` nor `harness`: if a report needs a fact,
//! that fact belongs in the run log. No clock, environment, thread or randomness in here; the file
//! system only in `runlog::codec` (reading) and in `run_dir` (the log's place and the final files). So the same log gives
//! the same bytes wherever and whenever it is read.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

pub mod compare;
pub mod criterion;
pub mod facts;
pub mod forecast;
pub mod gate;
pub mod impact;
pub mod layout;
pub mod render;
pub mod run_dir;
pub mod runlog;
pub mod scope;
pub mod seal;
pub mod sha256;
pub mod stats;
pub mod stretch;
pub mod summary;
pub mod units;
pub mod verdict;

pub use criterion::{Criterion, CriterionError, CriterionPair};
pub use facts::{Facts, LiveView};
pub use run_dir::{
    Another, HeaderCheck, JudgeError, Judged, Making, judge, judge_by, judge_log, judge_logs, read_verdict,
    report, report_lost, report_remembered, report_to, summarise, unfinished, write_whole,
};
pub use verdict::{Case, Judgement, Verdict};
