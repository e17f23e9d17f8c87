//! The fleet's state: what lies in shared memory, and what each process knows for itself.

use super::event::Cut;
use super::ghost::Ghost;
use coordinator::config::{Policy, Thresholds};
use coordinator::plan::health::Watch;
use coordinator::plan::lease::{State, Word};
use coordinator::plan::recover::Ending;
use coordinator::plan::restart::Restarts;
use coordinator::plan::retry::Backoff;
use coordinator::plan::scaling::{Marks, Scaler};
use coordinator::wire::{AnswerHeader, AnswerStatus, Order, TaskHeader, TaskId, TaskKind};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub const MS: u64 = 1_000_000;
pub const FLEET: u32 = 7;
pub const SENDER: u32 = 1;
pub const ENTRIES: usize = 6;
pub const LETTERS: usize = 4;
/// Records that a ring holds: from the client, to the client, to and from a worker.
pub const DOWN: usize = 4;
pub const UP: usize = 4;
pub const DEPTH: usize = 2;
/// The client waits so long behind a deadline.
pub const GRACE_NS: u64 = 20 * MS;

/// Mistakes that the tests of the test make on purpose: each in how the plans' answers are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Answers and records of an epoch that is over are taken like others.
    NoFencing,
    /// What waited in a dead worker's ring is not queued again.
    LostLease,
    /// A successor counts the ending that was under way, whether or not it was counted.
    DoubleCount,
    /// The client counts an answer to a task that it does not wait for.
    CountsRepeats,
    FreeBeforeTold,
    AcknowledgeBeforeTable,
    /// A failed attempt is queued again as if no worker had begun it.
    SameAttempt,
    /// A successor counts the revival that was under way, whether or not it was counted.
    ReviveCountedTwice,
    /// A successor decides about leases before it has taken what the dead had published.
    LeasesBeforeAnswers,
    /// A letter becomes a task while its failure waits to be told.
    RevivedBeforeTold,
    /// A successor leaves a letter whose task is open again.
    LetterOfAnOpenTask,
    /// An answer begun before the task was revived counts for its new life.
    FormerLife,
    /// The process that settles a region leaves what was not yet taken, and the client does not look for it.
    SettledTooEarly,
    /// A successor takes a record for one that its predecessor had taken, because of an entry that was given back.
    TakenForKnown,
    /// What was a dead letter is given back as if its client waited for it.
    GivesLettersBack,
    /// A task that was begun goes to others because they have more room.
    SpillsTheBegun,
    /// A task that was returned has all its attempts at the next coordinator.
    AttemptsBeginAnew,
    /// A restored fleet does once more what had ended.
    RestoresTheEnded,
}

/// What a fleet is, for one storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    pub coordinators: usize,
    pub workers: u16,
    /// A dead coordinator is replaced, or its tasks go to the others.
    pub replaced: bool,
    pub bug: Option<Bug>,
}

impl Setup {
    pub const fn new(coordinators: usize, workers: u16, replaced: bool) -> Self {
        Self { coordinators, workers, replaced, bug: None }
    }

    /// Workers that may begin a task, wherever they are.
    pub const fn attempts(&self) -> u8 {
        if self.workers == 1 { 2 } else { 3 }
    }
}

/// One producer, one consumer: what is published, and not acknowledged yet.
#[derive(Debug, Clone)]
pub struct Ring<T> {
    pub records: VecDeque<T>,
    /// Ever.
    pub acknowledged: u64,
    /// The incarnation that may produce: another one is fenced.
    pub producer: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { records: VecDeque::new(), acknowledged: 0, producer: 0 }
    }
}

impl<T> Ring<T> {
    pub fn acknowledge(&mut self, records: usize) {
        self.records.drain(..records);
        self.acknowledged += records as u64;
    }
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub word: Word,
    pub task: TaskHeader,
    pub answer: AnswerHeader,
    /// The task was a dead letter; its client has heard of its failure.
    pub revived: bool,
}

impl Entry {
    pub fn is_open(&self) -> bool {
        matches!(self.word.state(), Some(State::Queued | State::Leased))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterState {
    Empty,
    Dead,
    Reviving,
}

#[derive(Debug, Clone)]
pub struct Letter {
    pub state: DeadLetterState,
    pub stamp: u64,
    pub task: TaskHeader,
}

#[derive(Debug, Clone, Default)]
pub struct Counters {
    pub accepted: u64,
    pub answered: u64,
    pub failed_tasks: u64,
    pub failed: u64,
    pub returned: u64,
    pub revived: u64,
    pub late: u64,
    pub fenced: u64,
    pub ending: u32,
}

impl Counters {
    pub fn of(&mut self, ending: Ending) -> &mut u64 {
        match ending {
            Ending::Answered => &mut self.answered,
            Ending::FailedTask => &mut self.failed_tasks,
            Ending::Failed => &mut self.failed,
            Ending::Returned => &mut self.returned,
        }
    }
}

/// A worker's process.
#[derive(Debug, Clone)]
pub struct Worker {
    pub incarnation: u64,
    /// Of the region, when it was forked.
    pub epoch: u32,
    pub stalled: bool,
    /// Popped, begun at, and not acknowledged.
    pub hand: Option<(TaskHeader, u64)>,
}

/// A worker's place: its rings and words in shared memory, and who lives there.
#[derive(Debug, Clone, Default)]
pub struct Place {
    pub down: Ring<TaskHeader>,
    pub up: Ring<AnswerHeader>,
    /// Sequence + 1 of the task in hand.
    pub own_task: u64,
    pub beats: u64,
    pub retire: bool,
    pub process: Option<Worker>,
    /// Dead and not reaped; true if it ended in order.
    pub corpse: Option<bool>,
}

/// A coordinator's region.
#[derive(Debug, Clone)]
pub struct Region {
    pub epoch: u32,
    pub table: Vec<Entry>,
    pub down: Ring<TaskHeader>,
    pub up: Ring<AnswerHeader>,
    pub orders: VecDeque<(Order, u64)>,
    pub letters: Vec<Letter>,
    pub counters: Counters,
    pub workers: Vec<Place>,
    /// Who was missed at a takeover, with what it had: its place, its incarnation, its records.
    pub escaped: Vec<(u16, u64, Vec<TaskHeader>)>,
}

/// What a coordinator knows of a worker's place.
#[derive(Debug, Clone, Default)]
pub struct Link {
    pub open: bool,
    pub due: bool,
    pub restarts: Restarts,
    pub watch: Watch,
    pub hung: bool,
    pub waiting: VecDeque<usize>,
}

/// A coordinator's process: what is lost with it.
#[derive(Debug, Clone, Default)]
pub struct Coordinator {
    pub links: Vec<Link>,
    pub free: Vec<usize>,
    pub untold: VecDeque<usize>,
    pub anyone: VecDeque<usize>,
    /// Not before, entry, generation.
    pub later: Vec<(u64, usize, u32)>,
    pub to_revive: VecDeque<usize>,
    pub scaler: Scaler,
    pub beats: u64,
    pub taking_over: bool,
    pub serving: bool,
    pub stalled: bool,
    pub paused: bool,
    /// Nothing is begun here any more: what is open is returned, and then it ends.
    pub settling: bool,
    /// Nothing is sent here any more: what is there is done, and then it ends.
    pub retiring: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Live,
    /// Its successor is awaited.
    Dead,
    /// In order, with nothing left.
    Ended,
    /// Died too often.
    GivenUp,
}

/// A coordinator's place.
#[derive(Debug, Clone)]
pub struct Seat {
    pub life: Life,
    pub region: Region,
    pub process: Option<Coordinator>,
    pub incarnation: u32,
    /// The supervisor's.
    pub restarts: Restarts,
    pub watch: Watch,
}

/// Where a task is that the client waits for.
#[derive(Debug, Clone, Copy)]
pub struct Flight {
    pub task: TaskHeader,
    /// `None`: it is to be sent again.
    pub at: Option<usize>,
}

/// What makes an answer itself: sequence, lease, end and status.
pub type Told = (u64, u32, u64, u32);

#[derive(Debug, Clone, Default)]
pub struct Client {
    pub in_flight: BTreeMap<u64, Flight>,
    pub given_up: Vec<u64>,
    pub told: Vec<Vec<Option<Told>>>,
    /// Nothing is sent there.
    pub closed: Vec<bool>,
    /// Seen to be gone, after its last word.
    pub lost: Vec<bool>,
    pub accepted: u64,
    pub answered: u64,
    pub failed: u64,
    pub late: u64,
    pub repeated: u64,
    pub duplicates: u64,
}

/// A copy of what was open, what had ended, and the letters of each region.
#[derive(Debug, Clone)]
pub struct Copied {
    pub open: Vec<TaskHeader>,
    pub ended: Vec<u64>,
    pub letters: Vec<Vec<Letter>>,
}

#[derive(Debug, Clone)]
pub struct World {
    pub setup: Setup,
    pub now_ns: u64,
    pub policy: Policy,
    pub backoff: Backoff,
    pub marks: Marks,
    pub seats: Vec<Seat>,
    pub client: Client,
    pub backup: Option<Copied>,
    pub ghost: Ghost,
    pub incarnations: u64,
    pub fuse: Cut,
    /// The first thing that must not be.
    pub wrong: Option<String>,
}

/// The process at work was killed.
#[derive(Debug)]
pub struct Killed;
pub type Step = Result<(), Killed>;

pub fn no_task() -> TaskHeader {
    TaskHeader {
        id: TaskId { epoch: FLEET, sender: SENDER, sequence: 0 },
        deadline_ns: 0,
        parameter: 0,
        sent_ns: 0,
        entry: 0,
        lease: 0,
        timeout_ms: 0,
        worker: 0,
        kind: TaskKind::Echo as u8,
        attempts_max: 0,
    }
}

pub fn no_answer() -> AnswerHeader {
    AnswerHeader {
        id: no_task().id,
        started_ns: 0,
        finished_ns: 0,
        worker: 0,
        entry: 0,
        lease: 0,
        status: AnswerStatus::Ok as u32,
        code: 0,
        stdout_len: 0,
    }
}

impl Region {
    fn new(workers: u16) -> Self {
        let entry = Entry { word: Word::from_raw(0), task: no_task(), answer: no_answer(), revived: false };
        let letter = Letter { state: DeadLetterState::Empty, stamp: 0, task: no_task() };
        Self {
            epoch: 0,
            table: vec![entry; ENTRIES],
            down: Ring::default(),
            up: Ring::default(),
            orders: VecDeque::new(),
            letters: vec![letter; LETTERS],
            counters: Counters::default(),
            workers: vec![Place::default(); workers.into()],
            escaped: Vec::new(),
        }
    }

    /// In the table, or `None`.
    pub fn entry_of(&self, sequence: u64) -> Option<usize> {
        let holds =
            |entry: &Entry| entry.word.state() != Some(State::Free) && entry.task.id.sequence == sequence;
        self.table.iter().position(holds)
    }

    pub fn is_clear(&self) -> bool {
        self.down.records.is_empty() && self.table.iter().all(|entry| entry.word.state() == Some(State::Free))
    }
}

impl World {
    /// A fleet of which every place is filled.
    pub fn new(setup: Setup) -> Self {
        let policy = Policy {
            attempts_max: setup.attempts(),
            restarts_max: 5,
            restart_window: Duration::from_millis(200),
            ..Policy::default()
        };
        let mut world = Self {
            setup,
            now_ns: MS,
            policy,
            backoff: Backoff { first_ns: 2 * MS, max_ns: 20 * MS },
            marks: Marks {
                hold_ns: 0,
                cool_down_ns: 5 * MS,
                ..Marks::between(1, setup.workers.into(), &Thresholds::default())
            },
            seats: Vec::new(),
            client: Client {
                told: vec![vec![None; ENTRIES]; setup.coordinators],
                closed: vec![false; setup.coordinators],
                lost: vec![false; setup.coordinators],
                ..Client::default()
            },
            backup: None,
            ghost: Ghost::default(),
            incarnations: 0,
            fuse: None,
            wrong: None,
        };
        for coord in 0..setup.coordinators {
            world.seats.push(Seat {
                life: Life::Ended,
                region: Region::new(setup.workers),
                process: None,
                incarnation: 0,
                restarts: Restarts::default(),
                watch: Watch::default(),
            });
            world.start(coord);
        }
        world
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.setup.bug == Some(bug)
    }

    /// A store comes next: the process that makes it may be killed before.
    pub fn step(&mut self) -> Step {
        match &mut self.fuse {
            Some(0) => Err(Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(what());
        }
    }

    pub fn region(&mut self, coord: usize) -> &mut Region {
        &mut self.seats[coord].region
    }

    /// Of a coordinator that is at work.
    pub fn process(&mut self, coord: usize) -> &mut Coordinator {
        self.seats[coord].process.as_mut().expect("only who lives acts")
    }

    pub fn link(&mut self, coord: usize, worker: u16) -> &mut Link {
        &mut self.process(coord).links[usize::from(worker)]
    }

    pub fn place(&mut self, coord: usize, worker: u16) -> &mut Place {
        &mut self.region(coord).workers[usize::from(worker)]
    }

    /// One change of a word, which is all that makes a step seen.
    pub fn change(&mut self, coord: usize, entry: usize, step: impl Fn(Word) -> Option<Word>) {
        let word = self.region(coord).table[entry].word;
        match step(word) {
            Some(next) => self.region(coord).table[entry].word = next,
            None => self.wrong(|| {
                format!("entry {coord}/{entry} takes a step that its state does not allow: {word:?}")
            }),
        }
    }

    /// True if `coord` is there and does what it should.
    pub fn acts(&self, coord: usize) -> bool {
        self.seats.get(coord).is_some_and(|seat| {
            seat.life == Life::Live
                && seat.process.as_ref().is_some_and(|process| !process.stalled && !process.paused)
        })
    }
}
