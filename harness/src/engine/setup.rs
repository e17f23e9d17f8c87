//! Runs the commands before the launch and after the end.
//!
//! Each runs in a session of its own, which is a process group too, dies with this process, and is marked: whatever the
//! commands have started and left running, in whichever group, is ended at the end of the run. A command that takes too
//! long is ended with its whole group. Should this process be killed, a guard ends them. Their output goes into one file of the run's directory.

mod guard;

pub(super) use guard::Guard;
pub use guard::guard;

use crate::scenario::Step;
use coordinator::client::own_session;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What proves that a process descends from a command of the run.
const MARK: &str = "HARNESS_RUN";
/// Between two looks at whether a command has ended.
const LOOK: Duration = Duration::from_millis(5);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// How long what was killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// How often an empty environment is read, and how long after each other.
const READS_MAX: u32 = 20;
const READ_AGAIN: Duration = Duration::from_millis(1);
/// Of what a command has written,
const LINES_MAX: usize = 10;
/// and bytes of that.
const BYTES_MAX: u64 = 4096;

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// In words: `exited with status 3`.
    pub how: String,
    pub failed: bool,
    /// The last lines that it wrote.
    pub output: Vec<String>,
}

/// Runs `step` to its end, to its time-out, or until `stopped` says so.
pub(super) fn run(step: &Step, run_id: &str, output: &Path, stopped: &dyn Fn() -> bool) -> Ended {
    let failed = |how: String| Ended { how, failed: true, output: Vec::new() };
    let file = File::options().read(true).append(true).create(true).open(output);
    let mut file = match file {
        Ok(file) => file,
        Err(error) => return failed(format!("was not started, since {}: {error}", output.display())),
    };
    let began_at = file.metadata().map_or(0, |metadata| metadata.len());
    let mut child = match start(step, run_id, &file) {
        Ok(child) => child,
        Err(error) => return failed(format!("cannot be started: {error}")),
    };
    let (how, failed) = wait(&mut child, step.timeout, stopped);
    Ended { how, failed, output: last_lines(&mut file, began_at) }
}

fn start(step: &Step, run_id: &str, output: &File) -> io::Result<Child> {
    let [program, arguments @ ..] = &step.command.arguments[..] else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    // The mark last: without it, what the command leaves running could not be found.
    command.args(arguments).envs(&step.command.env).env(MARK, run_id);
    if let Some(cwd) = &step.command.cwd {
        // Otherwise the program would be said to be missing.
        std::fs::metadata(cwd).map_err(|error| io::Error::new(error.kind(), format!("{cwd}: {error}")))?;
        command.current_dir(cwd);
    }
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    own_session(&mut command).spawn()
}

/// How it ended, and whether that is a failure.
fn wait(child: &mut Child, timeout: Duration, stopped: &dyn Fn() -> bool) -> (String, bool) {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return (in_words(status), !status.success()),
            Ok(None) => {}
            Err(error) => return (format!("cannot be waited for: {error}"), true),
        }
        if begun.elapsed() >= timeout {
            end(child);
            return (format!("was ended by its time-out of {timeout:?}"), true);
        }
        if stopped() {
            end(child);
            return ("was ended, since the run was stopped".to_owned(), true);
        }
        std::thread::park_timeout(LOOK);
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Ends a command with its whole group. It is not reaped before, so the group's number is its own.
fn end(child: &mut Child) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    // A group that has ended needs no signal.
    let _ = kill_process_group(group, Signal::TERM);
    let begun = Instant::now();
    while begun.elapsed() < GRACE && is_peopled(group) {
        std::thread::park_timeout(LOOK);
    }
    let _ = kill_process_group(group, Signal::KILL);
    // What was killed takes a moment to go, and must not be found among what the command left running.
    let killed = Instant::now();
    while killed.elapsed() < GONE_WITHIN && is_peopled(group) {
        std::thread::park_timeout(LOOK);
    }
    // Killed, it ends; if it cannot be waited for, it is not this process's any more.
    let _ = child.wait();
}

/// Whether a process other than zombies is in a group.
fn is_peopled(group: Pid) -> bool {
    let group = group.as_raw_nonzero().get();
    processes().into_iter().any(|pid| {
        procfs::process::Process::new(pid)
            .and_then(|process| process.stat())
            .is_ok_and(|stat| stat.pgrp == group && !matches!(stat.state, 'Z' | 'X'))
    })
}

fn processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the process with this pid descends from a command of the run.
fn is_marked(pid: i32, run_id: &str) -> bool {
    let mark = format!("{MARK}={run_id}\0");
    let read = || std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let environment = settled(read, || is_executing(pid));
    let zero_ended = [&environment[..], b"\0"].concat();
    zero_ended.split_inclusive(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

/// Whether the commands of a run have left anything running.
pub(crate) fn has_left(run_id: &str) -> bool {
    processes().into_iter().any(|pid| is_marked(pid, run_id))
}

/// Ends every process that the commands of this run have left running; says which.
pub(crate) fn end_the_rest(run_id: &str) -> Vec<String> {
    let is_marked = |pid: i32| is_marked(pid, run_id);
    // By pid: a process that has not gone yet may have another name by now.
    let mut named = std::collections::BTreeMap::new();
    let begun = Instant::now();
    while begun.elapsed() < GONE_WITHIN {
        let left: Vec<i32> = processes().into_iter().filter(|pid| is_marked(*pid)).collect();
        if left.is_empty() {
            break;
        }
        for pid in left {
            // The descriptor first: what is marked then is what gets the signal.
            let Some(fd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            else {
                continue;
            };
            if is_marked(pid) && pidfd_send_signal(&fd, Signal::KILL).is_ok() {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                named.entry(pid).or_insert_with(|| format!("{} (pid {pid})", name.trim()));
            }
        }
        std::thread::park_timeout(LOOK);
    }
    named.into_values().collect()
}

/// The environment of a process. In the middle of an exec it shows none: it is read again before that counts as empty.
fn settled(mut read: impl FnMut() -> Vec<u8>, may_change: impl Fn() -> bool) -> Vec<u8> {
    for _ in 0..READS_MAX {
        let environment = read();
        if !environment.is_empty() || !may_change() {
            return environment;
        }
        std::thread::park_timeout(READ_AGAIN);
    }
    read()
}

/// Whether a process without an environment may be executing a program just now: neither a thread of the kernel nor ending,
/// and this user's.
fn is_executing(pid: i32) -> bool {
    /// `PF_KTHREAD` and `PF_EXITING` of linux/sched.h.
    const NEVER: u32 = 0x20_0000 | 0x4;
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.flags & NEVER == 0 && !matches!(stat.state, 'Z' | 'X'))
        && File::open(format!("/proc/{pid}/environ")).is_ok()
}

/// Of what was written from `began_at` on.
fn last_lines(file: &mut File, began_at: u64) -> Vec<String> {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let from = began_at.max(length.saturating_sub(BYTES_MAX));
    let mut bytes = Vec::new();
    // What cannot be read any more is shown as nothing.
    let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.take(BYTES_MAX).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(script: &str, timeout: Duration) -> Step {
        let arguments = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        let command = crate::system::Command { arguments, ..crate::system::Command::default() };
        Step { words: script.to_owned(), command, timeout }
    }

    fn ran(script: &str, timeout: Duration, id: &str, stopped: &dyn Fn() -> bool) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        run(&step(script, timeout), id, &dir.path().join("out"), stopped)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_command_ends_with_its_status_and_its_last_lines() {
        let done = ran("echo one; echo two >&2; exit 3", LONG, "t-1", &|| false);
        let output = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(done, Ended { how: "exited with status 3".to_owned(), failed: true, output });
        let done = ran("seq 100000", LONG, "t-2", &|| false);
        let last: Vec<String> = (99_991..=100_000).map(|n| n.to_string()).collect();
        assert_eq!((done.failed, done.output), (false, last));
        assert!(ran("kill -9 $$", LONG, "t-3", &|| false).how.contains("signal 9"));
    }

    #[test]
    fn what_hangs_is_ended_with_its_whole_group() {
        let id = format!("t-{}-hang", std::process::id());
        let done = ran("trap '' TERM; sleep 700 & sleep 700", Duration::from_millis(300), &id, &|| false);
        assert!(done.failed && done.how == "was ended by its time-out of 300ms", "{done:?}");
        assert_eq!(end_the_rest(&id), Vec::<String>::new());
        let done = ran("sleep 700", LONG, &id, &|| true);
        assert_eq!(done.how, "was ended, since the run was stopped");
    }

    #[test]
    fn what_a_command_leaves_running_is_found_wherever_it_went_and_ended() {
        let id = format!("t-{}-left", std::process::id());
        let done = ran("setsid sleep 700 & sleep 700 &", LONG, &id, &|| false);
        assert!(!done.failed, "{done:?}");
        let ended = end_the_rest(&id);
        assert_eq!(ended.len(), 2, "{ended:?}");
        // Found before it executes its program, it has the name of the shell.
        let names = ["sleep (pid ", "setsid (pid ", "sh (pid "];
        assert!(ended.iter().all(|name| names.iter().any(|begin| name.starts_with(begin))), "{ended:?}");
        assert_eq!(end_the_rest(&id), Vec::<String>::new());
    }

    #[test]
    fn an_environment_that_is_empty_in_the_middle_of_an_exec_is_read_again() {
        let reads = std::cell::Cell::new(0);
        let read = || {
            reads.set(reads.get() + 1);
            if reads.get() < 3 { Vec::new() } else { b"A=1".to_vec() }
        };
        assert_eq!(settled(read, || true), b"A=1");
        // A thread of the kernel has none, and never will.
        reads.set(0);
        assert_eq!((settled(read, || false), reads.get()), (Vec::new(), 1));
        // Nor is a process without one waited for without end.
        assert_eq!(settled(Vec::new, || true), b"");
        assert!(!is_executing(i32::MAX));
    }

    #[test]
    fn a_command_that_cannot_be_started_says_why() {
        let mut step = step("true", LONG);
        step.command.cwd = Some("/nowhere/at/all".to_owned());
        let dir = tempfile::tempdir().unwrap();
        let done = run(&step, "t", &dir.path().join("out"), &|| false);
        assert!(done.failed && done.how.contains("/nowhere/at/all"), "{done:?}");
    }
}
