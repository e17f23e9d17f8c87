//! What a fleet does when its coordinators, its supervisor, or both are killed, stopped, added and retired, in each
//! of its configurations: the table in docs/failover.md, row by row, under load.

mod adoption;
mod guarded;
mod hangs;
mod load;
mod paused;
mod refused;
mod scaling;
mod table;

use crate::support::up::{PROGRAM, Up, is_empty, kill, shm, wait_until};
use coordinator::bus::directory::control_path;
use coordinator::bus::events::{EventKind, read};
use coordinator::bus::slot::{CoordinatorEntry, Life};
use coordinator::bus::sync::Ordering;
use coordinator::bus::view::Control;
use coordinator::client::Identity;
use load::Load;
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// No task here may take this long.
const LONG: Duration = Duration::from_secs(50);

/// `coordinator` with these arguments, in the directory of the test.
fn program(shm: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).arg("--shm-dir").arg(shm).output().unwrap()
}

/// A fleet, and its control file, mapped once.
struct Fleet {
    up: Up,
    control: Control,
}

impl Fleet {
    fn start(shm: &Path, coordinators: u32, workers: u32, extra: &[&str]) -> Self {
        Self::of(Up::start(shm, coordinators, workers, extra))
    }

    fn of(up: Up) -> Self {
        let control = Control::attach(&control_path(&up.dir)).unwrap();
        Self { up, control }
    }

    fn entries(&self) -> impl Iterator<Item = &'static CoordinatorEntry> {
        let control = self.control;
        (0..control.shape().coordinators()).map(move |index| control.coordinator(index))
    }

    fn lives(&self, life: Life) -> usize {
        self.entries().filter(|entry| entry.process.life() == life).count()
    }

    /// Who is, or was, at each place.
    fn coordinators(&self) -> Vec<Identity> {
        let identity = |entry: &CoordinatorEntry| Identity {
            pid: entry.process.pid.load(Ordering::Acquire),
            start_ticks: entry.process.start_ticks.load(Ordering::Relaxed),
        };
        self.entries().map(identity).collect()
    }

    /// Workers of those coordinators that live, as these count them.
    fn workers(&self) -> Vec<u32> {
        self.entries()
            .filter(|entry| entry.process.life() == Life::Live)
            .map(|entry| entry.own.live.load(Ordering::Relaxed))
            .collect()
    }

    /// Of coordinators.
    fn deaths(&self) -> u32 {
        self.entries().map(|entry| entry.process.deaths.load(Ordering::Acquire)).sum()
    }

    fn supervisors(&self) -> u32 {
        self.control.state().supervisors.load(Ordering::Acquire)
    }

    /// Another supervisor than `before`.
    fn is_adopted_after(&self, before: Identity) -> bool {
        let owner = self.control.owner();
        owner != before && owner.is_alive()
    }

    /// What the supervisor said, of one kind and place.
    fn events(&self, kind: EventKind, place: u32) -> usize {
        read(self.control.events(), 0)
            .iter()
            .filter(|event| event.kind == kind && event.place == place)
            .count()
    }

    /// Ends it through the program, as one does who does not know who its supervisor is.
    fn stop(mut self, shm: &Path) {
        let said = program(shm, &["stop", "test"]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        self.up.child.wait().unwrap();
        assert_gone(shm);
    }
}

/// SIGKILL, whether or not it is still there.
fn slay(identity: Identity) {
    send(identity, Signal::SIGKILL);
}

fn send(identity: Identity, signal: Signal) {
    if identity.is_alive() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(identity.pid as i32), signal);
    }
}

/// All processes that have memory of the fleet in `dir` mapped, but this one.
fn mapped_by(dir: &Path) -> Vec<u32> {
    let wanted = dir.display().to_string();
    let own = std::process::id();
    let mut found = Vec::new();
    for process in procfs::process::all_processes().unwrap().flatten() {
        let pid = process.pid() as u32;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        if pid != own && maps.contains(&wanted) {
            found.push(pid);
        }
    }
    found
}

/// No process of the fleet is left, and nothing in shared memory.
fn assert_gone(shm: &Path) {
    wait_until("no process is left", || mapped_by(shm).is_empty());
    assert!(is_empty(shm), "{:?}", std::fs::read_dir(shm).unwrap().flatten().collect::<Vec<_>>());
}
