//! Runs a user's command for a worker: its output bounded, its whole process group ended with it, what it took
//! told.
//!
//! A command ends by itself, at its time, or because somebody asks. Where it is cut short its group gets SIGTERM,
//! then its grace, then SIGKILL; whoever of the group is left when its leader ends goes with it. What has left the
//! group is the reset's affair.

mod group;
mod start;
mod streams;
#[cfg(test)]
mod tests;

pub(super) use group::Group;
pub(super) use start::spawn;
pub(super) use streams::never_waits;

use super::reap::HowEnded;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::wire::{Usage, command};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;
use streams::{Feed, Kept};
use thiserror::Error;

/// How often a running command is looked at for a stop of the fleet.
const LOOK: Duration = Duration::from_millis(50);
/// How soon again at first, where the kernel does not say when it ends.
const LOOK_FIRST: Duration = Duration::from_millis(1);
/// Between SIGTERM and SIGKILL. Less than a coordinator waits for its workers.
pub const GRACE: Duration = Duration::from_millis(500);

/// A command, and what is around it.
#[derive(Debug, Default)]
pub struct Job<'a> {
    pub argv: Vec<&'a OsStr>,
    /// Added to this process's environment.
    pub env: Vec<(&'a OsStr, &'a OsStr)>,
    pub clear_env: bool,
    pub cwd: Option<&'a Path>,
    pub stdin: Option<&'a [u8]>,
    /// All of its stdout goes here; the beginning is read back.
    pub stdout_file: Option<&'a Path>,
    pub stderr_file: Option<&'a Path>,
    /// Its `TMPDIR`, if `env` names no other.
    pub temporary: Option<&'a Path>,
    /// Between SIGTERM and SIGKILL; [`GRACE`] at most where the fleet stops.
    pub grace: Duration,
}

impl<'a> Job<'a> {
    /// As this process is in everything but its arguments.
    pub fn plain(arguments: &[&'a [u8]]) -> Self {
        let argv = arguments.iter().map(|argument| OsStr::from_bytes(argument)).collect();
        Self { argv, grace: GRACE, ..Self::default() }
    }

    pub fn of(command: &'a command::Command) -> Self {
        let path = |path: &'a Option<String>| path.as_deref().map(Path::new);
        Self {
            argv: command.argv.iter().map(OsStr::new).collect(),
            env: command.env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))).collect(),
            clear_env: command.clear_env,
            cwd: path(&command.cwd),
            stdin: command.stdin.as_deref().map(str::as_bytes),
            stdout_file: path(&command.stdout_file),
            stderr_file: path(&command.stderr_file),
            temporary: None,
            grace: command.grace_ms.map_or(GRACE, |ms| Duration::from_millis(ms.into())),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Why a command is to end before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The fleet ends.
    Stopping,
    /// Nobody wants its answer any more.
    Cancelled,
}

/// Why a command did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    TimedOut,
    Asked(Why),
}

/// Who waits for a command.
pub trait Watcher {
    /// It runs. Whoever must end it if this process dies wants to know.
    fn started(&mut self, _identity: Identity) {}

    /// Some of its output, as it comes; not what goes into a file.
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}

    /// Asked at least every 50 ms.
    fn stop(&mut self) -> Option<Why>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub how: HowEnded,
    /// Its beginning, as `stderr`.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// There was more output than is kept.
    pub truncated: bool,
    /// `None`: it ended by itself.
    pub cut: Option<Cut>,
    /// Of it and of all in its group. A command never takes less memory than this process has.
    pub usage: Usage,
}

/// Why a command did not run.
#[derive(Debug, Error)]
pub enum ExecError {
    #[error("the command is empty")]
    Empty,
    #[error("cannot go to {path}, where the command is to run: {source}", path = .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot write the command's {stream:?} to {path}: {source}", path = .path.display())]
    Output { stream: Stream, path: PathBuf, source: io::Error },
    #[error("cannot run {program:?}{how_often}: {words}", how_often = how_often(*.tries), words = start::in_words(.source))]
    Start { program: OsString, tries: u32, source: io::Error },
    #[error("cannot watch the command: {0}")]
    Watch(#[from] io::Error),
}

fn how_often(tries: u32) -> String {
    if tries == 1 { String::new() } else { format!(", tried {tries} times") }
}

/// Runs `job` until it ends, `deadline_ns` comes or `watcher` says stop. At most `output_max` bytes are kept of
/// stdout and stderr together, stderr giving way first.
pub fn run(
    job: &Job<'_>,
    deadline_ns: u64,
    output_max: usize,
    watcher: &mut impl Watcher,
) -> Result<Ended, ExecError> {
    if job.argv.is_empty() {
        return Err(ExecError::Empty);
    }
    // Who loses a parent in the group becomes a child of this process, and can be waited for.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let start::Started { mut child, stdout, stderr } = start::start(job, watcher)?;
    let group = Group(Pid::from_raw(child.id() as i32));
    if let Some(identity) = Identity::of(child.id()) {
        watcher.started(identity);
    }
    let mut running = match Running::new(&mut child, group, job) {
        Ok(running) => running,
        Err(error) => {
            group.kill();
            let _ = group.reap_leader();
            return Err(error.into());
        }
    };
    running.watch(deadline_ns, output_max, watcher);
    running.finish(output_max, watcher, [stdout.as_deref(), stderr.as_deref()])
}

struct Running<'a> {
    group: Group,
    grace: Duration,
    /// `None` where there are no descriptors left, or the kernel has none of this kind.
    exit: Option<OwnedFd>,
    stdin: Feed<'a, std::process::ChildStdin>,
    stdout: Kept<std::process::ChildStdout>,
    stderr: Kept<std::process::ChildStderr>,
    cut: Option<Cut>,
    /// When whoever is left is killed.
    kill_at: u64,
}

impl<'a> Running<'a> {
    fn new(child: &mut Child, group: Group, job: &Job<'a>) -> io::Result<Self> {
        let pid = rustix::process::Pid::from_raw(group.0.as_raw()).expect("a child's pid is positive");
        Ok(Self {
            group,
            grace: job.grace,
            exit: pidfd_open(pid, PidfdFlags::empty()).ok(),
            stdin: Feed::new(child.stdin.take(), job.stdin.unwrap_or_default())?,
            stdout: Kept::new(child.stdout.take())?,
            stderr: Kept::new(child.stderr.take())?,
            cut: None,
            kill_at: 0,
        })
    }

    /// Until its leader has ended, or is killed.
    fn watch(&mut self, deadline_ns: u64, output_max: usize, watcher: &mut impl Watcher) {
        let mut look = if self.exit.is_some() { LOOK } else { LOOK_FIRST };
        loop {
            let next = if self.cut.is_some() { self.kill_at } else { deadline_ns };
            let left = Duration::from_nanos(next.saturating_sub(now_ns())).max(LOOK_FIRST);
            let exited = self.wait(look.min(left));
            look = (look * 2).min(LOOK);
            self.read(output_max, watcher);
            if exited {
                return;
            }
            let now = now_ns();
            let stop = watcher.stop();
            match self.cut {
                None => {
                    let timed_out = (now >= deadline_ns).then_some(Cut::TimedOut);
                    self.cut = stop.map(Cut::Asked).or(timed_out);
                    if self.cut.is_some() {
                        self.group.terminate();
                        self.kill_at = now.saturating_add(self.grace.as_nanos() as u64);
                    }
                }
                Some(_) if now >= self.kill_at => return,
                Some(_) => {}
            }
            if stop == Some(Why::Stopping) {
                // Others wait for this process then.
                self.kill_at = self.kill_at.min(now.saturating_add(GRACE.as_nanos() as u64));
            }
        }
    }

    /// Until something happens; true if its leader has ended.
    fn wait(&self, at_most: Duration) -> bool {
        let mut fds = Vec::with_capacity(4);
        fds.extend(self.exit.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        let pipes = [self.stdout.from.as_ref().map(AsFd::as_fd), self.stderr.from.as_ref().map(AsFd::as_fd)];
        fds.extend(pipes.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        fds.extend(self.stdin.into.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLOUT)));
        // Interrupted, or out of memory: looked at all the same, and waited for again.
        let _ = poll(&mut fds, PollTimeout::from(at_most.as_millis() as u16));
        match &self.exit {
            Some(_) => fds[0].revents().is_some_and(|events| !events.is_empty()),
            None => self.group.leader_has_ended(),
        }
    }

    fn read(&mut self, output_max: usize, watcher: &mut impl Watcher) {
        self.stdin.write();
        self.stdout.read(output_max, |bytes| watcher.output(Stream::Stdout, bytes));
        self.stderr.read(output_max, |bytes| watcher.output(Stream::Stderr, bytes));
    }

    fn finish(
        mut self,
        output_max: usize,
        watcher: &mut impl Watcher,
        files: [Option<&Path>; 2],
    ) -> Result<Ended, ExecError> {
        // Where it is cut short the others of its group have what is left of its grace; otherwise none. As long as
        // its leader is not reaped its number is nobody else's.
        if self.cut.is_none() || now_ns() >= self.kill_at {
            self.group.kill();
        }
        let (status, mut usage) = self.group.reap_leader().map_err(io::Error::from)?;
        let until_ns = self.kill_at;
        let group = self.group;
        group.end_the_others(until_ns, &mut usage, || {
            let _ = watcher.stop();
            self.read(output_max, watcher);
        });
        // What is in the pipes; somebody who has left the group may hold them open, so no wait.
        self.read(output_max, watcher);
        let [out, err] = files;
        if let Some(path) = out {
            self.stdout.read_file(path, output_max);
        }
        let room = output_max.saturating_sub(self.stdout.bytes.len());
        if let Some(path) = err {
            self.stderr.read_file(path, room);
        }
        let truncated = self.stdout.dropped || self.stderr.dropped || self.stderr.bytes.len() > room;
        self.stderr.bytes.truncate(room);
        Ok(Ended {
            how: HowEnded::from_wait(status),
            stdout: self.stdout.bytes,
            stderr: self.stderr.bytes,
            truncated,
            cut: self.cut,
            usage,
        })
    }
}
