//! `harness validate FILE...`: all mistakes in all files.

use super::args::ValidateArgs;
use super::load::{self, Unusable};
use super::output;
use crate::exit::ExitCode;
use crate::scenario::{Mistakes, Plan, PlanOptions, Scenario, Selection};
use serde_json::{Value, json};

pub(super) fn validate(args: &ValidateArgs) -> ExitCode {
    let mut bad = 0_usize;
    let mut files = Vec::new();
    for file in &args.files {
        let parsed = load::text(file).map(|source| Scenario::parse_all(&source, &Selection::default()));
        let name = file.display().to_string();
        match parsed {
            Ok(Ok(scenarios)) => {
                let notes = notes(scenarios);
                files.push(json!({ "file": name, "ok": true, "notes": notes, "mistakes": [] }));
                if args.json {
                    continue;
                }
                if let Err(code) = output::data(&format!("{name}: ok\n")) {
                    return code;
                }
                for note in &notes {
                    output::report(&format!("note: {note}"));
                }
            }
            Ok(Err(found)) => {
                bad += 1;
                if !args.json {
                    output::mistakes(&found);
                }
                files.push(json!({ "file": name, "ok": false, "notes": [], "mistakes": mistakes(&found) }));
            }
            Err(unusable) => {
                bad += 1;
                if !args.json {
                    unusable.report();
                }
                let Unusable { message, hint, extended_by } = unusable;
                let notes: Vec<String> =
                    extended_by.map(|by| format!("`{by}` extends it")).into_iter().collect();
                let mistake = json!({ "message": message, "place": null, "hint": hint });
                files.push(json!({ "file": name, "ok": false, "notes": notes, "mistakes": [mistake] }));
            }
        }
    }
    if args.json
        && let Err(code) = output::data(&format!("{:#}\n", json!({ "bad": bad, "files": files })))
    {
        return code;
    }
    if bad == 0 {
        return ExitCode::Pass;
    }
    output::report(&format!("{bad} of {} files cannot be used", args.files.len()));
    ExitCode::Usage
}

/// Of every scenario of a file, each once.
fn notes(scenarios: Vec<Scenario>) -> Vec<String> {
    let options = PlanOptions { seed: None, fallback_seed: 0, rehearsal: None };
    let mut notes: Vec<String> = Vec::new();
    for note in scenarios.into_iter().flat_map(|scenario| load::notes(&Plan::new(scenario, &options))) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn mistakes(found: &Mistakes) -> Vec<Value> {
    let one = |mistake| {
        let place = found.place_of(mistake).map(|place| place.to_string());
        json!({ "message": mistake.message(), "place": place, "hint": mistake.hint() })
    };
    found.iter().map(one).collect()
}
