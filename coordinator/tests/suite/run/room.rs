//! Where there is no room for results, and where there are many tasks.

use super::{Desk, Ended, PROGRAM};
use std::process::{Command, Stdio};

/// Says about ten thousand bytes.
const SCRIPT: &str = "echo $0 >> begun; seq 2200";

fn inputs(desk: &Desk, count: u32) {
    let inputs: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    desk.write("inputs", inputs.join("\n"));
}

/// What was written is whole, and another run with room does the rest.
fn goes_on(desk: &Desk, results: &str, count: usize) {
    let kept = desk.rows(results);
    assert!(!kept.is_empty() && kept.len() < count, "{}", kept.len());
    let arguments =
        ["--agents", "2", "--inputs", "inputs", "--results", results, "--resume", "--", "sh", "-c", SCRIPT];
    desk.run(&arguments).with(0);
    let rows = desk.rows(results);
    assert_eq!((rows.len(), desk.last(results).len()), (count, count));
    // Nothing that was written was done again.
    let begun = desk.lines("begun");
    for row in kept {
        let id = row["id"].as_str().unwrap();
        assert_eq!(begun.iter().filter(|line| *line == id).count(), 1, "{id}");
    }
}

#[test]
fn results_that_may_not_grow_stop_the_run_and_lose_nothing() {
    let desk = Desk::new();
    inputs(&desk, 60);
    let output = Command::new("prlimit")
        // More than its shared memory, which is a file too.
        .args(["--fsize=550000", PROGRAM, "run"])
        .args(["--agents", "1", "--inputs", "inputs", "--results", "out", "--", "sh", "-c", SCRIPT])
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    Ended::of(&output).with(20).says(&[
        "cannot write to out: File too large",
        "the results so far are complete",
        "continue with: ",
    ]);
    goes_on(&desk, "out", 60);
    assert!(super::is_empty(desk.shm.path()));
}

#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    if !crate::support::wants::has_namespaces() {
        return;
    }
    let desk = Desk::new();
    inputs(&desk, 60);
    std::fs::create_dir(desk.path("small")).unwrap();
    let run = format!(
        "{PROGRAM} run --agents 2 --inputs inputs --results small/out -- sh -c '{SCRIPT}'; s=$?; cp small/out kept; exit $s"
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg(format!("mount -t tmpfs -o size=64k tmpfs small && {run}"))
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    let ended = Ended::of(&output).with(20);
    ended.says(&[
        "cannot write to small/out: No space left",
        "the results so far are complete",
        "continue with: ",
    ]);
    assert!(super::is_empty(desk.shm.path()));
    assert!(desk.read("kept").ends_with("}\n"));
    // As its user would: with the file where there is room. Its name is no part of a task.
    goes_on(&desk, "kept", 60);
}

#[test]
fn a_long_list_does_not_fill_the_memory() {
    let desk = Desk::new();
    let lines: Vec<String> = (0..100_000)
        .map(|number| format!(r#"{{"id":"task-{number}","args":["{number}","{:0400}"]}}"#, 0))
        .collect();
    let list = lines.join("\n");
    desk.write("tasks", &list);
    // Less than the list has.
    let arguments = ["--agents", "1", "--tasks", "tasks", "--dry-run", "--", "echo"];
    assert!(list.len() > 40_000_000);
    let output = Command::new("prlimit")
        .args(["--data=30000000", PROGRAM, "run"])
        .args(arguments)
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    let ended = Ended::of(&output).with(0);
    assert_eq!(ended.stdout.lines().count(), 100_000);
}

#[test]
fn a_limit_that_no_file_of_a_run_fits_in_is_named() {
    let desk = Desk::new();
    let limited = |bytes: &str, arguments: &[&str], stdin: Stdio| {
        let mut command = Command::new("prlimit");
        command.args([bytes, PROGRAM, "run", "--agents", "1"]).args(arguments).args(["--", "true"]);
        command.current_dir(desk.dir.path()).env("COORDINATOR_SHM_DIR", desk.shm.path()).stdin(stdin);
        Ended::of(&command.output().unwrap())
    };
    for bytes in ["0", "10240"] {
        let limit = format!("{bytes} bytes per file (raise `ulimit -f`)");
        limited(&format!("--fsize={bytes}"), &[], Stdio::null()).with(20).says(&["did not start", &limit]);
    }
    // A list that can be read only once is copied.
    let mut list = Command::new("seq").arg("200000").stdout(Stdio::piped()).spawn().unwrap();
    let pipe = Stdio::from(list.stdout.take().unwrap());
    limited("--fsize=600000", &["--inputs", "-"], pipe).with(20).says(&["cannot copy", "TMPDIR"]);
    list.wait().unwrap();
    assert!(super::is_empty(desk.shm.path()));
}
