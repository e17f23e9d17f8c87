//! One of ten, three at once, all but one, all; with and without the supervisor.

use super::{Fleet, Load, assert_gone, program, send, shm, slay, wait_until};
use coordinator::bus::slot::Life;
use nix::sys::signal::Signal;
use std::time::Duration;

const COORDINATORS: u32 = 10;
const WORKERS: u32 = 2;
const IN_FLIGHT: usize = 60;
const A_WHILE: Duration = Duration::from_millis(3);

struct Case {
    /// The lowest numbers, so that the process that would adopt is among them.
    killed: usize,
    supervisor: bool,
}

fn start(shm: &std::path::Path, extra: &[&str]) -> (Fleet, Load) {
    let fleet = Fleet::start(shm, COORDINATORS, WORKERS, &[&["--workers-max", "8"], extra].concat());
    let mut load = Load::on(&fleet.up.dir, IN_FLIGHT, A_WHILE);
    load.answers(200);
    (fleet, load)
}

/// Kills as many as the case says within a moment; the supervisor first, unless all are killed.
fn strike(fleet: &Fleet, case: &Case) {
    let all = fleet.coordinators();
    let supervisor = fleet.control.owner();
    if case.supervisor && case.killed == all.len() {
        // None of them is to see another die: the supervisor would replace a coordinator, and a coordinator adopt the fleet.
        // The kernel continues what is stopped when its parent dies, so the supervisor comes last.
        let everyone = || all.iter().copied().chain([supervisor]);
        for process in everyone() {
            send(process, Signal::SIGSTOP);
        }
        return everyone().for_each(slay);
    }
    if case.supervisor {
        slay(supervisor);
    }
    for victim in &all[..case.killed] {
        slay(*victim);
    }
}

fn is_whole(fleet: &Fleet) -> bool {
    let workers = fleet.workers();
    workers.len() == COORDINATORS as usize && workers.iter().all(|workers| *workers == WORKERS)
}

fn outlives(case: &Case, extra: &[&str]) {
    let shm = shm();
    let (fleet, mut load) = start(shm.path(), extra);
    let before = fleet.control.owner();
    strike(&fleet, case);
    if case.supervisor {
        load.until("another supervisor is there", || fleet.is_adopted_after(before));
    }
    load.until("all deaths are seen", || fleet.deaths() as usize >= case.killed);
    load.until("all are there again", || is_whole(&fleet));
    load.answers(200);
    assert_eq!(fleet.supervisors(), 1 + u32::from(case.supervisor));
    load.end_whole();
    fleet.stop(shm.path());
}

/// Those who are dead stay so, and the others have their work.
fn survives(case: &Case, extra: &[&str]) {
    let shm = shm();
    let (fleet, mut load) = start(shm.path(), &[&["--failover", "survivors"], extra].concat());
    let before = fleet.control.owner();
    strike(&fleet, case);
    if case.supervisor {
        load.until("another supervisor is there", || fleet.is_adopted_after(before));
    }
    let all = COORDINATORS as usize;
    if case.killed < all {
        load.until("what the dead had is handed back", || {
            (fleet.lives(Life::Dead), fleet.lives(Life::Live)) == (case.killed, all - case.killed)
        });
        let wanted = u64::from(WORKERS) * all as u64 / (all - case.killed) as u64;
        let wanted = wanted.min(8) as u32;
        load.until("the survivors have the workers of the dead", || {
            fleet.workers().iter().all(|workers| *workers >= wanted)
        });
    } else {
        // No process survived the first of them to be looked at; it has a successor.
        load.until("a coordinator serves, and no successor is on the way", || {
            fleet.lives(Life::Live) >= 1 && fleet.lives(Life::Live) + fleet.lives(Life::Dead) == all
        });
    }
    load.answers(200);
    load.end_whole();
    fleet.stop(shm.path());
}

/// The fleet ends by itself; its client hears why, and what is left in shared memory is known to have no owner.
fn ends(case: &Case, extra: &[&str]) {
    let shm = shm();
    let (mut fleet, mut load) = start(shm.path(), extra);
    // However long the strike takes, it leaves something undone.
    load.slow_down(Duration::from_secs(3));
    strike(&fleet, case);
    fleet.up.child.wait().unwrap();
    load.end_failing(&["the supervisor died", "died (", "ended with an unknown status"]);
    wait_until("no process is left", || super::mapped_by(shm.path()).is_empty());
    assert!(!super::is_empty(shm.path()));
    let said = program(shm.path(), &["clean"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_gone(shm.path());
}

const KILLED: [usize; 4] = [1, 3, 9, 10];

fn alone(killed: usize) -> Case {
    Case { killed, supervisor: false }
}

fn with_supervisor(killed: usize) -> Case {
    Case { killed, supervisor: true }
}

#[test]
fn whoever_dies_has_a_fresh_successor() {
    for killed in KILLED {
        outlives(&alone(killed), &["--failover", "fresh"]);
    }
}

#[test]
fn whoever_dies_has_a_spare_one() {
    for killed in KILLED {
        outlives(&alone(killed), &["--failover", "spare"]);
    }
}

#[test]
fn the_survivors_do_what_the_dead_had() {
    for killed in KILLED {
        survives(&alone(killed), &[]);
    }
}

#[test]
fn with_the_supervisor_the_fleet_ends() {
    for killed in [0, 1, 10] {
        ends(&with_supervisor(killed), &[]);
    }
}

#[test]
fn with_the_supervisor_beside_a_fresh_one_comes_to_each() {
    for killed in [0, 1, 3, 9] {
        outlives(&with_supervisor(killed), &["--on-supervisor-death", "adopt"]);
    }
}

#[test]
fn with_the_supervisor_beside_a_spare_one_comes_to_each() {
    for killed in [1, 9] {
        outlives(&with_supervisor(killed), &["--failover", "spare", "--on-supervisor-death", "adopt"]);
    }
}

#[test]
fn with_the_supervisor_beside_the_survivors_go_on() {
    for killed in [1, 3, 9] {
        survives(&with_supervisor(killed), &["--on-supervisor-death", "adopt"]);
    }
}

#[test]
fn when_no_process_is_left_to_adopt_it_the_fleet_has_ended() {
    ends(&with_supervisor(10), &["--on-supervisor-death", "adopt"]);
}
