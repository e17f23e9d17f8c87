//! What stands beside the runs of an analysis: what was asked, and a line for each run that is over, so that what a signal has ended
//! can go on. Deliberately absent: the files.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::design::{Cell, Design, Factor};

/// Of both files.
const FORMAT: u32 = 1;

/// Which runs were asked for; `impact.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordered {
    pub format: u32,
    /// The whole path: it may go on from another directory.
    pub scenario: PathBuf,
    /// Of the text of the scenario, and of those that it extends.
    pub sha256: String,
    /// Of the build that makes the runs.
    pub commit: String,
    pub profile: Option<String>,
    pub sets: Vec<String>,
    pub seed: u64,
    /// Runs of each cell.
    pub runs: u32,
    pub factors: Vec<Factor>,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A run that is over; a line of `runs.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Over {
    /// From 1.
    pub block: u32,
    pub cell: Cell,
    /// In words.
    pub levels: String,
    /// Its directory below that of the analysis; absent if it was not made.
    pub run: Option<PathBuf>,
    /// How the program ended, and what it said if it made no run.
    pub said: String,
}

impl Ordered {
    pub fn new(
        scenario: &Path,
        (sha256, commit): (&str, &str),
        (profile, sets): (Option<String>, Vec<String>),
        (seed, runs): (u64, u32),
        design: &Design,
    ) -> Self {
        Self {
            format: FORMAT,
            scenario: scenario.to_owned(),
            sha256: sha256.to_owned(),
            commit: commit.to_owned(),
            profile,
            sets,
            seed,
            runs,
            factors: design.factors().to_vec(),
        }
    }

    pub fn text(&self) -> String {
        // Its keys are strings.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// # Errors
    /// In words: what is wrong with the text.
    pub fn parse(text: &str) -> Result<(Self, Design), String> {
        // Before its other keys: those of another format are other ones.
        let Format { format } = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!("it has format {format}, and this program knows {FORMAT}"));
        }
        let found: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for factor in &found.factors {
            // Documents draw their names as they are.
            if Factor::parse(&factor.to_string()).as_ref() != Ok(factor) {
                return Err(format!("`{}` is not a factor", notation::visible::line(&factor.to_string())));
            }
        }
        let design = Design::new(found.factors.clone()).map_err(|error| error.to_string())?;
        Ok((found, design))
    }
}

impl Over {
    pub fn lines(all: &[Self]) -> String {
        all.iter().map(|over| serde_json::to_string(over).unwrap_or_default() + "\n").collect()
    }

    /// # Errors
    /// In words: which line is wrong, and why.
    pub fn parse(text: &str, ordered: &Ordered) -> Result<Vec<Self>, String> {
        let mut all: Vec<Self> = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let over: Self = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
            if over.cell >= 1 << ordered.factors.len() || !(1..=ordered.runs).contains(&over.block) {
                return Err(format!(
                    "line {number}: cell {} of block {} was not asked for",
                    over.cell, over.block
                ));
            }
            let is_below = |run: &PathBuf| {
                run.file_name().is_some() && run.components().all(|part| matches!(part, Component::Normal(_)))
            };
            if !over.run.iter().all(is_below) {
                return Err(format!("line {number}: its run is not below this directory"));
            }
            if all.iter().any(|other| (other.block, other.cell) == (over.block, over.cell)) {
                return Err(format!("line {number}: cell {} of block {} comes twice", over.cell, over.block));
            }
            all.push(over);
        }
        Ok(all)
    }
}
