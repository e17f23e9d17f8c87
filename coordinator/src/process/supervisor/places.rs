//! The coordinators' places: who is there, and how one gets there.

use super::Supervisor;
use super::deaths::Settled;
use crate::bus::directory::{add_region, region_path};
use crate::bus::error::{BusError, Cause, in_words};
use crate::bus::events::EventKind;
use crate::bus::fault;
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Region};
use crate::config::{Failover, SupervisorDeath};
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::health::Watch;
use crate::plan::restart::Restarts;
use crate::process::coordinator::{self, peers};
use crate::process::fork;
use nix::fcntl::OFlag;
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Before a refused fork is tried again: doubled each time.
const REFUSED_FIRST: Duration = Duration::from_millis(5);
const REFUSED_MAX: Duration = Duration::from_secs(2);

/// A coordinator's place.
pub(super) struct Place {
    pub index: u32,
    pub there: There,
    /// Who is here, or was: its process group has its number, and nobody else is in it than its workers.
    pub process: Option<Watched>,
    pub restarts: Restarts,
    /// Nothing is forked before this.
    pub due_ns: u64,
    /// Forks refused one after the other.
    pub refused: u32,
    pub health: Watch,
    /// The last beat that was seen.
    pub beat: u64,
    pub forked_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    /// Nobody is wanted.
    Absent,
    /// Also one who is told to retire, until it is gone.
    Alive,
    /// Somebody is to come, as soon as the last of those before is gone.
    Replacing,
    /// What its coordinator left is being handed back.
    Settling,
    /// Nobody comes any more.
    Gone,
}

/// A process that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub identity: Identity,
    /// None where there are no pidfds, or none left.
    pub pidfd: Option<OwnedFd>,
    /// Of this process; otherwise it was adopted, and who reaps it is somebody else.
    pub is_child: bool,
}

impl Place {
    pub fn new(index: u32) -> Self {
        Self {
            index,
            there: There::Absent,
            process: None,
            restarts: Restarts::default(),
            due_ns: 0,
            refused: 0,
            health: Watch::default(),
            beat: 0,
            forked_ns: 0,
        }
    }

    pub fn is_here(&self, pid: Pid) -> bool {
        matches!(self.there, There::Alive | There::Settling)
            && self.process.as_ref().is_some_and(|process| process.identity.pid == pid.as_raw() as u32)
    }
}

/// Why nobody could be started.
#[derive(Debug)]
pub(super) enum Refusal {
    Fork(nix::Error),
    Region(BusError),
}

impl Refusal {
    /// It may work later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Fork(errno) => matches!(
                errno,
                nix::Error::EAGAIN | nix::Error::ENOMEM | nix::Error::EMFILE | nix::Error::ENFILE
            ),
            Self::Region(error) => {
                matches!(error, BusError::NoSpace { .. } | BusError::Kernel { .. })
                    && !matches!(error, BusError::Kernel { cause: Cause::Absent, .. })
            }
        }
    }

    fn errno(&self) -> nix::Error {
        match self {
            Self::Fork(errno) => *errno,
            Self::Region(_) => nix::Error::ENOSPC,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fork(errno @ nix::Error::EAGAIN) => write!(
                f,
                "{}; `ulimit -u`, kernel.pid_max or the container's limit on processes (pids.max) is reached",
                in_words(*errno)
            ),
            Self::Fork(errno) => f.write_str(&in_words(*errno)),
            Self::Region(error) => error.fmt(f),
        }
    }
}

/// What a process at a coordinator's place is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Coordinator,
    Settler,
}

impl Supervisor {
    pub(super) fn watched(&mut self, pid: Pid, is_child: bool) -> Watched {
        let identity = Identity::of(pid.as_raw() as u32)
            .unwrap_or(Identity { pid: pid.as_raw() as u32, start_ticks: 0 });
        self.watch(identity, is_child)
    }

    pub(super) fn watch(&mut self, identity: Identity, is_child: bool) -> Watched {
        let opened = rustix::process::Pid::from_raw(identity.pid as i32)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let refused = matches!(
            opened,
            Err(rustix::io::Errno::MFILE
                | rustix::io::Errno::NFILE
                | rustix::io::Errno::NOSYS
                | rustix::io::Errno::NOMEM)
        );
        if refused && self.has_pidfds {
            self.has_pidfds = false;
            let how = if is_child { "SIGCHLD and waitpid" } else { "a look at /proc now and then" };
            self.say(&format!("no pidfd to be had: deaths of coordinators are seen by {how}"));
        }
        // What is opened is its alone only if it is still there.
        let pidfd = opened.ok().filter(|_| is_child || !identity.is_gone());
        Watched { identity, pidfd, is_child }
    }

    /// Forks somebody for the place, or gives it to the spare. One who is the first in its region says through
    /// `writer` whether its workers are there; a successor does not.
    pub(super) fn fill(&mut self, at: usize, role: Role, writer: Option<&OwnedFd>) -> Result<(), Refusal> {
        let index = self.places[at].index;
        let stamped = self.stamped;
        add_region(&self.dir, &stamped, index).map_err(Refusal::Region)?;
        let cell = &self.control.coordinator(index).process;
        let spare =
            if role == Role::Coordinator && writer.is_none() { self.hand_to_spare(index) } else { None };
        let pid = match spare {
            Some(pid) => pid,
            None => self.fork_for(index, role, writer).map_err(Refusal::Fork)?,
        };
        let watched = self.watched(pid, true);
        if role == Role::Coordinator {
            cell.record_fork(watched.identity.pid, watched.identity.start_ticks);
            let incarnation = cell.incarnation.load(Ordering::Relaxed);
            self.event(EventKind::Started, index, &[watched.identity.pid.into(), incarnation.into()]);
        }
        let place = &mut self.places[at];
        place.process = Some(watched);
        place.there = if role == Role::Settler { There::Settling } else { There::Alive };
        place.refused = 0;
        place.forked_ns = now_ns();
        Ok(())
    }

    fn fork_for(&self, index: u32, role: Role, writer: Option<&OwnedFd>) -> nix::Result<Pid> {
        let heritage = peers::Heritage { launch: self.launch.clone(), dir: self.dir.clone() };
        let control = self.control;
        let before = control.coordinator(index).process.incarnation.load(Ordering::Relaxed);
        let name = if role == Role::Settler { format!("settle/{index}") } else { format!("coord/{index}") };
        fork::spawn(&name, writer.map(AsFd::as_fd), || {
            if leave_the_others().is_err() {
                return 70;
            }
            become_coordinator(control, heritage, (index, before), role, writer)
        })
    }

    /// Tries to fill a place, and notes when again if it is refused.
    pub(super) fn try_fill(&mut self, at: usize, role: Role, now: u64) {
        if self.places[at].due_ns > now {
            return;
        }
        if let Err(refusal) = self.fill(at, role, None) {
            let pause = self.refused(at, &refusal);
            self.places[at].due_ns = now + pause.as_nanos() as u64;
        }
    }

    /// Says that nobody could be started; when to try again.
    pub(super) fn refused(&mut self, at: usize, refusal: &Refusal) -> Duration {
        let place = &mut self.places[at];
        let pause = REFUSED_FIRST.saturating_mul(1 << place.refused.min(16)).min(REFUSED_MAX);
        place.refused += 1;
        let (index, first) = (place.index, place.refused == 1);
        let errno = refusal.errno() as i32 as u64;
        self.event(EventKind::Refused, index, &[errno, pause.as_nanos() as u64]);
        if first {
            self.say(&format!("coord/{index} cannot be started: {refusal}; it is tried again"));
        }
        pause
    }

    /// A process that waits for a place, if there shall be one and is none.
    pub(super) fn keep_spare(&mut self, now: u64) {
        if self.launch.policy.failover != Failover::Spare || self.spare.is_some() || now < self.spare_due_ns {
            return;
        }
        let forked = nix::unistd::pipe2(OFlag::O_CLOEXEC).and_then(|(reader, writer)| {
            let heritage = peers::Heritage { launch: self.launch.clone(), dir: self.dir.clone() };
            let control = self.control;
            let pid = fork::spawn("spare", Some(reader.as_fd()), || {
                if leave_the_others().is_err() {
                    return 70;
                }
                let Some((index, before)) = wait_for_place(reader.as_fd()) else { return 0 };
                let _ = nix::unistd::close(reader.as_raw_fd());
                fork::set_title(&format!("coord/{index}"));
                become_coordinator(control, heritage, (index, before), Role::Coordinator, None)
            })?;
            Ok(Spare { pid, place: writer })
        });
        match forked {
            Ok(spare) => self.spare = Some(spare),
            Err(_) => self.spare_due_ns = now + REFUSED_MAX.as_nanos() as u64,
        }
    }

    /// Sends the spare to a place; who that is.
    fn hand_to_spare(&mut self, index: u32) -> Option<Pid> {
        let Spare { pid, place } = self.spare.take()?;
        // One that has died does not read it, and is not sent.
        let alive = Identity::of(pid.as_raw() as u32).is_some_and(|identity| identity.is_alive());
        let before = self.control.coordinator(index).process.incarnation.load(Ordering::Relaxed);
        let word = u64::from(index) | u64::from(before) << 32;
        let told = alive && rustix::io::write(&place, &word.to_le_bytes()).is_ok();
        told.then_some(pid)
    }

    /// Nobody had asked it to end, and it has: whether somebody else comes, and who.
    pub(super) fn settled(&mut self, at: usize, settled: Settled, stopping: bool) {
        let place = &mut self.places[at];
        let process = &self.control.coordinator(place.index).process;
        match settled {
            Settled::Again => {
                place.there = There::Replacing;
                process.set_life(Life::Replacing);
            }
            Settled::GivenUp => {
                place.there = There::Gone;
                process.set_life(Life::Dead);
                let (index, deaths) = (place.index, process.deaths.load(Ordering::Relaxed));
                if !stopping {
                    self.event(EventKind::GivenUp, index, &[deaths.into()]);
                    self.say(&format!(
                        "coord/{index} has died {deaths} times; nobody is started there any more"
                    ));
                }
            }
        }
    }
}

/// A process that becomes a coordinator as soon as it is told of which place. It ends with this process, or when
/// the pipe is closed.
pub(super) struct Spare {
    pub pid: Pid,
    place: OwnedFd,
}

/// Which, and how many have had it before.
fn wait_for_place(pipe: BorrowedFd<'_>) -> Option<(u32, u32)> {
    let mut told = [0; 8];
    loop {
        match rustix::io::read(pipe, &mut told) {
            // So few bytes go through a pipe at once.
            Ok(8) => {
                let told = u64::from_le_bytes(told);
                return Some((told as u32, (told >> 32) as u32));
            }
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// In a child: a group of its own, before it has a child: by it the supervisor knows when all of them are gone.
fn leave_the_others() -> nix::Result<()> {
    let own = Pid::from_raw(0);
    nix::unistd::setpgid(own, own)?;
    fork::child_signals()?;
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
    }
    Ok(())
}

/// In the child: from a copy of the supervisor to coordinator `index`.
fn become_coordinator(
    control: Control,
    heritage: peers::Heritage,
    (index, before): (u32, u32),
    role: Role,
    writer: Option<&OwnedFd>,
) -> i32 {
    let policy = heritage.launch.policy;
    #[cfg(feature = "kill-points")]
    fork::end_at_step(
        role == Role::Coordinator && policy.kill == Some(crate::config::KillAtEachStep::Coordinators),
        before,
    );
    #[cfg(not(feature = "kill-points"))]
    let _ = before;
    let report = |said: Result<(), String>| {
        let Some(writer) = writer else { return };
        let word = said.err().unwrap_or_else(|| "ready".to_owned());
        // If nobody listens the supervisor is gone, and this process with it.
        let _ = rustix::io::write(writer, format!("{index} {}\n", word.replace('\n', " ")).as_bytes());
        // Nothing more is said. The parent's owner of it is never dropped in this process.
        let _ = nix::unistd::close(writer.as_raw_fd());
    };
    let dir = heritage.dir.clone();
    if role == Role::Coordinator {
        stay(control, heritage, index);
    }
    let region = match attach(control, &dir, index) {
        Ok(region) => region,
        Err(error) => {
            report(Err(error.to_string()));
            return fault::status_of(&error);
        }
    };
    let lived_in = region.state().epoch.load(Ordering::Acquire) != 0;
    let status = match role {
        Role::Settler => coordinator::settle(control, region, index, policy),
        Role::Coordinator if lived_in => coordinator::succeed(control, region, index, policy),
        Role::Coordinator => coordinator::run(control, region, index, policy, report),
    };
    peers::last_one_out(control, &dir, index);
    status
}

fn attach(control: Control, dir: &Path, index: u32) -> Result<Region, BusError> {
    Region::attach(&region_path(dir, index), control.stamped(), index)
}

/// In a coordinator, which outlives its supervisor to end what it runs itself, or to serve another: says who it is
/// first, so that nobody who adopts the fleet takes its place for empty. Killed with the supervisor before that, it is
/// none.
fn stay(control: Control, heritage: peers::Heritage, index: u32) {
    let Some(own) = Identity::of(std::process::id()) else { return };
    let cell = &control.coordinator(index).process;
    cell.start_ticks.store(own.start_ticks, Ordering::Relaxed);
    cell.pid.store(own.pid, Ordering::Release);
    // What a killed worker's task has daemonised comes here, and is known for what it is.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let adopted = heritage.launch.policy.supervisor_death == SupervisorDeath::Adopt;
    if fork::outlive_parent().is_ok() && adopted {
        peers::inherit(heritage);
    }
}
