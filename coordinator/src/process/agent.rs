//! The agent program: a long-lived command, in any language, that does a task for each line of JSON on its stdin.
//!
//! To it: `{"id":"1.1.7","attempt":1,"task":…,"timeout_ms":60000}`. From it, any number of
//! `{"id":"1.1.7","progress":…}`, then `{"id":"1.1.7","ok":true,"result":…}` or
//! `{"id":"1.1.7","ok":false,"error":"…","retry":true}`. One task at a time, one line each. A program
//! that does anything else is ended with its whole process group, and another one is started for the next task.

mod line;
#[cfg(test)]
mod tests;

pub use line::{Reply, Request};

use super::exec::{
    CutShort, ExecError, GRACE, Group, StopReason, Stream, Watcher, never_waits, pause, spawn, wait_for,
};
use super::fork::own_group;
use super::pidfd;
use super::reap::HowEnded;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::wire::Usage;
use line::Line;
use rustix::event::{PollFd, PollFlags};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use thiserror::Error;

/// The watcher of a busy program is asked this often whether to stop it.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at whether a program has ended.
const REAP_LOOK: Duration = Duration::from_millis(2);
/// Bytes that are kept of the end of a program's stderr, for the report of its end.
const STDERR_MAX: usize = 2048;
/// Bytes that are shown of an invalid line.
const SHOWN_MAX: usize = 200;

/// Why a program did not do its task. Except for `Task`, the program has been ended.
#[derive(Debug, Error)]
pub enum AgentFault {
    #[error("the task is not one value of JSON: {0}")]
    Task(String),
    #[error(transparent)]
    Start(ExecError),
    #[error("the agent program {how} with the task in hand{}", and_stderr(.stderr))]
    Ended { how: HowEnded, stderr: String },
    #[error("the agent program closed its standard output with the task in hand{}", and_stderr(.stderr))]
    Closed { stderr: String },
    #[error("the agent program wrote an invalid answer ({why}): {line}{}", and_stderr(.stderr))]
    Invalid { line: String, why: String, stderr: String },
    #[error("the agent program answered task {found:?} and was asked for {asked:?}")]
    WrongId { asked: String, found: String },
    #[error("the agent program wrote a line of more than {0} bytes, the most that this fleet carries")]
    TooLong(usize),
    #[error("the agent program had not answered when its time was over{}", and_stderr(.stderr))]
    TimedOut { stderr: String },
    #[error("the agent program was ended: its task is not wanted any more")]
    Asked(StopReason),
    #[error("cannot communicate with the agent program: {0}")]
    Pipe(#[from] std::io::Error),
}

fn and_stderr(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; its stderr: {stderr}") }
}

/// An agent program, started when there is a task for it, and again after it has ended.
#[derive(Debug)]
pub struct Agent {
    command: Vec<String>,
    temporary: Option<PathBuf>,
    line_max: usize,
    process: Option<Process>,
    /// How often it was started.
    started: u32,
}

impl Agent {
    /// `command` is a program and its arguments; an answer may have `line_max` bytes; `temporary` will be its `TMPDIR`.
    pub fn new(command: &[String], line_max: usize, temporary: Option<PathBuf>) -> Self {
        Self { command: command.to_vec(), temporary, line_max, process: None, started: 0 }
    }

    /// Sends it `request` and waits for the answer, until `deadline_ns` or until `watcher` stops it. The watcher gets
    /// progress as output on stdout.
    pub fn ask(
        &mut self,
        request: &Request<'_>,
        deadline_ns: u64,
        watcher: &mut impl Watcher,
    ) -> Result<Reply, AgentFault> {
        let text = request.line(deadline_ns.saturating_sub(now_ns())).map_err(AgentFault::Task)?;
        let process = self.ready(watcher)?;
        match process.ask(&text, request.id, deadline_ns, watcher) {
            Ok(reply) => Ok(reply),
            Err(fault) => {
                self.end(Duration::ZERO);
                Err(fault)
            }
        }
    }

    /// Returns a running program that waits for a task, and starts one if needed.
    fn ready(&mut self, watcher: &mut impl Watcher) -> Result<&mut Process, AgentFault> {
        if self.process.as_mut().is_some_and(|process| !process.is_idle()) {
            // It has ended by itself, or writes without being asked: no task has failed by that.
            self.end(Duration::ZERO);
        }
        if self.process.is_none() {
            self.process = Some(Process::start(self, watcher)?);
            self.started += 1;
        }
        let process = self.process.as_mut().expect("it was started above if there was none");
        if let Some(identity) = process.identity {
            watcher.started(identity);
        }
        Ok(process)
    }

    /// The identity of the running program; `None` if there is none.
    pub fn identity(&self) -> Option<Identity> {
        self.process.as_ref()?.identity
    }

    /// Its process group, and this process's descriptors to it.
    pub fn holds(&self) -> Option<(i32, Vec<RawFd>)> {
        let process = self.process.as_ref()?;
        let ends = [
            Some(process.stdin.as_ref()?.as_fd()),
            Some(process.stdout.as_fd()),
            Some(process.stderr.as_fd()),
        ];
        let fds = ends.into_iter().chain([process.exit.as_ref().map(AsFd::as_fd)]).flatten();
        Some((process.group.raw(), fds.map(|fd| fd.as_raw_fd()).collect()))
    }

    /// Tasks that the running program has answered.
    pub fn tasks_done(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.done)
    }

    /// Resident memory of the running program; `None` if there is none, or `/proc` cannot be read.
    pub fn rss_bytes(&self) -> Option<u64> {
        let group = self.process.as_ref()?.group.raw();
        let statm = procfs::process::Process::new(group).ok()?.statm().ok()?;
        Some(statm.resident.saturating_mul(procfs::page_size()))
    }

    /// How often the program has been started.
    pub fn started(&self) -> u32 {
        self.started
    }

    /// Closes its stdin, which asks it to end; sends SIGTERM after half of `grace`, and SIGKILL after all of it, to its
    /// whole group.
    pub fn end(&mut self, grace: Duration) -> Option<HowEnded> {
        self.process.take().map(|process| process.end(grace))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

#[derive(Debug)]
struct Process {
    group: Group,
    identity: Option<Identity>,
    /// `None` if the kernel has refused one.
    exit: Option<OwnedFd>,
    /// `None` as soon as it is asked to end.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// Read from stdout and not used yet.
    buffer: Vec<u8>,
    /// The end of its stderr.
    stderr_end: Vec<u8>,
    done: u32,
    line_max: usize,
}

impl Process {
    fn start(agent: &Agent, watcher: &mut impl Watcher) -> Result<Self, AgentFault> {
        let Some((program, rest)) = agent.command.split_first() else {
            return Err(AgentFault::Start(ExecError::Empty));
        };
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        let mut command = Command::new(program);
        command.args(rest).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(temporary) = &agent.temporary {
            command.env("TMPDIR", temporary);
        }
        own_group(&mut command);
        let stop = || watcher.stop().is_some();
        let mut child = spawn(&mut command, OsStr::new(program), stop).map_err(AgentFault::Start)?;
        let process = Self {
            group: Group::led_by(&child),
            identity: Identity::of(child.id()),
            exit: pidfd::open(child.id()).ok(),
            stdin: child.stdin.take(),
            stdout: child.stdout.take().expect("`start` asks for a pipe"),
            stderr: child.stderr.take().expect("`start` asks for a pipe"),
            buffer: Vec::new(),
            stderr_end: Vec::new(),
            done: 0,
            line_max: agent.line_max,
        };
        let stdin = process.stdin.as_ref().expect("`start` asks for a pipe");
        match never_waits(stdin)
            .and_then(|()| never_waits(&process.stdout))
            .and_then(|()| never_waits(&process.stderr))
        {
            Ok(()) => Ok(process),
            Err(error) => {
                process.end(Duration::ZERO);
                Err(error.into())
            }
        }
    }

    /// It is alive, and has written nothing since its last answer.
    fn is_idle(&mut self) -> bool {
        !self.group.leader_has_ended() && self.read(&mut |_| ()) && self.buffer.is_empty()
    }

    fn ask(
        &mut self,
        text: &[u8],
        id: &str,
        deadline_ns: u64,
        watcher: &mut impl Watcher,
    ) -> Result<Reply, AgentFault> {
        let mut left = text;
        let mut searched = 0;
        loop {
            self.write(&mut left);
            let ended = self.wait(deadline_ns, !left.is_empty());
            let open = self.read(&mut |bytes| watcher.output(Stream::Stderr, bytes));
            while let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=searched + at).collect();
                searched = 0;
                match Line::parse(&line[..line.len() - 1], id, self.line_max) {
                    Ok(Line::Progress) => watcher.output(Stream::Stdout, &line),
                    Ok(Line::Reply(reply)) => {
                        self.done = self.done.saturating_add(1);
                        return Ok(reply);
                    }
                    Err(fault) => return Err(self.with_stderr(fault)),
                }
            }
            searched = self.buffer.len();
            if searched > self.line_max {
                return Err(AgentFault::TooLong(self.line_max));
            }
            if ended || !open {
                return Err(self.gone());
            }
            match watcher.stop() {
                Some(why) => {
                    self.terminate();
                    return Err(AgentFault::Asked(why));
                }
                None if now_ns() >= deadline_ns => {
                    self.terminate();
                    return Err(AgentFault::TimedOut { stderr: self.last_stderr() });
                }
                None => {}
            }
        }
    }

    fn write(&mut self, left: &mut &[u8]) {
        while let Some(stdin) = &mut self.stdin
            && !left.is_empty()
        {
            match stdin.write(left) {
                Ok(n) => *left = &left[n..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The pipe is full; or the program does not read any more, and then its answer is missing or wrong.
                Err(_) => return,
            }
        }
    }

    /// Waits until something happens; true if the program has ended.
    fn wait(&self, deadline_ns: u64, writing: bool) -> bool {
        let left = Duration::from_nanos(deadline_ns.saturating_sub(now_ns())).max(Duration::from_millis(1));
        let mut fds =
            vec![PollFd::new(&self.stdout, PollFlags::IN), PollFd::new(&self.stderr, PollFlags::IN)];
        fds.extend(self.exit.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let stdin = self.stdin.as_ref().filter(|_| writing);
        fds.extend(stdin.map(|fd| PollFd::new(fd, PollFlags::OUT)));
        wait_for(&mut fds, LOOK.min(left));
        // Checked before its pipes are read: what it has written by then is in them.
        self.group.leader_has_ended()
    }

    /// Reads everything that is there now; false if there will never be more. `each` gets what came on stderr.
    fn read(&mut self, each: &mut dyn FnMut(&[u8])) -> bool {
        let mut bytes = [0; 8192];
        while let Ok(n @ 1..) = self.stderr.read(&mut bytes) {
            each(&bytes[..n]);
            self.stderr_end.extend_from_slice(&bytes[..n]);
            let too_many = self.stderr_end.len().saturating_sub(STDERR_MAX);
            self.stderr_end.drain(..too_many);
            if n < bytes.len() {
                break;
            }
        }
        while self.buffer.len() <= self.line_max {
            match self.stdout.read(&mut bytes) {
                Ok(0) => return false,
                Ok(n) => self.buffer.extend_from_slice(&bytes[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// Why there will be no answer: the program has ended, or ends in a moment, or has closed its stdout.
    fn gone(&mut self) -> AgentFault {
        let until = now_ns() + GRACE.as_nanos() as u64;
        while !self.group.leader_has_ended() && now_ns() < until {
            pause(REAP_LOOK);
        }
        self.read(&mut |_| ());
        let stderr = self.last_stderr();
        if self.group.leader_has_ended() {
            // Not reaped yet, so its group's number is its own until `end`.
            return AgentFault::Ended { how: self.how(), stderr };
        }
        AgentFault::Closed { stderr }
    }

    /// How the leader has ended, without reaping it.
    fn how(&self) -> HowEnded {
        match self.group.leader_end() {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => HowEnded::Exited(status),
                (_, Some(signal)) => HowEnded::Signaled(signal),
                _ => HowEnded::Unseen,
            },
            None => HowEnded::Unseen,
        }
    }

    /// The end of its stderr, in one line.
    fn last_stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr_end).trim().replace('\n', " | ")
    }

    fn with_stderr(&self, fault: AgentFault) -> AgentFault {
        match fault {
            AgentFault::Invalid { line, why, .. } => {
                AgentFault::Invalid { line, why, stderr: self.last_stderr() }
            }
            other => other,
        }
    }

    /// Lets it save its work before it is killed.
    fn terminate(&mut self) {
        self.stdin = None;
        self.group.terminate();
        let until = now_ns() + GRACE.as_nanos() as u64;
        self.await_end(until);
    }

    /// Waits until it has ended, or until `until_ns`; reads its output, so that it never waits for that.
    fn await_end(&mut self, until_ns: u64) {
        while !self.group.leader_has_ended() && now_ns() < until_ns {
            self.buffer.clear();
            self.read(&mut |_| ());
            pause(REAP_LOOK);
        }
    }

    fn end(mut self, grace: Duration) -> HowEnded {
        self.stdin = None;
        if grace > Duration::ZERO {
            self.await_end(now_ns() + grace.as_nanos() as u64 / 2);
            if !self.group.leader_has_ended() {
                self.group.terminate();
                self.await_end(now_ns() + grace.as_nanos() as u64 / 2);
            }
        }
        self.group.kill();
        let Ok((status, _)) = self.group.reap_leader() else { return HowEnded::Unseen };
        self.group.end_the_others(0, &mut Usage::default(), || ());
        HowEnded::from_wait(status)
    }
}

impl AgentFault {
    /// How the task was cut short; `None` if it failed otherwise.
    pub fn cut(&self) -> Option<CutShort> {
        match self {
            Self::TimedOut { .. } => Some(CutShort::TimedOut),
            Self::Asked(why) => Some(CutShort::Asked(*why)),
            _ => None,
        }
    }
}
