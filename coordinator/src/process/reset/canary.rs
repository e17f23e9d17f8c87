//! Traces that one task leaves in its worker on purpose, and the next one looks for.
//!
//! Each is recognised by a mark of its own, so that the check does not depend on the state that the reset has recorded: the
//! reset is what it has to prove.

use crate::os::clock::now_ns;
use crate::process::fork::{ignore, set_variable};
use crate::process::offspring::children;
use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use rustix::fs::{MemfdFlags, Mode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io;
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const MARK: &str = "COORDINATOR_CANARY";
const DIRECTORY: &str = "/proc";
/// A limit that is not set by chance, in bytes.
const FILE_SIZE: u64 = 1_234_567_891_234;
const UMASK: u32 = 0o352;
/// Seconds: more than anything runs, and a mark in a command line.
const CHILD: &str = "98765";

/// A child that has not started by then never will.
const CHILD_MAX: Duration = Duration::from_secs(10);

/// A kind of trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canary {
    Variable,
    Directory,
    Descriptor,
    BlockedSignal,
    IgnoredSignal,
    Limit,
    Umask,
    /// In a session of its own, and a child of the worker only.
    Child,
    /// In the temporary directory.
    File,
    /// Cannot be undone.
    Thread,
}

impl Canary {
    /// Those that a reset undoes.
    pub const CURABLE: [Self; 9] = [
        Self::Variable,
        Self::Directory,
        Self::Descriptor,
        Self::BlockedSignal,
        Self::IgnoredSignal,
        Self::Limit,
        Self::Umask,
        Self::Child,
        Self::File,
    ];
}

/// The body of a canary's task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    Plant(Vec<Canary>),
    Look,
}

/// Does what a task's body orders. Returns the body of the answer: the list of what was planted or found. The error says
/// why it could not.
pub fn carry_out(body: &[u8], temporary: Option<&Path>) -> Result<Vec<u8>, String> {
    let order: Order = serde_json::from_slice(body)
        .map_err(|error| format!("this is not an order for canaries: {error}"))?;
    let list = match order {
        Order::Plant(list) => {
            for canary in &list {
                plant(*canary, temporary).map_err(|error| format!("cannot plant {canary:?}: {error}"))?;
            }
            list
        }
        Order::Look => look(temporary).map_err(|error| format!("cannot look for canaries: {error}"))?,
    };
    serde_json::to_vec(&list).map_err(|error| error.to_string())
}

/// Leaves that trace in this process, which has one thread.
pub fn plant(canary: Canary, temporary: Option<&Path>) -> io::Result<()> {
    match canary {
        Canary::Variable => set_variable(OsStr::new(MARK), Some(OsStr::new("1"))),
        Canary::Directory => std::env::set_current_dir(DIRECTORY)?,
        Canary::Descriptor => {
            let _leaked = rustix::fs::memfd_create(MARK, MemfdFlags::empty())?.into_raw_fd();
        }
        Canary::BlockedSignal => {
            sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::from(Signal::SIGUSR2)), None)?;
        }
        Canary::IgnoredSignal => ignore(Signal::SIGUSR1)?,
        Canary::Limit => {
            let maximum = getrlimit(Resource::Fsize).maximum;
            setrlimit(Resource::Fsize, Rlimit { current: Some(FILE_SIZE), maximum })?;
        }
        Canary::Umask => {
            rustix::process::umask(Mode::from_raw_mode(UMASK));
        }
        Canary::Child => {
            // Ends at once; the process that it has started is an orphan then.
            let script = format!("setsid sleep {CHILD} & echo $!");
            let sh = Command::new("sh")
                .args(["-c", &script])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()?;
            if !sh.success() {
                return Err(io::Error::other(format!("sh {sh}")));
            }
            wait_for_child()?;
        }
        Canary::File => {
            let dir = temporary.ok_or_else(|| io::Error::other("there is no temporary directory"))?;
            std::fs::File::create_new(dir.join(MARK))?;
        }
        Canary::Thread => {
            std::thread::Builder::new().spawn(|| {
                loop {
                    std::thread::park();
                }
            })?;
        }
    }
    Ok(())
}

/// Waits until the child runs its program: while a process becomes another program it has no name.
fn wait_for_child() -> io::Result<()> {
    let begun = now_ns();
    let is_asleep = |pid: i32| {
        is_marked_child(pid)
            && std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"sleep\n")
    };
    while !children().into_iter().any(is_asleep) {
        if now_ns() - begun > CHILD_MAX.as_nanos() as u64 {
            return Err(io::Error::other("the child does not start"));
        }
        let _ = poll(&mut [], PollTimeout::from(1_u16));
    }
    Ok(())
}

/// Which of those traces this process has.
pub fn look(temporary: Option<&Path>) -> io::Result<Vec<Canary>> {
    let status = procfs::process::Process::myself()
        .and_then(|process| process.status())
        .map_err(|error| io::Error::other(error.to_string()))?;
    let has = |mask: u64, signal: Signal| mask & 1 << (signal as u64 - 1) != 0;
    let mut found = Vec::new();
    let mut note = |canary, is_there: bool| found.extend(is_there.then_some(canary));
    note(Canary::Variable, std::env::var_os(MARK).is_some());
    note(Canary::Directory, std::env::current_dir().is_ok_and(|dir| dir == Path::new(DIRECTORY)));
    note(Canary::Descriptor, has_marked_descriptor()?);
    note(Canary::BlockedSignal, has(status.sigblk, Signal::SIGUSR2));
    note(Canary::IgnoredSignal, has(status.sigign, Signal::SIGUSR1));
    note(Canary::Limit, getrlimit(Resource::Fsize).current == Some(FILE_SIZE));
    note(Canary::Umask, status.umask == Some(UMASK));
    note(Canary::Child, children().into_iter().any(is_marked_child));
    note(Canary::File, temporary.is_some_and(|dir| dir.join(MARK).exists()));
    note(Canary::Thread, status.threads > 1);
    Ok(found)
}

fn has_marked_descriptor() -> io::Result<bool> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let target = std::fs::read_link(entry?.path()).unwrap_or_default();
        if target.to_string_lossy().contains(MARK) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_marked_child(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains(CHILD))
}
