//! What a recovery costs where nothing else goes wrong. Small by default; the figures of the record:
//!
//!     RECOVERY_WORKERS=100 RECOVERY_KILLS=300 cargo test --release -p coordinator --test recovery figures -- \
//!         --nocapture --test-threads 1

use super::times::{Times, hold};
use super::{LONG, Up, shm, wait_until, worker};
use crate::support::outcomes::{Outcomes, assert_balanced};
use coordinator::client::status::{Death, FleetStatus, ProcessStatus};
use coordinator::client::{Client, Task, WorkerRef, now_ns};
use coordinator::wire::command_body;
use rustix::process::{Signal, pidfd_send_signal};
use std::path::Path;
use std::time::Duration;

/// Of tasks that may be in hand when their workers are killed.
const A_WHILE: Duration = Duration::from_millis(20);

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn workers() -> u32 {
    number("RECOVERY_WORKERS", 10)
}

fn kills() -> u32 {
    number("RECOVERY_KILLS", 5)
}

fn all_live(client: &Client) -> bool {
    client.status().processes().all(ProcessStatus::is_live)
}

/// A command that is in hand until `go` is there.
fn until(go: &Path) -> Vec<u8> {
    let go = go.to_str().unwrap();
    command_body(&["sh", "-c", "until [ -e \"$0\" ]; do sleep 0.005; done", go]).unwrap()
}

/// What is known of the death of the coordinator that was `before`, once its successor serves.
fn recovered_from(client: &Client, before: &ProcessStatus) -> Option<Death> {
    client.status().coordinators[0].process.last_death.clone().filter(|death| {
        (death.pid, death.start_ticks) == (before.pid, before.start_ticks) && death.recovered_ns.is_some()
    })
}

/// Kills it; when.
fn kill_now(process: &ProcessStatus) -> u64 {
    let (_, fd) = hold(process).unwrap();
    let killed_ns = now_ns();
    pidfd_send_signal(&fd, Signal::KILL).unwrap();
    killed_ns
}

fn worker_process(status: &FleetStatus, place: WorkerRef) -> ProcessStatus {
    status.coordinators[place.coordinator as usize].workers[place.worker as usize].process.clone()
}

#[test]
fn figures_of_a_killed_worker() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, workers(), &["--restarts-max", "1000000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let mut times = Times::default();
    let desk = tempfile::tempdir().unwrap();
    for kill in 0..kills() {
        let place = worker(0, kill % workers());
        let go = desk.path().join(kill.to_string());
        client.send(place, Task::Exec(&until(&go)), LONG, 0).unwrap();
        client.send(place, Task::Echo(b""), LONG, 1).unwrap();
        client.flush();
        wait_until("it is at work", || {
            client.status().coordinators[0].workers[place.worker as usize].task.is_some()
        });
        let before = worker_process(&client.status(), place);
        let killed_ns = kill_now(&before);
        let mut death = None;
        wait_until("its tasks are queued again", || {
            death = worker_process(&client.status(), place).last_death.filter(|death| {
                (death.pid, death.start_ticks) == (before.pid, before.start_ticks)
                    && death.recovered_ns.is_some()
            });
            death.is_some()
        });
        let death = death.unwrap();
        times.note(killed_ns, death.seen_ns, death.recovered_ns.unwrap());
        std::fs::write(&go, "").unwrap();
        assert_eq!(Outcomes::wait_for(&mut client, 2).attempt(0), 2);
        wait_until("it is replaced", || all_live(&client));
    }
    println!("{}", times.told("worker", "tasks queued again"));
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn figures_of_a_killed_coordinator() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, workers(), &["--restarts-max", "1000000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let (mut times, mut first_answers, mut everybody) = (Times::default(), Vec::new(), Vec::new());
    let desk = tempfile::tempdir().unwrap();
    for kill in 0..kills() {
        let go = desk.path().join(kill.to_string());
        for n in 0..workers() {
            client.send(worker(0, n), Task::Exec(&until(&go)), LONG, n.into()).unwrap();
        }
        client.flush();
        wait_until("all are at work", || {
            client.status().coordinators[0].workers.iter().all(|worker| worker.task.is_some())
        });
        let before = client.status().coordinators[0].process.clone();
        let killed_ns = kill_now(&before);
        std::fs::write(&go, "").unwrap();
        let mut outcomes = Outcomes::default();
        while outcomes.all.is_empty() {
            client.wait(Duration::from_millis(50));
            outcomes.take(&mut client);
        }
        first_answers.push(now_ns() - killed_ns);
        // Before its death is seen, everybody seems to be there.
        wait_until("it has a successor that serves", || recovered_from(&client, &before).is_some());
        wait_until("everybody is replaced", || all_live(&client));
        everybody.push(now_ns() - killed_ns);
        let death = recovered_from(&client, &before).unwrap();
        times.note(killed_ns, death.seen_ns, death.recovered_ns.unwrap());
        wait_until("every task has its outcome", || {
            outcomes.take(&mut client);
            outcomes.all.len() == workers() as usize
        });
    }
    println!("{}", times.told("coordinator", "serving again"));
    println!("coordinator killed → first answer of a command: {}", super::times::line(&mut first_answers));
    println!(
        "coordinator killed → all {} workers there again: {}",
        workers(),
        super::times::line(&mut everybody)
    );
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
}

/// `RECOVERY_FLEET` coordinators with as many workers each; all workers die at the same moment.
#[test]
fn figures_of_all_workers_killed_at_once() {
    let shm = shm();
    let coordinators = number("RECOVERY_FLEET", 2);
    let up = Up::start(shm.path(), coordinators, workers(), &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let count = coordinators * workers();
    for tag in 0..count {
        client.send(WorkerRef::nth(&shape, tag), Task::Sleep(A_WHILE * 10), LONG, tag.into()).unwrap();
    }
    client.flush();
    let status = client.status();
    let victims: Vec<_> = status
        .coordinators
        .iter()
        .flat_map(|coordinator| &coordinator.workers)
        .map(|worker| hold(&worker.process).unwrap())
        .collect();
    let killed_ns = now_ns();
    for (_, fd) in &victims {
        pidfd_send_signal(fd, Signal::KILL).unwrap();
    }
    let mut last_ns = None;
    wait_until("all tasks are queued again", || {
        let status = client.status();
        let deaths: Option<Vec<u64>> = status
            .coordinators
            .iter()
            .flat_map(|coordinator| &coordinator.workers)
            .map(|worker| worker.process.last_death.as_ref().and_then(|death| death.recovered_ns))
            .collect();
        last_ns = deaths.and_then(|deaths| deaths.into_iter().max());
        last_ns.is_some()
    });
    let queued_ns = last_ns.unwrap() - killed_ns;
    wait_until("everybody is replaced", || all_live(&client));
    let replaced_ns = now_ns() - killed_ns;
    let outcomes = Outcomes::wait_for(&mut client, count as usize);
    assert!(outcomes.all.values().all(Result::is_ok));
    println!(
        "{count} workers killed at once → all seen, tasks queued again: {:.1} ms; all there again: {:.1} ms",
        queued_ns as f64 / 1e6,
        replaced_ns as f64 / 1e6
    );
    assert_balanced(&client);
    assert_eq!(up.stop(), Some(0));
}
