//! `harness report`: all documents again, from the run logs alone.

use super::args::ReportArgs;
use super::{output, verdict};
use crate::exit::ExitCode;
use crate::provenance::contradiction;
use coordinator::cli::outlet;
use reports::layout::REPORT;
use reports::render::{json, side_by_side};
use reports::{Facts, JudgeError, Judged, Making};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The page of several runs, in the directory of their documents.
const PAGE: &str = "side-by-side.html";

/// Draws all documents again and shows the verdict.
pub(super) fn report(args: &ReportArgs) -> ExitCode {
    outlet::hurry();
    let another = match args.scenario.as_deref().map(verdict::another).transpose() {
        Ok(another) => another,
        Err(refused) => return refused,
    };
    let made = |run: &Path, out: Option<&Path>| {
        let samples_every = args.samples_every.map(Duration::from_nanos);
        let making = Making { out, another: another.as_ref(), samples_every };
        let made = reports::report_to(run, contradiction, &making);
        made.map_or_else(|error| (Err(error), None), |(judged, facts)| (Ok(judged), Some(facts)))
    };
    match &distinct(&args.runs)[..] {
        [run] => {
            let (judged, _) = made(run, args.out.as_deref());
            let place = args.out.as_deref().unwrap_or(run);
            let code = shown(args, &judged, place);
            if args.open && is_written(&judged) {
                ExitCode::worst([code, open(&place.join(REPORT))])
            } else {
                code
            }
        }
        runs => match places(args, runs) {
            Ok(places) => several(args, runs, &places, made),
            Err(refused) => refused,
        },
    }
}

/// There is a page to open.
fn is_written(judged: &Result<Judged, JudgeError>) -> bool {
    judged.as_ref().is_ok_and(|judged| judged.unwritten.is_none())
}

fn shown(args: &ReportArgs, judged: &Result<Judged, JudgeError>, place: &Path) -> ExitCode {
    if args.json {
        return verdict::print_json(judged);
    }
    verdict::show(judged, ExitCode::of_judged(judged), place, REPORT)
}

/// Each run once: `runs/load-708/*` names the newest one a second time, by the link `latest`.
fn distinct(runs: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let is_new = |run: &&PathBuf| seen.insert(run.canonicalize().unwrap_or_else(|_| (*run).clone()));
    runs.iter().filter(is_new).cloned().collect()
}

/// A folder for each of several runs, with the name of its directory.
fn places(args: &ReportArgs, runs: &[PathBuf]) -> Result<Vec<PathBuf>, ExitCode> {
    let refuse = |message: &str, hint: &str| {
        output::error(message, Some(hint));
        Err(ExitCode::Usage)
    };
    let Some(out) = &args.out else {
        return refuse(
            "several runs are shown on a page of their own, and there is no directory for it",
            "give one with --out DIR",
        );
    };
    if runs.len() > side_by_side::RUNS_MAX {
        let message =
            format!("{} runs were given, and a page holds at most {}", runs.len(), side_by_side::RUNS_MAX);
        return refuse(&message, "give fewer; `harness history` shows the figures of many runs over time");
    }
    let mut names: Vec<OsString> = Vec::new();
    for run in runs {
        // `latest` is a link: the run's own name tells more, and is there once.
        let real = run.canonicalize().unwrap_or_else(|_| run.clone());
        let name = real.file_name().unwrap_or(run.as_os_str()).to_owned();
        if names.contains(&name) {
            let message = format!("two of the runs are called `{}`", name.display());
            return refuse(
                &message,
                "give each run once; of runs with one name, rename the directory of one",
            );
        }
        names.push(name);
    }
    Ok(names.iter().map(|name| out.join(name)).collect())
}

/// The documents of each run, and then the page. A run that cannot be judged is named and left out of it.
fn several(
    args: &ReportArgs,
    runs: &[PathBuf],
    places: &[PathBuf],
    made: impl Fn(&Path, Option<&Path>) -> (Result<Judged, JudgeError>, Option<Facts>),
) -> ExitCode {
    let (mut codes, mut found) = (Vec::new(), Vec::new());
    for (run, place) in runs.iter().zip(places) {
        let (judged, facts) = made(run, Some(place));
        codes.push(if args.json { show_error(&judged) } else { shown(args, &judged, place) });
        if let (Ok(judged), Some(facts)) = (judged, facts) {
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            found.push((judged, facts, format!("{name}/{REPORT}")));
        }
    }
    if args.json {
        let verdict = |(judged, ..): &(Judged, Facts, String)| {
            serde_json::from_str(&json::render(&judged.judgement)).unwrap_or_default()
        };
        let verdicts: Vec<Value> = found.iter().map(verdict).collect();
        codes.extend(output::data(&format!("{:#}\n", Value::from(verdicts))).err());
    }
    let out = places.first().and_then(|place| place.parent()).unwrap_or(Path::new("."));
    codes.push(page(args, &found, &out.join(PAGE)));
    ExitCode::worst(codes)
}

/// What of a run could not be judged, or written.
fn show_error(judged: &Result<Judged, JudgeError>) -> ExitCode {
    let error = match judged {
        Ok(judged) => judged.unwritten.as_ref(),
        Err(error) => Some(error),
    };
    if let Some(error) = error {
        output::error(&error.to_string(), Some(error.hint()));
    }
    ExitCode::of_judged(judged)
}

fn page(args: &ReportArgs, found: &[(Judged, Facts, String)], path: &Path) -> ExitCode {
    if found.is_empty() {
        return ExitCode::Pass;
    }
    let runs: Vec<side_by_side::Run> = found
        .iter()
        .map(|(judged, facts, report)| side_by_side::Run { judgement: &judged.judgement, facts, report })
        .collect();
    if let Err(error) = reports::write_whole(path, side_by_side::render(&runs).as_bytes()) {
        output::error(&error.to_string(), Some(error.hint()));
        return ExitCode::HostUnfit;
    }
    output::report(&path.display().to_string());
    if args.open { open(path) } else { ExitCode::Pass }
}

/// Hands the page to the browser, and does not wait for it.
fn open(page: &Path) -> ExitCode {
    let program = std::env::var_os("BROWSER").filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| "xdg-open".into());
    let absolute = page.canonicalize().unwrap_or_else(|_| page.to_owned());
    let mut browser = Command::new(&program);
    browser.arg(&absolute).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match browser.spawn() {
        Ok(_) => ExitCode::Pass,
        Err(error) => {
            let message = format!("`{}` cannot be started to open the report: {error}", program.display());
            output::error(
                &message,
                Some("set BROWSER to the program that opens pages, or open the file yourself"),
            );
            ExitCode::HostUnfit
        }
    }
}
