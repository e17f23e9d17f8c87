//! `harness phases --pin`: the plan says which text of each scenario it asks for.

use crate::cli::args::PhasesArgs;
use crate::cli::{gate, load, output};
use crate::exit::ExitCode;
use crate::scenario::Source;
use crate::scenario::phases::{self, Pin, pinned};
use reports::gate::plan::{Plan, Source as Asked};
use reports::render::gate as render;
use reports::run_dir::edit_document;
use reports::units;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the pins that are missing or of another text, and lists what changed.
pub(super) fn pin(args: &PhasesArgs) -> ExitCode {
    match written(args) {
        Ok((plan, pins)) => output::data_only(&if args.json {
            render::json(&object(&plan, &pins))
        } else {
            text(&plan, &pins)
        }),
        Err(code) => code,
    }
}

fn written(args: &PhasesArgs) -> Result<(String, Vec<Pin>), ExitCode> {
    let (source, plan) = gate::plan(&args.plan)?;
    let path = Path::new(&source.name);
    if !path.is_file() {
        output::error("pins are written into the plan", Some("name its file with --phases"));
        return Err(ExitCode::Usage);
    }
    let (text, pins) = pinned(&source, &hashes(&plan)?);
    if text != source.text {
        is_pinned(&Source::new(&*source.name, &*text))?;
        edit_document(path, text.as_bytes()).map_err(|error| {
            let message = format!("{} cannot be written: {error}", path.display());
            output::error(&message, Some("make it writable, or free some space; it is as it was"));
            ExitCode::HostUnfit
        })?;
    }
    Ok((source.name, pins))
}

/// By the names that the plan has for its scenarios.
fn hashes(plan: &Plan) -> Result<BTreeMap<String, String>, ExitCode> {
    let (home, mut hashes) = (gate::home_of(plan), BTreeMap::new());
    for evidence in plan.gates.iter().flat_map(|gate| &gate.evidence) {
        if let Asked::Runs(runs) = &evidence.source
            && !hashes.contains_key(&runs.scenario)
        {
            let source = load::source(&home.join(&runs.scenario))
                .inspect_err(|_| gate::note_who_names_it(plan, evidence))?;
            hashes.insert(runs.scenario.clone(), source.sha256());
        }
    }
    Ok(hashes)
}

/// The text with its pins is a plan as well: braces that go over several lines may have needed a comma.
fn is_pinned(source: &Source) -> Result<(), ExitCode> {
    phases::parse(source).map(|_| ()).map_err(|found| {
        output::mistakes(&found);
        output::report("note: this is the plan with its pins, which was not written; write the pins of these lines by hand");
        ExitCode::Usage
    })
}

fn object(plan: &str, pins: &[Pin]) -> serde_json::Value {
    let pins: Vec<_> = pins
        .iter()
        .map(|pin| {
            let Pin { gate, evidence, scenario, sha256, was, place } = pin;
            json!({ "gate": gate, "evidence": evidence, "scenario": scenario, "sha256": sha256, "was": was, "place": place })
        })
        .collect();
    json!({ "plan": plan, "pins": pins })
}

/// Those that changed, and how many these are.
fn text(plan: &str, pins: &[Pin]) -> String {
    let changed: Vec<&Pin> = pins.iter().filter(|pin| pin.is_changed()).collect();
    let mut lines: Vec<String> = changed
        .iter()
        .map(|Pin { gate, evidence, scenario, sha256, was, .. }| {
            let was = was.as_ref().map_or_else(String::new, |was| format!(", was {was}"));
            format!("{evidence} of {gate}: {scenario} is {sha256}{was}")
        })
        .collect();
    lines.push(format!("{plan}: {} of {} written", changed.len(), units::things(pins.len() as u64, "pin")));
    lines.join("\n") + "\n"
}
