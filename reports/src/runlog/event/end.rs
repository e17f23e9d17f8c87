//! How a run ended, and what it took.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub reason: EndReason,
    /// In words, where the reason has more to say.
    pub detail: Option<String>,
    /// Of all segments of the run.
    pub rounds: u64,
    /// Of the harness process over the whole run: user + system.
    pub harness_cpu_ns: u64,
    pub harness_rss_max_kib: u64,
    /// Task failures that were counted but not written.
    pub task_failures_unwritten: u64,
    /// RFC 3339.
    #[serde(default)]
    pub ended_utc: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The schedule was carried out to its end.
    Completed,
    /// It was asked to stop.
    Interrupted,
    /// A criterion with `abort = true` could not pass any more.
    Aborted,
    /// The supervisor died, or no coordinator was left.
    FleetLost,
    /// The fleet never came up.
    LaunchFailed,
    /// The run log or another file could not be written.
    RecordingFailed,
}

impl EndReason {
    /// Whether another segment can follow one that ended so; `segments` counts it too.
    pub(crate) fn can_be_resumed(self, segments: u32) -> bool {
        match self {
            Self::Interrupted | Self::RecordingFailed => true,
            // What came before it is as good as it was.
            Self::LaunchFailed => segments > 1,
            Self::Completed | Self::Aborted | Self::FleetLost => false,
        }
    }
}
