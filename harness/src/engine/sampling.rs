//! The thread that sweeps `/proc` when it is told to, and says so when it could not.
//!
//! When a sweep is due is the calendar's business ([`super::schedule`]); the thread exists so that a slow sweep holds no
//! round up.

use super::clock::Clock;
use super::incidents::{Held, Incidents};
use super::recorder::Handle;
use crate::sample::{Helper, SampleError, Sampler, SweepResult};
use crate::scenario::Plan;
use reports::runlog::event::{AgentInfo, Alert, Event, IncidentKind, Role, Sample, SampleMissed, Severity};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sweeps may be rarer, and a process is stopped for less than that between two of them: whether one is stopped is
/// looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// The least time between two looks at the guard and the spares. One that waits in the kernel for longer is held.
const HELPERS_LOOK_NS: u64 = 500_000_000;

/// A sweep that finds workers gone waits no longer than this for those that follow them, if the plan has workers recycled.
const SUCCESSORS: Duration = Duration::from_millis(400);

/// What the sampling thread is told.
#[derive(Debug)]
pub enum Order {
    Sweep { sweep: u64, due_ns: u64 },
    Replace(AgentInfo),
}

/// How others reach the sampling thread. It ends when all of these are gone. Their number is bounded by the
/// calendar, which lists at most a bounded number of sweeps at once.
#[derive(Debug, Clone)]
pub struct Orders(Sender<Order>);

impl Orders {
    pub fn new() -> (Self, Receiver<Order>) {
        let (to, from) = channel();
        (Self(to), from)
    }

    pub fn sweep(&self, sweep: u64, due_ns: u64) {
        self.send(Order::Sweep { sweep, due_ns });
    }

    /// From the next sweep on another process is in an agent's place.
    pub fn replace(&self, agent: AgentInfo) {
        self.send(Order::Replace(agent));
    }

    fn send(&self, order: Order) {
        // Without its thread the run ends with a panic when that is joined.
        let _ = self.0.send(order);
    }
}

#[derive(Debug)]
pub struct Sampling {
    orders: Orders,
    thread: JoinHandle<()>,
}

impl Sampling {
    /// `dir` is the system's own directory below `shm_dir`.
    pub fn start(
        plan: &Plan,
        agents: &[AgentInfo],
        (dir, shm_dir): (&Path, &Path),
        (log, incidents): (Handle, Incidents),
        clock: Clock,
    ) -> Result<Self, SampleError> {
        let fleet = agents.iter().filter(|agent| agent.role != Role::Harness).cloned().collect();
        let policy = plan.fleet_policy();
        let mut sweeps = Sweeps {
            sampler: Sampler::new(fleet, dir.to_owned(), shm_dir.to_owned())?,
            names: Arc::from(agents),
            every_ns: plan.sampling().every().as_nanos() as u64,
            pss_every_ns: plan.sampling().pss_every().map(|every| every.as_nanos() as u64),
            next_pss_ns: 0,
            recycles: policy.recycle_after.is_some() || policy.recycle_growth.is_some(),
            waiting: VecDeque::new(),
            log,
            incidents,
            clock,
            reported_unread: false,
            helpers_ns: 0,
            resting: HashMap::new(),
        };
        let (orders, from) = Orders::new();
        let thread = std::thread::spawn(move || sweeps.run(&from));
        Ok(Self { orders, thread })
    }

    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Waits for the sweep that is under way.
    pub fn finish(self) {
        drop(self.orders);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Sweeps {
    sampler: Sampler,
    names: Arc<[AgentInfo]>,
    every_ns: u64,
    pss_every_ns: Option<u64>,
    next_pss_ns: u64,
    /// Workers end in order, and others follow them.
    recycles: bool,
    /// Orders that came while a sweep waited for successors.
    waiting: VecDeque<Order>,
    log: Handle,
    incidents: Incidents,
    clock: Clock,
    reported_unread: bool,
    helpers_ns: u64,
    /// Helpers that do not only wait, by pid, and since when.
    resting: HashMap<u32, u64>,
}

impl Sweeps {
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            let next = self.waiting.pop_front();
            let order = match next.map_or_else(|| orders.recv_timeout(LOOK), Ok) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.look();
                    return;
                }
            };
            match order {
                Order::Replace(agent) => self.sampler.replace(agent),
                // The next one is due already: this one would only push the others along.
                Order::Sweep { sweep, due_ns } if self.clock.now_ns() >= due_ns + self.every_ns => {
                    let reason = "the sweep before it took too long".to_owned();
                    self.log.record(Event::SampleMissed(SampleMissed { sweep, due_ns, reason }));
                }
                Order::Sweep { sweep, due_ns } => self.sweep(sweep, due_ns, orders),
            }
        }
    }

    /// Between two sweeps that are far apart, and after the last one.
    fn look(&mut self) {
        let at_ns = self.clock.now_ns();
        self.incidents.stopped(at_ns, &self.sampler.stopped());
        self.look_at_helpers();
    }

    /// They have no heartbeat: all that can be seen is that one is stopped, or held in the kernel. A guard only ever waits
    /// for a pipe, which is neither.
    fn look_at_helpers(&mut self) {
        let at_ns = self.clock.now_ns();
        let Some(supervisor) = self.sampler.supervisor().cloned() else { return };
        let mut helpers = self.sampler.helpers();
        helpers.retain(|helper| matches!(helper.state, 'T' | 't' | 'D'));
        self.resting.retain(|pid, _| helpers.iter().any(|helper| helper.pid == *pid));
        let held = helpers.into_iter().filter_map(|Helper { pid, name, state }| {
            let since_ns = *self.resting.entry(pid).or_insert(at_ns);
            let is_held = state != 'D' || at_ns.saturating_sub(since_ns) >= LOOK.as_nanos() as u64;
            let what = if state == 'D' { "frozen" } else { "stopped" };
            let how = format!("had its {name} (pid {pid}) {what}");
            is_held.then(|| Held { agent: supervisor.clone(), pid, how, since_ns })
        });
        let held: Vec<_> = held.collect();
        self.helpers_ns = at_ns + HELPERS_LOOK_NS;
        self.incidents.held(at_ns, IncidentKind::Stopped, &held);
    }

    /// Reads those that follow workers which the sweep found gone: such a place is empty for moments only, and a worker may live
    /// no longer than its task. What has no successor in time is missing in this sweep.
    fn read_successors(&mut self, result: &mut SweepResult, with_pss: bool, orders: &Receiver<Order>) {
        let until = Instant::now() + SUCCESSORS.min(Duration::from_nanos(self.every_ns / 2));
        while !result.gone.is_empty() {
            match orders.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Order::Replace(agent)) => self.sampler.read_successor(agent, with_pss, result),
                Ok(order) => self.waiting.push_back(order),
                Err(_) => return,
            }
        }
    }

    fn sweep(&mut self, sweep: u64, due_ns: u64, orders: &Receiver<Order>) {
        let with_pss = self.pss_every_ns.is_some() && due_ns >= self.next_pss_ns;
        if with_pss {
            self.next_pss_ns = due_ns + self.pss_every_ns.unwrap_or(u64::MAX);
        }
        let started_ns = self.clock.now_ns();
        let mut result = self.sampler.sweep(with_pss);
        if self.recycles {
            self.read_successors(&mut result, with_pss, orders);
        }
        let of_fleet = result.agents.iter().filter(|sample| sample.is_stopped());
        let stopped: Vec<_> =
            of_fleet.filter_map(|sample| self.sampler.agent(sample.agent).cloned()).collect();
        self.log.record(Event::Sample(Sample {
            sweep,
            due_ns,
            started_ns,
            took_ns: result.took.as_nanos() as u64,
            cpu_ns: result.cpu.as_nanos() as u64,
            live: result.live,
            agents: result.agents,
            host: result.host,
        }));
        self.incidents.stopped(started_ns, &stopped);
        if self.clock.now_ns() >= self.helpers_ns {
            self.look_at_helpers();
        }
        // Reported once: what cannot be read in one sweep cannot be read in the next, and the figures are
        // simply not there.
        if let Some(first) = result.unread.first()
            && !std::mem::replace(&mut self.reported_unread, true)
        {
            let text = match result.unread.len() - 1 {
                0 => format!("the sampler cannot read {first}"),
                more => format!("the sampler cannot read {first}, and {more} more"),
            };
            // A criterion over them has no figures, and is judged by that.
            self.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
        }
        for gone in result.gone {
            let name = self.names.get(gone as usize).map_or("?", |agent| &agent.name);
            tracing::debug!(name, "gone from /proc");
        }
    }
}
