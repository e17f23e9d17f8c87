//! What can be in a list, and what is said about one that is wrong.

use super::{Desk, Ended, PROGRAM, is_empty, wait_until};
use std::io::Write;
use std::process::Command;

#[test]
fn all_mistakes_of_a_list_are_told_at_once_and_nothing_starts() {
    let desk = Desk::new();
    let mut list = vec![
        r#"{"id":"good","command":["touch","started"]}"#.to_owned(),
        r#"{"comand":["x"]}"#.to_owned(),
        r#"{"id":"good","command":["true"]}"#.to_owned(),
        String::new(),
        "nonsense".to_owned(),
        r#"{"command":["a"],"retries":"2","timeout":"5"}"#.to_owned(),
        r#"{"command":["a\u0000b"]}"#.to_owned(),
    ];
    desk.write("tasks", list.join("\n"));
    let ended = desk.run(&["--agents", "2", "--tasks", "tasks", "--results", "out"]).with(64).says(&[
        "error: tasks:2: unknown key `comand`; did you mean `command`?",
        "error: tasks:2: `command` is missing, and no command follows `--`",
        r#"error: tasks:3: the id "good" is already used in line 1"#,
        "error: tasks:5: column 2: it is not valid JSON: write text in double quotes, and an object in braces",
        "error: tasks:6: `retries` must be a number from 0 to 254",
        "error: tasks:6: `timeout`: `5` has no unit; write `5s`",
        "error: tasks:7: an argument contains a NUL",
        "nothing was started",
    ]);
    assert_eq!(ended.stderr.lines().count(), 8, "{}", ended.stderr);
    assert!(!desk.path("started").exists() && !desk.path("out").exists());

    list.extend((0..100).map(|_| "{}".to_owned()));
    desk.write("tasks", list.join("\n"));
    let ended = desk.run(&["--agents", "2", "--tasks", "tasks"]).with(64);
    assert_eq!(ended.stderr.lines().count(), 22, "{}", ended.stderr);
    assert!(ended.stderr.contains("tasks: and 87 more mistakes"), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_a_run_is_refused_before_anything_starts() {
    let desk = Desk::new();
    desk.write("tasks", "{}\n");
    for (arguments, words) in [
        (&["--agents", "1"][..], "there is nothing to run"),
        (&["--agents", "1", "--tasks", "no/such", "--", "true"], "cannot read no/such: No such file"),
        (&["--agents", "1", "--inputs", ".", "--", "true"], "cannot read .: is a directory"),
        (&["--agents", "1", "--tasks", "tasks", "--inputs", "tasks"], "cannot be used with"),
        (&["--agents", "1", "--tasks", "tasks", "--resume", "--", "true"], "--results"),
        (&["--agents", "1", "--halt", "later", "--", "true"], "as in now,fail=1"),
        (&["--agents", "1", "--retries", "255", "--", "true"], "--retries"),
        (&["--agents", "1", "--", ""], "the command has no program"),
    ] {
        desk.run(arguments).with(64).says(&[words]);
    }
}

#[test]
fn a_task_has_surroundings_of_its_own() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("sub")).unwrap();
    desk.write(
        "tasks",
        r#"{"id":"in","command":["cat"],"stdin":"one\ntwo"}
           {"id":"env","command":["sh","-c","echo $A-$B-$HOME"],"env":{"A":"a b","B":""}}
           {"id":"cwd","command":["sh","-c","basename $PWD"],"cwd":"sub"}
           {"id":"none","command":["sh","-c","cat; basename $PWD"]}"#,
    );
    desk.run(&["--agents", "2", "--tasks", "tasks", "--results", "out"]).with(0);
    let rows = desk.last("out");
    let said = |id: &str| rows[id]["stdout"].as_str().unwrap().to_owned();
    assert_eq!(said("in"), "one\ntwo");
    assert_eq!(said("env"), format!("a b--{}\n", std::env::var("HOME").unwrap_or_default()));
    assert_eq!(said("cwd"), "sub\n");
    let here = desk.dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(said("none"), format!("{here}\n"));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let desk = Desk::new();
    desk.write("tasks", r#"{"command":["true"],"cwd":"no-such"}"#);
    desk.run(&["--agents", "1", "--tasks", "tasks", "--results", "out"]).with(10).says(&["no-such"]);
    assert_eq!(desk.rows("out")[0]["status"], "refused");
}

#[test]
fn places_are_filled_and_an_input_without_one_comes_last() {
    let desk = Desk::new();
    desk.write("inputs", "a/b.c\n\nx y\n");
    let echo = |command: &[&str]| {
        let arguments = [&["--agents", "2", "--inputs", "inputs", "-k", "--"], command].concat();
        desk.run(&arguments).with(0).stdout
    };
    assert_eq!(echo(&["echo", "in"]), "in a/b.c\nin x y\n");
    assert_eq!(
        echo(&["echo", "{#}{id}:{}:{.}:{/}:{/.}:{//}"]),
        "11:a/b.c:a/b:b.c:b:a\n23:x y:x y:x y:x y:.\n"
    );
    assert_eq!(echo(&["sh", "-c", "echo $0 ${#} $#", "{}", "1"]), "a/b.c 1 1\nx y 1 1\n");
    // Each line is a shell's where there is no command.
    desk.write("inputs", "echo $((1+1))\necho 3; false\n");
    let ended = desk.run(&["--agents", "1", "--inputs", "inputs"]).with(10);
    assert_eq!(ended.stdout, "2\n3\n");
}

#[test]
fn inputs_may_come_through_a_pipe_end_with_a_nul_and_be_no_text() {
    let desk = Desk::new();
    let ended = desk.run_with_stdin(
        &["--agents", "2", "--inputs", "-", "-0", "--", "sh", "-c", "printf %s \"$0\" | od -An -tx1"],
        b"a\nb\0\xff\0",
    );
    assert_eq!(ended.with(0).sorted(), [" 61 0a 62", " ff"]);
    let tasks = "\u{feff}{\"id\":\"x\",\"input\":[1]}\r\n";
    let ended =
        desk.run_with_stdin(&["--agents", "2", "--tasks", "-", "--", "echo", "{id}", "{}"], tasks.as_bytes());
    assert_eq!(ended.with(0).stdout, "x [1]\n");
}

#[test]
fn a_dry_run_says_what_would_be_run_and_touches_nothing() {
    let desk = Desk::new();
    desk.write("tasks", "{\"command\":[\"touch\",\"it's\"],\"cwd\":\"/\"}\n{\"args\":[\"a b\"]}\n");
    let arguments = ["--agents", "2", "--tasks", "tasks", "--results", "out", "--dry-run", "--", "echo"];
    let ended = desk.run(&arguments).with(0);
    assert_eq!(ended.stdout, "env -C / touch \"it's\"\necho 'a b'\n");
    assert!(!desk.path("out").exists());

    // With --resume, what would still be run.
    desk.write("inputs", "one\ntwo\n");
    desk.run(&["--agents", "1", "--inputs", "inputs", "--results", "out", "--", "echo"]).with(0);
    let results = desk.read("out");
    let torn = format!("{}\n{{\"id", results.lines().next().unwrap());
    desk.write("out", &torn);
    let arguments =
        ["--agents", "1", "--inputs", "inputs", "--results", "out", "--resume", "--dry-run", "--", "echo"];
    assert_eq!(desk.run(&arguments).with(0).stdout, "echo two\n");
    assert_eq!(desk.read("out"), torn);
}

#[test]
fn a_list_that_changes_under_the_run_stops_it() {
    let desk = Desk::new();
    // More than is read ahead.
    let lines: Vec<String> = (0..5000)
        .map(|number| {
            format!(
                r#"{{"input":"{number}","env":{{"X":"a long enough line to fill what is read at once"}}}}"#
            )
        })
        .collect();
    let list = lines.join("\n");
    desk.write("tasks", &list);
    let script = "echo begun >> begun; until [ -e go ]; do sleep 0.01; done";
    let arguments = ["--agents", "2", "--tasks", "tasks", "--", "sh", "-c", script, "{}"];
    let child = desk.start(&arguments);
    super::wait_until("two have begun", || desk.lines("begun").len() == 2);
    desk.write("tasks", list.replace("at once", "at onze"));
    desk.touch("go");
    let ended = desk.ended(child).with(10).says(&["tasks was changed after it had been checked: line"]);
    assert!(!ended.stderr.contains("line 1 "), "{}", ended.stderr);
    assert!(is_empty(desk.shm.path()));
}

#[test]
fn a_list_that_is_changed_or_replaced_after_it_was_read_fails_its_run() {
    type Change = fn(&Desk);
    let cases: [(&str, Change, i32, &str); 6] = [
        (
            "a line more",
            |desk| desk.write("inputs", "one\ntwo\nthree\n"),
            10,
            "inputs was changed after it had been checked: line 3 is different",
        ),
        ("a line less", |desk| desk.write("inputs", "one\n"), 10, "its end is different"),
        (
            "replaced",
            |desk| {
                desk.write("other", "one\n2\n");
                std::fs::rename(desk.path("other"), desk.path("inputs")).unwrap();
            },
            10,
            "line 2 is different",
        ),
        (
            "replaced by a directory",
            |desk| {
                std::fs::remove_file(desk.path("inputs")).unwrap();
                std::fs::create_dir(desk.path("inputs")).unwrap();
            },
            10,
            "inputs was replaced",
        ),
        (
            "replaced by its copy",
            |desk| {
                std::fs::copy(desk.path("inputs"), desk.path("other")).unwrap();
                std::fs::rename(desk.path("other"), desk.path("inputs")).unwrap();
            },
            0,
            "",
        ),
        ("removed", |desk| std::fs::remove_file(desk.path("inputs")).unwrap(), 0, ""),
    ];
    for (name, change, code, words) in cases {
        let desk = Desk::new();
        desk.write("inputs", "one\ntwo\n");
        let script = super::waits("go");
        let arguments =
            ["--agents", "2", "--inputs", "inputs", "--results", "out", "--", "sh", "-c", &script, "{}"];
        let child = desk.start(&arguments);
        wait_until("two have begun", || desk.lines("begun").len() == 2);
        change(&desk);
        desk.touch("go");
        let ended = desk.ended(child);
        assert!(ended.stderr.contains(words), "{name}: {}", ended.stderr);
        ended.with(code);
        // What was done stays done.
        assert!(desk.rows("out").iter().all(|row| row["status"] == "ok"), "{name}");
        assert_eq!(desk.rows("out").len(), 2, "{name}");
    }
}

#[test]
fn a_list_through_a_named_pipe_is_not_looked_for_there_again() {
    let desk = Desk::new();
    nix::unistd::mkfifo(&desk.path("tasks"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let child = desk.start(&["--agents", "1", "--tasks", "tasks", "--", "echo"]);
    let mut pipe = std::fs::File::options().write(true).open(desk.path("tasks")).unwrap();
    writeln!(pipe, r#"{{"args":["one"]}}"#).unwrap();
    drop(pipe);
    assert_eq!(desk.ended(child).with(0).stdout, "one\n");
}

#[test]
fn no_more_agents_are_started_than_there_are_tasks() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n");
    // The supervisor is the parent of the coordinator, which is the parent of the workers.
    let script = "worker=$PPID; boss=$(awk '{print $4}' /proc/$worker/stat); ls /proc/$boss/task/$boss/children >/dev/null; wc -w < /proc/$boss/task/$boss/children";
    let ended = desk.run(&["--agents", "300", "--inputs", "inputs", "--", "sh", "-c", script]).with(0);
    for count in ended.stdout.lines() {
        assert_eq!(count.trim(), "2", "{}", ended.stdout);
    }
}

#[test]
fn more_agents_than_fit_are_refused_in_words() {
    let desk = Desk::new();
    // Bytes of output are bytes of shared memory. Should they not be refused, they must not be taken either.
    let inputs = (0..5000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    desk.write("inputs", inputs);
    let output = Command::new("prlimit")
        .args(["--fsize=100000000", PROGRAM, "run"])
        .args(["--agents", "5000", "--inputs", "inputs", "--output-max", "1048000", "--", "true"])
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    let ended = Ended::of(&output).with(20);
    // By the file system, or by the memory, whichever is smaller.
    let said = ["cannot reserve", "5000 agents do not fit: this host has capacity for"];
    assert!(said.iter().any(|words| ended.stderr.contains(words)), "{}", ended.stderr);
    assert!(!ended.stderr.contains("did not start"), "{}", ended.stderr);
    assert!(is_empty(desk.shm.path()));
}

#[test]
fn lines_of_a_pipe_are_done_as_they_come() {
    let desk = Desk::new();
    let arguments = ["--agents", "2", "--inputs", "-", "--results", "out", "--progress", "--", "echo"];
    let mut child = desk.command(&arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for number in 1..=5 {
        writeln!(stdin, "line {number}").unwrap();
        // The next one is not there before this one is done.
        wait_until("it is done", || desk.lines("out").len() == number);
    }
    drop(stdin);
    desk.ended(child).with(0).says(&["5/5 (100 %)"]);
    let rows = desk.rows("out");
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!((row["id"].as_str(), row["number"].as_u64()), (Some(&*format!("{number}")), Some(number)));
        assert_eq!(row["stdout"], format!("line {number}\n"));
    }

    // Those that are done are known when they come again.
    let arguments = ["--agents", "2", "--inputs", "-", "--results", "out", "--resume", "--", "echo"];
    let mut child = desk.command(&arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    wait_until("it is up", || !is_empty(desk.shm.path()));
    stdin.write_all(b"line 1\nline 2\nother\n\nline 4\nline 5").unwrap();
    drop(stdin);
    desk.ended(child).with(0);
    let rows = desk.rows("out");
    // A task is its line's number, and what stands there.
    assert_eq!(rows.len(), 8);
    let mut again: Vec<_> = rows[5..].iter().map(|row| row["stdout"].as_str().unwrap()).collect();
    again.sort_unstable();
    assert_eq!(again, ["line 4\n", "line 5\n", "other\n"]);
}

#[test]
fn a_nul_in_a_line_of_a_pipe_is_named_with_its_line_and_what_to_do() {
    let desk = Desk::new();
    for (text, at, says) in [
        (&b"one\ntw\0o\n"[..], "standard input:2: ", "with `--null`, each input ends with a NUL"),
        (b"\n\0", "standard input:2: ", "with `--null`, each input ends with a NUL"),
    ] {
        let arguments = ["--agents", "1", "--inputs", "-", "--", "echo"];
        let mut child = desk.command(&arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A list that ends at once is checked before anything starts.
        wait_until("it is up", || !is_empty(desk.shm.path()));
        stdin.write_all(text).unwrap();
        drop(stdin);
        let what = format!("{at}an argument contains a NUL, which cannot be passed to a program");
        let ended = desk.ended(child).with(10).says(&[&what, says]);
        assert!(!ended.stderr.contains("do not change a list"), "{}", ended.stderr);
    }
    // To an agent program it is a character like any other, and other mistakes have hints of their own.
    let arguments = ["--agents", "1", "--inputs", "-", "--protocol", "jsonl", "--", "cat"];
    let mut child = desk.command(&arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    wait_until("it is up", || !is_empty(desk.shm.path()));
    stdin.write_all(b"\xff\n").unwrap();
    drop(stdin);
    desk.ended(child)
        .with(10)
        .says(&["standard input:1: the line must be UTF-8", "the lines before this one were taken"]);
}

#[test]
fn a_run_that_waits_for_lines_can_be_stopped() {
    let desk = Desk::new();
    let arguments = ["--agents", "2", "--inputs", "-", "--results", "out", "--", "echo"];
    let mut child = desk.command(&arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "one").unwrap();
    wait_until("it is done", || desk.lines("out").len() == 1);
    super::signal(&child, nix::sys::signal::Signal::SIGINT);
    desk.ended(child).with(21).says(&["interrupted: 1 of 1 tasks so far had ended, 0 of them failed"]);
    drop(stdin);
}
