//! The arguments of the verbs that say what larger fleets cost.

use super::compare_args::document;
use clap::Args;
use reports::compare::Across;
use reports::forecast::Asked;
use std::path::PathBuf;

/// Runs of one scenario at six sizes of fleet or more, three of each.
#[derive(Debug, Clone, Args)]
pub struct ForecastArgs {
    /// Runs: directories of runs, directories with runs in them, or logs
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Predict fleets of so many agents, up to four times the largest that was measured
    #[arg(long, value_name = "N", num_args = 1.., value_parser = agents, allow_negative_numbers = true)]
    pub predict: Vec<u32>,
    /// Fit fleets of at most so many agents, and compare larger ones with the prediction
    #[arg(long, value_name = "N", value_parser = agents, allow_negative_numbers = true)]
    pub fit_up_to: Option<u32>,
    /// Take runs of different hosts; every document says so
    #[arg(long)]
    pub across_hosts: bool,
    /// Take runs of different scenarios, profiles or loads; every document says so
    #[arg(long)]
    pub across_scenarios: bool,
    /// Take runs of different builds; every document says so
    #[arg(long)]
    pub across_builds: bool,
    /// Write a document, too: FILE ends in .html, .md, .json or .txt; may be repeated
    #[arg(long, value_name = "FILE", value_parser = document)]
    pub report: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

impl ForecastArgs {
    pub(crate) fn across(&self) -> Across {
        Across { hosts: self.across_hosts, scenarios: self.across_scenarios, builds: self.across_builds }
    }

    pub(crate) fn asked(&self) -> Asked {
        Asked { predict: self.predict.clone(), fit_up_to: self.fit_up_to }
    }
}

/// A fleet has a supervisor, a coordinator and a worker at least.
fn agents(text: &str) -> Result<u32, String> {
    notation::count::parse(text, 3, 10_000_000).map(|agents| agents as u32)
}
