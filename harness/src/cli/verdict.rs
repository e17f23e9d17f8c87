//! `harness judge` and `harness report`: from the run log alone.

use super::args::{JudgeArgs, ReportArgs};
use super::output;
use crate::exit::ExitCode;
use reports::{JudgeError, Judged};
use std::path::Path;

/// Judges the run again and shows the verdict.
pub(crate) fn judge(args: &JudgeArgs) -> ExitCode {
    let judged = reports::judge(&args.run);
    if args.json {
        return print_json(&judged);
    }
    show(&judged, ExitCode::of_judged(&judged), &args.run, "verdict.json")
}

/// Draws all documents again and shows the verdict.
pub(crate) fn report(args: &ReportArgs) -> ExitCode {
    let judged = reports::report(&args.run);
    if args.json {
        return print_json(&judged);
    }
    show(&judged, ExitCode::of_judged(&judged), &args.run, "report.html")
}

/// As `verdict.json` has it.
fn print_json(judged: &Result<Judged, JudgeError>) -> ExitCode {
    let exit = ExitCode::of_judged(judged);
    match judged {
        Ok(judged) => {
            let shown = output::data(&reports::render::json::render(&judged.judgement));
            if let Some(error) = &judged.unwritten {
                output::error(&error.to_string(), Some(error.hint()));
            }
            if exit == ExitCode::Pass { shown.err().unwrap_or(exit) } else { exit }
        }
        Err(error) => {
            output::error(&error.to_string(), Some(error.hint()));
            exit
        }
    }
}

/// `exit` is what the run amounts to. It stays, unless it is a pass that standard output did not take.
pub(crate) fn show(
    judged: &Result<Judged, JudgeError>,
    exit: ExitCode,
    run: &Path,
    document: &str,
) -> ExitCode {
    match judged {
        Ok(judged) => {
            // The verdict comes first: it stands, whatever becomes of the documents.
            let shown = output::data(&output::coloured_verdict(&judged.summary));
            match &judged.unwritten {
                Some(error) => output::error(&error.to_string(), Some(error.hint())),
                None => output::report(&run.join(document).display().to_string()),
            }
            if exit == ExitCode::Pass { shown.err().unwrap_or(exit) } else { exit }
        }
        Err(error) => {
            output::error(&error.to_string(), Some(error.hint()));
            exit
        }
    }
}
