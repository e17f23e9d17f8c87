//! Whose a figure is: of which processes of a run. A criterion names it, and the facts keep figures by it.

use serde::{Deserialize, Serialize};

use crate::runlog::event::Role;

/// Whose figure it is; the fleet is supervisor, coordinators, workers and what the workers run (commands) together.
/// What is of the whole host, or of the sampler, is kept as the fleet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    Fleet,
    Workers,
    /// The workers' descendants, without the workers.
    Commands,
    Coordinators,
    Supervisor,
    Harness,
}

impl Scope {
    pub const ALL: [Self; 6] =
        [Self::Fleet, Self::Workers, Self::Commands, Self::Coordinators, Self::Supervisor, Self::Harness];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Workers => "workers",
            Self::Commands => "commands",
            Self::Coordinators => "coordinators",
            Self::Supervisor => "supervisor",
            Self::Harness => "harness",
        }
    }

    /// Whether the figures of such a process itself are part of it.
    pub(crate) fn includes(self, role: Role) -> bool {
        match self {
            Self::Fleet => role != Role::Harness,
            Self::Workers => role == Role::Worker,
            Self::Commands => false,
            Self::Coordinators => role == Role::Coordinator,
            Self::Supervisor => role == Role::Supervisor,
            Self::Harness => role == Role::Harness,
        }
    }

    /// Whether the figures of the workers' descendants are part of it.
    pub(crate) fn includes_commands(self) -> bool {
        matches!(self, Self::Fleet | Self::Commands)
    }
}
