//! Drives the load: rounds on schedule, every answer checked, every outcome written down.
//!
//! Open loop: a round starts when it is due, whether or not the last one is back, and its time counts
//! from when it was due; if the harness itself is late, that is part of the time and recorded beside
//! it. Closed loop: the next round is due when the last one is back.

mod check;
mod checkpoints;
mod drain;
mod follow;
mod latency;
mod moments;
mod progress;
mod round;
mod scale;
mod strays;
mod submit;
mod workers;

use super::clock::Clock;
use super::deaths::Ends;
use super::failure::Failures;
use super::faults::Faults;
use super::incidents::Incidents;
use super::recorder::Handle;
use super::sampling::Orders;
use super::schedule::{Calendar, Due, Position, Step};
use super::stillness::Stillness;
use super::stop::{Stop, StopMode};
use super::watch::{Seen, Watch};
use super::written::Written;
use crate::fault::Places;
use crate::scenario::{Part, Plan, Plotted};
use crate::system::{Cause, Event as Got, Notice, PlaceId, Recipient, System};
use check::{Asked, Checked, Wrong};
use checkpoints::Checkpoints;
use follow::Following;
use latency::Latencies;
pub(crate) use latency::written;
use moments::{Ending, Moments};
use reports::runlog::event::{Alert, Event, LatencyTag, Phase, PhaseBegan, Severity, TaskFailed};
use round::{InFlight, Recipients};
use scale::Size;
use std::collections::VecDeque;
use std::time::Duration;
use strays::Strays;
use workers::ByWorker;

/// The load thread sleeps no longer than this, so that a stop is seen.
const LOOK: Duration = Duration::from_millis(100);
/// The system says by itself that a task has timed out. One that has not by so long after the deadline is given
/// up: no system can hold a drain up. More than the fleet's client takes to give a silent coordinator up.
const SILENCE_GRACE: Duration = Duration::from_secs(5);
/// Tasks given up that are remembered, to tell a late answer from a second one.
const GIVEN_UP_MAX: usize = 4096;
/// An alert of the same kind is not repeated before this.
const ALERT_COOLDOWN_NS: u64 = 30_000_000_000;
/// Bits of a tag that are the worker's index; the rest is the round.
pub(super) const INDEX_BITS: u32 = 24;

/// How the load ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEnded {
    Completed,
    /// The stop switch says why.
    Stopped,
    SystemLost(String),
}

/// Alerts that are not repeated at once.
#[derive(Debug, Clone, Copy)]
enum Kind {
    LateRound,
    FailedTask,
}

/// What the load works with.
#[derive(Debug)]
pub struct Tools<'a> {
    pub plan: &'a Plan,
    /// The file systems that faults are done to.
    pub places: Places<'a>,
    pub clock: &'a Clock,
    pub log: &'a Handle,
    /// Hears when to sweep, and of new processes in the agents' places.
    pub sampling: Orders,
    /// Hears what the system notices about itself.
    pub incidents: &'a Incidents,
    /// Knows when processes have ended, where a criterion asks for it.
    pub ends: Option<&'a Ends>,
    /// Where the load begins, and with which number of a round.
    pub from: (Position, u64),
}

/// What makes the load; times are on the run's clock, ns.
#[derive(Debug)]
pub struct Loader<'a> {
    tools: Tools<'a>,
    system: &'a mut dyn System,
    watch: &'a mut Watch,
    failures: &'a mut Failures,
    calendar: Calendar,
    faults: Faults<'a>,
    moments: Moments,
    to: Recipients,
    /// Where the number of workers changes.
    size: Option<Size>,
    /// Tasks of the rounds that have begun: the number of the next task.
    tasks: u64,
    seed: u64,
    /// From which it is drawn which workload a task is of.
    mix_seed: u64,
    /// The next round's number.
    next: u64,
    in_flight: VecDeque<InFlight>,
    /// Tags of tasks that this end gave up by itself, the newest last.
    given_up: VecDeque<u64>,
    latencies: Latencies,
    by_worker: ByWorker,
    /// Late and second answers since the last round that ended; they belong to rounds that are over.
    strays: Strays,
    refused: u64,
    rejected: u64,
    buffer: Vec<u8>,
    alerted_ns: [Option<u64>; 2],
    stillness: Stillness,
    /// What each workload asks of defective workers.
    sabotage: Vec<Option<Plotted>>,
    /// When the load began, or would have if none of it had lain before this segment.
    load_ns: Option<u64>,
    following: Following,
    /// Notices that are not followed yet.
    heard: Vec<Notice>,
    checkpoints: Checkpoints,
    is_cut: bool,
}

impl<'a> Loader<'a> {
    /// The calendar of the run begins now.
    pub fn new(
        tools: Tools<'a>,
        system: &'a mut dyn System,
        watch: &'a mut Watch,
        failures: &'a mut Failures,
    ) -> Self {
        let plan = tools.plan;
        let next = tools.from.1;
        let to = match plan.tasks_for_any() {
            Some(tasks) => Recipients::Any(tasks as usize),
            None if plan.workers_least().is_some() => Recipients::Each(system.serving().into()),
            None => Recipients::Each(system.workers().into()),
        };
        assert!(to.count() <= 1 << INDEX_BITS, "a tag holds the index of every task");
        Self {
            faults: Faults::new(plan, tools.places, tools.log.clone()),
            moments: Moments::default(),
            calendar: Calendar::new(plan, tools.clock.now_ns(), tools.from.0),
            to,
            size: plan.workers_least().map(|_| Size::new(plan.workers_at_start())),
            tasks: 0,
            seed: plan.child_seed("payload"),
            mix_seed: plan.mix_seed(),
            tools,
            system,
            watch,
            failures,
            next,
            in_flight: VecDeque::new(),
            given_up: VecDeque::new(),
            latencies: Latencies::new(plan.mix()),
            by_worker: ByWorker::default(),
            strays: Strays::default(),
            refused: 0,
            rejected: 0,
            buffer: Vec::new(),
            alerted_ns: [None; 2],
            stillness: Stillness::default(),
            sabotage: plan.sabotage(),
            load_ns: None,
            following: Following::default(),
            heard: Vec::new(),
            checkpoints: Checkpoints::of(plan.load().duration()),
            is_cut: false,
        }
    }

    /// What its faults have written, for what the system finds when it ends.
    pub fn take_written(&mut self) -> Written {
        std::mem::take(self.faults.written())
    }

    /// Rounds begun.
    pub fn rounds(&self) -> u64 {
        self.next - self.tools.from.1
    }

    /// Tasks of rounds that could not be sent: failed, and in no ledger.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Rounds were in flight when the load ended: no ledger agrees with what was recorded.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Answers that were delivered and not right.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    fn now_ns(&self) -> u64 {
        self.tools.clock.now_ns()
    }

    fn phase(&self, phase: Phase) {
        tracing::debug!(?phase, "begins");
        self.tools.log.record(Event::Phase(PhaseBegan { phase }));
    }

    pub fn run(&mut self, stop: &Stop) -> LoadEnded {
        let ended = self.load(stop);
        self.calendar.end_load();
        self.wait_no_longer();
        self.faults.end(self.now_ns());
        self.phase(Phase::Drain);
        let ended = match ended {
            LoadEnded::Completed | LoadEnded::Stopped => self.drain(stop, ended),
            lost @ LoadEnded::SystemLost(_) => lost,
        };
        self.latencies.flush(self.tools.log, self.now_ns());
        if let Some(event) = self.by_worker.event() {
            self.tools.log.record(event);
        }
        ended
    }

    /// Warm-up and load.
    fn load(&mut self, stop: &Stop) -> LoadEnded {
        self.checkpoints.hurry(self.now_ns());
        loop {
            if let Some(why) = self.take_in() {
                return LoadEnded::SystemLost(why);
            }
            self.check_point_if_due();
            if stop.mode() != StopMode::Run {
                return LoadEnded::Stopped;
            }
            if let Some(why) = self.inject_at_moments() {
                return LoadEnded::SystemLost(why);
            }
            let now = self.now_ns();
            match self.calendar.step(now, self.in_flight.len()) {
                Step::Due(Due::LoadOver) => return LoadEnded::Completed,
                Step::Due(due) => self.act(due),
                Step::SleepUntil(at_ns) => {
                    self.latencies.flush_if_due(self.tools.log, now);
                    let others_ns = self.watch.next_ns().min(self.moments.next_ns());
                    let at_ns = at_ns.min(self.faults.next_ns()).min(others_ns);
                    self.system.wait(self.tools.clock.until(at_ns).min(LOOK));
                }
            }
        }
    }

    /// Does what the calendar says.
    fn act(&mut self, due: Due) {
        match due {
            Due::Phase(phase) => {
                if phase == Phase::Load {
                    // The first interval of the load begins with it.
                    self.latencies.flush(self.tools.log, self.now_ns());
                }
                self.phase(phase);
                if phase == Phase::Load {
                    let now = self.now_ns();
                    self.load_ns = Some(self.calendar.load_began(now));
                    self.checkpoints.hurry(now);
                }
            }
            Due::Round { phase, due_ns } => self.begin(phase, due_ns),
            Due::Fault { firing } => self.due(firing),
            Due::Scale { stage, workers } => self.scale(stage, workers),
            Due::Sweep { sweep, due_ns } => {
                self.tools.sampling.sweep(sweep, due_ns);
                for text in self.system.altered() {
                    self.tools.log.record(Event::Alert(Alert { severity: Severity::Critical, text }));
                }
                self.notice();
            }
            Due::SweepsSkipped { count } => {
                let text = format!(
                    "{count} sweeps were overdue at once and are left out: was the machine suspended?"
                );
                // What happened meanwhile was not seen.
                self.tools.log.record(Event::Alert(Alert { severity: Severity::Minor, text }));
            }
            Due::Clock => self.tools.log.record_utc(),
            // Named by `load`, which ends with it.
            Due::LoadOver => {}
        }
    }

    fn begin(&mut self, phase: Phase, scheduled_ns: u64) {
        let number = self.next;
        self.next += 1;
        let started_ns = self.now_ns();
        self.look_who_serves();
        let recipients = self.to.clone();
        let mix = self.tools.plan.mix();
        let part = |index: usize| mix.of_task(self.mix_seed, number << INDEX_BITS | index as u64);
        let parts = (mix.parts().len(), (0..recipients.count()).map(part).collect());
        let to = (recipients.clone(), self.tasks);
        let (times, shared) = ((scheduled_ns, started_ns), self.tools.plan.shape().coordinators());
        self.in_flight.push_back(InFlight::new(number, phase, times, to, parts, shared));
        let timeout = self.tools.plan.load().task_timeout();
        for index in 0..recipients.count() {
            let to = recipients.of(index);
            let tag = number << INDEX_BITS | index as u64;
            if let Err(refused) = self.submit(to, tag, timeout) {
                // A worker that cannot even be asked has failed its task: nothing vanishes.
                self.refused += 1;
                self.because(tag, Cause::Refused);
                self.fail(tag, "none".to_owned(), to.place(), format!("not sent to {to}: {refused}"));
            }
            self.tasks += 1;
        }
        self.system.flush();
        let patience = SILENCE_GRACE + self.tools.plan.fleet_policy().stop.grace;
        let give_up = timeout.saturating_add(patience).as_nanos();
        let give_up_ns = self.now_ns().saturating_add(u64::try_from(give_up).unwrap_or(u64::MAX));
        if let Some(round) = self.in_flight.back_mut() {
            round.sent(give_up_ns);
        }
        let late_ns = started_ns - scheduled_ns.min(started_ns);
        if late_ns > Duration::from_secs(1).as_nanos() as u64 {
            let late = Duration::from_nanos(late_ns);
            self.alert(Kind::LateRound, || format!("round {number} started {late:.1?} late"));
        }
        self.close_finished();
    }

    /// Takes what has come in; says why if nothing more can come.
    fn take_in(&mut self) -> Option<String> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut outcomes = Vec::new();
        let mix = self.tools.plan.mix();
        let asked = Asked { mix, seed: self.seed, mix_seed: self.mix_seed, in_flight: &self.in_flight };
        let (strays, mix_seed) = (&mut self.strays, self.mix_seed);
        let part = |tag| mix.of_task(mix_seed, tag);
        self.system.poll(&mut |event| match event {
            Got::Outcome(outcome) => outcomes.push(Checked::new(&outcome, &asked, &mut buffer)),
            Got::Late(stray) => strays.late(stray, part),
            Got::Duplicate(stray) => strays.second(stray, part),
        });
        self.buffer = buffer;
        for outcome in outcomes {
            self.settle(outcome);
        }
        self.give_up_overdue();
        self.close_finished();
        let now = self.now_ns();
        self.faults.tend(self.system, now);
        let lost = self.system.lost();
        let seen = self.watch.look_if_due(self.system, self.now_ns());
        self.note(seen);
        self.follow_size();
        self.look_for_progress();
        lost
    }

    /// The round and the worker's index of a tag, while its task has no outcome.
    fn open_task(&mut self, tag: u64) -> Option<(&mut InFlight, usize)> {
        let (number, index) = (tag >> INDEX_BITS, (tag & ((1 << INDEX_BITS) - 1)) as usize);
        let round = self.in_flight.iter_mut().find(|round| round.number == number)?;
        round.is_open(index).then_some((round, index))
    }

    fn settle(&mut self, outcome: Checked) {
        // No system receives anything in the future.
        let received_ns = outcome.received_ns.min(self.now_ns());
        self.moments.ended(outcome.tag, outcome.ending(), &self.faults, received_ns);
        let Some((round, index)) = self.open_task(outcome.tag) else { return self.surplus(&outcome) };
        match outcome.wrong {
            None => {
                let (phase, scheduled_ns) = (round.phase, round.scheduled_ns);
                let latency_ns = received_ns.saturating_sub(scheduled_ns);
                let made_ns = outcome.made_ns.min(received_ns);
                round.answered(index, latency_ns, (made_ns, received_ns), (outcome.place, outcome.attempt));
                let part = round.part(index);
                self.latencies.record(LatencyTag::Task, phase, latency_ns);
                self.latencies.record_of(part, phase, latency_ns);
                let from_send_ns = received_ns.saturating_sub(outcome.sent_ns);
                self.latencies.record(LatencyTag::TaskFromSend, phase, from_send_ns);
            }
            Some(wrong) => {
                match &wrong {
                    Wrong::Content(_) => round.corrupt(index),
                    Wrong::Contradicted(_) => round.contradicted += 1,
                    Wrong::Failed(_, cause) | Wrong::Undelivered(_, cause) => round.because(*cause),
                }
                if !matches!(wrong, Wrong::Undelivered(..)) {
                    self.rejected += 1;
                }
                let reason = wrong.reason();
                self.fail(outcome.tag, outcome.id, Some(outcome.place), reason);
            }
        }
    }

    /// Fails tasks that the system has said nothing about, although their time is over.
    fn give_up_overdue(&mut self) {
        let now = self.now_ns();
        let overdue: Vec<(u64, usize, Recipient)> = self
            .in_flight
            .iter()
            .flat_map(|round| round.overdue(now).into_iter().map(|at| (round.number, at, round.to.of(at))))
            .collect();
        let timeout = self.tools.plan.load().task_timeout();
        for (number, index, to) in overdue {
            let tag = number << INDEX_BITS | index as u64;
            if self.given_up.len() == GIVEN_UP_MAX {
                self.given_up.pop_front();
            }
            self.given_up.push_back(tag);
            self.because(tag, Cause::TimedOut);
            self.moments.ended(tag, Ending::Unknown, &self.faults, now);
            let reason = format!("{to}: neither an answer nor a failure within {timeout:?}");
            self.fail(tag, "none".to_owned(), to.place(), reason);
        }
    }

    /// For a task that is about to fail.
    fn because(&mut self, tag: u64, cause: Cause) {
        if let Some((round, _)) = self.open_task(tag) {
            round.because(cause);
        }
    }

    /// `place` is of the worker that had the task, or was to have it, if that is known.
    fn fail(&mut self, tag: u64, task: String, place: Option<PlaceId>, reason: String) {
        let now = self.now_ns();
        let Some((round, index)) = self.open_task(tag) else { return };
        round.failed(index, now);
        let (number, part) = (round.number, round.part(index));
        let workload = self.tools.plan.mix().parts().get(part).and_then(|part: &Part| part.name.clone());
        self.alert(Kind::FailedTask, || format!("round {number}: {reason}"));
        let worker = place.map_or(0, |place| self.watch.id_of(place));
        self.failures.record(self.tools.log, TaskFailed { round: number, task, worker, workload, reason });
    }

    /// Rounds of which every task has ended go into the log, the oldest first where they ended together.
    fn close_finished(&mut self) {
        while let Some(at) = self.in_flight.iter().position(InFlight::is_finished) {
            let Some(done) = self.in_flight.remove(at) else { return };
            self.by_worker.add(done.answers());
            let mut round = done.finish();
            self.strays.take_into(&mut round);
            if self.tools.plan.mix().names().next().is_none() {
                // The scenario does not name its only one.
                round.workloads.clear();
                round.strays.iter_mut().for_each(|stray| stray.workload = None);
            }
            let time_ns = round.finished_ns.saturating_sub(round.scheduled_ns);
            self.latencies.record(LatencyTag::Coordination, round.phase, time_ns);
            self.tools.log.record(Event::Round(round));
        }
    }

    /// Writes down what the watch has seen.
    fn report(&self, seen: Seen) {
        for event in seen.events {
            self.tools.log.record(event);
        }
        for agent in seen.arrived.into_iter().chain(seen.replaced) {
            if let Some(ends) = self.tools.ends {
                ends.watch(std::slice::from_ref(&agent));
            }
            self.tools.sampling.replace(agent);
        }
    }

    /// Says it once, and again only after a while.
    fn alert(&mut self, kind: Kind, text: impl FnOnce() -> String) {
        let now = self.now_ns();
        let alerted_ns = &mut self.alerted_ns[kind as usize];
        if alerted_ns.is_none_or(|then| now.saturating_sub(then) >= ALERT_COOLDOWN_NS) {
            *alerted_ns = Some(now);
            // Late rounds and failed tasks are counted, and judged by that.
            self.tools.log.record(Event::Alert(Alert { severity: Severity::Info, text: text() }));
        }
    }
}
