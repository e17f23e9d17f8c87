//! What a fleet reports about tasks that fail, or are stopped.

use super::seen::{any, fine};
use super::{Up, shm, wait_until};
use coordinator::client::status;
use coordinator::client::{Client, Event, Ledger, PlaceId, Task, Terms};
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn failed_tasks_and_failed_deliveries_are_two_figures() {
    let shm = shm();
    let agent = r#"["sh","-c","while read -r a; do printf '{\"id\":\"%s\",\"ok\":false}\\n' \"$(printf '%s' \"$a\" | cut -d'\"' -f4)\"; done"]"#;
    let up = Up::start(shm.path(), 1, 1, &["--agent", agent, "--depth", "8"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let body = |arguments: &[&str]| command_body(arguments).unwrap();
    let (good, bad, none) = (body(&["true"]), body(&["sh", "-c", "exit 3"]), body(&["/no/such/program"]));
    let once = Terms::within(LONG);
    let twice = Terms { attempts_max: Some(2), retry_failures: true, ..once };
    // Two that succeed, four that are answered with a failure, and one without an answer.
    for (task, terms) in [
        (Task::Exec(&good), once),
        (Task::Exec(&good), twice),
        (Task::Exec(&bad), once),
        (Task::Exec(&bad), twice),
        (Task::Agent(b"1"), once),
        (Task::Agent(b"1"), twice),
        (Task::Exec(&none), once),
    ] {
        any(&mut client, task, &terms);
    }
    wait_until("all have ended", || {
        client.poll(|_| ());
        client.in_flight() == 0
    });
    let figures = |ledger: Ledger| (ledger.answered, ledger.failed_tasks, ledger.failed);
    assert_eq!(figures(client.ledger()), (6, 4, 1));
    assert_eq!(figures(status::of(&up.dir).unwrap().ledger()), (6, 4, 1));
    let json: Value = serde_json::from_str(&fine(shm.path(), &["status", "test", "--json"])).unwrap();
    assert_eq!(json[0]["status"]["ledger"]["failed_tasks"], 4);
    let words = "7 accepted = 6 answered (4 failed tasks) + 1 failed delivery + 0 in flight";
    for command in [&["status", "test"][..], &["top", "test", "--once"]] {
        let text = fine(shm.path(), command);
        assert!(text.contains(words), "{text}");
    }
    let events = fine(shm.path(), &["events", "--json"]);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<_> = events.iter().filter(|event| event["kind"] == "task-failed").collect();
    let how: Vec<_> = failed.iter().map(|event| event["how"].as_str()).collect();
    let exited = Some("exited with status 3");
    assert_eq!(how.iter().filter(|how| **how == exited).count(), 2, "{failed:?}");
    assert_eq!(how.iter().filter(|how| how.is_none()).count(), 2, "{failed:?}");
    let refused = |event: &&Value| event["kind"] == "dead-letter" && event["reason"] == "refused";
    assert_eq!(events.iter().filter(refused).count(), 1);
    assert!(!fine(shm.path(), &["dead-letters", "--json"]).contains("\"ok\""));
}

#[test]
fn a_stopped_task_is_reported_as_stopped() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let body = command_body(&["sh", "-c", "sh -c 'kill -STOP $$'; exit 3"]).unwrap();
    any(&mut client, Task::Exec(&body), &Terms::within(LONG));
    let mut seen = None;
    wait_until("it is reported", || {
        let stuck = status::of(&up.dir).unwrap().stuck;
        seen = stuck.into_iter().find(|stuck| stuck.kind == status::StuckKind::Stopped);
        seen.is_some()
    });
    let stuck = seen.unwrap();
    assert_eq!(stuck.place, PlaceId::worker(0, 0));
    let status = fine(shm.path(), &["status", "test"]);
    assert!(status.contains(" of it stopped (`kill -CONT "), "{status}");
    let json: Value = serde_json::from_str(&fine(shm.path(), &["status", "test", "--json"])).unwrap();
    let status = &json[0]["status"];
    assert_eq!(status["stuck"][0]["kind"], "stopped");
    let pid = status["coordinators"][0]["workers"][0]["stopped"].as_i64().unwrap();
    let top = fine(shm.path(), &["top", "test", "--once"]);
    assert!(top.contains(&format!("process {pid} of it stopped")), "{top}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGCONT).unwrap();
    wait_until("it goes on", || {
        let mut code = None;
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                code = outcome.result.ok().map(|answer| answer.code);
            }
        });
        code == Some(3)
    });
}
