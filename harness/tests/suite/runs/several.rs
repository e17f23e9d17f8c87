//! Several runs of one command: their recap, and the code of the worst.

use super::*;

#[test]
fn a_matrix_is_run_whole_and_the_worst_verdict_is_the_code() {
    // The smaller fleet has room in so much shared memory, and the larger one has not.
    let text = scenario(1)
        .replace("[fleet]", "[matrix]\nworkers = [1, 3]\n[fleet]")
        .replace("incidents == 0", "shm.used max < 300KiB");
    let bench = Bench::new(&text);
    let done = bench.start(&["--quiet", "--json"]).end();
    let recap: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let runs = recap["runs"].as_array().unwrap();
    let seen: Vec<(&str, &str, u64)> = runs
        .iter()
        .map(|run| {
            let text = |key: &str| run[key].as_str().unwrap_or_default();
            (text("scenario"), text("verdict"), run["exit"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(seen, [("small-1", "PASS", 0), ("small-3", "FAIL", 10)], "{}", done.stderr);
    assert_eq!((done.status.code(), recap["exit"].as_u64()), (Some(10), Some(10)));
    for run in runs {
        let log =
            std::fs::read_to_string(bench.dir.path().join(run["run"].as_str().unwrap()).join("run.log"))
                .unwrap();
        assert!(log.contains("--filter small-"), "the command that repeats the run names its combination");
    }
    let again = bench.start(&["--quiet", "--filter", "small-1"]).end();
    assert_eq!(again.status.code(), Some(0), "{}{}", again.stdout, again.stderr);
}

#[test]
fn repeated_runs_have_a_spread_and_what_is_open_is_run_again() {
    // Twenty rounds have no p99.9: INCONCLUSIVE each time.
    let open = scenario(1).replace("coordination.time max < 3s", "coordination.time p99.9 < 3s");
    let bench = Bench::new(&open);
    let done = bench.start(&["--runs", "2", "--retry-inconclusive", "1"]).end();
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    assert_eq!(done.stderr.matches("run again (1 of 1)").count(), 2, "{}", done.stderr);
    assert!(done.stdout.contains("INCONCLUSIVE, after 1 INCONCLUSIVE"), "{}", done.stdout);
    assert!(
        done.stdout.contains("small: 2 runs") && done.stdout.contains("delivery: mean 100 %"),
        "{}",
        done.stdout
    );
    let listed = bench.command().args(["list", "--runs", "runs"]).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(text.lines().filter(|line| line.starts_with("INCONCLUSIVE")).count(), 4, "{text}");
    let listed = bench.command().args(["list", "--runs", "runs", "--json"]).output().unwrap();
    let runs: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(runs.len(), 4);
    assert!(runs.iter().all(|run| run["verdict"] == "INCONCLUSIVE" && run["variant"] == ""), "{runs:#?}");
}

#[test]
fn a_signal_ends_all_runs() {
    let bench = Bench::new(&scenario(20));
    let run = bench.start(&["--runs", "3"]);
    run.agents_under_load();
    run.signal(nix::sys::signal::Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("1 of 3 runs"), "{}", done.stdout);
}
