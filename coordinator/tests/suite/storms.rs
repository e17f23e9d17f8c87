//! Runs that are killed at random instants, and what is left of them: nothing, and every result once.
//!
//! Few by default. `cargo xtask storm` takes as many as it is asked for, from any seed: the n-th episode of seed s is the
//! first of seed s + n - 1. A seed gives the same choices; when they meet the run is the machine's business.

mod clients;
mod launches;

use crate::support::up::{PROGRAM, is_empty, shm, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// SplitMix64: small, and good enough for choices.
struct Choice(u64);

impl Choice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Where a run works, and what all its commands can be recognised by: they call `sleep` by a name of its own.
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

    /// Processes of its fleet, and whatever its commands have started, with their command lines.
    fn left(&self) -> Vec<String> {
        let mut found = Vec::new();
        for process in procfs::process::all_processes().unwrap().flatten() {
            let pid = process.pid();
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            let is_ours = line.contains(&text(self.dir.path())) || maps.contains(&text(self.shm.path()));
            if is_ours && pid as u32 != std::process::id() {
                found.push(format!("{pid} {line}"));
            }
        }
        found
    }

    /// Nothing of it runs any more, and `clean` finds nothing that it may not remove.
    fn must_be_empty(&self, what: &str) {
        wait_until(&format!("{what}: nothing is left"), || self.left().is_empty());
        let mut clean = Command::new(PROGRAM);
        clean.args(["clean", "--shm-dir"]).arg(self.shm.path()).env("TMPDIR", self.shm.path());
        let said = clean.output().unwrap();
        assert!(said.status.success(), "{what}: {}", String::from_utf8_lossy(&said.stderr));
        assert!(is_empty(self.shm.path()), "{what}: {:?}", std::fs::read_dir(self.shm.path()).unwrap());
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
