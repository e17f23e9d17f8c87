//! Drives the load: rounds on schedule, every answer checked, every outcome written down.
//!
//! Open loop: a round starts when it is due, whether or not the last one is back, and its time counts
//! from when it was due; if the harness itself is late, that is part of the time and recorded beside
//! it. Closed loop: the next round is due when the last one is back.

mod latency;
mod round;

use super::failure::Failures;
use super::payload;
use super::recorder::Handle;
use super::roster::Roster;
use super::stop::{Stop, Wish};
use crate::scenario::{Plan, Workload};
use coordinator::client::{Answer, Client, Event as Got, HowEnded, Outcome, Task, TaskId, WorkerRef, now_ns};
use coordinator::wire::command_body;
use latency::Latencies;
use reports::runlog::event::{
    AgentInfo, AgentReplaced, Alert, Event, LatencyTag, LoadModel, Phase, PhaseBegan, Severity, TaskFailed,
};
use round::InFlight;
use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// From the end of the launch to the first round.
const LEAD: Duration = Duration::from_millis(20);
/// The load thread sleeps no longer than this, so that a stop is seen.
const LOOK: Duration = Duration::from_millis(100);
/// Rounds that could not start in time are made up for this share of the load phase, and at least
/// [`OVERRUN_MIN`]: a hiccup at the end must not leave a run one round short.
const OVERRUN_SHARE: u32 = 10;
const OVERRUN_MIN: Duration = Duration::from_secs(1);
/// An alert of the same kind is not repeated before this.
const ALERT_COOLDOWN_NS: u64 = 30_000_000_000;
/// Bits of a tag that are the worker's place; the rest is the round.
const PLACE_BITS: u32 = 24;
const _: () = assert!(
    coordinator::config::COORDINATORS_MAX as u64 * coordinator::config::WORKERS_PER_COORDINATOR_MAX as u64
        <= 1 << PLACE_BITS
);

/// How the load ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEnd {
    Completed,
    /// The stop switch says why.
    Stopped,
    FleetLost(String),
}

/// What makes the load; times are on the run's clock, ns.
pub struct Loader<'a> {
    plan: &'a Plan,
    client: &'a mut Client,
    roster: &'a mut Roster,
    /// Who looks after the agents hears of new processes in their places.
    replaced: Sender<AgentInfo>,
    log: &'a Handle,
    start_ns: u64,
    failures: &'a mut Failures,
    workers: Vec<WorkerRef>,
    seed: u64,
    /// The next round's number.
    next: u64,
    in_flight: VecDeque<InFlight>,
    latencies: Latencies,
    deaths_seen: u64,
    /// While somebody who died is not replaced: when to look for that again.
    unsettled_ns: Option<u64>,
    /// Late and second answers since the last round that ended; they belong to rounds that are over.
    late: u32,
    duplicates: u32,
    refused: u64,
    rejected: u64,
    buffer: Vec<u8>,
    alerted_ns: [Option<u64>; 2],
}

impl<'a> Loader<'a> {
    pub fn new(
        plan: &'a Plan,
        client: &'a mut Client,
        roster: &'a mut Roster,
        replaced: Sender<AgentInfo>,
        log: &'a Handle,
        start_ns: u64,
        failures: &'a mut Failures,
    ) -> Self {
        let shape = *plan.shape();
        let count = shape.coordinators() * shape.workers_per_coordinator();
        Self {
            plan,
            client,
            roster,
            replaced,
            log,
            start_ns,
            failures,
            workers: (0..count).map(|n| WorkerRef::nth(&shape, n)).collect(),
            seed: plan.child_seed("payload"),
            next: 0,
            in_flight: VecDeque::new(),
            latencies: Latencies::new(),
            deaths_seen: 0,
            unsettled_ns: None,
            late: 0,
            duplicates: 0,
            refused: 0,
            rejected: 0,
            buffer: Vec::new(),
            alerted_ns: [None; 2],
        }
    }

    /// Rounds begun.
    pub fn rounds(&self) -> u64 {
        self.next
    }

    /// Tasks of rounds that could not be sent: failed, and in nobody's books.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Answers that were delivered and not right.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    fn now_ns(&self) -> u64 {
        now_ns() - self.start_ns
    }

    fn phase(&self, phase: Phase) {
        tracing::debug!(?phase, "begins");
        self.log.record(Event::Phase(PhaseBegan { phase }));
    }

    pub fn run(&mut self, stop: &Stop) -> LoadEnd {
        let end = self.load(stop);
        self.phase(Phase::Drain);
        let end = match end {
            LoadEnd::Completed | LoadEnd::Stopped => self.drain(stop, end),
            lost @ LoadEnd::FleetLost(_) => lost,
        };
        self.latencies.flush(self.log, self.now_ns());
        end
    }

    /// Warm-up and load.
    fn load(&mut self, stop: &Stop) -> LoadEnd {
        let load = self.plan.load();
        let every_ns = load.every().map(|every| every.as_nanos() as u64);
        let first_ns = self.now_ns() + LEAD.as_nanos() as u64;
        let load_ns = first_ns + load.warm_up().as_nanos() as u64;
        let end_ns = load_ns + load.duration().as_nanos() as u64;
        let overrun = (load.duration() / OVERRUN_SHARE).max(OVERRUN_MIN);
        let latest_ns = end_ns + overrun.as_nanos() as u64;
        let mut phase = Phase::WarmUp;
        if load_ns > first_ns {
            self.phase(Phase::WarmUp);
        }
        // Of the phase under way.
        let mut slots = Slots { begin_ns: first_ns, end_ns: load_ns, every_ns, next: 0 };
        loop {
            if let Some(why) = self.take_in() {
                return LoadEnd::FleetLost(why);
            }
            if stop.wish() != Wish::GoOn {
                return LoadEnd::Stopped;
            }
            let now = self.now_ns();
            if phase == Phase::WarmUp && now >= load_ns {
                phase = Phase::Load;
                self.latencies.flush(self.log, now);
                self.phase(Phase::Load);
                slots = Slots { begin_ns: load_ns, end_ns, every_ns, next: 0 };
            }
            let room = self.in_flight.len() < load.rounds_in_flight_max() as usize;
            let due = if load.model() == LoadModel::Closed {
                (self.in_flight.is_empty() && now >= slots.begin_ns && now < slots.end_ns).then_some(now)
            } else {
                slots.due()
            };
            match due {
                Some(due_ns) if due_ns <= now && room && now < latest_ns => {
                    self.begin(phase, due_ns);
                    slots.next += 1;
                    continue;
                }
                _ => {}
            }
            let exhausted = due.is_none() || now >= latest_ns;
            if phase == Phase::Load && now >= end_ns && exhausted {
                return LoadEnd::Completed;
            }
            let wake_ns = match due {
                Some(due_ns) if room => due_ns,
                Some(_) => u64::MAX,
                None if phase == Phase::WarmUp => load_ns,
                None => end_ns,
            };
            let wait = Duration::from_nanos(wake_ns.saturating_sub(now)).min(LOOK);
            self.latencies.flush_if_due(self.log, now);
            self.client.wait(wait);
        }
    }

    /// Waits for what is in flight; every task has a time-out, so this ends.
    fn drain(&mut self, stop: &Stop, end: LoadEnd) -> LoadEnd {
        while !self.in_flight.is_empty() {
            if let Some(why) = self.take_in() {
                return LoadEnd::FleetLost(why);
            }
            if stop.wish() == Wish::Now {
                return LoadEnd::Stopped;
            }
            if self.client.in_flight() > 0 {
                self.client.wait(LOOK);
            }
        }
        // A death between the last answer and now is still a death.
        self.look_for_deaths();
        end
    }

    fn begin(&mut self, phase: Phase, scheduled_ns: u64) {
        let number = self.next;
        self.next += 1;
        let started_ns = self.now_ns();
        self.in_flight.push_back(InFlight::new(number, phase, scheduled_ns, started_ns, self.workers.len()));
        let timeout = self.plan.load().task_timeout();
        for place in 0..self.workers.len() {
            let worker = self.workers[place];
            let tag = number << PLACE_BITS | place as u64;
            let sent = match self.plan.workload() {
                Workload::Echo { payload_bytes } => {
                    payload::fill(&mut self.buffer, self.seed, tag, *payload_bytes);
                    self.client.send(worker, Task::Echo(&self.buffer), timeout, tag)
                }
                Workload::Sleep(time) => {
                    self.client.send(worker, Task::Sleep(time.of_task(self.seed, tag)), timeout, tag)
                }
                Workload::Compute { cpu } => self.client.send(worker, Task::Compute(*cpu), timeout, tag),
                Workload::Exec { command, .. } => {
                    let task = number * self.workers.len() as u64 + place as u64;
                    let arguments: Vec<String> =
                        command.iter().map(|part| part.replace("{}", &task.to_string())).collect();
                    match command_body(&arguments) {
                        Some(body) => self.client.send(worker, Task::Exec(&body), timeout, tag),
                        None => Err(coordinator::client::SendError::TooLarge),
                    }
                }
            };
            if let Err(refused) = sent {
                // A worker that cannot even be asked has failed its task: nothing vanishes.
                self.refused += 1;
                let reason = format!("not sent to {worker}: {refused}");
                self.fail(tag, "none".to_owned(), worker, reason);
            }
        }
        self.client.flush();
        let late_ns = started_ns - scheduled_ns.min(started_ns);
        if late_ns > Duration::from_secs(1).as_nanos() as u64 {
            let late = Duration::from_nanos(late_ns);
            self.alert(0, Severity::Minor, || format!("round {number} started {late:.1?} late"));
        }
        self.close_finished();
    }

    /// Takes what has come in; says why if nothing more can come.
    fn take_in(&mut self) -> Option<String> {
        let mut got = std::mem::take(&mut self.buffer);
        let mut outcomes = Vec::new();
        let (plan, seed, start_ns) = (self.plan, self.seed, self.start_ns);
        let (late, duplicates) = (&mut self.late, &mut self.duplicates);
        self.client.poll(|event| match event {
            Got::Outcome(outcome) => outcomes.push(Checked::new(&outcome, plan, seed, start_ns, &mut got)),
            Got::Late(_) => *late += 1,
            // A fleet of the harness' has had no other client: what it says of one cannot be.
            Got::Duplicate(_) | Got::Inherited(_) => *duplicates += 1,
            // What a coordinator's successor tells once more has been counted; a task that an operator tries again
            // has failed here already.
            Got::Repeated(_) | Got::Revived(_) => {}
        });
        self.buffer = got;
        for outcome in outcomes {
            self.settle(outcome);
        }
        self.close_finished();
        let lost = self.client.is_lost();
        let unsettled = self.unsettled_ns.is_some_and(|look_ns| look_ns <= self.now_ns());
        if lost || unsettled || self.client.deaths() != self.deaths_seen {
            self.look_for_deaths();
        }
        lost.then(|| {
            if self.client.status().supervisor.is_dead() {
                "the supervisor died".to_owned()
            } else {
                "every coordinator died".to_owned()
            }
        })
    }

    fn round_of(&mut self, tag: u64) -> Option<&mut InFlight> {
        let number = tag >> PLACE_BITS;
        self.in_flight.iter_mut().find(|round| round.number == number)
    }

    fn settle(&mut self, outcome: Checked) {
        let Some(round) = self.round_of(outcome.tag) else { return };
        match outcome.wrong {
            None => {
                let (phase, scheduled_ns) = (round.phase, round.scheduled_ns);
                let latency_ns = outcome.received_ns.saturating_sub(scheduled_ns);
                round.answered(latency_ns, outcome.received_ns);
                self.latencies.record(LatencyTag::Task, phase, latency_ns);
                let from_send_ns = outcome.received_ns.saturating_sub(outcome.sent_ns);
                self.latencies.record(LatencyTag::TaskFromSend, phase, from_send_ns);
            }
            Some(wrong) => {
                if matches!(wrong, Wrong::Content(_)) {
                    round.corrupt += 1;
                }
                if !matches!(wrong, Wrong::Undelivered(_)) {
                    self.rejected += 1;
                }
                let (Wrong::Content(reason) | Wrong::Failed(reason) | Wrong::Undelivered(reason)) = wrong;
                // Some reasons name the worker already.
                let reason = if reason.contains("worker/") || reason.contains("coord/") {
                    reason
                } else {
                    format!("{}: {reason}", outcome.worker)
                };
                self.fail(outcome.tag, outcome.id.to_string(), outcome.worker, reason);
            }
        }
    }

    fn fail(&mut self, tag: u64, task: String, worker: WorkerRef, reason: String) {
        let now = self.now_ns();
        let Some(round) = self.round_of(tag) else { return };
        round.failed(now);
        let number = round.number;
        self.alert(1, Severity::Minor, || format!("round {number}: {reason}"));
        let worker = self.roster.id_of(worker);
        self.failures.record(self.log, TaskFailed { round: number, task, worker, reason });
    }

    /// Rounds of which every task has ended go into the log, the oldest first where they ended together.
    fn close_finished(&mut self) {
        while let Some(at) = self.in_flight.iter().position(InFlight::is_finished) {
            let Some(done) = self.in_flight.remove(at) else { return };
            let late = std::mem::take(&mut self.late);
            let duplicates = std::mem::take(&mut self.duplicates);
            let round = done.finish(late, duplicates);
            let time_ns = round.finished_ns - round.scheduled_ns;
            self.latencies.record(LatencyTag::Coordination, round.phase, time_ns);
            self.log.record(Event::Round(round));
        }
    }

    fn look_for_deaths(&mut self) {
        self.deaths_seen = self.client.deaths();
        let status = self.client.status();
        let now = self.now_ns();
        let exits = self.roster.crashed(&status, now);
        let (replaced, settled) = self.roster.replaced(&status);
        self.unsettled_ns = (!settled).then(|| now + LOOK.as_nanos() as u64);
        if let Some(first) = exits.first() {
            let text = match exits.len() - 1 {
                0 => format!("{} (pid {}) {}", first.name, first.pid, first.how),
                more => {
                    format!(
                        "{} (pid {}) {}, and {more} more processes ended",
                        first.name, first.pid, first.how
                    )
                }
            };
            self.log.record(Event::Alert(Alert { severity: Severity::Critical, text }));
        }
        for exit in exits {
            self.log.record(Event::AgentExit(exit));
        }
        for agent in replaced {
            self.log.record(Event::AgentReplaced(AgentReplaced {
                agent: agent.id,
                incarnation: agent.incarnation,
                name: agent.name.clone(),
                pid: agent.pid,
                start_ticks: agent.start_ticks,
                seen_ns: now,
            }));
            // Its receiver ends after the load.
            let _ = self.replaced.send(agent);
        }
    }

    /// Says it once, and again only after a while.
    fn alert(&mut self, kind: usize, severity: Severity, text: impl FnOnce() -> String) {
        let now = self.now_ns();
        if self.alerted_ns[kind].is_none_or(|then| now - then >= ALERT_COOLDOWN_NS) {
            self.alerted_ns[kind] = Some(now);
            self.log.record(Event::Alert(Alert { severity, text: text() }));
        }
    }
}

/// When the rounds of a phase are due.
struct Slots {
    begin_ns: u64,
    end_ns: u64,
    every_ns: Option<u64>,
    next: u64,
}

impl Slots {
    /// The next one; `None` when there is none left before the end.
    fn due(&self) -> Option<u64> {
        let due_ns = self.begin_ns + self.next * self.every_ns?;
        (due_ns < self.end_ns).then_some(due_ns)
    }
}

enum Wrong {
    /// It was answered, with something else than was asked for.
    Content(String),
    /// It was answered: what was asked for has failed.
    Failed(String),
    /// The bus says that it was not answered.
    Undelivered(String),
}

/// An outcome, after a look at what the answer says.
struct Checked {
    id: TaskId,
    tag: u64,
    worker: WorkerRef,
    sent_ns: u64,
    received_ns: u64,
    wrong: Option<Wrong>,
}

impl Checked {
    fn new(outcome: &Outcome<'_>, plan: &Plan, seed: u64, start_ns: u64, buffer: &mut Vec<u8>) -> Self {
        let wrong = match &outcome.result {
            Ok(answer) => check(answer, plan, seed, outcome.tag, buffer),
            Err(failure) => Some(Wrong::Undelivered(failure.to_string())),
        };
        Self {
            id: outcome.id,
            tag: outcome.tag,
            worker: outcome.worker,
            sent_ns: outcome.sent_ns.saturating_sub(start_ns),
            received_ns: outcome.received_ns.saturating_sub(start_ns),
            wrong,
        }
    }
}

fn check(answer: &Answer<'_>, plan: &Plan, seed: u64, tag: u64, buffer: &mut Vec<u8>) -> Option<Wrong> {
    let took = Duration::from_nanos(answer.finished_ns.saturating_sub(answer.started_ns));
    let at_least = |asked: Duration| {
        (took < asked).then(|| Wrong::Content(format!("done in {took:?}, although {asked:?} was asked for")))
    };
    match plan.workload() {
        Workload::Echo { payload_bytes } => {
            payload::fill(buffer, seed, tag, *payload_bytes);
            (answer.body != &buffer[..]).then(|| Wrong::Content("the answer is not what was sent".to_owned()))
        }
        Workload::Sleep(time) => at_least(time.of_task(seed, tag)),
        Workload::Compute { cpu } => at_least(*cpu),
        Workload::Exec { .. } if answer.code == 0 => None,
        Workload::Exec { .. } => {
            let said = String::from_utf8_lossy(&answer.body[answer.stdout_len..]).trim().to_owned();
            let how = HowEnded::from_raw(answer.code);
            let last = said.lines().last().map_or(String::new(), |line| format!(": {line}"));
            Some(Wrong::Failed(format!("the command {how}{last}")))
        }
    }
}
