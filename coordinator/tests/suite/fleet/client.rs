//! What a client is promised about a task.

use super::{Up, kill, shm, wait_until};
use coordinator::client::{Client, Event, Failure, SendError, Task, WorkerRef};
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(50);

/// What came of each tag, until `count` outcomes are in.
fn collect(client: &mut Client, count: usize) -> BTreeMap<u64, Result<Vec<u8>, Failure>> {
    let mut outcomes = BTreeMap::new();
    wait_until("every task has its outcome", || {
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                let body = outcome.result.map(|answer| answer.body.to_vec());
                assert!(outcomes.insert(outcome.tag, body).is_none(), "a second outcome for {}", outcome.tag);
            }
        });
        outcomes.len() >= count
    });
    outcomes
}

fn worker(coordinator: u32, worker: u32) -> WorkerRef {
    WorkerRef { coordinator, worker }
}

#[test]
fn every_task_is_answered_once_with_its_own_content() {
    let shm = shm();
    let up = Up::start(shm.path(), 3, 5, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    for round in 0..50_u64 {
        for n in 0..15 {
            let tag = round * 15 + u64::from(n);
            let body: Vec<u8> = (0..(tag * 37 % 4096)).map(|byte| (byte ^ tag) as u8).collect();
            client.send(WorkerRef::nth(&shape, n), Task::Echo(&body), LONG, tag).unwrap();
        }
        client.flush();
        for (tag, body) in collect(&mut client, 15) {
            let sent: Vec<u8> = (0..(tag * 37 % 4096)).map(|byte| (byte ^ tag) as u8).collect();
            assert_eq!(body.unwrap(), sent);
        }
    }
    let (own, theirs) = (client.ledger(), client.status().ledger());
    assert_eq!((own.accepted, own.answered, own.failed, own.in_flight), (750, 750, 0, 0));
    assert_eq!(own, theirs);
    let executed: u64 =
        client.status().coordinators.iter().flat_map(|c| &c.workers).map(|worker| worker.executed).sum();
    assert_eq!(executed, 750);
    assert_eq!(up.stop(), Some(0));
    assert!(super::is_empty(shm.path()));
}

#[test]
fn what_cannot_be_delivered_is_refused_at_the_door() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--payload-max", "100", "--depth", "2"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let echo = Task::Echo(&[0; 100]);
    assert_eq!(client.send(worker(0, 2), echo, LONG, 0), Err(SendError::NoSuchRecipient));
    assert_eq!(client.send(worker(1, 0), echo, LONG, 0), Err(SendError::NoSuchRecipient));
    assert_eq!(client.send(worker(0, 0), Task::Echo(&[0; 101]), LONG, 0), Err(SendError::TooLarge));
    assert!(client.send(worker(0, 0), echo, LONG, 0).is_ok());
    assert!(client.send(worker(0, 0), echo, LONG, 1).is_ok());
    assert_eq!(client.send(worker(0, 0), echo, LONG, 2), Err(SendError::Backpressure));
    client.flush();
    assert_eq!(collect(&mut client, 2).len(), 2);
    assert_eq!(client.ledger().accepted, 2);
}

#[test]
fn a_fleet_has_one_client() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let _first = Client::attach(&up.dir).unwrap();
    let refused = Client::attach(&up.dir).unwrap_err().to_string();
    assert!(refused.contains("already taken"), "{refused}");
}

#[test]
fn a_task_without_an_answer_times_out_and_a_late_answer_is_counted_apart() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let short = Duration::from_millis(50);
    client.send(worker(0, 0), Task::Sleep(Duration::from_millis(400)), short, 0).unwrap();
    client.send(worker(0, 1), Task::Echo(b"quick"), LONG, 1).unwrap();
    client.flush();
    let outcomes = collect(&mut client, 2);
    assert_eq!(outcomes[&0], Err(Failure::TimedOut(short)));
    assert_eq!(outcomes[&1], Ok(b"quick".to_vec()));
    // The worker ends the task at its deadline too, and may say so at once.
    wait_until("the late answer is noticed", || {
        client.poll(|_| ());
        client.ledger().late == 1
    });
    let (own, theirs) = (client.ledger(), client.status().ledger());
    assert_eq!((own.answered, own.failed, own.late, own.duplicates), (1, 1, 1, 0));
    assert_eq!(own, theirs);
}

#[test]
fn a_killed_supervisor_ends_the_fleet_and_the_client_hears_of_it() {
    let shm = shm();
    let mut up = Up::start(shm.path(), 2, 3, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let everyone = up.identities();
    client.send(worker(0, 0), Task::Sleep(LONG), LONG, 0).unwrap();
    client.flush();
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let failure = collect(&mut client, 1)[&0].clone().unwrap_err();
    assert_eq!(failure, Failure::SupervisorDied);
    assert!(client.is_lost());
    wait_until("everyone is gone", || everyone.iter().all(|process| !process.is_alive()));
}

#[test]
fn a_stopped_worker_does_not_hold_up_its_neighbours() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 3, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let stopped = client.status().coordinators[0].workers[1].process.identity();
    kill(stopped, Signal::SIGSTOP);
    let timeout = Duration::from_millis(300);
    for n in 0..3 {
        client.send(worker(0, n), Task::Echo(b"x"), timeout, u64::from(n)).unwrap();
    }
    client.flush();
    let outcomes = collect(&mut client, 3);
    assert!(outcomes[&0].is_ok() && outcomes[&2].is_ok());
    assert_eq!(outcomes[&1], Err(Failure::TimedOut(timeout)));
    // Not mistaken for dead: it goes on, and does not waste its time on what was given up.
    kill(stopped, Signal::SIGCONT);
    client.send(worker(0, 1), Task::Echo(b"again"), LONG, 3).unwrap();
    client.flush();
    assert_eq!(collect(&mut client, 1)[&3], Ok(b"again".to_vec()));
    assert_eq!(client.deaths(), 0);
    assert_eq!(client.status().coordinators[0].workers[1].executed, 1);
}

#[test]
fn a_death_by_any_signal_is_seen() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let client = Client::attach(&up.dir).unwrap();
    let status = client.status();
    // A real-time signal has a number and no name.
    let kill_40 = |identity: coordinator::client::Identity| {
        let pid = identity.pid.to_string();
        assert!(
            std::process::Command::new("sh").args(["-c", "kill -40 $0", &pid]).status().unwrap().success()
        );
    };
    kill_40(status.coordinators[0].workers[0].process.identity());
    wait_until("the worker's death is seen", || client.deaths() == 1);
    let death = client.status().coordinators[0].workers[0].process.last_death.clone().unwrap();
    assert_eq!(death.how, "killed by signal 40");
    assert_eq!(death.pid, status.coordinators[0].workers[0].process.pid);
    kill_40(status.coordinators[1].process.identity());
    wait_until("the coordinator's death is seen", || client.deaths() == 2);
    assert_eq!(
        client.status().coordinators[1].process.last_death.clone().unwrap().how,
        "killed by signal 40"
    );
    assert_eq!(up.stop(), Some(0));
    assert!(super::is_empty(shm.path()));
}

#[test]
fn who_has_to_be_killed_at_the_end_is_dead_and_not_stopped() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let client = Client::attach(&up.dir).unwrap();
    let status = client.status();
    kill(status.coordinators[0].workers[1].process.identity(), Signal::SIGSTOP);
    kill(status.coordinators[1].process.identity(), Signal::SIGSTOP);
    assert_eq!(up.stop(), Some(0));
    let status = client.status();
    assert_eq!(status.coordinators[0].workers[0].process.life, coordinator::client::status::Life::Stopped);
    assert_eq!(status.coordinators[0].workers[1].process.ended.as_deref(), Some("killed by SIGKILL"));
    assert!(status.coordinators[0].workers[1].process.is_dead());
    assert!(status.coordinators[1].process.is_dead());
    assert_eq!(status.deaths, 2);
}

#[test]
fn what_comes_of_a_task_that_the_client_gave_up_is_no_second_answer() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let coordinator = client.status().coordinators[0].process.identity();
    kill(coordinator, Signal::SIGSTOP);
    for n in 0..2 {
        client.send(worker(0, n), Task::Echo(b"x"), Duration::from_millis(10), u64::from(n)).unwrap();
    }
    client.flush();
    collect(&mut client, 2);
    kill(coordinator, Signal::SIGCONT);
    client.send(worker(0, 0), Task::Echo(b"again"), LONG, 2).unwrap();
    client.flush();
    assert_eq!(collect(&mut client, 1)[&2], Ok(b"again".to_vec()));
    let ledger = client.ledger();
    assert_eq!((ledger.answered, ledger.failed, ledger.duplicates), (1, 2, 0));
}

#[test]
fn an_earlier_clients_task_is_given_up_and_no_own_one_with_its_number() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut first = Client::attach(&up.dir).unwrap();
    let earlier = first.send(worker(0, 0), Task::Sleep(LONG), LONG, 7).unwrap();
    first.flush();
    wait_until("it is accepted", || first.status().ledger().accepted == 1);
    drop(first);
    let mut client = Client::attach(&up.dir).unwrap();
    let own = client.send(worker(0, 1), Task::Sleep(LONG), LONG, 8).unwrap();
    client.flush();
    assert_eq!(earlier.sequence, own.sequence);
    let mut found = Vec::new();
    client.give_up(earlier, LONG, |event| match event {
        Event::Inherited(outcome) => found.push((outcome.id, outcome.result.err())),
        other => panic!("{other:?}"),
    });
    assert_eq!(found, [(earlier, Some(Failure::TimedOut(LONG)))]);
    assert_eq!((client.in_flight(), client.ledger().in_flight), (1, 1));
    drop(client);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_stopped_coordinator_is_given_up_after_the_time_out() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let coordinator = client.status().coordinators[0].process.identity();
    kill(coordinator, Signal::SIGSTOP);
    client.send(worker(0, 0), Task::Echo(b"x"), Duration::from_millis(10), 0).unwrap();
    client.flush();
    let failure = collect(&mut client, 1)[&0].clone().unwrap_err();
    assert!(matches!(failure, Failure::CoordinatorSilent(0, _)), "{failure}");
    // Stopped or not, it does not outlive its fleet.
    let everyone = up.identities();
    assert_eq!(up.stop(), Some(0));
    assert!(everyone.iter().all(|process| !process.is_alive()));
}

#[test]
fn compute_and_sleep_take_the_time_they_were_asked_for() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let asked = Duration::from_millis(20);
    client.send(worker(0, 0), Task::Sleep(asked), LONG, 0).unwrap();
    client.send(worker(0, 1), Task::Compute(asked), LONG, 1).unwrap();
    client.flush();
    let mut took = Vec::new();
    wait_until("both are done", || {
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                let answer = outcome.result.unwrap();
                took.push(Duration::from_nanos(answer.finished_ns - answer.started_ns));
            }
        });
        took.len() == 2
    });
    assert!(took.iter().all(|took| *took >= asked), "{took:?}");
}

#[test]
fn what_a_command_has_started_ends_with_its_worker_its_coordinator_or_its_supervisor() {
    for victim in ["worker", "coordinator", "supervisor"] {
        ends_with(victim);
    }
}

fn ends_with(victim: &str) {
    let shm = shm();
    // Once: another worker would begin it again.
    let mut up = Up::start(shm.path(), 2, 1, &["--attempts-max", "1"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let status = client.status();
    let mark = shm.path().join("pids");
    // A child, and daemons of two kinds; one of them has a child that has left it.
    let script = format!(
        "sleep 1000 & a=$!; setsid sleep 1000 & b=$!; setsid sh -c 'sleep 1000 & echo $! > {0}.its; exec sleep 1000' & \
        until [ -s {0}.its ]; do :; done; echo $a $b $! $$ $(cat {0}.its) > {0}.new; mv {0}.new {0}; wait",
        mark.display()
    );
    let body = command_body(&["sh", "-c", &script]).unwrap();
    client.send(worker(0, 0), Task::Exec(&body), LONG, 0).unwrap();
    client.flush();
    wait_until("the command has started", || mark.exists());
    let pids = std::fs::read_to_string(&mark).unwrap();
    let started: Vec<_> = pids
        .split_whitespace()
        .map(|pid| coordinator::client::Identity::of(pid.parse().unwrap()).unwrap())
        .collect();
    assert_eq!(started.len(), 5);
    match victim {
        "worker" => kill(status.coordinators[0].workers[0].process.identity(), Signal::SIGKILL),
        "coordinator" => kill(status.coordinators[0].process.identity(), Signal::SIGKILL),
        _ => {
            up.child.kill().unwrap();
            up.child.wait().unwrap();
        }
    }
    assert!(collect(&mut client, 1)[&0].is_err());
    wait_until("all that it started is gone", || started.iter().all(|process| !process.is_alive()));
    // The others are where they were.
    let other = status.coordinators[1].workers[0].process.identity();
    match victim {
        "supervisor" => wait_until("the others are gone as well", || !other.is_alive()),
        _ => assert!(other.is_alive()),
    }
}
