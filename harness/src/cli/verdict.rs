//! `harness judge` and `harness report`: from the run log alone.

use super::output;
use crate::exit::ExitCode;
use reports::{JudgeError, Judged};
use std::path::Path;

/// Judges the run again and shows the verdict.
pub(crate) fn judge(run: &Path) -> ExitCode {
    let judged = reports::judge(run);
    show(&judged, ExitCode::of_judged(&judged), run, "verdict.json")
}

/// Draws all documents again and shows the verdict.
pub(crate) fn report(run: &Path) -> ExitCode {
    let judged = reports::report(run);
    show(&judged, ExitCode::of_judged(&judged), run, "report.html")
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
