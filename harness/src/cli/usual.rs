//! Where things are if the command line does not say: a command that is printed leaves these out.

/// The directory of the runs.
pub(super) const RUNS: &str = "runs";
/// The plan.
pub(super) const PHASES: &str = "scenarios/phases.toml";
/// The directory of decisions.
pub(super) const GATES: &str = "gates";
