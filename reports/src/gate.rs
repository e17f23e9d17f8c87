//! Gates: many runs, and facts from outside, become one decision.
//!
//! ```text
//! plan (phases, gates, evidence) ─┐
//! runs, judged from their logs ───┼─► weigh (what counts, and why not) ─► decide ─► Decision ─► render::gate
//! facts from outside, read ───────┘
//! ```
//!
//! Everything here is a function of its arguments: which runs there are, what files hold, what this host and this
//! build are and what time it is come in as values. A decision can be made again from the same values, byte for byte.
//! Deliberately absent: a threshold. They are in the scenario files and in the plan.

pub mod ask;
mod builds;
pub mod decide;
pub mod decision;
pub mod exhibit;
pub mod index;
pub mod outside;
pub mod plan;
pub mod schedule;
mod weigh;
