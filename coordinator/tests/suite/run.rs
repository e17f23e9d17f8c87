//! `coordinator run` with real processes: what a user of GNU parallel or xargs expects.

mod agents;
mod ends;
mod journal;
mod left;
mod lists;
mod nested;
mod output;
mod resume;
mod room;
mod saved;
mod stalled;
mod storms;
mod submit;
mod terminal;
mod written;

use crate::support::up::{PROGRAM, is_empty, kill, shm, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A desk: where the run works, and where its fleet keeps its memory.
struct Desk {
    shm: tempfile::TempDir,
    dir: tempfile::TempDir,
}

/// Temporary directories of fleets in the desk's directory.
fn spools(desk: &Desk) -> usize {
    let is_of_fleet = |entry: &std::fs::DirEntry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with("coordinator-"))
    };
    std::fs::read_dir(desk.dir.path()).unwrap().filter(|entry| is_of_fleet(entry.as_ref().unwrap())).count()
}

impl Desk {
    fn new() -> Self {
        Self { shm: shm(), dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Lines of a file that commands write to; none if there is no file yet.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Makes the path of a file for others to wait for.
    fn touch(&self, name: &str) {
        self.write(name, "");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("run")
            .args(arguments)
            .current_dir(self.dir.path())
            .env("COORDINATOR_SHM_DIR", self.shm.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs to its end, and looks that nothing is left.
    fn run(&self, arguments: &[&str]) -> Ended {
        self.ended(self.start(arguments))
    }

    fn run_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        self.ended(child)
    }

    fn ended(&self, child: Child) -> Ended {
        let ended = Ended::of(&child.wait_with_output().unwrap());
        assert!(is_empty(self.shm.path()), "something is left in shared memory: {ended:?}");
        ended
    }

    /// Results, in the order of the file.
    fn rows(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last result of each id.
    fn last(&self, name: &str) -> BTreeMap<String, Value> {
        self.rows(name).into_iter().map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect()
    }
}

#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, words: &[&str]) -> Self {
        for words in words {
            assert!(self.stderr.contains(words), "{words:?} is missing in:\n{}", self.stderr);
        }
        self
    }

    fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.stdout.lines().collect();
        lines.sort_unstable();
        lines
    }
}

fn signal(child: &Child, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// A command that says that it runs, and waits until `go` is there.
fn waits(go: &str) -> String {
    format!("echo begun >> begun; until [ -e {go} ]; do sleep 0.01; done; echo $0 >> done; echo said $0")
}
