//! `harness validate FILE...`: all mistakes in all files.

use super::args::ValidateArgs;
use super::{load, output};
use crate::exit::ExitCode;
use crate::scenario::{Plan, PlanOptions, Selection};

pub(super) fn validate(args: &ValidateArgs) -> ExitCode {
    let mut bad = 0_usize;
    for file in &args.files {
        let scenario = load::source(file).and_then(|source| load::scenario(&source, &Selection::default()));
        match scenario {
            Ok(scenario) => {
                if let Err(code) = output::data(&format!("{}: ok\n", file.display())) {
                    return code;
                }
                let options = PlanOptions { seed: None, fallback_seed: 0, rehearsal: None };
                for note in Plan::new(scenario, &options).notes() {
                    output::report(&format!("note: {note}"));
                }
            }
            Err(_) => bad += 1,
        }
    }
    if bad == 0 {
        return ExitCode::Pass;
    }
    output::report(&format!("{bad} of {} files cannot be used", args.files.len()));
    ExitCode::Usage
}
