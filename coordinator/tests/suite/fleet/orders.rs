//! Dead letters, and the orders of an operator.

use super::seen::{any, documented, fine, said, worker};
use super::{Up, kill, shm, wait_until};
use coordinator::client::status;
use coordinator::client::{Answer, Client, Event, Failure, Identity, Task, TaskId, Terms};
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

fn shell(script: &str) -> Vec<u8> {
    command_body(&["sh", "-c", script]).unwrap()
}

/// Tries twice, and takes a bad end for a failure.
fn twice() -> Terms {
    Terms { attempts_max: Some(2), retry_failures: true, ..Terms::within(LONG) }
}

/// What became of a task: its exit status and its output; of one that an operator had made of a letter, if `revived`.
fn outcome(client: &mut Client, id: TaskId, revived: bool) -> Result<(i32, Vec<u8>), Failure> {
    outcomes(client, &[id], revived).remove(&id).unwrap()
}

/// The same of several tasks, which may end at once.
fn outcomes(
    client: &mut Client,
    ids: &[TaskId],
    revived: bool,
) -> HashMap<TaskId, Result<(i32, Vec<u8>), Failure>> {
    let mut found = HashMap::new();
    wait_until("the outcome of each task", || {
        client.poll(|event| {
            let outcome = match event {
                Event::Outcome(outcome) if !revived => outcome,
                Event::Revived(outcome) if revived => outcome,
                _ => return,
            };
            let whole = |answer: Answer<'_>| (answer.code, answer.body[..answer.stdout_len].to_vec());
            found.insert(outcome.id, outcome.result.map(whole));
        });
        ids.iter().all(|id| found.contains_key(id))
    });
    found
}

#[test]
fn a_dead_letter_is_kept_with_its_reason_until_it_is_done_or_dropped() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    assert_eq!(fine(shm.path(), &["dead-letters"]), "no dead letters\n");
    let needed = shm.path().join("needed");
    let script = format!("echo tried >&2; cat {}", needed.display());
    let id = any(&mut client, Task::Exec(&shell(&script)), &twice());
    let name = id.to_string();
    let failure = outcome(&mut client, id, false).unwrap_err();
    assert!(matches!(failure, Failure::Failed(_)), "{failure}");

    let text = fine(shm.path(), &["dead-letters", "test"]);
    for word in [name.as_str(), "exec", "2 attempts", "tried", "sh -c echo tried"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let letter: Value = serde_json::from_str(&fine(shm.path(), &["dead-letters", "--json"])).unwrap();
    documented("`dead-letters`", &letter);
    assert_eq!(letter["task"], name.as_str());
    assert_eq!(letter["command"], serde_json::json!(["sh", "-c", script]));
    assert_eq!((&letter["attempts"], &letter["code"]), (&2.into(), &1.into()));
    assert!(letter["output"].as_str().unwrap().contains("tried"), "{letter}");
    assert_eq!(letter["reason"], "failed");
    assert!(letter["message"].as_str().unwrap().starts_with("it failed"), "{letter}");

    // The cause is still there: it fails again, and becomes a new dead letter.
    assert_eq!(fine(shm.path(), &["dead-letters", "--requeue", &name]), format!("requeued {name}\n"));
    let failure = outcome(&mut client, id, true).unwrap_err();
    assert!(matches!(failure, Failure::Failed(_)), "{failure}");
    let again: Value = serde_json::from_str(&fine(shm.path(), &["dead-letters", "--json"])).unwrap();
    assert_eq!(again["task"], name.as_str());
    assert!(again["written_unix_ns"].as_u64() > letter["written_unix_ns"].as_u64());

    std::fs::write(&needed, "there").unwrap();
    assert_eq!(fine(shm.path(), &["dead-letters", "--requeue", "all"]), format!("requeued {name}\n"));
    assert_eq!(outcome(&mut client, id, true), Ok((0, b"there".to_vec())));
    assert_eq!(fine(shm.path(), &["dead-letters"]), "no dead letters\n");
    let status = status::of(&up.dir).unwrap();
    assert_eq!(
        (status.counts.revived, status.counts.dead_letters, status.counts.dead_letters_kept),
        (2, 2, 0)
    );
    let ledger = status.ledger;
    assert_eq!((ledger.accepted, ledger.answered, ledger.failed_tasks, ledger.failed), (3, 3, 2, 0));

    let events = fine(shm.path(), &["events"]);
    for words in ["retried", "dead-letter", "revived"].map(|what| format!("{what} task {name}")) {
        assert!(events.contains(&words), "{words}: {events}");
    }
    for order in ["--requeue", "--drop"] {
        let (out, error, code) = said(shm.path(), &["dead-letters", order, &name]);
        assert_eq!((out.as_str(), code), ("", Some(10)));
        assert!(error.contains(&name) && error.contains("there is no such dead letter"), "{error}");
        assert_eq!(said(shm.path(), &["dead-letters", order, "17"]).2, Some(64));
        assert_eq!(fine(shm.path(), &["dead-letters", order, "all"]).lines().count(), 1);
    }
    drop(client);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_dead_letter_that_is_not_text_is_listed_whole() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let strange = any(&mut client, Task::Exec(b"false\0\xff\0"), &twice());
    outcome(&mut client, strange, false).unwrap_err();
    let json: Value = serde_json::from_str(&fine(shm.path(), &["dead-letters", "--json"])).unwrap();
    assert_eq!((&json["body"], &json["command"]), (&Value::Null, &Value::Null));
    assert_eq!(json["body_base64"], "ZmFsc2UA/wA=");
    let told = fine(shm.path(), &["dead-letters", "--drop", &strange.to_string()]);
    assert_eq!(told, format!("dropped {strange}\n"));
    assert_eq!(fine(shm.path(), &["dead-letters"]), "no dead letters\n");
    drop(client);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_task_is_cancelled_by_its_id_and_one_that_cannot_be_is_reported() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--hang-after", "never"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let asleep = any(&mut client, Task::Exec(&shell("sleep 1000")), &Terms::within(LONG));
    let waiting = any(&mut client, Task::Echo(b"x"), &Terms::within(LONG));
    let mut command_pid = None;
    wait_until("the command runs", || {
        let pid = worker(&up, 0, 0).pid;
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        command_pid = children.split(' ').next().and_then(|pid| pid.parse().ok()).and_then(Identity::of);
        command_pid.is_some()
    });
    let told = fine(shm.path(), &["cancel", "test", &asleep.to_string()]);
    assert_eq!(told, format!("cancelled {asleep}\n"));
    let ended = outcomes(&mut client, &[asleep, waiting], false);
    assert!(matches!(ended[&asleep], Err(Failure::Ended(_))) && ended[&waiting].is_ok(), "{ended:?}");
    wait_until("its command has ended", || command_pid.unwrap().is_gone());
    let (_, error, code) = said(shm.path(), &["cancel", "test", &asleep.to_string(), "1.99.5"]);
    assert_eq!(code, Some(10));
    assert_eq!(error.matches("there is no such task, queued or in hand").count(), 2, "{error}");
    assert_eq!(
        fine(shm.path(), &["cancel", "test", "all"]),
        "nothing was cancelled: there was nothing to do\n"
    );
    assert!(fine(shm.path(), &["events"]).contains(&format!("cancelled task {asleep}")));

    // A stopped coordinator acknowledges nothing.
    let last = any(&mut client, Task::Sleep(LONG), &Terms::within(LONG));
    wait_until("it is in hand", || status::of(&up.dir).unwrap().coordinators[0].busy == 1);
    let coordinator = status::of(&up.dir).unwrap().coordinators[0].process.identity();
    kill(coordinator, Signal::SIGSTOP);
    let (_, error, code) = said(shm.path(), &["cancel", "test", "all", "--patience", "50ms"]);
    kill(coordinator, Signal::SIGCONT);
    assert_eq!(code, Some(10));
    assert!(error.contains(&last.to_string()) && error.contains("has not acknowledged the order"), "{error}");
    assert!(error.contains(&format!("pid {}", coordinator.pid)), "{error}");
    // The order is still there, and is carried out now.
    assert_eq!(outcome(&mut client, last, false).unwrap_err(), Failure::Cancelled);
    drop(client);
    assert_eq!(up.stop(), Some(0));
}
