//! Thresholds of a scenario that were crossed while the run went on: for people, and never for the verdict.

use serde::{Deserialize, Serialize};

/// A threshold was crossed, or holds again. From format 2.11 on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    pub kind: ThresholdKind,
    pub state: ThresholdState,
    /// When it was first seen to be crossed, or to hold again.
    pub since_ns: u64,
    /// In the unit of the kind.
    pub value: f64,
    /// As the scenario has it, in the same unit.
    pub limit: f64,
    /// In words, with both.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdState {
    Raised,
    Recovered,
}

impl ThresholdState {
    /// As the log spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Recovered => "recovered",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdKind {
    /// RssAnon of a process of the fleet on average, above that of its first steady part; a share of that.
    MemoryGrowth,
    /// Open descriptors of one process beyond those that it had at first.
    Descriptors,
    /// Failed tasks, as a share of all in a sliding window.
    ErrorRate,
    /// Seconds without an answer.
    Silence,
    /// Free bytes where the run is written.
    DiskFree,
}

impl ThresholdKind {
    pub const ALL: [Self; 5] =
        [Self::MemoryGrowth, Self::Descriptors, Self::ErrorRate, Self::Silence, Self::DiskFree];

    /// As the log spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryGrowth => "memory-growth",
            Self::Descriptors => "descriptors",
            Self::ErrorRate => "error-rate",
            Self::Silence => "silence",
            Self::DiskFree => "disk-free",
        }
    }
}
