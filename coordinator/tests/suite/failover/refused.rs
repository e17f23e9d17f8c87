//! Forks that the kernel refuses.

use super::{Fleet, Load, PROGRAM, Up, assert_gone, is_empty, shm, slay};
use crate::support::wants::Group;
use coordinator::bus::events::EventKind;
use coordinator::bus::slot::Life;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// `up` in this control group.
fn up(group: &Group, shm: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"echo $$ > "$1/cgroup.procs" && shift && exec "$0" "$@""#, PROGRAM])
        .arg(&group.path)
        .args(["up", "--name", "test", "--shm-dir"])
        .arg(shm)
        .args(arguments);
    command
}

#[test]
fn a_successor_that_cannot_be_forked_comes_when_there_is_room() {
    let Some(group) = Group::of_processes("successor", 1000) else {
        return;
    };
    let shm = shm();
    let child = up(&group, shm.path(), &["--coordinators", "2", "--workers", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let up = Up { child, dir: shm.path().join("coord-test") };
    super::wait_until("the fleet is ready", || {
        coordinator::client::status::of(&up.dir)
            .is_ok_and(|status| status.stage == coordinator::client::status::Stage::Ready)
    });
    let mut fleet = Fleet::of(up);
    let mut load = Load::on(&fleet.up.dir, 10, Duration::from_millis(2));
    load.answers(20);
    // No successor comes any more.
    assert!(group.set(1));
    let victim = fleet.coordinators()[0];
    slay(victim);
    load.until("a fork is refused", || fleet.events(EventKind::Refused, 0) > 0);
    // The others go on meanwhile.
    load.answers(20);
    assert!(group.set(1000));
    load.until("the successor is there", || {
        fleet.control.coordinator(0).process.life() == Life::Live && fleet.coordinators()[0] != victim
    });
    load.end_whole();
    let mut said = String::new();
    let mut stderr = fleet.up.child.stderr.take().unwrap();
    fleet.stop(shm.path());
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    assert!(said.contains("coord/0 cannot be started") && said.contains("pids.max"), "{said}");
}

#[test]
fn a_fleet_that_does_not_fit_comes_up_in_part_or_not_at_all() {
    let Some(group) = Group::of_processes("part", 8) else {
        return;
    };
    let shm = shm();
    let shape = ["--coordinators", "2", "--workers", "5"];
    let output = up(&group, shm.path(), &shape).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(20), "{said}");
    assert!(
        said.contains("does not fit: this host") && said.contains("processes of the container"),
        "{said}"
    );
    assert!(is_empty(shm.path()));
    assert_gone(shm.path());
    // With room for the guard and at least one worker of each.
    assert!(group.set(12));
    let mut command = up(&group, shm.path(), &[&shape[..], &["--partial"]].concat());
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let up = Up { child, dir: shm.path().join("coord-test") };
    super::wait_until("the fleet is ready", || {
        coordinator::client::status::of(&up.dir)
            .is_ok_and(|status| status.stage == coordinator::client::status::Stage::Ready)
    });
    let fleet = Fleet::of(up);
    let mut load = Load::on(&fleet.up.dir, 10, Duration::from_millis(2));
    load.answers(20);
    assert_eq!(fleet.workers().iter().sum::<u32>(), 8);
    assert!(group.set(100));
    load.until("the rest has come", || fleet.workers() == [5, 5]);
    load.end_whole();
    fleet.stop(shm.path());
}

#[test]
fn a_fleet_that_no_process_can_adopt_ends_in_order() {
    let Some(group) = Group::of_processes("alone", 1000) else {
        return;
    };
    let shm = shm();
    let adopt = ["--coordinators", "3", "--workers", "2", "--on-supervisor-death", "adopt"];
    let child = up(&group, shm.path(), &adopt).stdout(Stdio::null()).spawn().unwrap();
    let mut up = Up { child, dir: shm.path().join("coord-test") };
    super::wait_until("the fleet is ready", || {
        coordinator::client::status::of(&up.dir)
            .is_ok_and(|status| status.stage == coordinator::client::status::Stage::Ready)
    });
    // No supervisor can be forked.
    assert!(group.set(1));
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    assert!(!is_empty(shm.path()));
    super::wait_until("the last one has removed the directory", || is_empty(shm.path()));
    assert_gone(shm.path());
}
