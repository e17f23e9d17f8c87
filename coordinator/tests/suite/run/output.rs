//! What is printed, and what is kept.

use super::{Desk, Ended, is_empty, spools, wait_until};
use std::io::Read;
use std::process::Stdio;

#[test]
fn a_thousand_quick_tasks_on_fifty_agents_each_end_once() {
    let desk = Desk::new();
    let inputs: Vec<String> = (0..1000).map(|number| format!("in {number}")).collect();
    desk.write("inputs", inputs.join("\n"));
    let arguments = [
        "--agents",
        "50",
        "--inputs",
        "inputs",
        "--results",
        "out",
        "--print",
        "-k",
        "--",
        "sh",
        "-c",
        "echo $0; echo $0 >> done",
    ];
    let ended = desk.run(&arguments).with(0);
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), inputs);
    let mut done = desk.lines("done");
    let mut wanted = inputs.clone();
    done.sort();
    wanted.sort();
    assert_eq!(done, wanted);
    let rows = desk.rows("out");
    assert_eq!((rows.len(), desk.last("out").len()), (1000, 1000));
    for row in &rows {
        let number = row["number"].as_u64().unwrap() as usize;
        assert_eq!(row["stdout"], format!("{}\n", inputs[number - 1]));
        assert_eq!(
            (&row["status"], row["exit"].as_i64(), &row["input"]),
            (&"ok".into(), Some(0), &inputs[number - 1].clone().into())
        );
    }
}

#[test]
fn a_result_has_everything_there_is_to_know() {
    let desk = Desk::new();
    desk.write("tasks", r#"{"id":"a","command":["sh","-c","echo out; echo err >&2; kill -9 $$"]}"#);
    desk.run(&["--agents", "1", "--tasks", "tasks", "--results", "out"]).with(10);
    let row = desk.rows("out").remove(0);
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    assert_eq!(
        (text("id"), text("status"), text("error")),
        ("a".into(), "failed".into(), "killed by SIGKILL".into())
    );
    assert_eq!((text("stdout"), text("stderr")), ("out\n".into(), "err\n".into()));
    assert_eq!((&row["exit"], row["signal"].as_i64()), (&serde_json::Value::Null, Some(9)));
    assert_eq!((row["attempt"].as_u64(), text("worker")), (Some(1), "0.0".into()));
    assert_eq!((row["truncated"].as_bool(), row["number"].as_u64()), (Some(false), Some(1)));
    let since_epoch =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let started = row["started_unix_ms"].as_u64().unwrap();
    assert!(started <= since_epoch && since_epoch - started < 3_600_000, "{started} {since_epoch}");
    for key in ["queued_ms", "run_ms", "user_cpu_ms", "system_cpu_ms", "max_rss_bytes"] {
        assert!(row[key].as_f64().is_some_and(|figure| figure >= 0.0), "{key}: {row}");
    }
    assert!(row["run_ms"].as_f64().unwrap() > 0.0 && row["max_rss_bytes"].as_u64().unwrap() > 100_000);
}

#[test]
fn output_that_is_no_text_is_kept_as_it_is() {
    let desk = Desk::new();
    let ended = desk.command(&["--agents", "1", "--results", "out", "--print", "--", "printf", r"\377\000x"]);
    let mut ended = ended;
    let output = ended.output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"\xff\0x"[..]));
    let row = desk.rows("out").remove(0);
    assert_eq!((&row["stdout_base64"], row.get("stdout")), (&"/wB4".into(), None));
}

#[test]
fn output_is_cut_off_on_request_with_a_word_and_kept_whole_in_files() {
    let desk = Desk::new();
    let script = "yes x | head -c 3000000; echo end >&2";
    let arguments =
        ["--agents", "1", "--output-max", "5000", "--output-dir", "all", "--", "sh", "-c", script];
    let ended = desk.run(&arguments).with(0).says(&["output was cut off: `--output-max` keeps more"]);
    assert_eq!(ended.stdout.len(), 5000);
    assert_eq!(desk.read("all/0.stdout").len(), 3_000_000);
    assert_eq!(desk.read("all/0.stderr"), "end\n");
    let arguments = ["--agents", "1", "--output-max", "5000", "--results", "out", "--", "sh", "-c", script];
    desk.run(&arguments).with(0);
    let row = desk.rows("out").remove(0);
    assert_eq!((row["truncated"].as_bool(), row["stdout"].as_str().unwrap().len()), (Some(true), 5000));
}

/// A run with temporary files in the desk's directory, to its end.
fn spooling(desk: &Desk, arguments: &[&str]) -> Ended {
    let ended = desk.ended(desk.command(arguments).env("TMPDIR", desk.dir.path()).spawn().unwrap());
    assert_eq!(spools(desk), 0, "{arguments:?}");
    ended
}

#[test]
fn output_of_any_length_is_whole_wherever_it_goes() {
    let desk = Desk::new();
    let script = "seq 300000; seq 5000 >&2";
    let lines = |last: u32| (1..=last).map(|number| number.to_string() + "\n").collect::<String>();
    let (out, err) = (lines(300_000), lines(5000));
    let ended = spooling(&desk, &["--agents", "3", "--", "sh", "-c", script]).with(0);
    assert!(ended.stdout == out.repeat(3) && ended.stderr == err.repeat(3));
    let arguments = ["--agents", "3", "--results", "out", "--output-dir", "all", "--", "sh", "-c", script];
    let ended = spooling(&desk, &arguments).with(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""));
    for row in desk.rows("out") {
        assert_eq!((&row["status"], row["truncated"].as_bool()), (&"ok".into(), Some(false)));
        assert!(row["stdout"] == *out && row["stderr"] == *err);
        let id = row["id"].as_str().unwrap();
        assert!(
            desk.read(&format!("all/{id}.stdout")) == out && desk.read(&format!("all/{id}.stderr")) == err
        );
    }
    // Of a failure, too, and of a task that runs out of time.
    for (end, status) in [("exit 3", "failed"), ("exec sleep 1000", "timed-out")] {
        let script = format!("seq 300000; {end}");
        let arguments = ["--agents", "1", "--timeout", "3s", "--results", status, "--", "sh", "-c", &script];
        spooling(&desk, &arguments).with(10);
        let row = desk.rows(status).remove(0);
        assert!(row["status"] == *status && row["stdout"] == *out);
    }
}

#[test]
fn long_output_comes_in_the_order_of_the_list_with_tags_and_byte_for_byte() {
    let desk = Desk::new();
    // The first ends last: when all the others have.
    let script = "case $0 in 0) until [ $(wc -l < done) = 2 ]; do sleep 0.01; done;; esac; \
                  seq -f \"$0-%.0f\" 50000; printf '\\377\\000'; echo >> done";
    desk.touch("done");
    let arguments = ["--agents", "3", "--keep-order", "--tag", "--", "sh", "-c", script, "{}"];
    let mut command = desk.command(&arguments);
    let output = command.env("TMPDIR", desk.dir.path()).output().unwrap();
    let wanted = ["0", "1", "2"].map(|id| {
        let lines =
            (1..=50_000).map(|number| format!("{id}\t{id}-{number}")).collect::<Vec<_>>().join("\n") + "\n";
        [lines.as_bytes(), id.as_bytes(), b"\t\xff\0\n"].concat()
    });
    assert!(output.status.success() && output.stdout == wanted.concat());
    assert_eq!(spools(&desk), 0);
    // In the results, what is no text is base64 of all of it.
    let script = "head -c 3000001 /dev/urandom | tee copy";
    spooling(&desk, &["--agents", "1", "--results", "out", "--", "sh", "-c", script]).with(0);
    let row = desk.rows("out").remove(0);
    let bytes = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        row["stdout_base64"].as_str().unwrap(),
    );
    assert!(bytes.unwrap() == std::fs::read(desk.path("copy")).unwrap());
}

#[test]
fn a_task_whose_output_cannot_be_kept_fails_with_a_reason_and_the_others_do_not() {
    let desk = Desk::new();
    desk.write(
        "tasks",
        r#"{"id":"large","command":["sh","-c","yes | head -c 80000000; true"]}
        {"id":"small","command":["sh","-c","yes | head -c 800000"]}"#,
    );
    // No file may grow further: 16 MiB or 32 MiB, by the units of the shell. The command itself does not notice.
    for kept in [&["--results", "out"][..], &["--results", "dir", "--output-dir", "all"]] {
        let arguments = [&["--agents", "2", "--tasks", "tasks"], kept].concat();
        let mut limited = std::process::Command::new("sh");
        let run = desk.command(&arguments);
        limited
            .args(["-c", "ulimit -f 32768; exec \"$0\" \"$@\""])
            .arg(run.get_program())
            .args(run.get_args());
        limited.current_dir(desk.dir.path()).env("COORDINATOR_SHM_DIR", desk.shm.path());
        limited.env("TMPDIR", desk.dir.path()).stdin(std::process::Stdio::null());
        let output = limited.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(10), "{said}");
        assert!(said.contains("task \"large\": the command has more output than can be kept: "), "{said}");
        let rows = desk.last(kept[1]);
        let large = &rows["large"];
        let why = large["error"].as_str().unwrap();
        assert!(why.contains("bytes (raise `ulimit -f`)") && !why.contains("free some"), "{large}");
        assert_eq!((&large["status"], &large["stdout"]), (&"refused".into(), &"".into()));
        assert!(rows["small"]["stdout"] == *"y\n".repeat(400_000));
        assert_eq!(spools(&desk), 0);
    }
}

#[test]
fn a_run_that_is_killed_leaves_no_output_behind() {
    let desk = Desk::new();
    let script = "seq 300000; echo >> begun; exec sleep 1000";
    let arguments = ["--agents", "2", "--results", "out", "--", "sh", "-c", script];
    let mut child = desk.command(&arguments).env("TMPDIR", desk.dir.path()).spawn().unwrap();
    wait_until("both have begun", || desk.lines("begun").len() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the fleet has ended", || is_empty(desk.shm.path()) && spools(&desk) == 0);
}

#[test]
fn nothing_is_printed_where_results_are_kept() {
    let desk = Desk::new();
    let ended =
        desk.run(&["--agents", "2", "--results", "out", "--", "sh", "-c", "echo out; echo err >&2"]).with(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""));
    // But for results that go there themselves.
    let ended = desk.run(&["--agents", "2", "--results", "-", "--", "echo", "{}"]).with(0);
    assert_eq!(ended.stdout.lines().count(), 2);
    for line in ended.stdout.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["status"], "ok");
    }
}

#[test]
fn output_comes_in_the_order_of_the_list_and_with_tags() {
    let desk = Desk::new();
    desk.write("tasks", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n{\"id\":\"d\"}\n");
    // The first ends last: when all the others have.
    let script = "case $0 in a) until [ $(wc -l < done) = 3 ]; do sleep 0.01; done;; esac; echo $0 1; printf '%s 2' $0; echo >> done";
    desk.touch("done");
    let arguments =
        ["--agents", "4", "--tasks", "tasks", "--keep-order", "--tag", "--", "sh", "-c", script, "{}"];
    let ended = desk.run(&arguments).with(0);
    let wanted = ["a", "b", "c", "d"].map(|id| format!("{id}\t{id} 1\n{id}\t{id} 2\n")).concat();
    assert_eq!(ended.stdout, wanted);
}

#[test]
fn output_of_tasks_is_never_mixed() {
    let desk = Desk::new();
    let script = "for i in 1 2 3 4 5 6 7 8; do printf '%s' {}{}{}{}; sleep 0.00{}; done; echo";
    let ended = desk.run(&["--agents", "9", "--", "sh", "-c", script]).with(0);
    let wanted: Vec<String> = (0..9).map(|number| number.to_string().repeat(32)).collect();
    assert_eq!(ended.sorted(), wanted);
}

#[test]
fn a_reader_that_has_enough_ends_the_run() {
    let desk = Desk::new();
    let inputs: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    desk.write("inputs", inputs.join("\n"));
    let mut child = desk
        .command(&["--agents", "2", "--inputs", "inputs", "--", "echo"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 2]).unwrap();
    drop(stdout);
    desk.ended(child)
        .with(21)
        .says(&["the reader of the output has gone", "of 100000 tasks had ended, 0 of them failed"]);
}

#[test]
fn progress_is_shown_where_it_is_asked_for() {
    let desk = Desk::new();
    let ended = desk.run(&["--agents", "4", "--progress", "--", "true"]).with(0);
    assert!(ended.stderr.starts_with("4/4 (100 %)  0 failed  0 running"), "{}", ended.stderr);
    let ended = desk.run(&["--agents", "4", "--", "true"]).with(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn ten_failures_are_told_and_the_rest_counted() {
    let desk = Desk::new();
    let ended = desk.run(&["--agents", "25", "--", "sh", "-c", "exit $(({} % 2))"]).with(10);
    let told = ended.stderr.lines().filter(|line| line.contains("exited with status 1")).count();
    assert_eq!(told, 10, "{}", ended.stderr);
    ended.says(&["error: 12 of 25 tasks failed: 10 of them above, and 2 more"]);
}

#[test]
fn a_temporary_directory_that_is_not_there_is_named_as_such() {
    let desk = Desk::new();
    let mut command = desk.command(&["--agents", "1", "--", "true"]);
    let output = command.env("TMPDIR", "/no/such/directory").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(20), "{said}");
    assert!(said.contains("a temporary file in /no/such/directory: No such file"), "{said}");
    assert!(said.contains("TMPDIR names another directory"), "{said}");
}
