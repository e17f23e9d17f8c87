//! Runs without a terminal, or in another one.

use super::{Bench, scenario, verdict, wait_until};
use std::path::PathBuf;

#[test]
fn a_run_in_another_terminal_is_shown_and_ended() {
    let bench = Bench::new(&scenario(60));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let shown = bench.ask(&["status", "--json"]);
    assert_eq!(shown.status.code(), Some(0), "{}", shown.stderr);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let one = &shown[0];
    assert_eq!((&one["pid"], &one["state"]), (&run.child.id().into(), &"running".into()), "{shown}");
    let text = bench.ask(&["status", "runs/small/latest"]).stdout;
    assert!(text.contains(&format!("(pid {})", run.child.id())) && text.contains("load"), "{text}");

    let stopped = bench.ask(&["stop", "runs/small/latest"]);
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    // It returns when the run is over, and judged.
    assert_eq!(verdict(&bench.latest())["exit"]["code"], 21);
    assert_eq!(run.end().status.code(), Some(21));
    bench.assert_nothing_left(&agents);

    let again = bench.ask(&["stop", "runs/small/latest"]);
    assert_eq!(again.status.code(), Some(64), "{}", again.stderr);
    assert!(again.stderr.contains("is not running"), "{}", again.stderr);
    assert!(bench.ask(&["status"]).stderr.contains("no run is under way in `runs`"));
    let text = bench.ask(&["status", "runs/small/latest"]).stdout;
    assert!(text.contains("goes on with it"), "{text}");
}

/// No disk has so much free.
#[test]
fn what_a_run_had_open_when_it_was_ended_does_not_go_on() {
    let bench = Bench::new(&(scenario(60) + "[alerts]\ndisk_free = \"1000TiB\"\n"));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    wait_until("it is told", || bench.log_so_far().contains("\"ev\":\"threshold\""));
    let status = || {
        let text = bench.ask(&["status", "runs/small/latest"]).stdout;
        let json = bench.ask(&["status", "runs/small/latest", "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        (text.contains("  open for "), json[0]["alerts_open"].as_array().unwrap().len(), text)
    };
    let (is_open, count, text) = status();
    assert_eq!((is_open, count), (true, 1), "{text}");
    assert_eq!(bench.ask(&["stop", "runs/small/latest"]).status.code(), Some(0));
    run.end();
    let (is_open, count, text) = status();
    assert_eq!((is_open, count), (false, 0), "{text}");
    assert!(text.contains("goes on with it") && text.contains("  alert: "), "{text}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_detached_run_returns_when_it_has_begun_and_goes_on_alone() {
    let bench = Bench::new(&scenario(2));
    let begun = bench.ask(&["run", "small.toml", "--out", "runs", "--detach"]);
    assert_eq!(begun.status.code(), Some(0), "{}", begun.stderr);
    let directory = PathBuf::from(begun.stdout.trim_end());
    assert_eq!(bench.dir.path().join(&directory), bench.latest());
    wait_until("the run is judged", || bench.latest().join("verdict.json").exists());
    assert_eq!(verdict(&bench.latest())["verdict"], "PASS");
    // Its process is not a child of this test, and still writes after the verdict.
    wait_until("nothing is running", || bench.ask(&["status"]).stderr.contains("no run is under way"));
    let printed: Vec<PathBuf> = std::fs::read_dir(bench.out())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    assert_eq!(printed.len(), 1, "{printed:?}");
    wait_until("the verdict is printed", || std::fs::read_to_string(&printed[0]).unwrap().contains("PASS"));
    bench.assert_nothing_left(&[]);
}

#[test]
fn a_detached_run_that_cannot_begin_says_why_and_leaves_nothing() {
    let bench = Bench::new(&scenario(2));
    let refused = bench
        .start_by(bench.command().env("COORDINATOR_SHM_DIR", "/nowhere").args([
            "run",
            "small.toml",
            "--out",
            "runs",
            "--detach",
        ]))
        .end();
    assert_eq!(refused.status.code(), Some(20), "{}", refused.stderr);
    assert!(refused.stderr.contains("/nowhere"), "{}", refused.stderr);
    assert_eq!(std::fs::read_dir(bench.out()).unwrap().count(), 0);
}
