//! One process of an agent program: what it is asked, what it answers, its log.

mod end;
mod unread;

use super::fault::AgentFault;
use super::line::{Line, Marks, Reply, STRAY_MAX};
use crate::config;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::os::stop::Stop;
use crate::process::exec::{
    ExecError, Group, Stream, TURN, Watcher, capacity, enter, never_waits, spawn, wait_for,
};
use crate::process::fork::own_session;
use crate::process::pidfd;
use crate::process::reap::HowEnded;
use end::ENDING_MAX;
use rustix::event::{PollFd, PollFlags};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use unread::Unread;

/// The watcher of a busy program is asked this often whether to stop it.
const LOOK: Duration = Duration::from_millis(50);
/// How often a starting program is polled: no event reports that it has read its first task.
const START_LOOK: Duration = Duration::from_millis(5);
/// Bytes that are kept of the end of a program's log.
pub(super) const LOG_MAX: usize = 2048;
/// How many ids of earlier tasks are remembered: a second answer to one of them is ignored, and fails no task.
const EARLIER_MAX: usize = 16;

/// How long a program may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From its start until it reads its first task.
    pub startup: Duration,
    /// For an attempt, from when it has the task.
    pub attempt: Duration,
    /// Of the task; CLOCK_MONOTONIC.
    pub deadline_ns: u64,
}

impl Times {
    /// When an attempt is over that begins at `begun_ns`.
    pub(super) fn ends_ns(&self, begun_ns: u64) -> u64 {
        begun_ns.saturating_add(nanos(self.attempt)).min(self.deadline_ns)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a program did with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub reply: Reply,
    /// The end of what it wrote since its last answer that is not part of the protocol.
    pub log: Vec<u8>,
    /// When it had the task; CLOCK_MONOTONIC.
    pub begun_ns: u64,
}

/// What became of a line with a task.
#[derive(Debug)]
pub(super) enum Turn {
    Answered(Answered),
    /// The program ended without having read any of it, or has closed its stdin (`None`).
    NotRead(Option<HowEnded>),
}

/// A line with a task, on its way.
struct Delivery<'a> {
    text: &'a [u8],
    /// Bytes of it that are in the pipe, or have been read.
    sent: usize,
    /// Bytes that were in the pipe before.
    before: usize,
    /// `None` as long as a program that is new has read none of it.
    begun_ns: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Process {
    group: Group,
    identity: Option<Identity>,
    /// `None` if the kernel has refused one.
    exit: Option<OwnedFd>,
    /// `None` as soon as it is asked to end.
    stdin: Option<ChildStdin>,
    /// It has closed its end of that.
    is_deaf: bool,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// Of what came on stdout.
    buffer: Unread,
    /// The rest of the line that comes on stdout is part of the log: what the line shows of an answer so far.
    stray_line: Option<Marks>,
    log: VecDeque<u8>,
    started_ns: u64,
    /// It has not read a task yet.
    is_new: bool,
    /// Ids that it was asked for before.
    earlier: VecDeque<String>,
    done: u32,
    line_max: usize,
    stop: Stop,
}

impl Process {
    pub(super) fn start(
        agent: &config::Agent,
        temporary: Option<&Path>,
        (line_max, stop): (usize, Stop),
        watcher: &mut impl Watcher,
    ) -> Result<Self, AgentFault> {
        let Some((program, rest)) = agent.command.split_first() else {
            return Err(AgentFault::Start(ExecError::Empty));
        };
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        if let Some(cwd) = &agent.cwd {
            // Otherwise the program would be said to be missing.
            let directory = |source| ExecError::Directory { path: cwd.clone(), source };
            enter(cwd).map_err(|error| AgentFault::Start(directory(error)))?;
        }
        let mut command = Command::new(program);
        command.args(rest).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(temporary) = temporary {
            command.env("TMPDIR", temporary);
        }
        command.envs(&agent.env);
        if let Some(cwd) = &agent.cwd {
            command.current_dir(cwd);
        }
        own_session(&mut command);
        let is_stopped = || watcher.stop().is_some();
        let mut child = spawn(&mut command, OsStr::new(program), is_stopped).map_err(AgentFault::Start)?;
        let process = Self {
            group: Group::led_by(&child),
            identity: Identity::of(child.id()),
            exit: pidfd::open(child.id()).ok(),
            stdin: child.stdin.take(),
            is_deaf: false,
            stdout: child.stdout.take().expect("`start` asks for a pipe"),
            stderr: child.stderr.take().expect("`start` asks for a pipe"),
            buffer: Unread::default(),
            stray_line: None,
            log: VecDeque::new(),
            started_ns: now_ns(),
            is_new: true,
            earlier: VecDeque::new(),
            done: 0,
            line_max,
            stop,
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

    /// The next answer may have `line_max` bytes.
    pub(super) fn set_line_max(&mut self, line_max: usize) {
        self.line_max = line_max;
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Its process group, and this process's descriptors to it.
    pub(super) fn holds(&self) -> Option<(i32, Vec<RawFd>)> {
        let ends = [Some(self.stdin.as_ref()?.as_fd()), Some(self.stdout.as_fd()), Some(self.stderr.as_fd())];
        let fds = ends.into_iter().chain([self.exit.as_ref().map(AsFd::as_fd)]).flatten();
        Some((self.group.raw(), fds.map(|fd| fd.as_raw_fd()).collect()))
    }

    pub(super) fn tasks_done(&self) -> u32 {
        self.done
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Resident memory; `None` if `/proc` cannot be read.
    pub(super) fn rss_bytes(&self) -> Option<u64> {
        let statm = procfs::process::Process::new(self.group.raw()).ok()?.statm().ok()?;
        Some(statm.resident.saturating_mul(procfs::page_size()))
    }

    /// It can be asked: it is alive, and both its stdin and its stdout are open. Nothing that it wrote before answers a later task.
    pub(super) fn is_waiting(&mut self) -> bool {
        let ended = self.group.leader_has_ended();
        let open = self.read(&mut |_| ());
        while let Some(line) = self.buffer.next_line() {
            self.stray_line = None;
            self.note(&line);
        }
        if self.buffer.len() > self.line_max.min(STRAY_MAX) {
            self.skip_line();
        }
        !ended && open && !self.is_deaf()
    }

    /// Its stdin is closed: no process can read what is written to it.
    fn is_deaf(&self) -> bool {
        let Some(stdin) = &self.stdin else { return true };
        let mut fds = [PollFd::new(stdin, PollFlags::OUT)];
        wait_for(&mut fds, Duration::ZERO);
        self.is_deaf || fds[0].revents().contains(PollFlags::ERR)
    }

    pub(super) fn ask(
        &mut self,
        text: &[u8],
        id: &str,
        times: &Times,
        watcher: &mut impl Watcher,
    ) -> Result<Turn, AgentFault> {
        let begun_ns = (!self.is_new).then(now_ns);
        let mut delivery = Delivery { text, sent: 0, before: self.unread().unwrap_or(0), begun_ns };
        if self.earlier.len() == EARLIER_MAX {
            self.earlier.pop_front();
        }
        let mut deaf_ns = None;
        let turn = loop {
            self.write(&mut delivery);
            let ended = self.wait(&delivery, times);
            let open = self.read(&mut |bytes| watcher.output(Stream::Stderr, bytes));
            if self.is_new && self.has_read(&delivery) {
                self.is_new = false;
                delivery.begun_ns = Some(now_ns());
            }
            if let Some(reply) = self.reply(id, watcher)? {
                // What it wrote before the answer on the other stream.
                self.read_stderr(&mut |bytes| watcher.output(Stream::Stderr, bytes));
                break Turn::Answered(self.answered(reply, delivery.begun_ns.unwrap_or_else(now_ns)));
            }
            if ended || !open {
                break self.gone(&delivery, id, watcher)?;
            }
            if self.is_deaf() && !self.has_read(&delivery) {
                break Turn::NotRead(None);
            }
            if self.is_deaf && delivery.sent < text.len() {
                // Ending, it closes its stdin before it has ended.
                let since_ns = *deaf_ns.get_or_insert_with(now_ns);
                if now_ns().saturating_sub(since_ns) > nanos(ENDING_MAX) {
                    return Err(AgentFault::Unread { log: self.log_line() });
                }
            }
            self.check(&delivery, times, watcher)?;
        };
        self.earlier.push_back(id.to_owned());
        Ok(turn)
    }

    fn answered(&mut self, reply: Reply, begun_ns: u64) -> Answered {
        self.done = self.done.saturating_add(1);
        self.is_new = false;
        Answered { reply, log: std::mem::take(&mut self.log).into(), begun_ns }
    }

    /// Ends it if its time is over, or if its watcher stops it.
    fn check(
        &mut self,
        delivery: &Delivery<'_>,
        times: &Times,
        watcher: &mut impl Watcher,
    ) -> Result<(), AgentFault> {
        if let Some(why) = watcher.stop() {
            self.ask_to_end(watcher);
            return Err(AgentFault::Asked(why));
        }
        let now = now_ns();
        if now >= delivery.begun_ns.map_or(times.deadline_ns, |begun_ns| times.ends_ns(begun_ns)) {
            self.ask_to_end(watcher);
            return Err(AgentFault::TimedOut { log: self.log_line() });
        }
        if self.is_new && now >= self.started_ns.saturating_add(nanos(times.startup)) {
            self.ask_to_end(watcher);
            return Err(AgentFault::SlowStart { after: times.startup, log: self.log_line() });
        }
        Ok(())
    }

    /// The answer to the task with this id, if it is there. Everything before it is used up.
    fn reply(&mut self, id: &str, watcher: &mut impl Watcher) -> Result<Option<Reply>, AgentFault> {
        while let Some(line) = self.buffer.next_line() {
            let text = &line[..line.len() - 1];
            if let Some(mut marks) = self.stray_line.take() {
                marks.look(&line, id);
                self.note(&line);
                if marks.is_answer() {
                    return Err(AgentFault::behind_too_much(self.log_line()));
                }
                continue;
            }
            match Line::parse(text, id) {
                Ok(Line::Stray) => self.note(&line),
                Ok(Line::Other(found)) if self.earlier.contains(&found) => self.note(&line),
                Ok(_) if text.len() > self.line_max => return Err(AgentFault::TooLong(self.line_max)),
                Ok(Line::Progress) => watcher.output(Stream::Stdout, &line),
                Ok(Line::Reply(reply)) => return Ok(Some(reply)),
                Ok(Line::Other(found)) => return Err(AgentFault::WrongId { asked: id.to_owned(), found }),
                Err(fault) => return Err(fault.with_log(self.log_line())),
            }
        }
        if self.buffer.len() > self.line_max.min(STRAY_MAX) {
            // It may be an answer only if it is an object.
            if self.stray_line.is_some() || !self.buffer.bytes().trim_ascii_start().starts_with(b"{") {
                let mut marks = self.stray_line.take().unwrap_or_default();
                marks.look(self.buffer.bytes(), id);
                self.skip_line();
                self.stray_line = Some(marks);
            } else if self.buffer.len() > self.line_max {
                return Err(AgentFault::TooLong(self.line_max));
            }
        }
        Ok(None)
    }

    /// Moves the beginning of a line that is too long to the log; the rest of the line follows it.
    fn skip_line(&mut self) {
        let line = self.buffer.take();
        self.note(&line);
        self.stray_line.get_or_insert_default();
    }

    /// Adds to the log.
    fn note(&mut self, bytes: &[u8]) {
        self.log.extend(&bytes[bytes.len().saturating_sub(LOG_MAX)..]);
        let too_many = self.log.len().saturating_sub(LOG_MAX);
        self.log.drain(..too_many);
    }

    /// The end of its log, in one line.
    pub(super) fn log_line(&mut self) -> String {
        String::from_utf8_lossy(self.log.make_contiguous()).trim().replace('\n', " | ")
    }

    fn write(&mut self, delivery: &mut Delivery<'_>) {
        while let Some(stdin) = &mut self.stdin
            && delivery.sent < delivery.text.len()
        {
            match stdin.write(&delivery.text[delivery.sent..]) {
                Ok(n) => delivery.sent += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_deaf |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }

    /// Bytes that it has not read; `None` if the kernel does not say.
    fn unread(&self) -> Option<usize> {
        let unread = rustix::io::ioctl_fionread(self.stdin.as_ref()?).ok()?;
        usize::try_from(unread).ok()
    }

    /// It has read some of the task, or may have.
    fn has_read(&self, delivery: &Delivery<'_>) -> bool {
        self.unread().is_none_or(|unread| unread < delivery.before + delivery.sent)
    }

    /// Waits until something happens; true if the program has ended.
    fn wait(&self, delivery: &Delivery<'_>, times: &Times) -> bool {
        let (look, until) = match delivery.begun_ns {
            Some(begun_ns) => (LOOK, times.ends_ns(begun_ns)),
            None => (START_LOOK, times.deadline_ns),
        };
        let left = Duration::from_nanos(until.saturating_sub(now_ns())).max(Duration::from_millis(1));
        let mut fds =
            vec![PollFd::new(&self.stdout, PollFlags::IN), PollFd::new(&self.stderr, PollFlags::IN)];
        fds.extend(self.exit.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let stdin = self.stdin.as_ref().filter(|_| !self.is_deaf && delivery.sent < delivery.text.len());
        fds.extend(stdin.map(|fd| PollFd::new(fd, PollFlags::OUT)));
        wait_for(&mut fds, look.min(left));
        // Checked before its pipes are read: what it has written by then is in them.
        self.group.leader_has_ended()
    }

    /// Reads what is there now, and [`TURN`] at most; false if there will never be more. `each` gets what came on stderr.
    fn read(&mut self, each: &mut dyn FnMut(&[u8])) -> bool {
        self.read_stderr(each);
        let mut bytes = [0; 8192];
        let most = self.line_max.min(self.buffer.len().saturating_add(TURN));
        while self.buffer.len() <= most {
            match self.stdout.read(&mut bytes) {
                Ok(0) => return false,
                Ok(n) => self.buffer.extend(&bytes[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// As [`Self::read`], and the answer to the task with this id, if it is there. Of a program that has ended: everything that
    /// it has left in its pipe is read, up to the answer, and no more. Another process may still write there.
    fn rest(&mut self, id: &str, watcher: &mut impl Watcher) -> Result<Option<Reply>, AgentFault> {
        let mut left = capacity(&self.stdout);
        loop {
            let before = self.buffer.len();
            self.read(&mut |bytes| watcher.output(Stream::Stderr, bytes));
            let more = self.buffer.len() - before;
            if let Some(reply) = self.reply(id, watcher)? {
                return Ok(Some(reply));
            }
            if more == 0 || more >= left {
                return Ok(None);
            }
            left -= more;
        }
    }

    /// As [`Self::read`], of its stderr.
    fn read_stderr(&mut self, each: &mut dyn FnMut(&[u8])) {
        let mut bytes = [0; 8192];
        let mut taken = 0;
        while taken < TURN
            && let Ok(n @ 1..) = self.stderr.read(&mut bytes)
        {
            each(&bytes[..n]);
            self.note(&bytes[..n]);
            if n < bytes.len() {
                break;
            }
            taken += n;
        }
    }
}
