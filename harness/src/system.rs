//! The system under test, as one small trait.
//!
//! The engine offers tasks, hears what became of them and sees which processes are there; it knows
//! nothing else about the system. [`fleet`] is the only implementation outside of tests. All times are
//! nanoseconds on the run's clock: CLOCK_BOOTTIME since the start of the run.
//!
//! What a system says is evidence and not truth: the engine bounds every count that it reads here, holds
//! each process against the kernel ([`System::presence`]), and gives a task up by itself that the system
//! never ends. Deliberately absent: the log, the schedule, and any opinion about the figures.

mod activity;
mod descriptor;
pub mod fleet;
mod home;
mod notice;
mod order;
mod spec;

pub use activity::{Activity, is_stopped};
pub use coordinator::client::launch::Program;
pub use coordinator::client::{Beat, HowEnded, Identity, PlaceId, Presence, Role, WorkerRef};
pub use coordinator::wire::command::CommandError;
pub(crate) use descriptor::descriptor_of;
pub use home::{Home, own_program};
pub use notice::{Notice, Noticed};
pub use order::{Order, OrderError, Target};
pub use spec::{FleetSpec, SystemSpec};

use crate::trapped::Trap;
use coordinator::wire::command as wire;
pub use reports::runlog::event::LedgerEvidence;
use reports::runlog::event::{Batches, CoordinatorLedger, LedgerRow, Pool};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How soon a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopMode {
    /// Not before its schedule is over.
    Run,
    /// No more rounds; tasks in flight are waited for.
    Drain,
    /// The system is killed.
    Kill,
}

/// Starts a system of one kind. A run launches it once.
pub trait Launcher: fmt::Debug {
    /// Starts the system and waits until every process of it is there. `zero_ns` is the start of the run on
    /// CLOCK_BOOTTIME, negative if the machine has started since; `cancelled` is asked while the launch goes on.
    fn launch(&self, zero_ns: i64, cancelled: &dyn Fn() -> bool) -> Result<Box<dyn System>, LaunchError>;

    /// What so many bare forks take here, one after the other; nothing if it cannot be measured.
    fn bare_forks(&self, count: u32) -> Option<Duration> {
        let _ = count;
        None
    }
}

impl SystemSpec {
    /// What starts a system like this, as a child of this process.
    pub fn launcher(&self, home: Home) -> Box<dyn Launcher> {
        match self {
            Self::Fleet(spec) => Box::new(fleet::FleetLauncher::new(*spec, home)),
        }
    }
}

#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("the launch was cancelled")]
    Cancelled,
    /// In words. Whatever had been started is gone.
    #[error("{0}")]
    Failed(String),
}

/// A running system. Dropped without [`System::stop`], it is killed.
pub trait System: fmt::Debug {
    /// Where files of this run are while it is running.
    fn dir(&self) -> &Path;

    /// The places that tasks can be sent to, in the order in which a round goes through them.
    fn workers(&self) -> Vec<PlaceId>;

    /// Those of [`System::workers`] that have a process which takes tasks now, in the same order.
    fn serving(&self) -> Vec<PlaceId>;

    /// The newest process of each place, a parent before its children; always in the same order. A place that
    /// has never had a process is left out.
    fn processes(&self) -> Vec<Process>;

    /// What the kernel says about a process. This is the kernel's word and never the system's: only a fake,
    /// whose processes do not exist, has its own.
    fn presence(&self, process: Identity) -> Presence {
        process.presence()
    }

    /// Whether the kernel shows a process as stopped, by a signal or a debugger. As [`Self::presence`], only a fake
    /// has its own word for it.
    fn is_stopped(&self, process: Identity) -> bool {
        is_stopped(process)
    }

    /// What the kernel says a process does; `None` if it is not there. As [`Self::presence`], only a fake has its own word
    /// for it.
    fn activity(&self, place: PlaceId, process: Identity) -> Option<Activity> {
        Activity::of(place, process)
    }

    /// How far each process has come that lives and serves; empty if the system does not show it. Cheap.
    fn beats(&self) -> Vec<Beat> {
        Vec::new()
    }

    /// The tags of the tasks that a worker has begun and not answered, as it says itself; of a coordinator, those of all its
    /// workers. Empty if the system does not show it. Cheap.
    fn in_hand(&self, place: PlaceId) -> Vec<u64> {
        let _ = place;
        Vec::new()
    }

    /// Who has paused the system, in words; `None` while it is not paused.
    fn paused_by(&self) -> Option<String> {
        None
    }

    /// Deaths so far that were not asked for. Cheap: read with every poll; any change makes the engine read
    /// [`System::processes`].
    fn deaths(&self) -> u64;

    /// Processes that have ended in order so far and that others follow. Cheap, and read as [`Self::deaths`] is.
    fn recycled(&self) -> u64 {
        0
    }

    /// Why no task can be answered any more; `None` while the system works.
    fn lost(&self) -> Option<String>;

    /// Offers a task to the worker in `to`, or to any worker that the system chooses; `tag` comes back with its outcome, which is due within `deadline`.
    /// The task goes out with the next [`System::flush`].
    fn submit(&mut self, to: Recipient, task: Task<'_>, deadline: Duration, tag: u64) -> Result<(), Refused>;

    fn flush(&mut self);

    /// Takes what has come in.
    fn poll(&mut self, each: &mut dyn FnMut(Event<'_>));

    /// Sleeps until something has come in or `timeout` is over; it may return early.
    fn wait(&mut self, timeout: Duration);

    /// Which ledgers [`System::ledger`] can show.
    fn ledger_evidence(&self) -> LedgerEvidence;

    /// The counts of both ends, as far as [`System::ledger_evidence`] says.
    fn ledger(&self) -> Counts;

    /// Does something to the system's processes; returns those that it was done to. Scaling returns none: what comes
    /// and goes shows in [`System::processes`].
    fn order(&mut self, order: Order) -> Result<Vec<Process>, OrderError>;

    /// The file that a coordinator shares with its workers and with the client; `None` if it has none.
    fn segment(&self, coordinator: u32) -> Option<PathBuf> {
        let _ = coordinator;
        None
    }

    /// Whether that file is being changed on purpose from now on: [`System::altered`] leaves it out until it is not any
    /// more, and must be again what it was.
    fn declare_altered(&mut self, coordinator: u32, is_changed: bool) {
        let _ = (coordinator, is_changed);
    }

    /// What makes its calls on shared memory fail; nothing if it was not started for that.
    fn trap(&self) -> Option<&dyn Trap> {
        None
    }

    /// What others have done to the system's own files since the last look, in words; each once.
    fn altered(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// What the system has noticed about itself since the last call, in order of time; each once.
    fn notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    /// Ends the system: [`StopMode::Kill`] at once, any other mode by asking first. All of it is gone
    /// afterwards, or named by [`System::files_left`] and the kernel.
    fn stop(&mut self, mode: StopMode) -> Stopped;

    /// Files of this run that are still there after [`System::stop`].
    fn files_left(&self) -> Vec<String>;
}

/// The newest process of a place, as the system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub place: PlaceId,
    /// How many processes have been started in this place, this one included.
    pub incarnation: u32,
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    pub life: Life,
    /// It ends when it has done the tasks that it has.
    pub retiring: bool,
    /// How many processes of this place died unasked,
    pub deaths: u32,
    /// and the last of these.
    pub last_death: Option<Death>,
    /// How this process ended, in words; only of one that has.
    pub ended: Option<String>,
}

impl Process {
    pub fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_ticks: self.start_ticks }
    }
}

/// The state of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// A process starts, or a successor is to come.
    Starting,
    Live,
    /// The process has died and no successor comes.
    Dead,
    /// The process ended in order, as it was asked to.
    Stopped,
}

/// A death that was not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    pub pid: u32,
    pub start_ticks: u64,
    /// In words: `killed by SIGKILL`.
    pub how: String,
}

/// Whom a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    Worker(PlaceId),
    /// The system chooses a worker that has time.
    Any,
}

impl Recipient {
    /// The place of the worker, if it is one in particular.
    pub fn place(self) -> Option<PlaceId> {
        match self {
            Self::Worker(place) => Some(place),
            Self::Any => None,
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(place) => place.fmt(f),
            Self::Any => f.write_str("any worker"),
        }
    }
}

/// What a worker is to do.
#[derive(Debug, Clone, Copy)]
pub enum Task<'a> {
    /// Send these bytes back.
    Echo(&'a [u8]),
    Sleep(Duration),
    /// Use this much CPU time.
    Compute(Duration),
    /// Run a program.
    Command(&'a Command),
    /// Ask the program that the worker keeps running: a line of JSON.
    Agent(&'a str),
    /// Wait and send the payload in this body back, or have the defect that it asks for.
    Saboteur(&'a [u8]),
}

/// A program with its arguments and surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The program first; never empty.
    pub arguments: Vec<String>,
    /// Added to the environment of the fleet.
    pub env: BTreeMap<String, String>,
    /// That of the fleet where absent.
    pub cwd: Option<String>,
    /// Nothing where absent.
    pub stdin: Option<String>,
}

impl Command {
    /// As it travels in a fleet.
    ///
    /// # Errors
    /// No program can be started like that: a NUL, an empty name.
    pub fn to_body(&self) -> Result<Vec<u8>, CommandError> {
        wire::Command {
            argv: self.arguments.clone(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            stdin: self.stdin.clone(),
            ..wire::Command::default()
        }
        .to_body()
    }
}

/// Why a task was not accepted. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// What [`System::poll`] reports.
#[derive(Debug)]
pub enum Event<'a> {
    Outcome(Outcome<'a>),
    /// An answer came after its task had been given up.
    Late(Stray),
    /// A second answer to a task.
    Duplicate(Stray),
}

/// An answer to a task that has an outcome, as far as it is known whose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stray {
    /// Of the task, as given to [`System::submit`].
    pub tag: Option<u64>,
    /// The number of the coordinator that sent it.
    pub coordinator: Option<u32>,
}

/// What became of a task.
pub struct Outcome<'a> {
    /// The task's name, as the system spells it.
    pub id: &'a dyn fmt::Display,
    /// The worker that had the task last.
    pub place: PlaceId,
    /// As given to [`System::submit`].
    pub tag: u64,
    pub sent_ns: u64,
    pub received_ns: u64,
    pub result: Result<Answer<'a>, Failure>,
}

impl fmt::Debug for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, place, tag, result, .. } = self;
        write!(f, "Outcome {{ {id} at {place}, tag {tag}: {result:?} }}")
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Of a command: its stdout, and then its stderr.
    pub body: &'a [u8],
    /// Of a command: its stderr, which is the end of `body`.
    pub errors: &'a [u8],
    /// Of which attempt at the task it is, from 1.
    pub attempt: u8,
    /// When the worker says it began and ended the task: any number, on the clock of [`Outcome::sent_ns`].
    pub started_ns: u64,
    pub finished_ns: u64,
    /// How much of that time the same worker says to have spent on another task, of which it does one at a time.
    pub overlap: Duration,
    /// Of a command: how it ended.
    pub how: HowEnded,
}

impl Answer<'_> {
    /// From the beginning of the task to its end, as the worker says.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.finished_ns.saturating_sub(self.started_ns))
    }
}

/// Why an accepted task has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub reason: String,
    /// The place that `reason` names, if it names one.
    pub place: Option<PlaceId>,
    pub cause: Cause,
    /// A worker has answered, and its answer says that the task has failed: the system's ledgers count it as answered.
    pub is_answer: bool,
}

/// What kind of reason a task has failed for, as the log counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Not done in time.
    TimedOut,
    /// A command, or an agent program, ended by itself in a way that is no answer.
    Exited,
    /// A process of the fleet died or hung.
    Died,
    /// It was not taken.
    Refused,
    Other,
}

/// The ledgers of both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub client: LedgerRow,
    pub coordinators: Vec<CoordinatorLedger>,
    /// How the workers were used; absent if the system does not count it.
    pub pool: Option<Pool>,
    /// How messages went together; absent if the system does not count it.
    pub batches: Option<Batches>,
}

/// How a system ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// In words; `None` if it ended as asked.
    pub how: Option<String>,
    /// In words: under which supervisor, if another one had adopted it.
    pub adopted: Option<String>,
    /// What its own end had left and was killed or removed by this process.
    pub cleaned: Vec<String>,
    /// In words: processes that this process was left with and that are not proven to be of the system. None was killed.
    pub strangers: Vec<String>,
    /// All that [`System::altered`] has found.
    pub altered: Vec<String>,
    /// Words of its memory that another program has overwritten, and helpers that have died, as far as no notice has told so
    /// before.
    pub told_last: Vec<Notice>,
}
