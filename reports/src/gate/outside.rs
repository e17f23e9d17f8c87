//! Facts from outside: what the files of other programs say, as figures.
//!
//! A reader takes bytes and gives figures, or says why it cannot. A file that is cut short, empty or of another format is an
//! error and never a zero.

mod comparison;
mod coverage;
mod junit;
mod statement;
mod supply;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use notation::visible;

use super::ask::Format;

/// What a file of another program says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// By the name of the figure in the catalogue; ratios and counts.
    pub figures: BTreeMap<&'static str, f64>,
    /// When it was made, if it says so itself.
    pub dated: Option<Timestamp>,
    /// Who stands for it, if it says so.
    pub by: Option<String>,
    /// The commit of the build that it is for, if it says so.
    pub build: Option<String>,
    /// The SHA-256 of the scenario that it is about, if it says so.
    pub scenario_sha256: Option<String>,
    /// The last day on which it holds, in UTC, if it says so.
    pub expires: Option<Date>,
    /// What it says beside figures: a statement, the first few of what it found.
    pub remarks: Vec<String>,
}

/// Fewer digits of a commit could be those of many.
pub(super) const COMMIT_DIGITS_MIN: usize = 7;
/// How many findings of a file are kept as remarks.
const REMARKS_MAX: usize = 5;

/// What is not JSON, with its first line: where a program could not be started, or refused, that says why.
fn not_json(line: &str, of: &str) -> String {
    const SHOWN_MAX: usize = 160;
    let all = visible::line(line.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim());
    let shown: String = all.chars().take(SHOWN_MAX).collect();
    let cut = if shown.len() < all.len() { "…" } else { "" };
    let missing = line.split_once("no such command: `").and_then(|(_, after)| after.split_once('`'));
    let next = match missing {
        Some((tool, _)) => format!("install it with `cargo install --locked cargo-{}`", visible::line(tool)),
        None => format!("is it the output of `{of}`?"),
    };
    format!("not JSON, but `{shown}{cut}`: {next}")
}

/// The figures of a file. An error is a lower-case fragment.
pub fn read(format: Format, bytes: &[u8]) -> Result<Reading, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))?;
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    match format {
        Format::Lcov => coverage::lcov(text),
        Format::LlvmCov => coverage::llvm_cov(text),
        Format::Junit => junit::read(text),
        Format::CargoDeny => supply::cargo_deny(text),
        Format::CargoAudit => supply::cargo_audit(text),
        Format::Comparison => comparison::read(text),
        Format::Statement => statement::read(text),
    }
}
