//! Real agents: the examples, and some that misbehave.

mod answers;
mod floods;

use super::process::LOG_MAX;
use super::*;
use crate::process::exec::{CutShort, StopReason, Stream};
use crate::process::skips::has_or_skips;
use std::collections::BTreeSet;
use std::process::Command;

const FOREVER: Times = Times { startup: Duration::MAX, attempt: Duration::MAX, deadline_ns: u64::MAX };
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
    Agent::new(&config::Agent { command, ..config::Agent::default() }, LINE_MAX, None, Stop::default())
}

fn sh(script: &str) -> Agent {
    agent(&["sh", "-c", script])
}

fn ask(agent: &mut Agent, id: &str, task: &str, ear: &mut Ear) -> Result<Reply, AgentFault> {
    answered(agent, id, task, ear).map(|answered| answered.reply)
}

fn answered(agent: &mut Agent, id: &str, task: &str, ear: &mut Ear) -> Result<Answered, AgentFault> {
    agent.ask(&Request { id, attempt: 1, task: task.as_bytes() }, &FOREVER, ear)
}

/// A program in sh: `id` reads a line and keeps its id, `ok` answers it.
fn speaker(script: &str) -> Agent {
    sh(&format!(
        r#"id() {{ read -r a && i=$(printf '%s' "$a" | cut -d'"' -f4); }}
        ok() {{ printf '{{"id":"%s","ok":true,"result":%s}}\n' "$i" "$1"; }}
        {script}"#
    ))
}

fn done(agent: &mut Agent, id: &str, task: &str) -> String {
    match ask(agent, id, task, &mut Ear::default()) {
        Ok(Reply::Done(result)) => String::from_utf8(result).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The fault in words; the agent is gone with it.
fn fault_of(agent: &mut Agent) -> String {
    let fault = ask(agent, "1.1.1", "1", &mut Ear::default()).unwrap_err();
    assert!(agent.identity().is_none(), "{fault}");
    fault.to_string()
}

/// Each example, by its name; Python may be missing at a desk.
fn examples() -> Vec<(&'static str, Agent)> {
    let mut all = vec![("agent.sh", agent(&["sh", &format!("{EXAMPLES}agent.sh")]))];
    let python =
        Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if has_or_skips("python3, for the agent program agent.py", python) {
        all.push(("agent.py", agent(&["python3", &format!("{EXAMPLES}agent.py")])));
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
        let Reply::Failed { error, retry } = failed else { panic!("{name}: it was done") };
        assert_eq!((error.as_str(), retry == Some(false)), ("no such luck", false), "{name}");
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
fn lines_that_are_not_part_of_the_protocol_are_its_log() {
    let long = "yes | head -c 100000 | tr -d '\\n'; echo";
    let strays = r#"echo '{"asked":'"$a"'}'; echo hello; echo; echo 7; echo '[1]'; echo '{"level":"info"}'; echo '{"id":5}';
        echo '{"id":"1.1.1","progress":1}'; echo "$a"; echo "asked: $a {"; echo on stderr >&2; "#;
    let mut agent = speaker(&format!("while id; do {strays} {long}; echo end; ok 7; echo after; done"));
    for turn in 0..3 {
        let Answered { reply, log, .. } = answered(&mut agent, "1.1.1", "1", &mut Ear::default()).unwrap();
        assert_eq!(reply, Reply::Done(b"7".to_vec()), "{turn}");
        assert_eq!(log.len(), LOG_MAX);
        assert!(log.ends_with(b"y\nend\n"), "{:?}", String::from_utf8_lossy(&log[LOG_MAX - 20..]));
    }
    assert_eq!(agent.started(), 1);
    // The question, in a line that is too long to be kept.
    let mut agent = speaker("id; yes | head -c 100000 | tr -d '\\n'; echo \"asked: $a\"; ok 7; cat");
    assert_eq!(done(&mut agent, "1.1.1", r#"{"ok":true}"#), "7");
    let mut agent = speaker(&format!("id; {strays} sleep 0.1; ok 7; cat >&2"));
    let log = answered(&mut agent, "1.1.1", "1", &mut Ear::default()).unwrap().log;
    let log = String::from_utf8(log).unwrap();
    for line in ["hello\n", "7\n", "[1]\n", "{\"level\":\"info\"}\n", "on stderr\n"] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn an_answer_counts_only_for_a_question_that_was_delivered() {
    // It answers every id that a task can have before it reads the first.
    let mut early = speaker(
        r#"for n in 1 2 3; do echo '{"id":"1.1.'$n'","ok":true,"result":"early"}'; done; while id; do ok 7; done"#,
    );
    for n in 1..=3 {
        // It is ignored if it came between two tasks, and a fault otherwise; it never counts as an answer.
        match ask(&mut early, &format!("1.1.{n}"), "1", &mut Ear::default()) {
            Ok(reply) => assert_eq!(reply, Reply::Done(b"7".to_vec())),
            Err(fault) => assert!(matches!(fault, AgentFault::WrongId { .. }), "{fault}"),
        }
    }
    // The same task again is another question.
    let mut late = speaker(
        r#"id; ok 1; first=$i; id; printf '{"id":"%s","ok":true,"result":"old"}\n' "$first"; sleep 0.1; ok 2; cat"#,
    );
    assert_eq!(done(&mut late, "1.1.1", "1"), "1");
    assert_eq!(done(&mut late, "1.1.1", "1"), "2");
    assert_eq!(late.started(), 1);
}

#[test]
fn what_every_reader_of_json_can_read_is_a_result() {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for result in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\"[\\""#, r#"{"\u005b":"["}"#, &deep] {
        let mut agent = speaker(&format!("id; ok '{result}'; cat"));
        // The shell's own `printf %s` takes it as it is.
        assert_eq!(done(&mut agent, "1.1.1", "1"), result);
    }
}

#[test]
fn what_closes_its_stdin_with_part_of_a_task_has_failed() {
    let task = format!("\"{}\"", "x".repeat(1 << 20));
    let mut agent = sh("head -c 1000 > /dev/null; exec 0<&-; exec sleep 1000");
    let fault = ask(&mut agent, "1.1.1", &task, &mut Ear::default()).unwrap_err();
    assert!(
        fault.to_string().contains("closed its standard input before it had read all of the task"),
        "{fault}"
    );
    assert_eq!(fault.blame(), Blame::Died(HowEnded::Unseen));
    // One that ends is said to have ended.
    let mut agent = sh("head -c 1000 > /dev/null; exit 3");
    let fault = ask(&mut agent, "1.1.1", &task, &mut Ear::default()).unwrap_err();
    assert!(fault.to_string().contains("exited with status 3"), "{fault}");
}

#[test]
fn no_two_questions_have_the_same_id() {
    let mut agent = speaker(r#"while id; do ok "\"$i\""; done"#);
    let ids: BTreeSet<String> = (0..100).map(|_| done(&mut agent, "1.1.7", "1")).collect();
    assert_eq!(ids.len(), 100);
    for id in ids {
        assert!(id.starts_with("\"1.1.7-") && id.len() == "\"1.1.7-0123456789abcdef\"".len(), "{id}");
    }
}

#[test]
fn an_agent_that_cannot_be_started_is_told_in_words() {
    let said = fault_of(&mut agent(&["/no/such/agent"]));
    assert!(said.contains("there is no such program"), "{said}");
    assert_eq!(fault_of(&mut agent(&[])), "the command is empty");
}

#[test]
fn what_ends_between_two_tasks_costs_none_of_them() {
    // The first is seen to have ended before the next task; the others may be asked, and have not read it.
    for (after, settle) in
        [("exit 0", true), ("exit 0", false), ("sleep 0.05; exit 1", false), ("kill -9 $$", false)]
    {
        let mut agent = speaker(&format!("id; ok 7; {after}"));
        for _ in 0..5 {
            assert_eq!(done(&mut agent, "1.1.1", "1"), "7");
            let process = agent.process.as_mut().unwrap();
            while settle && process.is_waiting() {
                std::thread::yield_now();
            }
        }
        assert_eq!(agent.started(), 5, "{after}");
    }
}

#[test]
fn what_closes_its_stdin_takes_no_more_tasks_and_costs_none_of_them() {
    // Closed before it is seen to wait for the next task, and after that has been written to it.
    for (after, settle) in
        [("exec 0<&-; exec sleep 1000", true), ("sleep 0.05; exec 0<&-; exec sleep 1000", false)]
    {
        let mut agent = speaker(&format!("trap 'exit 0' TERM; id; ok 7; {after}"));
        for _ in 0..3 {
            assert_eq!(done(&mut agent, "1.1.1", "1"), "7");
            let process = agent.process.as_mut().unwrap();
            while settle && process.is_waiting() {
                std::thread::yield_now();
            }
        }
        assert_eq!(agent.started(), 3, "{after}");
    }
    let mut never = sh("exec 0<&-; exec sleep 1000");
    let fault = ask(&mut never, "1.1.1", "1", &mut Ear::default()).unwrap_err();
    let words = "the agent program closed its standard input before it read its first task, 3 times in a row";
    assert!(fault.to_string().starts_with(words), "{fault}");
}

#[test]
fn what_closes_its_stdin_with_a_task_in_hand_may_answer_it() {
    let mut agent = speaker("id; exec 0<&-; sleep 0.2; ok 7; exec sleep 1000");
    for _ in 0..2 {
        assert_eq!(done(&mut agent, "1.1.1", "1"), "7");
    }
    assert_eq!(agent.started(), 2);
}

#[test]
fn what_it_writes_between_two_tasks_does_not_end_it() {
    let mut agent = speaker("while id; do ok 7; ok 8; echo unasked; done");
    for _ in 0..5 {
        assert_eq!(done(&mut agent, "1.1.1", "1"), "7");
    }
    assert_eq!(agent.started(), 1);
}

#[test]
fn what_ends_before_it_reads_a_task_is_started_again_a_few_times() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starts");
    let counts =
        format!("echo >> {0}; test $(wc -l < {0}) -ge 3 || exit 4; while id; do ok 7; done", path.display());
    let mut agent = speaker(&counts);
    assert_eq!(done(&mut agent, "1.1.1", "1"), "7");
    assert_eq!(agent.started(), 3);
    let mut never = sh("echo no key >&2; exit 4");
    let fault = ask(&mut never, "1.1.1", "1", &mut Ear::default()).unwrap_err();
    let words = "exited with status 4 before it read its first task, 3 times in a row; its log: no key";
    assert!(fault.to_string().contains(words), "{fault}");
    assert_eq!((fault.blame(), never.started()), (Blame::Refused, 3));
}

#[test]
fn a_start_has_a_time_of_its_own() {
    let slow = "sleep 1.2; while id; do ok 7; done";
    let request = Request { id: "1", attempt: 1, task: b"1" };
    // Longer than its first task may take, which does not matter.
    let times = Times { attempt: Duration::from_secs(1), ..FOREVER };
    let mut agent = speaker(slow);
    let before_ns = now_ns();
    let answered = agent.ask(&request, &times, &mut Ear::default()).unwrap();
    assert!(answered.begun_ns >= before_ns + 1_200_000_000, "the task began when it was read");
    // And when it is over.
    let times = Times { startup: Duration::from_millis(20), ..FOREVER };
    let fault = speaker(slow).ask(&request, &times, &mut Ear::default()).unwrap_err();
    assert!(matches!(fault, AgentFault::SlowStart { .. }), "{fault}");
    // The task's deadline counts all the same.
    let times = Times { deadline_ns: now_ns() + 20_000_000, ..FOREVER };
    let fault = speaker(slow).ask(&request, &times, &mut Ear::default()).unwrap_err();
    assert_eq!(fault.blame(), Blame::Cut(CutShort::TimedOut));
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
    let times = Times { attempt: Duration::from_millis(20), ..FOREVER };
    let fault = agent.ask(&request, &times, &mut Note(&leader)).unwrap_err();
    assert_eq!(fault.blame(), Blame::Cut(CutShort::TimedOut));
    let group = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader.get() as i32), None);
    assert_eq!(group, Err(nix::Error::ESRCH));
}

#[test]
fn a_cancelled_task_ends_its_agent() {
    let mut agent = speaker(r#"id; printf '{"id":"%s","progress":1}\n' "$i"; cat"#);
    let mut ear = Ear { stop_at: Some(1), ..Ear::default() };
    let fault = ask(&mut agent, "1.1.1", "1", &mut ear).unwrap_err();
    assert_eq!(fault.blame(), Blame::Cut(CutShort::Asked(StopReason::Cancelled)));
    assert!(agent.identity().is_none());
}

#[test]
fn what_it_says_on_stderr_does_not_hold_it_up_and_only_the_last_is_kept() {
    let mut agent = sh("read -r a; yes noise | head -c 1000000 >&2; echo the last >&2; exit 1");
    let said = fault_of(&mut agent);
    assert!(said.ends_with("the last") && said.len() < 2 * LOG_MAX, "{}", said.len());
}

#[test]
fn a_task_larger_than_any_pipe_gets_there() {
    let mut agent = speaker("id; ok ${#a}");
    let task = format!("\"{}\"", "x".repeat(500_000));
    let len: usize = done(&mut agent, "1.1.1", &task).parse().unwrap();
    assert!(len > task.len());
}

#[test]
fn an_agent_is_asked_to_end_then_told_then_made_to() {
    let mut patient = speaker("id; ok 7; cat >/dev/null; exit 5");
    done(&mut patient, "1.1.1", "1");
    assert_eq!(patient.end(Duration::from_secs(60)), Some(HowEnded::Exited(5)));
    let mut told = speaker("trap 'exit 6' TERM; id; ok 7; while :; do sleep 0.01; done");
    done(&mut told, "1.1.1", "1");
    assert_eq!(told.end(Duration::from_secs(4)), Some(HowEnded::Exited(6)));
    let mut deaf = speaker("trap '' TERM; id; ok 7; while :; do sleep 0.01; done");
    done(&mut deaf, "1.1.1", "1");
    assert_eq!(deaf.end(Duration::from_millis(100)), Some(HowEnded::Signaled(9)));
    assert_eq!(deaf.end(Duration::ZERO), None);
}

#[test]
fn an_answer_may_be_far_longer_than_any_pipe() {
    let mut agent = speaker(
        r#"while id; do
            printf '{"id":"%s","ok":true,"result":"' "$i"; yes x | head -c 6000000 | tr -d '\n'; printf '"}\n'
        done"#,
    );
    agent.set_line_max(8 << 20);
    let wanted = format!("\"{}\"", "x".repeat(3_000_000));
    for id in ["1.1.1", "1.1.2"] {
        assert!(done(&mut agent, id, "1") == wanted);
    }
    assert_eq!(agent.started(), 1);
    // What is too long for the next one is not for the limit of another.
    agent.set_line_max(2 << 20);
    assert!(fault_of(&mut agent).contains("a line of more than 2097152 bytes"));
}

#[test]
fn a_program_has_its_own_variables_and_directory() {
    let script = r#"while read -r a; do i=$(printf '%s' "$a" | cut -d'"' -f4)
        printf '{"id":"%s","ok":true,"result":"%s in %s"}\n' "$i" "$WHO" "$PWD"; done"#;
    let program = config::Agent {
        command: ["sh", "-c", script].map(ToOwned::to_owned).to_vec(),
        env: [("WHO".to_owned(), "me".to_owned())].into(),
        cwd: Some("/".into()),
    };
    let mut agent = Agent::new(&program, LINE_MAX, None, Stop::default());
    assert_eq!(done(&mut agent, "1.1.1", "0"), r#""me in /""#);
    let nowhere = config::Agent { cwd: Some("/nowhere/at/all".into()), ..program };
    let mut agent = Agent::new(&nowhere, LINE_MAX, None, Stop::default());
    let fault = ask(&mut agent, "1.1.2", "0", &mut Ear::default()).unwrap_err();
    assert!(fault.to_string().contains("/nowhere/at/all"), "{fault}");
}
