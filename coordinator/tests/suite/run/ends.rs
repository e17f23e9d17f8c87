//! How tasks and runs end.

use super::{Desk, is_empty, signal, wait_until, waits};
use nix::sys::signal::Signal;

#[test]
fn a_command_without_an_end_is_ended_at_its_time() {
    let desk = Desk::new();
    desk.write("tasks", "{\"id\":\"yes\",\"command\":[\"yes\"],\"timeout\":\"300ms\"}\n{\"id\":\"fine\",\"command\":[\"true\"]}\n");
    desk.run(&["--agents", "2", "--tasks", "tasks", "--output-max", "16KiB", "--results", "out"])
        .with(10)
        .says(&["task \"yes\": timed out after 300ms", "1 of 2 tasks failed"]);
    let rows = desk.last("out");
    let yes = &rows["yes"];
    assert_eq!(
        (&yes["status"], yes["truncated"].as_bool(), yes["attempt"].as_u64()),
        (&"timed-out".into(), Some(true), Some(1))
    );
    assert!(yes["stdout"].as_str().unwrap().starts_with("y\ny\n"));
    assert_eq!(rows["fine"]["status"], "ok");
}

#[test]
fn what_fails_is_done_again_as_often_as_was_said() {
    let desk = Desk::new();
    let script = "echo x >> tries.$0; [ $(wc -l < tries.$0) -ge $1 ]";
    let task = |id: &str, needs: &str, more: &str| {
        format!("{{\"id\":\"{id}\",\"command\":[\"sh\",\"-c\",\"{script}\",\"{id}\",\"{needs}\"]{more}}}\n")
    };
    let list = [
        task("once", "1", ""),
        task("thrice", "3", ""),
        task("never", "99", ""),
        task("own", "99", ",\"retries\":0"),
    ];
    desk.write("tasks", list.concat());
    desk.run(&["--agents", "2", "--tasks", "tasks", "--results", "out", "--retries", "3"]).with(10);
    let rows = desk.last("out");
    for (id, status, attempts) in
        [("once", "ok", 1), ("thrice", "ok", 3), ("never", "failed", 4), ("own", "failed", 1)]
    {
        assert_eq!(
            (&rows[id]["status"], rows[id]["attempt"].as_u64()),
            (&status.into(), Some(attempts)),
            "{id}"
        );
        assert_eq!(desk.lines(&format!("tries.{id}")).len() as u64, attempts, "{id}");
    }
}

#[test]
fn a_deadline_counts_all_attempts() {
    let desk = Desk::new();
    desk.run(&[
        "--agents",
        "1",
        "--deadline",
        "500ms",
        "--retries",
        "200",
        "--results",
        "out",
        "--",
        "sh",
        "-c",
        "echo x >> tries; sleep 0.05; false",
    ])
    .with(10);
    let tries = desk.lines("tries").len();
    assert!((2..200).contains(&tries), "{tries}");
    let row = desk.rows("out").remove(0);
    assert!(["timed-out", "failed"].contains(&row["status"].as_str().unwrap()), "{row}");
}

#[test]
fn an_early_end_waits_for_what_runs_or_does_not() {
    let desk = Desk::new();
    let script = "case $0 in bad) until [ $(ls ready.* | wc -l) = 2 ]; do sleep 0.01; done; exit 1;; slow*) touch ready.$0; sleep $1; echo $0 >> done;; *) touch started.$0;; esac";
    for (halt, wait, done) in [("soon,fail=1", "0.3", 2), ("now,fail=1", "1000", 0)] {
        for file in ["ready.slow1", "ready.slow2", "done", "out"] {
            let _ = std::fs::remove_file(desk.path(file));
        }
        desk.write("inputs", "slow1\nslow2\nbad\nx1\nx2\n");
        let arguments = [
            "--agents",
            "3",
            "--inputs",
            "inputs",
            "--halt",
            halt,
            "--results",
            "out",
            "--",
            "sh",
            "-c",
            script,
            "{}",
            wait,
        ];
        desk.run(&arguments).with(10).says(&["halted: ", "continue with: ", "--resume"]);
        assert_eq!(desk.lines("done").len(), done, "{halt}");
        let rows = desk.last("out");
        assert_eq!(rows.len(), 3, "{halt}");
        assert_eq!(rows["3"]["status"], "failed");
        let wanted = if done == 2 { "ok" } else { "cancelled" };
        assert_eq!((&rows["1"]["status"], &rows["2"]["status"]), (&wanted.into(), &wanted.into()), "{halt}");
        assert!(!desk.path("started.x1").exists());
    }
    desk.write("inputs", "slow1\nx1\nx2\nx3\n");
    let arguments = [
        "--agents",
        "2",
        "--inputs",
        "inputs",
        "--halt",
        "now,success=1",
        "--",
        "sh",
        "-c",
        script,
        "{}",
        "1000",
    ];
    desk.run(&arguments).with(0).says(&["halted: "]);
}

#[test]
fn a_first_signal_waits_for_what_runs_and_begins_nothing_more() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n4\n5\n");
    let script = waits("go");
    let arguments = [
        "--agents",
        "2",
        "--inputs",
        "inputs",
        "--results",
        "out",
        "--drain",
        "60s",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let child = desk.start(&arguments);
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    signal(&child, Signal::SIGINT);
    // It has heard: no other task begins when these two end.
    let mut child = child;
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
    assert!(said.contains("for 2 running tasks"), "{said}");
    desk.touch("go");
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(21), "{said}");
    assert!(said.contains("interrupted: 2 of 5 tasks had ended, 0 of them failed"), "{said}");
    assert!(is_empty(desk.shm.path()));
    assert_eq!(desk.lines("begun").len(), 2);
    let rows = desk.last("out");
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["1", "2"]);
    assert!(rows.values().all(|row| row["status"] == "ok"));

    // The command that it names goes on from there.
    let again = said.lines().find_map(|line| line.strip_prefix("hint: continue with: ")).unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", again])
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut done = desk.lines("done");
    done.sort();
    assert_eq!(done, ["1", "2", "3", "4", "5"]);
}

#[test]
fn the_wait_after_a_first_signal_has_an_end() {
    let desk = Desk::new();
    let arguments = [
        "--agents",
        "2",
        "--results",
        "out",
        "--drain",
        "200ms",
        "--",
        "sh",
        "-c",
        "echo {} >> begun; sleep 1000",
    ];
    let child = desk.start(&arguments);
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    signal(&child, Signal::SIGTERM);
    desk.ended(child).with(21).says(&["interrupted: 0 of 2 tasks had ended"]);
    assert!(desk.rows("out").iter().all(|row| row["status"] == "cancelled"));
}

#[test]
fn a_second_signal_ends_all_at_once() {
    let desk = Desk::new();
    let script = "trap '' TERM; echo $$ >> begun; while :; do sleep 0.05; done";
    let arguments = ["--agents", "2", "--results", "out", "--drain", "1h", "--", "sh", "-c", script];
    std::fs::create_dir(desk.path("tmp")).unwrap();
    let mut child = desk.command(&arguments).env("TMPDIR", desk.path("tmp")).spawn().unwrap();
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    signal(&child, Signal::SIGINT);
    std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
    assert!(said.contains("a second signal ends them at once"), "{said}");
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(21));
    for pid in desk.lines("begun") {
        let gone = || coordinator::client::Identity::of(pid.parse().unwrap()).is_none_or(|it| !it.is_alive());
        wait_until("the commands are gone", gone);
    }
    assert!(is_empty(desk.shm.path()));
    assert_eq!(desk.rows("out").len(), 2);
    assert!(desk.rows("out").iter().all(|row| row["status"] == "cancelled"));
    // Nothing went wrong, and nothing is left of it.
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    assert!(!said.contains("had to be killed"), "{said}");
    assert!(is_empty(&desk.path("tmp")), "{:?}", std::fs::read_dir(desk.path("tmp")).unwrap().next());
}

#[test]
fn starts_can_be_kept_apart() {
    let desk = Desk::new();
    desk.run(&["--agents", "4", "--delay", "100ms", "--results", "out", "--", "true"]).with(0);
    let mut starts: Vec<u64> =
        desk.rows("out").iter().map(|row| row["started_unix_ms"].as_u64().unwrap()).collect();
    starts.sort_unstable();
    // Begun by different processes: a little of the time may be lost on the way.
    assert!(starts[3] - starts[0] >= 250, "{starts:?}");
}

/// A command that takes longer to save its work than the default grace, when it gets `signal`; `$0` says whose it is.
pub(super) fn saves_at(signal: &str) -> String {
    format!(
        "trap 'sleep 0.8; echo $0 >> saved; exit 5' {signal}; echo $0 >> begun; while :; do sleep 0.01; done"
    )
}

#[test]
fn a_time_out_sends_the_signal_that_was_asked_for_and_waits_for_the_grace() {
    let desk = Desk::new();
    let task = |id: &str, signal: &str, more: &str| {
        let script = saves_at(signal);
        format!("{{\"id\":\"{id}\",\"command\":[\"sh\",\"-c\",\"{script}\",\"{id}\"]{more}}}\n")
    };
    let list = [
        task("fleet", "INT", ""),
        task("own", "USR1", ",\"stop_signal\":\"USR1\""),
        task("deaf", "TERM", ""),
        task("short", "INT", ",\"grace\":\"50ms\""),
    ];
    desk.write("tasks", list.concat());
    let options = ["--timeout", "1s", "--stop-signal", "INT", "--grace", "3s"];
    let first = ["--agents", "4", "--tasks", "tasks", "--results", "out"];
    desk.run(&[&first[..], &options].concat()).with(10);
    let mut saved = desk.lines("saved");
    saved.sort();
    assert_eq!(saved, ["fleet", "own"]);
    let rows = desk.last("out");
    for (id, exit, signal) in
        [("fleet", Some(5), None), ("own", Some(5), None), ("deaf", None, Some(2)), ("short", None, Some(9))]
    {
        let row = &rows[id];
        assert_eq!(row["status"], "timed-out", "{row}");
        assert_eq!((row["exit"].as_i64(), row["signal"].as_i64()), (exit, signal), "{row}");
    }
}

#[test]
fn an_interrupted_run_sends_the_signal_that_was_asked_for_and_waits_for_the_grace() {
    for (grace, saved) in [("30s", 2), ("50ms", 0)] {
        let desk = Desk::new();
        let options = ["--results", "out", "--drain", "1ms", "--stop-signal", "SIGHUP", "--grace", grace];
        let script = saves_at("HUP");
        let rest = ["--agents", "2", "--", "sh", "-c", &script];
        let child = desk.start(&[&options[..], &rest].concat());
        wait_until("two have begun", || desk.lines("begun").len() == 2);
        signal(&child, Signal::SIGINT);
        desk.ended(child).with(21);
        assert_eq!(desk.lines("saved").len(), saved, "{grace}");
        assert!(desk.rows("out").iter().all(|row| row["status"] == "cancelled"));
    }
}

#[test]
fn what_a_task_has_put_into_another_session_has_the_signal_and_the_grace_too() {
    // Its parent has ended, or ends at the signal.
    for parent in ["setsid sh -c \"$0\" & exec sleep 1000", "(setsid sh -c \"$0\" &); exec sleep 1000"] {
        let own =
            "trap 'sleep 0.8; echo saved >> saved; exit' TERM; echo >> begun; while :; do sleep 0.01; done";
        for interrupted in [false, true] {
            let desk = Desk::new();
            // The fleet's own grace is shorter.
            let task = serde_json::json!({"id": "a", "command": ["sh", "-c", parent, own], "grace": "30s"});
            desk.write("tasks", task.to_string());
            let limit: &[&str] = if interrupted { &["--drain", "1ms"] } else { &["--timeout", "1s"] };
            let options = ["--agents", "1", "--tasks", "tasks", "--results", "out"];
            let child = desk.start(&[&options[..], limit].concat());
            wait_until("it has begun", || desk.lines("begun").len() == 1);
            if interrupted {
                signal(&child, Signal::SIGINT);
            }
            desk.ended(child).with(if interrupted { 21 } else { 10 });
            assert_eq!(desk.lines("saved"), ["saved"], "{parent} {interrupted}");
        }
    }
}

#[test]
fn what_an_interrupted_task_says_within_its_grace_is_kept() {
    let script = "trap 'echo saved; echo why >&2; exit 5' TERM; echo first; echo >> begun; while :; do sleep 0.01; done";
    let large = "trap 'printf %0100000d 0; exit 0' TERM; echo >> begun; while :; do sleep 0.01; done";
    let desk = Desk::new();
    let task =
        |id: &str, script: &str| serde_json::json!({"id": id, "command": ["sh", "-c", script]}).to_string();
    desk.write("tasks", [task("small", script), task("large", large)].join("\n"));
    let first = ["--agents", "2", "--tasks", "tasks", "--drain", "1ms", "--grace", "60s"];
    for rest in [&["--results", "out"][..], &["--tag"]] {
        let _ = std::fs::remove_file(desk.path("begun"));
        let child = desk.start(&[&first[..], rest].concat());
        wait_until("two have begun", || desk.lines("begun").len() == 2);
        signal(&child, Signal::SIGINT);
        let ended = desk.ended(child).with(21).says(&["interrupted: 0 of 2 tasks had ended"]);
        assert!(is_empty(desk.shm.path()) && super::spools(&desk) == 0);
        if rest == ["--tag"] {
            assert!(ended.stdout.contains("small\tfirst\nsmall\tsaved\n"), "{}", ended.stdout);
            assert!(ended.stdout.contains(&"0".repeat(100_000)), "{}", ended.stdout.len());
            assert!(ended.stderr.contains("small\twhy"), "{}", ended.stderr);
            continue;
        }
        let rows = desk.last("out");
        let small = &rows["small"];
        assert_eq!((&small["stdout"], &small["exit"]), (&"first\nsaved\n".into(), &5.into()));
        // Some shells say as well how their child has ended.
        assert!(small["stderr"].as_str().unwrap().ends_with("why\n"), "{small}");
        assert_eq!(rows["large"]["stdout"], "0".repeat(100_000));
        assert!(rows.values().all(|row| row["status"] == "cancelled"), "{rows:?}");
    }
    // They were cancelled all the same, and are done again.
    let again = ["--agents", "2", "--tasks", "tasks", "--results", "out", "--resume", "--timeout", "1s"];
    desk.run(&again).with(10).says(&["0 of 2 tasks are done; 2 to do"]);
}

/// Whether the process has not read such a signal yet.
fn is_pending(child: &std::process::Child, number: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    u64::from_str_radix(pending.trim(), 16).unwrap() >> (number as i32 - 1) & 1 == 1
}

/// Sends a signal twice and looks at how the tasks end; false if so much time has passed in between that it says nothing.
fn ends_as(number: Signal, wanted: &str) -> bool {
    let desk = Desk::new();
    let script = waits("go");
    let first = ["--agents", "2", "--results", "out", "--drain", "1h", "--", "sh", "-c"];
    let mut child = desk.start(&[&first[..], &[&script]].concat());
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    let begun = std::time::Instant::now();
    signal(&child, number);
    // Until then the kernel makes one of them.
    wait_until("it was read", || !is_pending(&child, number));
    signal(&child, number);
    if begun.elapsed().as_millis() > 50 {
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("the fleet has ended", || is_empty(desk.shm.path()));
        return false;
    }
    if wanted == "ok" {
        let mut said = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.as_mut().unwrap());
        std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
        assert!(said.contains("for 2 running tasks"), "{said}");
        desk.touch("go");
    }
    desk.ended(child).with(21);
    assert!(desk.rows("out").iter().all(|row| row["status"] == wanted), "{:?}", desk.rows("out"));
    true
}

#[test]
fn two_terms_of_one_sender_are_one_request_and_two_interrupts_are_two() {
    wait_until("two came at once", || ends_as(Signal::SIGTERM, "ok"));
    wait_until("two came at once", || ends_as(Signal::SIGINT, "cancelled"));
}

#[test]
fn an_agent_program_gets_the_signal_that_was_asked_for() {
    let desk = Desk::new();
    desk.write("inputs", "1\n");
    let script = saves_at("INT");
    let arguments = [
        "--agents",
        "1",
        "--protocol",
        "jsonl",
        "--inputs",
        "inputs",
        "--results",
        "out",
        "--timeout",
        "1s",
        "--stop-signal",
        "INT",
        "--grace",
        "30s",
        "--",
        "sh",
        "-c",
    ];
    let script = format!("read -r a; {script}");
    desk.run(&[&arguments[..], &[script.as_str(), "agent"]].concat()).with(10);
    assert_eq!(desk.lines("saved"), ["agent"]);
    assert_eq!(desk.rows("out")[0]["status"], "timed-out");
}

#[test]
fn how_a_task_is_stopped_is_checked_before_anything_starts() {
    let desk = Desk::new();
    desk.write(
        "tasks",
        "{\"command\":[\"true\"],\"stop_signal\":\"STOP\"}\n{\"command\":[\"true\"],\"grace\":\"1h\"}\n",
    );
    desk.run(&["--agents", "1", "--tasks", "tasks"]).with(64).says(&[
        "tasks:1: `stop_signal`: SIGSTOP does not end a process",
        "tasks:2: `grace`: `1h` is too long; write at most 60s",
    ]);
    desk.write("tasks", "{\"input\":1,\"grace\":\"1s\"}\n");
    desk.run(&["--agents", "1", "--protocol", "jsonl", "--tasks", "tasks", "--", "agent"]).with(64).says(&[
        "tasks:1: `grace` cannot be used with an agent program: `--grace` sets it for all its tasks",
    ]);
}
