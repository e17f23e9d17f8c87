//! Runs a user's command for a worker: keeps its output, in files if it is large, ends its whole process group with it,
//! and measures what it used.
//!
//! A command ends by itself, at its deadline, or because its watcher asks. A command that is cut short gets a signal, and
//! so does what it has started, in its group or outside; SIGKILL follows after its grace. Members of the group that are left
//! when the leader of a command that was not cut short ends are killed. What is left outside is handled by the reset.

mod group;
mod spool;
mod start;
mod streams;
#[cfg(test)]
mod tests;
mod wait;

pub(super) use group::Group;
pub use spool::{Room, Spool};
pub(super) use start::{enter, spawn};
pub(super) use streams::{TURN, capacity, never_waits};
pub(super) use wait::{pause, wait_for};

use super::pidfd;
use super::reap::HowEnded;
use crate::bus::error::ungrown;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::os::stop::Stop;
use crate::wire::spooled::{BEGINNING_MAX, Part, Spooled};
use crate::wire::{Usage, command};
use rustix::event::{PollFd, PollFlags};
use spool::Growing;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;
use streams::{Feed, Kept};
use thiserror::Error;

/// The watcher of a running command is asked this often whether to stop it.
const LOOK: Duration = Duration::from_millis(50);
/// The first wait where the kernel does not report the command's end; doubled each time.
const LOOK_FIRST: Duration = Duration::from_millis(1);

/// A command, and the surroundings that it runs in.
#[derive(Debug, Default)]
pub struct Job<'a> {
    pub argv: Vec<&'a OsStr>,
    /// Added to this process's environment.
    pub env: Vec<(&'a OsStr, &'a OsStr)>,
    pub clear_env: bool,
    pub cwd: Option<&'a Path>,
    pub stdin: Option<&'a [u8]>,
    /// All of its stdout goes here; the beginning is read back for the answer.
    pub stdout_file: Option<&'a Path>,
    pub stderr_file: Option<&'a Path>,
    /// Its `TMPDIR`, if `env` names no other.
    pub temporary: Option<&'a Path>,
    /// How it is cut short.
    pub stop: Stop,
    /// The grace of any command where the fleet ends: other processes wait for that then.
    pub grace_at_end: Duration,
    /// The process group of another program that this process has started.
    pub spared: Option<i32>,
}

impl<'a> Job<'a> {
    /// A command that has this process's surroundings.
    pub fn plain(arguments: &[&'a [u8]], fleet: Stop) -> Self {
        let argv = arguments.iter().map(|argument| OsStr::from_bytes(argument)).collect();
        Self { argv, stop: fleet, grace_at_end: fleet.grace, ..Self::default() }
    }

    pub fn of(command: &'a command::Command, fleet: Stop) -> Self {
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
            stop: command.stop(fleet),
            grace_at_end: fleet.grace,
            spared: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// Why a watcher stops a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The fleet ends.
    Stopping,
    /// Its answer is not wanted any more.
    Cancelled,
    /// It is cancelled, and its answer is wanted.
    Ending,
}

/// Why a command did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutShort {
    TimedOut,
    Asked(StopReason),
    /// Its output cannot be kept whole.
    Unkept,
}

/// What waits for a command.
pub trait Watcher {
    /// The command runs: the process that must end it if this one dies has to know which it is.
    fn started(&mut self, _identity: Identity) {}

    /// Gets its output as it comes, except what goes into a file.
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}

    /// Asked at least every 50 ms.
    fn stop(&mut self) -> Option<StopReason>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub how: HowEnded,
    /// The beginning of it, as of `stderr`; all of it if it is neither truncated nor spooled.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// There was more output than is kept.
    pub truncated: bool,
    /// The files with all of it, if it was to be kept whole and had no room.
    pub spooled: Option<Spooled>,
    /// `None`: it ended by itself.
    pub cut: Option<CutShort>,
    /// Of the command and its whole group. A command never uses less memory than this process does.
    pub usage: Usage,
}

/// Why a command did not run.
#[derive(Debug, Error)]
pub enum ExecError {
    #[error("the command is empty")]
    Empty,
    #[error("cannot enter {path}, where the command must run: {source}", path = .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot write the command's {stream} to {path}: {source}", path = .path.display())]
    Output { stream: Stream, path: PathBuf, source: io::Error },
    #[error("cannot run {program:?}{how_often}: {words}", how_often = how_often(*.tries), words = start::explain(.source))]
    Start { program: OsString, tries: u32, source: io::Error },
    #[error("the command has more output than can be kept: {path}: {why}", path = .path.display(), why = ungrown(.path, .source))]
    Spool { path: PathBuf, source: io::Error },
    #[error("cannot watch the command: {0}")]
    Watch(#[from] io::Error),
}

fn how_often(tries: u32) -> String {
    if tries == 1 { String::new() } else { format!(", tried {tries} times") }
}

/// Runs `job` until it ends, `deadline_ns` comes or `watcher` stops it. There is `room` for stdout and stderr together;
/// stderr is cut first. If they are spooled instead, and that fails, the command is ended.
///
/// # Errors
/// The command does not run, or its output cannot be spooled.
pub fn run<'a>(
    job: &Job<'_>,
    deadline_ns: u64,
    room: impl Into<Room<'a>>,
    watcher: &mut impl Watcher,
) -> Result<Ended, ExecError> {
    let room = room.into();
    if job.argv.is_empty() {
        return Err(ExecError::Empty);
    }
    // Orphans of the group become children of this process, which can wait for them.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let start::Started { mut child, read_back, kept } = start::start(job, room.spool.is_some(), watcher)?;
    let group = Group::led_by(&child).sparing(job.spared);
    if let Some(identity) = Identity::of(child.id()) {
        watcher.started(identity);
    }
    let mut running = match Running::new(&mut child, group, job, kept) {
        Ok(running) => running,
        Err(error) => {
            group.kill();
            let _ = group.reap_leader();
            return Err(error.into());
        }
    };
    running.watch(deadline_ns, room, watcher);
    running.finish(room, watcher, &read_back)
}

struct Running<'a> {
    group: Group,
    stop: Stop,
    grace_at_end: Duration,
    /// `None` if the kernel has refused one.
    exit: Option<OwnedFd>,
    stdin: Feed<'a, std::process::ChildStdin>,
    stdout: Kept<std::process::ChildStdout>,
    stderr: Kept<std::process::ChildStderr>,
    cut: Option<CutShort>,
    /// When the rest of the group is killed.
    kill_at: u64,
}

impl<'a> Running<'a> {
    /// `kept` are the files that the output is copied into.
    fn new(
        child: &mut Child,
        group: Group,
        job: &Job<'a>,
        [stdout, stderr]: [Option<Growing>; 2],
    ) -> io::Result<Self> {
        Ok(Self {
            group,
            stop: job.stop,
            grace_at_end: job.grace_at_end,
            exit: pidfd::open(child.id()).ok(),
            stdin: Feed::new(child.stdin.take(), job.stdin.unwrap_or_default())?,
            stdout: Kept::new(child.stdout.take(), "stdout", stdout)?,
            stderr: Kept::new(child.stderr.take(), "stderr", stderr)?,
            cut: None,
            kill_at: 0,
        })
    }

    /// Until its leader has ended, or is killed.
    fn watch(&mut self, deadline_ns: u64, room: Room<'_>, watcher: &mut impl Watcher) {
        let mut look = if self.exit.is_some() { LOOK } else { LOOK_FIRST };
        loop {
            let next = if self.cut.is_some() { self.kill_at } else { deadline_ns };
            let left = Duration::from_nanos(next.saturating_sub(now_ns())).max(LOOK_FIRST);
            let exited = self.wait(look.min(left));
            look = (look * 2).min(LOOK);
            self.read(room, watcher);
            if exited {
                return;
            }
            let now = now_ns();
            let stop = watcher.stop();
            match self.cut {
                None => {
                    let timed_out = (now >= deadline_ns).then_some(CutShort::TimedOut);
                    let unkept = self.has_failed().then_some(CutShort::Unkept);
                    self.cut = stop.map(CutShort::Asked).or(timed_out).or(unkept);
                    if self.cut.is_some() {
                        self.group.ask_to_end(self.stop.signal);
                        self.kill_at = now.saturating_add(self.stop.grace.as_nanos() as u64);
                    }
                }
                Some(_) if now >= self.kill_at => return,
                Some(_) => {}
            }
            self.hurry(stop);
        }
    }

    /// At the end of the fleet other processes wait for this one.
    fn hurry(&mut self, stop: Option<StopReason>) {
        if stop == Some(StopReason::Stopping) {
            let until = now_ns().saturating_add(self.grace_at_end.as_nanos() as u64);
            self.kill_at = self.kill_at.min(until);
        }
    }

    /// Until something happens; true if its leader has ended.
    fn wait(&self, at_most: Duration) -> bool {
        let mut fds = Vec::with_capacity(4);
        fds.extend(self.exit.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let pipes = [self.stdout.from.as_ref().map(AsFd::as_fd), self.stderr.from.as_ref().map(AsFd::as_fd)];
        fds.extend(pipes.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(self.stdin.into.as_ref().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        wait_for(&mut fds, at_most);
        match &self.exit {
            Some(_) => !fds[0].revents().is_empty(),
            None => self.group.leader_has_ended(),
        }
    }

    fn has_failed(&self) -> bool {
        self.stdout.has_failed() || self.stderr.has_failed()
    }

    fn read(&mut self, room: Room<'_>, watcher: &mut impl Watcher) {
        self.stdin.write();
        self.stdout.read(room, |bytes| watcher.output(Stream::Stdout, bytes));
        self.stderr.read(room, |bytes| watcher.output(Stream::Stderr, bytes));
    }

    fn finish(
        mut self,
        room: Room<'_>,
        watcher: &mut impl Watcher,
        read_back: &[Option<PathBuf>; 2],
    ) -> Result<Ended, ExecError> {
        // If it was cut short the rest of its group has what is left of its grace; otherwise none. As long as the
        // leader has not been reaped no other process or group can have its number.
        if self.cut.is_none() || now_ns() >= self.kill_at {
            self.group.kill();
        }
        let (status, mut usage) = self.group.reap_leader()?;
        let group = self.group;
        group.end_the_others(&mut usage, || {
            let stop = watcher.stop();
            self.hurry(stop);
            self.read(room, watcher);
            self.kill_at
        });
        // What the pipes hold now. No wait for their end: a process that has left the group may hold them open.
        self.stdout.read_rest(room, |bytes| watcher.output(Stream::Stdout, bytes));
        self.stderr.read_rest(room, |bytes| watcher.output(Stream::Stderr, bytes));
        let [out, err] = read_back;
        if let Some(path) = out {
            self.stdout.read_file(path, room.max);
        }
        let left = room.max.saturating_sub(self.stdout.bytes.len());
        if let Some(path) = err {
            self.stderr.read_file(path, left);
        }
        let ended = Ended {
            how: HowEnded::from_wait(status),
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: self.stdout.dropped || self.stderr.dropped || self.stderr.bytes.len() > left,
            spooled: None,
            cut: self.cut,
            usage,
        };
        if let Some(spool) = room.spool.filter(|_| ended.truncated || self.has_failed()) {
            return self.spool(spool, ended);
        }
        self.stderr.bytes.truncate(left);
        Ok(Ended { stdout: self.stdout.bytes, stderr: self.stderr.bytes, ..ended })
    }

    fn spool(self, spool: &Spool, ended: Ended) -> Result<Ended, ExecError> {
        let mut beginning = self.stderr.bytes.clone();
        beginning.truncate(BEGINNING_MAX);
        let unkept = |(path, source)| ExecError::Spool { path, source };
        let spooled = if ended.cut == Some(CutShort::Asked(StopReason::Cancelled)) {
            // Its answer is not wanted: a file with a name would have no reader.
            Spooled::default()
        } else {
            let stdout = self.stdout.into_part(spool).map_err(unkept)?;
            let stderr = self.stderr.into_part(spool).inspect_err(|_| stdout.iter().for_each(Part::remove));
            Spooled { stderr: stderr.map_err(unkept)?, stdout }
        };
        Ok(Ended { stderr: beginning, truncated: false, spooled: Some(spooled), ..ended })
    }
}
