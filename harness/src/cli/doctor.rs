//! `harness doctor [FILE]`: what this host can and cannot do, and how to fix it.

use super::args::DoctorArgs;
use super::{load, output};
use crate::exit::ExitCode;
use crate::host::{self, Capability, Need, Status};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

pub(super) fn doctor(args: &DoctorArgs) -> ExitCode {
    let need = match args.file.as_ref().map(|file| load::plan(file, &args.variant)).transpose() {
        Ok(plan) => plan.as_ref().map_or_else(Need::default, Need::of),
        Err(code) => return code,
    };
    let capabilities = host::examine(&load::shm_dir(), &need);
    if let Err(code) = output::data(&text(&capabilities)) {
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
