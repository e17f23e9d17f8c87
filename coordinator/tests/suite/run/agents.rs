//! Long-lived agents in other languages, and agents that die.

use super::{Desk, kill, spools, wait_until};
use coordinator::client::status;
use nix::sys::signal::Signal;

fn example(name: &str) -> String {
    format!("{}/examples/agents/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_agent_in_python_is_started_once_and_does_many_tasks() {
    let desk = Desk::new();
    let mut list: Vec<String> =
        (0..50).map(|n| format!(r#"{{"id":"sum-{n}","input":{{"add":[{n},1,2]}}}}"#)).collect();
    list.push(r#"{"id":"text","input":"\u00e4\nb"}"#.to_owned());
    list.push(r#"{"id":"steps","input":{"steps":3}}"#.to_owned());
    list.push(r#"{"id":"bad","input":{"fail":"no such page"}}"#.to_owned());
    desk.write("tasks", list.join("\n"));
    let agent = example("agent.py");
    let script = format!("echo started >> started; exec python3 {agent}");
    let arguments = [
        "--agents",
        "3",
        "--protocol",
        "jsonl",
        "--tasks",
        "tasks",
        "--results",
        "out",
        "--",
        "sh",
        "-c",
        &script,
    ];
    desk.run(&arguments).with(10).says(&["task \"bad\": no such page", "1 of 53 tasks failed"]);
    let rows = desk.last("out");
    for n in 0..50 {
        let row = &rows[&format!("sum-{n}")];
        assert_eq!((&row["status"], row["result"].as_u64()), (&"ok".into(), Some(n + 3)), "{row}");
    }
    assert_eq!(rows["text"]["result"], "\u{e4}\nb");
    assert_eq!(rows["steps"]["result"]["steps"], 3);
    assert_eq!((&rows["bad"]["status"], &rows["bad"]["error"]), (&"failed".into(), &"no such page".into()));
    // An agent that says itself that it failed lives on.
    assert!((1..=3).contains(&desk.lines("started").len()), "{:?}", desk.lines("started"));
}

#[test]
fn an_agent_in_sh_prints_its_answers_and_takes_lines_of_input() {
    let desk = Desk::new();
    desk.write("inputs", "one\ntwo \"2\"\n");
    let agent = example("agent.sh");
    let arguments = ["--agents", "1", "--protocol", "jsonl", "--inputs", "inputs", "-k", "--", "sh", &agent];
    assert_eq!(desk.run(&arguments).with(0).stdout, "\"one\"\n\"two \\\"2\\\"\"\n");
    // Without a list: the number of the agent.
    let ended = desk.run(&["--agents", "2", "--protocol", "jsonl", "--", "sh", &agent]).with(0);
    assert_eq!(ended.sorted(), ["0", "1"]);
}

#[test]
fn a_list_for_agents_has_inputs_and_no_commands() {
    let desk = Desk::new();
    desk.write("tasks", "{\"command\":[\"x\"]}\n{\"input\":1,\"env\":{}}\n");
    let arguments = ["--agents", "1", "--protocol", "jsonl", "--tasks", "tasks", "--", "agent"];
    desk.run(&arguments).with(64).says(&[
        "tasks:1: `command` cannot be used with an agent program, which gets the `input` alone",
        "tasks:1: `input` is missing",
        "tasks:2: `env` cannot be used with an agent program",
    ]);
    desk.run(&["--agents", "1", "--protocol", "jsonl", "--tasks", "tasks"])
        .with(64)
        .says(&["--protocol jsonl needs an agent program"]);
}

#[test]
fn an_agent_that_is_not_there_is_named() {
    let desk = Desk::new();
    desk.write("tasks", "{\"input\":1}\n");
    desk.run(&["--agents", "1", "--protocol", "jsonl", "--tasks", "tasks", "--", "/no/such/agent"])
        .with(10)
        .says(&["there is no such program"]);
}

#[test]
fn an_agent_that_hangs_is_ended_at_the_tasks_time_and_the_next_task_has_another() {
    let desk = Desk::new();
    desk.write(
        "tasks",
        "{\"id\":\"hang\",\"input\":\"hang\",\"timeout\":\"300ms\"}\n{\"id\":\"fine\",\"input\":1}\n",
    );
    let agent = example("agent.sh");
    let script = format!(
        "sh -c 'read -r line; case $line in *hang*) sleep 1000;; esac; {{ echo \"$line\"; cat; }} | exec sh {agent}'"
    );
    let arguments = [
        "--agents",
        "1",
        "--protocol",
        "jsonl",
        "--tasks",
        "tasks",
        "--results",
        "out",
        "--",
        "sh",
        "-c",
        &script,
    ];
    desk.run(&arguments).with(10);
    let rows = desk.last("out");
    assert_eq!(
        (&rows["hang"]["status"], &rows["fine"]["status"]),
        (&"timed-out".into(), &"ok".into()),
        "{rows:?}"
    );
}

/// Kills the worker of the only task as often as it is begun; how often that was.
fn killed_each_time(desk: &Desk, arguments: &[&str]) -> (super::Ended, usize) {
    let mut child = desk.start(arguments);
    let mut killed = 0;
    wait_until("the run has ended", || {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        let begun = desk.lines("begun");
        if begun.len() > killed {
            let fleet = std::fs::read_dir(desk.shm.path()).unwrap().next();
            let Some(status) = fleet.and_then(|entry| status::of(&entry.unwrap().path()).ok()) else {
                return false;
            };
            let worker: u32 = begun[killed].parse().unwrap();
            let found =
                status.processes().find(|process| process.pid == worker).map(status::ProcessStatus::identity);
            if let Some(identity) = found {
                kill(identity, Signal::SIGKILL);
                killed += 1;
            }
        }
        false
    });
    (desk.ended(child), killed)
}

#[test]
fn a_task_whose_agents_die_is_begun_three_times_or_as_often_as_was_said() {
    let script = "echo $PPID >> begun; exec sleep 1000";
    for (retries, times) in [(None, 3), (Some("0"), 1), (Some("1"), 2)] {
        let desk = Desk::new();
        let mut arguments = vec!["--agents", "1", "--results", "out"];
        if let Some(retries) = retries {
            arguments.extend(["--retries", retries]);
        }
        arguments.extend(["--", "sh", "-c", script]);
        let (ended, killed) = killed_each_time(&desk, &arguments);
        assert_eq!((killed, desk.lines("begun").len()), (times, times), "{retries:?}");
        ended.with(10).says(&["died with the task in hand (killed by SIGKILL)"]);
        assert_eq!(desk.rows("out")[0]["status"], "died");
        assert_eq!(desk.rows("out").len(), 1);
    }
}

/// An agent program in sh: `id` reads a task as `$a` and keeps its id, `ok` answers it.
fn speaker(script: &str) -> String {
    format!(
        r#"id() {{ read -r a && i=$(printf '%s' "$a" | cut -d'"' -f4); }}
        ok() {{ printf '{{"id":"%s","ok":true,"result":%s}}\n' "$i" "$1"; }}
        bad() {{ printf '{{"id":"%s","ok":false,"error":"no luck"%s}}\n' "$i" "$1"; }}
        {script}"#
    )
}

/// Gives an agent program `tasks` numbers, one after the other; the results by number.
fn asked(
    desk: &Desk,
    tasks: usize,
    script: &str,
    options: &[&str],
) -> (super::Ended, Vec<serde_json::Value>) {
    desk.write("inputs", (0..tasks).fold(String::new(), |all, n| format!("{all}{n}\n")));
    let first = ["--agents", "1", "--protocol", "jsonl", "--inputs", "inputs", "--results", "out"];
    let script = speaker(script);
    let ended = desk.run(&[&first[..], options, &["--", "sh", "-c", &script]].concat());
    (ended, desk.rows("out"))
}

#[test]
fn a_task_whose_agent_program_dies_is_begun_three_times_or_as_often_as_was_said() {
    for (options, times) in [(&[][..], 3), (&["--retries", "0"], 1), (&["--retries", "1"], 2)] {
        let desk = Desk::new();
        let (ended, rows) = asked(&desk, 1, "id; echo >> begun; kill -9 $$", options);
        ended.with(10).says(&["the agent program killed by SIGKILL with the task in hand"]);
        assert_eq!(desk.lines("begun").len(), times, "{options:?}");
        assert_eq!((&rows[0]["status"], rows[0]["attempt"].as_u64()), (&"died".into(), Some(times as u64)));
    }
    let desk = Desk::new();
    let (ended, rows) =
        asked(&desk, 2, "id; [ -e once ] || { touch once; exit 3; }; ok 1; id; ok 2; cat", &[]);
    ended.with(0);
    let attempts: Vec<_> = rows.iter().map(|row| row["attempt"].as_u64()).collect();
    assert_eq!(attempts, [Some(2), Some(1)]);
}

#[test]
fn an_agent_program_that_ends_after_its_answer_costs_the_next_task_nothing() {
    for end in ["exit 0", "sleep 0.02; exit 1", "kill -9 $$"] {
        let desk = Desk::new();
        let (ended, rows) = asked(&desk, 10, &format!("id; ok 1; {end}"), &["--retries", "0"]);
        ended.with(0);
        assert!(rows.iter().all(|row| row["attempt"] == 1 && row["status"] == "ok"), "{end}: {rows:?}");
    }
}

#[test]
fn an_agent_program_that_cannot_start_is_refused_with_its_log() {
    let desk = Desk::new();
    let (ended, rows) = asked(&desk, 1, "echo no key >&2; exit 4", &[]);
    ended
        .with(10)
        .says(&["exited with status 4 before it read its first task, 3 times in a row; its log: no key"]);
    assert_eq!((&rows[0]["status"], &rows[0]["attempt"]), (&"refused".into(), &1.into()));
}

#[test]
fn a_failure_is_tried_again_unless_the_agent_program_says_no() {
    for (retry, attempts) in [("", 3), (",\"retry\":true", 3), (",\"retry\":false", 1)] {
        let desk = Desk::new();
        let script = format!("while id; do bad '{retry}'; done");
        let (ended, rows) = asked(&desk, 1, &script, &["--retries", "2"]);
        ended.with(10);
        let row = &rows[0];
        assert_eq!(
            (&row["status"], row["attempt"].as_u64(), &row["error"]),
            (&"failed".into(), Some(attempts), &"no luck".into()),
            "{retry}"
        );
    }
}

#[test]
fn the_start_of_an_agent_program_does_not_count_against_its_first_task() {
    let script = "sleep 1.2; while id; do ok 1; done";
    let (ended, rows) = asked(&Desk::new(), 2, script, &["--timeout", "1s"]);
    ended.with(0);
    assert!(rows.iter().all(|row| row["attempt"] == 1 && row["run_ms"].as_f64() < Some(1200.0)), "{rows:?}");
    let (ended, rows) = asked(&Desk::new(), 1, script, &["--agent-startup", "50ms"]);
    ended.with(10).says(&["had not read its first task 50ms after its start"]);
    assert_eq!(rows[0]["status"], "refused");
}

#[test]
fn stray_lines_of_an_agent_program_are_the_stderr_of_its_results() {
    let desk = Desk::new();
    let script = "echo $$ >> started; while id; do echo loading; echo noise >&2; ok 1; echo trailing; done";
    let (ended, rows) = asked(&desk, 3, script, &[]);
    ended.with(0);
    for row in &rows {
        assert_eq!((&row["status"], &row["result"], &row["stdout"]), (&"ok".into(), &1.into(), &"".into()));
        let log = row["stderr"].as_str().unwrap();
        assert!(log.contains("loading\n") && log.contains("noise\n"), "{row}");
    }
    assert_eq!(desk.lines("started").len(), 1);
}

#[test]
fn an_answer_that_was_written_before_its_question_is_none() {
    let desk = Desk::new();
    let script = r#"while id; do ok 1; n=${i##*.}; n=${n%%-*}; for m in 0 1 2 3 4 5 6 7 8 9; do
        printf '{"id":"%s.%d","ok":true,"result":"early"}\n' "${i%.*}" $m; done; done"#;
    let (_, rows) = asked(&desk, 9, script, &[]);
    assert_eq!(rows.len(), 9);
    assert!(rows.iter().all(|row| row["result"] != "early"), "{rows:?}");
    assert!(rows.iter().any(|row| row["result"] == 1), "{rows:?}");
}

#[test]
fn an_answer_of_any_length_is_whole_and_its_program_goes_on() {
    let desk = Desk::new();
    desk.write("tasks", "{\"id\":\"a\",\"input\":1}\n{\"id\":\"b\",\"input\":2}\n");
    // A log of 2 KiB beside it, and a program that would say so if it were started again.
    let script = r#"echo >> started
        while read -r line; do
            id=$(printf '%s' "$line" | cut -d'"' -f4)
            yes log | head -c 2048 >&2
            printf '{"id":"%s","ok":true,"result":["' "$id"; yes x | head -c 6000000 | tr -d '\n'; printf '"]}\n'
        done"#;
    let list = ["--agents", "1", "--protocol", "jsonl", "--tasks", "tasks"];
    let arguments = [&list[..], &["--results", "out", "--", "sh", "-c", script]].concat();
    let ended = desk.command(&arguments).env("TMPDIR", desk.dir.path()).spawn().unwrap();
    desk.ended(ended).with(0);
    for row in desk.rows("out") {
        assert_eq!((&row["status"], row["truncated"].as_bool()), (&"ok".into(), Some(false)));
        assert!(row["result"][0].as_str().unwrap() == "x".repeat(3_000_000));
        assert!(row["stderr"].as_str().unwrap() == "log\n".repeat(512));
    }
    assert_eq!(desk.lines("started").len(), 1);
    assert_eq!(spools(&desk), 0);
    // As a line, if there are no results.
    let arguments = [&list[..], &["--", "sh", "-c", script]].concat();
    let printed = desk.run(&arguments).with(0).stdout;
    assert!(printed == format!("[\"{}\"]\n", "x".repeat(3_000_000)).repeat(2));
    // On request there is a limit.
    let arguments =
        [&list[..], &["--output-max", "16KiB", "--results", "cut", "--", "sh", "-c", script]].concat();
    desk.run(&arguments)
        .with(10)
        .says(&["a line of more than 16408 bytes, the most that an answer may have"]);
}
