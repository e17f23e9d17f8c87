//! What is promised about a task that any worker may do, that fails, that is cancelled; and about the workers
//! that do it.

use super::{Up, kill, shm, wait_until};
use coordinator::bus::directory::control_path;
use coordinator::bus::sync::Ordering;
use coordinator::bus::view::Control;
use coordinator::client::orders::{Operator, Which};
use coordinator::client::{Address, Client, Event, Failure, Task, TaskId, Terms, WorkerRef, dead_letters};
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(50);

fn terms() -> Terms {
    Terms::within(LONG)
}

fn script(text: &str) -> Vec<u8> {
    command_body(&["sh", "-c", text]).unwrap()
}

#[derive(Debug)]
struct Came {
    id: TaskId,
    coordinator: u32,
    result: Result<(u8, i32), Failure>,
}

/// What came of each tag, until `count` outcomes are in.
fn collect(client: &mut Client, count: usize) -> BTreeMap<u64, Came> {
    let mut outcomes = BTreeMap::new();
    wait_until("every task has its outcome", || {
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                let result = outcome.result.map(|answer| (answer.attempt, answer.code));
                let came = Came { id: outcome.id, coordinator: outcome.worker.coordinator, result };
                assert!(outcomes.insert(outcome.tag, came).is_none(), "a second outcome for {}", outcome.tag);
            }
        });
        outcomes.len() >= count
    });
    outcomes
}

fn assert_balanced(client: &Client) {
    let (own, theirs) = (client.ledger(), client.status().ledger());
    assert_eq!(own, theirs);
    assert_eq!(own.accepted, own.answered + own.failed + own.returned);
    assert_eq!((own.in_flight, own.duplicates), (0, 0));
}

#[test]
fn tasks_that_wait_for_any_worker_go_to_it_as_soon_as_it_has_answered() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--depth", "64"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let control = Control::attach(&control_path(&up.dir)).unwrap();
    // Once for each look of the coordinator at its workers, ten times a second.
    let looks = || control.coordinator(0).own.beat.load(Ordering::Relaxed);
    let before = looks();
    for tag in 0..60 {
        client.submit(Address::Any, Task::Echo(b"short"), &terms(), tag).unwrap();
    }
    client.flush();
    assert!(collect(&mut client, 60).values().all(|came| came.result.is_ok()));
    let looks = looks() - before;
    assert!(looks < 40, "60 tasks took {looks} looks: each waited for one");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_task_for_any_worker_does_not_wait_behind_a_long_one() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &["--depth", "16"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let long = client.submit(Address::Any, Task::Sleep(LONG), &terms(), 0).unwrap();
    for tag in 1..=50 {
        client.submit(Address::Any, Task::Echo(b"short"), &terms(), tag).unwrap();
    }
    client.flush();
    let outcomes = collect(&mut client, 50);
    assert!(outcomes.values().all(|came| came.result.is_ok()) && !outcomes.contains_key(&0));
    client.cancel(long).unwrap();
    assert_eq!(collect(&mut client, 1)[&0].result, Err(Failure::Cancelled));
    wait_until("the worker is free again", || client.status().coordinators.iter().all(|c| c.busy == 0));
    let ledger = client.ledger();
    assert_eq!((ledger.answered, ledger.failed), (50, 1));
    assert_eq!(up.stop(), Some(0));
}

/// Row T7 of the requirements.
#[test]
fn what_any_worker_may_do_is_spread_evenly() {
    let shm = shm();
    let up = Up::start(shm.path(), 5, 4, &["--depth", "4"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let (mut sent, mut ended) = (0_u64, 0_u64);
    let mut by_coordinator = [0_u64; 5];
    while ended < 2000 {
        while sent < 2000 && sent - ended < 40 {
            let time = Duration::from_micros(200 + sent % 7 * 300);
            client.submit(Address::Any, Task::Sleep(time), &terms(), sent).unwrap();
            sent += 1;
        }
        client.flush();
        let events = client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                assert!(outcome.result.is_ok());
                by_coordinator[outcome.worker.coordinator as usize] += 1;
                ended += 1;
            }
        });
        if events == 0 {
            client.wait(Duration::from_millis(10));
        }
    }
    let mean = 400.0;
    let variance = by_coordinator.iter().map(|count| (*count as f64 - mean).powi(2)).sum::<f64>() / 5.0;
    assert!(variance.sqrt() / mean < 0.05, "{by_coordinator:?}");
    assert_balanced(&client);
}

#[test]
fn what_waits_at_one_coordinator_goes_to_another_that_has_room() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &["--depth", "16"]);
    let mut client = Client::attach(&up.dir).unwrap();
    // By turns: one coordinator gets those that last, the other those that do not.
    for tag in 0..24 {
        let time = if tag % 2 == 0 { Duration::from_millis(400) } else { Duration::ZERO };
        client.submit(Address::Any, Task::Sleep(time), &terms(), tag).unwrap();
    }
    client.flush();
    let outcomes = collect(&mut client, 24);
    assert!(outcomes.values().all(|came| came.result == Ok((1, 0))));
    let long = |coordinator| {
        outcomes.iter().filter(|(tag, came)| *tag % 2 == 0 && came.coordinator == coordinator).count()
    };
    assert!(long(0) > 0 && long(1) > 0, "{} and {}", long(0), long(1));
    assert!(client.ledger().returned > 0);
    assert_balanced(&client);
}

#[test]
fn a_command_that_fails_is_tried_again_until_it_succeeds() {
    let shm = shm();
    let files = tempfile::tempdir().unwrap();
    let up = Up::start(shm.path(), 1, 3, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let tries = files.path().join("tries");
    let text = format!("echo x >> {0}; test $(wc -l < {0}) -ge 3", tries.display());
    let again = Terms { attempts_max: Some(5), retry_failures: true, ..terms() };
    client.submit(Address::Any, Task::Exec(&script(&text)), &again, 0).unwrap();
    client.submit(Address::Any, Task::Exec(&script("exit 3")), &terms(), 1).unwrap();
    client.flush();
    let outcomes = collect(&mut client, 2);
    assert_eq!(outcomes[&0].result, Ok((3, 0)));
    // Where no client asked, a command's status is its own affair.
    assert_eq!(outcomes[&1].result, Ok((1, 3)));
    assert_eq!(std::fs::read_to_string(&tries).unwrap(), "x\n".repeat(3));
    assert_balanced(&client);
    assert_eq!(client.status().coordinators[0].counts.retried, 2);
}

#[test]
fn what_fails_for_good_is_kept_and_can_be_tried_again() {
    let shm = shm();
    let files = tempfile::tempdir().unwrap();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let mended = files.path().join("mended");
    let body = script(&format!("test -e {}", mended.display()));
    let twice = Terms { attempts_max: Some(2), retry_failures: true, ..terms() };
    let id = client.submit(Address::Any, Task::Exec(&body), &twice, 7).unwrap();
    client.flush();
    let outcome = collect(&mut client, 1).remove(&7).unwrap();
    assert!(matches!(&outcome.result, Err(Failure::Failed(partial)) if partial.attempt == 2));
    assert_eq!(outcome.id, id);
    let kept = dead_letters::of(&up.dir).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].id, &kept[0].body, kept[0].attempts), (id, &body, 2));
    let ledger = client.ledger();

    // Again, while the cause is still there: it fails once more, and is one letter still.
    let mut operator = Operator::attach(&up.dir, LONG).unwrap();
    operator.requeue(&Which::These(vec![id])).unwrap();
    let mut revived = Vec::new();
    let mut wait_for = |client: &mut Client, count| {
        wait_until("the letter has its outcome", || {
            client.poll(|event| {
                if let Event::Revived(outcome) = event {
                    revived.push((outcome.id, outcome.result.map(|answer| answer.code).is_ok()));
                }
            });
            revived.len() == count
        });
    };
    wait_for(&mut client, 1);
    assert_eq!(dead_letters::of(&up.dir).unwrap().len(), 1);
    std::fs::write(&mended, "").unwrap();
    operator.requeue(&Which::All).unwrap();
    wait_for(&mut client, 2);
    assert_eq!(revived, [(id, false), (id, true)]);
    assert!(dead_letters::of(&up.dir).unwrap().is_empty());
    // The client had its outcome; the fleet's book has the task twice more.
    assert_eq!(client.ledger(), ledger);
    let theirs = client.status().ledger();
    assert_eq!((theirs.accepted, theirs.in_flight), (3, 0));
}

#[test]
fn an_attempt_that_takes_too_long_is_ended_with_all_that_it_started() {
    let shm = shm();
    let files = tempfile::tempdir().unwrap();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let pids = files.path().join("pids");
    let body = script(&format!("sleep 1000 & echo $! >> {}; echo begun; wait", pids.display()));
    let short = Terms { timeout: Some(Duration::from_millis(300)), attempts_max: Some(2), ..terms() };
    client.submit(Address::Any, Task::Exec(&body), &short, 0).unwrap();
    client.flush();
    let Err(Failure::AttemptTimedOut(_, partial)) = collect(&mut client, 1).remove(&0).unwrap().result else {
        panic!("it cannot have ended by itself")
    };
    assert_eq!((partial.attempt, &partial.stdout[..]), (2, &b"begun\n"[..]));
    let started = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(started.lines().count(), 2);
    for pid in started.lines() {
        let gone =
            || coordinator::client::Identity::of(pid.parse().unwrap()).is_none_or(|sleep| !sleep.is_alive());
        wait_until("what it started is gone", gone);
    }
    assert_balanced(&client);
}

#[test]
fn who_hangs_is_suspected_ended_and_replaced_and_who_only_stopped_is_healed() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--hang-after", "2s"]);
    let mut client = Client::attach(&up.dir).unwrap();
    client.submit(Address::Any, Task::Sleep(Duration::from_secs(5)), &terms(), 0).unwrap();
    client.flush();
    let workers = |client: &Client| client.status().coordinators.remove(0);
    wait_until("a worker has it", || workers(&client).workers.iter().any(|worker| worker.task.is_some()));
    let busy = workers(&client).workers.into_iter().find(|worker| worker.task.is_some()).unwrap();
    let idle = workers(&client).workers.into_iter().find(|worker| worker.task.is_none()).unwrap();

    // One who goes on again before it is too late.
    kill(idle.process.identity(), Signal::SIGSTOP);
    let counts = |client: &Client| client.status().coordinators.remove(0).counts;
    let suspected = |client: &Client| {
        let suspected =
            |worker: &coordinator::client::status::WorkerStatus| worker.process.suspected_ns.is_some();
        client.status().coordinators[0].workers.iter().any(suspected)
    };
    wait_until("it is suspected", || suspected(&client));
    kill(idle.process.identity(), Signal::SIGCONT);
    wait_until("it is healed", || counts(&client).healed == 1);
    assert!(idle.process.identity().is_alive() && counts(&client).hung == 0);

    // One who does not.
    kill(busy.process.identity(), Signal::SIGSTOP);
    let outcomes = collect(&mut client, 1);
    assert_eq!(outcomes[&0].result, Ok((2, 0)));
    assert!(!busy.process.identity().is_alive());
    assert_eq!(counts(&client).hung, 1);
    assert_balanced(&client);
}

#[test]
fn a_worker_makes_room_for_a_fresh_one_after_its_share() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--recycle-after", "3"]);
    let mut client = Client::attach(&up.dir).unwrap();
    for tag in 0..30 {
        client.submit(Address::Any, Task::Echo(b""), &terms(), tag).unwrap();
        client.flush();
        assert_eq!(collect(&mut client, 1)[&tag].result, Ok((1, 0)));
    }
    wait_until("the last is replaced too", || client.status().coordinators[0].counts.recycled == 10);
    assert_eq!(client.deaths(), 0);
    assert_balanced(&client);
}

/// Of a fleet that gets 40 tasks at once: how often the client published tasks, and its coordinator answers.
fn publications(options: &[&str], limit: Option<u32>) -> (u64, u64) {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 4, &[&["--depth", "16"], options].concat());
    let mut client = Client::attach(&up.dir).unwrap();
    if let Some(messages) = limit {
        client.limit_batches(NonZeroU32::new(messages).unwrap());
    }
    for tag in 0..40 {
        client.submit(Address::Any, Task::Echo(b"x"), &terms(), tag).unwrap();
    }
    client.flush();
    assert_eq!(collect(&mut client, 40).len(), 40);
    let counted = |client: &Client| client.status().coordinators[0].counts;
    wait_until("all are counted", || counted(&client).batched == 40);
    assert_balanced(&client);
    let (sent, answers) = (client.batches(), counted(&client).batches);
    assert_eq!(sent.messages, 40);
    (sent.batches, answers)
}

/// By the counts of the client and its coordinator. How often that publishes tasks to its workers is counted nowhere, and so not
/// seen here; nor is how often a bell was rung.
#[test]
fn a_fleet_without_batching_publishes_each_message_alone() {
    assert_eq!(publications(&[], None).0, 1, "without a bound all of them go out with the flush");
    assert_eq!(publications(&["--batch-max", "1"], Some(1)), (40, 40));
    let (tasks, answers) = publications(&["--batch-max", "8"], Some(8));
    assert!(tasks == 5 && answers >= 5, "{tasks} {answers}");
}

#[test]
fn workers_come_with_load_and_go_without() {
    let shm = shm();
    let sizes = ["--workers-min", "2", "--workers-max", "8", "--by-load"];
    let up = Up::start(shm.path(), 1, 2, &sizes);
    let mut client = Client::attach(&up.dir).unwrap();
    let live = |client: &Client| client.status().coordinators[0].live;
    assert_eq!(live(&client), 2);
    let (mut sent, mut ended) = (0, 0);
    wait_until("there are eight", || {
        while sent - ended < 16 {
            client.submit(Address::Any, Task::Sleep(Duration::from_millis(20)), &terms(), sent).unwrap();
            sent += 1;
        }
        client.flush();
        client.poll(|event| ended += u64::from(matches!(event, Event::Outcome(o) if o.result.is_ok())));
        live(&client) == 8
    });
    wait_until("all is done", || {
        client.poll(|event| ended += u64::from(matches!(event, Event::Outcome(o) if o.result.is_ok())));
        ended == sent
    });
    wait_until("there are two", || live(&client) == 2);
    assert_eq!(client.deaths(), 0);
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
    assert!(super::is_empty(shm.path()));
}

#[test]
fn another_client_hears_of_the_tasks_of_one_that_is_dead() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut first = Client::attach(&up.dir).unwrap();
    let id = first.submit(Address::Any, Task::Sleep(Duration::from_millis(300)), &terms(), 0).unwrap();
    first.flush();
    assert!(Client::attach(&up.dir).is_err());
    drop(first);
    let mut second = Client::attach(&up.dir).unwrap();
    second.submit(Address::Any, Task::Echo(b"mine"), &terms(), 5).unwrap();
    second.flush();
    let (mut inherited, mut own) = (Vec::new(), 0);
    wait_until("both are told", || {
        second.poll(|event| match event {
            Event::Inherited(outcome) => inherited.push((outcome.id, outcome.result.is_ok())),
            Event::Outcome(_) => own += 1,
            other => panic!("{other:?}"),
        });
        inherited.len() + own == 2
    });
    assert_eq!((inherited, own), (vec![(id, true)], 1));
    assert_eq!(second.ledger().accepted, 1);
}

/// One order may follow another before the worker has seen it, and what waits behind is cancelled too.
#[test]
fn all_that_a_worker_has_is_cancelled_and_it_is_free_for_others() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--depth", "4"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let worker = WorkerRef { coordinator: 0, worker: 0 };
    let long = Duration::from_secs(1000);
    let ids: Vec<_> = (0..3).map(|tag| client.send(worker, Task::Sleep(long), long, tag).unwrap()).collect();
    client.flush();
    let process = client.status().coordinators[0].workers[0].process.identity();
    wait_until("it sleeps", || client.status().coordinators[0].workers[0].task.is_some());
    for id in ids {
        client.cancel(id).unwrap();
    }
    client.send(worker, Task::Echo(b"next"), long, 3).unwrap();
    client.flush();
    let mut told = Vec::new();
    wait_until("all are told", || {
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                told.push((outcome.tag, outcome.result.map(|answer| answer.body.to_vec())));
            }
        });
        told.len() == 4
    });
    told.sort_by_key(|(tag, _)| *tag);
    assert!(told[..3].iter().all(|(_, result)| *result == Err(Failure::Cancelled)), "{told:?}");
    assert_eq!(told[3].1, Ok(b"next".to_vec()));
    assert_eq!(
        client.status().coordinators[0].workers[0].process.identity(),
        process,
        "no worker had to die"
    );
    assert_eq!(up.stop(), Some(0));
}
