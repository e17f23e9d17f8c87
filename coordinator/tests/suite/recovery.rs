//! What a fleet loses when its processes are killed or stopped: nothing, and it says what it cost.

mod coordinators;
mod figures;
#[cfg(feature = "kill-points")]
mod steps;
mod storm;
mod times;
mod workers;

use crate::support::up::{Up, is_empty, kill, shm, wait_until};
use coordinator::client::WorkerRef;
use std::time::Duration;

/// No task here may take this long.
const LONG: Duration = Duration::from_secs(50);

fn worker(coordinator: u32, worker: u32) -> WorkerRef {
    WorkerRef { coordinator, worker }
}
