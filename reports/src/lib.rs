//! Judges run logs, and tells people and pipelines about them.
//!
//! Never runs anything, and imports neither `coordinator` nor `harness`: if a report needs a fact,
//! that fact belongs in the run log.
#![forbid(unsafe_code)]

pub mod runlog;
