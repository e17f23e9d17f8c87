//! `harness history`: figures from run to run, and the commits between which they changed.

mod measured;

use super::compare::sides;
use super::compare_args::HistoryArgs;
use super::output;
use super::usual::RUNS;
use crate::exit::ExitCode;
use coordinator::cli::outlet;
use reports::compare::{Entry, History, HistoryLine};
use reports::render::history as render;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn history(args: &HistoryArgs) -> ExitCode {
    outlet::hurry();
    draw(args).unwrap_or_else(|code| code)
}

fn draw(args: &HistoryArgs) -> Result<ExitCode, ExitCode> {
    let mut lines = measured::entries(args)?;
    let sources = match &args.sources[..] {
        // There need be no runs where something else was measured.
        [] if lines.is_empty() => &[PathBuf::from(RUNS)],
        named => named,
    };
    for path in sources {
        let is_kept = path.extension().is_some_and(|ending| ending == "jsonl");
        lines.extend(if is_kept { kept(path) } else { of_runs(path) }?);
    }
    lines.retain(|line| args.scenario.as_deref().is_none_or(|name| line.scenario() == Some(name)));
    if args.lines {
        let text: String = lines.iter().map(Entry::to_json).collect();
        return Ok(output::data_only(&text));
    }
    let histories = History::of(lines, args.least);
    if let Some(path) = &args.html {
        reports::write_whole(path, render::html(&histories).as_bytes()).map_err(|error| {
            output::error(&error.to_string(), Some("name a file that you may write"));
            ExitCode::HostUnfit
        })?;
        output::report(&path.display().to_string());
    }
    let text =
        if args.json { format!("{:#}\n", serde_json::json!(histories)) } else { render::text(&histories) };
    Ok(output::data_only(&text))
}

fn of_runs(path: &Path) -> Result<Vec<Entry>, ExitCode> {
    let (side, _) = sides::read("history", &[path.to_owned()])?;
    for left in &side.left_out {
        output::warn(&format!("{} is left out: {}", left.run, left.why));
    }
    Ok(side.runs.into_iter().map(|(terms, run)| HistoryLine { run, terms }.into()).collect())
}

/// The lines that an earlier `--lines` has printed.
fn kept(path: &Path) -> Result<Vec<Entry>, ExitCode> {
    let refuse = |what: String, hint: &str| {
        output::error(&format!("{}: {what}", path.display()), Some(hint));
        ExitCode::Usage
    };
    let text = fs::read_to_string(path).map_err(|error| {
        refuse(format!("cannot be read: {error}"), "name a file that `harness history --lines` has written")
    })?;
    (1..)
        .zip(text.lines())
        .map(|(number, line)| {
            Entry::parse(line).map_err(|what| {
                refuse(
                    format!("line {number} is neither a run nor a measurement: {what}"),
                    "write it again: harness history RUNS --lines, with --criterion or --coverage for a measurement",
                )
            })
        })
        .collect()
}
