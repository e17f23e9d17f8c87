//! `harness impact`: what optimisations do, alone and together. How that is analysed is in [`reports::impact`].

mod listing;
mod made;
mod taken;

use super::impact_args::{ImpactArgs, USUAL};
use super::output;
use crate::exit::ExitCode;
use coordinator::cli::outlet;
use reports::impact::{Design, Factor, Impact, ImpactAsked};
use reports::render::impact as render;
use std::path::Path;
use taken::Taken;

pub(super) fn impact(args: &ImpactArgs) -> ExitCode {
    if let Err(code) = unused(args) {
        return code;
    }
    if args.plan {
        return made::plan(args);
    }
    let taken = if args.from.is_empty() {
        made::runs(args)
    } else {
        outlet::hurry();
        taken::named(args)
    };
    match taken.and_then(|taken| analyse(taken, args)) {
        Ok(found) => show(&found, args),
        Err(code) => code,
    }
}

/// The factors of the command line, or the usual ones.
fn design(args: &ImpactArgs) -> Result<Design, ExitCode> {
    let factors = if args.factors.is_empty() {
        USUAL.map(|text| Factor::parse(text).unwrap_or_else(|wrong| unreachable!("{wrong}"))).to_vec()
    } else {
        args.factors.clone()
    };
    Design::new(factors).map_err(|error| {
        output::error(&error.to_string(), Some(error.hint()));
        ExitCode::Usage
    })
}

/// An option that would be ignored, or would make runs that cannot be analysed.
fn unused(args: &ImpactArgs) -> Result<(), ExitCode> {
    let refuse = |message: String, hint: &str| {
        output::error(&message, Some(hint));
        Err(ExitCode::Usage)
    };
    let variant = &args.variant;
    if variant.rehearse.is_some() {
        let message =
            "--rehearse compresses the schedule, and the figures are then of no real load".to_owned();
        return refuse(message, "leave it out; `--set load.duration=10s` makes shorter runs");
    }
    if args.scenario.is_some() {
        return Ok(());
    }
    match variant.given() {
        Some(name) => refuse(
            format!("{name} says how to run, and that is decided for these runs"),
            "leave it out, or name a scenario",
        ),
        None => Ok(()),
    }
}

/// A refusal has been explained when this returns its exit code.
fn analyse(taken: Taken, args: &ImpactArgs) -> Result<Impact, ExitCode> {
    let asked = ImpactAsked { figures: args.figures.clone(), limit: args.limit };
    Impact::of(&taken.design, &taken.runs, taken.missing, &asked).map_err(|error| {
        output::error(&error.to_string(), Some(error.hint()));
        if error.is_missing_runs() { ExitCode::Inconclusive } else { ExitCode::Usage }
    })
}

/// Writes the documents and prints the analysis.
fn show(found: &Impact, args: &ImpactArgs) -> ExitCode {
    let exit = ExitCode::of_reports(found.exit.code);
    let text = if args.json { render::json(found) } else { render::text(found) };
    let written = output::with_documents(&text, &args.report, |path| document(path, found));
    if exit == ExitCode::Pass { written } else { exit }
}

fn document(path: &Path, found: &Impact) -> String {
    output::by_ending(
        path,
        [&|| render::html(found), &|| render::json(found), &|| render::markdown(found), &|| {
            render::text(found)
        }],
    )
}
