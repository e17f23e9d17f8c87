//! Long-lived agents in other languages, and agents that die.

use super::{Desk, kill, wait_until};
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
