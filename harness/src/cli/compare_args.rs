//! The arguments of the verbs that compare runs.

use super::variant_args::VariantArgs;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use reports::compare::{Across, Limits, figure_kinds};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the project asks for: no figure worse by more than a tenth.
const LIMIT: &str = "10%";
/// A SHA-256 in hexadecimal digits has 64.
const COMMIT_CHARS_MAX: usize = 80;

/// A side is the directory of a run, a directory with runs in it, the log of a run, or a baseline.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The sides: the first one is what the others are held against. With --interleave, the scenario
    #[arg(value_name = "SIDE", required = true)]
    pub sides: Vec<PathBuf>,
    /// All SIDEs together are what was before, and these together are what is now
    #[arg(long, value_name = "RUN", num_args = 1.., conflicts_with = "interleave")]
    pub new: Vec<PathBuf>,
    /// Hold all SIDEs together against this baseline
    #[arg(long, value_name = "NAME", conflicts_with_all = ["interleave", "new"])]
    pub baseline: Option<PathBuf>,
    /// Run a scenario with two harness programs in turn, in random order, and compare them
    #[arg(long, value_names = ["OLD", "NEW"], num_args = 2)]
    pub interleave: Vec<PathBuf>,
    /// Run each program so many times
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, requires = "interleave", value_parser = clap::value_parser!(u32).range(1..=1000), allow_negative_numbers = true)]
    pub pairs: u32,
    /// Write the runs to DIR/<time>-<id>
    #[arg(long, value_name = "DIR", default_value = "comparisons", requires = "interleave")]
    pub out: PathBuf,
    #[command(flatten)]
    pub variant: VariantArgs,
    #[command(flatten)]
    pub judge: LimitArgs,
    /// Write a document, too: FILE ends in .html, .md, .json or .txt; may be repeated
    #[arg(long, value_name = "FILE", value_parser = document)]
    pub report: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub struct LimitArgs {
    /// How much worse a figure may be: 10%, or 'task.time p99=25%' for one figure; may be repeated
    #[arg(long = "limit", value_name = "LIMIT", default_value = LIMIT, value_parser = limit)]
    pub limits: Vec<OneLimit>,
    /// Compare only this figure, such as 'task.time p50'; may be repeated
    #[arg(long = "figure", value_name = "NAME", value_parser = figure)]
    pub figures: Vec<String>,
    /// Compare runs of different hosts; every document says so
    #[arg(long)]
    pub across_hosts: bool,
    /// Compare runs of different scenarios, profiles, fleets or rehearsals; every document says so
    #[arg(long)]
    pub across_scenarios: bool,
    /// Compare a debug build with a release build; every document says so
    #[arg(long)]
    pub across_builds: bool,
}

/// Of one figure, or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct OneLimit {
    figure: Option<String>,
    share: f64,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        let usual = limit(LIMIT).map_or(0.1, |limit| limit.share);
        let all = self.limits.iter().rfind(|limit| limit.figure.is_none());
        let single: BTreeMap<String, f64> =
            self.limits.iter().filter_map(|limit| Some((limit.figure.clone()?, limit.share))).collect();
        Limits {
            all: all.map_or(usual, |limit| limit.share),
            single,
            only: self.figures.clone(),
            across: Across {
                hosts: self.across_hosts,
                scenarios: self.across_scenarios,
                builds: self.across_builds,
            },
        }
    }
}

fn limit(text: &str) -> Result<OneLimit, String> {
    let (named, share) = match text.rsplit_once('=') {
        Some((name, share)) => (Some(figure(name)?), share),
        None => (None, text),
    };
    Ok(OneLimit { figure: named, share: self::share(share)? })
}

/// A limit of whatever figure, as a share.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let percent = reports::units::parse_percent(text)?;
    if !(percent > 0.0 && percent < 100.0) {
        return Err(format!("a limit lies between 0% and 100%, and {text} does not"));
    }
    Ok(percent / 100.0)
}

/// As git and people write it: it stands in lines and documents.
fn commit(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
    if (1..=COMMIT_CHARS_MAX).contains(&text.len()) && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a commit has 1 to {COMMIT_CHARS_MAX} letters, digits, `-`, `.`, `_` or `/`: try \"$(git rev-parse --short HEAD)\""
    ))
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}; write it like 2026-12-01T10:00:00Z"))
}

/// The name of a figure, with or without the label of a workload.
fn figure(text: &str) -> Result<String, String> {
    let plain = match (text.find('{'), text.rfind('}')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", &text[..open], &text[close + 1..]),
        _ => text.to_owned(),
    };
    if figure_kinds().iter().any(|kind| kind.name == plain) {
        return Ok(text.to_owned());
    }
    let names: Vec<&str> = figure_kinds().iter().map(|kind| kind.name).collect();
    let close = notation::suggest::nearest(&plain, names.iter().copied());
    Err(match close {
        Some(name) => format!("there is no figure `{text}`; did you mean `{name}`?"),
        None => format!("there is no figure `{text}`; there are {}", names.join(", ")),
    })
}

pub(super) fn document(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html" | "md" | "json" | "txt") => Ok(path),
        _ => Err("the name ends in .html, .md, .json or .txt, which says what is written".into()),
    }
}

#[derive(Debug, Clone, Args)]
pub struct BaselineArgs {
    #[command(subcommand)]
    pub verb: BaselineVerb,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub enum BaselineVerb {
    /// Make a baseline of runs, or replace it
    #[command(before_help = "Example:  harness baseline set smoke runs/smoke")]
    Set(BaselineSetArgs),
    /// Show what a baseline holds
    #[command(before_help = "Example:  harness baseline show smoke")]
    Show(BaselineNameArgs),
    /// List the baselines
    #[command(before_help = "Example:  harness baseline list")]
    List(BaselineListArgs),
    /// Remove a baseline
    #[command(before_help = "Example:  harness baseline rm smoke")]
    Rm(BaselineNameArgs),
}

#[derive(Debug, Clone, Args)]
pub struct BaselineSetArgs {
    /// The name of the baseline; its file is DIR/NAME.json
    pub name: String,
    /// Runs: directories of runs, directories with runs in them, or logs
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The directory of the baselines
    #[arg(long, value_name = "DIR", default_value = "baselines")]
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct BaselineNameArgs {
    /// The name of the baseline
    pub name: String,
    /// The directory of the baselines
    #[arg(long, value_name = "DIR", default_value = "baselines")]
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct BaselineListArgs {
    /// The directory of the baselines
    #[arg(value_name = "DIR", default_value = "baselines")]
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("measured").multiple(true)))]
pub struct HistoryArgs {
    /// Directories with runs in them, runs, and files of lines that --lines has printed (.jsonl)
    ///
    /// `runs` if nothing else is named.
    #[arg(value_name = "RUNS")]
    pub sources: Vec<PathBuf>,
    /// What Criterion has measured: the directory that it writes to, such as target/criterion
    #[arg(long, value_name = "DIR", requires = "commit", group = "measured")]
    pub criterion: Option<PathBuf>,
    /// A coverage report: lcov's tracefile, or the JSON of `cargo llvm-cov --json`
    #[arg(long, value_name = "FILE", requires = "commit", group = "measured")]
    pub coverage: Option<PathBuf>,
    /// The commit that --criterion and --coverage are of
    #[arg(long, value_name = "HASH", value_parser = commit, requires = "measured")]
    pub commit: Option<String>,
    /// When --criterion and --coverage were measured, such as 2026-12-01T10:00:00Z; when their files were written, if it is not said
    #[arg(long, value_name = "TIME", value_parser = time, requires = "measured")]
    pub at: Option<Timestamp>,
    /// Only runs of this scenario
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// The smallest change of a level that is named
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    pub least: f64,
    /// Draw a page with every figure over the runs
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print each run as a line of JSON, to be kept: append it to a file that ends in .jsonl
    #[arg(long, conflicts_with = "json")]
    pub lines: bool,
    /// Print one JSON array instead of text
    #[arg(long)]
    pub json: bool,
}
