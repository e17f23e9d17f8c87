//! The client of a run: hands tasks in as there is room, and sees to what becomes of each.

use super::halt::Halt;
use super::kept::Kept;
use super::list::{List, Next, next_job};
use super::output::{Printer, Unprinted};
use super::progress::{Counts, Progress};
use super::results::{End, Results, Said, Status, Whose, line};
use super::task::Job;
use super::{FAILED, INTERRUPTED, OK, STOPS, UNFIT, complain, tell, warn};
use crate::bus::sync::Ordering;
use crate::client::{Address, Client, Event, Failure, Outcome, SendError, TaskId, Terms, WorkerRef, now_ns};
use crate::os::clock::unix_ns;
use crate::snapshot::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long the client sleeps if nothing comes.
const LOOK: Duration = Duration::from_millis(100);
/// How long where a line may come that is a task.
const LOOK_FOR_LINES: Duration = Duration::from_millis(10);
/// Of a task that may take as long as it likes.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// A task whose agent dies is begun so often, where nobody has said how often.
const DEATHS_MAX: u8 = 3;
/// Failures that are told one by one.
const FAILURES_TOLD: u64 = 10;
/// Orders to a fleet that does not take them any more are given up after this long.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// Who was asked to end its tasks at once has this long.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// What the command line says about all tasks.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Tasks in the fleet at a time.
    pub(super) window: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    pub(super) retries: Option<u8>,
    pub(super) delay: Duration,
    pub(super) halt: Halt,
    /// From a first signal to the end of what runs.
    pub(super) grace: Duration,
    /// The fleet goes on after this run, and must not go on with its tasks.
    pub(super) is_guest: bool,
}

/// What a run has at its end.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) list: List,
    pub(super) results: Results,
    pub(super) printer: Printer,
    pub(super) progress: Progress,
    pub(super) rules: Rules,
    pub(super) journal: Option<Kept>,
    /// The command that goes on, if one can.
    pub(super) again: Option<String>,
}

/// A task that the fleet has.
#[derive(Debug)]
struct Flying {
    job: Job,
    /// Among those that were begun.
    turn: u64,
    deaths: u32,
    sent: Option<(TaskId, u64)>,
    cancelled: bool,
    /// In the journal, until it has ended.
    entry: Option<Entry>,
}

/// What the run does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Going,
    /// What runs is waited for, at most until then.
    Draining(Option<Instant>),
    /// What runs has been told to end, and is waited for until then.
    Ending(Instant),
}

/// Why it is not going on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    Interrupted,
    Halted,
    ReaderGone,
    /// Said already.
    Broken(u8),
}

impl Work {
    /// There is nothing to be done; the exit status.
    pub(super) fn nothing(self) -> u8 {
        Book::new(self).finish()
    }
}

/// All but the client, which is busy while it tells.
struct Book {
    work: Work,
    in_flight: BTreeMap<u64, Flying>,
    /// To be sent once more.
    again: VecDeque<Flying>,
    counts: Counts,
    stop: Option<Stop>,
    /// Since the last answer, tasks that found no agent.
    nobody: usize,
    unix_ns: u64,
}

/// Does all that is to be done; the exit status.
pub(super) fn all(work: Work, client: &mut Client) -> u8 {
    let mut book = Book::new(work);
    book.go(client);
    if book.work.rules.is_guest {
        book.leave(client);
    }
    book.finish()
}

impl Book {
    fn new(work: Work) -> Self {
        Self {
            counts: Counts { wanted: work.list.facts.wanted, ..Counts::default() },
            work,
            in_flight: BTreeMap::new(),
            again: VecDeque::new(),
            stop: None,
            nobody: 0,
            unix_ns: unix_ns().saturating_sub(now_ns()),
        }
    }

    fn go(&mut self, client: &mut Client) {
        let mut phase = Phase::Going;
        let mut begun = 0;
        let mut next_start = Instant::now();
        loop {
            self.look_at_signals(&mut phase);
            if phase == Phase::Going {
                self.hand_in(client, &mut begun, &mut next_start);
                if matches!(self.stop, Some(Stop::Broken(UNFIT))) {
                    break;
                }
                self.counts.wanted = self.work.list.facts.wanted;
            }
            if let Phase::Ending(until) = phase {
                self.cancel(client);
                if Instant::now() >= until {
                    break;
                }
            }
            // Before anybody sees what was handed in, or hands it on.
            if !self.note() {
                break;
            }
            client.flush();
            let events = client.poll(|event| self.hear(event));
            self.work.progress.update(&self.counts());
            self.look_at_ends(client, &mut phase);
            if matches!(self.stop, Some(Stop::Broken(_))) || STOPS.load(Ordering::Relaxed) > 1 {
                break;
            }
            let is_over = phase != Phase::Going || self.is_done();
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

    /// Brings the journal up to date, if there is one; false if that cannot be.
    fn note(&mut self) -> bool {
        let Some(journal) = &mut self.work.journal else { return true };
        let noted = journal.settle(&self.work.results).and_then(|()| journal.commit());
        if let Err(error) = &noted {
            self.broken(
                UNFIT,
                error,
                "the journal is whole up to what is not done yet; make room, and `coordinator restore` does that",
            );
        }
        noted.is_ok()
    }

    /// All that was wanted has been done, and nothing more will be.
    fn is_done(&self) -> bool {
        !self.work.list.facts.open && self.counts.ended == self.counts.wanted
    }

    fn counts(&self) -> Counts {
        Counts { running: self.in_flight.len() as u64, open: self.work.list.facts.open, ..self.counts }
    }

    fn look_at_signals(&mut self, phase: &mut Phase) {
        if STOPS.load(Ordering::Relaxed) == 0 {
            return;
        }
        if self.stop.is_none() {
            self.stop = Some(Stop::Interrupted);
            *phase = Phase::Draining(Some(Instant::now() + self.work.rules.grace));
            let running = self.in_flight.len();
            if running > 0 {
                self.work.progress.clear();
                let grace = self.work.rules.grace;
                tell(format_args!(
                    "stopping: {running} tasks that run are waited for, for {grace:?} at most; a second signal ends them at once"
                ));
            }
        }
        if let Phase::Draining(Some(until)) = *phase
            && Instant::now() >= until
        {
            *phase = Phase::Ending(Instant::now() + CANCEL_GRACE);
        }
    }

    /// What has come may be a reason not to go on.
    fn look_at_ends(&mut self, client: &Client, phase: &mut Phase) {
        let halt = self.work.rules.halt;
        let is_met = halt.is_met(self.counts.ended, self.counts.failed);
        if *phase == Phase::Going && is_met && !self.is_done() {
            self.stop = Some(Stop::Halted);
        }
        if *phase == Phase::Going {
            match &self.stop {
                Some(Stop::Halted) if matches!(halt, Halt::Soon(_)) => *phase = Phase::Draining(None),
                Some(Stop::Halted | Stop::ReaderGone) => {
                    *phase = Phase::Ending(Instant::now() + CANCEL_GRACE);
                }
                _ => {}
            }
        }
        let is_done = self.is_done();
        if self.stop.is_none() && !is_done && (client.is_lost() || self.nobody > 3 * self.work.rules.window) {
            self.work.progress.clear();
            let hint = "`--results FILE` with `--resume` keeps what is done, and goes on with the rest";
            complain(
                "the fleet is lost: nobody is left to do the rest",
                if self.work.results.is_file() { "" } else { hint },
            );
            self.stop = Some(Stop::Broken(FAILED));
        }
    }

    fn hand_in(&mut self, client: &mut Client, begun: &mut u64, next_start: &mut Instant) {
        while self.in_flight.len() < self.work.rules.window && Instant::now() >= *next_start {
            let flying = match self.again.pop_front() {
                Some(flying) => flying,
                None => match next_job(&mut self.work.list) {
                    Ok(Next::Task(job)) => {
                        *begun += 1;
                        Flying { job, turn: *begun - 1, deaths: 0, sent: None, cancelled: false, entry: None }
                    }
                    Ok(Next::Later | Next::End) => return,
                    Err(error) => {
                        self.work.progress.clear();
                        complain(error, "a list must stay as it is until its run has ended");
                        self.stop = Some(Stop::Broken(FAILED));
                        return;
                    }
                },
            };
            if let Err(flying) = self.submit(client, flying) {
                self.again.push_front(*flying);
                return;
            }
            *next_start = Instant::now() + self.work.rules.delay;
        }
    }

    /// Nobody will hear of what still runs: it is to end.
    fn leave(&mut self, client: &mut Client) {
        let begun = Instant::now();
        while begun.elapsed() < LEAVE_MAX && self.in_flight.values().any(|flying| !flying.cancelled) {
            self.cancel(client);
            client.poll(|_| ());
            client.wait(LOOK / 10);
        }
    }

    /// Gives the task back if there is no room now.
    fn submit(&mut self, client: &mut Client, mut flying: Flying) -> Result<(), Box<Flying>> {
        let terms = self.terms(&flying);
        match client.submit(Address::Any, flying.job.task(), &terms, flying.turn) {
            Ok(id) => {
                flying.sent = Some((id, now_ns()));
                if let (Some(journal), None) = (&mut self.work.journal, flying.entry) {
                    match journal.accepted(id, &flying.job, &terms) {
                        Ok(entry) => flying.entry = Some(entry),
                        Err(error) => self.broken(UNFIT, &error.to_string(), error.hint()),
                    }
                }
                self.in_flight.insert(flying.turn, flying);
                Ok(())
            }
            Err(SendError::Backpressure | SendError::DeadRecipient) => Err(Box::new(flying)),
            Err(error @ (SendError::NoSuchRecipient | SendError::TooLarge)) => {
                let end =
                    End { status: Status::Refused, said: Said::default(), error: Some(error.to_string()) };
                self.end(&flying, None, &end);
                Ok(())
            }
        }
    }

    fn terms(&self, flying: &Flying) -> Terms {
        let (own, rules) = (&flying.job.own, &self.work.rules);
        let retries = own.retries.or(rules.retries);
        Terms {
            deadline: own.deadline.or(rules.deadline).unwrap_or(FOR_EVER),
            timeout: own.timeout.or(rules.timeout),
            attempts_max: Some(retries.map_or(DEATHS_MAX, |retries| retries.saturating_add(1))),
            retry_failures: retries.is_some_and(|retries| retries > 0),
            deaths_only: retries.is_none(),
        }
    }

    /// Tells those that run to end.
    fn cancel(&mut self, client: &mut Client) {
        for flying in self.in_flight.values_mut().filter(|flying| !flying.cancelled) {
            let Some((id, _)) = flying.sent else { continue };
            // There is no room for more orders: the rest is told the next time.
            if client.cancel(id).is_err() {
                break;
            }
            flying.cancelled = true;
        }
    }

    fn hear(&mut self, event: Event<'_>) {
        let Event::Outcome(outcome) = event else { return };
        let Some(mut flying) = self.in_flight.remove(&outcome.tag) else { return };
        if matches!(outcome.result, Err(Failure::SupervisorDied)) {
            // No end of the task's: another run does it.
            self.again.push_back(flying);
            return;
        }
        if self.is_tried_again(&flying, &outcome) {
            self.nobody += usize::from(matches!(outcome.result, Err(Failure::WorkerDead(..))));
            flying.deaths += 1;
            self.again.push_back(flying);
            return;
        }
        self.nobody = 0;
        let end = End::of(&outcome, flying.job.task().parts().0);
        self.end(&flying, Some(outcome.worker), &end);
    }

    /// Nobody was left where it was, which says nothing about the task.
    fn is_tried_again(&self, flying: &Flying, outcome: &Outcome<'_>) -> bool {
        let died = matches!(outcome.result, Err(Failure::WorkerDead(..) | Failure::CoordinatorDied(..)));
        let nobody_said = flying.job.own.retries.or(self.work.rules.retries).is_none();
        died && nobody_said && self.stop.is_none() && flying.deaths + 1 < u32::from(DEATHS_MAX)
    }

    /// Writes down how a task ended.
    fn end(&mut self, flying: &Flying, worker: Option<WorkerRef>, end: &End<'_>) {
        let job = &flying.job;
        // Cancelled by somebody else, while the run goes on: that is an end like another.
        let ended = end.status != Status::Cancelled || self.stop.is_none();
        self.counts.ended += u64::from(ended);
        if let (Some(journal), Some(entry), true) = (&mut self.work.journal, flying.entry, ended) {
            journal.ended(entry, end.status);
        }
        let hash = format!("{:016x}", job.hash);
        let whose = Whose {
            id: &job.id,
            number: Some(job.number),
            hash: Some(&hash),
            input: job.input.as_deref(),
            worker,
            sent_ns: flying.sent.map_or(0, |(_, sent_ns)| sent_ns),
            attempts_before: flying.deaths,
            before: false,
        };
        if let Err(error) = self.work.results.write(&line(&whose, end, self.unix_ns)) {
            self.broken(UNFIT, &error, "the results so far are whole; `--resume` goes on from them");
        }
        if self.work.printer.prints() {
            self.work.progress.clear();
            let said = &end.said;
            // What an agent answers is a line.
            let answer = said.result.map(|result| format!("{}\n", result.get()));
            let stdout = answer.as_ref().map_or(said.stdout, String::as_bytes);
            let printed = self.work.printer.take(flying.turn, &job.id, stdout, said.stderr);
            self.printed(printed);
            if said.truncated {
                let hint = "--output-max keeps more, --output-dir all";
                warn(format!("task {}: output cut off; {hint}", job.name()));
            }
        }
        if ended && end.status != Status::Ok {
            self.counts.failed += 1;
            self.tell_failure(job, end);
        }
    }

    fn tell_failure(&mut self, job: &Job, end: &End<'_>) {
        if self.counts.failed > FAILURES_TOLD {
            return;
        }
        self.work.progress.clear();
        let why = end.error.as_deref().unwrap_or("failed");
        complain(format_args!("task {}: {why}", job.name()), "");
    }

    fn printed(&mut self, printed: Result<(), Unprinted>) {
        match printed {
            // With results, what was printed was a courtesy.
            Err(Unprinted::ReaderGone) if self.work.results.is_file() => {
                self.work.printer = Printer::new(false, false, false);
            }
            Err(Unprinted::ReaderGone) if self.stop.is_none() => self.stop = Some(Stop::ReaderGone),
            Ok(()) | Err(Unprinted::ReaderGone) => {}
            // The output is what was asked for: going on would only lose more of it.
            Err(Unprinted::Error(error)) => self.broken(UNFIT, &error, ""),
        }
    }

    /// Says it once.
    fn broken(&mut self, status: u8, error: &str, hint: &str) {
        if !matches!(self.stop, Some(Stop::Broken(_))) {
            self.work.progress.clear();
            complain(error, hint);
            self.stop = Some(Stop::Broken(status));
        }
    }

    /// The last lines and the last words.
    fn finish(mut self) -> u8 {
        for flying in std::mem::take(&mut self.in_flight).into_values().chain(std::mem::take(&mut self.again))
        {
            if matches!(self.stop, Some(Stop::Broken(UNFIT))) {
                break;
            }
            let error = "the run ended before it did".to_owned();
            let end = End { status: Status::Cancelled, said: Said::default(), error: Some(error) };
            self.end(&flying, None, &end);
        }
        let printed = self.work.printer.finish();
        self.printed(printed);
        if let Err(error) = self.work.results.sync() {
            self.broken(UNFIT, &error, "");
        } else if !matches!(self.stop, Some(Stop::Broken(UNFIT))) {
            self.note();
        }
        let counts = self.counts();
        self.work.progress.finish(&counts);
        let Counts { wanted, ended, failed, .. } = counts;
        let (stop, facts) = (self.stop.clone(), &self.work.list.facts);
        let all = self.is_done() && stop != Some(Stop::Interrupted);
        let so_far = if facts.open { " so far" } else { "" };
        let what = match &stop {
            Some(Stop::Interrupted) => "interrupted: ",
            Some(Stop::Halted) => "halted: ",
            Some(Stop::ReaderGone) => "the reader of the output has gone: ",
            Some(Stop::Broken(_)) => "stopped: ",
            None => "",
        };
        if all && failed > 0 {
            let more = match failed.saturating_sub(FAILURES_TOLD) {
                0 => String::new(),
                more => format!(": {FAILURES_TOLD} of them above, and {more} more"),
            };
            complain(format_args!("{failed} of {wanted} tasks failed{more}"), "");
        } else if !all {
            let hint = match &self.work.again {
                Some(again) => format!("go on with: {again}"),
                None => "a run with --results FILE can be taken up again by --resume".to_owned(),
            };
            let hint = if stop == Some(Stop::ReaderGone) { "" } else { &hint };
            let said = format!("{what}{ended} of {wanted} tasks{so_far} had ended, {failed} of them failed");
            if stop == Some(Stop::Halted) && !self.work.rules.halt.is_failure(failed) {
                tell(said);
            } else {
                complain(said, hint);
            }
        }
        if all && facts.done_badly > 0 {
            let hint = "--retry-failed does them again";
            complain(format_args!("{} tasks had failed in an earlier run", facts.done_badly), hint);
        }
        match stop {
            Some(Stop::Broken(status)) => status,
            Some(Stop::Interrupted | Stop::ReaderGone) => INTERRUPTED,
            Some(Stop::Halted) if self.work.rules.halt.is_failure(failed) => FAILED,
            None if failed > 0 || facts.done_badly > 0 => FAILED,
            Some(Stop::Halted) | None => OK,
        }
    }
}
