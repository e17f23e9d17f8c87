//! `harness impact`, over runs that never happened: what each factor does to them is known.

use crate::compare::{code, harness, slowed, smoke, stored, words};
use harness::synthetic::{MS_NS, Synthetic, settle};
use std::path::Path;
use std::process::Output;

const FACTORS: [&str; 4] =
    ["--factor", "batching=fleet.batch_max:default,1", "--factor", "restarts=fleet.restarts_max:16,17"];

/// Of `smoke`, whose rounds take half as long again without batching.
fn run(directory: &Path, block: u32, sets: &[&str], bend: impl FnOnce(&mut Synthetic)) {
    let name = format!("run-{block}-{}", sets.join("-").replace('.', "-"));
    let mut run = smoke(&name, sets, None);
    run.header().started_utc = format!("2026-12-01T10:0{block}:00Z");
    let slow = if sets.contains(&"fleet.batch_max=1") { 1.5 } else { 1.0 };
    slowed(&mut run, &name, slow);
    bend(&mut run);
    stored(run, directory, &name);
}

const CELLS: [&[&str]; 4] = [
    &["fleet.restarts_max=16"],
    &["fleet.restarts_max=17"],
    &["fleet.batch_max=1", "fleet.restarts_max=16"],
    &["fleet.batch_max=1", "fleet.restarts_max=17"],
];

fn runs(directory: &Path, cells: &[&[&str]]) {
    for (block, sets) in (1..4).flat_map(|block| cells.iter().map(move |sets| (block, sets))) {
        run(directory, block, sets, |_| ());
    }
}

fn impact(directory: &Path, arguments: &[&str]) -> Output {
    harness(directory, &[&["impact", "--from", "."], &FACTORS[..], arguments].concat())
}

fn effect<'a>(found: &'a serde_json::Value, figure: &str, effect: &str) -> &'a serde_json::Value {
    let figures = found["figures"].as_array().unwrap();
    let figure = figures.iter().find(|f| f["name"] == figure).unwrap();
    figure["effects"].as_array().unwrap().iter().find(|e| e["name"] == effect).unwrap()
}

#[test]
fn runs_that_exist_show_what_a_factor_does_and_that_another_one_does_nothing() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    runs(at, &CELLS);
    let documents = ["--report", "a.html", "--report", "a.md", "--report", "a.json"];
    let output = impact(at, &documents);
    assert_eq!(code(&output), 0, "{}", words(&output));
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(at.join("a.json")).unwrap()).unwrap();
    let batching = effect(&json, "coordination.time p50", "batching");
    assert_eq!(batching["word"], "better", "{batching}");
    let (low, high) = (batching["low"].as_f64().unwrap(), batching["high"].as_f64().unwrap());
    assert!(low < 1.0 / 1.5 - 1.0 + 0.02 && high > 1.0 / 1.5 - 1.0 - 0.02, "{batching}");
    assert!(high - low < 0.1, "{batching}");
    for name in ["restarts", "batching × restarts"] {
        let nothing = effect(&json, "coordination.time p50", name);
        assert!(nothing["word"] == "none" || nothing["word"] == "undecided", "{nothing}");
    }
    for name in ["a.html", "a.md"] {
        let text = std::fs::read_to_string(at.join(name)).unwrap();
        for part in ["coordination.time p50", "batching × restarts", "detectable", "fleet.batch_max"] {
            assert!(text.contains(part), "{name} has no {part:?}: {text}");
        }
    }
    let one = impact(at, &["--figure", "task.time p50", "--json"]);
    let one: serde_json::Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(one["figures"].as_array().unwrap().len(), 1);
}

#[test]
fn a_run_that_is_damaged_is_missing_and_a_cell_without_runs_leaves_everything_open() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    runs(at, &CELLS[..3]);
    let output = impact(at, &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(code(&output), 12, "{json}");
    let note = json["figures"][0]["note"].as_str().unwrap();
    assert!(note.contains("no run with batching off, restarts off has this figure"), "{note}");
    runs(at, &CELLS[3..]);
    let damaged = at.join("run-2-fleet-batch_max=1-fleet-restarts_max=17/run.log");
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let output = impact(at, &[]);
    assert_eq!(code(&output), 0, "{}", words(&output));
    assert!(words(&output).contains("missing: ./run-2-fleet-batch_max=1"), "{}", words(&output));
    assert!(words(&output).contains("11 runs of 4 cells"), "{}", words(&output));
}

#[test]
fn what_failed_at_once_is_no_improvement() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    runs(at, &CELLS[..2]);
    // Without batching, a third of the tasks fail, and the rest takes half the time.
    for (block, sets) in (1..4).flat_map(|block| CELLS[2..].iter().map(move |sets| (block, sets))) {
        run(at, block, sets, |run| {
            let plan = run.header().plan.clone();
            for (number, round) in run.load_rounds() {
                settle::took(round, 2 * MS_NS + number % 7 * 1_000 + u64::from(block) * 10_000);
                settle::lost(round, 3, &plan);
            }
        });
    }
    let output = impact(at, &[]);
    let said = words(&output);
    assert_eq!(code(&output), 12, "{said}");
    assert!(said.contains("tasks failed") && said.contains("missing: "), "{said}");
    assert!(!said.contains("worse"), "{said}");
}

#[test]
fn runs_that_fail_by_their_times_alone_are_analysed() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    for (block, (cell, sets)) in (1..4).flat_map(|block| (0..).zip(CELLS).map(move |cell| (block, cell))) {
        run(at, block, sets, |run| {
            let own = u64::from(block) * 10_000 + cell * 100_000;
            for (number, round) in run.load_rounds() {
                settle::took(round, 1_500 * MS_NS + number % 7 * 1_000 + own);
            }
        });
    }
    let output = impact(at, &[]);
    assert_eq!(code(&output), 0, "{}", words(&output));
    assert!(words(&output).contains("12 of 12 runs have the verdict FAIL"), "{}", words(&output));
}

#[test]
fn what_cannot_be_analysed_or_planned_is_refused_with_the_reason() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    runs(at, &CELLS);
    run(&at.join("other"), 1, &["fleet.batch_max=4", "fleet.restarts_max=16"], |_| ());
    run(&at.join("elsewhere"), 9, CELLS[0], |run| run.header().host.machine = "m1-9999".into());
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke.toml");
    let smoke = smoke.to_str().unwrap();
    for (arguments, words_wanted) in [
        (&["--from", "other"][..], "belongs to no cell: `fleet.batch_max` is 4"),
        (&["--from", ".", "--factor", "x=fleet.batch_max:1"], "must have two values"),
        (&["--from", ".", "--factor", "a=fleet.x:1,2", "--factor", "b=fleet.x:1,2"], "have the key"),
        (&["--from", ".", "--seed", "7"], "--seed says how to run"),
        (&["--from", ".", "--figure", "task.time p5"], "task.time p50"),
        (&["--from", "nowhere"], "cannot read"),
        (&["--resume", "."], "impact.json"),
        (&["--from", ".", "--limit", "launch.time=20%"], "launch.time=20%"),
        (&[smoke, "--plan", "--factor", "x=fleet.batch_maxx:1,2"], "batch_max"),
        (&[smoke, "--plan", "--factor", "x=fleet.batch_max:0,2"], "fleet.batch_max"),
        (&[smoke, "--plan", "--factor", "x=fleet.restarts_max:default,16"], "changes nothing"),
        (&[smoke, "--plan", "--rehearse", "10x"], "no real load"),
        (&["-", "--plan"], "in a file"),
        (&[smoke, "--runs", "1"], "--runs"),
        (&[], "SCENARIO"),
    ] {
        let usual = if arguments.first() == Some(&"--from") && !arguments.contains(&"--factor") {
            &FACTORS[..]
        } else {
            &[]
        };
        let output = harness(at, &[&["impact"], arguments, usual].concat());
        assert_eq!(code(&output), 64, "{arguments:?}: {}", words(&output));
        assert!(words(&output).contains(words_wanted), "{arguments:?}: {}", words(&output));
    }
    let both = impact(at, &[]);
    assert_eq!(code(&both), 64, "{}", words(&both));
    assert!(!at.join("impacts").exists());
}

#[test]
fn a_plan_has_every_cell_once_in_every_block_in_an_order_of_the_seed() {
    let whole = tempfile::tempdir().unwrap();
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke.toml");
    let plan = |seed: &str| -> serde_json::Value {
        let line = ["impact", smoke.to_str().unwrap(), "--plan", "--json", "--runs", "4", "--seed", seed];
        let output = harness(whole.path(), &line);
        assert_eq!(code(&output), 0, "{}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (first, other) = (plan("1"), plan("2"));
    assert_eq!(first, plan("1"));
    assert_ne!(first["order"], other["order"]);
    assert_eq!(first["cells"].as_array().unwrap().len(), 8);
    let sets = |cell: usize| first["cells"][cell]["sets"].as_array().unwrap().len();
    assert_eq!((sets(0), sets(7)), (3, 0), "all off, and all as the scenario has it");
    let order = first["order"].as_array().unwrap();
    assert_eq!(order.len(), 32);
    for (block, runs) in order.chunks(8).enumerate() {
        let cells: std::collections::BTreeSet<&str> =
            runs.iter().map(|run| run["cell"].as_str().unwrap()).collect();
        assert_eq!(cells.len(), 8);
        assert!(runs.iter().all(|run| run["block"] == block + 1), "{runs:?}");
    }
    let orders: std::collections::BTreeSet<String> =
        order.chunks(8).map(|runs| runs.iter().map(|run| run["cell"].to_string()).collect()).collect();
    assert!(orders.len() > 1, "drawn anew for each block: {orders:?}");
    assert!(first["expected_duration_ns"].as_u64().unwrap() > 0);
    assert_eq!(std::fs::read_dir(whole.path()).unwrap().count(), 0, "nothing was run");
}
