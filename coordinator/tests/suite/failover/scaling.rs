//! Coordinators and workers added and retired while there is work, by hand and by load.

use super::{Fleet, Load, kill, program, shm, slay, wait_until};
use coordinator::bus::directory::{control_path, region_path};
use coordinator::bus::fields::of_region;
use coordinator::bus::ring::LEN_MAX;
use coordinator::bus::slot::Life;
use coordinator::bus::sync::Ordering;
use coordinator::bus::view::Control;
use coordinator::client::{Client, Event, Failure, Task, WorkerRef};
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Coordinators that serve, and their workers.
fn live(fleet: &Fleet) -> (usize, u32) {
    let workers = fleet.workers();
    (workers.len(), workers.iter().sum())
}

fn scale(shm: &std::path::Path, coordinators: u32, workers: u32) -> Child {
    Command::new(super::PROGRAM)
        .args(["scale", "test", "--coordinators", &coordinators.to_string()])
        .args(["--workers", &workers.to_string(), "--shm-dir"])
        .arg(shm)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn coordinators_come_and_go_by_hand_and_nothing_is_lost() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 2, &["--coordinators-max", "4", "--workers-max", "5"]);
    assert_eq!(live(&fleet), (1, 2));
    assert!(!fleet.up.dir.join("c1").exists(), "no process has lived there yet");
    let mut load = Load::on(&fleet.up.dir, 24, Duration::from_millis(2));
    load.answers(50);
    for (coordinators, workers) in [(4, 5), (1, 1), (3, 2), (2, 5), (4, 1), (1, 2)] {
        let mut scaling = scale(shm.path(), coordinators, workers);
        let mut ended = None;
        load.until("it is as was asked for", || {
            ended = scaling.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(0), "{coordinators} coordinators with {workers} workers");
        load.until("who is there is who was asked for", || {
            live(&fleet) == (coordinators as usize, coordinators * workers)
        });
        load.answers(100);
    }
    assert_eq!(fleet.deaths(), 0);
    load.end_whole();
    fleet.stop(shm.path());
}

/// Another program has written there. What is not a record is neither read nor waited for.
#[test]
fn a_coordinator_retires_whatever_is_left_in_its_clients_ring() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 2, 1, &[]);
    let control = Control::attach(&control_path(&fleet.up.dir)).unwrap();
    let slot =
        of_region(control.shape()).into_iter().find(|word| word.name.starts_with("client_down_slots[0]"));
    // The first record of the first epoch, of a kind that there is, and longer than any slot.
    let word: u64 = 1 << 32 | 1 << 24 | 1 << 21 | LEN_MAX as u64;
    let file = std::fs::File::options().write(true).open(region_path(&fleet.up.dir, 1)).unwrap();
    file.write_all_at(&word.to_ne_bytes(), slot.unwrap().at).unwrap();
    control.coordinator(1).bell.ring();
    assert_eq!(scale(shm.path(), 1, 1).wait().unwrap().code(), Some(0));
    assert_eq!(live(&fleet), (1, 1));
    fleet.stop(shm.path());
}

/// A client that has not seen yet that a coordinator is gone sends it a task: no process does it, not
/// even the one that has the place afterwards, and the client hears of it.
#[test]
fn what_comes_too_late_for_a_retired_coordinator_is_left_by_its_successor() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 2, 1, &[]);
    let mut client = Client::attach(&fleet.up.dir).unwrap();
    let trace = shm.path().join("trace");
    let command =
        |word: &str| command_body(&["sh", "-c", &format!("echo {word} >> {}", trace.display())]).unwrap();
    let to = WorkerRef { coordinator: 1, worker: 0 };
    let hour = Duration::from_secs(3600);
    let scaled = |coordinators| {
        let status = scale(shm.path(), coordinators, 1).wait().unwrap();
        assert_eq!(status.code(), Some(0));
    };
    scaled(1);
    // It has not polled since.
    client.send(to, Task::Exec(&command("late")), hour, 1).unwrap();
    client.flush();
    scaled(2);
    client.send(to, Task::Exec(&command("in time")), hour, 2).unwrap();
    client.flush();
    let mut outcomes = std::collections::BTreeMap::new();
    wait_until("both are told", || {
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                outcomes.insert(outcome.tag, outcome.result.map(|answer| answer.code));
            }
        });
        outcomes.len() == 2
    });
    assert!(matches!(outcomes[&1], Err(Failure::CoordinatorDied(1, _))), "{outcomes:?}");
    assert_eq!(outcomes[&2], Ok(0));
    assert_eq!(std::fs::read_to_string(&trace).unwrap(), "in time\n");
    let theirs = client.status().ledger();
    assert_eq!((theirs.accepted, theirs.answered, theirs.in_flight), (1, 1, 0));
    std::fs::remove_file(trace).unwrap();
    drop(client);
    fleet.stop(shm.path());
}

#[test]
fn more_than_there_is_room_for_is_refused() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 1, &[]);
    let said = program(shm.path(), &["scale", "test", "--coordinators", "2"]);
    assert_eq!(said.status.code(), Some(64));
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(words.contains("this fleet has room for 1") && words.contains("--coordinators-max"), "{words}");
    assert_eq!(program(shm.path(), &["scale", "test"]).status.code(), Some(64));
    assert_eq!(program(shm.path(), &["scale", "nobody", "--workers", "1"]).status.code(), Some(10));
    fleet.stop(shm.path());
}

#[test]
fn a_fleet_that_ends_before_it_is_scaled_is_not_reported_as_scaled() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 1, &["--workers-max", "2"]);
    // It follows no order.
    let coordinator = fleet.coordinators()[0];
    kill(coordinator, Signal::SIGSTOP);
    let mut scaling = Command::new(super::PROGRAM)
        .args(["scale", "test", "--workers", "2", "--shm-dir"])
        .arg(shm.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the order is given", || fleet.control.orders().workers.load(Ordering::Relaxed) == 2);
    fleet.up.signal(Signal::SIGTERM);
    assert_eq!(scaling.wait().unwrap().code(), Some(10));
    slay(coordinator);
    wait_until("nothing is left", || super::is_empty(shm.path()));
}

#[test]
fn load_brings_coordinators_and_its_end_retires_them() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 2, &["--coordinators-max", "3", "--by-load"]);
    let mut load = Load::on(&fleet.up.dir, 40, Duration::from_millis(20));
    load.until("more coordinators come", || live(&fleet).0 == 3);
    load.answers(50);
    load.end_whole();
    wait_until("one is left", || live(&fleet) == (1, 1));
    assert_eq!(fleet.control.deaths(), 0);
    fleet.stop(shm.path());
}

/// The one that was told so died before it had looked.
#[test]
fn a_successor_follows_the_order_that_its_predecessor_did_not_see() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 2, &["--workers-max", "4"]);
    let victim = fleet.coordinators()[0];
    kill(victim, Signal::SIGSTOP);
    let orders = fleet.control.orders();
    orders.workers.store(4, Ordering::Relaxed);
    orders.scaled.fetch_add(1, Ordering::AcqRel);
    slay(victim);
    wait_until("there are as many as were ordered", || fleet.workers() == [4]);
    fleet.stop(shm.path());
}

#[test]
fn more_coordinators_than_there_are_places_for_are_not_waited_for() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 2, 1, &["--failover", "survivors"]);
    let victim = fleet.coordinators()[0];
    slay(victim);
    wait_until("its place is given up", || fleet.lives(Life::Dead) == 1);
    let said = program(shm.path(), &["scale", "test", "--coordinators", "2"]);
    let words = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(10), "{words}");
    assert!(words.contains("only 1 of 2 places can be filled"), "{words}");
    fleet.stop(shm.path());
}
