//! `cargo xtask storm`: kills by the thousand, and an exact account of what was said meanwhile.

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask storm --kills 10000 --seed 7")]
pub(crate) struct Args {
    /// How many processes are killed: some seventy a second
    #[arg(long, value_name = "N", default_value_t = 1000)]
    kills: u64,
    /// Chooses victims, instants, steps, batches and sizes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

const TEST: &str = "storm::a_storm_of_kills_loses_nothing_repeats_nothing_and_reorders_nothing";

pub(crate) fn storm(workspace: &Workspace, args: &Args) -> Outcome {
    let (kills, seed) = (format!("KILLS={}", args.kills), format!("SEED={}", args.seed));
    let mut words = vec!["env", &kills, &seed, "cargo", "test", "--release", "--package", "coordinator"];
    words.extend(["--features", "kill-points", "--test", "kills", "--", "--exact", "--nocapture", TEST]);
    workspace.run(&words)
}
