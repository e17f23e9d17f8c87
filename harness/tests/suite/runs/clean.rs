//! `harness clean` removes old runs, and nothing else.

use super::{Bench, scenario, wait_until};
use std::path::{Path, PathBuf};
use std::process::Output;

/// Logs of earlier versions: runs of several scenarios, long ago.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/tests/fixtures/v1").join(name).join("run.log")
}

fn put(bench: &Bench, at: &str, log: &str) -> PathBuf {
    let run = bench.out().join(at);
    std::fs::create_dir_all(run.join("plots")).unwrap();
    std::fs::copy(fixture(log), run.join("run.log")).unwrap();
    std::fs::write(run.join("plots/memory.svg"), "<svg/>").unwrap();
    run
}

fn clean(bench: &Bench, arguments: &[&str]) -> Output {
    bench.command().args(["clean", "runs"]).args(arguments).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn reasons(answer: &serde_json::Value) -> Vec<(String, String)> {
    let name = |run: &serde_json::Value| run.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let all = answer["spared"].as_array().unwrap().iter();
    all.map(|run| (name(&run["run"]), run["reason"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn nothing_is_removed_without_yes_and_only_old_runs_with_it() {
    let bench = Bench::new(&scenario(1));
    let [first, second, latest] =
        ["old/20250101T000000Z-a", "old/20250101T000001Z-b", "old/20250101T000002Z-c"]
            .map(|at| put(&bench, at, "pass"));
    std::os::unix::fs::symlink("20250101T000002Z-c", bench.out().join("old/latest")).unwrap();
    let notes = bench.out().join("old/notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(notes.join("run.log"), "not a log\n").unwrap();
    std::fs::write(bench.out().join("old/readme.txt"), "mine").unwrap();

    let dry = json(&clean(&bench, &["--keep", "2", "--json"]));
    assert_eq!(dry["dry_run"], true);
    let runs = dry["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[0]["removed"]), (1, &false.into()), "{dry:#}");
    assert!(runs[0]["run"].as_str().unwrap().ends_with("-a") && runs[0]["bytes"].as_u64() > Some(0));
    assert!(first.exists(), "a dry run removes nothing");

    let young = json(&clean(&bench, &["--older-than", "36500d", "--yes", "--json"]));
    assert_eq!(reasons(&young).iter().filter(|(_, why)| why == "young").count(), 2, "{young:#}");

    let done = json(&clean(&bench, &["--older-than", "1s", "--yes", "--json"]));
    assert_eq!(done["runs"].as_array().unwrap().len(), 2, "{done:#}");
    assert!(done["runs"].as_array().unwrap().iter().all(|run| run["removed"] == true));
    let wanted = [("notes", "not-a-run"), ("20250101T000002Z-c", "latest")];
    assert_eq!(reasons(&done), wanted.map(|(run, why)| (run.to_owned(), why.to_owned())));
    assert_eq!([&first, &second, &latest, &notes].map(|path| path.exists()), [false, false, true, true]);
    assert!(bench.out().join("old/readme.txt").exists());

    let again = clean(&bench, &["--older-than", "1s", "--yes"]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert_eq!(text, "nothing to remove; left: 1 latest of their scenario, 1 not runs\n");
}

#[test]
fn a_run_that_goes_on_is_left_alone() {
    let bench = Bench::new(&scenario(60));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    // `latest` would protect it as well.
    std::fs::remove_file(bench.out().join("small/latest")).unwrap();
    let answer = json(&clean(&bench, &["--keep", "0", "--yes", "--json"]));
    assert_eq!(answer["runs"], serde_json::json!([]));
    assert_eq!(reasons(&answer)[0].1, "in-progress");

    run.signal(nix::sys::signal::Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);
    // Now it is a run like any other.
    wait_until("the lock is gone with its process", || {
        json(&clean(&bench, &["--keep", "0", "--yes", "--json"]))["runs"].as_array().unwrap().len() == 1
    });
    assert_eq!(std::fs::read_dir(bench.out().join("small")).unwrap().count(), 0);
}

#[test]
fn how_many_or_how_old_must_be_said() {
    let bench = Bench::new(&scenario(1));
    std::fs::create_dir(bench.out()).unwrap();
    for arguments in [&[][..], &["--yes"], &["--older-than", "30"], &["--keep", "-1"]] {
        let output = clean(&bench, arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
    }
    assert!(clean(&bench, &["--keep", "3"]).status.success());
    std::fs::remove_dir(bench.out()).unwrap();
    let output = clean(&bench, &["--keep", "3"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read `runs`"), "{output:?}");
}
