//! What outlives a fleet: journals whose writers are killed, disks that are full, and real fleets that are
//! backed up at work, killed, and restored.

mod disk;
mod figures;
mod fleet;
mod journaled;
mod killed;
mod letters;

use coordinator::config::FleetShape;
use coordinator::snapshot::record::{Body, Header, Kind, OpenTask, Progress};
use coordinator::wire::{TaskId, TaskKind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a child of a test is to do, and where.
const ROLE: &str = "RESTORE_TEST_ROLE";
const DIR: &str = "RESTORE_TEST_DIR";

/// This test itself as a child in a role.
fn child(role: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "restore::a_child_does_what_it_is_told", "--test-threads", "1", "--nocapture"]);
    command.env(ROLE, role).env(DIR, dir);
    command
}

/// The test that children run; without a role it has nothing to do.
#[test]
fn a_child_does_what_it_is_told() {
    let Ok(role) = std::env::var(ROLE) else { return };
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    match role.split_once(' ') {
        Some(("append", seed)) => killed::append(&dir, seed.parse().unwrap()),
        None if role == "journaled" => journaled::client(&dir),
        _ => disk::obey(&role, &dir),
    }
}

fn header(file: Kind) -> Header {
    let shape = FleetShape::new(3, 20, 4096, 2).unwrap();
    Header::new(file, "demo", &shape, &[], 1, 1_700_000_000)
}

fn task(sequence: u64, body: &[u8]) -> OpenTask {
    OpenTask {
        id: TaskId { epoch: 1, sender: 1, sequence },
        coordinator: 0,
        worker: None,
        kind: TaskKind::Exec,
        parameter: 0,
        timeout_ns: 0,
        lifetime_ns: 30_000_000_000,
        attempts: 0,
        attempts_max: 0,
        retry_failures: false,
        deaths_only: false,
        whole: false,
        state: Progress::Queued,
        name: None,
        listed: None,
        body: Body(body.to_vec()),
    }
}
