//! Forks that the kernel refuses.

use super::{Fleet, Load, PROGRAM, Up, assert_gone, is_empty, shm, slay};
use coordinator::bus::events::EventKind;
use coordinator::bus::slot::Life;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A cgroup that is removed again however the test ends.
struct Pids(PathBuf);

impl Drop for Pids {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

impl Pids {
    /// One with room for so many processes, where this user may make one.
    fn with(name: &str, max: u32) -> Option<Self> {
        for mount in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
            let path = Path::new(mount).join(format!("failover-{name}-{}", std::process::id()));
            if Path::new(mount).join("cgroup.procs").exists() && std::fs::create_dir(&path).is_ok() {
                let group = Self(path);
                if group.set(max) {
                    return Some(group);
                }
            }
        }
        None
    }

    fn set(&self, max: u32) -> bool {
        std::fs::write(self.0.join("pids.max"), max.to_string()).is_ok()
    }

    /// `up` in it.
    fn up(&self, shm: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"echo $$ > "$1/cgroup.procs" && shift && exec "$0" "$@""#, PROGRAM])
            .arg(&self.0)
            .args(["up", "--name", "test", "--shm-dir"])
            .arg(shm)
            .args(arguments);
        command
    }
}

#[test]
fn a_successor_that_cannot_be_forked_comes_when_there_is_room() {
    let Some(group) = Pids::with("successor", 1000) else {
        println!("skipped: no cgroup of one's own to be had here");
        return;
    };
    let shm = shm();
    let child = group
        .up(shm.path(), &["--coordinators", "2", "--workers", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let up = Up { child, dir: shm.path().join("coord-test") };
    super::wait_until("the fleet is ready", || {
        coordinator::client::status::of(&up.dir).is_ok_and(|status| status.stage == "ready")
    });
    let mut fleet = Fleet::of(up);
    let mut load = Load::on(&fleet.up.dir, 10, Duration::from_millis(2));
    load.answers(20);
    // Nobody comes any more.
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
    let Some(group) = Pids::with("part", 8) else {
        println!("skipped: no cgroup of one's own to be had here");
        return;
    };
    let shm = shm();
    let shape = ["--coordinators", "2", "--workers", "5"];
    let output = group.up(shm.path(), &shape).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(20), "{said}");
    assert!(said.contains("does not fit here") && said.contains("processes of the container"), "{said}");
    assert!(is_empty(shm.path()));
    assert_gone(shm.path());
    // With room for at least one worker of each.
    assert!(group.set(11));
    let mut command = group.up(shm.path(), &[&shape[..], &["--partial"]].concat());
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let up = Up { child, dir: shm.path().join("coord-test") };
    super::wait_until("the fleet is ready", || {
        coordinator::client::status::of(&up.dir).is_ok_and(|status| status.stage == "ready")
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
fn a_fleet_that_nobody_can_adopt_ends_in_order() {
    let Some(group) = Pids::with("alone", 1000) else {
        println!("skipped: no cgroup of one's own to be had here");
        return;
    };
    let shm = shm();
    let adopt = ["--coordinators", "3", "--workers", "2", "--on-supervisor-death", "adopt"];
    let child = group.up(shm.path(), &adopt).stdout(Stdio::null()).spawn().unwrap();
    let mut up = Up { child, dir: shm.path().join("coord-test") };
    super::wait_until("the fleet is ready", || {
        coordinator::client::status::of(&up.dir).is_ok_and(|status| status.stage == "ready")
    });
    // No supervisor can be forked.
    assert!(group.set(1));
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    assert!(!is_empty(shm.path()));
    super::wait_until("the last one has removed the directory", || is_empty(shm.path()));
    assert_gone(shm.path());
}
