//! Runs that are started from a terminal, with tasks that use it.

use super::{Desk, Ended};
use crate::support::up::PROGRAM;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// A terminal, and its other end.
fn terminal() -> (OwnedFd, OwnedFd, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
    (master, slave, name.into_string().unwrap())
}

/// Runs in the foreground of a terminal of its own; the results are in `out`.
fn run_on_a_terminal(desk: &Desk, arguments: &[&str]) -> Ended {
    let (_master, _slave, name) = terminal();
    // The leader of a session without a terminal gets the first one that it opens.
    let child = Command::new("setsid")
        .args(["sh", "-c", "exec <\"$0\"; : </dev/tty || exit 99; exec \"$@\"", &name, PROGRAM, "run"])
        .args(arguments)
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    desk.ended(child)
}

#[test]
fn a_task_that_uses_the_terminal_is_refused_it_and_ends() {
    let desk = Desk::new();
    let scripts = [
        ("modes", "stty </dev/tty"),
        ("changes", "stty sane </dev/tty"),
        ("password", "read -r secret </dev/tty"),
        ("writes", "echo to the terminal >/dev/tty"),
        ("interactive", "bash -ic true"),
        ("stdin", "stty"),
    ];
    let task = |(id, script)| format!("{{\"id\":\"{id}\",\"command\":[\"sh\",\"-c\",\"{script}\"]}}\n");
    let list: String = scripts.map(task).concat();
    desk.write("tasks", list);
    run_on_a_terminal(&desk, &["--agents", "2", "--tasks", "tasks", "--results", "out"]).with(10);
    let rows = desk.last("out");
    for (id, row) in &rows {
        let (status, stderr) = (&row["status"], row["stderr"].as_str().unwrap());
        if id == "interactive" {
            assert_eq!(status, "ok", "{row}");
        } else {
            assert_eq!(status, "failed", "{row}");
            // ENXIO, as there is none; of /dev/null, ENOTTY.
            assert!(stderr.contains("/dev/tty") || stderr.contains("Inappropriate ioctl"), "{row}");
        }
    }
    assert_eq!(rows.len(), 6);
}

#[test]
fn an_agent_program_that_uses_the_terminal_is_refused_it_and_goes_on() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n");
    let script = r#"while read -r a; do
        read -r secret </dev/tty && answer='"read"' || answer='"none"'
        printf '{"id":"%s","ok":true,"result":%s}\n' "$(printf '%s' "$a" | cut -d'"' -f4)" "$answer"; done"#;
    let first = ["--agents", "1", "--protocol", "jsonl", "--inputs", "inputs", "--results", "out"];
    run_on_a_terminal(&desk, &[&first[..], &["--", "sh", "-c", script]].concat()).with(0);
    assert!(desk.rows("out").iter().all(|row| row["result"] == "none"), "{:?}", desk.rows("out"));
}
