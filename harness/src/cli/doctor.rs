//! `harness doctor [FILE]`: what this host can and cannot do, and how to fix it.

use super::args::DoctorArgs;
use super::run::allowed;
use super::usual::RUNS;
use super::{load, output};
use crate::exit::ExitCode;
use crate::fault::undo;
use crate::host::{self, Capability, Footprint, NO_JOURNAL_REMEDY, Need, Status};
use crate::scenario::Plan;
use anstyle::{AnsiColor, Style};
use coordinator::cli::limits::TooLow;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn doctor(args: &DoctorArgs) -> ExitCode {
    let plans: Vec<Plan> = match args.file.as_ref().map(|file| load::plans(file, &args.variant)).transpose() {
        Ok(plans) => plans.into_iter().flatten().map(|plan| host::fitted(plan, &load::shm_dir())).collect(),
        Err(code) => return code,
    };
    let need = plans.iter().map(Need::of).fold(Need::default(), Need::most);
    // One run of a matrix after the other, and all of them stay.
    let all = plans.iter().map(Footprint::of).fold(Footprint::default(), Footprint::plus);
    let mut capabilities = host::examine(&load::shm_dir(), &need);
    capabilities.push(host::room_for(all, Path::new(RUNS)));
    capabilities.push(own_limits());
    capabilities.push(journals(&load::undo_dir(), &need));
    let shown = if args.json { json(&capabilities) } else { text(&capabilities) };
    if let Err(code) = output::styled(&shown) {
        return code;
    }
    let missing = capabilities.iter().filter(|capability| capability.status == Status::Missing).count();
    let what = args.file.as_ref().map_or_else(|| "fleets".to_owned(), |file| file.display().to_string());
    if missing > 0 {
        output::report(&format!("this host cannot run {what}: {missing} missing"));
        return ExitCode::HostUnfit;
    }
    output::report(&format!("this host can run {what}"));
    ExitCode::Pass
}

/// What this process may use, which every process that it starts inherits.
fn own_limits() -> Capability {
    let name = "limits of a process";
    match allowed() {
        Ok(()) => {
            let found = "stack, addresses and data suffice for a run".to_owned();
            Capability { name, status: Status::Ok, found, remedy: None }
        }
        Err(TooLow { what, remedy }) => {
            Capability { name, status: Status::Missing, found: what, remedy: Some(remedy.to_owned()) }
        }
    }
}

/// Where a run writes down what the kernel does not undo: only faults with control groups need it.
fn journals(dir: &Path, need: &Need) -> Capability {
    let name = "journals of faults";
    match undo::could_prepare(dir) {
        Ok(()) => {
            let found = format!("{} can be written to", dir.display());
            Capability { name, status: Status::Ok, found, remedy: None }
        }
        Err(error) => {
            let status = if need.groups.is_empty() { Status::Warn } else { Status::Missing };
            let found = format!("{}: {error}", dir.display());
            Capability { name, status, found, remedy: Some(NO_JOURNAL_REMEDY.to_owned()) }
        }
    }
}

fn json(capabilities: &[Capability]) -> String {
    let one = |capability: &Capability| {
        let status = match capability.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Missing => "missing",
        };
        let (name, found, remedy) = (capability.name, &capability.found, &capability.remedy);
        serde_json::json!({ "name": name, "status": status, "found": found, "remedy": remedy })
    };
    let capabilities: Vec<_> = capabilities.iter().map(one).collect();
    format!("{:#}\n", serde_json::json!({ "capabilities": capabilities }))
}

fn text(capabilities: &[Capability]) -> String {
    let mut text = String::new();
    for capability in capabilities {
        let (word, colour) = match capability.status {
            Status::Ok => ("ok", AnsiColor::Green),
            Status::Warn => ("warn", AnsiColor::Yellow),
            Status::Missing => ("missing", AnsiColor::Red),
        };
        let style = Style::new().fg_color(Some(colour.into()));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{style}{word:<8}{style:#} {:<24} {}", capability.name, capability.found);
        if let Some(remedy) = &capability.remedy {
            let _ = writeln!(text, "{:<34}→ {remedy}", "");
        }
    }
    text
}
