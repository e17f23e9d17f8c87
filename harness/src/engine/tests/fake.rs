//! A system without processes, whose deaths and answers are scripted on a virtual clock.
//!
//! Time passes only while the engine waits, and jumps to the next scripted moment: minutes take milliseconds.

mod launcher;
mod obeys;

use crate::engine::clock::Clock;
use crate::engine::load::INDEX_BITS;
use crate::system::{
    Answer, Cause, Counts, Death, Event, Failure, HowEnded, Identity, LedgerEvidence, Life, Notice, Noticed,
    Order, OrderError, Outcome, PlaceId, Presence, Process, Recipient, Refused, StopMode, Stopped, Stray,
    System, Target, Task,
};
use crate::trapped::Trap;
pub use launcher::FakeLauncher;
pub use obeys::Obeys;
use reports::runlog::event::LedgerRow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the fake does with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The right answer, after a millisecond.
    Right,
    /// The right answer after a while.
    After(Duration),
    /// The right answer after a millisecond, which says that it took so long: it began before the task was sent.
    Backdated(Duration),
    /// The right answer, by which its worker has spent so much of the time on another task.
    Overlapping(Duration),
    /// The right answer, which says that it has ended so much later.
    Postdated(Duration),
    /// The right answer, made after a millisecond, which comes after a while.
    Held(Duration),
    /// An answer with other bytes.
    Wrong,
    /// The right answer, and then once more.
    Twice,
    /// The right answer, and then the word that there was a second one.
    ThenDuplicate,
    /// The word that it failed, and then that an answer came late.
    FailedThenLate,
    /// An answer that says that the task has failed; or nothing, ever.
    Failed,
    Never,
}

type Action = Box<dyn FnOnce(&mut Fake)>;

enum Happening {
    /// It says that it began and ended so long before, and after, it is received; or ended so long before, if it was held.
    Answer {
        tag: u64,
        place: PlaceId,
        sent_ns: u64,
        body: Vec<u8>,
        began: Duration,
        ended: Duration,
        overlap: Duration,
        held: Duration,
    },
    Failure {
        tag: u64,
        place: PlaceId,
        sent_ns: u64,
        is_answer: bool,
    },
    Late(u64),
    Duplicate,
    Action(Action),
}

pub struct Fake {
    clock: Clock,
    dir: PathBuf,
    processes: Vec<Process>,
    pub present: HashSet<Identity>,
    next_pid: u32,
    deaths: u64,
    lost: Option<String>,
    /// By time, and then in the order of their making.
    script: BTreeMap<(u64, u64), Happening>,
    made: u64,
    replies: Box<dyn Fn(u64, PlaceId) -> Reply>,
    counts: LedgerRow,
    notices: Vec<Notice>,
    /// The worker that had the last task for any.
    turn: usize,
    stopped: HashSet<Identity>,
    obeys: Obeys,
    /// Where its coordinator has a region.
    pub segments: Option<PathBuf>,
    /// What makes its calls fail.
    pub trap: Option<Box<dyn Trap>>,
    /// What it finds overwritten when it is stopped.
    pub finds: Option<Box<dyn Fn(u64) -> Vec<Notice>>>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").field("processes", &self.processes).finish_non_exhaustive()
    }
}

impl Fake {
    /// One coordinator with `workers` workers; every task is answered right.
    pub fn new(clock: &Clock, workers: u32) -> Self {
        let mut fake = Self {
            clock: clock.clone(),
            dir: std::env::temp_dir(),
            processes: Vec::new(),
            present: HashSet::new(),
            next_pid: 4_000_000_000,
            deaths: 0,
            lost: None,
            script: BTreeMap::new(),
            made: 0,
            replies: Box::new(|_, _| Reply::Right),
            counts: LedgerRow::default(),
            notices: Vec::new(),
            stopped: HashSet::new(),
            obeys: Obeys::All,
            turn: 0,
            segments: None,
            trap: None,
            finds: None,
        };
        let places = [PlaceId::Supervisor, PlaceId::Coordinator(0)];
        for place in places.into_iter().chain((0..workers).map(|n| PlaceId::worker(0, n))) {
            let Identity { pid, start_ticks } = fake.spawn();
            fake.processes.push(Process {
                place,
                incarnation: 1,
                pid,
                start_ticks,
                life: Life::Live,
                retiring: false,
                deaths: 0,
                last_death: None,
                ended: None,
            });
        }
        fake
    }

    /// One coordinator and its worker, with a region in this directory.
    pub fn with_segments(dir: &Path) -> Self {
        Self { segments: Some(dir.to_owned()), ..Self::new(&Clock::start(), 1) }
    }

    /// What becomes of a task, by its round and its worker.
    pub fn replies(mut self, replies: impl Fn(u64, PlaceId) -> Reply + 'static) -> Self {
        self.replies = Box::new(replies);
        self
    }

    pub fn obeys(mut self, obeys: Obeys) -> Self {
        self.obeys = obeys;
        self
    }

    /// Something that happens at a time of the run.
    pub fn at(mut self, ms: u64, action: impl FnOnce(&mut Self) + 'static) -> Self {
        self.push(ms * 1_000_000, Happening::Action(Box::new(action)));
        self
    }

    fn push(&mut self, at_ns: u64, happening: Happening) {
        self.made += 1;
        self.script.insert((at_ns, self.made), happening);
    }

    fn spawn(&mut self) -> Identity {
        self.next_pid += 1;
        let identity = Identity { pid: self.next_pid, start_ticks: 1 };
        self.present.insert(identity);
        identity
    }

    pub fn process(&mut self, place: PlaceId) -> &mut Process {
        self.processes.iter_mut().find(|process| process.place == place).unwrap()
    }

    /// The kernel does not show the process in `place`.
    pub fn hide(&mut self, place: PlaceId) {
        let identity = self.process(place).identity();
        self.present.remove(&identity);
    }

    /// The process in `place` dies, its tasks fail, and a successor is to come.
    pub fn kill(&mut self, place: PlaceId) {
        let process = self.process(place);
        let identity = process.identity();
        process.deaths += 1;
        process.life = Life::Starting;
        let Identity { pid, start_ticks } = identity;
        process.last_death = Some(Death { pid, start_ticks, how: "killed by SIGKILL".to_owned() });
        self.present.remove(&identity);
        self.deaths += 1;
        let now = self.clock.now_ns();
        for happening in self.script.values_mut() {
            if let Happening::Answer { tag, place: at, sent_ns, .. } = happening
                && *at == place
            {
                *happening = Happening::Failure { tag: *tag, place, sent_ns: *sent_ns, is_answer: false };
            }
        }
        assert!(now > 0, "a process dies during the run");
    }

    /// The system says something of itself.
    pub fn notice(&mut self, place: PlaceId, what: Noticed) {
        let at_ns = self.clock.now_ns();
        self.notices.push(Notice { at_ns, place, what });
    }

    /// The process in `place` was asked to end, and has.
    pub fn retire(&mut self, place: PlaceId) {
        self.hide(place);
        self.process(place).life = Life::Stopped;
    }

    /// There are so many workers from now on, at the first places.
    fn resize(&mut self, workers: u32) {
        for number in 0..workers.max(self.workers().len() as u32) {
            let place = PlaceId::worker(0, number);
            let there =
                self.processes.iter().find(|process| process.place == place).map(|process| process.life);
            match there {
                Some(Life::Live) if number >= workers => self.retire(place),
                Some(Life::Stopped) if number < workers => self.replace(place),
                None => {
                    let Identity { pid, start_ticks } = self.spawn();
                    self.processes.push(Process { place, pid, start_ticks, ..self.processes[1].clone() });
                }
                Some(_) => {}
            }
        }
    }

    /// The successor comes.
    pub fn replace(&mut self, place: PlaceId) {
        let Identity { pid, start_ticks } = self.spawn();
        let process = self.process(place);
        (process.pid, process.start_ticks, process.life) = (pid, start_ticks, Life::Live);
        process.incarnation += 1;
    }

    /// Nothing is answered any more: the supervisor is dead, and everything with it.
    pub fn lose(&mut self) {
        self.process(PlaceId::Supervisor).life = Life::Dead;
        self.present.clear();
        self.script.clear();
        self.lost = Some("the supervisor died".to_owned());
    }

    /// Nonsense in shared memory: so many deaths are counted in a place.
    pub fn claim_deaths(&mut self, place: PlaceId, deaths: u32) {
        self.kill(place);
        self.replace(place);
        self.process(place).deaths = deaths;
        self.deaths = u64::from(deaths);
    }

    /// Nonsense in shared memory: the place has the process of another one.
    pub fn claim_process(&mut self, place: PlaceId, of: PlaceId) {
        let Identity { pid, start_ticks } = self.process(of).identity();
        let process = self.process(place);
        (process.pid, process.start_ticks) = (pid, start_ticks);
    }

    /// The next worker in turn.
    fn turn(&mut self) -> PlaceId {
        let workers = self.workers();
        self.turn = (self.turn + 1) % workers.len();
        workers[self.turn]
    }

    fn settle(&mut self, happening: Happening, each: &mut dyn FnMut(Event<'_>)) {
        let received_ns = self.clock.now_ns();
        match happening {
            Happening::Answer { tag, place, sent_ns, body, began, ended, overlap, held } => {
                self.counts.answered += 1;
                self.counts.in_flight = self.counts.in_flight.saturating_sub(1);
                let how = HowEnded::Exited(0);
                let started_ns = received_ns.saturating_sub(began.as_nanos() as u64);
                let finished_ns = received_ns + ended.as_nanos() as u64 - held.as_nanos() as u64;
                let (body, errors, attempt) = (&body[..], &[][..], 1);
                let result = Ok(Answer { body, errors, attempt, started_ns, finished_ns, overlap, how });
                each(Event::Outcome(Outcome { id: &tag, place, tag, sent_ns, received_ns, result }));
            }
            Happening::Failure { tag, place, sent_ns, is_answer } => {
                self.counts.answered += u64::from(is_answer);
                self.counts.failed += u64::from(!is_answer);
                self.counts.in_flight = self.counts.in_flight.saturating_sub(1);
                let cause = if is_answer { Cause::Exited } else { Cause::Died };
                let what = if is_answer { "failed the task" } else { "died with the task in hand" };
                let reason = format!("{place} {what}");
                let result = Err(Failure { reason, place: Some(place), cause, is_answer });
                each(Event::Outcome(Outcome { id: &tag, place, tag, sent_ns, received_ns, result }));
            }
            Happening::Late(tag) => each(Event::Late(Stray { tag: Some(tag), coordinator: Some(0) })),
            Happening::Duplicate => each(Event::Duplicate(Stray::default())),
            Happening::Action(action) => action(self),
        }
    }
}

impl System for Fake {
    fn dir(&self) -> &Path {
        &self.dir
    }

    fn segment(&self, coordinator: u32) -> Option<PathBuf> {
        Some(self.segments.as_ref()?.join(format!("c{coordinator}")))
    }

    fn workers(&self) -> Vec<PlaceId> {
        let places = self.processes.iter().map(|process| process.place);
        places.filter(|place| matches!(place, PlaceId::Worker(_))).collect()
    }

    fn serving(&self) -> Vec<PlaceId> {
        let serves = |process: &&Process| process.life == Life::Live && !process.retiring;
        let places = self.processes.iter().filter(serves).map(|process| process.place);
        places.filter(|place| matches!(place, PlaceId::Worker(_))).collect()
    }

    fn processes(&self) -> Vec<Process> {
        self.processes.clone()
    }

    fn presence(&self, process: Identity) -> Presence {
        if self.present.contains(&process) { Presence::Alive } else { Presence::Gone }
    }

    /// Every task that is not answered, from its sending on.
    fn in_hand(&self, of: PlaceId) -> Vec<u64> {
        let tag = |happening: &Happening| match happening {
            Happening::Answer { tag, place, .. } if of == *place || of == PlaceId::Coordinator(0) => {
                Some(*tag)
            }
            _ => None,
        };
        self.script.values().filter_map(tag).collect()
    }

    fn deaths(&self) -> u64 {
        self.deaths
    }

    fn lost(&self) -> Option<String> {
        self.lost.clone()
    }

    fn submit(&mut self, to: Recipient, task: Task<'_>, _: Duration, tag: u64) -> Result<(), Refused> {
        let to = to.place().unwrap_or_else(|| self.turn());
        if self.process(to).life != Life::Live {
            return Err(Refused("the worker is dead".to_owned()));
        }
        let body = match task {
            Task::Echo(body) => body,
            Task::Sleep(_) | Task::Compute(_) => &[],
            Task::Command(_) | Task::Agent(_) | Task::Saboteur(_) => {
                return Err(Refused("no commands".to_owned()));
            }
        };
        self.counts.accepted += 1;
        self.counts.in_flight += 1;
        let (place, sent_ns) = (to, self.clock.now_ns());
        let ms = |ms: u64| sent_ns + ms * 1_000_000;
        let (zero, soon) = (Duration::ZERO, Duration::from_millis(1));
        let claims = |body: &[u8], began, ended, (overlap, held)| {
            let body = body.to_vec();
            Happening::Answer { tag, place, sent_ns, body, began, ended, overlap, held }
        };
        let answer = |body: &[u8]| claims(body, soon, zero, (zero, zero));
        let after = |time: Duration| sent_ns + time.as_nanos() as u64;
        match (self.replies)(tag >> INDEX_BITS, to) {
            Reply::Right => self.push(ms(1), answer(body)),
            Reply::After(time) => self.push(after(time), claims(body, time, zero, (zero, zero))),
            Reply::Held(time) => {
                self.push(after(time), claims(body, time, zero, (zero, time.saturating_sub(soon))));
            }
            Reply::Overlapping(overlap) => self.push(ms(1), claims(body, soon, zero, (overlap, zero))),
            Reply::Backdated(by) => self.push(ms(1), claims(body, by, zero, (zero, zero))),
            Reply::Postdated(by) => self.push(ms(1), claims(body, soon, by, (zero, zero))),
            Reply::Wrong => self.push(ms(1), answer(b"something else")),
            Reply::Twice => {
                self.push(ms(1), answer(body));
                self.push(ms(2), answer(body));
            }
            Reply::ThenDuplicate => {
                self.push(ms(1), answer(body));
                self.push(ms(2), Happening::Duplicate);
            }
            Reply::FailedThenLate => {
                self.push(ms(1), Happening::Failure { tag, place, sent_ns, is_answer: false });
                self.push(ms(2), Happening::Late(tag));
            }
            Reply::Failed => self.push(ms(1), Happening::Failure { tag, place, sent_ns, is_answer: true }),
            Reply::Never => {}
        }
        Ok(())
    }

    fn flush(&mut self) {}

    fn poll(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let now = self.clock.now_ns();
        while let Some(next) = self.script.first_entry().filter(|next| next.key().0 <= now) {
            let happening = next.remove();
            self.settle(happening, each);
        }
    }

    fn wait(&mut self, timeout: Duration) {
        let next_ns = self.script.first_key_value().map_or(u64::MAX, |((at_ns, _), _)| *at_ns);
        self.clock.advance(timeout.min(self.clock.until(next_ns)));
    }

    fn ledger_evidence(&self) -> LedgerEvidence {
        LedgerEvidence::Client
    }

    fn ledger(&self) -> Counts {
        Counts { client: self.counts, coordinators: Vec::new(), pool: None, batches: None }
    }

    fn is_stopped(&self, process: Identity) -> bool {
        self.obeys.holds(self.clock.now_ns()) && self.stopped.contains(&process)
    }

    /// Scales at once, from 10 ms on.
    fn order(&mut self, order: Order) -> Result<Vec<Process>, OrderError> {
        let (Order::Kill(Target::Place(place))
        | Order::Terminate(Target::Place(place))
        | Order::Pause(Target::Place(place))
        | Order::Continue(Target::Place(place))) = order
        else {
            let Order::Scale { workers: Some(workers), .. } = order else {
                return Err(OrderError::NoTarget(order));
            };
            let at_ns = self.clock.now_ns() + 10_000_000;
            self.push(at_ns, Happening::Action(Box::new(move |fake| fake.resize(workers))));
            return Ok(Vec::new());
        };
        let process = self.process(place).clone();
        match (order, self.obeys) {
            (_, Obeys::Nothing) | (Order::Continue(_), Obeys::NoContinue) => {}
            (Order::Kill(_) | Order::Terminate(_), Obeys::OneKill) if self.deaths > 0 => {
                let why = "Operation not permitted".to_owned();
                return Err(OrderError::Refused(place, process.pid, why));
            }
            (Order::Kill(_) | Order::Terminate(_), _) => {
                self.kill(place);
                let back_ns = self.clock.now_ns() + 100_000_000;
                self.push(back_ns, Happening::Action(Box::new(move |fake| fake.replace(place))));
            }
            (Order::Continue(_), Obeys::RefusesContinue) => {
                self.stopped.remove(&process.identity());
                return Err(OrderError::Refused(place, process.pid, "Input/output error".to_owned()));
            }
            (Order::Pause(_), _) => drop(self.stopped.insert(process.identity())),
            (_, _) => drop(self.stopped.remove(&process.identity())),
        }
        Ok(vec![process])
    }

    fn trap(&self) -> Option<&dyn Trap> {
        self.trap.as_deref()
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn stop(&mut self, _: StopMode) -> Stopped {
        self.present.clear();
        for process in self.processes.iter_mut().filter(|process| process.life == Life::Live) {
            process.life = Life::Stopped;
        }
        Stopped {
            how: None,
            adopted: None,
            cleaned: Vec::new(),
            strangers: Vec::new(),
            altered: Vec::new(),
            told_last: self.finds.as_ref().map_or_else(Vec::new, |find| find(self.clock.now_ns())),
        }
    }

    fn files_left(&self) -> Vec<String> {
        Vec::new()
    }
}
