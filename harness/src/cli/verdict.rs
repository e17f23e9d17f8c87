//! `harness judge`: from the run log alone. And what it and `harness report` show.

use super::args::{JudgeArgs, VariantArgs};
use super::{load, output};
use crate::exit::ExitCode;
use crate::provenance::{contradiction, settled};
use crate::scenario::Plan;
use coordinator::cli::outlet;
use reports::runlog::event::JudgedBy;
use reports::{Another, JudgeError, Judged};
use std::path::Path;

/// Judges the run again and shows the verdict.
pub(crate) fn judge(args: &JudgeArgs) -> ExitCode {
    outlet::hurry();
    let judged = match args.scenario.as_deref().map(another).transpose() {
        Ok(Some(another)) => reports::judge_by(&args.run, &another, contradiction),
        Ok(None) => reports::judge(&args.run, contradiction),
        Err(refused) => return refused,
    };
    if args.json {
        return print_json(&judged);
    }
    show(&judged, ExitCode::of_judged(&judged), &args.run, "verdict.json")
}

/// The criteria of a scenario file. All combinations of a matrix must have the same.
pub(super) fn another(file: &Path) -> Result<Another, ExitCode> {
    let plans = load::plans(file, &VariantArgs::default())?;
    let Some((plan, others)) = plans.split_first() else { return Err(ExitCode::Usage) };
    let asked = |plan: &Plan| -> Vec<(String, Option<String>)> {
        plan.criteria().iter().map(|c| (c.pass.clone(), c.conditional.clone())).collect()
    };
    if others.iter().any(|other| asked(other) != asked(plan)) {
        let message =
            format!("the combinations of the matrix of `{}` have different criteria", file.display());
        output::error(&message, Some("write the criteria that you mean to a file without a matrix"));
        return Err(ExitCode::Usage);
    }
    let facts = plan.scenario_facts();
    Ok(Another {
        criteria: plan.criteria().to_vec(),
        settled,
        by: JudgedBy { scenario: facts.name.clone(), file: facts.file.clone(), sha256: facts.sha256.clone() },
    })
}

/// As `verdict.json` has it.
pub(super) fn print_json(judged: &Result<Judged, JudgeError>) -> ExitCode {
    let exit = ExitCode::of_judged(judged);
    match judged {
        Ok(judged) => {
            let shown = output::verdict(&reports::render::json::render(&judged.judgement));
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
            let shown = output::verdict(&output::coloured_verdict(&judged.summary));
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
