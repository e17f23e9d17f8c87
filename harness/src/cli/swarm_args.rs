//! The arguments of `harness swarm`.

use super::variant_args::VariantArgs;
use crate::scenario::swarm::{Budget, KINDS};
use clap::Args;
use reports::runlog::event::FaultKind;
use std::path::PathBuf;
use std::time::Duration;

/// Runs the scenario with faults that are drawn from the seed, once for each seed from `--seed` on. The first run that fails
/// is the last: its faults are shrunk, and what is left is written as a scenario that `harness run` takes.
#[derive(Debug, Clone, Args)]
pub struct SwarmArgs {
    /// The scenario that the faults are added to
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// Run so many seeds, one after the other
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// Budget: faults in a run
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub faults: u32,
    /// Budget: at most so much of the coordinators, or of the workers, is hit by a fault
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    pub share: f64,
    /// Budget: least distance between two faults
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = span)]
    pub apart: Duration,
    /// Budget: the longest that a fault lasts
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span)]
    pub longest: Duration,
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind, help = kinds_help())]
    pub kinds: Vec<FaultKind>,
    /// Try each list of faults so many times while shrinking; it fails if one of them does
    #[arg(long, value_name = "T", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub tries: u32,
    /// Try so many lists while shrinking, at most
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub steps: u32,
    /// Count an INCONCLUSIVE run as one that fails, too
    #[arg(long)]
    pub also_inconclusive: bool,
    /// Show what would be run, and run nothing
    #[arg(long)]
    pub plan: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Write the runs to DIR/<scenario>/<time>-<id>, and their scenarios to DIR
    #[arg(long, value_name = "DIR", default_value = super::usual::RUNS)]
    pub out: PathBuf,
    /// Show no progress and no warnings
    #[arg(long, short)]
    pub quiet: bool,
}

impl SwarmArgs {
    pub(crate) fn budget(&self) -> Budget {
        Budget { faults: self.faults, share: self.share, apart: self.apart, longest: self.longest }
    }

    pub(crate) fn kinds(&self) -> Vec<FaultKind> {
        if self.kinds.is_empty() { KINDS.to_vec() } else { self.kinds.clone() }
    }
}

fn kinds_help() -> String {
    format!("Draw these kinds of faults alone [default: {}]", KINDS.map(FaultKind::name).join(","))
}

fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "write a share, `0%` to `100%`".to_owned())
}

/// Whole milliseconds.
fn span(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(24 * 3600);
    notation::duration::parse(text)
        .map(|ns| Duration::from_millis(ns / 1_000_000))
        .ok()
        .filter(|span| *span <= longest)
        .ok_or_else(|| "write it like `500ms` or `3s`, up to `24h`".to_owned())
}

fn kind(text: &str) -> Result<FaultKind, String> {
    FaultKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
        let names: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_the_kinds_that_are_drawn_by_default() {
        let help = kinds_help();
        let listed = help.split_once("default: ").unwrap().1.trim_end_matches(']');
        let read: Vec<FaultKind> = listed.split(',').map(|name| kind(name).unwrap()).collect();
        assert_eq!(read, KINDS);
    }
}
