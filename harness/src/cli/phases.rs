//! `harness phases`: what of the plan is open, what waits for what, and what to do next.

mod pin;

use super::args::PhasesArgs;
use super::usual::GATES;
use super::{gate, load, output};
use crate::exit::ExitCode;
use coordinator::cli::outlet;
use reports::gate::decide::decide_all;
use reports::gate::plan::{Gate, Plan, Source};
use reports::gate::schedule::{Schedule, schedule};
use reports::render::gate as render;
use reports::run_dir::write_document;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// What [`render::phases_svg`] begins with.
const DRAWING: &[u8; 5] = b"<svg ";

pub(super) fn phases(args: &PhasesArgs) -> ExitCode {
    outlet::hurry();
    if args.pin {
        return pin::pin(args);
    }
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
    let (source, plan) = gate::plan(&args.plan)?;
    let gates: Vec<&Gate> = plan.gates.iter().collect();
    if let Some(path) = &args.svg {
        replaceable(path, args, &plan)?;
    }
    let inputs = gate::inputs(&source, &plan, &gates, &args.plan, Path::new(GATES))?;
    Ok(schedule(&plan, &decide_all(&plan, &inputs)))
}

/// A drawing replaces what has its name: a regular file, and none that the schedule is made from.
fn replaceable(path: &Path, args: &PhasesArgs, plan: &Plan) -> Result<(), ExitCode> {
    let refuse = |why: &str| {
        let message = format!("{} cannot be the drawing: {why}", path.display());
        output::error(&message, Some("name a new file with --svg, such as phases.svg; nothing was written"));
        Err(ExitCode::Usage)
    };
    if path == Path::new("-") {
        return refuse("standard output has the schedule");
    }
    // Through links: /dev/stdout is one.
    match path.metadata() {
        Ok(found) if found.is_dir() => return refuse("it is a directory"),
        Ok(found) if !found.is_file() => return refuse("it is a device, a pipe or a socket"),
        // What cannot be looked at cannot be written either, and the writing says why.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Ok(()),
        Err(_) if path.is_symlink() => return refuse("it is a link to nothing"),
        Ok(found) if found.len() > 0 && !is_drawing(path) => return refuse("what it holds is not a drawing"),
        Ok(_) | Err(_) => {}
    }
    let Some(at) = place(path) else { return Ok(()) };
    if args.plan.runs.canonicalize().is_ok_and(|runs| at.starts_with(runs)) {
        return refuse("it is in the directory of runs");
    }
    let is_read = |file: &Path| file.canonicalize().is_ok_and(|file| file == at);
    if is_read(Path::new(&plan.file.path)) {
        return refuse("it is the plan");
    }
    if let Some(read) = sources(plan, &args.plan.seals)?.iter().find(|file| is_read(file)) {
        return refuse(&format!("the plan reads it as {}", read.display()));
    }
    Ok(())
}

/// Whether a file begins as a drawing does. One that cannot be read may be anything.
fn is_drawing(path: &Path) -> bool {
    let mut head = [0; DRAWING.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *DRAWING
}

/// Where it is, or will be; nothing if there is no such directory.
fn place(path: &Path) -> Option<PathBuf> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let within =
        || directory.canonicalize().ok().map(|within| within.join(path.file_name().unwrap_or_default()));
    path.canonicalize().ok().or_else(within)
}

/// The seals, every file that the plan names, and what these extend.
fn sources(plan: &Plan, seals: &[PathBuf]) -> Result<Vec<PathBuf>, ExitCode> {
    let home = gate::home_of(plan);
    let (mut files, mut scenarios) = (seals.to_vec(), Vec::new());
    for evidence in plan.gates.iter().flat_map(|gate| &gate.evidence) {
        let keys = match &evidence.source {
            Source::File(file) => {
                files.extend([PathBuf::from(&file.path), PathBuf::from(file.signature())]);
                scenarios.extend(&file.about);
                &file.signed_by
            }
            Source::Runs(runs) => {
                scenarios.push(&runs.scenario);
                &runs.signed_by
            }
        };
        files.extend(keys.iter().map(|key| home.join(key)));
    }
    for scenario in scenarios {
        let path = home.join(scenario);
        let source = load::source(&path)?;
        files.push(path);
        files.extend(source.bases.iter().map(|base| PathBuf::from(&base.name)));
    }
    Ok(files)
}
