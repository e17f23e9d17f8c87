//! The supervisor: the control plane of a fleet. It makes the bus, forks the coordinators, watches
//! them and its owner, and takes everything down again. It never carries a task.

use super::coordinator;
use super::fork;
use super::identity::{Identity, Presence};
use super::reap::{HowEnded, reap_any};
use crate::bus::directory::{self, region_path};
use crate::bus::error::{BusError, in_words};
use crate::bus::fault;
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Region, Stamped};
use crate::cli::policy::arguments;
use crate::config::{FleetShape, Policy};
use crate::plan::restart::{Restart, Restarts};
use crate::process::clock::now_ns;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use procfs::ProcError;
use rustix::process::{PidfdFlags, WaitOptions, pidfd_open, waitpgid};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// What coordinators get to end by themselves. More than they give their workers.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// From the first fork to the last coordinator's word.
const START_MAX: Duration = Duration::from_secs(60);
/// Children are looked over this often even if no signal came.
const TICK: Duration = Duration::from_secs(1);
/// While a dead coordinator's workers are not all gone, or a fork was refused.
const SOON: Duration = Duration::from_millis(5);

/// What to start, and for whom.
#[derive(Debug, Clone)]
pub struct Launch {
    pub root: PathBuf,
    pub id: String,
    pub shape: FleetShape,
    pub policy: Policy,
    /// The fleet ends when this process does.
    pub owner: Option<Identity>,
}

#[derive(Debug, Error)]
pub enum SuperviseError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("cannot {what}: {}", in_words(*.errno))]
    System { what: &'static str, errno: nix::Error },
    #[error("the fleet's owner, process {0}, is not there")]
    OwnerGone(u32),
    #[error("coord/{coordinator}: {why}")]
    Coordinator { coordinator: u32, why: String },
    #[error("the coordinators did not come up within {START_MAX:?}")]
    TooSlow,
    #[error("every coordinator has died; the last one was {0}")]
    AllDead(String),
    #[error("{path}: cannot remove: {error}")]
    Remove { path: PathBuf, error: io::Error },
}

/// Why a fleet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Signal(Signal),
    OwnerDied,
}

/// A coordinator's place.
struct Child {
    index: u32,
    /// Of the last process here, and of its group: its workers are in it, and nobody else.
    pid: Pid,
    there: There,
    restarts: Restarts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Alive,
    /// Dead; a successor is forked as soon as the last of its workers is gone.
    Replacing,
    /// Nobody comes any more.
    Gone,
}

struct Supervisor {
    control: Control,
    dir: PathBuf,
    children: Vec<Child>,
    signals: SignalFd,
    owner: Option<OwnedFd>,
    /// Children that this process had before it became a supervisor (a shell that ended in `exec`):
    /// nobody's business here.
    spared: Vec<u32>,
    policy: Policy,
    /// Whoever dies now is replaced.
    serving: bool,
}

/// Makes the fleet and serves until it is told to stop; `ready` hears when every worker is there.
/// Whatever happens, no process and no file of the fleet is left.
pub fn run(launch: &Launch, ready: impl FnOnce(&Path)) -> Result<Ending, SuperviseError> {
    let system = |what| move |errno| SuperviseError::System { what, errno };
    let owner = launch.owner.map(open_owner).transpose()?;
    // From here on a signal waits until the loop reads it: none can come between two steps.
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1] {
        mask.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).map_err(system("block signals"))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(system("watch for signals"))?;
    // Both read `/proc`: whom it does not show now would later be taken for an orphan of the fleet.
    let own = Identity::try_own().map_err(|error| system("read /proc")(errno_of(&error)))?;
    let spared = try_children_of(own.pid).map_err(system("read /proc"))?;
    // Orphans of the fleet come here, and not to init, so that none gets away.
    nix::sys::prctl::set_child_subreaper(true).map_err(system("adopt orphans"))?;
    fork::set_title("supervisor");

    let stamped = Stamped::new(own, super::clock::unix_ns(), launch.shape);
    let (dir, control) = directory::create(&launch.root, &launch.id, &stamped)?;
    control.note_options(&arguments(&launch.shape, &launch.policy));
    let mut supervisor = Supervisor {
        control,
        dir,
        children: Vec::new(),
        signals,
        owner,
        spared,
        policy: launch.policy,
        serving: false,
    };
    let served = supervisor.start().and_then(|()| {
        supervisor.set_stage(Stage::Ready);
        ready(&supervisor.dir);
        supervisor.serve()
    });
    supervisor.stop();
    let removed = directory::remove(&supervisor.dir);
    let ending = served?;
    removed.map_err(|error| SuperviseError::Remove { path: supervisor.dir.clone(), error })?;
    Ok(ending)
}

fn open_owner(owner: Identity) -> Result<OwnedFd, SuperviseError> {
    let gone = SuperviseError::OwnerGone(owner.pid);
    let Some(pid) = rustix::process::Pid::from_raw(owner.pid as i32) else { return Err(gone) };
    let refused = |errno| SuperviseError::System { what: "watch the fleet's owner", errno };
    let fd = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| match errno {
        rustix::io::Errno::SRCH | rustix::io::Errno::INVAL => SuperviseError::OwnerGone(owner.pid),
        errno => refused(nix::Error::from_raw(errno.raw_os_error())),
    })?;
    // After the open: now the pid cannot be given to somebody else unnoticed.
    match owner.presence() {
        Presence::Alive => Ok(fd),
        Presence::Gone => Err(gone),
        // The descriptor above was the last one.
        Presence::Unknown => Err(refused(nix::Error::EMFILE)),
    }
}

impl Supervisor {
    fn set_stage(&self, stage: Stage) {
        self.control.state().stage.store(stage as u32, Ordering::Release);
    }

    fn start(&mut self) -> Result<(), SuperviseError> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)
            .map_err(|errno| SuperviseError::System { what: "make a pipe", errno })?;
        for index in 0..self.control.shape().coordinators() {
            let pid = self
                .start_coordinator(index, Some(&writer))
                .map_err(|errno| SuperviseError::System { what: "start a coordinator", errno })?;
            self.children.push(Child { index, pid, there: There::Alive, restarts: Restarts::default() });
        }
        // The children have it; when the last of them closes it, the reader sees the end.
        drop(writer);
        self.wait_for_coordinators(reader)
    }

    /// The first of its region says through `writer` whether its workers are there; a successor does
    /// not.
    fn start_coordinator(&self, index: u32, writer: Option<&OwnedFd>) -> nix::Result<Pid> {
        let (control, dir, policy) = (self.control, &self.dir, self.policy);
        #[cfg(feature = "kill-points")]
        let before = control.coordinator(index).process.incarnation.load(Ordering::Relaxed);
        let pid = fork::spawn(&format!("coord/{index}"), writer.map(AsFd::as_fd), || {
            #[cfg(feature = "kill-points")]
            fork::end_at_step(policy.kill == Some(crate::config::KillAtEachStep::Coordinators), before);
            become_coordinator(control, dir, index, policy, writer)
        })?;
        let start_ticks = Identity::of(pid.as_raw() as u32).map_or(0, |identity| identity.start_ticks);
        control.coordinator(index).process.born(pid.as_raw() as u32, start_ticks);
        Ok(pid)
    }

    /// A line from each: `<number> ready`, or `<number> <why not>`.
    fn wait_for_coordinators(&mut self, reader: OwnedFd) -> Result<(), SuperviseError> {
        let deadline = Instant::now() + START_MAX;
        let flags = rustix::fs::OFlags::NONBLOCK;
        rustix::fs::fcntl_setfl(&reader, flags).map_err(|errno| SuperviseError::System {
            what: "read from a pipe",
            errno: nix::Error::from_raw(errno.raw_os_error()),
        })?;
        let mut lines = BufReader::new(File::from(reader));
        let mut line = String::new();
        let mut waited_for = self.children.len();
        while waited_for > 0 {
            match lines.read_line(&mut line) {
                Ok(n) if n > 0 && line.ends_with('\n') => {
                    let (number, word) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
                    if word != "ready" {
                        let coordinator = number.parse().unwrap_or(u32::MAX);
                        return Err(SuperviseError::Coordinator { coordinator, why: word.to_owned() });
                    }
                    waited_for -= 1;
                    line.clear();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Cut off: whoever did not answer has died, which the next look finds.
                Ok(_) | Err(_) => {}
            }
            if Instant::now() > deadline {
                return Err(SuperviseError::TooSlow);
            }
            if let Some(ending) = self.look(Some(lines.get_ref()), Duration::from_millis(100))? {
                let why = match ending {
                    Ending::Signal(signal) => format!("interrupted by {signal} while starting"),
                    Ending::OwnerDied => "the owner died while the fleet started".to_owned(),
                };
                return Err(SuperviseError::Coordinator { coordinator: 0, why });
            }
            if let Some(dead) = self.children.iter().find(|child| child.there != There::Alive) {
                let raw = self.control.coordinator(dead.index).process.wait_status.load(Ordering::Relaxed);
                // Its own words may still be in the pipe.
                let mut last = String::new();
                let _ = lines.read_line(&mut last);
                let why = last.split_once(' ').map(|(_, why)| why.trim().to_owned());
                return Err(SuperviseError::Coordinator {
                    coordinator: dead.index,
                    why: why.filter(|why| why != "ready").unwrap_or_else(|| {
                        format!("{} while it started", HowEnded::from_raw(raw).in_fleet())
                    }),
                });
            }
        }
        Ok(())
    }

    fn serve(&mut self) -> Result<Ending, SuperviseError> {
        self.serving = true;
        loop {
            let replacing = self.children.iter().any(|child| child.there == There::Replacing);
            if let Some(ending) = self.look(None, if replacing { SOON } else { TICK })? {
                return Ok(ending);
            }
            self.replace();
            if let Some(last) = self.children.last()
                && self.children.iter().all(|child| child.there == There::Gone)
            {
                let raw = self.control.coordinator(last.index).process.wait_status.load(Ordering::Relaxed);
                return Err(SuperviseError::AllDead(HowEnded::from_raw(raw).in_fleet().to_string()));
            }
        }
    }

    /// Waits for a signal, the owner's end or `also`; tells if the fleet is to end.
    fn look(&mut self, also: Option<&File>, timeout: Duration) -> Result<Option<Ending>, SuperviseError> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(owner) = &self.owner {
            fds.push(PollFd::new(owner.as_fd(), PollFlags::POLLIN));
        }
        if let Some(also) = also {
            fds.push(PollFd::new(also.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::from(timeout.as_millis() as u16)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(SuperviseError::System { what: "wait", errno }),
        }
        let owner_ended = self.owner.is_some() && fds[1].revents().is_some_and(|events| !events.is_empty());
        drop(fds);
        let mut asked = None;
        while let Ok(Some(info)) = self.signals.read_signal() {
            match Signal::try_from(info.ssi_signo as i32) {
                Ok(Signal::SIGCHLD | Signal::SIGUSR1) | Err(_) => {}
                Ok(signal) => asked = Some(Ending::Signal(signal)),
            }
        }
        self.reap(false);
        Ok(asked.or(owner_ended.then_some(Ending::OwnerDied)))
    }

    fn reap(&mut self, stopping: bool) {
        while let Some((pid, how)) = reap_any() {
            let here = |child: &&mut Child| child.pid == pid && child.there == There::Alive;
            // Anyone else is an orphan of the fleet that has ended.
            let Some(child) = self.children.iter_mut().find(here) else { continue };
            child.there = There::Gone;
            let process = &self.control.coordinator(child.index).process;
            if stopping && how.is_orderly() {
                process.wait_status.store(how.raw(), Ordering::Relaxed);
                process.set_life(Life::Stopped);
                continue;
            }
            let now = now_ns();
            process.died(how.raw(), now);
            // A region whose memory is gone is of no use to a successor.
            let lost = how == HowEnded::Exited(fault::STATUS);
            let again = !lost
                && self.serving
                && !stopping
                && child.restarts.died(now, &self.policy) == Restart::Again;
            if again {
                child.there = There::Replacing;
            }
            process.set_life(if again { Life::Replacing } else { Life::Dead });
            self.control.state().deaths.fetch_add(1, Ordering::AcqRel);
            if !stopping {
                self.control.client_bell().shout();
            }
        }
    }

    /// A successor for each dead coordinator whose workers are gone, all of them. They died with it;
    /// as this process adopts orphans they are its children, and the kernel says when the last one of
    /// their group has been reaped. Before that they could still write. What they were running is its
    /// successor's to end, by the slots; orphans that left their groups may be of the living, and stay until
    /// the fleet stops.
    fn replace(&mut self) {
        for at in 0..self.children.len() {
            let child = &self.children[at];
            if child.there != There::Replacing || !group_is_gone(child.pid) {
                continue;
            }
            // A fork that is refused for now is tried again soon.
            if let Ok(pid) = self.start_coordinator(child.index, None) {
                self.children[at].pid = pid;
                self.children[at].there = There::Alive;
            }
        }
    }

    fn stop(&mut self) {
        self.set_stage(Stage::Stopping);
        for child in &self.children {
            self.control.coordinator(child.index).bell.shout();
        }
        let deadline = Instant::now() + STOP_GRACE;
        let mut killed = false;
        for child in self.children.iter_mut().filter(|child| child.there == There::Replacing) {
            child.there = There::Gone;
            self.control.coordinator(child.index).process.set_life(Life::Dead);
        }
        while self.children.iter().any(|child| child.there == There::Alive) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && !killed {
                for child in self.children.iter().filter(|child| child.there == There::Alive) {
                    // A stopped process is killed all the same.
                    let _ = kill(child.pid, Signal::SIGKILL);
                }
                killed = true;
            }
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let wait = if killed { Duration::from_millis(20) } else { left.min(Duration::from_millis(100)) };
            let _ = poll(&mut fds, PollTimeout::from(wait.as_millis() as u16));
            while let Ok(Some(_)) = self.signals.read_signal() {}
            self.reap(true);
        }
        // Whoever was orphaned on the way. Bounded: SIGKILL cannot be refused, only delayed.
        let deadline = Instant::now() + STOP_GRACE;
        while self.kill_strays() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            self.reap(true);
        }
        self.set_stage(Stage::Stopped);
        self.control.client_bell().shout();
    }

    /// Ends every child that is not a coordinator: orphans of coordinators and workers. True if
    /// there were any.
    fn kill_strays(&self) -> bool {
        let mut any = false;
        for pid in children_of(std::process::id()) {
            let pid = Pid::from_raw(pid as i32);
            let before = self.spared.contains(&(pid.as_raw() as u32));
            let ours = |child: &Child| child.pid == pid && child.there == There::Alive;
            if !before && !self.children.iter().any(ours) {
                let _ = kill(pid, Signal::SIGKILL);
                any = true;
            }
        }
        any
    }
}

/// Pids of the children of a process, zombies included.
pub fn children_of(parent: u32) -> Vec<u32> {
    try_children_of(parent).unwrap_or_default()
}

/// As [`children_of`], where nobody may be overlooked for want of descriptors or memory.
pub fn try_children_of(parent: u32) -> nix::Result<Vec<u32>> {
    let mut children = Vec::new();
    for process in procfs::process::all_processes().map_err(|error| errno_of(&error))? {
        match process.and_then(|process| process.stat()) {
            Ok(stat) if stat.ppid == parent as i32 => children.push(stat.pid as u32),
            Ok(_) => {}
            Err(error) => {
                let errno = errno_of(&error);
                if matches!(errno, nix::Error::EMFILE | nix::Error::ENFILE | nix::Error::ENOMEM) {
                    return Err(errno);
                }
                // It has ended meanwhile, or is somebody else's and hidden.
            }
        }
    }
    Ok(children)
}

fn errno_of(error: &ProcError) -> nix::Error {
    match error {
        ProcError::PermissionDenied(_) => nix::Error::EACCES,
        ProcError::NotFound(_) => nix::Error::ENOENT,
        ProcError::Io(error, _) => error.raw_os_error().map_or(nix::Error::EIO, nix::Error::from_raw),
        ProcError::Incomplete(_) | ProcError::Other(_) | ProcError::InternalError(_) => nix::Error::EIO,
    }
}

/// True if no child of this process is left in the group of `leader`; reaps those that have ended.
fn group_is_gone(leader: Pid) -> bool {
    let Some(group) = rustix::process::Pid::from_raw(leader.as_raw()) else { return true };
    loop {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// In the child: from a copy of the supervisor to coordinator `index`.
fn become_coordinator(
    control: Control,
    dir: &Path,
    index: u32,
    policy: Policy,
    writer: Option<&OwnedFd>,
) -> i32 {
    let report = |said: Result<(), String>| {
        let Some(writer) = writer else { return };
        let word = said.err().unwrap_or_else(|| "ready".to_owned());
        // If nobody listens the supervisor is gone, and this process with it.
        let _ = rustix::io::write(writer, format!("{index} {}\n", word.replace('\n', " ")).as_bytes());
        // Nothing more is said. The parent's owner of it is never dropped in this process.
        let _ = nix::unistd::close(writer.as_raw_fd());
    };
    // A group of its own, before it has a child: by it the supervisor knows when all of them are gone.
    let own = Pid::from_raw(0);
    if nix::unistd::setpgid(own, own).is_err() || fork::child_signals().is_err() {
        return 70;
    }
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
    }
    match Region::attach(&region_path(dir, index), control.stamped(), index) {
        Ok(region) if writer.is_some() => coordinator::run(control, region, index, policy, report),
        Ok(region) => coordinator::succeed(control, region, index, policy),
        Err(error) => {
            report(Err(error.to_string()));
            fault::status_of(&error)
        }
    }
}
