//! What each worker has done in the load of a segment.

use serde::{Deserialize, Serialize};

/// Written once, when all rounds of a segment are over. Workers that have answered nothing are left out. For people: no verdict
/// depends on it. From format 2.12 on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    pub workers: Vec<WorkerTimes>,
}

/// The tasks that one place has answered, whichever process was in it. Only rounds of the load count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTimes {
    /// Of its place: `worker/3.17`.
    pub name: String,
    pub answered: u64,
    /// Latencies of these tasks, from the scheduled start of their rounds, added up.
    pub sum_ns: u64,
    /// The greatest of them.
    pub max_ns: u64,
}
