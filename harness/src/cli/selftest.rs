//! `harness selftest`: whether the judge can fail a run.

use super::args::SelftestArgs;
use super::output;
use crate::exit::ExitCode;
use crate::selftest::{Kind, Tried, canaries, sound};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) fn selftest(args: &SelftestArgs) -> ExitCode {
    let sound = sound();
    let tried: Vec<Tried> = canaries().into_iter().map(|canary| canary.sing(&sound)).collect();
    let silent = tried.iter().filter(|tried| tried.wrong.is_some()).count();
    let shown = if args.json {
        let all: Value = tried.iter().map(json).collect();
        format!("{:#}\n", json!({ "canaries": tried.len(), "silent": silent, "tried": all }))
    } else {
        text(&tried, silent)
    };
    if let Err(code) = output::data(&shown) {
        return code;
    }
    // A judge that does not notice a defect is a defect of the harness.
    if silent == 0 { ExitCode::Pass } else { ExitCode::Bug }
}

fn text(tried: &[Tried], silent: usize) -> String {
    let mut text = String::new();
    for (kind, title) in
        [("metric", "metrics"), ("grammar", "the grammar of criteria"), ("check", "checks of every run")]
    {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<28}{:<50}{:<14}bent", title, "criterion of both runs", "sound");
        for tried in tried.iter().filter(|tried| kind_of(tried.canary.kind) == kind) {
            let [sound, bent] = tried.found.map(reports::Verdict::word);
            let _ = writeln!(text, "  {:<26}{:<50}{sound:<14}{bent}", tried.canary.name, tried.canary.asks);
            if let Some(wrong) = &tried.wrong {
                let _ = writeln!(text, "    WRONG: {wrong}");
            }
        }
        text.push('\n');
    }
    let count = tried.len();
    let _ = match silent {
        0 => writeln!(
            text,
            "All {count} defects were noticed, and none of the sound runs was judged to have one."
        ),
        _ => writeln!(
            text,
            "{silent} of {count} were not judged as they should be. Do not trust the verdicts of this build."
        ),
    };
    text
}

fn json(tried: &Tried) -> Value {
    let [sound, bent] = tried.found.map(reports::Verdict::word);
    json!({
        "name": tried.canary.name,
        "kind": kind_of(tried.canary.kind),
        "criterion": tried.canary.asks,
        "sound": sound,
        "bent": bent,
        "wrong": tried.wrong,
    })
}

fn kind_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Metric => "metric",
        Kind::Grammar => "grammar",
        Kind::Check(_) => "check",
    }
}
