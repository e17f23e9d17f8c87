//! Runs fleets of agent processes on one machine over a shared-memory bus.
//!
//! It has never heard of the harness or of reports.
#![deny(unsafe_code)]

pub mod bus;
pub mod cli;
pub mod client;
pub mod config;
pub mod plan;
pub mod process;
pub mod snapshot;
pub mod wire;
