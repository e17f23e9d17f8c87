//! `harness forecast`: what larger fleets cost. What is fitted, and how, is in [`reports::forecast`].

use super::capacity_args::ForecastArgs;
use super::compare::sides;
use super::output;
use crate::exit::ExitCode;
use coordinator::cli::outlet;
use reports::forecast::{Family, Forecast, ForecastError};
use reports::render::forecast as render;
use std::path::Path;

pub(super) fn forecast(args: &ForecastArgs) -> ExitCode {
    outlet::hurry();
    let found = match read(args) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let is_open = found.holds == Some(false) || found.open > 0;
    let exit = if is_open { ExitCode::Inconclusive } else { ExitCode::Pass };
    let text = if args.json { render::json(&found) } else { render::text(&found) };
    let written = output::with_documents(&text, &args.report, |path| document(path, &found));
    if exit == ExitCode::Pass { written } else { exit }
}

fn read(args: &ForecastArgs) -> Result<Forecast, ExitCode> {
    let (side, summaries) = sides::read("the runs", &args.runs)?;
    let refused = |error: ForecastError| {
        output::error(&error.to_string(), Some(&error.hint()));
        ExitCode::Usage
    };
    let family = Family::new(&side, &summaries, args.across()).map_err(refused)?;
    Forecast::of(&family, &args.asked()).map_err(refused)
}

fn document(path: &Path, found: &Forecast) -> String {
    output::by_ending(
        path,
        [&|| render::html(found), &|| render::json(found), &|| render::markdown(found), &|| {
            render::text(found)
        }],
    )
}
