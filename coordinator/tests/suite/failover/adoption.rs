//! Supervisors that die one after the other, and fleets that no process adopts.

use super::{Fleet, Load, program, shm, slay, wait_until};
use coordinator::bus::directory;
use coordinator::bus::events::EventKind;
use coordinator::bus::view::{Control, Stamped};
use coordinator::client::Identity;
use coordinator::client::launch::{Program, launch};
use coordinator::config::{FleetShape, Policy, SupervisorDeath};
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
    // No other process had to be replaced for it.
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
    // A survivor is one of its coordinators.
    let own = Identity::own();
    control.coordinator(1).process.mark_live(own.pid, own.start_ticks);
    let said = program(shm.path(), &["clean"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("a coordinator is alive; left alone"));
    assert!(dir.exists());
    control.coordinator(1).process.mark_live(owner.pid, owner.start_ticks);
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
fn an_adopter_believes_no_place_that_names_a_process_which_is_not_the_fleets() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 4, 1, &ADOPT);
    let (before, coordinators) = (fleet.control.owner(), fleet.coordinators());
    // Nothing puts right what is written from here on.
    super::kill(before, nix::sys::signal::Signal::SIGSTOP);
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let bystander = Identity::of(other.id()).unwrap();
    let cell = |index: u32| &fleet.control.coordinator(index).process;
    cell(1).mark_live(bystander.pid, bystander.start_ticks);
    cell(2).mark_live(0, 0);
    // A neighbour.
    cell(3).mark_live(coordinators[0].pid, coordinators[0].start_ticks);
    slay(before);
    wait_until("another supervisor is there", || fleet.is_adopted_after(before));
    wait_until("its places are right", || fleet.coordinators() == coordinators);
    assert_eq!([1, 2, 3].map(|place| fleet.events(EventKind::Overwritten, place)), [1; 3]);
    assert_eq!(fleet.deaths(), 0);
    let mut load = Load::on(&fleet.up.dir, 20, Duration::from_millis(2));
    load.answers(100);
    load.end_whole();
    // One that has died is followed by another, and the process that its place names now stays out of it.
    let before = fleet.control.owner();
    super::kill(before, nix::sys::signal::Signal::SIGSTOP);
    slay(coordinators[1]);
    cell(1).mark_live(bystander.pid, bystander.start_ticks);
    slay(before);
    wait_until("another supervisor is there", || fleet.is_adopted_after(before));
    wait_until("there is another coordinator", || {
        let found = cell(1).identity();
        found != coordinators[1] && found != bystander && found.is_alive()
    });
    fleet.stop(shm.path());
    assert!(bystander.is_alive());
    other.kill().unwrap();
    other.wait().unwrap();
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
    wait_until("its new supervisor ends it", || super::is_empty(shm.path()));
    super::assert_gone(shm.path());
}

/// Not a claim of its own: what [`the_program_that_launched_a_fleet_ends_it_under_any_supervisor`] runs in a process of its own, since one
/// who launches has no other children.
#[test]
fn child_that_launches() {
    let Some(shm) = std::env::var_os("LAUNCH_THERE") else { return };
    let shm = std::path::Path::new(&shm);
    let program = Program { path: super::PROGRAM.into(), arguments: Vec::new() };
    let shape = FleetShape::new(2, 2, 64, 2).unwrap();
    let policy = Policy { supervisor_death: SupervisorDeath::Adopt, ..Policy::default() };
    let mut fleet = launch(&program, shm, "test", (&shape, &policy), None, || false).unwrap();
    let control = Control::attach(&directory::control_path(fleet.dir())).unwrap();
    let before = control.owner();
    slay(before);
    wait_until("another supervisor is there", || control.owner() != before && control.owner().is_alive());
    let adopter = control.owner();
    let stopped = fleet.stop();
    assert_eq!(stopped.how, None, "it ended as asked");
    let how = stopped.adopted.unwrap();
    assert!(
        how.contains(&format!("process {} had adopted its fleet, and stopped as asked", adopter.pid)),
        "{how}"
    );
    assert_eq!(stopped.cleaned, Vec::<String>::new());
}

#[test]
fn the_program_that_launched_a_fleet_ends_it_under_any_supervisor() {
    let shm = shm();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failover::adoption::child_that_launches", "--nocapture"])
        .env("LAUNCH_THERE", shm.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    super::assert_gone(shm.path());
}
