//! `harness baseline`: runs that later ones are compared with, in files that belong in git.

use super::compare::sides;
use super::compare_args::{BaselineArgs, BaselineListArgs, BaselineNameArgs, BaselineSetArgs, BaselineVerb};
use super::output;
use crate::exit::ExitCode;
use coordinator::cli::outlet;
use reports::compare::{
    Baseline, BaselineError, FigureKind, FigureValue, Side, figure_names, show as with_unit,
};
use reports::units;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The directory of baselines that are named without one.
const DIRECTORY: &str = "baselines";

pub(super) fn baseline(args: &BaselineArgs) -> ExitCode {
    outlet::hurry();
    let json = args.json;
    let done = match &args.verb {
        BaselineVerb::Set(args) => set(args, json),
        BaselineVerb::Show(args) => show(args, json),
        BaselineVerb::List(args) => list(args, json),
        BaselineVerb::Rm(args) => remove(args, json),
    };
    done.unwrap_or_else(|code| code)
}

/// The runs of a baseline, named or as the path of its file.
pub(super) fn side(name: &Path) -> Result<Side, ExitCode> {
    let is_path = name.components().count() > 1 || name.extension().is_some_and(|ending| ending == "json");
    let (path, label) = if is_path {
        (name.to_owned(), name.display().to_string())
    } else {
        let text = name.to_string_lossy();
        let plain = named(&text)?;
        (Path::new(DIRECTORY).join(format!("{plain}.json")), format!("baseline {plain}"))
    };
    Ok(sides::baseline(&path)?.side(label))
}

/// A name that is a file name everywhere.
fn named(name: &str) -> Result<&str, ExitCode> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) && !name.starts_with(['.', '-']) {
        return Ok(name);
    }
    let message = format!("`{name}` cannot be the name of a baseline");
    output::error(&message, Some("use letters, digits, `-`, `_` and `.`, such as smoke or load-100.release"));
    Err(ExitCode::Usage)
}

fn file(dir: &Path, name: &str) -> Result<PathBuf, ExitCode> {
    Ok(dir.join(format!("{}.json", named(name)?)))
}

fn set(args: &BaselineSetArgs, json: bool) -> Result<ExitCode, ExitCode> {
    let path = file(&args.dir, &args.name)?;
    let (side, summaries) = sides::read("the runs", &args.runs)?;
    for left in side.not_counted() {
        output::warn(&format!("{} is left out: {}", left.run, left.why));
    }
    let baseline = Baseline::of(&args.name, &side, &summaries).map_err(|error| {
        let hint = match &error {
            BaselineError::Side(_) => "a baseline is of one scenario, on one host, in one build",
            BaselineError::NoRun { .. }
            | BaselineError::NotABaseline { .. }
            | BaselineError::Format { .. } => "name runs that came to their end",
        };
        output::error(&error.to_string(), Some(hint));
        ExitCode::Usage
    })?;
    let written = fs::create_dir_all(&args.dir).map_err(|error| error.to_string()).and_then(|()| {
        reports::write_whole(&path, baseline.to_json().as_bytes()).map_err(|error| error.to_string())
    });
    written.map_err(|error| {
        output::error(
            &format!("cannot write `{}`: {error}", path.display()),
            Some("name another directory with --dir"),
        );
        ExitCode::HostUnfit
    })?;
    if baseline.runs.len() < 3 {
        output::warn(
            "a baseline of fewer than 3 runs says little of how far runs of one build differ; 10 are better",
        );
    }
    let text = if json {
        format!("{:#}\n", brief(&baseline, &path))
    } else {
        format!("{}: {}\n", path.display(), words(&baseline))
    };
    Ok(output::data_only(&text))
}

fn show(args: &BaselineNameArgs, json: bool) -> Result<ExitCode, ExitCode> {
    let path = file(&args.dir, &args.name)?;
    let baseline = sides::baseline(&path)?;
    if json {
        return Ok(output::data_only(&baseline.to_json()));
    }
    let mut text = format!("{}: {}\n", baseline.name, words(&baseline));
    let terms = &baseline.terms;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  machine {}, host class {}, {} × {}",
        terms.machine, terms.fingerprint, terms.cpus, terms.cpu_model
    );
    for (kind, name) in figure_names(baseline.runs.iter()) {
        if let Some(line) = figure(&baseline, kind, &name) {
            let _ = writeln!(text, "  {name:<26}  {line}");
        }
    }
    for run in &baseline.runs {
        let _ =
            writeln!(text, "  {}  {}  {}  {}", run.started_utc, run.commit, run.verdict.word(), run.run_id);
    }
    Ok(output::data_only(&text))
}

/// From the least to the greatest of all runs, with the median; of counts their sums.
fn figure(baseline: &Baseline, kind: &FigureKind, name: &str) -> Option<String> {
    let values: Vec<FigureValue> =
        baseline.runs.iter().filter_map(|run| run.figures.get(name).copied()).collect();
    let mut levels: Vec<f64> = Vec::new();
    let mut sum = (0, 0);
    for value in &values {
        match value {
            FigureValue::Level { value, .. } => levels.push(*value),
            FigureValue::Count { count, among } => sum = (sum.0 + count, sum.1 + among),
        }
    }
    if values.is_empty() {
        return None;
    }
    if levels.is_empty() {
        return Some(format!("{} of {}", sum.0, sum.1));
    }
    let median = reports::stats::median(&mut levels)?;
    levels.sort_by(f64::total_cmp);
    let of = |value: f64| with_unit(kind.unit, value);
    Some(format!("{} ({} to {})", of(median), of(levels[0]), of(levels[levels.len() - 1])))
}

fn list(args: &BaselineListArgs, json: bool) -> Result<ExitCode, ExitCode> {
    let entries = match fs::read_dir(&args.dir) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && args.dir == Path::new(DIRECTORY) => {
            Vec::new()
        }
        Err(error) => {
            output::error(
                &format!("cannot read `{}`: {error}", args.dir.display()),
                Some("name the directory of the baselines"),
            );
            return Err(ExitCode::Usage);
        }
    };
    let mut paths: Vec<PathBuf> =
        entries.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    paths.sort();
    let found =
        paths.iter().map(|path| Ok((path, sides::baseline(path)?))).collect::<Result<Vec<_>, ExitCode>>()?;
    if json {
        let all: serde_json::Value = found.iter().map(|(path, baseline)| brief(baseline, path)).collect();
        return Ok(output::data_only(&format!("{all:#}\n")));
    }
    if found.is_empty() {
        output::report(&format!(
            "no baseline in `{}`: `harness baseline set NAME RUN…` makes one",
            args.dir.display()
        ));
        return Ok(ExitCode::Pass);
    }
    let lines = found.iter().map(|(path, baseline)| format!("{}: {}\n", path.display(), words(baseline)));
    Ok(output::data_only(&lines.collect::<String>()))
}

fn remove(args: &BaselineNameArgs, json: bool) -> Result<ExitCode, ExitCode> {
    let path = file(&args.dir, &args.name)?;
    // What is not a baseline is not removed.
    sides::baseline(&path)?;
    if let Err(error) = fs::remove_file(&path) {
        output::error(&format!("cannot remove `{}`: {error}", path.display()), None);
        return Err(ExitCode::HostUnfit);
    }
    let text = if json {
        format!("{:#}\n", serde_json::json!({ "removed": path }))
    } else {
        format!("removed {}\n", path.display())
    };
    Ok(output::data_only(&text))
}

fn words(baseline: &Baseline) -> String {
    let profile = baseline.terms.profile.as_ref().map(|name| format!(", profile {name}")).unwrap_or_default();
    let runs = units::things(baseline.runs.len() as u64, "run");
    format!("scenario {}{profile}, {runs}, commit {}", baseline.terms.scenario, commits(baseline).join(", "))
}

fn commits(baseline: &Baseline) -> Vec<&str> {
    let mut commits: Vec<&str> = baseline.runs.iter().map(|run| run.commit.as_str()).collect();
    commits.sort_unstable();
    commits.dedup();
    commits
}

fn brief(baseline: &Baseline, path: &Path) -> serde_json::Value {
    serde_json::json!({
        "name": baseline.name,
        "file": path,
        "scenario": baseline.terms.scenario,
        "profile": baseline.terms.profile,
        "machine": baseline.terms.machine,
        "fingerprint": baseline.terms.fingerprint,
        "runs": baseline.runs.iter().map(|run| &run.run_id).collect::<Vec<_>>(),
        "commits": commits(baseline),
    })
}
