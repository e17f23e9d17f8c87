//! What a fleet is to be: its shape, and its policy about deaths, failures, hangs and load.
//!
//! Decided before the first fork, so that a topology that does not fit is refused and never met as
//! an error in mid-run.

pub use crate::bus::shape::{
    COORDINATORS_MAX, DEPTH_MAX, FleetShape, PAYLOAD_MAX, ShapeError, WORKERS_PER_COORDINATOR_MAX,
};
pub use crate::os::stop::{GRACE_MAX, Stop, parse_signal, signal_name};
pub use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// A task is begun by at most this many workers; if the last of them dies too, it fails.
pub const ATTEMPTS_MAX: u8 = 3;
/// A place whose processes have died this often within [`RESTART_WINDOW`] stays vacant after the next death.
/// More deaths than one task causes that kills its workers, and too few forks to occupy a processor.
pub const RESTARTS_MAX: u32 = 16;
pub const RESTART_WINDOW: Duration = Duration::from_secs(10);

/// Before a failed attempt is followed by the next; each further one waits twice as long.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(10);
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A process whose progress stops for this long counts as hung and is ended; it is suspected after half of it.
pub const HANG_AFTER: Duration = Duration::from_secs(10);
/// The shortest of it: the supervisor looks eight times within it, and at most once in 10 ms.
pub const HANG_AFTER_MIN: Duration = Duration::from_millis(100);

/// Long enough for a program that loads a model or an environment first.
pub const AGENT_STARTUP: Duration = Duration::from_secs(60);

/// What is done about deaths, failures, hangs and load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// 1 to 255; a task may override it.
    pub attempts_max: u8,
    /// Of one place, within `restart_window`.
    pub restarts_max: u32,
    pub restart_window: Duration,
    /// Between two attempts.
    pub backoff_first: Duration,
    pub backoff_max: Duration,
    /// `None`: no process ever counts as hung.
    pub hang_after: Option<Duration>,
    pub failover: Failover,
    pub supervisor_death: SupervisorDeath,
    /// How many coordinators of those that the shape has room for.
    pub coordinators: Span,
    /// How many workers of each coordinator.
    pub workers: Span,
    /// When their numbers follow load, in fleets that do.
    pub scaling: Thresholds,
    /// The fleet is ready with the processes that the host allows; those that were refused come later. Otherwise
    /// it does not come up without all of them.
    pub partial: bool,
    /// A worker is replaced after this many tasks,
    pub recycle_after: Option<u32>,
    /// or when it has grown by this many bytes.
    pub recycle_growth: Option<u64>,
    /// The client and the coordinators publish at most this many messages at once; 1 is a publication and a wake-up
    /// for each. `None`: as many as there are.
    pub batch_max: Option<NonZeroU32>,
    /// While the fleet starts, the supervisor, and each coordinator, has at most this many processes that are not ready
    /// yet; 1 starts one after the other. `None`: all are started at once.
    pub spawn_max: Option<NonZeroU32>,
    /// What each worker keeps running for tasks of kind `Agent`.
    pub agent: Option<&'static Agent>,
    /// That program may take this long from its start until it reads its first task.
    pub agent_startup: Duration,
    /// How a command or an agent program is ended before its time; a task may override it.
    pub stop: Stop,
    /// Which processes end themselves, the n-th successor at the n-th change of shared memory: for tests.
    #[cfg(feature = "kill-points")]
    pub kill: Option<KillAtEachStep>,
}

/// A long-lived program that does a task for each line of JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Added to the fleet's environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory; by default the fleet's.
    pub cwd: Option<PathBuf>,
}

/// What takes over for a dead coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Failover {
    /// A process forked then.
    #[default]
    Fresh,
    /// A process forked before, which waits.
    Spare,
    /// The other coordinators: unanswered tasks go to them, and the place stays vacant.
    Survivors,
}

/// What the supervisor's death means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum SupervisorDeath {
    /// The fleet ends.
    #[default]
    End,
    /// The fleet keeps running; another supervisor adopts it.
    Adopt,
}

/// How many of the places that a shape has are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Never fewer.
    pub min: u32,
    /// At the start.
    pub start: u32,
    /// By load, between `min` and all; otherwise by hand only.
    pub by_load: bool,
}

impl Span {
    /// Every place, always.
    pub const ALL: Self = Self { min: u32::MAX, start: u32::MAX, by_load: false };

    /// In a shape with `max` places.
    #[must_use]
    pub fn within(self, max: u32) -> Self {
        let min = self.min.clamp(1, max);
        Self { min, start: self.start.clamp(min, max), by_load: self.by_load && min < max }
    }
}

/// Load is what is at work or waits to be, in percent of the processes that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Above it more are started; 1 to [`SCALE_UP_AT_MAX`].
    pub up_at: u32,
    /// Below it some are retired; less than `up_at`.
    pub down_at: u32,
    /// For so long every look must have been beyond it.
    pub hold: Duration,
    /// At least so long from one change to the next.
    pub pause: Duration,
}

/// Percent. The load of a coordinator is counted up to three times its workers, and so never passes this.
pub const SCALE_UP_AT_MAX: u32 = 299;

impl Default for Thresholds {
    fn default() -> Self {
        Self { up_at: 80, down_at: 30, hold: Duration::from_millis(200), pause: Duration::from_secs(1) }
    }
}

#[cfg(feature = "kill-points")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KillAtEachStep {
    Coordinators,
    Workers,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts_max: ATTEMPTS_MAX,
            restarts_max: RESTARTS_MAX,
            restart_window: RESTART_WINDOW,
            backoff_first: BACKOFF_FIRST,
            backoff_max: BACKOFF_MAX,
            hang_after: Some(HANG_AFTER),
            failover: Failover::default(),
            supervisor_death: SupervisorDeath::default(),
            coordinators: Span::ALL,
            workers: Span::ALL,
            scaling: Thresholds::default(),
            partial: false,
            recycle_after: None,
            recycle_growth: None,
            batch_max: None,
            spawn_max: None,
            agent: None,
            stop: Stop::default(),
            agent_startup: AGENT_STARTUP,
            #[cfg(feature = "kill-points")]
            kill: None,
        }
    }
}
