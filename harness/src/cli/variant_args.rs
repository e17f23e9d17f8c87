//! The arguments that change a scenario file for a run.

use crate::scenario::{Rehearsal, Selection};
use clap::Args;

/// Changes to a scenario file.
#[derive(Debug, Clone, Default, Args)]
pub struct VariantArgs {
    /// Apply the file's table [profile.NAME]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Set one key (load.duration=10s) or unset one ('!load.warm_up'); may be repeated, the last one wins
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Compress the schedule, such as 1440x; a rehearsal satisfies no gate
    #[arg(long, value_name = "FACTOR")]
    pub rehearse: Option<Rehearsal>,
}

fn seed(text: &str) -> Result<u64, String> {
    notation::count::parse(text, 0, u64::MAX)
}

impl VariantArgs {
    /// The first option that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--profile", self.profile.is_some()),
            ("--set", !self.sets.is_empty()),
            ("--seed", self.seed.is_some()),
            ("--rehearse", self.rehearse.is_some()),
        ];
        given.iter().find(|(_, given)| *given).map(|(name, _)| *name)
    }

    pub(crate) fn selection(&self) -> Selection {
        Selection { profile: self.profile.clone(), sets: self.sets.clone() }
    }
}
