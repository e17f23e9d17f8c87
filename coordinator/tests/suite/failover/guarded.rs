//! The guard, which ends what a fleet has started when no other process of the fleet is left to do so.

use super::{Up, assert_gone, kill, mapped_by, shm, slay, wait_until};
use coordinator::client::events::{Follower, Seen, What};
use coordinator::client::{Client, Identity, Task, WorkerRef};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;

const SIGNALS: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGALRM];

/// Of the fleet in `shm`, if it has one.
fn guard(shm: &Path) -> Option<Identity> {
    let named =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "guard\n");
    mapped_by(shm).into_iter().find(named).and_then(Identity::of)
}

/// A worker of `coordinator` runs something that leaves its group and session; the identity of that.
fn daemon(client: &mut Client, coordinator: u32, dir: &Path) -> Identity {
    let script = format!("cd {}; setsid sleep 1000 & echo $! >daemon.{coordinator}; wait", dir.display());
    let body = coordinator::wire::command_body(&["sh".to_owned(), "-c".to_owned(), script]).unwrap();
    let worker = WorkerRef { coordinator, worker: 0 };
    client.send(worker, Task::Exec(&body), Duration::from_secs(600), coordinator.into()).unwrap();
    client.flush();
    let mut found = None;
    wait_until("its pid is written", || {
        let text = std::fs::read_to_string(dir.join(format!("daemon.{coordinator}"))).unwrap_or_default();
        found = text.strip_suffix('\n').and_then(|pid| Identity::of(pid.parse().unwrap()));
        found.is_some()
    });
    found.unwrap()
}

/// Removes the memory of a dead fleet and its workers' temporary files; nothing else is left of it.
fn clean(shm: &Path) {
    let mut command = std::process::Command::new(super::PROGRAM);
    let cleaned = command.args(["clean", "--shm-dir"]).arg(shm).env("TMPDIR", shm).output().unwrap();
    assert!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
    assert_gone(shm);
}

#[test]
fn a_guard_that_is_killed_has_a_successor_and_ends_with_its_fleet() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let first = guard(shm.path()).unwrap();
    slay(first);
    wait_until("there is another", || {
        guard(shm.path()).is_some_and(|found| found != first && found.is_alive())
    });
    let events = Follower::attach(&up.dir).unwrap().rest().unwrap();
    let told = |seen: &&Seen| matches!(seen.what, What::HelperDied { .. });
    let died: Vec<_> =
        events.iter().filter(told).map(|seen| format!("{} {}", seen.subject, seen.what)).collect();
    assert_eq!(died, [format!("supervisor helper-died guard pid {} killed by SIGKILL", first.pid)]);
    assert_eq!(up.stop(), Some(0));
    assert_gone(shm.path());
}

#[test]
fn a_guard_outlives_every_signal_that_can_be_refused() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let first = guard(shm.path()).unwrap();
    for signal in SIGNALS {
        kill(first, signal);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", first.pid)).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
    assert!(SIGNALS.iter().all(|signal| blocked & 1 << (*signal as u64 - 1) != 0), "{blocked:x}");
    assert!(first.is_alive());
    assert_eq!(up.stop(), Some(0));
    assert_gone(shm.path());
}

#[test]
fn what_a_killed_coordinator_and_supervisor_had_started_is_ended() {
    for coordinators in [1, 3] {
        let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
        let up = Up::start(shm.path(), coordinators, 1, &[]);
        let mut client = Client::attach(&up.dir).unwrap();
        let daemon = daemon(&mut client, 0, dir.path());
        let status = client.status();
        // Stopped, so that it cannot kill what its coordinator leaves.
        kill(status.supervisor.identity(), Signal::SIGSTOP);
        slay(status.coordinators[0].process.identity());
        slay(status.supervisor.identity());
        wait_until("what its worker had started is gone", || daemon.is_gone());
        drop(client);
        drop(up);
        clean(shm.path());
    }
}

#[test]
fn an_adopted_fleet_leaves_nothing_when_its_owner_dies_too() {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    let mut owner = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let identity = Identity::of(owner.id()).unwrap();
    let word = format!("{}:{}", identity.pid, identity.start_ticks);
    let up = Up::start(shm.path(), 2, 1, &["--on-supervisor-death", "adopt", "--owner", &word]);
    let mut client = Client::attach(&up.dir).unwrap();
    let daemons = [0, 1].map(|coordinator| daemon(&mut client, coordinator, dir.path()));
    let first = guard(shm.path()).unwrap();
    let status = client.status();
    kill(status.supervisor.identity(), Signal::SIGSTOP);
    owner.kill().unwrap();
    slay(status.coordinators[0].process.identity());
    slay(status.supervisor.identity());
    owner.wait().unwrap();
    wait_until("what its workers had started is gone", || daemons.iter().all(Identity::is_gone));
    drop(client);
    wait_until("the guard has ended", || first.is_gone());
    wait_until("its new supervisor ends it", || super::is_empty(shm.path()));
    drop(up);
    assert_gone(shm.path());
}

#[test]
fn a_fleet_that_goes_on_leaves_nothing_of_a_coordinator_that_was_killed_with_its_supervisor() {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    let up = Up::start(shm.path(), 2, 1, &["--on-supervisor-death", "adopt"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let [lost, kept] = [0, 1].map(|coordinator| daemon(&mut client, coordinator, dir.path()));
    let status = client.status();
    // Stopped, so that it cannot kill what its coordinator leaves.
    kill(status.supervisor.identity(), Signal::SIGSTOP);
    slay(status.coordinators[0].process.identity());
    slay(status.supervisor.identity());
    wait_until("what the dead worker had started is gone", || lost.is_gone());
    // The same of a coordinator that its new supervisor has not forked.
    assert!(kept.is_alive());
    slay(status.coordinators[1].process.identity());
    wait_until("what the other had started is gone", || kept.is_gone());
    wait_until("there is another coordinator", || {
        let status = client.status();
        status.coordinators[0].process.identity().is_alive() && status.supervisor.identity().is_alive()
    });
    let supervisor = client.status().supervisor.identity();
    drop(client);
    kill(supervisor, Signal::SIGTERM);
    wait_until("it has ended", || supervisor.is_gone() && super::is_empty(shm.path()));
    drop(up);
    assert_gone(shm.path());
}

#[test]
fn a_supervisor_that_adopts_a_fleet_without_a_guard_starts_one() {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    let up = Up::start(shm.path(), 2, 1, &["--on-supervisor-death", "adopt"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let first = guard(shm.path()).unwrap();
    let before = client.status().supervisor.identity();
    kill(before, Signal::SIGSTOP);
    slay(first);
    slay(before);
    wait_until("there is another", || {
        guard(shm.path()).is_some_and(|found| found != first && found.is_alive())
    });
    // It knows the fleet's processes, and those that are older than itself.
    let daemon = daemon(&mut client, 1, dir.path());
    let status = client.status();
    for process in status.processes().filter(|process| process.place.to_string() != "worker/1.0") {
        kill(process.identity(), Signal::SIGSTOP);
    }
    for process in status.processes() {
        slay(process.identity());
    }
    wait_until("what its worker had started is gone", || daemon.is_gone());
    drop((client, up));
    clean(shm.path());
}

#[test]
fn a_coordinator_that_stands_still_does_not_outlive_its_supervisor_for_long() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 1, &[]);
    let found = up.identities();
    let status = coordinator::client::status::of(&up.dir).unwrap();
    slay(status.supervisor.identity());
    wait_until("none is left", || {
        // Again and again: the kernel continues what is stopped when its parent dies.
        let still = status.coordinators[1].process.identity();
        if still.is_alive() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(still.pid as i32), Signal::SIGSTOP);
        }
        found.iter().all(Identity::is_gone)
    });
    drop(up);
    clean(shm.path());
}

#[test]
fn what_outlives_the_guard_too_is_ended_by_clean_and_no_other_process_is() {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    let up = Up::start(shm.path(), 2, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let daemons = [0, 1].map(|coordinator| daemon(&mut client, coordinator, dir.path()));
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let bystander = Identity::of(other.id()).unwrap();
    let mut all = up.identities();
    all.push(guard(shm.path()).unwrap());
    drop(client);
    // In one instant: none of them sees another die. The kernel continues what is stopped when its parent dies, so parents
    // come last.
    for process in &all {
        kill(*process, Signal::SIGSTOP);
    }
    for process in all.into_iter().rev() {
        slay(process);
    }
    drop(up);
    assert!(daemons.iter().all(Identity::is_alive));
    let said = |extra: &[&str]| {
        let mut command = std::process::Command::new(super::PROGRAM);
        let output = command
            .arg("clean")
            .args(extra)
            .arg("--shm-dir")
            .arg(shm.path())
            // Another one than the fleet's, which it has noted.
            .env("TMPDIR", dir.path())
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(std::fs::read_dir(shm.path()).unwrap().count() > 1, "the workers have no temporary files");
    let rehearsed = said(&["--dry-run"]);
    assert!(daemons.iter().all(Identity::is_alive));
    let cleaned = said(&[]);
    for daemon in &daemons {
        let of = format!("process {} (sleep), which that fleet had started", daemon.pid);
        assert!(rehearsed.contains(&format!("would end {of}")), "{rehearsed}");
        assert!(cleaned.contains(&format!("ended {of}")), "{cleaned}");
    }
    wait_until("what its workers had started is gone", || daemons.iter().all(Identity::is_gone));
    assert!(bystander.is_alive());
    other.kill().unwrap();
    other.wait().unwrap();
    assert_gone(shm.path());
}
