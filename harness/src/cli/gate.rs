//! `harness gate NAME`: from the plan and the runs to a decision, its documents and an exit code.

mod gather;
mod signed;

pub(super) use gather::{home_of, inputs};

use super::args::{GateArgs, PlanArg};
use super::{load, output};
use crate::exit::ExitCode;
use crate::scenario::{Source, phases};
use coordinator::cli::outlet;
use notation::suggest;
use reports::gate::decide::decide;
use reports::gate::decision::Decision;
use reports::gate::plan::{Evidence, Plan};
use reports::render::gate as render;
use reports::run_dir::write_document;
use std::path::Path;

pub(super) fn gate(args: &GateArgs) -> ExitCode {
    outlet::hurry();
    let decision = match decided(args) {
        Ok(decision) => decision,
        Err(code) => return code,
    };
    let exit = ExitCode::of_reports(decision.exit.code);
    if let Some(name) = &args.explain {
        return explain(args, &decision, name, exit);
    }
    let unwritten = write(&decision, &args.output.join(&args.name));
    let shown = if args.json {
        output::verdict(&render::json(&decision))
    } else {
        output::verdict(&output::coloured_verdict(&render::text(&decision)))
    };
    // The decision stands even if its documents cannot be written, but a PASS that cannot be read is not a success.
    if exit == ExitCode::Pass { unwritten.and(shown).err().unwrap_or(exit) } else { exit }
}

fn decided(args: &GateArgs) -> Result<Decision, ExitCode> {
    let (source, plan) = plan(&args.plan)?;
    let Some(gate) = plan.gate(&args.name) else {
        let names: Vec<&str> = plan.gates.iter().map(|gate| gate.name.as_str()).collect();
        let message = format!("there is no gate `{}` in {}", args.name, plan.file.path);
        output::error(&message, Some(&suggest::hint(&args.name, &names)));
        return Err(ExitCode::Usage);
    };
    let inputs = inputs(&source, &plan, &plan.chain(gate), &args.plan, &args.output)?;
    Ok(decide(&plan, gate, &inputs))
}

/// Reads a plan; mistakes have been shown when this returns an error.
pub(super) fn plan(args: &PlanArg) -> Result<(Source, Plan), ExitCode> {
    let source = load::plan_source(&args.phases)?;
    match phases::parse(&source) {
        Ok(plan) => Ok((source, plan)),
        Err(found) => {
            output::mistakes(&found);
            Err(ExitCode::Usage)
        }
    }
}

/// Below an error about a file that a piece of evidence names.
pub(super) fn note_who_names_it(plan: &Plan, evidence: &Evidence) {
    output::report(&format!("note: `{}` names it, at {}", plan.file.path, evidence.place));
}

/// `exit` is that of the decision.
fn explain(args: &GateArgs, decision: &Decision, name: &str, exit: ExitCode) -> ExitCode {
    match render::explained(decision, name) {
        Ok(explained) => {
            let shown = if args.json {
                output::verdict(&render::json(&explained))
            } else {
                output::verdict(&output::coloured_verdict(&render::explain(&explained)))
            };
            if exit == ExitCode::Pass { shown.err().unwrap_or(exit) } else { exit }
        }
        Err(hint) => {
            output::error(
                &format!("`{}` has no evidence and no criterion `{name}`", decision.gate),
                Some(&hint),
            );
            ExitCode::Usage
        }
    }
}

/// Writes every document that can be written.
fn write(decision: &Decision, directory: &Path) -> Result<(), ExitCode> {
    let hint = "choose another directory with --output, or free some space";
    let failed = |path: &Path, error: std::io::Error| {
        output::error(&format!("{} cannot be written: {error}", path.display()), Some(hint));
        ExitCode::HostUnfit
    };
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let mut done = Ok(());
    for (name, text) in render::documents(decision) {
        let path = directory.join(name);
        if let Err(error) = write_document(&path, text.as_bytes()) {
            done = Err(failed(&path, error));
        }
    }
    if done.is_ok() {
        output::report(&directory.join("decision.html").display().to_string());
    }
    done
}
