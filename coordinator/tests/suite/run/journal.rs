//! What was handed in is not lost, whichever process is killed.

use super::{Desk, Ended, PROGRAM, is_empty, signal, wait_until, waits};
use crate::support::wants::has_namespaces;
use coordinator::snapshot::journal::replay;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// Every task writes its number when it begins.
const SCRIPT: &str = "echo $0 >> begun; sleep 0.02";

pub(super) fn numbers(count: u32) -> String {
    let all: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    all.join("\n") + "\n"
}

fn open(desk: &Desk) -> usize {
    replay(&desk.path("journal")).unwrap().open.len()
}

fn restore(desk: &Desk, results: &str) -> Ended {
    let output = Command::new(PROGRAM)
        .args(["restore", "journal", "--results", results])
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    Ended::of(&output)
}

#[test]
fn a_run_over_a_pipe_that_is_killed_is_done_to_its_end_by_restore() {
    let desk = Desk::new();
    let arguments = ["--agents", "4", "--inputs", "-", "--results", "out", "--journal", "journal"];
    let mut child = desk
        .command(&[&arguments[..], &["--", "sh", "-c", SCRIPT]].concat())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), numbers(200).as_bytes()).unwrap();
    wait_until("so many have ended", || desk.lines("out").len() >= 30);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the fleet is gone", || is_empty(desk.shm.path()));
    let before = open(&desk);
    assert!((1..=8).contains(&before), "{before}");
    let begun: BTreeSet<String> = desk.lines("begun").into_iter().collect();
    restore(&desk, "rest").with(0);
    let first: BTreeSet<String> = desk
        .read("out")
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    let second: BTreeSet<String> =
        desk.rows("rest").iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    // No task that began is without a result. What had one is not done again, even if that was not noted yet.
    assert!(second.len() <= before && begun.iter().all(|id| first.contains(id) || second.contains(id)));
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(open(&desk), 0);
    restore(&desk, "nothing").with(0);
    assert_eq!(desk.read("nothing"), "");
}

#[test]
fn a_whole_run_leaves_nothing_open_and_a_journal_is_not_overwritten() {
    let desk = Desk::new();
    desk.write("inputs", numbers(20));
    let arguments = ["--agents", "2", "--inputs", "inputs", "--journal", "journal"];
    desk.run(&[&arguments[..], &["--", "sh", "-c", SCRIPT]].concat()).with(0);
    let whole = desk.read("journal");
    assert!(whole.matches("\"accepted\"").count() == 20 && open(&desk) == 0, "{whole}");
    desk.run(&[&arguments[..], &["--", "touch", "started"]].concat())
        .with(64)
        .says(&["journal already exists", "coordinator restore"]);
    assert!(!desk.path("started").exists());
    assert_eq!(desk.read("journal"), whole);
    desk.write("journal", "mine\n");
    desk.run(&[&arguments[..], &["--", "touch", "started"]].concat()).with(64);
    assert!(!desk.path("started").exists() && desk.read("journal") == "mine\n");
}

#[test]
fn what_an_interrupt_has_ended_stays_open_and_the_list_can_be_gone_through_once_more() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n");
    let script = "echo $0 >> begun; [ -e go ] || sleep 1000";
    let arguments = ["--agents", "2", "--inputs", "inputs", "--results", "out", "--journal", "journal"];
    let rest = ["--", "sh", "-c", script];
    let child = desk.start(&[&arguments[..], &["--drain", "1ms"], &rest].concat());
    wait_until("two run", || desk.lines("begun").len() == 2);
    signal(&child, Signal::SIGINT);
    desk.ended(child).with(21);
    assert_eq!(open(&desk), 2);
    desk.touch("go");
    desk.run(&[&arguments[..], &["--resume"], &rest].concat()).with(0);
    assert_eq!((open(&desk), desk.last("out").len()), (0, 3));
}

/// The run was killed between the two: so its journal is put back to what it was before it noted the ends.
#[test]
fn a_task_whose_result_is_written_is_not_done_again_by_a_restore_however_its_journal_ends() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n");
    let script = waits("go");
    let arguments = ["--agents", "2", "--inputs", "inputs", "--results", "out", "--journal", "journal"];
    let child = desk.start(&[&arguments[..], &["--", "sh", "-c", &script]].concat());
    wait_until("two run", || desk.lines("begun").len() == 2);
    std::fs::copy(desk.path("journal"), desk.path("earlier")).unwrap();
    desk.touch("go");
    desk.ended(child).with(0);
    std::fs::rename(desk.path("earlier"), desk.path("journal")).unwrap();
    assert_eq!(open(&desk), 2);
    restore(&desk, "rest").with(0);
    assert_eq!((desk.read("rest").as_str(), desk.lines("begun").len(), open(&desk)), ("", 3, 0));
}

#[test]
fn a_restore_is_continued_by_another_one_with_other_results() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n4\n");
    let arguments = ["--agents", "4", "--inputs", "inputs", "--results", "out", "--journal", "journal"];
    let script = waits("go");
    let child = desk.start(&[&arguments[..], &["--grace", "1ms", "--", "sh", "-c", &script]].concat());
    wait_until("all run", || desk.lines("begun").len() == 4);
    signal(&child, Signal::SIGINT);
    desk.ended(child).with(21);
    desk.touch("go");
    std::fs::copy(desk.path("journal"), desk.path("earlier")).unwrap();
    restore(&desk, "rest").with(0);
    assert_eq!(desk.last("rest").len(), 4);
    // As if it had been killed before it noted an end: what it wrote is all that is known.
    let named = replay(&desk.path("journal")).unwrap().results;
    assert_eq!(named, ["out", "rest"].map(|name| desk.path(name)));
    std::fs::rename(desk.path("earlier"), desk.path("journal")).unwrap();
    let output = Command::new(PROGRAM)
        .args(["restore", "journal", "--resume", "--results", "rest"])
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    Ended::of(&output).with(0);
    assert_eq!((desk.rows("rest").len(), desk.lines("begun").len(), open(&desk)), (4, 8, 0));
}

/// It is begun again by the run, which is no end.
#[test]
fn a_task_whose_agent_dies_is_in_the_journal_once() {
    let desk = Desk::new();
    let script = "echo x >> begun; [ $(wc -l < begun) -gt 1 ] || kill -9 $PPID; sleep 0.1";
    desk.run(&["--agents", "1", "--journal", "journal", "--", "sh", "-c", script]).with(0);
    let text = desk.read("journal");
    assert_eq!((text.matches("\"accepted\"").count(), open(&desk)), (1, 0), "{text}");
    assert_eq!(desk.lines("begun").len(), 2);
}

#[test]
fn a_journal_without_room_stops_the_run_and_is_whole() {
    if !has_namespaces() {
        return;
    }
    let desk = Desk::new();
    desk.write("inputs", numbers(500));
    std::fs::create_dir(desk.path("small")).unwrap();
    let run = format!(
        "mount -t tmpfs -o size=64k tmpfs small && {PROGRAM} run --agents 2 --inputs inputs --journal small/j -- true; s=$?; cp small/j journal; exit $s"
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &run])
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    Ended::of(&output).with(20).says(&["small/j: cannot append to it: not enough space"]);
    assert!(is_empty(desk.shm.path()));
    // No client saw what it does not hold.
    assert!(open(&desk) <= 4);
}

#[test]
fn what_a_restore_writes_goes_with_the_results_of_its_run() {
    let desk = Desk::new();
    desk.write("inputs", "quick\nslow1\nslow2\nlast1\nlast2\n");
    let script =
        "echo $0 >> begun; case $0 in slow*) until [ -e go ]; do sleep 0.01; done;; esac; echo said $0";
    let arguments = ["--agents", "2", "--inputs", "inputs", "--results", "out"];
    let rest = ["--", "sh", "-c", script];
    let child = desk.start(&[&arguments[..], &["--journal", "journal", "--drain", "1ms"], &rest].concat());
    wait_until("one has ended and two run", || {
        desk.lines("out").len() == 1 && desk.lines("begun").len() == 3
    });
    signal(&child, Signal::SIGINT);
    desk.ended(child).with(21);
    desk.touch("go");
    restore(&desk, "rest").with(0);
    // The same keys in the same order, and what the list says of each task.
    let keys = |line: &str| -> Vec<String> {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        row.into_iter().map(|(key, _)| key).collect()
    };
    let (run, restored) = (desk.lines("out"), desk.lines("rest"));
    assert!(restored.len() == 2 && restored.iter().all(|line| keys(line) == keys(&run[0])), "{restored:?}");
    for row in desk.rows("rest") {
        let number = row["number"].as_u64().unwrap();
        assert!((2..=3).contains(&number), "{row}");
        assert_eq!(row["id"], number.to_string());
        let input = format!("slow{}", number - 1);
        assert_eq!(row["input"], input);
        assert_eq!((&row["status"], &row["exit"]), (&"ok".into(), &0.into()));
        assert_eq!(row["stdout"], format!("said {input}\n"));
        assert!(["run_ms", "queued_ms", "started_unix_ms"].iter().all(|key| row[*key].is_number()), "{row}");
    }
    // Together they are what is done.
    desk.write("out", desk.read("out") + &desk.read("rest"));
    desk.run(&[&arguments[..], &["--resume"], &rest].concat())
        .with(0)
        .says(&["3 of 5 tasks are done; 2 to do"]);
    assert!(desk.last("out").values().all(|row| row["status"] == "ok"));
    assert_eq!(desk.lines("begun").len(), 7);
}

#[test]
fn what_a_restored_agent_answers_is_a_result() {
    let desk = Desk::new();
    desk.write("tasks", "{\"id\":\"a\",\"input\":{\"question\":1}}\n");
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents/agent.sh");
    let script = format!("echo x >> begun; until [ -e go ]; do sleep 0.01; done; exec sh {agent}");
    let child = desk.start(&[
        "--agents",
        "1",
        "--protocol",
        "jsonl",
        "--tasks",
        "tasks",
        "--journal",
        "journal",
        "--drain",
        "1ms",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    wait_until("it is asked", || desk.lines("begun").len() == 1);
    signal(&child, Signal::SIGINT);
    desk.ended(child).with(21);
    desk.touch("go");
    restore(&desk, "rest").with(0);
    let rows = desk.rows("rest");
    assert_eq!((rows.len(), &rows[0]["id"], &rows[0]["stdout"]), (1, &"a".into(), &"".into()));
    assert_eq!(rows[0]["result"]["question"], 1);
}

#[test]
fn a_task_that_is_tried_again_is_not_closed_by_its_earlier_result() {
    let desk = Desk::new();
    desk.write("inputs", "1\n");
    let script = "echo $0 >> begun; [ ! -e hold ] || sleep 1000; [ -e go ]";
    let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "out"];
    let rest = ["--", "sh", "-c", script];
    desk.run(&[&arguments[..], &rest].concat()).with(10);
    desk.touch("hold");
    let mut child =
        desk.start(&[&arguments[..], &["--retry-failed", "--journal", "journal"], &rest].concat());
    wait_until("it is tried again", || desk.lines("begun").len() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the fleet is gone", || is_empty(desk.shm.path()));
    std::fs::remove_file(desk.path("hold")).unwrap();
    desk.touch("go");
    restore(&desk, "rest").with(0);
    assert_eq!((open(&desk), desk.lines("begun").len()), (0, 3));
    assert!(desk.rows("rest").len() == 1 && desk.rows("rest")[0]["status"] == "ok");
}
