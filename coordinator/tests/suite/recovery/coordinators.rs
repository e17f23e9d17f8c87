//! A coordinator dies, and its workers with it; a successor goes on.

use super::{LONG, Up, is_empty, kill, shm, wait_until, worker};
use crate::support::outcomes::{Outcomes, assert_balanced};
use coordinator::bus::directory::{control_path, region_path};
use coordinator::bus::sync::Ordering;
use coordinator::bus::view::{Control, Region};
use coordinator::client::status::CoordinatorStatus;
use coordinator::client::{Client, Identity, SendError, Task, WorkerRef};
use nix::sys::signal::Signal;
use std::time::Duration;

fn status(client: &Client, index: usize) -> CoordinatorStatus {
    client.status().coordinators[index].clone()
}

/// Sends `count` echoes all over the fleet, in as many polls as it takes; their tags begin at `from`.
fn load(client: &mut Client, outcomes: &mut Outcomes, from: u64, count: u64) {
    let shape = *client.shape();
    let workers = u64::from(shape.coordinators() * shape.workers_per_coordinator());
    for tag in from..from + count {
        let to = WorkerRef::nth(&shape, (tag % workers) as u32);
        wait_until("the task is accepted", || {
            match client.send(to, Task::Echo(&tag.to_le_bytes()), LONG, tag) {
                Ok(_) => true,
                Err(SendError::Backpressure) => {
                    client.flush();
                    outcomes.take(client);
                    false
                }
                Err(other) => panic!("{to}: {other}"),
            }
        });
    }
    client.flush();
}

fn assert_all_echoed(outcomes: &Outcomes, count: u64) {
    assert_eq!(outcomes.all.len() as u64, count);
    for (tag, came) in &outcomes.all {
        assert_eq!(came.as_ref().unwrap().body, tag.to_le_bytes(), "task {tag}");
    }
}

#[test]
fn a_killed_coordinators_tasks_are_done_by_its_successor() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 3, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let before = status(&client, 0);
    for n in 0..3 {
        client.send(worker(0, n), Task::Sleep(Duration::from_millis(300)), LONG, u64::from(n)).unwrap();
    }
    client.send(worker(1, 0), Task::Echo(b"other"), LONG, 3).unwrap();
    client.flush();
    wait_until("all are at work", || status(&client, 0).workers.iter().all(|worker| worker.task.is_some()));
    kill(before.process.identity(), Signal::SIGKILL);
    let outcomes = Outcomes::wait_for(&mut client, 4);
    assert!((0..3).all(|tag| outcomes.attempt(tag) == 2));
    assert_eq!(outcomes.attempt(3), 1);
    assert!(before.workers.iter().all(|worker| worker.process.identity().is_gone()));
    assert!(up.identities().iter().all(Identity::is_alive));
    let after = status(&client, 0);
    let death = after.process.last_death.clone().unwrap();
    assert_eq!((death.pid, death.how.as_str()), (before.process.pid, "killed by SIGKILL"));
    assert!(death.seen_ns <= death.attached_ns.unwrap());
    assert!(death.attached_ns <= death.recovered_ns);
    assert_eq!((after.epoch, after.process.incarnation, after.process.deaths), (2, 2, 1));
    assert_eq!((status(&client, 1).epoch, client.deaths()), (1, 1));
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn coordinators_killed_under_load_lose_nothing_and_answer_each_task_once() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 5, &["--restarts-max", "1000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let mut outcomes = Outcomes::default();
    let (rounds, each) = (20_u64, 300_u64);
    for round in 0..rounds {
        load(&mut client, &mut outcomes, round * each, each);
        let index = (round % 2) as usize;
        let process = status(&client, index).process;
        // It may be that the one before has not been replaced yet.
        if process.is_live() && process.identity().is_alive() {
            kill(process.identity(), Signal::SIGKILL);
        }
    }
    wait_until("every task has its outcome", || {
        outcomes.take(&mut client);
        outcomes.all.len() as u64 == rounds * each
    });
    assert_all_echoed(&outcomes, rounds * each);
    assert_eq!(outcomes.repeated, client.repeated());
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_successor_killed_while_it_takes_over_has_a_successor() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 5, &["--restarts-max", "1000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let mut outcomes = Outcomes::default();
    let mut count = 0;
    for _ in 0..5 {
        load(&mut client, &mut outcomes, count, 100);
        count += 100;
        let mut last: Option<Identity> = None;
        for _ in 0..4 {
            // As soon as its pid is known, whatever it does at that moment.
            wait_until("the next one is killed", || {
                let next = status(&client, 0).process.identity();
                let killed = Some(next) != last && next.is_alive();
                if killed {
                    let _ =
                        nix::sys::signal::kill(nix::unistd::Pid::from_raw(next.pid as i32), Signal::SIGKILL);
                    last = Some(next);
                }
                killed
            });
        }
    }
    wait_until("every task has its outcome", || {
        outcomes.take(&mut client);
        outcomes.all.len() as u64 == count
    });
    assert_all_echoed(&outcomes, count);
    assert_balanced(&client);
    wait_until("every death is seen", || status(&client, 0).process.deaths == 20);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_stopped_coordinator_is_not_taken_for_dead() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 3, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let before = status(&client, 0).process.identity();
    let mut outcomes = Outcomes::default();
    for round in 0..5 {
        kill(before, Signal::SIGSTOP);
        load(&mut client, &mut outcomes, round * 12, 12);
        // Longer than every tick of the supervisor's.
        std::thread::park_timeout(Duration::from_millis(300));
        kill(before, Signal::SIGCONT);
        wait_until("every task has its outcome", || {
            outcomes.take(&mut client);
            outcomes.all.len() as u64 == (round + 1) * 12
        });
    }
    assert_all_echoed(&outcomes, 60);
    let after = status(&client, 0);
    assert_eq!((after.process.identity(), after.epoch, after.process.deaths), (before, 1, 0));
    assert_balanced(&client);
}

#[test]
fn a_coordinator_that_dies_too_often_is_given_up_and_its_tasks_fail() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &["--restarts-max", "1"]);
    let mut client = Client::attach(&up.dir).unwrap();
    client.send(worker(0, 0), Task::Sleep(LONG), LONG, 0).unwrap();
    client.send(worker(1, 0), Task::Echo(b"other"), LONG, 1).unwrap();
    client.flush();
    let first = status(&client, 0).process.identity();
    kill(first, Signal::SIGKILL);
    wait_until("the successor is there", || {
        let process = status(&client, 0).process;
        process.is_live() && process.identity() != first
    });
    kill(status(&client, 0).process.identity(), Signal::SIGKILL);
    let outcomes = Outcomes::wait_for(&mut client, 2);
    assert_eq!(outcomes.reason(0), "coord/0 died (killed by SIGKILL)");
    assert_eq!(outcomes.attempt(1), 1);
    assert_eq!(client.send(worker(0, 0), Task::Echo(b""), LONG, 2), Err(SendError::DeadRecipient));
    assert!(!client.is_lost());
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

/// A program scribbles over the table while no process reads it; the successor trusts none of it.
#[test]
fn a_damaged_entry_fails_with_its_reason_and_no_other_does() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 3, &["--depth", "2"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let control = Control::attach(&control_path(&up.dir)).unwrap();
    let region = Region::attach(&region_path(&up.dir, 0), control.stamped(), 0).unwrap();
    for n in 0..3 {
        client.send(worker(0, n), Task::Sleep(Duration::from_millis(200)), LONG, u64::from(n)).unwrap();
    }
    client.flush();
    wait_until("all are at work", || status(&client, 0).workers.iter().all(|worker| worker.task.is_some()));
    kill(status(&client, 0).process.identity(), Signal::SIGSTOP);
    let (of_first, of_second) = (&region.table()[0], &region.table()[1]);
    // No state of any kind; and a worker that there is not.
    of_first.word.store(of_first.word.load(Ordering::Acquire) | 0xff, Ordering::Release);
    of_second.word.store(of_second.word.load(Ordering::Acquire) | 0xffff_0000, Ordering::Release);
    kill(status(&client, 0).process.identity(), Signal::SIGKILL);
    let outcomes = Outcomes::wait_for(&mut client, 3);
    for tag in 0..2 {
        let wanted = format!("another program overwrote table[{tag}] in the memory of coord/0");
        assert_eq!(outcomes.reason(tag), wanted);
    }
    assert_eq!(outcomes.attempt(2), 2);
    assert_eq!(status(&client, 0).damaged, 2);
    assert_balanced(&client);
    // And the entries serve again.
    let mut outcomes = Outcomes::default();
    load(&mut client, &mut outcomes, 10, 50);
    wait_until("every task has its outcome", || {
        outcomes.take(&mut client);
        outcomes.all.len() == 50
    });
    assert_balanced(&client);
}

#[test]
fn what_a_dead_coordinators_workers_were_running_ends() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--attempts-max", "1"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let mark = shm.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {0}.new; mv {0}.new {0}; wait", mark.display());
    let body = coordinator::wire::command_body(&["sh", "-c", &script]).unwrap();
    client.send(worker(0, 0), Task::Exec(&body), LONG, 0).unwrap();
    client.flush();
    wait_until("the command has started", || mark.exists());
    let pids = std::fs::read_to_string(&mark).unwrap();
    let started: Vec<_> =
        pids.split_whitespace().map(|pid| Identity::of(pid.parse().unwrap()).unwrap()).collect();
    assert_eq!(started.len(), 2);
    kill(status(&client, 0).process.identity(), Signal::SIGKILL);
    assert!(Outcomes::wait_for(&mut client, 1).all[&0].is_err());
    wait_until("shell and background process are gone", || started.iter().all(|process| !process.is_alive()));
    std::fs::remove_file(mark).unwrap();
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}
