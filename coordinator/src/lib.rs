//! Runs fleets of agent processes on one machine over a shared-memory bus.
//!
//! It has never heard of the harness or of reports.
#![deny(unsafe_code)]

pub mod bus;
pub mod cli;
pub mod client;
pub mod config;
#[cfg(any(test, feature = "probe"))]
pub mod fuzzing;
pub mod os;
pub mod plan;
pub mod process;
mod raw;
pub mod snapshot;
pub mod wire;
