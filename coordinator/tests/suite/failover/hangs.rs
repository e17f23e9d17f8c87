//! Coordinators that are stopped: for a moment, and for longer than is waited for.

use super::{Fleet, Load, kill, program, shm};
use coordinator::bus::events::EventKind;
use coordinator::bus::slot::Life;
use coordinator::bus::sync::Ordering;
use nix::sys::signal::Signal;
use std::time::Duration;

#[test]
fn a_coordinator_that_hangs_is_suspected_ended_and_replaced() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 2, 2, &["--hang-after", "400ms"]);
    let mut load = Load::on(&fleet.up.dir, 20, Duration::from_millis(2));
    load.answers(50);
    let victim = fleet.coordinators()[0];
    kill(victim, Signal::SIGSTOP);
    load.until("it is replaced", || {
        fleet.control.coordinator(0).process.life() == Life::Live && fleet.coordinators()[0] != victim
    });
    assert!(!victim.is_alive());
    assert!(fleet.events(EventKind::Suspected, 0) > 0 && fleet.events(EventKind::Hung, 0) == 1);
    load.answers(50);
    load.end_whole();
    fleet.stop(shm.path());
}

#[test]
fn a_suspicion_that_was_false_is_healed() {
    let shm = shm();
    // Long enough that no process is confirmed here by a slow machine.
    let fleet = Fleet::start(shm.path(), 2, 2, &["--hang-after", "4s"]);
    let mut load = Load::on(&fleet.up.dir, 20, Duration::from_millis(2));
    load.answers(50);
    let victim = fleet.coordinators()[0];
    kill(victim, Signal::SIGSTOP);
    load.until("it is suspected", || fleet.events(EventKind::Suspected, 0) > 0);
    kill(victim, Signal::SIGCONT);
    load.until("the suspicion is healed", || fleet.events(EventKind::Healed, 0) > 0);
    load.answers(50);
    assert_eq!((fleet.coordinators()[0], fleet.events(EventKind::Hung, 0)), (victim, 0));
    assert_eq!(fleet.control.coordinator(0).suspected_ns.load(Ordering::Relaxed), 0);
    load.end_whole();
    fleet.stop(shm.path());
}

#[test]
fn a_supervisor_that_hangs_is_replaced_where_the_fleet_outlives_it() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 2, 2, &["--hang-after", "400ms", "--on-supervisor-death", "adopt"]);
    let mut load = Load::on(&fleet.up.dir, 20, Duration::from_millis(2));
    load.answers(50);
    let before = fleet.control.owner();
    kill(before, Signal::SIGSTOP);
    load.until("another supervisor is there", || fleet.is_adopted_after(before));
    load.answers(50);
    load.end_whole();
    fleet.stop(shm.path());
}

#[test]
fn nobody_is_taken_for_hung_where_that_is_the_order() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 1, &["--hang-after", "never"]);
    let victim = fleet.coordinators()[0];
    kill(victim, Signal::SIGSTOP);
    // The supervisor has carried orders out meanwhile: it looked.
    let said = program(shm.path(), &["scale", "test", "--coordinators", "1"]);
    assert!(said.status.success());
    kill(victim, Signal::SIGCONT);
    assert_eq!((fleet.coordinators()[0], fleet.events(EventKind::Suspected, 0)), (victim, 0));
    fleet.stop(shm.path());
}
