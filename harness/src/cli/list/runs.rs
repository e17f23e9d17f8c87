//! `harness list --runs`: the runs of a directory and their verdicts.

use crate::cli::output;
use crate::exit::ExitCode;
use crate::provenance::contradiction;
use reports::Verdict;
use reports::run_dir::layout::{SEGMENTS_MAX, segment_log};
use std::fmt::Write as _;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// What `verdict.json` says of a run, or that there is none.
#[derive(Debug, PartialEq)]
struct Run {
    directory: PathBuf,
    scenario: String,
    started_utc: String,
    /// `PASS (profile ci)`, or why there is no verdict.
    headline: String,
    /// Absent without a verdict.
    verdict: Option<Verdict>,
    /// `profile ci`; empty if the file was run as it stands.
    variant: String,
    satisfies_gate: bool,
    /// Whether the log says the same; absent if it was not asked, since it is long or judged by another file.
    verified: Option<bool>,
}

/// Longer logs are not judged again for a list.
const LOG_MAX: u64 = 8 << 20;

pub(super) fn list(directory: &Path, json: bool) -> ExitCode {
    let mut runs = match read(directory) {
        Ok(runs) => runs,
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", directory.display());
            output::error(&message, Some("name the directory of your runs: harness list --runs DIR"));
            return ExitCode::Usage;
        }
    };
    // The name of a run's directory begins with the time of its start.
    runs.sort_by(|a, b| {
        b.directory.file_name().cmp(&a.directory.file_name()).then(a.scenario.cmp(&b.scenario))
    });
    if json {
        return output::data_only(&as_json(&runs));
    }
    if runs.is_empty() {
        output::report(&format!("no run in `{}`", directory.display()));
        return ExitCode::Pass;
    }
    output::styled(&output::coloured_verdict(&table(&runs))).err().unwrap_or(ExitCode::Pass)
}

fn read(directory: &Path) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for scenario in std::fs::read_dir(directory)? {
        let scenario = scenario?;
        if !scenario.file_type()?.is_dir() {
            continue;
        }
        for run in std::fs::read_dir(scenario.path())?.flatten() {
            // `latest` is a link to one of the others.
            if run.file_type()?.is_dir() && run.path().join("run.log").exists() {
                runs.push(of(run.path(), &scenario.file_name().to_string_lossy()));
            }
        }
    }
    Ok(runs)
}

/// A verdict that the log does not support is not shown: what the log says takes its place.
fn of(directory: PathBuf, scenario: &str) -> Run {
    let text = std::fs::read_to_string(directory.join("verdict.json")).unwrap_or_default();
    let stated = serde_json::from_str::<reports::Judgement>(&text).ok();
    let judged = stated.as_ref().filter(|stated| stated.variant.judged_by.is_none());
    let judged = judged.and_then(|_| judged_again(&directory));
    let verified = judged.as_ref().map(|judged| reports::render::json::render(judged) == text);
    match if verified == Some(false) { judged } else { stated } {
        Some(judgement) => Run {
            scenario: judgement.scenario.clone(),
            started_utc: judgement.started_utc.clone(),
            headline: match verified {
                Some(true) => judgement.headline(),
                Some(false) => format!("{}, and verdict.json says something else", judgement.headline()),
                None => format!("{} (unverified)", judgement.headline()),
            },
            verdict: Some(judgement.verdict),
            variant: judgement.variant.tag(),
            satisfies_gate: judgement.satisfies_gate && verified == Some(true),
            verified,
            directory,
        },
        None => Run {
            directory,
            scenario: scenario.to_owned(),
            started_utc: String::new(),
            headline: "unjudged".to_owned(),
            verdict: None,
            variant: String::new(),
            satisfies_gate: false,
            verified: None,
        },
    }
}

/// Nothing if the logs are long, or cannot be judged.
fn judged_again(directory: &Path) -> Option<reports::Judgement> {
    let mut logs = Vec::new();
    let mut bytes = 0;
    for segment in 0..SEGMENTS_MAX {
        let Ok(file) = std::fs::File::open(directory.join(segment_log(segment))) else { break };
        bytes += file.metadata().ok()?.len();
        logs.push(BufReader::new(file));
    }
    if bytes > LOG_MAX {
        return None;
    }
    reports::judge_logs(logs, contradiction).ok().map(|(judgement, _)| judgement)
}

fn as_json(runs: &[Run]) -> String {
    let one = |run: &Run| {
        serde_json::json!({
            "run": run.directory,
            "scenario": run.scenario,
            "started_utc": run.started_utc,
            "verdict": run.verdict.map(Verdict::word),
            "variant": run.variant,
            "satisfies_gate": run.satisfies_gate,
            "verified": run.verified,
        })
    };
    format!("{:#}\n", runs.iter().map(one).collect::<serde_json::Value>())
}

fn table(runs: &[Run]) -> String {
    let width = |text: fn(&Run) -> &str| runs.iter().map(|run| text(run).chars().count()).max().unwrap_or(0);
    let (verdict, scenario) = (width(|run| &run.headline), width(|run| &run.scenario));
    let mut text = String::new();
    for run in runs {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<verdict$}  {:<scenario$}  {:<24}  {}",
            run.headline,
            run.scenario,
            run.started_utc,
            run.directory.display()
        );
    }
    text
}
