//! The arguments of `harness impact`.

use super::compare_args::{document, share};
use super::variant_args::VariantArgs;
use clap::Args;
use reports::impact::{FIGURES, Factor};
use std::path::PathBuf;

/// What is switched if nothing else is said: an optimisation each, off as its second value.
pub(super) const USUAL: [&str; 3] = [
    "pooling=fleet.recycle_after:default,1",
    "batching=fleet.batch_max:default,1",
    "parallel-spawn=fleet.spawn_max:default,1",
];

/// Every combination of the factors is run in every block, in random order.
#[derive(Debug, Clone, Args)]
pub struct ImpactArgs {
    /// The scenario: a path, or the name of a file in scenarios/
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["from", "resume"], conflicts_with_all = ["from", "resume"])]
    pub scenario: Option<PathBuf>,
    /// Switch this key, such as batching=fleet.batch_max:default,1; may be repeated. By default pooling, batching and
    /// parallel-spawn
    #[arg(long = "factor", value_name = "NAME=KEY:ON,OFF", value_parser = Factor::parse, conflicts_with = "resume")]
    pub factors: Vec<Factor>,
    /// Run each combination so many times
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with_all = ["from", "resume"], value_parser = clap::value_parser!(u32).range(2..=100), allow_negative_numbers = true)]
    pub runs: u32,
    /// Run nothing, and analyse these runs: directories that this verb has made, runs, or directories with runs in them
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with_all = ["resume", "plan"])]
    pub from: Vec<PathBuf>,
    /// Go on with the runs in this directory, which a signal has ended
    #[arg(long, value_name = "DIR", conflicts_with = "plan")]
    pub resume: Option<PathBuf>,
    /// Show the combinations, their order and how long they take, and run nothing
    #[arg(long)]
    pub plan: bool,
    /// Write the runs to DIR/<time>-<id>
    #[arg(long, value_name = "DIR", default_value = "impacts", conflicts_with_all = ["from", "resume"])]
    pub out: PathBuf,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// Ask for this figure alone, such as 'task.time p50'; may be repeated
    #[arg(long = "figure", value_name = "NAME", value_parser = figure)]
    pub figures: Vec<String>,
    /// Count an effect as none if its whole interval lies within this share
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    pub limit: f64,
    /// Write a document, too: FILE ends in .html, .md, .json or .txt; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "plan", value_parser = document)]
    pub report: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

fn figure(text: &str) -> Result<String, String> {
    let names: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(match notation::suggest::nearest(text, names.iter().copied()) {
        Some(name) => format!("there is no figure `{text}`; did you mean `{name}`?"),
        None => format!("there is no figure `{text}`; there are {}", names.join(", ")),
    })
}
