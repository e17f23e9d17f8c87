//! Real fleets, through the program and through the client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod program;

use coordinator::client::Identity;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_coordinator");

/// What may hang carries a watchdog. Far above anything that is waited for here.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Looks again and again until `done` says so.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < WATCHDOG, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A shared-memory directory of the test's own: what is in it at the end was left behind.
fn shm() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

/// `coordinator up`, and what `status` knows of it once it is ready.
struct Up {
    child: Child,
    dir: std::path::PathBuf,
}

impl Up {
    fn start(shm: &Path, coordinators: u32, workers: u32, extra: &[&str]) -> Self {
        let child = Command::new(PROGRAM)
            .args(["up", "--name", "test", "--coordinators", &coordinators.to_string()])
            .args(["--workers", &workers.to_string()])
            .args(extra)
            .arg("--shm-dir")
            .arg(shm)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let dir = shm.join("coord-test");
        wait_until("the fleet is ready", || {
            coordinator::client::status::of(&dir).is_ok_and(|status| status.stage == "ready")
        });
        Self { child, dir }
    }

    fn identities(&self) -> Vec<Identity> {
        let status = coordinator::client::status::of(&self.dir).unwrap();
        status.processes().map(coordinator::client::status::ProcessStatus::identity).collect()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Asks it to stop; its exit status.
    fn stop(mut self) -> Option<i32> {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn kill(identity: Identity, signal: nix::sys::signal::Signal) {
    assert!(identity.is_alive());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(identity.pid as i32), signal).unwrap();
}

/// Some faults take what not every desk gives. There the test says that it was skipped; in CI it fails.
fn has_or_skips(what: &str, has: bool) -> bool {
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
    assert!(has || !ci, "this test wants {what}, and nothing is skipped in CI");
    has
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A user and a mount namespace of its own.
fn has_namespaces() -> bool {
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .status()
        .is_ok_and(|status| status.success())
}
