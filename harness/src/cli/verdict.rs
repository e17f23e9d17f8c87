//! `harness judge` and `harness report`: from the run log alone.

use super::talk;
use crate::exit::ExitCode;
use reports::{JudgeError, Judged};
use std::path::Path;

/// Judges the run again and tells the verdict.
pub(crate) fn judge(run: &Path) -> ExitCode {
    tell(reports::judge(run), run, "verdict.json")
}

/// Draws all documents again and tells the verdict.
pub(crate) fn report(run: &Path) -> ExitCode {
    tell(reports::report(run), run, "report.html")
}

fn tell(judged: Result<Judged, JudgeError>, run: &Path, document: &str) -> ExitCode {
    match judged {
        Ok(judged) => {
            let verdict = code(judged.verdict.exit.code);
            // The verdict is told first: it stands, whatever becomes of the documents.
            let told = talk::data(&talk::coloured_verdict(&judged.summary));
            if let Some(error) = &judged.unwritten {
                talk::error(&error.to_string(), Some(error.hint()));
            } else {
                talk::say(&run.join(document).display().to_string());
            }
            match verdict {
                // A pass that nobody can read is none.
                ExitCode::Pass if judged.unwritten.is_some() => ExitCode::HostUnfit,
                ExitCode::Pass => told.err().unwrap_or(verdict),
                _ => verdict,
            }
        }
        Err(error) => {
            talk::error(&error.to_string(), Some(error.hint()));
            code(error.exit_code())
        }
    }
}

/// `verdict.json` names the code; this is the type of it.
fn code(number: u8) -> ExitCode {
    match number {
        0 => ExitCode::Pass,
        10 => ExitCode::Fail,
        11 => ExitCode::Conditional,
        12 => ExitCode::Inconclusive,
        20 => ExitCode::HostUnfit,
        21 => ExitCode::Interrupted,
        64 => ExitCode::Usage,
        _ => ExitCode::Bug,
    }
}
