//! Answers to tasks that have an outcome already.

use serde::{Deserialize, Serialize};

/// Late and second answers from one coordinator to tasks of one workload. Those of a round add up to its counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayAnswers {
    /// By its place in the plan; absent if the scenario names none, or the task is too long ago to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<u32>,
    /// By its number; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<u32>,
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub late: u32,
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub duplicates: u32,
}
