//! What was measured, sample by sample; every document is drawn from it. Kept as results.json, so that rows measured
//! one after the other (`--only`) end up in one table.

use crate::catalogue::{Table, Who, Work};
use crate::machine::Machine;
use crate::pair::Measured;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// In what share of the time another program may have had a processor that the sample wanted.
pub const DISTURBED: f64 = 0.1;
/// How far the line bounce may differ between before and after.
pub const DRIFT: f64 = 1.3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Smt,
    Near,
    Far,
}

impl Mode {
    /// By the time of a line from one processor to the other.
    fn of(bounce_ns: f64) -> Self {
        match bounce_ns {
            ns if ns < 25.0 => Mode::Smt,
            ns if ns <= 80.0 => Mode::Near,
            _ => Mode::Far,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::Smt => "smt",
            Mode::Near => "near",
            Mode::Far => "far",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    pub who: Who,
    pub round: usize,
    /// Of the line bounce before it.
    pub mode: Mode,
    /// The line bounce changed inside it, or others were at work: shown as dropped, used for nothing.
    pub dropped: bool,
    pub measured: Measured,
}

impl Sample {
    pub fn new(who: Who, round: usize, measured: Measured) -> Self {
        let (before, after) = (measured.bounce_before_ns, measured.bounce_after_ns);
        let dropped = before.max(after) > DRIFT * before.min(after) || measured.disturbed > DISTURBED;
        Self { who, round, mode: Mode::of(before), dropped, measured }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RowResult {
    pub key: String,
    pub title: String,
    pub table: Table,
    pub work: Work,
    pub samples: Vec<Sample>,
    /// A peer that failed in this row, and how.
    pub failed: BTreeMap<Who, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub versions: BTreeMap<String, String>,
    pub absent: BTreeMap<String, String>,
    /// Of the origin's ids: replies in one second, share lost (median of the draws).
    pub lost_ids: Vec<(usize, f64)>,
    pub rows: Vec<RowResult>,
    /// Of our own fleets.
    #[serde(default)]
    pub fleets: Vec<crate::own::Figure>,
}

impl Results {
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            versions: BTreeMap::new(),
            absent: BTreeMap::new(),
            lost_ids: Vec::new(),
            rows: Vec::new(),
            fleets: Vec::new(),
        }
    }

    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join("results.json");
        let beside = directory.join("results.json.new");
        fs::write(&beside, serde_json::to_string_pretty(self)?)
            .and_then(|()| fs::rename(&beside, &path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// What an earlier run left in `directory`, if it is of this machine.
    pub fn load(directory: &Path, machine: &Machine) -> Result<Option<Self>> {
        let path = directory.join("results.json");
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let results: Self = serde_json::from_str(&text).with_context(|| {
            format!("{} is of another version of this program: give another --out", path.display())
        })?;
        if results.machine != *machine {
            bail!("{} was measured on another machine: give another --out", path.display());
        }
        Ok(Some(results))
    }

    /// Takes the place of an earlier measurement of the same row; the order of the tables stays.
    pub fn put(&mut self, row: RowResult, order: &[String]) {
        self.rows.retain(|old| old.key != row.key);
        self.rows.push(row);
        self.rows.sort_by_key(|row| order.iter().position(|key| *key == row.key));
    }
}

/// The version of a crate that this program was built with.
pub fn locked_version(name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    version.map_or("?", |version| version.trim_end_matches('"')).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Figures;

    fn sample(before: f64, after: f64) -> Sample {
        let measured = Measured {
            bounce_before_ns: before,
            bounce_after_ns: after,
            cpu_s: 0.0,
            server_cpu_s: 0.0,
            sleeps: 0,
            disturbed: 0.0,
            figures: Figures::default(),
        };
        Sample::new(Who::Ours, 0, measured)
    }

    #[test]
    fn a_sample_in_which_the_machine_changed_is_dropped() {
        assert!(!sample(30.0, 38.0).dropped);
        assert!(sample(30.0, 40.0).dropped);
        assert!(sample(170.0, 30.0).dropped);
        assert_eq!(sample(30.0, 38.0).mode, Mode::Near);
        assert_eq!(sample(20.0, 21.0).mode, Mode::Smt);
        assert_eq!(sample(170.0, 170.0).mode, Mode::Far);
    }

    #[test]
    fn the_lock_file_says_which_iceoryx2_it_is() {
        assert_eq!(locked_version("iceoryx2"), "0.10.0");
    }
}
