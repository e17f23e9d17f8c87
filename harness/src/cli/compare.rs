//! `harness compare`: is the second side worse than the first? What is decided, and how, is in [`reports::compare`].

mod interleave;
pub(super) mod sides;

use super::baseline;
use super::compare_args::{CompareArgs, LimitArgs};
use super::output;
use crate::exit::ExitCode;
use coordinator::cli::outlet;
use reports::compare::{Comparison, Outcome, Pair, Side, SideError, compare as held_against};
use reports::render::compare as render;
use std::path::{Path, PathBuf};

pub(super) fn compare(args: &CompareArgs) -> ExitCode {
    if !args.interleave.is_empty() {
        return interleave::interleave(args);
    }
    outlet::hurry();
    if let Some(why) = unused(args) {
        output::error(&why, Some("it belongs to --interleave OLD NEW, which runs a scenario"));
        return ExitCode::Usage;
    }
    let sides = match read(args) {
        Ok(sides) => sides,
        Err(code) => return code,
    };
    match judge(&sides, None, &args.judge) {
        Ok(found) => show(&found, &args.report, args.json),
        Err(code) => code,
    }
}

/// An option that says how to run a scenario, where none is run.
fn unused(args: &CompareArgs) -> Option<String> {
    args.variant.given().map(|name| format!("{name} says how to run, and these runs are over"))
}

fn read(args: &CompareArgs) -> Result<Vec<Side>, ExitCode> {
    if let Some(name) = &args.baseline {
        let before = baseline::side(name)?;
        return Ok(vec![before, sides::read("these runs", &args.sides)?.0]);
    }
    if !args.new.is_empty() {
        let (before, now) = (sides::read("before", &args.sides)?.0, sides::read("now", &args.new)?.0);
        return Ok(vec![before, now]);
    }
    args.sides
        .iter()
        .map(|side| Ok(sides::read(&side.display().to_string(), std::slice::from_ref(side))?.0))
        .collect()
}

/// Holds every side against the first one. A refusal has been explained when this returns its exit code.
pub(super) fn judge(
    sides: &[Side],
    pairs: Option<&[Pair]>,
    limits: &LimitArgs,
) -> Result<Comparison, ExitCode> {
    held_against(sides, pairs, &limits.limits()).map_err(|refused| refuse(&refused))
}

fn refuse(refused: &SideError) -> ExitCode {
    output::error(&refused.to_string(), Some(&refused.hint()));
    ExitCode::Usage
}

/// Writes the documents and prints the comparison. It stands, whatever becomes of the documents.
fn show(found: &Comparison, documents: &[PathBuf], json: bool) -> ExitCode {
    let exit = ExitCode::of_reports(found.exit.code);
    let text = if json { render::json(found) } else { coloured(found) };
    let shown = output::verdict(&text).err().unwrap_or(ExitCode::Pass);
    let written = output::documents(shown, documents, |path| document(path, found));
    if exit == ExitCode::Pass { written } else { exit }
}

fn document(path: &Path, found: &Comparison) -> String {
    output::by_ending(
        path,
        [&|| render::html(found), &|| render::json(found), &|| render::markdown(found), &|| {
            render::text(found)
        }],
    )
}

/// The first word in its colour.
pub(super) fn coloured(found: &Comparison) -> String {
    let text = render::text(found);
    let word = found.outcome.word();
    match text.strip_prefix(word) {
        Some(rest) => {
            let colour = match found.outcome {
                Outcome::NoRegression => anstyle::AnsiColor::Green,
                Outcome::Inconclusive => anstyle::AnsiColor::Magenta,
                Outcome::Regression => anstyle::AnsiColor::Red,
            };
            let style = anstyle::Style::new().fg_color(Some(colour.into())).bold();
            format!("{style}{word}{style:#}{}", notation::visible::text(rest))
        }
        None => text,
    }
}
