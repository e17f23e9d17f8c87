//! Commands of a run's own: what prepares for it, and what clears up after it.

use serde::{Deserialize, Serialize};

/// When a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before the launch.
    SetUp,
    /// After the fleet has ended.
    TearDown,
}

impl When {
    pub fn name(self) -> &'static str {
        match self {
            Self::SetUp => "set-up",
            Self::TearDown => "tear-down",
        }
    }
}

/// A command has ended, or was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandDone {
    pub when: When,
    /// Its name, or the program and its arguments.
    pub command: String,
    pub started_ns: u64,
    pub finished_ns: u64,
    /// In words: `exited with status 3`, `was ended by its time-out of 5s`.
    pub how: String,
    pub failed: bool,
    /// The last lines that it wrote.
    pub output: Vec<String>,
}
