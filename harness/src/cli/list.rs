//! `harness list [DIR]`: the scenarios of a directory, and the question that each one answers.

use super::args::ListArgs;
use super::{load, output};
use crate::exit::ExitCode;
use crate::scenario::unit::duration_text;
use crate::scenario::{Plan, PlanOptions, Selection};
use std::fmt::Write as _;
use std::path::PathBuf;

pub(super) fn list(args: &ListArgs) -> ExitCode {
    let files = match files(args) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", args.directory.display());
            output::error(&message, Some("name the directory of your scenarios: harness list DIR"));
            return ExitCode::Usage;
        }
    };
    if files.is_empty() {
        output::report(&format!(
            "no scenario in `{}`: no file there ends in .toml",
            args.directory.display()
        ));
        return ExitCode::Pass;
    }
    let mut code = ExitCode::Pass;
    let mut rows = Vec::new();
    for file in files {
        match load::source(&file).and_then(|source| load::scenario(&source, &Selection::default())) {
            Ok(scenario) => {
                let plan =
                    Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 0, rehearsal: None });
                rows.push([
                    plan.name().to_owned(),
                    plan.shape().processes().to_string(),
                    duration_text(plan.expected_duration()),
                    plan.asks().to_owned(),
                ]);
            }
            Err(refused) => code = refused,
        }
    }
    output::data(&table(&rows)).err().unwrap_or(code)
}

fn files(args: &ListArgs) -> std::io::Result<Vec<PathBuf>> {
    /// The plan of the phases lies beside the scenarios and is not one.
    const NO_SCENARIO: &str = "phases.toml";
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&args.directory)? {
        let path = entry?.path();
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        if is_toml && path.file_name().is_some_and(|name| name != NO_SCENARIO) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn table(rows: &[[String; 4]]) -> String {
    let head = ["scenario", "processes", "takes", "asks"].map(str::to_owned);
    let lines: Vec<&[String; 4]> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, processes, takes) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [scenario, count, duration, asks] in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{scenario:<name$}  {count:>processes$}  {duration:>takes$}  {asks}");
    }
    text
}
