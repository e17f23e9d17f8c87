//! A long-lived agent: a program in any language that does a task for each line of JSON on its stdin.
//!
//! To it: `{"id":"1.1.7","attempt":1,"task":…,"timeout_ms":60000}`. From it, any number of
//! `{"id":"1.1.7","progress":…}`, then `{"id":"1.1.7","ok":true,"result":…}` or
//! `{"id":"1.1.7","ok":false,"error":"…","retry":true}`. One task at a time, one line each. An agent that does
//! anything else is ended with its whole process group, and the next task has another one.

mod line;
#[cfg(test)]
mod tests;

pub use line::{Reply, Request};

use super::exec::{Cut, ExecError, GRACE, Group, Stream, Watcher, Why, never_waits, spawn};
use super::fork::own_group;
use super::reap::HowEnded;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::wire::Usage;
use line::Line;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use thiserror::Error;

/// How often a busy agent is looked at for a stop of the fleet.
const LOOK: Duration = Duration::from_millis(50);
/// Kept of what an agent says on stderr, for the words about its end: the last of it.
const SAID_MAX: usize = 2048;
/// Of a line that is no answer, in the words about it.
const SHOWN_MAX: usize = 200;

/// Why an agent did not do its task. Whatever it was, the agent is gone afterwards, but for `Task`.
#[derive(Debug, Error)]
pub enum AgentFault {
    #[error("the task is not one value of JSON: {0}")]
    Task(String),
    #[error(transparent)]
    Start(ExecError),
    #[error("the agent {how} with the task in hand{}", and_said(.said))]
    Ended { how: HowEnded, said: String },
    #[error("the agent closed its standard output with the task in hand{}", and_said(.said))]
    Closed { said: String },
    #[error("the agent wrote what is no answer ({why}): {line}{}", and_said(.said))]
    Nonsense { line: String, why: String, said: String },
    #[error("the agent answered task {found:?} and was asked for {asked:?}")]
    WrongId { asked: String, found: String },
    #[error("the agent wrote a line of more than {0} bytes, which is what this fleet carries")]
    TooLong(usize),
    #[error("the agent had no answer when its time was over{}", and_said(.said))]
    TimedOut { said: String },
    #[error("the agent was ended: its task is not wanted any more")]
    Asked(Why),
    #[error("cannot talk to the agent: {0}")]
    Pipe(#[from] std::io::Error),
}

fn and_said(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; it said: {said}") }
}

/// The place of an agent, which is started when there is a task for it.
#[derive(Debug)]
pub struct Agent {
    command: Vec<String>,
    temporary: Option<PathBuf>,
    line_max: usize,
    process: Option<Process>,
    /// Processes so far.
    started: u32,
}

impl Agent {
    /// `command` is a program and its arguments; `line_max` bytes is how long an answer may be; `temporary` will be
    /// its `TMPDIR`.
    pub fn new(command: &[String], line_max: usize, temporary: Option<PathBuf>) -> Self {
        Self { command: command.to_vec(), temporary, line_max, process: None, started: 0 }
    }

    /// Gives it `request` and waits for the answer, until `deadline_ns` or until `watcher` says stop. Progress is
    /// what the watcher hears of stdout.
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

    /// One that waits for a task and has nothing else to say.
    fn ready(&mut self, watcher: &mut impl Watcher) -> Result<&mut Process, AgentFault> {
        if self.process.as_mut().is_some_and(|process| !process.is_idle()) {
            // It has ended by itself, or talks without being asked: no task's fault.
            self.end(Duration::ZERO);
        }
        if self.process.is_none() {
            self.process = Some(Process::start(self, watcher)?);
            self.started += 1;
        }
        let process = self.process.as_mut().expect("it was started above");
        if let Some(identity) = process.identity {
            watcher.started(identity);
        }
        Ok(process)
    }

    /// Who it is; `None` if there is none right now.
    pub fn identity(&self) -> Option<Identity> {
        self.process.as_ref()?.identity
    }

    /// Its process group, and the descriptors that lead to it.
    pub fn holds(&self) -> Option<(i32, Vec<RawFd>)> {
        let process = self.process.as_ref()?;
        let ends = [
            Some(process.stdin.as_ref()?.as_fd()),
            Some(process.stdout.as_fd()),
            Some(process.stderr.as_fd()),
        ];
        let fds = ends.into_iter().chain([process.exit.as_ref().map(AsFd::as_fd)]).flatten();
        Some((process.group.0.as_raw(), fds.map(|fd| fd.as_raw_fd()).collect()))
    }

    /// Answered by the one that runs now.
    pub fn tasks_done(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.done)
    }

    /// Of the one that runs now; `None` if there is none, or `/proc` does not say.
    pub fn rss_bytes(&self) -> Option<u64> {
        let group = self.process.as_ref()?.group.0.as_raw();
        let statm = procfs::process::Process::new(group).ok()?.statm().ok()?;
        Some(statm.resident.saturating_mul(procfs::page_size()))
    }

    /// Processes that were started here so far.
    pub fn started(&self) -> u32 {
        self.started
    }

    /// Closes its stdin, which tells it to end; then SIGTERM after half of `grace`, SIGKILL after all of it, to its
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
    /// `None` where there are no descriptors left, or the kernel has none of this kind.
    exit: Option<OwnedFd>,
    /// `None` as soon as it is told to end.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// Read from stdout and not used yet.
    buffer: Vec<u8>,
    /// The last of its stderr.
    said: Vec<u8>,
    done: u32,
    line_max: usize,
}

impl Process {
    fn start(agent: &Agent, watcher: &mut impl Watcher) -> Result<Self, AgentFault> {
        let Some((program, rest)) = agent.command.split_first() else {
            return Err(AgentFault::Start(ExecError::Empty));
        };
        let _ = nix::sys::prctl::set_child_subreaper(true);
        let mut command = Command::new(program);
        command.args(rest).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(temporary) = &agent.temporary {
            command.env("TMPDIR", temporary);
        }
        own_group(&mut command);
        let stop = || watcher.stop().is_some();
        let mut child = spawn(&mut command, OsStr::new(program), stop).map_err(AgentFault::Start)?;
        let group = Group(Pid::from_raw(child.id() as i32));
        let pid = rustix::process::Pid::from_raw(group.0.as_raw()).expect("a child's pid is positive");
        let process = Self {
            group,
            identity: Identity::of(child.id()),
            exit: pidfd_open(pid, PidfdFlags::empty()).ok(),
            stdin: child.stdin.take(),
            stdout: child.stdout.take().expect("asked for"),
            stderr: child.stderr.take().expect("asked for"),
            buffer: Vec::new(),
            said: Vec::new(),
            done: 0,
            line_max: agent.line_max,
        };
        let stdin = process.stdin.as_ref().expect("asked for");
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

    /// It lives, and has said nothing since its last answer.
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
                    Err(fault) => return Err(self.with_words(fault)),
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
                    return Err(AgentFault::TimedOut { said: self.said() });
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
                // Full; or it does not read any more, which shows in what it answers.
                Err(_) => return,
            }
        }
    }

    /// Until something happens; true if it has ended.
    fn wait(&self, deadline_ns: u64, writing: bool) -> bool {
        let left = Duration::from_nanos(deadline_ns.saturating_sub(now_ns())).max(Duration::from_millis(1));
        let mut fds = vec![
            PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stderr.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.exit.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        let stdin = self.stdin.as_ref().filter(|_| writing);
        fds.extend(stdin.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLOUT)));
        let _ = poll(&mut fds, PollTimeout::from(LOOK.min(left).as_millis() as u16));
        // Asked before its pipes are read: what it has written by then is in them.
        self.group.leader_has_ended()
    }

    /// Everything that is there now; false if there will never be more.
    fn read(&mut self, heard: &mut dyn FnMut(&[u8])) -> bool {
        let mut bytes = [0; 8192];
        while let Ok(n @ 1..) = self.stderr.read(&mut bytes) {
            heard(&bytes[..n]);
            self.said.extend_from_slice(&bytes[..n]);
            let too_many = self.said.len().saturating_sub(SAID_MAX);
            self.said.drain(..too_many);
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

    /// There will be no answer: because it has ended, or does so in a moment, or just does not talk any more.
    fn gone(&mut self) -> AgentFault {
        let until = now_ns() + GRACE.as_nanos() as u64;
        while !self.group.leader_has_ended() && now_ns() < until {
            let _ = poll(&mut [], PollTimeout::from(2_u16));
        }
        self.read(&mut |_| ());
        let said = self.said();
        if self.group.leader_has_ended() {
            // Not reaped yet, so its group's number is its own until `end`.
            return AgentFault::Ended { how: self.how(), said };
        }
        AgentFault::Closed { said }
    }

    /// How the leader has ended, which stays to be reaped.
    fn how(&self) -> HowEnded {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let pid = rustix::process::Pid::from_raw(self.group.0.as_raw()).expect("a child's pid is positive");
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
        {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => HowEnded::Exited(status),
                (_, Some(signal)) => HowEnded::Signaled(signal),
                _ => HowEnded::Unseen,
            },
            _ => HowEnded::Unseen,
        }
    }

    /// The last of its stderr, in one line.
    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).trim().replace('\n', " | ")
    }

    fn with_words(&self, fault: AgentFault) -> AgentFault {
        match fault {
            AgentFault::Nonsense { line, why, .. } => AgentFault::Nonsense { line, why, said: self.said() },
            other => other,
        }
    }

    /// It may put away what it has, before it is killed.
    fn terminate(&mut self) {
        self.stdin = None;
        self.group.terminate();
        let until = now_ns() + GRACE.as_nanos() as u64;
        self.await_end(until);
    }

    /// Until it has ended, or `until_ns`; what it writes meanwhile holds it up no more than before.
    fn await_end(&mut self, until_ns: u64) {
        while !self.group.leader_has_ended() && now_ns() < until_ns {
            self.buffer.clear();
            self.read(&mut |_| ());
            let _ = poll(&mut [], PollTimeout::from(2_u16));
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

/// What an agent's fault means for its task.
impl AgentFault {
    pub fn cut(&self) -> Option<Cut> {
        match self {
            Self::TimedOut { .. } => Some(Cut::TimedOut),
            Self::Asked(why) => Some(Cut::Asked(*why)),
            _ => None,
        }
    }
}
