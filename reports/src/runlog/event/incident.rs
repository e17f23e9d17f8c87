//! What happened to a fleet that the run had not asked for, and how grave that is.
//!
//! [`IncidentKind`] is the one table of severities; `docs/incidents.md` shows it to people.

use serde::{Deserialize, Serialize};

use super::{AgentId, Severity};

/// From format 2.1 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub kind: IncidentKind,
    /// Of a change of the whole fleet: its supervisor.
    pub agent: AgentId,
    pub incarnation: u32,
    pub name: String,
    pub pid: u32,
    /// In words: `stopped by a signal for 3.2 s, and went on`.
    pub how: String,
    /// When it was first seen.
    pub from_ns: u64,
    /// When it was first seen to be over; absent if it lasted as long as anyone looked.
    pub to_ns: Option<u64>,
}

/// What an incident is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// A process ended. In an [`Incident`] only of the supervisor's guard or spare: of an agent, an [`super::AgentExit`] that
    /// was not expected says more.
    Exit,
    /// A process made no progress for so long that the fleet ended it.
    Hung,
    /// A process was stopped (SIGSTOP, a debugger), and went on.
    Stopped,
    /// The fleet suspected a process of hanging, and it made progress again.
    Suspected,
    /// A process showed no progress and was not stopped: frozen with its control group, or waiting in the kernel.
    Silent,
    /// An operator held the fleet's coordinators for longer than they may be silent.
    Paused,
    /// An operator asked the fleet for another number of processes.
    Scaled,
}

impl IncidentKind {
    pub const ALL: [Self; 7] =
        [Self::Exit, Self::Hung, Self::Stopped, Self::Suspected, Self::Silent, Self::Paused, Self::Scaled];

    /// As the log spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Hung => "hung",
            Self::Stopped => "stopped",
            Self::Suspected => "suspected",
            Self::Silent => "silent",
            Self::Paused => "paused",
            Self::Scaled => "scaled",
        }
    }

    /// Critical: FAIL. Minor: INCONCLUSIVE, unless a criterion says how many there may be.
    pub fn severity(self) -> Severity {
        match self {
            Self::Exit | Self::Hung => Severity::Critical,
            Self::Stopped | Self::Suspected | Self::Silent | Self::Paused | Self::Scaled => Severity::Minor,
        }
    }

    /// What it means, in half a sentence.
    pub fn says(self) -> &'static str {
        match self {
            Self::Exit => "a process ended, and the run had not asked it to",
            Self::Hung => "a process made no progress for `fleet.hang_after`, and the fleet ended it",
            Self::Stopped => "a process was stopped by a signal or a debugger",
            Self::Suspected => "the fleet suspected a process of hanging, and it made progress again",
            Self::Silent => "a process was not stopped, and yet showed no progress for seconds",
            Self::Paused => "an operator paused the fleet for a second or longer: `coordinator backup`",
            Self::Scaled => "an operator changed the number of processes by `coordinator scale`",
        }
    }
}
