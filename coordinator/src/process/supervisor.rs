//! The supervisor: the control plane of a fleet. It makes the bus, forks the coordinators, watches
//! them and its owner, and takes everything down again. It never carries a task.

mod adopt;
mod children;
mod deaths;
mod guarded;
mod health;
mod places;
mod scale;
mod start;
mod strays;

pub use adopt::adopt;
pub use children::{children_of, try_children_of};
pub(super) use health::limits;

use super::descent::{self, Descent, Marker, Stranger};
use super::fork;
use super::inherited;
use super::offspring;
use super::pidfd;
use super::reap::HowEnded;
use crate::bus::directory::{self, Held};
use crate::bus::error::{BusError, in_words};
use crate::bus::events::{EventKind, EventLog, SELF};
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Stamped};
use crate::bus::written::WrittenStamp;
use crate::cli::policy::arguments;
use crate::config::{FleetShape, Policy, SupervisorDeath};
use crate::os::clock::now_ns;
use crate::os::identity::{Identity, Presence, shows_another_namespace};
use crate::wire::place::PlaceId;
use children::errno_of;
use guarded::Guarded;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use places::{Place, PlaceState, Spare};
use scale::Scaling;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long coordinators have to end by themselves, beside the grace that a command gets. More than they give their
/// workers.
const STOP_GRACE: Duration = Duration::from_millis(2500);
/// Children are checked this often even if no signal came.
const TICK: Duration = Duration::from_secs(1);
/// The same where the number of coordinators depends on the load.
const LOAD_TICK: Duration = Duration::from_millis(100);
/// Progress is checked this many times within the time after which a process counts as hung.
const LOOKS: u32 = 8;
const LOOK_MIN: Duration = Duration::from_millis(10);
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
    /// Gets reports of what an operator should know and the fleet survives.
    pub report: fn(&str),
}

#[derive(Debug, Error)]
pub enum SuperviseError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("cannot {what}: {}", in_words(*.errno))]
    System { what: &'static str, errno: nix::Error },
    /// No process could find out there which of the others are alive.
    #[error("/proc shows the processes of another pid namespace than this one")]
    OtherProc,
    #[error("the fleet's owner, process {0}, does not exist")]
    OwnerGone(u32),
    #[error("{}: {why}", PlaceId::Coordinator(*.coordinator))]
    Coordinator { coordinator: u32, why: String },
    #[error("the coordinators did not start within {START_MAX:?}", START_MAX = start::START_MAX)]
    TooSlow,
    #[error("every coordinator has died; the last one was {0}")]
    AllDead(String),
    #[error("cannot remove {path}: {error}")]
    Remove { path: PathBuf, error: io::Error },
}

/// Why a fleet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Signal(Signal),
    OwnerDied,
}

struct Supervisor {
    launch: Launch,
    control: Control,
    /// With this process as the owner.
    stamped: Stamped,
    dir: PathBuf,
    /// That very directory, whatever its name leads to.
    held: Held,
    places: Vec<Place>,
    spare: Option<Spare>,
    spare_due_ns: u64,
    guarded: Guarded,
    scaling: Scaling,
    signals: SignalFd,
    owner: Option<OwnedFd>,
    events: EventLog,
    /// What every program that the fleet starts inherits: no other orphan is killed.
    marker: Marker,
    /// Children that this process had before it became a supervisor (of a shell that ended in `exec`): that they are not of
    /// this fleet needs no mention.
    unrelated_children: Vec<u32>,
    /// The kernel has not refused one yet.
    has_pidfds: bool,
    /// A coordinator that dies now is replaced.
    serving: bool,
    /// As this process has written them.
    stage: Stage,
    stamp: WrittenStamp,
    supervisors: u32,
    beat: u64,
    deaths: u64,
    /// Until then, processes may be found that the workers of dead coordinators have left.
    strays_until_ns: u64,
}

/// Makes the fleet and serves until it is told to stop; `ready` is called when every worker is up.
/// Whatever happens, no process and no file of the fleet is left.
pub fn run(launch: &Launch, ready: impl FnOnce(&Path)) -> Result<Ending, SuperviseError> {
    if shows_another_namespace() {
        return Err(SuperviseError::OtherProc);
    }
    let owner = launch.owner.map(open_owner).transpose()?;
    inherited::ignore_nothing();
    let (signals, own, unrelated_children) = become_supervisor()?;
    let max = launch.shape.coordinators();
    let start = launch.policy.coordinators.within(max).start;
    let mut stamped = Stamped::new(own, crate::os::clock::unix_ns(), launch.shape);
    for (word, outer) in stamped.within.iter_mut().zip(Marker::all_inherited()) {
        *word = outer.hash();
    }
    let (held, control) = directory::create_held(&launch.root, &launch.id, &stamped, start)?;
    let temporary = std::path::absolute(std::env::temp_dir()).unwrap_or_default();
    control.note_start(&arguments(&launch.shape, &launch.policy), &temporary);
    control.state().supervisors.store(1, Ordering::Release);
    let adoptable = launch.policy.supervisor_death == SupervisorDeath::Adopt;
    control.state().adoptable.store(adoptable.into(), Ordering::Release);
    let marker = Marker::new(&launch.id);
    control.state().marker.store(marker.hash(), Ordering::Release);
    // From here on every program that the fleet starts has it. Forks show what this process was started with; they need no
    // proof, as they are known by pid or die with their parents.
    fork::set_variable(descent::VARIABLE.as_ref(), Some(&marker.appended()));
    let mut supervisor = Supervisor::new(launch.clone(), (control, marker), stamped, held, signals);
    supervisor.owner = owner;
    supervisor.unrelated_children = unrelated_children;
    supervisor.guarded.since_ticks = own.start_ticks;
    let served = supervisor.start_guard().and_then(|()| supervisor.start()).and_then(|()| {
        supervisor.set_stage(Stage::Ready);
        ready(&supervisor.dir);
        supervisor.serve()
    });
    supervisor.finish(served)
}

/// Makes signals wait until they are read, adopts orphans, and sets the process title.
fn become_supervisor() -> Result<(SignalFd, Identity, Vec<u32>), SuperviseError> {
    let system = |what| move |errno| SuperviseError::System { what, errno };
    // From here on a signal waits until the loop reads it: none can come between two steps.
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1] {
        mask.add(signal);
    }
    // Started by `nohup`; a signal that is blocked would come all the same.
    if !fork::is_ignored(Signal::SIGHUP) {
        mask.add(Signal::SIGHUP);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).map_err(system("block signals"))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(system("watch for signals"))?;
    // Both read `/proc`: a child that is missed now would later be taken for an orphan of the fleet.
    let own = Identity::try_own().map_err(|error| system("read /proc")(errno_of(&error)))?;
    let unrelated_children = try_children_of(own.pid).map_err(system("read /proc"))?;
    // Orphans of the fleet become children of this process and not of init, so that none escapes.
    nix::sys::prctl::set_child_subreaper(true).map_err(system("adopt orphans"))?;
    fork::set_title(&PlaceId::Supervisor.to_string());
    Ok((signals, own, unrelated_children))
}

fn open_owner(owner: Identity) -> Result<OwnedFd, SuperviseError> {
    let gone = SuperviseError::OwnerGone(owner.pid);
    let refused = |errno| SuperviseError::System { what: "watch the fleet's owner", errno };
    let fd = pidfd::open(owner.pid).map_err(|error| match nix::Error::try_from(error) {
        Ok(nix::Error::ESRCH | nix::Error::EINVAL) => SuperviseError::OwnerGone(owner.pid),
        Ok(errno) => refused(errno),
        Err(_) => refused(nix::Error::EIO),
    })?;
    // After the open: from here on the pid cannot be given to another process unnoticed.
    match owner.presence() {
        Presence::Alive => Ok(fd),
        Presence::Gone => Err(gone),
        // The descriptor above was the last one.
        Presence::Unknown => Err(refused(nix::Error::EMFILE)),
    }
}

impl Supervisor {
    fn new(
        launch: Launch,
        (control, marker): (Control, Marker),
        stamped: Stamped,
        held: Held,
        signals: SignalFd,
    ) -> Self {
        let max = launch.shape.coordinators();
        let span = launch.policy.coordinators.within(max);
        let order = control.orders().scaled.load(Ordering::Acquire);
        Self {
            control,
            stamped,
            dir: held.path().to_owned(),
            held,
            places: (0..max).map(Place::new).collect(),
            spare: None,
            spare_due_ns: 0,
            guarded: Guarded::default(),
            scaling: Scaling::new(span.start, span, order),
            signals,
            owner: None,
            events: EventLog::new(control.events()),
            marker,
            unrelated_children: Vec::new(),
            has_pidfds: true,
            serving: false,
            stage: Stage::Starting,
            stamp: control.written_stamp(),
            supervisors: control.state().supervisors.load(Ordering::Acquire),
            beat: control.state().beat.load(Ordering::Acquire),
            deaths: control.state().deaths.load(Ordering::Acquire),
            strays_until_ns: 0,
            launch,
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
        self.control.state().stage.store(stage as u32, Ordering::Release);
        self.event(EventKind::Stage, SELF, &[stage as u64]);
    }

    fn event(&mut self, kind: EventKind, place: u32, details: &[u64]) {
        self.events.write(now_ns(), kind, place, details);
    }

    fn report(&self, text: &str) {
        (self.launch.report)(text);
    }

    /// Takes the fleet down, however it was served.
    fn finish(mut self, served: Result<Ending, SuperviseError>) -> Result<Ending, SuperviseError> {
        self.stop();
        let removed = self.held.remove();
        // Each worker removes its own, except those that were killed. What cannot be removed does no harm.
        let _ = super::reset::temporary::remove_of_fleet(
            &std::env::temp_dir(),
            self.control.stamped().created_unix_ns,
        );
        super::nested::remove_all(&self.launch.root, &self.marker);
        let ending = served?;
        removed.map_err(|error| SuperviseError::Remove { path: self.dir.clone(), error })?;
        Ok(ending)
    }

    fn serve(&mut self) -> Result<Ending, SuperviseError> {
        self.serving = true;
        loop {
            let now = now_ns();
            self.beat();
            self.check_words();
            self.replace(now);
            self.keep_spare(now);
            self.keep_guard(now);
            self.end_strays(now);
            self.watch_health(now);
            self.scale(now);
            // A place whose fork was refused is tried again.
            let is_over = |place: &Place| {
                place.state == PlaceState::Closed || place.state == PlaceState::Vacant && place.refused == 0
            };
            if self.places.iter().all(is_over)
                && let Some(last) = self.places.iter().rev().find(|place| place.state == PlaceState::Closed)
            {
                let raw = self.control.coordinator(last.index).process.wait_status.load(Ordering::Relaxed);
                return Err(SuperviseError::AllDead(HowEnded::from_raw(raw).in_fleet().to_string()));
            }
            if let Some(ending) = self.wait_for_events(None, self.idle_time(now))? {
                return Ok(ending);
            }
        }
    }

    /// How long the loop may sleep unless something happens.
    fn idle_time(&self, now: u64) -> Duration {
        let mut idle_time = TICK;
        if self.scaling.span.by_load {
            idle_time = idle_time.min(LOAD_TICK);
        }
        if let Some(hang_after) = self.launch.policy.hang_after {
            idle_time = idle_time.min((hang_after / LOOKS).max(LOOK_MIN));
        }
        if now < self.strays_until_ns {
            idle_time = idle_time.min(LOAD_TICK);
        }
        for place in &self.places {
            let waits = match place.state {
                PlaceState::Replacing => true,
                // Wanted, and the kernel has refused the fork so far.
                PlaceState::Vacant => place.refused > 0,
                PlaceState::Alive | PlaceState::HandingBack | PlaceState::Closed => false,
            };
            if waits {
                idle_time = idle_time.min(Duration::from_nanos(place.due_ns.saturating_sub(now)).max(SOON));
            }
        }
        idle_time
    }

    /// Waits for a signal, for the end of the owner or of a coordinator, or for `also`. Returns why the fleet must end, if
    /// it must.
    fn wait_for_events(
        &mut self,
        also: Option<&File>,
        timeout: Duration,
    ) -> Result<Option<Ending>, SuperviseError> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(owner) = &self.owner {
            fds.push(PollFd::new(owner.as_fd(), PollFlags::POLLIN));
        }
        if let Some(also) = also {
            fds.push(PollFd::new(also.as_fd(), PollFlags::POLLIN));
        }
        let watched = self.places.iter().filter_map(|place| place.process.as_ref()?.pidfd.as_ref());
        fds.extend(watched.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        // Rounded up: a timeout of 0 would keep a processor busy.
        let millis = timeout.as_micros().div_ceil(1000) as u16;
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(SuperviseError::System { what: "wait", errno }),
        }
        let owner_ended = self.owner.is_some() && fds[1].revents().is_some_and(|events| !events.is_empty());
        drop(fds);
        let mut asked = None;
        while let Ok(Some(info)) = self.signals.read_signal() {
            match Signal::try_from(info.ssi_signo as i32) {
                // SIGUSR1: an operator has given orders. Those are checked in any case.
                Ok(Signal::SIGCHLD | Signal::SIGUSR1) | Err(_) => {}
                Ok(signal) => asked = Some(Ending::Signal(signal)),
            }
        }
        self.reap(false);
        Ok(asked.or(owner_ended.then_some(Ending::OwnerDied)))
    }

    fn stop(&mut self) {
        self.check_words();
        self.set_stage(Stage::Stopping);
        for place in &self.places {
            self.control.coordinator(place.index).bell.wake();
        }
        let deadline = Instant::now() + STOP_GRACE + self.launch.policy.stop.grace;
        let mut killed = false;
        for place in &mut self.places {
            if place.state == PlaceState::HandingBack
                && let Some(process) = &place.process
            {
                process.kill();
            }
            if matches!(place.state, PlaceState::Replacing | PlaceState::HandingBack) {
                place.state = PlaceState::Closed;
                self.control.coordinator(place.index).process.set_life(Life::Dead);
            }
        }
        while self.places.iter().any(|place| place.state == PlaceState::Alive) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && !killed {
                for at in 0..self.places.len() {
                    if self.places[at].state == PlaceState::Alive {
                        // SIGKILL ends a stopped process too.
                        self.kill(at);
                    }
                }
                killed = true;
            }
            let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let watched = self.places.iter().filter_map(|place| place.process.as_ref()?.pidfd.as_ref());
            fds.extend(watched.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
            let wait = if killed { Duration::from_millis(20) } else { left.min(Duration::from_millis(100)) };
            let _ = poll(&mut fds, PollTimeout::from(wait.as_millis() as u16));
            drop(fds);
            while let Ok(Some(_)) = self.signals.read_signal() {}
            self.check_words();
            self.reap(true);
        }
        // Processes orphaned meanwhile. Bounded: SIGKILL cannot be refused, only delayed.
        let deadline = Instant::now() + STOP_GRACE;
        while self.kill_strays() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
            self.reap(true);
        }
        self.report_strangers();
        self.dismiss_guard();
        self.set_stage(Stage::Stopped);
        self.control.client_bell().wake();
    }

    /// Kills every child that is not a coordinator and shows the fleet's marker: what workers of dead coordinators had
    /// started. (Orphans of a living coordinator's workers are that coordinator's children.) True if there were any.
    fn end_orphans(&self) -> bool {
        let mut any = false;
        for pid in self.orphans() {
            any |= self.marker.end(pid) == Descent::Proven;
        }
        any
    }

    /// Children that are neither coordinators nor the spare nor the guard, and were not there before.
    fn orphans(&self) -> impl Iterator<Item = u32> {
        let stays = |pid: Pid| {
            self.places.iter().any(|place| place.is_here(pid))
                || self.spare.as_ref().is_some_and(|spare| spare.pid == pid)
                || self.guarded.by == Some(pid)
                || self.unrelated_children.contains(&(pid.as_raw() as u32))
        };
        let children = offspring::children().into_iter().map(Pid::from_raw);
        children.filter(move |pid| !stays(*pid)).map(|pid| pid.as_raw() as u32)
    }

    /// Kills orphans and the spare, and checks for workers of dead coordinators, which die with those. True if any process
    /// is left.
    fn kill_strays(&self) -> bool {
        let mut any = self.end_orphans();
        if let Some(spare) = &self.spare {
            let _ = kill(spare.pid, Signal::SIGKILL);
            any = true;
        }
        let groups = self.places.iter().filter_map(|place| place.process.as_ref());
        any || groups.into_iter().any(|process| !process.group_is_gone())
    }

    /// Lists the orphans that were not killed, since they are not proven to be of this fleet.
    fn report_strangers(&self) {
        for pid in self.orphans().filter(|pid| self.marker.of(*pid) == Descent::Unproven) {
            self.report(&Stranger::new(pid).to_string());
        }
    }
}
