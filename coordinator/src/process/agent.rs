//! The agent program: a long-lived command, in any language, that does a task for each line of JSON on its stdin.
//!
//! To it: `{"id":"1.1.7-5f0c2a9d11e84b36","attempt":1,"task":…,"timeout_ms":60000}`. From it, any number of
//! `{"id":"…","progress":…}`, then `{"id":"…","ok":true,"result":…}` or `{"id":"…","ok":false,"error":"…","retry":false}`,
//! with the id that it got. One task at a time, one line each.
//!
//! The end of an id is random and new for each line that is sent, so an answer that was written before its question, or
//! to an earlier one, is none. Lines that are not part of the protocol are the program's log, as its stderr is, and so is
//! a second answer. A program that answers what it was not asked is ended with its whole process group, and another one
//! is started for the next task.
//!
//! A task is delivered as soon as the program has read some of its line. What ends or closes its stdin before that has
//! not begun the task, and another program gets it.

mod fault;
mod line;
mod process;
#[cfg(test)]
mod tests;

pub use fault::{AgentFault, Blame};
pub use line::{Reply, Request};
pub use process::{Answered, Times};

use super::exec::{Watcher, pause};
use super::reap::HowEnded;
use crate::config;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::os::stop::Stop;
use process::{Process, Turn};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

/// A program that ends before it reads its first task is started this many times in all,
const STARTS: u32 = 3;
/// the second time after this long, then twice as long each time.
const START_AGAIN: Duration = Duration::from_millis(10);
/// Bytes of an id that are random: too many to be guessed.
const RANDOM: usize = 8;

/// An agent program, started when there is a task for it, and again after it has ended.
#[derive(Debug)]
pub struct Agent {
    program: config::Agent,
    temporary: Option<PathBuf>,
    line_max: usize,
    stop: Stop,
    process: Option<Process>,
    /// How often it was started.
    started: u32,
}

impl Agent {
    /// An answer may have `line_max` bytes; `temporary` will be its `TMPDIR`;
    /// `stop` is how it is ended with a task in hand.
    pub fn new(program: &config::Agent, line_max: usize, temporary: Option<PathBuf>, stop: Stop) -> Self {
        Self { program: program.clone(), temporary, line_max, stop, process: None, started: 0 }
    }

    /// The next answer may have `line_max` bytes.
    pub fn set_line_max(&mut self, line_max: usize) {
        self.line_max = line_max;
        if let Some(process) = &mut self.process {
            process.set_line_max(line_max);
        }
    }

    /// Sends it `request` and waits for the answer, for as long as `times` says or until `watcher` stops it. The watcher
    /// gets progress as output on stdout.
    pub fn ask(
        &mut self,
        request: &Request<'_>,
        times: &Times,
        watcher: &mut impl Watcher,
    ) -> Result<Answered, AgentFault> {
        let mut starts = 0;
        loop {
            let id = format!("{}-{}", request.id, random()?);
            let left_ns = times.ends_ns(now_ns()).saturating_sub(now_ns());
            let text = request.line(&id, left_ns).map_err(AgentFault::Task)?;
            let process = self.ready(watcher)?;
            let is_new = process.is_new();
            let turn = process.ask(&text, &id, times, watcher);
            let how = match turn {
                Ok(Turn::Answered(answered)) => return Ok(answered),
                Ok(Turn::NotRead(how)) => how,
                Err(fault) => {
                    self.end(Duration::ZERO);
                    return Err(fault);
                }
            };
            let log = process.log_line();
            // One that lives, and takes no more tasks, may have something to finish.
            let ended = self.end(how.map_or(self.stop.grace, |_| Duration::ZERO));
            let how = match how.or(ended) {
                Some(how @ HowEnded::Exited(_)) => how.to_string(),
                Some(signaled) if how.is_some() => signaled.to_string(),
                _ => "closed its standard input".to_owned(),
            };
            if is_new {
                starts += 1;
                if starts == STARTS {
                    return Err(AgentFault::NotReady { how, starts, log });
                }
                pause(START_AGAIN * 2_u32.pow(starts - 1));
            }
        }
    }

    /// Returns a running program that waits for a task, and starts one if needed.
    fn ready(&mut self, watcher: &mut impl Watcher) -> Result<&mut Process, AgentFault> {
        if self.process.as_mut().is_some_and(|process| !process.is_waiting()) {
            // It has ended by itself, or takes no more tasks: no task has failed by that.
            self.end(self.stop.grace);
        }
        if self.process.is_none() {
            let temporary = self.temporary.as_deref();
            self.process =
                Some(Process::start(&self.program, temporary, (self.line_max, self.stop), watcher)?);
            self.started += 1;
        }
        let process = self.process.as_mut().expect("it was started above if there was none");
        if let Some(identity) = process.identity() {
            watcher.started(identity);
        }
        Ok(process)
    }

    /// The identity of the running program; `None` if there is none.
    pub fn identity(&self) -> Option<Identity> {
        self.process.as_ref()?.identity()
    }

    /// Its process group, and this process's descriptors to it.
    pub fn holds(&self) -> Option<(i32, Vec<RawFd>)> {
        self.process.as_ref()?.holds()
    }

    /// Tasks that the running program has answered.
    pub fn tasks_done(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::tasks_done)
    }

    /// Resident memory of the running program; `None` if there is none, or `/proc` cannot be read.
    pub fn rss_bytes(&self) -> Option<u64> {
        self.process.as_ref()?.rss_bytes()
    }

    /// How often the program has been started.
    pub fn started(&self) -> u32 {
        self.started
    }

    /// Closes its stdin, which asks it to end; sends its signal after half of `grace`, and SIGKILL after all of it, to its
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

/// A suffix that no program can know beforehand.
fn random() -> std::io::Result<String> {
    let mut bytes = [0; RANDOM];
    let mut filled = 0;
    while filled < RANDOM {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
