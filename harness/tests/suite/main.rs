//! The harness from outside: its scenarios, its sampler, and the program itself. One binary for all of
//! them, so that they are linked once.
//!
//! Everything but `runs` takes seconds: `cargo test -p harness --test suite -- --skip runs::`. `runs` starts
//! real fleets and waits for their deadlines; with it, all takes 45 s on two busy processors.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_criteria;
mod bad_faults;
mod bad_input;
mod bad_limits;
mod cli;
mod comparable;
mod compare;
mod docs;
mod files;
mod forecast;
mod impact;
mod old_files;
#[path = "../../../coordinator/tests/suite/support/random.rs"]
mod random;
mod recipes;
mod runs;
mod sampler;
mod scenarios;
mod schema;
mod seals;
#[path = "../../../coordinator/tests/suite/support/skips.rs"]
mod skips;
#[path = "../../../coordinator/tests/suite/support/stalled.rs"]
mod stalled;
