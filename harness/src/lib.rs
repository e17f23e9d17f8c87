//! Asks whether a fleet of agent processes is good enough, and ends in a verdict.
#![forbid(unsafe_code)]

pub mod calibrate;
pub mod cli;
mod companion;
pub mod conduct;
pub mod disk;
pub mod engine;
pub mod exit;
mod failing;
pub mod fault;
pub mod host;
pub mod private_shm;
pub mod provenance;
pub mod run_index;
pub mod sample;
pub mod scenario;
pub mod selftest;
pub mod synthetic;
pub mod system;
pub mod trapped;
