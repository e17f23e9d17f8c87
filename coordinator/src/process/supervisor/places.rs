//! The coordinators' places: what process is there, and how it is started.

use super::Supervisor;
use super::children::{children_are_gone, group_is_gone};
use crate::bus::directory::{add_region, region_path};
use crate::bus::error::{BusError, Cause, in_words};
use crate::bus::events::{EventKind, Helper};
use crate::bus::fault;
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Region};
use crate::bus::written::WrittenCell;
use crate::config::{Failover, SupervisorDeath};
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::health::Watch;
use crate::plan::restart::{Restart, Restarts};
use crate::process::coordinator::{self, peers};
use crate::process::pidfd;
use crate::process::reap::HowEnded;
use crate::process::{fork, inherited};
use crate::wire::place::PlaceId;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A refused fork is tried again after this long, doubled each time,
const REFUSED_FIRST: Duration = Duration::from_millis(5);
/// up to this.
const REFUSED_MAX: Duration = Duration::from_secs(2);

/// A coordinator's place.
pub(super) struct Place {
    pub index: u32,
    pub state: PlaceState,
    /// The coordinator that is here, or the last one. It leads its process group, in which only its workers are besides.
    pub process: Option<Watched>,
    pub restarts: Restarts,
    /// Nothing is forked before this.
    pub due_ns: u64,
    /// Consecutive forks that the kernel refused.
    pub refused: u32,
    /// Consecutive processes that the kernel kept from the region.
    pub kept_out: u32,
    pub health: Watch,
    /// The last beat that was seen.
    pub beat: u64,
    /// What this process has written about the process here; `None` if nothing yet.
    pub written: Option<WrittenCell>,
    pub forked_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceState {
    /// No coordinator is here, and none is wanted.
    Vacant,
    /// A coordinator is here, possibly one that is retiring.
    Alive,
    /// A coordinator will be started as soon as the last process of its predecessor has ended.
    Replacing,
    /// The tasks of its dead coordinator are being handed back to the client.
    HandingBack,
    /// No coordinator is started here any more.
    Closed,
}

/// A process that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub identity: Identity,
    /// `None` if the kernel has refused one.
    pub pidfd: Option<OwnedFd>,
    /// A child of this process. Otherwise it was adopted, and another process reaps it.
    pub is_child: bool,
}

impl Watched {
    /// Sends SIGKILL. Only while the process is not known to have ended.
    pub fn kill(&self) {
        match &self.pidfd {
            Some(fd) => pidfd::kill(fd),
            // A child that is not reaped keeps its pid.
            None if self.is_child || self.identity.is_alive() => {
                let _ = kill(Pid::from_raw(self.identity.pid as i32), Signal::SIGKILL);
            }
            None => {}
        }
    }

    /// No process of its group is left; reaps those that have ended.
    pub fn group_is_gone(&self) -> bool {
        // The parent of an adopted coordinator's workers is now init or another subreaper.
        children_are_gone(self.identity.pid) && (self.is_child || group_is_gone(self.identity.pid))
    }
}

impl Place {
    pub fn new(index: u32) -> Self {
        Self {
            index,
            state: PlaceState::Vacant,
            process: None,
            restarts: Restarts::default(),
            due_ns: 0,
            refused: 0,
            kept_out: 0,
            health: Watch::default(),
            beat: 0,
            written: None,
            forked_ns: 0,
        }
    }

    pub fn is_here(&self, pid: Pid) -> bool {
        matches!(self.state, PlaceState::Alive | PlaceState::HandingBack)
            && self.process.as_ref().is_some_and(|process| process.identity.pid == pid.as_raw() as u32)
    }
}

/// Why no coordinator could be started.
#[derive(Debug)]
pub(super) enum Refusal {
    Fork(nix::Error),
    Region(BusError),
}

impl Refusal {
    /// Another try may succeed.
    pub fn is_temporary(&self) -> bool {
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
                "{}: `ulimit -u`, kernel.pid_max or the container's limit on processes (pids.max) has been reached",
                in_words(*errno)
            ),
            Self::Fork(errno) => f.write_str(&in_words(*errno)),
            Self::Region(error) => error.fmt(f),
        }
    }
}

/// What a process that is started at a coordinator's place does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// It is the coordinator.
    Serve,
    /// It hands the tasks of a dead coordinator back to the client, and ends.
    HandBack,
}

impl Supervisor {
    pub(super) fn watched(&mut self, pid: Pid, is_child: bool) -> Watched {
        let identity = Identity::of(pid.as_raw() as u32)
            .unwrap_or(Identity { pid: pid.as_raw() as u32, start_ticks: 0 });
        self.watch(identity, is_child)
    }

    pub(super) fn watch(&mut self, identity: Identity, is_child: bool) -> Watched {
        let opened = pidfd::open(identity.pid);
        let errno = opened.as_ref().err().and_then(io::Error::raw_os_error).map(nix::Error::from_raw);
        let refused = matches!(
            errno,
            Some(nix::Error::EMFILE | nix::Error::ENFILE | nix::Error::ENOSYS | nix::Error::ENOMEM)
        );
        if refused && self.has_pidfds {
            self.has_pidfds = false;
            let how = if is_child { "SIGCHLD and waitpid" } else { "reading /proc once a second" };
            self.report(&format!("the kernel gives no pidfd: deaths of coordinators are noticed by {how}"));
        }
        // The descriptor is certain to be this process's only if that is still there after the open.
        let pidfd = opened.ok().filter(|_| is_child || !identity.is_gone());
        Watched { identity, pidfd, is_child }
    }

    /// Forks a process for the place, or gives the place to the spare. The first coordinator of a region reports through
    /// `writer` whether its workers are up; a successor does not.
    pub(super) fn start_at(
        &mut self,
        at: usize,
        duty: Duty,
        writer: Option<&OwnedFd>,
    ) -> Result<(), Refusal> {
        let index = self.places[at].index;
        let stamped = self.stamped;
        add_region(&self.held, &stamped, index).map_err(Refusal::Region)?;
        let cell = &self.control.coordinator(index).process;
        let spare = if duty == Duty::Serve && writer.is_none() { self.hand_to_spare(index) } else { None };
        let pid = match spare {
            Some(pid) => pid,
            None => self.fork_for(index, duty, writer).map_err(Refusal::Fork)?,
        };
        let watched = self.watched(pid, true);
        if duty == Duty::Serve {
            cell.record_fork(watched.identity.pid, watched.identity.start_ticks);
            let incarnation = cell.incarnation.load(Ordering::Relaxed);
            self.event(EventKind::Started, index, &[watched.identity.pid.into(), incarnation.into()]);
            self.note_place(at);
        }
        let place = &mut self.places[at];
        place.process = Some(watched);
        place.state = if duty == Duty::HandBack { PlaceState::HandingBack } else { PlaceState::Alive };
        place.refused = 0;
        place.forked_ns = now_ns();
        Ok(())
    }

    fn fork_for(&self, index: u32, duty: Duty, writer: Option<&OwnedFd>) -> nix::Result<Pid> {
        let plan = peers::AdoptionPlan { launch: self.launch.clone(), dir: self.dir.clone() };
        let control = self.control;
        let before = control.coordinator(index).process.incarnation.load(Ordering::Relaxed);
        let title = match duty {
            Duty::Serve => PlaceId::Coordinator(index).to_string(),
            Duty::HandBack => format!("hand-back/{index}"),
        };
        fork::spawn(&title, writer.map(AsFd::as_fd), || {
            if enter_own_group().is_err() {
                return 70;
            }
            become_coordinator(control, plan, (index, before), duty, writer)
        })
    }

    /// Tries to start a process at a place, and notes when to try again if that is refused.
    pub(super) fn try_start_at(&mut self, at: usize, duty: Duty, now: u64) {
        if self.places[at].due_ns > now {
            return;
        }
        if let Err(refusal) = self.start_at(at, duty, None) {
            let pause = self.record_refusal(at, &refusal);
            self.places[at].due_ns = now + pause.as_nanos() as u64;
        }
    }

    /// Records that no coordinator could be started. Returns how long to wait before the next try.
    pub(super) fn record_refusal(&mut self, at: usize, refusal: &Refusal) -> Duration {
        let place = &mut self.places[at];
        let pause = pause_after(place.refused);
        place.refused += 1;
        let (index, first) = (place.index, place.refused == 1);
        let errno = refusal.errno() as i32 as u64;
        self.event(EventKind::Refused, index, &[errno, pause.as_nanos() as u64]);
        if first {
            let place = PlaceId::Coordinator(index);
            self.report(&format!("{place} cannot be started: {refusal}; trying again"));
        }
        pause
    }

    /// A process that was started at a place could not attach to the region, for a reason that may pass. It has served no
    /// one, so that this is a start that was refused and not a death: there is a pause before each next try, and no last one.
    pub(super) fn kept_out(&mut self, at: usize, now: u64) {
        let place = &mut self.places[at];
        let pause = pause_after(place.kept_out);
        place.kept_out += 1;
        place.state = PlaceState::Replacing;
        place.due_ns = now + pause.as_nanos() as u64;
        let (index, first) = (place.index, place.kept_out == 1);
        self.control.coordinator(index).process.set_life(Life::Replacing);
        // The process has ended without a word; what it met is most likely there still.
        let error = File::options().read(true).write(true).open(region_path(&self.dir, index)).err();
        let errno =
            error.and_then(|error| error.raw_os_error()).map_or(nix::Error::EAGAIN, nix::Error::from_raw);
        self.event(EventKind::Refused, index, &[errno as i32 as u64, pause.as_nanos() as u64]);
        if first {
            let place = PlaceId::Coordinator(index);
            self.report(&format!("{place} cannot open its region: {}; trying again", in_words(errno)));
        }
    }

    /// Forks the spare if the policy wants one and there is none.
    pub(super) fn keep_spare(&mut self, now: u64) {
        if self.launch.policy.failover != Failover::Spare || self.spare.is_some() || now < self.spare_due_ns {
            return;
        }
        let forked = nix::unistd::pipe2(OFlag::O_CLOEXEC).and_then(|(reader, writer)| {
            let plan = peers::AdoptionPlan { launch: self.launch.clone(), dir: self.dir.clone() };
            let control = self.control;
            let pid = fork::spawn("spare", Some(reader.as_fd()), || {
                if enter_own_group().is_err() {
                    return 70;
                }
                let Some((index, before)) = wait_for_place(reader.as_fd()) else { return 0 };
                let _ = nix::unistd::close(reader.as_raw_fd());
                fork::set_title(&PlaceId::Coordinator(index).to_string());
                become_coordinator(control, plan, (index, before), Duty::Serve, None)
            })?;
            Ok(Spare { pid, place: writer })
        });
        match forked {
            Ok(spare) => self.spare = Some(spare),
            Err(_) => self.spare_due_ns = now + REFUSED_MAX.as_nanos() as u64,
        }
    }

    /// Sends the spare to a place. Returns its pid, or `None` if there is no living spare.
    fn hand_to_spare(&mut self, index: u32) -> Option<Pid> {
        let Spare { pid, place } = self.spare.take()?;
        // A dead spare would not read it.
        let alive = Identity::of(pid.as_raw() as u32).is_some_and(|identity| identity.is_alive());
        let before = self.control.coordinator(index).process.incarnation.load(Ordering::Relaxed);
        let word = u64::from(index) | u64::from(before) << 32;
        let is_sent = alive && nix::unistd::write(&place, &word.to_le_bytes()).is_ok();
        if !is_sent {
            self.helper_died(Helper::Spare, pid.as_raw() as u32, HowEnded::Unseen);
        }
        is_sent.then_some(pid)
    }

    /// Sets what becomes of the place of a dead coordinator.
    pub(super) fn apply_restart(&mut self, at: usize, restart: Restart, stopping: bool) {
        let place = &mut self.places[at];
        let process = &self.control.coordinator(place.index).process;
        match restart {
            Restart::Again => {
                place.state = PlaceState::Replacing;
                process.set_life(Life::Replacing);
            }
            Restart::GiveUp => {
                place.state = PlaceState::Closed;
                process.set_life(Life::Dead);
                let (index, deaths) = (place.index, process.deaths.load(Ordering::Relaxed));
                if !stopping {
                    self.event(EventKind::GivenUp, index, &[deaths.into()]);
                    self.report(&format!(
                        "{} has died {deaths} times and is not restarted again",
                        PlaceId::Coordinator(index)
                    ));
                }
            }
        }
    }
}

/// How long to wait before the next try, after so many that were refused one after the other.
fn pause_after(refused: u32) -> Duration {
    REFUSED_FIRST.saturating_mul(1 << refused.min(16)).min(REFUSED_MAX)
}

/// A process that becomes a coordinator as soon as it reads the number of its place from a pipe. It ends with this
/// process, or when the pipe is closed.
pub(super) struct Spare {
    pub pid: Pid,
    place: OwnedFd,
}

/// Waits for the number of the place, and of the coordinators that have had it before.
fn wait_for_place(pipe: BorrowedFd<'_>) -> Option<(u32, u32)> {
    let mut word = [0; 8];
    loop {
        match nix::unistd::read(pipe, &mut word) {
            // A pipe passes so few bytes in one piece.
            Ok(8) => {
                let word = u64::from_le_bytes(word);
                return Some((word as u32, (word >> 32) as u32));
            }
            Err(nix::Error::EINTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// In a child, before it has children: enters a process group of its own, by which the supervisor knows when it and all
/// its children have ended.
fn enter_own_group() -> nix::Result<()> {
    let own = Pid::from_raw(0);
    nix::unistd::setpgid(own, own)?;
    inherited::child_signals()?;
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
    }
    Ok(())
}

/// In the child: from a copy of the supervisor to coordinator `index`.
fn become_coordinator(
    control: Control,
    plan: peers::AdoptionPlan,
    (index, before): (u32, u32),
    duty: Duty,
    writer: Option<&OwnedFd>,
) -> i32 {
    let policy = plan.launch.policy;
    #[cfg(feature = "kill-points")]
    fork::end_at_step(
        duty == Duty::Serve && policy.kill == Some(crate::config::KillAtEachStep::Coordinators),
        before,
    );
    #[cfg(not(feature = "kill-points"))]
    let _ = before;
    let report = |started: Result<(), String>| {
        let Some(writer) = writer else { return };
        let word = started.err().unwrap_or_else(|| "ready".to_owned());
        // If the supervisor does not read it is gone, and this process with it.
        let _ = nix::unistd::write(writer, format!("{index} {}\n", word.replace('\n', " ")).as_bytes());
        // Nothing more is reported. The parent's owner of this descriptor is never dropped in this process.
        let _ = nix::unistd::close(writer.as_raw_fd());
    };
    let dir = plan.dir.clone();
    if duty == Duty::Serve {
        announce_itself(control, plan, index);
    }
    let region = match attach(control, &dir, index) {
        Ok(region) => region,
        Err(error) => {
            report(Err(error.to_string()));
            return fault::status_of(&error);
        }
    };
    let lived_in = region.state().epoch.load(Ordering::Acquire) != 0;
    let status = match duty {
        Duty::HandBack => coordinator::hand_back(control, region, index, policy),
        Duty::Serve if lived_in => coordinator::run_successor(control, region, index, policy),
        Duty::Serve => coordinator::run(control, region, index, policy, report),
    };
    peers::remove_if_last(control, &dir, index);
    status
}

fn attach(control: Control, dir: &Path, index: u32) -> Result<Region, BusError> {
    Region::attach(&region_path(dir, index), control.stamped(), index)
}

/// In a coordinator, which outlives its supervisor to end what it runs, or to serve the next supervisor: first writes its
/// identity, so that a supervisor that adopts the fleet does not take its place for vacant. A process that is killed
/// with the supervisor before that does not count as a coordinator.
fn announce_itself(control: Control, plan: peers::AdoptionPlan, index: u32) {
    let Some(own) = Identity::of(std::process::id()) else { return };
    let cell = &control.coordinator(index).process;
    cell.start_ticks.store(own.start_ticks, Ordering::Relaxed);
    cell.pid.store(own.pid, Ordering::Release);
    // What a killed worker's task has daemonised becomes a child of this process, which then kills it.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let adopted = plan.launch.policy.supervisor_death == SupervisorDeath::Adopt;
    if fork::outlive_parent().is_ok() && adopted {
        peers::set_adoption_plan(plan);
    }
}
