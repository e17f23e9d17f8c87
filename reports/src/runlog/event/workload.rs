//! What the log says of each workload of a mix.

use super::Phase;
use serde::{Deserialize, Serialize};

/// One of the workloads that tasks are divided among.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadFacts {
    /// Criteria and documents know it by this name.
    pub name: String,
    /// Its share of the tasks is this over the sum of all weights.
    pub weight: u32,
    /// In words: `echo 256 B`.
    pub workload: String,
    /// CPU time that a worker uses for a task; absent if the workload does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_per_task_ns: Option<u64>,
}

/// The part of a round that one workload has, in the order of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadRound {
    /// `tasks = answered + failed`.
    pub tasks: u32,
    pub answered: u32,
    pub failed: u32,
    /// Answers with the wrong content (counted under `failed`).
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub corrupt: u32,
    /// Latency of the answered tasks, from the scheduled start of the round; absent without any.
    pub task_p50_ns: Option<u64>,
    pub task_p99_ns: Option<u64>,
    pub task_max_ns: Option<u64>,
}

/// Latencies of one workload's tasks over an interval, from the scheduled start of their rounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadLatency {
    /// Its name in the plan.
    pub workload: String,
    pub phase: Phase,
    pub start_ns: u64,
    pub length_ns: u64,
    pub max_ns: u64,
    pub count: u64,
    /// As in [`super::LatencyInterval`].
    pub histogram: String,
}
