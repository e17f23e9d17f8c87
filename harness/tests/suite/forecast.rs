//! `harness forecast`, over runs that never happened: how their figures grow with the fleet is known.

use crate::compare::{code, harness, smoke, stored, words};
use harness::scenario::Rehearsal;
use harness::synthetic::{MS_NS, Synthetic, settle};
use reports::runlog::event::Event;
use std::path::Path;
use std::process::Output;

/// Of `smoke` with so many coordinators of four workers. A round takes 2 ms and 0.1 ms for each agent.
fn run(directory: &Path, coordinators: u32, number: u32, bend: impl FnOnce(&mut Synthetic)) {
    run_as(directory, coordinators, number, None, bend);
}

/// The directory's name.
fn run_as(
    directory: &Path,
    coordinators: u32,
    number: u32,
    rehearsal: Option<Rehearsal>,
    bend: impl FnOnce(&mut Synthetic),
) -> String {
    let name = format!("run-{coordinators}-{number}");
    let mut run = smoke(&name, &[&format!("fleet.coordinators={coordinators}")], rehearsal);
    let agents = u64::from(1 + coordinators * 5);
    for (at, round) in run.load_rounds() {
        let took = 2 * MS_NS + agents * MS_NS / 10 + (at + u64::from(number)) * 7 % 11 * (MS_NS / 100);
        settle::took(round, took);
    }
    bend(&mut run);
    stored(run, directory, &name);
    name
}

/// Three runs of each size.
fn runs(directory: &Path, sizes: &[u32]) {
    for size in sizes {
        for number in 0..3 {
            run(directory, *size, number, |_| ());
        }
    }
}

fn forecast(directory: &Path, arguments: &[&str]) -> Output {
    harness(directory, &[&["forecast", "."], arguments].concat())
}

#[test]
fn larger_fleets_are_predicted_with_an_interval_and_held_against_runs() {
    let whole = tempfile::tempdir().unwrap();
    runs(whole.path(), &[2, 3, 4, 5, 6, 7, 12]);
    let documents = ["--report", "a.html", "--report", "a.md", "--report", "a.json"];
    let output =
        forecast(whole.path(), &[&["--fit-up-to", "36", "--predict", "50", "144"][..], &documents].concat());
    assert_eq!(code(&output), 0, "{}", words(&output));
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(whole.path().join("a.json")).unwrap()).unwrap();
    assert_eq!((&json["largest"], &json["reach"], &json["holds"]), (&36.into(), &144.into(), &true.into()));
    let figures = json["figures"].as_array().unwrap();
    let figure = figures.iter().find(|figure| figure["name"] == "coordination.time p50").unwrap();
    let last = &figure["models"][0]["expected"][1];
    assert_eq!((&last["agents"], &last["is_extrapolated"]), (&144.into(), &true.into()));
    let of = |name: &str| last["run"]["interval"][name].as_f64().unwrap();
    // 2 ms, 14.4 ms for the agents, and half a millisecond of noise at the most.
    assert!(of("low") < 0.0169 && of("high") > 0.0164, "{last}");
    assert_eq!(figure["held"][0]["agents"], 61);
    for name in ["a.html", "a.md"] {
        let text = std::fs::read_to_string(whole.path().join(name)).unwrap();
        for part in ["Universal Scalability Law", "beyond", "runs out"] {
            assert!(text.contains(part), "{name} has no {part:?}: {text}");
        }
        // The one address is the name of the SVG namespace.
        let foreign = text.replace("http://www.w3.org/2000/svg", "").contains("://");
        assert!(!text.contains("NaN") && !foreign && !text.contains("<script"), "{name}");
    }
}

#[test]
fn runs_that_come_out_differently_than_predicted_are_inconclusive() {
    let whole = tempfile::tempdir().unwrap();
    runs(whole.path(), &[2, 3, 4, 5, 6, 7]);
    for number in 0..3 {
        run(whole.path(), 9, number, |run| {
            for (_, round) in run.load_rounds() {
                settle::took(round, 19 * MS_NS);
            }
        });
    }
    let output = forecast(whole.path(), &["--fit-up-to", "36"]);
    assert_eq!(code(&output), 12, "{}", words(&output));
    assert!(words(&output).contains("outside"), "{}", words(&output));
}

#[test]
fn larger_runs_that_are_open_themselves_show_nothing_of_the_models() {
    let whole = tempfile::tempdir().unwrap();
    runs(whole.path(), &[2, 3, 4, 5, 6, 7]);
    for number in 0..3 {
        run(whole.path(), 12, number, |run| run.retain(|event| !matches!(event, Event::Sample(_))));
    }
    let output = forecast(whole.path(), &["--fit-up-to", "36"]);
    assert_eq!(code(&output), 12, "{}", words(&output));
    assert!(
        words(&output).contains("3 of 3 runs above those that are fitted are INCONCLUSIVE"),
        "{}",
        words(&output)
    );
}

#[test]
fn runs_that_do_not_carry_a_forecast_are_refused_with_the_reason() {
    type Bend = fn(&mut Synthetic);
    let same: Bend = |_| ();
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let refused = |arguments: &[&str], said: &str| {
        let output = forecast(at, arguments);
        assert_eq!(code(&output), 64, "{said}: {}", words(&output));
        assert!(words(&output).contains(said), "{said}: {}", words(&output));
    };
    // With one run more, which is gone after it.
    let refused_with = |rehearsal: Option<Rehearsal>, bend: Bend, arguments: &[&str], said: &str| {
        let name = run_as(at, 2, 9, rehearsal, bend);
        refused(arguments, said);
        std::fs::remove_dir_all(at.join(name)).unwrap();
    };
    runs(at, &[2, 3, 4, 5, 6]);
    refused_with(None, same, &[], "1 more size of fleet");
    runs(at, &[7]);
    let cases: [(Bend, &[&str], &str); 7] = [
        (
            |run| {
                let plan = run.header().plan.clone();
                let (_, round) = run.load_rounds().next().unwrap();
                settle::lost(round, 1, &plan);
            },
            &[],
            "1 of 2,400 tasks failed",
        ),
        (|run| run.retain(|event| !matches!(event, Event::Sample(_))), &[], "its verdict is INCONCLUSIVE"),
        (|run| run.header().host.machine = "m1-9999".into(), &[], "--across-hosts"),
        (|run| run.header().build.git = "0123abc".into(), &[], "--across-builds"),
        (|run| run.header().scenario.overrides.push("load.every=20ms".into()), &[], "--across-scenarios"),
        (same, &["--predict", "165"], "4 times the largest fleet"),
        (same, &["--fit-up-to", "31"], "1 more size of fleet"),
    ];
    for (bend, arguments, said) in cases {
        refused_with(None, bend, arguments, said);
    }
    let rehearsal = Rehearsal::of_factor(2.0);
    assert!(rehearsal.is_some());
    refused_with(rehearsal, same, &[], "rehearsal");

    let log = at.join("run-4-1/run.log");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    refused(&[], "cannot be used");
}
