//! The command line: arguments in, text and exit codes out.
//!
//! stdout carries data, stderr carries reports, warnings and errors. Only this folder prints, reads arguments
//! or the environment, or ends the process. Each verb is a file with one function, which returns an
//! [`ExitCode`].

pub mod args;
mod baseline;
mod calibrate;
pub mod capacity_args;
mod clean;
mod compare;
pub mod compare_args;
mod doctor;
mod forecast;
mod gate;
mod history;
mod impact;
pub mod impact_args;
mod in_turn;
#[cfg(test)]
mod keys;
mod list;
pub(crate) mod load;
mod ongoing;
mod output;
mod outside;
mod phases;
mod plan;
mod progress;
mod report;
mod run;
mod schema;
mod seal;
mod selftest;
pub mod swarm_args;
mod usual;
mod validate;
pub mod variant_args;
mod verdict;

use crate::engine::setup;
use crate::exit::ExitCode;
use crate::trapped;
use crate::{disk, fault};
use args::{AnswerCallsArgs, Cli, DiskArgs, HogArgs, Verb};
use clap::Parser as _;
use coordinator::cli::console;
use coordinator::cli::limits::{self, TooLow};
use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The whole program, with the arguments of this process.
pub fn main() -> ExitCode {
    coordinator::cli::settle();
    if let Err(TooLow { what, remedy }) = limits::check(0) {
        output::error(&what, Some(remedy));
        return ExitCode::HostUnfit;
    }
    output::explain_panics();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The hook has reported what happened.
    let code = catch_unwind(AssertUnwindSafe(|| dispatch(arguments))).unwrap_or(ExitCode::Bug);
    console::finish();
    code
}

fn dispatch(arguments: Vec<OsString>) -> ExitCode {
    let asks_json = asks_json(&arguments);
    if asks_json {
        output::collect_errors();
    }
    let code = match Cli::try_parse_from(arguments) {
        Ok(cli) => carry_out(cli.verb),
        Err(error) => explain_usage(&error),
    };
    if asks_json { output::error_object(code) } else { code }
}

/// Whether the caller reads JSON, even if the rest of the line cannot be understood. What is passed on to the
/// coordinator answers for itself.
fn asks_json(arguments: &[OsString]) -> bool {
    let mut own = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    arguments.get(1).is_none_or(|verb| verb != "coordinator") && own.any(|argument| argument == "--json")
}

fn carry_out(verb: Verb) -> ExitCode {
    match verb {
        Verb::Validate(args) => validate::validate(&args),
        Verb::Plan(args) => plan::plan(&args),
        Verb::List(args) => list::list(&args),
        Verb::Compare(args) => compare::compare(&args),
        Verb::History(args) => history::history(&args),
        Verb::Forecast(args) => forecast::forecast(&args),
        Verb::Impact(args) => impact::impact(&args),
        Verb::Baseline(args) => baseline::baseline(&args),
        Verb::Clean(args) => clean::clean(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Selftest(args) => selftest::selftest(&args),
        Verb::Calibrate(args) => calibrate::calibrate(&args),
        Verb::Schema(args) => schema::schema(&args),
        Verb::Completions(args) => schema::completions(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Status(args) => ongoing::status(&args),
        Verb::Stop(args) => ongoing::stop(&args),
        Verb::Resume(args) => run::resume(&args),
        Verb::Swarm(args) => run::swarm(&args),
        Verb::Judge(args) => verdict::judge(&args),
        Verb::Report(args) => report::report(&args),
        Verb::Gate(args) => gate::gate(&args),
        Verb::Phases(args) => phases::phases(&args),
        Verb::Seal(args) => seal::seal(&args),
        Verb::Verify(args) => seal::verify(&args),
        Verb::Hog(args) => hog(&args),
        Verb::AnswerCalls(args) => answer_calls(&args),
        Verb::Disk(args) => serve_disk(args),
        Verb::SetupGuard { run } => setup_guard(&run),
        Verb::Coordinator(args) => coordinator(args.arguments),
    }
}

/// The fleet's own command line, as the program `coordinator` has it.
fn coordinator(arguments: Vec<OsString>) -> ExitCode {
    let named = std::iter::once("harness coordinator".into()).chain(arguments);
    ExitCode::of_coordinator(coordinator::cli::main(named, &["coordinator"]))
}

/// A process of a run, which outlives its harness.
fn setup_guard(run: &str) -> ExitCode {
    match setup::guard(run, std::io::stdin().lock()) {
        Ok(()) => ExitCode::Pass,
        Err(error) => {
            output::error(&error.to_string(), None);
            ExitCode::HostUnfit
        }
    }
}

/// A process of a run, which its harness watches.
fn serve_disk(args: DiskArgs) -> ExitCode {
    // As its harness has started it: with the device as standard input, and a socket as standard output.
    let given = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|device| Ok((device, std::io::stdout().as_fd().try_clone_to_owned()?)));
    match given.and_then(|(device, control)| disk::serve(args.parent, device, control)) {
        Ok(()) => ExitCode::Pass,
        // The harness has been told why.
        Err(_) => ExitCode::HostUnfit,
    }
}

/// A process of a fault, which its harness watches.
fn hog(args: &HogArgs) -> ExitCode {
    let ended = match args.bytes {
        Some(bytes) => fault::hold_memory(args.parent, bytes),
        None => fault::keep_busy(args.parent, args.nice),
    };
    match ended {
        Ok(()) => ExitCode::Pass,
        Err(error) => {
            output::error(&error.to_string(), None);
            ExitCode::HostUnfit
        }
    }
}

/// A process of a run, which its harness watches.
fn answer_calls(args: &AnswerCallsArgs) -> ExitCode {
    let fds = std::io::stdin().as_fd().try_clone_to_owned();
    let fds = fds.and_then(|calls| Ok((calls, std::io::stdout().as_fd().try_clone_to_owned()?)));
    match fds.and_then(|(calls, control)| trapped::serve(calls, control, args.probe, &args.dir)) {
        Ok(()) => ExitCode::Pass,
        Err(error) => {
            output::error(&error.to_string(), None);
            ExitCode::HostUnfit
        }
    }
}

/// Help that was asked for is data. A wrong command line is an error with a code of its own.
fn explain_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return output::help(error);
    }
    let text = error.to_string();
    output::note_error(text.trim().trim_start_matches("error: "), None);
    // It cannot be reported anywhere else.
    let _ = error.print();
    ExitCode::Usage
}
