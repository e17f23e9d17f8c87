//! The thread that sweeps `/proc` on schedule, and says so when it could not.

use super::recorder::Handle;
use crate::sample::{SampleError, Sampler};
use crate::scenario::Plan;
use coordinator::client::now_ns;
use reports::runlog::event::{AgentInfo, Alert, Event, Role, Sample, SampleMissed, Severity};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Debug)]
pub struct Sweeps {
    /// Closed when the sweeps are to end.
    replaced: Sender<AgentInfo>,
    thread: JoinHandle<()>,
}

impl Sweeps {
    /// The first sweep is due at once, the others every `sampling.every` from then on.
    pub fn start(
        plan: &Plan,
        agents: &[AgentInfo],
        fleet_dir: &Path,
        shm_dir: &Path,
        log: Handle,
        start_ns: u64,
    ) -> Result<Self, SampleError> {
        let fleet = agents.iter().filter(|agent| agent.role != Role::Harness).cloned().collect();
        let mut schedule = Schedule {
            sampler: Sampler::new(fleet, fleet_dir.to_owned(), shm_dir.to_owned())?,
            names: Arc::from(agents),
            every_ns: plan.sampling().every().as_nanos() as u64,
            pss_every_ns: plan.sampling().pss_every().map(|every| every.as_nanos() as u64),
            next_pss_ns: 0,
            log,
            start_ns,
            told_unread: false,
        };
        let (replaced, news) = channel();
        let thread = std::thread::spawn(move || schedule.run(&news));
        Ok(Self { replaced, thread })
    }

    /// Where the load hears of a new process in an agent's place, the sweeps do.
    pub fn replaced(&self) -> Sender<AgentInfo> {
        self.replaced.clone()
    }

    /// Waits for the sweep that is under way.
    pub fn finish(self) {
        drop(self.replaced);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Schedule {
    sampler: Sampler,
    names: Arc<[AgentInfo]>,
    every_ns: u64,
    pss_every_ns: Option<u64>,
    next_pss_ns: u64,
    log: Handle,
    start_ns: u64,
    told_unread: bool,
}

impl Schedule {
    fn now_ns(&self) -> u64 {
        now_ns() - self.start_ns
    }

    fn run(&mut self, news: &Receiver<AgentInfo>) {
        let first_ns = self.now_ns();
        let mut sweep = 0;
        loop {
            let due_ns = first_ns + sweep * self.every_ns;
            loop {
                let wait = Duration::from_nanos(due_ns.saturating_sub(self.now_ns()));
                match news.recv_timeout(wait) {
                    Ok(agent) => self.sampler.replace(agent),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            // The next one is due already: this one would only push the others along.
            if self.now_ns() >= due_ns + self.every_ns {
                let reason = "the sweep before it took too long".to_owned();
                self.log.record(Event::SampleMissed(SampleMissed { sweep, due_ns, reason }));
            } else {
                self.sweep(sweep, due_ns);
            }
            sweep += 1;
        }
    }

    fn sweep(&mut self, sweep: u64, due_ns: u64) {
        let with_pss = self.pss_every_ns.is_some() && due_ns >= self.next_pss_ns;
        if with_pss {
            self.next_pss_ns = due_ns + self.pss_every_ns.unwrap_or(u64::MAX);
        }
        let started_ns = self.now_ns();
        let result = self.sampler.sweep(with_pss);
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
        // Said once: what cannot be read in one sweep cannot be read in the next, and the figures are
        // simply not there.
        if let Some(first) = result.unread.first()
            && !std::mem::replace(&mut self.told_unread, true)
        {
            let text = match result.unread.len() - 1 {
                0 => format!("the sampler cannot read {first}"),
                more => format!("the sampler cannot read {first}, and {more} more"),
            };
            self.log.record(Event::Alert(Alert { severity: Severity::Minor, text }));
        }
        for gone in result.gone {
            let name = self.names.get(gone as usize).map_or("?", |agent| &agent.name);
            tracing::debug!(name, "gone from /proc");
        }
    }
}
