//! `harness impact` by real runs: an effect that is there shows, and one that is not does not.

use super::{Bench, scenario};
use serde_json::Value;
use std::io::BufRead as _;
use std::process::Stdio;

/// Rounds leave time for the worker that follows another, and so do sweeps, which wait for it half as long as they are apart: one
/// that meets a place between two of them would leave the run INCONCLUSIVE.
fn short() -> String {
    let text = scenario(2).replace("every = \"50ms\"", "every = \"150ms\"");
    let text = text.replace("every = \"100ms\"", "every = \"800ms\"");
    let criteria = text.find("[[criterion]]").unwrap();
    text[..criteria].to_owned() + "[[criterion]]\nname = \"delivery\"\npass = \"delivery.rate >= 100%\"\n"
}

const ASKED: [&str; 10] = [
    "--runs",
    "2",
    "--factor",
    "pooling=fleet.recycle_after:default,1",
    "--factor",
    "restarts=fleet.restarts_max:20,21",
    "--figure",
    "processes.started",
    "--figure",
    "task.time p50",
];

fn effect<'a>(found: &'a Value, figure: &str, effect: &str) -> &'a Value {
    let figures = found["figures"].as_array().unwrap();
    let figure = figures.iter().find(|f| f["name"] == figure).unwrap();
    let effects = figure["effects"].as_array().unwrap();
    effects.iter().find(|e| e["name"] == effect).unwrap_or_else(|| panic!("{figure:#}"))
}

#[test]
fn a_fleet_without_pooling_starts_more_processes_and_what_changes_nothing_shows_nothing() {
    let bench = Bench::new(&short());
    let done =
        bench.ask(&[&["impact", "small.toml", "--json", "--report", "impact.html"], &ASKED[..]].concat());
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(found["missing"], serde_json::json!([]), "{found:#}");
    assert_eq!(effect(&found, "processes.started", "pooling")["word"], "better", "{found:#}");
    // Of times on a busy host, one analysis in twenty may show what is not there; processes can be counted.
    for name in ["restarts", "pooling × restarts"] {
        let nothing = effect(&found, "processes.started", name)["change"].as_f64().unwrap();
        assert!(nothing.abs() < 0.05, "{name}: {found:#}");
    }
    assert!(std::fs::read_to_string(bench.dir.path().join("impact.html")).unwrap().contains("<svg"));
    // The same again from the runs alone.
    let made = std::fs::read_dir(bench.dir.path().join("impacts")).unwrap().next().unwrap().unwrap().path();
    let again = bench.ask(&[
        "impact",
        "--from",
        made.to_str().unwrap(),
        "--json",
        "--figure",
        "processes.started",
        "--figure",
        "task.time p50",
    ]);
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).unwrap(), found);
    bench.assert_nothing_left(&[]);
}

#[test]
fn an_analysis_that_a_signal_has_ended_goes_on_with_the_runs_that_are_left() {
    let bench = Bench::new(&short());
    let mut command = bench.command();
    command.args(["impact", "small.toml", "--seed", "3"]).args(ASKED);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("run 3 of 8")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(21), "{rest:?}");
    let made = std::fs::read_dir(bench.dir.path().join("impacts")).unwrap().next().unwrap().unwrap().path();
    let made = made.to_str().unwrap();
    let so_far = bench.ask(&["impact", "--from", made]);
    assert_eq!(so_far.status.code(), Some(12), "{}", so_far.stdout);
    assert!(so_far.stdout.contains("it was not made"), "{}", so_far.stdout);
    // Runs of another text could not be analysed together with these.
    let text = std::fs::read_to_string(bench.file()).unwrap();
    std::fs::write(bench.file(), text.clone() + "# another\n").unwrap();
    let refused = bench.ask(&["impact", "--resume", made]);
    assert_eq!(refused.status.code(), Some(64), "{}", refused.stderr);
    assert!(refused.stderr.contains("has changed since the runs"), "{}", refused.stderr);
    std::fs::write(bench.file(), text).unwrap();
    let done = bench.ask(&["impact", "--resume", made, "--json", "--figure", "processes.started"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert!(!done.stderr.contains("run 2 of 8:") && done.stderr.contains("run 3 of 8:"), "{}", done.stderr);
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(effect(&found, "processes.started", "pooling")["word"], "better", "{found:#}");
    bench.assert_nothing_left(&[]);
}
