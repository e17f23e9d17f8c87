//! Real fleets, through the program and through the client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod nonsense;
mod pool;
mod program;
mod seen;
mod tasks;
mod top;
#[path = "../support/up.rs"]
mod up;
#[path = "../support/wants.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod wants;

use up::{PROGRAM, Up, is_empty, kill, shm, wait_until};
