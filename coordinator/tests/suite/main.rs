//! Everything that tests the coordinator from outside, in one program: one link instead of eight.
//!
//! `cargo test -p coordinator --test suite failover::` runs one part. Two parts are programs of their own: `reset`, whose
//! tests are processes with one thread, and `kills`, which wants atomics that count.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod failover;
mod fleet;
mod guide;
mod recovery;
mod refusals;
mod restore;
mod run;
mod simulation;
mod storms;
mod support;
