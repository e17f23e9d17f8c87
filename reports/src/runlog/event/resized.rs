//! Another number of processes, because of the load.

use serde::{Deserialize, Serialize};

/// A fleet that follows its load has decided to have another number of processes, and has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resized {
    /// The process that decides: a coordinator on its workers, the supervisor on the coordinators.
    pub name: String,
    /// How many there were when it had last reached what it wanted. From format 2.9 on; before, what it wanted last, which it may
    /// not have reached.
    pub from: u32,
    pub to: u32,
    pub decided_ns: u64,
    /// When the last of them was started, or had ended.
    pub reached_ns: u64,
}
