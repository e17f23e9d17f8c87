//! A fleet that is lost and restored, as `scenarios/restore.toml` has it, with ten agents instead of 700.

use super::*;

/// The scenario for a fleet of two coordinators with five workers each, of whose 15 tasks five are answered before.
fn small() -> String {
    let mut text = include_str!("../../../../scenarios/restore.toml").to_owned();
    for (from, to) in [
        ("--coordinators 7 --workers 100", "--coordinators 2 --workers 5"),
        ("seq 800", "seq 15"),
        ("-gt 100", "-gt 5"),
        ("-eq 700", "-eq 10"),
        ("-eq 100;", "-eq 5;"),
        ("seq 101 800", "seq 6 15"),
        ("task.time max < 5s", "task.time max < 1m"), // the bar of a busy machine
        ("name = \"restore\"\nasks", "name = \"small\"\nasks"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

fn run(bench: &Bench) -> (serde_json::Value, Done) {
    let done = bench.start(&["--profile", "ci", "--quiet"]).end();
    (verdict(&bench.latest()), done)
}

#[test]
fn a_fleet_that_was_lost_is_restored_and_each_open_task_is_done_once() {
    let bench = Bench::new(&small());
    let (verdict, done) = run(&bench);
    assert_eq!(done.status.code(), Some(0), "{} {}", done.stdout, done.stderr);
    assert_eq!(verdict["verdict"], "PASS");
    // The set-up has shown that there was something to restore, and the tear-down has left nothing.
    let output = std::fs::read_to_string(bench.latest().join("commands.output")).unwrap();
    assert!(output.contains("10 open tasks (10 in hand)"), "{output}");
    bench.assert_nothing_left(&[]);
}

#[test]
fn a_restore_that_does_too_few_tasks_or_nothing_that_was_lost_does_not_pass() {
    // A task that is not in the backup is missing.
    let missing = small().replace("seq 6 15", "seq 6 16");
    // The fleet was not lost: the set-up waits for its end in vain.
    let kept = small().replace("kill -9", ": kill -9").replace("timeout = \"4m\"", "timeout = \"10s\"");
    for (text, code) in [(missing, 10), (kept, 20)] {
        let bench = Bench::new(&text);
        let (_, done) = run(&bench);
        assert_eq!(done.status.code(), Some(code), "{} {}", done.stdout, done.stderr);
    }
}
