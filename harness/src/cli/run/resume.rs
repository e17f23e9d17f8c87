//! `harness resume`: another segment of a run that was interrupted.

use super::one::{self, Show};
use super::recap::{Line, Recap};
use super::{allowed, keep_from_others, namespace, watch};
use crate::cli::args::ResumeArgs;
use crate::cli::{load, output};
use crate::conduct::{Options, Place, Resumes};
use crate::engine::run_dir::RunDir;
use crate::exit::ExitCode;
use crate::provenance::{self, Unplanned};
use crate::run_index;
use crate::scenario::Plan;
use crate::system::own_program;
use coordinator::cli::limits::TooLow;
use reports::run_dir::{ResumeError, Unfinished};
use reports::runlog::event::Header;
use std::io::ErrorKind;
use std::path::Path;

pub(crate) fn resume(args: &ResumeArgs) -> ExitCode {
    output::begin_runs();
    if let Err(TooLow { what, remedy }) = allowed() {
        output::error(&format!("{what}; nothing was started"), Some(remedy));
        return ExitCode::HostUnfit;
    }
    keep_from_others();
    // The link `latest` may point to another run meanwhile.
    let run = args.run.canonicalize().unwrap_or_else(|_| args.run.clone());
    match prepare(&run).and_then(|(plan, resumes)| go_on(args, plan, resumes)) {
        Ok(code) | Err(code) => code,
    }
}

/// The run, and its plan as it was.
fn prepare(path: &Path) -> Result<(Plan, Resumes), ExitCode> {
    // First: what is read is not what another harness is still writing.
    let directory = RunDir::of_run(path).map_err(|error| {
        let hint = match error.error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                "give the directory of a run, such as runs/SCENARIO/latest"
            }
            ErrorKind::PermissionDenied => "resume it as the user who made it; nothing was started",
            _ => "let it end, or end it with `harness stop`; nothing was started",
        };
        output::error(&error.to_string(), Some(hint));
        ExitCode::Usage
    })?;
    let run = reports::unfinished(path).map_err(|error| refuse(&error))?;
    if let Some(why) = run_index::stands_against(path, &run) {
        let hint =
            "bring its logs back as they were, or begin another run with `harness run`; nothing was started";
        output::error(&format!("{}: {why}", path.display()), Some(hint));
        return Err(ExitCode::Inconclusive);
    }
    let plan = plan(run.header())?;
    Ok((plan, Resumes { directory, run: Box::new(run) }))
}

fn refuse(error: &ResumeError) -> ExitCode {
    let hint = match error {
        ResumeError::Unreadable(error) => {
            output::error(&error.to_string(), Some(error.hint()));
            return if error.exit_code() == ExitCode::Inconclusive.code() {
                ExitCode::Inconclusive
            } else {
                ExitCode::Usage
            };
        }
        ResumeError::Ended { .. } => "`harness report` shows its verdict; `harness run` begins another run",
        ResumeError::Contradicts { .. } => "`harness report` judges it as far as it goes",
        ResumeError::Missing { .. } => "put the missing file back: without it the run is not whole",
        ResumeError::Segments { .. } => "run the scenario again",
    };
    output::error(&error.to_string(), Some(hint));
    if matches!(error, ResumeError::Contradicts { .. } | ResumeError::Missing { .. }) {
        ExitCode::Inconclusive
    } else {
        ExitCode::Usage
    }
}

/// From what the log holds, whatever has become of the scenario's file.
fn plan(header: &Header) -> Result<Plan, ExitCode> {
    let refuse = |message: &str| {
        output::error(message, Some("run the scenario again; nothing was started"));
        ExitCode::Usage
    };
    match provenance::replan(header) {
        Ok(plan) if plan.scenario_facts() == &header.scenario => Ok(plan),
        Ok(_) => Err(refuse("the scenario's text in the log is not that of the run")),
        Err(Unplanned::Refused(found)) => {
            output::mistakes(&found);
            Err(ExitCode::Usage)
        }
        Err(error) => Err(refuse(&error.to_string())),
    }
}

fn go_on(args: &ResumeArgs, plan: Plan, resumes: Resumes) -> Result<ExitCode, ExitCode> {
    let namespace = namespace(std::iter::once(&plan))?;
    let mut came = watch()?;
    if !args.quiet {
        for note in load::notes(&plan) {
            output::warn(&note);
        }
        output::report(&before(&resumes.run));
    }
    let mut line = Line::new(&plan);
    let options = Options {
        shm_dir: load::shm_dir(),
        undo_dir: load::undo_dir(),
        command: resumes.run.header().command.clone(),
        program: own_program(),
        namespace,
        place: Place::Resumes(resumes),
    };
    line.push(one::run(plan, options, Show { quiet: args.quiet, summary: !args.json }, &mut came));
    let mut recap = Recap::new(1);
    recap.push(line);
    Ok(recap.show(args.json, None))
}

/// How far the run has come.
fn before(run: &Unfinished) -> String {
    let facts = run.case.facts();
    let in_hand = match run.in_hand {
        Some(in_hand) => format!(
            ", up to the last checkpoint, when {} in hand",
            reports::units::counted(in_hand, "task was", "tasks were")
        ),
        None => String::new(),
    };
    format!(
        "resuming as segment {}: {} rounds and {} of the load are done{in_hand}",
        u64::from(run.segment) + 1,
        reports::units::count(facts.load.counts.rounds as f64),
        reports::units::nanos(facts.load_ns())
    )
}
