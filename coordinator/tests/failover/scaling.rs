//! Coordinators and workers added and retired while there is work, by hand and by load.

use super::{Fleet, Load, program, shm, wait_until};
use coordinator::bus::sync::Ordering;
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
    assert!(!fleet.up.dir.join("c1").exists(), "nobody has lived there yet");
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
fn load_brings_coordinators_and_its_end_retires_them() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 2, &["--coordinators-max", "3", "--by-load"]);
    let mut load = Load::on(&fleet.up.dir, 40, Duration::from_millis(20));
    load.until("more coordinators come", || live(&fleet).0 == 3);
    load.answers(50);
    load.end_whole();
    wait_until("one is left", || live(&fleet) == (1, 1));
    assert_eq!(fleet.control.state().deaths.load(Ordering::Relaxed), 0);
    fleet.stop(shm.path());
}
