//! Real agents: the examples, and some that misbehave.

use super::*;
use std::collections::BTreeSet;

const FAR: u64 = u64::MAX;
const LINE_MAX: usize = 4096;
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/agents/");

/// Counts progress, and says stop when the test does.
#[derive(Default)]
struct Ear {
    progress: Vec<String>,
    stop_at: Option<usize>,
}

impl Watcher for Ear {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stdout {
            self.progress.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
    }

    fn stop(&mut self) -> Option<StopReason> {
        self.stop_at.is_some_and(|at| self.progress.len() >= at).then_some(StopReason::Cancelled)
    }
}

fn agent(command: &[&str]) -> Agent {
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    Agent::new(&command, LINE_MAX, None)
}

fn sh(script: &str) -> Agent {
    agent(&["sh", "-c", script])
}

fn ask(agent: &mut Agent, id: &str, task: &str, ear: &mut Ear) -> Result<Reply, AgentFault> {
    agent.ask(&Request { id, attempt: 1, task: task.as_bytes() }, FAR, ear)
}

fn done(agent: &mut Agent, id: &str, task: &str) -> String {
    match ask(agent, id, task, &mut Ear::default()) {
        Ok(Reply::Done(result)) => String::from_utf8(result).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The fault in words; the agent is gone with it.
fn fault(agent: &mut Agent) -> String {
    let fault = ask(agent, "1.1.1", "1", &mut Ear::default()).unwrap_err();
    assert!(agent.identity().is_none(), "{fault}");
    fault.to_string()
}

/// Each example, by its name; Python may be missing at a desk.
fn examples() -> Vec<(&'static str, Agent)> {
    let mut all = vec![("agent.sh", agent(&["sh", &format!("{EXAMPLES}agent.sh")]))];
    let python =
        Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
    assert!(python || !ci, "this test wants python3, and nothing is skipped in CI");
    if python {
        all.push(("agent.py", agent(&["python3", &format!("{EXAMPLES}agent.py")])));
    } else {
        println!("python3 is missing: agent.py is not tried");
    }
    all
}

#[test]
fn the_examples_do_one_task_after_another_in_one_process() {
    for (name, mut agent) in examples() {
        let mut seen = BTreeSet::new();
        for n in 0..20 {
            let task = format!("{{\"n\":{n},\"text\":\"a \\\"b\\\" \\\\ ,\\\"timeout_ms\\\":1}}\"}}");
            let result = done(&mut agent, &format!("1.1.{n}"), &task);
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&result), value(&task), "{name}");
            seen.insert(agent.identity().unwrap().pid);
        }
        assert_eq!((seen.len(), agent.tasks_done(), agent.started()), (1, 20, 1), "{name}");
        assert!(agent.rss_bytes().unwrap() > 0);
        assert_eq!(agent.end(Duration::from_secs(60)), Some(HowEnded::Exited(0)), "{name}");
    }
}

#[test]
fn the_examples_tell_failure_and_progress() {
    for (name, mut agent) in examples() {
        let mut ear = Ear::default();
        let failed = ask(&mut agent, "1.1.1", r#"{"fail":"no such luck"}"#, &mut ear).unwrap();
        assert_eq!(failed, Reply::Failed { error: "no such luck".to_owned(), retry: false }, "{name}");
        assert!(matches!(ask(&mut agent, "1.1.2", r#"{"steps":3}"#, &mut ear), Ok(Reply::Done(_))), "{name}");
        assert_eq!(ear.progress.len(), 3, "{name}");
        assert_eq!(agent.started(), 1, "{name}");
    }
}

#[test]
fn a_task_is_one_line_whatever_it_looks_like() {
    let mut agent = sh(
        "while read -r line; do printf '%s\\n' \"$line\" | sed 's/\"attempt.*\"task\"/\"ok\":true,\"result\"/'; done",
    );
    assert_eq!(done(&mut agent, "1", "[1,\n  2.50000000000000000001]\r\n"), "[1,   2.50000000000000000001]");
    for task in ["", "{", "1 2", "\u{1}", "[1,]"] {
        let fault = ask(&mut agent, "2", task, &mut Ear::default()).unwrap_err();
        assert!(fault.to_string().starts_with("the task is not one value of JSON"), "{fault}");
    }
    // It never heard of these.
    assert_eq!((done(&mut agent, "3", "3").as_str(), agent.started()), ("3", 1));
}

#[test]
fn what_is_no_answer_ends_the_agent_and_the_next_task_has_another() {
    for (script, words) in [
        ("read -r a; echo hello; cat", "(expected value at line 1 column 1): hello"),
        ("read -r a; echo; cat", "wrote an invalid answer"),
        (r#"read -r a; echo '{"id":"1.1.1"}'; cat"#, "neither `ok` nor `progress`"),
        (r#"read -r a; echo '{"ok":true}'; cat"#, "missing field `id`"),
        (
            r#"read -r a; echo '{"id":"1.1.2","ok":true}'; cat"#,
            r#"answered task "1.1.2" and was asked for "1.1.1""#,
        ),
        ("read -r a; yes | head -c 50000 | tr -d '\\n'; cat", "a line of more than 4096 bytes"),
        ("read -r a; yes | tr -d '\\n'", "a line of more than 4096 bytes"),
        (
            "read -r a; echo out of luck >&2; exit 3",
            "exited with status 3 with the task in hand; its stderr: out of luck",
        ),
        ("exit 4", "exited with status 4"),
        ("read -r a; kill -9 $$", "killed by SIGKILL with the task in hand"),
        ("read -r a; exec >&-; exec sleep 1000", "closed its standard output"),
    ] {
        let mut agent = sh(script);
        let said = fault(&mut agent);
        assert!(said.contains(words), "{script}: {said}");
        fault(&mut agent);
        assert_eq!(agent.started(), 2, "{script}");
    }
}

#[test]
fn an_agent_that_cannot_be_started_is_told_in_words() {
    let said = fault(&mut agent(&["/no/such/agent"]));
    assert!(said.contains("there is no such program"), "{said}");
    assert_eq!(fault(&mut agent(&[])), "the command is empty");
}

const GOOD: &str = r#"printf '{"id":"1.1.1","ok":true,"result":7}\n'"#;

#[test]
fn what_ends_or_talks_between_two_tasks_costs_none_of_them() {
    for after in ["exit 0", "echo unasked; cat"] {
        let mut agent = sh(&format!("read -r a; {GOOD}; {after}"));
        for _ in 0..3 {
            assert_eq!(done(&mut agent, "1.1.1", "1"), "7");
            // Until it has done what it does afterwards.
            let process = agent.process.as_mut().unwrap();
            while process.is_idle() {
                std::thread::yield_now();
            }
        }
        assert_eq!(agent.started(), 3, "{after}");
    }
}

struct Note<'a>(&'a std::cell::Cell<u32>);

impl Watcher for Note<'_> {
    fn started(&mut self, identity: Identity) {
        self.0.set(identity.pid);
    }

    fn stop(&mut self) -> Option<StopReason> {
        None
    }
}

#[test]
fn its_time_ends_it_with_all_that_it_started() {
    let mut agent = sh("sleep 1000 & (sleep 1000 & sleep 1000) & read -r a; sleep 1000");
    let request = Request { id: "1", attempt: 1, task: b"1" };
    let leader = std::cell::Cell::new(0);
    let fault = agent.ask(&request, now_ns() + 20_000_000, &mut Note(&leader)).unwrap_err();
    assert_eq!(fault.cut(), Some(CutShort::TimedOut));
    let group = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader.get() as i32), None);
    assert_eq!(group, Err(nix::Error::ESRCH));
}

#[test]
fn a_cancelled_task_ends_its_agent() {
    let mut agent = sh(r#"read -r a; echo '{"id":"1.1.1","progress":1}'; cat"#);
    let mut ear = Ear { stop_at: Some(1), ..Ear::default() };
    let fault = ask(&mut agent, "1.1.1", "1", &mut ear).unwrap_err();
    assert_eq!(fault.cut(), Some(CutShort::Asked(StopReason::Cancelled)));
    assert!(agent.identity().is_none());
}

#[test]
fn what_it_says_on_stderr_does_not_hold_it_up_and_only_the_last_is_kept() {
    let mut agent = sh("read -r a; yes noise | head -c 1000000 >&2; echo the last >&2; exit 1");
    let said = fault(&mut agent);
    assert!(said.ends_with("the last") && said.len() < 2 * STDERR_MAX, "{}", said.len());
}

#[test]
fn a_task_larger_than_any_pipe_gets_there() {
    let mut agent = Agent::new(&["cat".to_owned()], 1 << 20, None);
    // Its own task comes back, with its own id and neither `ok` nor `progress`.
    let task = format!("\"{}\"", "x".repeat(500_000));
    let fault = ask(&mut agent, "1.1.1", &task, &mut Ear::default()).unwrap_err();
    assert!(matches!(fault, AgentFault::Invalid { .. }), "{fault}");
}

#[test]
fn an_agent_is_asked_to_end_then_told_then_made_to() {
    let mut patient = sh(&format!("read -r a; {GOOD}; cat >/dev/null; exit 5"));
    done(&mut patient, "1.1.1", "1");
    assert_eq!(patient.end(Duration::from_secs(60)), Some(HowEnded::Exited(5)));
    let mut told = sh(&format!("trap 'exit 6' TERM; read -r a; {GOOD}; while :; do sleep 0.01; done"));
    done(&mut told, "1.1.1", "1");
    assert_eq!(told.end(Duration::from_millis(400)), Some(HowEnded::Exited(6)));
    let mut deaf = sh(&format!("trap '' TERM; read -r a; {GOOD}; while :; do sleep 0.01; done"));
    done(&mut deaf, "1.1.1", "1");
    assert_eq!(deaf.end(Duration::from_millis(100)), Some(HowEnded::Signaled(9)));
    assert_eq!(deaf.end(Duration::ZERO), None);
}
