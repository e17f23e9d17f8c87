//! A fleet of the test's own, through the program.

use coordinator::client::Identity;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_coordinator");

/// What may hang carries a watchdog. Far above anything that is waited for here.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Looks again and again until `done` says so.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < WATCHDOG, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A shared-memory directory of the test's own: what is in it at the end was left behind.
pub fn shm() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

pub fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

/// `coordinator up`, and what `status` knows of it once it is ready.
pub struct Up {
    pub child: Child,
    pub dir: std::path::PathBuf,
}

impl Up {
    pub fn start(shm: &Path, coordinators: u32, workers: u32, extra: &[&str]) -> Self {
        Self::start_with(shm, coordinators, workers, |command| {
            command.args(extra);
        })
    }

    /// As [`Self::start`]; `more` changes its command.
    pub fn start_with(shm: &Path, coordinators: u32, workers: u32, more: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(PROGRAM);
        command
            .args(["up", "--name", "test", "--coordinators", &coordinators.to_string()])
            .args(["--workers", &workers.to_string()])
            .arg("--shm-dir")
            .arg(shm)
            // What its workers leave there is seen as well.
            .env("TMPDIR", shm)
            .stdout(Stdio::null());
        more(&mut command);
        let child = command.spawn().unwrap();
        drop(command);
        let dir = shm.join("coord-test");
        wait_until("the fleet is ready", || {
            coordinator::client::status::of(&dir)
                .is_ok_and(|status| status.stage == coordinator::client::status::Stage::Ready)
        });
        Self { child, dir }
    }

    pub fn identities(&self) -> Vec<Identity> {
        let status = coordinator::client::status::of(&self.dir).unwrap();
        status.processes().map(coordinator::client::status::ProcessStatus::identity).collect()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Asks it to stop; its exit status.
    pub fn stop(mut self) -> Option<i32> {
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

pub fn kill(identity: Identity, signal: nix::sys::signal::Signal) {
    assert!(identity.is_alive());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(identity.pid as i32), signal).unwrap();
}
