//! Long-lived agents in another language: the examples of the guide.

use super::Desk;

const AGENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents");

#[test]
fn an_agent_in_sh_does_a_line_of_json_a_task() {
    let desk = Desk::new();
    desk.write(
        "tasks",
        r#"{"id":"a","input":{"x":[1,2]}}
{"id":"b","input":"text"}
{"id":"c","input":{"fail":"no luck"}}
"#,
    );
    let agent = format!("{AGENTS}/agent.sh");
    let arguments = ["--agents", "2", "--protocol", "jsonl", "--tasks", "tasks"];
    let rest = ["--keep-order", "--", "sh", agent.as_str()];
    let ended =
        desk.run(&[&arguments[..], &rest[..]].concat()).with(10).says(&[r#"error: task "c": no luck"#]);
    assert_eq!(ended.stdout, "{\"x\":[1,2]}\n\"text\"\n");
}

#[test]
fn what_is_no_agent_or_no_task_of_one_is_refused() {
    let desk = Desk::new();
    desk.write("tasks", "{\"command\":[\"x\"]}\n{\"input\":1,\"cwd\":\"/\"}\n");
    desk.run(&["--agents", "2", "--protocol", "jsonl", "--tasks", "tasks", "--", "sh"]).with(64).says(&[
        "error: tasks:1: a task for an agent has an `input`",
        "error: tasks:2: an agent gets a task's `input` and nothing else",
    ]);
    desk.run(&["--agents", "2", "--protocol", "jsonl", "--tasks", "tasks"])
        .with(64)
        .says(&["error: --protocol jsonl wants an agent to start"]);
    desk.write("good", "{\"input\":1}\n");
    desk.run(&["--agents", "1", "--protocol", "jsonl", "--tasks", "good", "--", "/no/such/agent"])
        .with(10)
        .says(&["there is no such program"]);
}
