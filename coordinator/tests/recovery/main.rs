//! What a fleet loses when its processes are killed or stopped: nothing, and it says what it cost.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod coordinators;
mod figures;
mod outcomes;
#[cfg(feature = "kill-points")]
mod steps;
mod storm;
mod times;
#[path = "../support/up.rs"]
mod up;
mod workers;

use coordinator::client::WorkerRef;
use std::time::Duration;
use up::{Up, is_empty, kill, shm, wait_until};

/// No task here may take this long.
const LONG: Duration = Duration::from_secs(50);

fn worker(coordinator: u32, worker: u32) -> WorkerRef {
    WorkerRef { coordinator, worker }
}
