//! A fleet of this project's own coordinator, driven as its only client.
//!
//! The one module of the harness that knows the coordinator's client. It turns the fleet's times, which are
//! CLOCK_MONOTONIC, into times on the run's clock, and the fleet's words into the types of [`super`].

mod busy;
mod offset;
mod sent;
mod start;
mod words;

use super::{
    Beat, Counts, Event, FleetSpec, Home, LaunchError, Launcher, LedgerEvidence, Life, Notice, Noticed,
    Order, OrderError, Outcome, PlaceId, Process, Recipient, Refused, StopMode, Stopped, Stray, System, Task,
    descriptor_of,
};
use crate::trapped::{Trap, Trapped};
use busy::Busy;
use coordinator::client::events::{Follower, What};
use coordinator::client::launch::{self, Fleet};
use coordinator::client::operator::OperatorLock;
use coordinator::client::{
    Address, Client, Event as Got, SendError, Surplus, Task as Body, Terms, WorkerRef, now_ns,
};
use offset::Offset;
use reports::runlog::event::{CoordinatorLedger, Pool};
use rustix::process::{Signal, pidfd_send_signal};
use sent::Sent;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an order waits for an operator at a terminal to finish.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(1);

/// Starts a fleet with a supervisor of its own.
#[derive(Debug, Clone)]
pub struct FleetLauncher {
    spec: FleetSpec,
    home: Home,
}

impl FleetLauncher {
    pub fn new(spec: FleetSpec, home: Home) -> Self {
        Self { spec, home }
    }
}

impl Launcher for FleetLauncher {
    fn bare_forks(&self, count: u32) -> Option<Duration> {
        match launch::bare_forks(&self.home.program, count) {
            Ok(took) => Some(took),
            Err(error) => {
                tracing::warn!(%error, "bare forks cannot be measured");
                None
            }
        }
    }

    fn launch(&self, zero_ns: i64, cancelled: &dyn Fn() -> bool) -> Result<Box<dyn System>, LaunchError> {
        // A run ends with a verdict, also on a fleet that has lost a region.
        coordinator::client::outlive_regions();
        let Home { shm_dir, run_id, .. } = &self.home;
        let (mut fleet, trapped) = start::start(&self.home, self.spec, cancelled)?;
        tracing::debug!(supervisor = fleet.supervisor_pid(), dir = %fleet.dir().display(), "fleet is up");
        let attached =
            Client::attach(fleet.dir()).and_then(|client| Ok((client, Follower::attach(fleet.dir())?)));
        let (mut client, follower) = match attached {
            Ok(attached) => attached,
            Err(error) => {
                fleet.stop();
                return Err(LaunchError::Failed(error.to_string()));
            }
        };
        if let Some(messages) = self.spec.policy.batch_max {
            client.limit_batches(messages);
        }
        Ok(Box::new(RunningFleet {
            client,
            dir: fleet.dir().to_owned(),
            fleet,
            trapped,
            shm_dir: shm_dir.clone(),
            run_id: run_id.clone(),
            zero_ns,
            follower,
            unread: false,
            own_orders: 0,
            orders_seen: 0,
            wanted: 0,
            altered: Vec::new(),
            sent: Sent::default(),
            busy: Busy::default(),
        }))
    }
}

/// The client is dropped before the fleet, as it would be by its own process's end.
struct RunningFleet {
    client: Client,
    fleet: Fleet,
    /// What it was started below, which outlives it.
    trapped: Option<Trapped>,
    dir: PathBuf,
    shm_dir: PathBuf,
    run_id: String,
    /// The start of the run on CLOCK_BOOTTIME.
    zero_ns: i64,
    follower: Follower,
    /// That the follower could not read on has been said.
    unread: bool,
    /// Orders to scale, as far as they are known: those of this run, and all.
    own_orders: u32,
    orders_seen: u32,
    /// Workers of each coordinator that this run wanted last.
    wanted: u32,
    /// What was done to its files, as far as it was seen.
    altered: Vec<String>,
    /// Which tasks were sent, for answers to those that have ended.
    sent: Sent,
    /// When the workers were at work.
    busy: Busy,
}

impl std::fmt::Debug for RunningFleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningFleet").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

impl System for RunningFleet {
    fn dir(&self) -> &Path {
        &self.dir
    }

    fn workers(&self) -> Vec<PlaceId> {
        let shape = self.client.shape();
        let count = shape.coordinators() * shape.workers_per_coordinator();
        (0..count).map(|n| PlaceId::Worker(WorkerRef::nth(shape, n))).collect()
    }

    fn serving(&self) -> Vec<PlaceId> {
        let processes = self.processes();
        let serves = |process: &&Process| process.life == Life::Live && !process.retiring;
        let serving: HashSet<PlaceId> =
            processes.iter().filter(serves).map(|process| process.place).collect();
        let mut workers = self.workers();
        workers.retain(|place| serving.contains(place));
        workers
    }

    fn processes(&self) -> Vec<Process> {
        self.client.status().processes().map(words::process).collect()
    }

    fn beats(&self) -> Vec<Beat> {
        self.client.beats()
    }

    fn in_hand(&self, place: PlaceId) -> Vec<u64> {
        self.client.in_hand(place).into_iter().filter_map(|number| self.sent.tag(number)).collect()
    }

    fn paused_by(&self) -> Option<String> {
        let holder = self.client.paused_by()?;
        Some(format!("process {}", holder.pid))
    }

    fn deaths(&self) -> u64 {
        // The death of a supervisor is noticed by its successor, which counts none.
        self.client.deaths() + u64::from(self.client.supervisors() - 1)
    }

    fn recycled(&self) -> u64 {
        self.client.recycled()
    }

    fn lost(&self) -> Option<String> {
        self.client.is_lost().then(|| {
            if self.client.status().supervisor.is_dead() {
                "the supervisor died".to_owned()
            } else {
                "every coordinator died".to_owned()
            }
        })
    }

    fn submit(&mut self, to: Recipient, task: Task<'_>, deadline: Duration, tag: u64) -> Result<(), Refused> {
        let refused = |error: SendError| Refused(error.to_string());
        let to = match to {
            Recipient::Worker(PlaceId::Worker(worker)) => Address::Worker(worker),
            Recipient::Worker(_) => return Err(refused(SendError::NoSuchRecipient)),
            Recipient::Any => Address::Any,
        };
        let command;
        let task = match task {
            Task::Echo(body) => Body::Echo(body),
            Task::Sleep(time) => Body::Sleep(time),
            Task::Compute(time) => Body::Compute(time),
            Task::Saboteur(body) => Body::Canary(body),
            Task::Agent(question) => Body::Agent(question.as_bytes()),
            Task::Command(asked) => {
                command = asked.to_body().map_err(|error| Refused(error.to_string()))?;
                Body::Command(&command)
            }
        };
        let id = self.client.submit(to, task, &Terms::within(deadline), tag).map_err(refused)?;
        self.sent.push(id.sequence, tag);
        Ok(())
    }

    fn flush(&mut self) {
        self.client.flush();
    }

    fn poll(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let offset = Offset::now(self.zero_ns);
        let (sent, busy) = (&self.sent, &mut self.busy);
        let stray = |of: Surplus| Stray { tag: sent.tag(of.id.sequence), coordinator: Some(of.coordinator) };
        self.client.poll(|event| match event {
            Got::Outcome(outcome) => each(Event::Outcome(Outcome {
                id: &outcome.id,
                place: PlaceId::Worker(outcome.worker),
                tag: outcome.tag,
                sent_ns: offset.to_run_ns(outcome.sent_ns),
                received_ns: offset.to_run_ns(outcome.received_ns),
                result: match &outcome.result {
                    Ok(answer) => {
                        let said = (answer.started_ns, answer.finished_ns);
                        let within = (outcome.sent_ns, outcome.received_ns);
                        let overlap = busy.overlap(outcome.worker, said, within);
                        Ok(words::answer(answer, overlap, |at_ns| offset.to_run_ns(at_ns)))
                    }
                    Err(failure) => Err(words::failure(failure)),
                },
            })),
            Got::Late(of) => each(Event::Late(stray(of))),
            Got::Duplicate(of) => each(Event::Duplicate(stray(of))),
            // The harness is the only client that its fleet has had: there is no earlier one to inherit from.
            Got::Inherited(_) => each(Event::Duplicate(Stray::default())),
            // A successor's repetition has been counted; a task that an operator tries again has failed already.
            Got::Repeated(_) | Got::Revived(_) => {}
        });
    }

    fn wait(&mut self, timeout: Duration) {
        self.client.wait(timeout);
    }

    fn ledger_evidence(&self) -> LedgerEvidence {
        LedgerEvidence::Workers
    }

    fn ledger(&self) -> Counts {
        let status = self.client.status();
        let pool = status.coordinators.iter().map(|coordinator| words::pool(&coordinator.counts));
        let pool = pool.fold(Pool::default(), Pool::plus);
        let batches = words::batches(self.client.batches(), status.coordinators.iter().map(|c| &c.counts));
        let coordinators = status
            .coordinators
            .iter()
            .zip(0..)
            .map(|(coordinator, index)| {
                // What a dead coordinator had counted is from its last moment, and reconciles with nothing. One that was
                // retired has counted to its end, and one that was never wanted has counted nothing.
                let process = &coordinator.process;
                let in_order = process.is_stopped() || process.is_absent();
                let counts = in_order || !process.identity().is_gone() && !process.is_dead();
                CoordinatorLedger {
                    name: process.place.to_string(),
                    client: words::row(self.client.ledger_of(index)),
                    coordinator: counts.then(|| words::row(coordinator.ledger)),
                    executed_by_workers: counts.then(|| words::executed(&coordinator.workers)),
                }
            })
            .collect();
        Counts { client: words::row(self.client.ledger()), coordinators, pool: Some(pool), batches }
    }

    fn order(&mut self, order: Order) -> Result<Vec<Process>, OrderError> {
        let (target, signal) = match order {
            Order::Kill(target) => (target, Signal::KILL),
            Order::Terminate(target) => (target, Signal::TERM),
            Order::Pause(target) => (target, Signal::STOP),
            Order::Continue(target) => (target, Signal::CONT),
            Order::Scale { coordinators, workers } => {
                let operator = OperatorLock::take(&self.dir, OPERATOR_PATIENCE)
                    .map_err(|error| OrderError::NotScaled(error.to_string()))?;
                operator
                    .scale(coordinators, workers)
                    .map_err(|error| OrderError::NotScaled(error.to_string()))?;
                self.own_orders = self.own_orders.wrapping_add(1);
                self.orders_seen = self.orders_seen.wrapping_add(1);
                self.wanted = workers.unwrap_or(self.wanted);
                return Ok(Vec::new());
            }
        };
        let mut targets = self.processes();
        targets.retain(|process| target.includes(process.place) && process.identity().is_alive());
        if targets.is_empty() {
            return Err(OrderError::NoTarget(order));
        }
        for process in &targets {
            send(process, signal)?;
        }
        Ok(targets)
    }

    fn segment(&self, coordinator: u32) -> Option<PathBuf> {
        Some(launch::segment(&self.dir, coordinator)).filter(|path| path.exists())
    }

    fn declare_altered(&mut self, coordinator: u32, is_changed: bool) {
        self.fleet.declare_altered(coordinator, is_changed);
    }

    fn trap(&self) -> Option<&dyn Trap> {
        self.trapped.as_ref().map(|trapped| trapped as &dyn Trap)
    }

    fn altered(&mut self) -> Vec<String> {
        let found = self.fleet.altered();
        self.altered.extend_from_slice(&found);
        found
    }

    fn notices(&mut self) -> Vec<Notice> {
        let offset = Offset::now(self.zero_ns);
        // What a dead supervisor has left is this process's to reap.
        self.fleet.poll_ended();
        let lost = self.trapped.as_ref().and_then(Trapped::lost).map(Noticed::Unread);
        let lost = lost.map(|what| now(what, offset));
        let told = match self.follower.poll() {
            Ok(seen) => {
                let mut notices: Vec<Notice> = seen
                    .iter()
                    .filter_map(|seen| words::notice(seen, offset.to_run_ns(seen.at_ns)))
                    .collect();
                self.leave_out_own_orders(&mut notices, offset.to_run_ns(now_ns()));
                notices
            }
            Err(_) if self.unread => Vec::new(),
            Err(error) => {
                self.unread = true;
                let what = Noticed::Unread(format!("the fleet's events cannot be read: {error}"));
                vec![now(what, offset)]
            }
        };
        told.into_iter().chain(lost).chain(self.own_overwritten(offset)).collect()
    }

    fn stop(&mut self, mode: StopMode) -> Stopped {
        // The last look at what the fleet now removes.
        self.altered();
        let own = self.own_overwritten(Offset::now(self.zero_ns));
        let stopped = match mode {
            StopMode::Run | StopMode::Drain => self.fleet.stop(),
            StopMode::Kill => self.fleet.kill(),
        };
        let strangers = stopped.strangers.iter().map(ToString::to_string).collect();
        let (how, adopted, cleaned) = (stopped.how, stopped.adopted, stopped.cleaned);
        // Its memory is mapped here as long as this process has it: what its processes found in the end is there.
        let seen = self.follower.rest().unwrap_or_default();
        let offset = Offset::now(self.zero_ns);
        let all = seen.iter().filter_map(|seen| words::notice(seen, offset.to_run_ns(seen.at_ns)));
        let is_last =
            |what: &Noticed| matches!(what, Noticed::Overwritten { .. } | Noticed::HelperDied { .. });
        let told_last = all.filter(|notice| is_last(&notice.what)).chain(own).collect();
        Stopped { how, adopted, cleaned, strangers, altered: self.altered.clone(), told_last }
    }

    fn files_left(&self) -> Vec<String> {
        let mut left = Vec::new();
        // Another directory that has its name now is not the run's.
        if self.fleet.is_left() {
            left.push(self.dir.display().to_string());
        }
        // Half-made ones carry the run's id in their temporary names.
        match std::fs::read_dir(&self.shm_dir) {
            Ok(entries) => left.extend(
                entries
                    .flatten()
                    .filter(|entry| entry.path() != self.dir)
                    .filter(|entry| entry.file_name().to_string_lossy().contains(&self.run_id))
                    .map(|entry| entry.path().display().to_string()),
            ),
            Err(error) => left.push(format!("{} cannot be read: {error}", self.shm_dir.display())),
        }
        left
    }
}

impl RunningFleet {
    /// Words of this process in the fleet's memory, which no process of the fleet looks after.
    fn own_overwritten(&mut self, offset: Offset) -> Vec<Notice> {
        let found = self.client.overwritten().into_iter().filter_map(|what| {
            let text = format!("client: {what}");
            let What::Overwritten { word, found } = what else { return None };
            Some(now(Noticed::Overwritten { word: word.unwrap_or("a word"), found, text }, offset))
        });
        found.collect()
    }

    /// The fleet follows every order alike, and does not know whose it is. Once this run has given one, what is noticed
    /// of scaling says nothing; that there were more orders than this run's does.
    fn leave_out_own_orders(&mut self, notices: &mut Vec<Notice>, at_ns: u64) {
        let orders = self.client.scale_orders();
        let others = orders.given.wrapping_sub(self.orders_seen);
        self.orders_seen = orders.given;
        if self.own_orders == 0 {
            return;
        }
        notices.retain(|notice| !matches!(notice.what, Noticed::Scaled { .. }));
        if others > 0 {
            let (from, to) = (self.wanted.into(), orders.workers.into());
            let what = Noticed::Scaled { from, to };
            notices.push(Notice { at_ns, place: PlaceId::Supervisor, what });
        }
    }
}

/// Of the whole fleet.
fn now(what: Noticed, offset: Offset) -> Notice {
    Notice { at_ns: offset.to_run_ns(now_ns()), place: PlaceId::Supervisor, what }
}

/// Sends a signal to that very process or to none.
fn send(process: &Process, signal: Signal) -> Result<(), OrderError> {
    let (place, pid) = (process.place, process.pid);
    let refused = |errno: rustix::io::Errno| OrderError::Refused(place, pid, errno.to_string());
    let fd = descriptor_of(process.identity()).map_err(|errno| match errno {
        rustix::io::Errno::SRCH => OrderError::Gone(place, pid),
        errno => refused(errno),
    })?;
    pidfd_send_signal(&fd, signal).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Identity, Life};

    /// Another program as the process of a place.
    fn other() -> (std::process::Child, Process) {
        let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let Identity { pid, start_ticks } = Identity::of(child.id()).unwrap();
        let place = PlaceId::worker(0, 0);
        let (life, retiring, last_death, ended) = (Life::Live, false, None, None);
        (
            child,
            Process { place, incarnation: 1, pid, start_ticks, life, retiring, deaths: 0, last_death, ended },
        )
    }

    #[test]
    fn a_signal_reaches_the_process_that_is_meant() {
        let (mut child, process) = other();
        send(&process, Signal::KILL).unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
        assert_eq!(send(&process, Signal::KILL), Err(OrderError::Gone(process.place, process.pid)));
    }

    #[test]
    fn a_process_that_only_has_the_same_pid_gets_no_signal() {
        let (mut child, process) = other();
        let other = Process { start_ticks: process.start_ticks + 1, ..process.clone() };
        assert_eq!(send(&other, Signal::KILL), Err(OrderError::Gone(process.place, process.pid)));
        assert!(process.identity().is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
