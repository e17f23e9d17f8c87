//! A list that is half done.

use super::{Desk, wait_until};
use std::collections::BTreeMap;

/// Every task writes its number when it begins and when it ends.
const SCRIPT: &str = "echo $0 >> begun; sleep 0.02; echo $0 >> ended";

fn counts(lines: Vec<String>) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn a_run_that_is_killed_goes_on_and_does_again_only_what_it_had_no_result_of() {
    let desk = Desk::new();
    let inputs: Vec<String> = (1..=200).map(|number| number.to_string()).collect();
    desk.write("inputs", inputs.join("\n"));
    let arguments =
        ["--agents", "4", "--inputs", "inputs", "--results", "out", "--resume", "--", "sh", "-c", SCRIPT];
    let mut again: BTreeMap<u32, u32> = BTreeMap::new();
    // Killed at a quarter, at a half and at three quarters of the way.
    for share in [50, 100, 150] {
        let mut child = desk.start(&arguments);
        wait_until("so many have ended", || desk.lines("out").len() >= share);
        child.kill().unwrap();
        child.wait().unwrap();
        // Its fleet ends by itself, and so do the commands.
        wait_until("the fleet is gone", || super::is_empty(desk.shm.path()) || coordinator_dead(&desk));
        let _ = std::process::Command::new(super::PROGRAM)
            .args(["clean", "--shm-dir"])
            .arg(desk.shm.path())
            .output()
            .unwrap();
        let told: Vec<u32> = desk
            .read("out")
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .map(|row| row["id"].as_str().unwrap().parse().unwrap())
            .collect();
        for (number, count) in counts(desk.lines("begun")) {
            if !told.contains(&number) {
                again.insert(number, count);
            }
        }
    }
    desk.run(&arguments).with(0);
    let begun = counts(desk.lines("begun"));
    assert_eq!(begun.len(), 200);
    for (number, count) in begun {
        // Once, and once more for each time that it was in hand and had no result.
        let before = again.get(&number).copied().unwrap_or(0);
        assert_eq!(count, before + 1, "task {number}");
    }
    assert!(again.len() <= 3 * 8, "{again:?}");
    let last = desk.last("out");
    assert_eq!(last.len(), 200);
    assert!(last.values().all(|row| row["status"] == "ok"));
}

#[test]
fn where_output_goes_is_no_part_of_a_task() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n");
    let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "out", "--resume"];
    desk.run(&[&arguments[..], &["--output-dir", "one", "--", "echo"]].concat()).with(0);
    desk.run(&[&arguments[..], &["--output-dir", "two", "--", "echo"]].concat())
        .with(0)
        .says(&["2 of 2 tasks are done; 0 to do"]);
}

fn coordinator_dead(desk: &Desk) -> bool {
    std::fs::read_dir(desk.shm.path()).unwrap().all(|entry| {
        coordinator::client::status::of(&entry.unwrap().path())
            .is_ok_and(|status| status.processes().all(|process| !process.identity().is_alive()))
    })
}

#[test]
fn results_that_are_there_are_not_overwritten() {
    let desk = Desk::new();
    desk.write("out", "something of mine\n");
    let arguments = ["--agents", "1", "--results", "out", "--", "touch", "started"];
    desk.run(&arguments).with(64).says(&["out already holds results", "`--resume` does the tasks"]);
    desk.run(&["--agents", "1", "--results", "out", "--resume", "--", "touch", "started"])
        .with(64)
        .says(&["out:1: this line is not a result"]);
    assert_eq!(desk.read("out"), "something of mine\n");
    assert!(!desk.path("started").exists());
    // An empty file is as good as none.
    desk.write("out", "");
    desk.run(&arguments).with(0);
}

#[test]
fn a_torn_last_line_is_cut_off_with_a_word_and_a_whole_one_is_used() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n");
    let arguments = [
        "--agents",
        "1",
        "--inputs",
        "inputs",
        "--results",
        "out",
        "--resume",
        "--",
        "sh",
        "-c",
        "echo $0 >> begun",
    ];
    desk.run(&arguments).with(0);
    let whole = desk.read("out");
    // Without its end: the last task is done again.
    desk.write("out", &whole[..whole.len() - 20]);
    desk.run(&arguments)
        .with(0)
        .says(&["out:3: the last line is incomplete", "2 of 3 tasks are done; 1 to do"]);
    assert_eq!(desk.lines("begun"), ["1", "2", "3", "3"]);
    assert_eq!(desk.rows("out").len(), 3);
    // Without its line's end alone: nothing is lost.
    let whole = desk.read("out");
    desk.write("out", whole.trim_end());
    desk.run(&arguments).with(0).says(&["3 of 3 tasks are done; 0 to do"]);
    assert_eq!(desk.read("out"), whole);
}

#[test]
fn a_torn_first_line_is_cut_off_and_its_task_done_again() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n");
    desk.write("out", "{\"id\":\"1\",\"stdout\":\"abc");
    let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "out", "--resume", "--", "echo"];
    desk.run(&arguments)
        .with(0)
        .says(&["out:1: the last line is incomplete", "0 of 2 tasks are done; 2 to do"]);
    assert_eq!((desk.rows("out").len(), desk.last("out").len()), (2, 2));
    desk.run(&arguments).with(0).says(&["2 of 2 tasks are done; 0 to do"]);
    assert_eq!(desk.rows("out").len(), 2);
}

#[test]
fn what_failed_is_left_or_done_again_as_is_asked() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n");
    let run = |option: &str| {
        let script = "echo $0 >> begun; [ $0 != 2 ] || [ -e mended ]";
        desk.run(&[
            "--agents",
            "2",
            "--inputs",
            "inputs",
            "--results",
            "out",
            option,
            "--",
            "sh",
            "-c",
            script,
        ])
    };
    run("--resume").with(10).says(&["1 of 3 tasks failed"]);
    run("--resume").with(10).says(&[
        "3 of 3 tasks are done; 0 to do",
        "1 tasks had failed in an earlier run",
        "--retry-failed",
    ]);
    assert_eq!(desk.lines("begun").len(), 3);
    run("--retry-failed").with(10).says(&["2 of 3 tasks are done; 1 to do"]);
    desk.touch("mended");
    run("--retry-failed").with(0);
    assert_eq!(desk.lines("begun").iter().filter(|line| *line == "2").count(), 3);
    assert_eq!(desk.lines("begun").len(), 5);
    assert_eq!(desk.last("out")["2"]["status"], "ok");
    run("--resume").with(0).says(&["0 to do"]);
}

#[test]
fn a_task_that_has_changed_is_done_again() {
    let desk = Desk::new();
    desk.write("tasks", "{\"id\":\"a\",\"input\":\"1\"}\n{\"id\":\"b\",\"input\":\"2\"}\n");
    let arguments = ["--agents", "1", "--tasks", "tasks", "--results", "out", "--resume", "--", "echo"];
    desk.run(&arguments).with(0);
    // Another place in the list and other terms are no other task; `c` has gone.
    desk.write(
        "tasks",
        "{\"id\":\"b\",\"input\":\"3\"}\n{\"id\":\"a\",\"input\":\"1\",\"timeout\":\"5s\"}\n",
    );
    desk.run(&arguments)
        .with(0)
        .says(&["1 tasks have changed since they were done, \"b\" first", "1 of 2 tasks are done"]);
    let rows = desk.rows("out");
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[2]["id"], &rows[2]["stdout"]), (&"b".into(), &"3\n".into()));
    desk.write("tasks", "{\"id\":\"b\",\"input\":\"3\"}\n");
    desk.run(&arguments).with(0).says(&["1 results belong to tasks that are not in the list"]);
}

#[test]
fn two_runs_do_not_write_to_one_file() {
    let desk = Desk::new();
    let script = super::waits("go");
    let first = desk.start(&["--agents", "1", "--results", "out", "--", "sh", "-c", &script]);
    wait_until("it runs", || desk.lines("begun").len() == 1);
    let second = desk.start(&["--agents", "1", "--results", "out", "--resume", "--", "true"]);
    let output = second.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another run is writing to out"));
    desk.touch("go");
    desk.ended(first).with(0);
}

/// A task is not done because its fleet died.
#[test]
fn what_a_dead_fleet_had_in_hand_is_done_by_the_next_run() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n4\n");
    let script = "echo $0 >> begun; [ -e go ] || sleep 1000";
    let arguments = ["--agents", "2", "--inputs", "inputs", "--results", "out", "--resume"];
    let child = desk.start(&[&arguments[..], &["--", "sh", "-c", script]].concat());
    wait_until("two run", || desk.lines("begun").len() == 2);
    let dir = std::fs::read_dir(desk.shm.path()).unwrap().next().unwrap().unwrap().path();
    let supervisor = coordinator::client::status::of(&dir).unwrap().supervisor.identity();
    super::kill(supervisor, nix::sys::signal::Signal::SIGKILL);
    desk.ended(child).with(10).says(&["the fleet is lost", "continue with: "]);
    assert!(desk.last("out").values().all(|row| row["status"] == "cancelled"));
    desk.touch("go");
    desk.run(&[&arguments[..], &["--", "sh", "-c", script]].concat()).with(0);
    assert!(desk.last("out").len() == 4 && desk.last("out").values().all(|row| row["status"] == "ok"));
}
