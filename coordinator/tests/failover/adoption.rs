//! Supervisors that die one after the other, and fleets that nobody adopts.

use super::{Fleet, Load, program, shm, slay, wait_until};
use std::time::Duration;

const ADOPT: [&str; 2] = ["--on-supervisor-death", "adopt"];

#[test]
fn supervisors_killed_one_after_the_other_have_each_a_successor() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 3, 2, &ADOPT);
    let mut load = Load::on(&fleet.up.dir, 20, Duration::from_millis(2));
    let coordinators = fleet.coordinators();
    for round in 1..=3_u32 {
        load.answers(100);
        let before = fleet.control.owner();
        slay(before);
        load.until("another supervisor is there", || fleet.is_adopted_after(before));
        assert_eq!(fleet.supervisors(), round + 1);
    }
    // Nobody else had to be replaced for it.
    assert_eq!(fleet.coordinators(), coordinators);
    load.end_whole();
    fleet.stop(shm.path());
}

#[test]
fn who_is_left_alone_is_not_cleaned_away() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 2, 1, &ADOPT);
    let before = fleet.control.owner();
    // It notices nothing for the time being.
    for coordinator in fleet.coordinators() {
        super::kill(coordinator, nix::sys::signal::Signal::SIGSTOP);
    }
    slay(before);
    wait_until("the supervisor is gone", || before.is_gone());
    let said = program(shm.path(), &["clean"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("a coordinator lives; left alone"));
    assert!(fleet.up.dir.exists());
    for coordinator in fleet.coordinators() {
        super::kill(coordinator, nix::sys::signal::Signal::SIGCONT);
    }
    // Waits until somebody has adopted it.
    fleet.stop(shm.path());
}

#[test]
fn a_fleet_whose_owner_dies_with_the_supervisor_ends() {
    let shm = shm();
    let mut owner = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let identity = coordinator::client::Identity::of(owner.id()).unwrap();
    let word = format!("{}:{}", identity.pid, identity.start_ticks);
    let fleet = Fleet::start(shm.path(), 2, 1, &[&ADOPT[..], &["--owner", &word]].concat());
    slay(fleet.control.owner());
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("whoever adopts it ends it", || super::is_empty(shm.path()));
    super::assert_gone(shm.path());
}
