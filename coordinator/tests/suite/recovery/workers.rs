//! A worker dies.

use super::{LONG, Up, is_empty, kill, shm, wait_until, worker};
use crate::support::outcomes::{Outcomes, assert_balanced};
use coordinator::client::status::WorkerStatus;
use coordinator::client::{Client, Identity, Task};
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::time::Duration;

/// A task long enough to be met in its worker's hands.
const A_WHILE: Duration = Duration::from_millis(500);

fn status(client: &Client, coordinator: usize, worker: usize) -> WorkerStatus {
    client.status().coordinators[coordinator].workers[worker].clone()
}

/// Kills the worker as soon as it has a task in hand, and is not `before` any more.
fn kill_at_work(client: &Client, coordinator: usize, worker: usize, before: Option<Identity>) -> Identity {
    let victim = at_work(client, coordinator, worker, before);
    kill(victim, Signal::SIGKILL);
    victim
}

/// Who has a task in hand at this place, other than `before`.
fn at_work(client: &Client, coordinator: usize, worker: usize, before: Option<Identity>) -> Identity {
    let mut victim = None;
    wait_until("the victim has its task", || {
        let status = status(client, coordinator, worker);
        let identity = status.process.identity();
        if status.task.is_some() && Some(identity) != before && identity.is_alive() {
            victim = Some(identity);
        }
        victim.is_some()
    });
    victim.unwrap()
}

#[test]
fn a_killed_workers_task_is_answered_at_its_second_attempt() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    client.send(worker(1, 0), Task::Sleep(A_WHILE), LONG, 0).unwrap();
    client.send(worker(1, 0), Task::Echo(b"behind it"), LONG, 1).unwrap();
    client.send(worker(1, 1), Task::Echo(b"beside it"), LONG, 2).unwrap();
    client.send(worker(0, 0), Task::Echo(b"elsewhere"), LONG, 3).unwrap();
    client.flush();
    let victim = kill_at_work(&client, 1, 0, None);
    let outcomes = Outcomes::wait_for(&mut client, 4);
    assert_eq!(outcomes.attempt(0), 2);
    // What it had not begun has lost no attempt.
    for (tag, body) in [(1, "behind it"), (2, "beside it"), (3, "elsewhere")] {
        assert_eq!(outcomes.attempt(tag), 1);
        assert_eq!(outcomes.all[&tag].as_ref().unwrap().body, body.as_bytes());
    }
    let process = status(&client, 1, 0).process;
    let death = process.last_death.clone().unwrap();
    assert_eq!((death.pid, death.start_ticks), (victim.pid, victim.start_ticks));
    assert_eq!(death.how, "killed by SIGKILL");
    assert!(death.recovered_ns.unwrap() >= death.seen_ns);
    assert_eq!(
        (process.life, process.deaths, process.restarts(), client.deaths()),
        (coordinator::client::status::Life::Live, 1, 1, 1)
    );
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_task_that_its_workers_die_of_fails_and_those_behind_it_do_not() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--attempts-max", "3"]);
    let mut client = Client::attach(&up.dir).unwrap();
    client.send(worker(0, 0), Task::Sleep(LONG), LONG, 0).unwrap();
    for tag in 1..4 {
        client.send(worker(0, 0), Task::Echo(b"behind it"), LONG, tag).unwrap();
    }
    client.flush();
    let mut before = None;
    for _ in 0..3 {
        before = Some(kill_at_work(&client, 0, 0, before));
    }
    let outcomes = Outcomes::wait_for(&mut client, 4);
    assert_eq!(outcomes.reason(0), "worker/0.0 died with the task in hand (killed by SIGKILL)");
    assert!((1..4).all(|tag| outcomes.attempt(tag) == 1));
    assert_eq!(status(&client, 0, 0).process.deaths, 3);
    assert_balanced(&client);
}

#[test]
fn a_worker_that_dies_too_often_is_not_started_again() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--restarts-max", "1", "--attempts-max", "9"]);
    let mut client = Client::attach(&up.dir).unwrap();
    client.send(worker(0, 0), Task::Sleep(LONG), LONG, 0).unwrap();
    client.flush();
    let first = kill_at_work(&client, 0, 0, None);
    at_work(&client, 0, 0, Some(first));
    // Behind its last attempt: before, it would pass while that waits.
    client.send(worker(0, 0), Task::Echo(b"behind it"), LONG, 1).unwrap();
    client.flush();
    kill_at_work(&client, 0, 0, Some(first));
    let outcomes = Outcomes::wait_for(&mut client, 2);
    assert_eq!(outcomes.reason(0), "worker/0.0 died with the task in hand (killed by SIGKILL)");
    assert_eq!(outcomes.reason(1), "worker/0.0 was already dead (killed by SIGKILL)");
    assert!(status(&client, 0, 0).process.is_dead());
    client.send(worker(0, 0), Task::Echo(b"too late"), LONG, 2).unwrap();
    client.send(worker(0, 1), Task::Echo(b"beside it"), LONG, 3).unwrap();
    client.flush();
    let outcomes = Outcomes::wait_for(&mut client, 2);
    assert_eq!(outcomes.reason(2), "worker/0.0 was already dead (killed by SIGKILL)");
    assert_eq!(outcomes.attempt(3), 1);
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn all_workers_killed_at_once_are_replaced_and_lose_nothing() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 20, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let before = client.status();
    for tag in 0..160 {
        let to = coordinator::client::WorkerRef::nth(&shape, (tag % 40) as u32);
        client.send(to, Task::Sleep(Duration::from_millis(20)), LONG, tag).unwrap();
    }
    client.flush();
    let workers = || before.coordinators.iter().flat_map(|coordinator| &coordinator.workers);
    for victim in workers() {
        kill(victim.process.identity(), Signal::SIGKILL);
    }
    let outcomes = Outcomes::wait_for(&mut client, 160);
    assert!(outcomes.all.values().all(|came| came.as_ref().is_ok_and(|came| came.attempt <= 2)));
    wait_until("everyone is replaced", || {
        let status = client.status();
        let mut now = status.coordinators.iter().flat_map(|coordinator| &coordinator.workers);
        now.all(|worker| worker.process.is_live() && worker.process.deaths == 1)
    });
    assert_eq!(client.deaths(), 40);
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
}

/// A ring's ends have been taken more often than its epochs count: what comes later still passes.
#[test]
fn a_worker_may_die_idle_more_often_than_a_ring_has_epochs() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--restarts-max", "1000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    for deaths in 1..=140 {
        wait_until("the next one is there", || status(&client, 0, 0).process.is_live());
        kill(status(&client, 0, 0).process.identity(), Signal::SIGKILL);
        wait_until("its death is seen", || status(&client, 0, 0).process.deaths == deaths);
    }
    client.send(worker(0, 0), Task::Echo(b"still there"), LONG, 0).unwrap();
    client.flush();
    assert_eq!(Outcomes::wait_for(&mut client, 1).all[&0].as_ref().unwrap().body, b"still there");
    assert_balanced(&client);
}

/// The words that say which command a worker runs are in shared memory, and any process of the user can write them.
#[test]
fn a_process_that_is_named_as_a_workers_command_and_is_not_its_own_is_left_alone() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let body = command_body(&["sleep".to_owned(), "600".to_owned()]).unwrap();
    client.send(worker(0, 0), Task::Exec(&body), LONG, 0).unwrap();
    client.flush();
    let victim = at_work(&client, 0, 0, None);
    let mut command = None;
    wait_until("the command runs", || {
        let tasks = format!("/proc/{0}/task/{0}/children", victim.pid);
        let children = std::fs::read_to_string(tasks).unwrap_or_default();
        command = children.split_whitespace().next().and_then(|pid| Identity::of(pid.parse().ok()?));
        command.is_some()
    });
    let command = command.unwrap();
    let mut bystander =
        std::process::Command::new("sleep").arg("60").env_clear().process_group(0).spawn().unwrap();
    let named = Identity::of(bystander.id()).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(up.dir.join("c0")).unwrap();
    let mut at = None;
    // The pid, and the start time behind it, once the worker has written them.
    wait_until("the worker says what it runs", || {
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let of = |word: usize| u64::from_ne_bytes(bytes[word * 8..][..8].try_into().unwrap());
        at = (0..bytes.len() / 8 - 1).find(|word| {
            of(*word) & 0xffff_ffff == u64::from(command.pid) && of(word + 1) == command.start_ticks
        });
        at.is_some()
    });
    let at = at.unwrap() as u64 * 8;
    file.write_all_at(&named.pid.to_ne_bytes(), at).unwrap();
    file.write_all_at(&named.start_ticks.to_ne_bytes(), at + 8).unwrap();
    kill(victim, Signal::SIGKILL);
    wait_until("the worker is replaced", || {
        let process = status(&client, 0, 0).process;
        process.identity() != victim && process.identity().is_alive()
    });
    wait_until("its own command has ended", || command.is_gone());
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander was ended");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
