//! The client of a run: submits tasks as there is room, and takes their outcomes. How a task's end is written down is in
//! [`end`], how the run ends in [`finish`], what becomes of
//! the tasks of earlier clients in [`left`].

mod end;
mod finish;
mod held;
mod left;
mod overdue;

use super::super::shown::counted;
use super::halt::Halt;
use super::kept::Kept;
use super::list::{List, Next, next_job};
use super::output::Printer;
use super::outputs::Outputs;
use super::progress::{Counts, Progress};
use super::results::{Done, End, Output, Results, Status};
use super::task::Job;
use super::{FAILED, FleetOf, UNFIT, print, stops};
use crate::client::{Address, Client, Event, Failure, Outcome, SendError, TaskId, Terms, now_ns};
use crate::os::clock::unix_ns;
use crate::snapshot::clients::Clients;
use crate::snapshot::{Entry, SnapshotError};
use held::Held;
use overdue::Silence;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long the client sleeps at most while no event comes.
const LOOK: Duration = Duration::from_millis(100);
/// The same, while lines with tasks may still come.
const LOOK_FOR_LINES: Duration = Duration::from_millis(10);
/// The deadline of a task without one.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// How often a task whose agent dies is begun, if `--retries` is not given.
const DEATHS_MAX: u8 = 3;
/// How long to try to cancel tasks of a fleet that takes no more orders.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// How long a fleet may take to cancel the running tasks, beyond the grace that they have.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// The options that apply to all tasks.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Tasks in the fleet at a time.
    pub(super) window: usize,
    pub(super) timeout: Option<Duration>,
    /// Of a command that is asked to end.
    pub(super) grace: Duration,
    pub(super) deadline: Option<Duration>,
    pub(super) retries: Option<u8>,
    pub(super) delay: Duration,
    pub(super) halt: Halt,
    /// How long running tasks may continue after a first signal.
    pub(super) drain: Duration,
    /// Output that has no room in a message is kept all the same.
    pub(super) whole: bool,
    /// A fleet that keeps running after this run must not continue its tasks.
    pub(super) fleet: FleetOf,
    /// It does what an earlier run has not done, and takes over its tasks that are still in the fleet.
    pub(super) resumes: bool,
}

/// What a run works with.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) list: List,
    pub(super) results: Results,
    pub(super) printer: Printer,
    pub(super) outputs: Outputs,
    pub(super) progress: Progress,
    pub(super) rules: Rules,
    pub(super) journal: Option<Kept>,
    /// The journal of the fleet's clients, if the fleet outlives this run.
    pub(super) clients: Option<Clients>,
    /// What the results held before this run.
    pub(super) before: Rc<Done>,
    /// The command that continues this run, if it can be continued.
    pub(super) resume_command: Option<String>,
}

/// A task that was started and has not ended.
#[derive(Debug)]
struct Started {
    job: Job,
    /// Its number among the tasks that were started, from 0.
    turn: u64,
    deaths: u32,
    sent: Option<(TaskId, u64)>,
    /// It was asked to end.
    ended: bool,
    /// It is not waited for any more.
    cancelled: bool,
    /// Its entry in the journal, until it has ended.
    entry: Option<Entry>,
    /// The same, in the journal of the fleet's clients.
    noted: Option<Entry>,
}

impl Started {
    fn new(job: Job, turn: u64) -> Self {
        Self { job, turn, deaths: 0, sent: None, ended: false, cancelled: false, entry: None, noted: None }
    }
}

/// What the run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Waits for running tasks, at most until then.
    Draining(Option<Instant>),
    /// Has asked the running tasks to end, and waits for them until then.
    Cancelling(Instant),
}

/// Why the run ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    Interrupted,
    Halted,
    ReaderGone,
    /// With this exit status; the error is already printed.
    Broken(u8),
}

impl Work {
    /// Finishes a run without tasks to do; the exit status.
    pub(super) fn nothing(self) -> u8 {
        Run::new(self).finish()
    }
}

/// Everything but the client, which is borrowed while it delivers events.
struct Run {
    work: Work,
    in_flight: BTreeMap<u64, Started>,
    /// To be submitted once more.
    again: VecDeque<Started>,
    counts: Counts,
    stop: Option<Stop>,
    /// Tasks that found their worker dead, since the last outcome.
    undeliverable: usize,
    unix_ns: u64,
    /// Tasks in flight that an earlier client has sent, and the number of each.
    adopted: HashMap<TaskId, u64>,
    /// When it was last checked that the fleet still has them, and those that were not found then.
    looked: Instant,
    missed: HashSet<TaskId>,
    silence: Silence,
    /// By their numbers.
    held: HashMap<u64, Held>,
}

/// Does all tasks; the exit status.
pub(super) fn all(work: Work, client: &mut Client) -> u8 {
    let mut run = Run::new(work);
    run.go(client);
    if run.work.rules.fleet == FleetOf::Others {
        run.cancel_rest(client);
    }
    run.finish()
}

impl Run {
    fn new(work: Work) -> Self {
        Self {
            counts: Counts { wanted: work.list.facts.wanted, ..Counts::default() },
            work,
            in_flight: BTreeMap::new(),
            again: VecDeque::new(),
            stop: None,
            undeliverable: 0,
            unix_ns: unix_ns().saturating_sub(now_ns()),
            adopted: HashMap::new(),
            looked: Instant::now(),
            missed: HashSet::new(),
            silence: Silence::new(),
            held: HashMap::new(),
        }
    }

    fn go(&mut self, client: &mut Client) {
        self.carry_out(client);
        // Two signals may have come between two looks.
        if self.stop.is_none() && !self.is_done() && stops() > 0 {
            self.stop = Some(Stop::Interrupted);
        }
    }

    fn carry_out(&mut self, client: &mut Client) {
        let mut phase = Phase::Running;
        let mut begun = 0;
        let mut next_start = Instant::now();
        loop {
            self.check_for_signals(&mut phase);
            if phase == Phase::Running {
                self.submit_more(client, &mut begun, &mut next_start);
                if matches!(self.stop, Some(Stop::Broken(UNFIT))) {
                    break;
                }
                self.counts.wanted = self.work.list.facts.wanted;
            }
            if let Phase::Cancelling(until) = phase {
                self.end_all(client);
                if Instant::now() >= until {
                    break;
                }
            }
            // A task is in the journal before the fleet sees it, and an end before its result is passed on.
            if !self.update_journal() {
                break;
            }
            client.flush();
            let events = client.poll(|event| self.handle(event));
            self.look_for_adopted(client);
            for what in client.overwritten() {
                print::warn(format_args!("in the memory of this run's fleet: {what}"));
            }
            self.end_overdue(client, events);
            self.work.progress.update(&self.counts());
            self.check_for_stop(client, &mut phase);
            if matches!(self.stop, Some(Stop::Broken(_))) || stops() > 1 {
                break;
            }
            let is_over = phase != Phase::Running || self.is_done();
            if is_over && self.in_flight.is_empty() {
                break;
            }
            if events == 0 {
                let pause = next_start.saturating_duration_since(Instant::now());
                let look = if self.work.list.facts.open { LOOK_FOR_LINES } else { LOOK };
                client.wait(if pause.is_zero() { look } else { look.min(pause) });
            }
        }
    }

    /// Brings the journal up to date, if there is one; false if that fails.
    fn update_journal(&mut self) -> bool {
        const KEPT: &str = "the journal still holds the tasks that are not done; free some disk space, and `coordinator restore` does them";
        if !self.commit_clients() {
            return false;
        }
        let Some(journal) = &mut self.work.journal else { return true };
        let settled = journal.settle(&self.work.results).map_err(|error| (error, KEPT));
        let noted = settled.and_then(|()| {
            journal.commit().map_err(|error| match &error {
                SnapshotError::Lost { .. } => (error.to_string(), error.hint()),
                _ => (error.to_string(), KEPT),
            })
        });
        if let Err((error, hint)) = &noted {
            self.broken(UNFIT, error, hint);
        }
        noted.is_ok()
    }

    /// All tasks are done, and no more will come.
    fn is_done(&self) -> bool {
        !self.work.list.facts.open && self.counts.ended == self.counts.wanted
    }

    fn counts(&self) -> Counts {
        Counts { running: self.in_flight.len() as u64, open: self.work.list.facts.open, ..self.counts }
    }

    fn check_for_signals(&mut self, phase: &mut Phase) {
        if stops() == 0 {
            return;
        }
        // Output that was not read may have told it first.
        if self.stop.is_none() || self.stop == Some(Stop::Interrupted) && *phase == Phase::Running {
            self.stop = Some(Stop::Interrupted);
            *phase = Phase::Draining(Some(Instant::now() + self.work.rules.drain));
            let running = self.in_flight.len();
            if running > 0 {
                self.work.progress.clear();
                let drain = self.work.rules.drain;
                print::report(format_args!(
                    "stopping: waiting up to {drain:?} for {}; a second signal ends them at once",
                    counted(running as u64, "running task")
                ));
            }
        }
        if let Phase::Draining(Some(until)) = *phase
            && Instant::now() >= until
        {
            *phase = self.cancelling();
        }
    }

    /// The phase in which the running tasks end, each within its grace.
    fn cancelling(&self) -> Phase {
        let graces = self.in_flight.values().filter_map(|task| task.job.grace);
        let longest = graces.fold(self.work.rules.grace, Duration::max);
        Phase::Cancelling(Instant::now() + longest + CANCEL_GRACE)
    }

    /// Stops the run early if the outcomes so far, or the loss of the fleet, are a reason to.
    fn check_for_stop(&mut self, client: &Client, phase: &mut Phase) {
        let halt = self.work.rules.halt;
        let is_met = halt.is_met(self.counts.ended, self.counts.failed);
        if *phase == Phase::Running && is_met && !self.is_done() {
            self.stop = Some(Stop::Halted);
        }
        if *phase == Phase::Running {
            match &self.stop {
                Some(Stop::Halted) if matches!(halt, Halt::Soon(_)) => *phase = Phase::Draining(None),
                Some(Stop::Halted | Stop::ReaderGone) => {
                    *phase = self.cancelling();
                }
                _ => {}
            }
        }
        let is_done = self.is_done();
        if self.stop.is_none()
            && !is_done
            && (client.is_lost() || self.undeliverable > 3 * self.work.rules.window)
        {
            self.work.progress.clear();
            // How to continue is said at the end.
            print::error("the fleet is lost: no agent is left to do the remaining tasks", "");
            self.stop = Some(Stop::Broken(FAILED));
        }
    }

    /// Submits tasks up to the limit of the window.
    fn submit_more(&mut self, client: &mut Client, begun: &mut u64, next_start: &mut Instant) {
        while self.in_flight.len() < self.work.rules.window && Instant::now() >= *next_start {
            let task = match self.again.pop_front() {
                Some(task) => task,
                None => match next_job(&mut self.work.list) {
                    Ok(Next::Task(job)) => {
                        *begun += 1;
                        match self.claim(Started::new(job, *begun - 1)) {
                            Some(task) => task,
                            // An earlier client has sent it.
                            None => continue,
                        }
                    }
                    Ok(Next::Later | Next::End) => return,
                    Err(unlisted) => {
                        self.work.progress.clear();
                        print::error(unlisted.what, unlisted.hint);
                        self.stop = Some(Stop::Broken(FAILED));
                        return;
                    }
                },
            };
            if let Err(task) = self.submit(client, task) {
                self.again.push_front(*task);
                return;
            }
            *next_start = Instant::now() + self.work.rules.delay;
        }
    }

    /// Cancels the tasks that are still running: they are not to go on without a client.
    fn cancel_rest(&mut self, client: &mut Client) {
        // What was not published could not be noted: a cancellation would take it along.
        let withdrawn = client.withdraw();
        self.again.extend(withdrawn.iter().filter_map(|turn| self.in_flight.remove(turn)));
        let begun = Instant::now();
        while begun.elapsed() < LEAVE_MAX && !self.in_flight.is_empty() && !client.is_lost() {
            self.cancel(client);
            client.poll(|event| self.handle(event));
            client.wait(LOOK / 10);
        }
    }

    /// Submits a task; gives it back if there is no room for it now.
    fn submit(&mut self, client: &mut Client, mut task: Started) -> Result<(), Box<Started>> {
        let terms = self.terms(&task);
        match client.submit(Address::Any, task.job.task(), &terms, task.turn) {
            Ok(id) => {
                task.sent = Some((id, now_ns()));
                if let (Some(journal), None) = (&mut self.work.journal, task.entry) {
                    match journal.accepted(id, &task.job, &terms, self.work.before.ends(&task.job.id)) {
                        Ok(entry) => task.entry = Some(entry),
                        Err(error) => self.broken(UNFIT, &error.to_string(), error.hint()),
                    }
                }
                self.note_accepted(id, &mut task, &terms);
                self.in_flight.insert(task.turn, task);
                Ok(())
            }
            Err(SendError::Backpressure | SendError::DeadRecipient) => Err(Box::new(task)),
            Err(error @ (SendError::NoSuchRecipient | SendError::TooLarge)) => {
                let end = End {
                    status: Status::Refused,
                    output: Output::default(),
                    error: Some(error.to_string()),
                };
                self.end(&task, None, &end);
                Ok(())
            }
        }
    }

    fn terms(&self, task: &Started) -> Terms {
        let (own, rules) = (&task.job.own, &self.work.rules);
        let retries = own.retries.or(rules.retries);
        Terms {
            deadline: own.deadline.or(rules.deadline).unwrap_or(FOREVER),
            timeout: own.timeout.or(rules.timeout),
            attempts_max: Some(retries.map_or(DEATHS_MAX, |retries| retries.saturating_add(1))),
            retry_failures: retries.is_some_and(|retries| retries > 0),
            deaths_only: retries.is_none(),
            whole: rules.whole,
        }
    }

    /// Asks the running tasks to end, so that their output is kept.
    fn end_all(&mut self, client: &mut Client) {
        for task in self.in_flight.values_mut().filter(|task| !task.ended) {
            let Some((id, _)) = task.sent else { continue };
            if client.end(id).is_err() {
                break;
            }
            task.ended = true;
        }
    }

    /// Cancels the running tasks.
    fn cancel(&mut self, client: &mut Client) {
        for task in self.in_flight.values_mut().filter(|task| !task.cancelled) {
            let Some((id, _)) = task.sent else { continue };
            // There is no room for more orders: the others are cancelled the next time.
            if client.cancel(id).is_err() {
                break;
            }
            task.cancelled = true;
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Outcome(outcome) => {
                if let Some(task) = self.in_flight.remove(&outcome.tag) {
                    self.settle(task, &outcome);
                }
            }
            Event::Inherited(outcome) => self.inherit(&outcome),
            Event::Late(_) | Event::Duplicate(_) | Event::Repeated(_) | Event::Revived(_) => {}
        }
    }

    fn settle(&mut self, mut task: Started, outcome: &Outcome<'_>) {
        if matches!(&outcome.result, Err(failure) if !failure.is_of_task()) {
            // Not an end of the task: another run does it.
            self.again.push_back(task);
            return;
        }
        if self.is_tried_again(&task, outcome) {
            self.undeliverable += usize::from(matches!(outcome.result, Err(Failure::WorkerDead(..))));
            task.deaths += 1;
            self.again.push_back(task);
            return;
        }
        self.undeliverable = 0;
        let end = End::of(outcome, task.job.task().parts().0);
        let is_written = self.end(&task, Some(outcome.worker), &end);
        self.note_end(&task, is_written, outcome);
    }

    /// Whether the task failed only because its worker or coordinator was dead, which says nothing about the task.
    fn is_tried_again(&self, task: &Started, outcome: &Outcome<'_>) -> bool {
        let died = matches!(outcome.result, Err(Failure::WorkerDead(..) | Failure::CoordinatorDied(..)));
        let by_default = task.job.own.retries.or(self.work.rules.retries).is_none();
        died && by_default && self.stop.is_none() && task.deaths + 1 < u32::from(DEATHS_MAX)
    }
}
