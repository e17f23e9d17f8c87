//! Supervisors that die one after the other, and fleets that nobody adopts.

use super::{Fleet, Load, program, shm, slay, wait_until};
use coordinator::bus::directory;
use coordinator::bus::view::Stamped;
use coordinator::client::Identity;
use coordinator::config::FleetShape;
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
fn a_fleet_that_waits_for_a_supervisor_is_not_cleaned_away() {
    let shm = shm();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    let owner = Identity::of(gone.id()).unwrap();
    gone.wait().unwrap();
    let shape = FleetShape::new(2, 1, 64, 1).unwrap();
    let (dir, control) = directory::create(shm.path(), "test", &Stamped::new(owner, 0, shape), 1).unwrap();
    // Somebody who lives is one of its coordinators.
    let own = Identity::own();
    control.coordinator(1).process.arrived(own.pid, own.start_ticks);
    let said = program(shm.path(), &["clean"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("a coordinator lives; left alone"));
    assert!(dir.exists());
    control.coordinator(1).process.arrived(owner.pid, owner.start_ticks);
    assert!(program(shm.path(), &["clean"]).status.success());
    assert!(super::is_empty(shm.path()));
}

#[test]
fn stopped_coordinators_are_adopted_as_well() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 3, 2, &ADOPT);
    let mut load = Load::on(&fleet.up.dir, 20, Duration::from_millis(2));
    load.answers(50);
    let (before, coordinators) = (fleet.control.owner(), fleet.coordinators());
    super::kill(coordinators[1], nix::sys::signal::Signal::SIGSTOP);
    slay(before);
    load.until("another supervisor is there", || fleet.is_adopted_after(before));
    super::kill(coordinators[1], nix::sys::signal::Signal::SIGCONT);
    load.answers(50);
    assert_eq!(fleet.coordinators(), coordinators);
    load.end_whole();
    fleet.stop(shm.path());
}

#[test]
fn a_fleet_whose_owner_dies_with_the_supervisor_ends() {
    let shm = shm();
    let mut owner = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let identity = Identity::of(owner.id()).unwrap();
    let word = format!("{}:{}", identity.pid, identity.start_ticks);
    let fleet = Fleet::start(shm.path(), 2, 1, &[&ADOPT[..], &["--owner", &word]].concat());
    slay(fleet.control.owner());
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("whoever adopts it ends it", || super::is_empty(shm.path()));
    super::assert_gone(shm.path());
}
