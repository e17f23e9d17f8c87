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
            if let Err(code) = talk::data(&talk::coloured_verdict(&judged.summary)) {
                return code;
            }
            talk::say(&format!("{}", run.join(document).display()));
            code(judged.verdict.exit.code)
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
