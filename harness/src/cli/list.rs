//! `harness list [DIR]`: the scenarios of a directory, and the question that each one answers; or the runs.

mod runs;

use super::args::ListArgs;
use super::usual::RUNS;
use super::{load, output};
use crate::exit::ExitCode;
use crate::scenario::unit::duration_text;
use crate::scenario::{Plan, PlanOptions, Selection};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(super) fn list(args: &ListArgs) -> ExitCode {
    if args.runs {
        return runs::list(args.directory.as_deref().unwrap_or(Path::new(RUNS)), args.json);
    }
    let directory = args.directory.clone().unwrap_or_else(|| PathBuf::from("scenarios"));
    let files = match files(&directory) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", directory.display());
            output::error(&message, Some("name the directory of your scenarios: harness list DIR"));
            return ExitCode::Usage;
        }
    };
    if files.is_empty() && !args.json {
        output::report(&format!("no scenario in `{}`: no file there ends in .toml", directory.display()));
        return ExitCode::Pass;
    }
    let mut code = ExitCode::Pass;
    let mut plans = Vec::new();
    for file in files {
        let options = PlanOptions { seed: None, fallback_seed: 0, rehearsal: None };
        match load::source(&file).and_then(|source| load::scenarios(&source, &Selection::default())) {
            Ok(scenarios) => {
                let planned = scenarios.into_iter().map(|scenario| Plan::new(scenario, &options));
                plans.extend(planned.map(|plan| (file.clone(), plan)));
            }
            Err(refused) => code = refused,
        }
    }
    let shown = if args.json { json(&plans) } else { table(&plans) };
    output::data(&shown).err().unwrap_or(code)
}

fn json(plans: &[(PathBuf, Plan)]) -> String {
    let one = |(file, plan): &(PathBuf, Plan)| {
        serde_json::json!({
            "scenario": plan.name(),
            "file": file,
            "processes": plan.shape().processes(),
            "takes_ns": u64::try_from(plan.expected_duration().as_nanos()).unwrap_or(u64::MAX),
            "asks": plan.asks(),
        })
    };
    format!("{:#}\n", plans.iter().map(one).collect::<serde_json::Value>())
}

fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        // Plans lie beside the scenarios.
        let is_plan = path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().starts_with(b"phases"));
        if is_toml && !is_plan {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn table(plans: &[(PathBuf, Plan)]) -> String {
    let row = |(_, plan): &(PathBuf, Plan)| {
        let takes = duration_text(plan.expected_duration());
        [plan.name().to_owned(), plan.shape().processes().to_string(), takes, plan.asks().to_owned()]
    };
    let rows: Vec<[String; 4]> = plans.iter().map(row).collect();
    let head = ["scenario", "processes", "takes", "asks"].map(str::to_owned);
    let lines: Vec<&[String; 4]> = std::iter::once(&head).chain(&rows).collect();
    let width = |column: usize| lines.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, processes, takes) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [scenario, count, duration, asks] in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{scenario:<name$}  {count:>processes$}  {duration:>takes$}  {asks}");
    }
    text
}
