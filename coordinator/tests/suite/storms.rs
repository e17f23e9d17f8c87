//! Runs that are killed at random instants, and what is left of them: nothing, and every result once.
//!
//! Few by default. `cargo xtask storm` takes as many as it is asked for, from any seed: the n-th episode of seed s is the
//! first of seed s + n - 1. A seed gives the same choices; when they meet the run is the machine's business.

mod clients;
mod launches;

use crate::support::up::{PROGRAM, shm, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where a run works.
struct Ground {
    shm: tempfile::TempDir,
    dir: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { shm: shm(), dir: tempfile::tempdir().unwrap() };
        std::os::unix::fs::symlink("/bin/sleep", ground.sleep()).unwrap();
        ground
    }

    fn sleep(&self) -> PathBuf {
        self.dir.path().join("sleep")
    }

    fn run(&self, arguments: &[&str]) -> Child {
        Command::new(PROGRAM)
            .arg("run")
            .args(arguments)
            .current_dir(self.dir.path())
            .env("COORDINATOR_SHM_DIR", self.shm.path())
            .env("TMPDIR", self.shm.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Processes of its run, with their command lines: all of them show where its shared memory is, in their environment, or
    /// have some of it mapped.
    fn left(&self) -> Vec<String> {
        let mut found = Vec::new();
        let wanted = text(self.shm.path());
        for process in procfs::process::all_processes().unwrap().flatten() {
            let pid = process.pid();
            let read = |file: &str| {
                let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let is_ours = read("environ").contains(&wanted) || read("maps").contains(&wanted);
            if is_ours && pid as u32 != std::process::id() {
                found.push(format!("{pid} {}", read("cmdline")));
            }
        }
        found
    }

    /// Nothing of it runs any more, and `clean` finds nothing that it may not remove.
    fn must_be_empty(&self, what: &str) {
        // Twice: a process that is just executing a program shows nothing for a moment.
        wait_until(&format!("{what}: nothing is left"), || self.left().is_empty() && self.left().is_empty());
        let mut clean = Command::new(PROGRAM);
        clean.args(["clean", "--shm-dir"]).arg(self.shm.path()).env("TMPDIR", self.shm.path());
        let said = clean.output().unwrap();
        assert!(said.status.success(), "{what}: {}", String::from_utf8_lossy(&said.stderr));
        let files: Vec<_> = std::fs::read_dir(self.shm.path()).unwrap().flatten().collect();
        assert!(files.is_empty(), "{what}: {files:?}");
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
