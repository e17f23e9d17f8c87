//! `harness phases`: what of the plan is open, what waits for what, and what to do next.

use super::args::PhasesArgs;
use super::{gate, output};
use crate::exit::ExitCode;
use coordinator::cli::outlet;
use reports::gate::decide::decide_all;
use reports::gate::plan::Gate;
use reports::gate::schedule::{Schedule, schedule};
use reports::render::gate as render;
use reports::run_dir::write_document;

pub(super) fn phases(args: &PhasesArgs) -> ExitCode {
    outlet::hurry();
    let schedule = match read(args) {
        Ok(schedule) => schedule,
        Err(code) => return code,
    };
    if let Some(path) = &args.svg
        && let Err(error) = write_document(path, render::phases_svg(&schedule).as_bytes())
    {
        output::error(
            &format!("{} cannot be written: {error}", path.display()),
            Some("name another file with --svg"),
        );
        return ExitCode::HostUnfit;
    }
    output::data_only(&if args.json { render::json(&schedule) } else { render::phases_text(&schedule) })
}

fn read(args: &PhasesArgs) -> Result<Schedule, ExitCode> {
    let plan = gate::plan(&args.plan)?;
    let gates: Vec<&Gate> = plan.gates.iter().collect();
    let inputs = gate::inputs(&plan, &gates, &args.plan)?;
    Ok(schedule(&plan, &decide_all(&plan, &inputs)))
}
