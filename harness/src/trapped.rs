//! A system whose calls on shared memory can be made to fail: the filter that it is started below, the process that
//! answers its trapped calls, and a probe below the same filter.
//!
//! A thread of its own installs the filter ([`trap`]) and starts the system, which inherits it, as does everything that
//! the system starts; no other thread or child of this process has it. The thread stays and is the probe. The process
//! that answers ([`serve`]) lets every call go on until it is armed, and after it is disarmed or this process has gone; it ends with the last process below the filter.
//! Deliberately absent: when it is armed and what proves it, which is for the fault.

mod aim;
mod answers;
mod orders;

pub use answers::serve;
pub use orders::{CallErrors, Counts};

use crate::companion::{Companion, Line};
use crate::failing::Which;
use coordinator::client::Identity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::gettid;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thiserror::Error;

/// Until the process that answers has started.
const START_MAX: Duration = Duration::from_secs(20);
/// Until it has obeyed an order, which takes it microseconds.
const OBEY_MAX: Duration = Duration::from_secs(2);

/// What users are told where calls cannot be trapped.
pub const REMEDY: &str = "use Linux 5.5 or newer, outside of a sandbox that traps calls itself (docker: --security-opt seccomp=unconfined), \
                          with sysctl kernel.yama.ptrace_scope=0 for any user but root; or leave `shm-errors` out";

#[derive(Debug, Error)]
pub enum TrapError {
    #[error("the kernel refuses seccomp user notification: {0}")]
    Refused(io::Error),
    #[error("the process that answers trapped calls cannot be started: {0}")]
    NotStarted(io::Error),
    #[error("the process that answers trapped calls has ended or does not answer: {0}")]
    Gone(io::Error),
    #[error("calls can be trapped, and do not fail as they are told to: {0}")]
    Useless(String),
}

/// What the probe has met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probed {
    pub tries: u64,
    /// Tries that failed as they were to.
    pub failed: u64,
    /// The first that failed in another way.
    pub other: Option<String>,
}

/// What a fault needs of it.
pub trait Trap: fmt::Debug {
    /// From now on some calls on shared memory fail; all counts begin anew.
    fn arm(&self, errors: &CallErrors) -> Result<(), TrapError>;

    /// From now on none does. What the counts have come to.
    fn disarm(&self) -> Result<Counts, TrapError>;

    fn counts(&self) -> Result<Counts, TrapError>;

    /// Makes the probe try to open the directory of shared memory so often. What it meets comes by [`Trap::probed`].
    fn probe(&self, tries: u64, error: Errno);

    /// What a probe has met, once; nothing as long as it tries.
    fn probed(&self) -> Option<Probed>;
}

type Job = Box<dyn FnOnce() + Send>;

/// The filter, its thread and the process that answers. Dropped, all of it ends.
pub struct Trapped {
    listener: Answerer,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    probes: (Sender<Probed>, Receiver<Probed>),
    dir: PathBuf,
    /// That the process has ended has been said.
    told: Cell<bool>,
}

impl fmt::Debug for Trapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trapped").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Trapped {
    /// Calls on what lies in `dir` can fail, of what [`Trapped::run`] starts.
    ///
    /// # Errors
    /// The kernel refuses it, or the process that answers cannot be started; nothing is left then.
    pub fn start(dir: &Path) -> Result<Self, TrapError> {
        let (jobs, todo) = channel::<Job>();
        let (sender, installed) = channel();
        let thread = thread::Builder::new().name("launch".to_owned());
        let thread = thread.spawn(move || {
            let fd = trap::install();
            let is_there = fd.is_ok();
            let _ = sender.send((fd, gettid().as_raw_nonzero().get().unsigned_abs()));
            if is_there {
                for job in todo {
                    job();
                }
            }
        });
        let thread = thread.map_err(TrapError::Refused)?;
        let (fd, probe) = installed.recv().map_err(|error| TrapError::Refused(io::Error::other(error)))?;
        let fd = fd.map_err(TrapError::Refused)?;
        // `fd` is closed here with its last use: were it open, calls would wait for ever once the process has ended.
        let listener = Answerer::start(fd, probe, dir).map_err(TrapError::NotStarted)?;
        let (jobs, thread) = (Some(jobs), Some(thread));
        Ok(Self { listener, jobs, thread, probes: channel(), dir: dir.to_owned(), told: Cell::new(false) })
    }

    /// Whether this host can do it: a probe alone, with all that a run has.
    ///
    /// # Errors
    /// In words of the kernel.
    pub fn rehearse(dir: &Path) -> Result<(), TrapError> {
        let trapped = Self::start(dir)?;
        let met = |errors: Option<&CallErrors>| {
            match errors {
                Some(errors) => trapped.arm(errors)?,
                None => drop(trapped.disarm()?),
            }
            trapped.probe(1, Errno::NOSPC);
            trapped.probes.1.recv().map_err(|error| TrapError::Gone(io::Error::other(error)))
        };
        let all = CallErrors { errno: Errno::NOSPC, which: Which::Nth(1), seed: 0 };
        let (armed, healed) = (met(Some(&all))?, met(None)?);
        let is_right = armed.failed == 1 && healed == Probed { tries: 1, ..Probed::default() };
        if is_right { Ok(()) } else { Err(TrapError::Useless(format!("{armed:?}, {healed:?}"))) }
    }

    /// Has `job` done by the thread below the filter: what it starts is below it as well.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(jobs) = &self.jobs {
            // The thread takes jobs until this is dropped.
            let _ = jobs.send(Box::new(job));
        }
    }

    /// That the process that answers has ended, once: from then on trapped calls fail with ENOSYS.
    pub fn lost(&self) -> Option<String> {
        if self.listener.process.identity().is_alive() || self.told.replace(true) {
            return None;
        }
        let pid = self.listener.process.identity().pid;
        Some(format!(
            "the harness's process that answers trapped calls (pid {pid}) has ended: calls of the fleet on files fail from then on"
        ))
    }
}

impl Trap for Trapped {
    fn arm(&self, errors: &CallErrors) -> Result<(), TrapError> {
        self.listener.order(&errors.to_string()).map(drop)
    }

    fn disarm(&self) -> Result<Counts, TrapError> {
        self.listener.order(orders::DISARM)
    }

    fn counts(&self) -> Result<Counts, TrapError> {
        self.listener.order(orders::COUNTS)
    }

    fn probe(&self, tries: u64, error: Errno) {
        let (dir, sender) = (self.dir.clone(), self.probes.0.clone());
        self.run(move || {
            let _ = sender.send(probe(&dir, tries, error));
        });
    }

    fn probed(&self) -> Option<Probed> {
        self.probes.1.try_recv().ok()
    }
}

impl Drop for Trapped {
    fn drop(&mut self) {
        // First the process: a call of the thread that still waits for it has an answer then.
        self.listener.process.kill();
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A job that has panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Opens `dir`, and closes it again, so often.
fn probe(dir: &Path, tries: u64, error: Errno) -> Probed {
    let mut met = Probed::default();
    for _ in 0..tries {
        met.tries += 1;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags, Mode::empty()) {
            Ok(_) => {}
            Err(errno) if errno == error => met.failed += 1,
            Err(errno) => drop(met.other.get_or_insert_with(|| errno.to_string())),
        }
    }
    met
}

/// Whether the kernel shows that a process is below a filter that this one is not below.
///
/// # Errors
/// In words, what it shows instead.
pub fn is_below(process: Identity) -> Result<(), String> {
    let status = |pid: &str| {
        fs::read_to_string(format!("/proc/{pid}/status"))
            .map_err(|error| format!("cannot be looked at: {error}"))
    };
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<u32>().ok())
    };
    let (own, theirs) = (status("self")?, status(&process.pid.to_string())?);
    // Kernels before 5.9 do not count filters.
    let filters = |text: &str| field(text, "Seccomp_filters:");
    let has_more = filters(&theirs) > filters(&own) || filters(&own).is_none();
    if field(&theirs, "Seccomp:") == Some(2) && has_more && process.is_alive() {
        Ok(())
    } else {
        Err("is below no filter of this run".to_owned())
    }
}

/// The process that answers. Dropped, it is killed.
#[derive(Debug)]
struct Answerer {
    process: Companion,
    control: RefCell<Line>,
}

impl Answerer {
    fn start(calls: OwnedFd, probe: u32, dir: &Path) -> io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        let process = Companion::start(|command| {
            command.args(["answer-calls", "--probe", &probe.to_string()]).arg(dir);
            command.stdin(Stdio::from(calls)).stdout(Stdio::from(OwnedFd::from(theirs)));
        })?;
        let mut control = Line::new(control, "it")?;
        counts(&control.hear(START_MAX)?)?;
        Ok(Self { process, control: RefCell::new(control) })
    }

    fn order(&self, words: &str) -> Result<Counts, TrapError> {
        let said = self.control.borrow_mut().ask(words, OBEY_MAX);
        said.and_then(|said| counts(&said)).map_err(TrapError::Gone)
    }
}

/// It says its counts after each order, and when it has started.
fn counts(said: &str) -> io::Result<Counts> {
    said.parse().map_err(|_| io::Error::other(format!("it says {said:?}")))
}
