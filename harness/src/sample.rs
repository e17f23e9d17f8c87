//! The kernel's own figures about every process of a fleet, about the harness itself, and about the host.
//!
//! `figures` is pure: it turns what `/proc` says into what the log keeps. [`Sampler`] reads. A process is
//! the recorded one only if its start time is the recorded one: a pid alone may soon be another
//! process's. No descriptor is kept open between sweeps: 708 of them would be the harness's own limit
//! (`ulimit -n` is 1024 on many hosts), and opening costs a few microseconds.
//! Deliberately absent: a schedule, and any opinion about the figures.

mod commands;
mod figures;
mod host;
mod own;

pub use own::{OwnUsage, own_usage};

use crate::system::{Identity, is_stopped};
pub use commands::Helper;
use commands::Kin;
use figures::{Cpu, Life, agent_sample, has_lost, life};
use procfs::ProcError;
use procfs::process::Process;
use reports::runlog::event::{AgentId, AgentInfo, AgentSample, HostSample, Role};
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The harness is agent 0 of every run.
pub const HARNESS: AgentId = 0;

#[derive(Debug, Error)]
pub enum SampleError {
    #[error("cannot read {what} of this process: {source}")]
    Own { what: &'static str, source: ProcError },
}

/// Reads what is asked for, when it is asked for.
#[derive(Debug)]
pub struct Sampler {
    own: AgentInfo,
    agents: Vec<AgentInfo>,
    shm_dir: PathBuf,
    fleet_dir: PathBuf,
    ticks_per_second: u64,
}

/// One sweep over all agents.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepResult {
    /// The harness first, then the fleet in the order it was given.
    pub agents: Vec<AgentSample>,
    pub host: HostSample,
    /// Fleet processes that were running with the recorded start time.
    pub live: u32,
    /// Agents that have ended; each is named in one sweep, and not looked for again.
    pub gone: Vec<AgentId>,
    /// What should have been read and could not be, in words: a reason for a `SampleMissed`.
    pub unread: Vec<String>,
    /// Wall time of the sweep.
    pub took: Duration,
    /// CPU time that the calling thread spent on it.
    pub cpu: Duration,
}

impl Sampler {
    /// `shm_dir` is the file system whose use is watched (`/dev/shm`), `fleet_dir` the fleet's own
    /// directory in it.
    pub fn new(agents: Vec<AgentInfo>, fleet_dir: PathBuf, shm_dir: PathBuf) -> Result<Self, SampleError> {
        Ok(Self {
            own: own_info()?,
            agents,
            shm_dir,
            fleet_dir,
            ticks_per_second: procfs::ticks_per_second(),
        })
    }

    /// The harness as an agent, for the log.
    pub fn own(&self) -> &AgentInfo {
        &self.own
    }

    /// Another process has an agent's place: from the next sweep on it is sampled, even if the process before
    /// it has been found gone.
    pub fn replace(&mut self, agent: AgentInfo) {
        match self.agents.binary_search_by_key(&agent.id, |info| info.id) {
            Ok(at) => self.agents[at] = agent,
            Err(at) => self.agents.insert(at, agent),
        }
    }

    /// Reads everything once. PSS costs the kernel a walk over the page tables of each process.
    pub fn sweep(&mut self, with_pss: bool) -> SweepResult {
        let (wall, cpu) = (Instant::now(), clock_gettime(ClockId::ThreadCPUTime));
        let mut unread = Vec::new();
        let mut samples = Vec::with_capacity(1 + self.agents.len());
        let kin = Kin::new();
        if let Reading::Alive(sample) = self.read(&self.own, &kin, with_pss, &mut unread) {
            samples.push(sample);
        }
        let (mut live, mut gone) = (0, Vec::new());
        for agent in &self.agents {
            match self.read(agent, &kin, with_pss, &mut unread) {
                Reading::Alive(sample) => {
                    live += 1;
                    samples.push(sample);
                }
                Reading::Gone => gone.push(agent.id),
                Reading::Unread => {}
            }
        }
        self.agents.retain(|agent| !gone.contains(&agent.id));
        let host = host::sample(&self.shm_dir, &self.fleet_dir, &mut unread);
        SweepResult {
            agents: samples,
            host,
            live,
            gone,
            unread,
            took: wall.elapsed(),
            cpu: own::since(cpu, clock_gettime(ClockId::ThreadCPUTime)),
        }
    }

    /// Another process has an agent's place ([`Self::replace`]); if a sweep has found the one before it gone, it is read
    /// into that sweep.
    pub fn read_successor(&mut self, agent: AgentInfo, with_pss: bool, result: &mut SweepResult) {
        let (wall, cpu) = (Instant::now(), clock_gettime(ClockId::ThreadCPUTime));
        let id = agent.id;
        if result.gone.contains(&id) {
            match self.read(&agent, &Kin::new(), with_pss, &mut result.unread) {
                // It has gone already: another one is to come.
                Reading::Gone => return,
                Reading::Unread => {}
                Reading::Alive(sample) => {
                    let at = result.agents.partition_point(|sample| sample.agent < id);
                    result.agents.insert(at, sample);
                    result.live += 1;
                }
            }
            result.gone.retain(|gone| *gone != id);
        }
        self.replace(agent);
        result.took += wall.elapsed();
        result.cpu += own::since(cpu, clock_gettime(ClockId::ThreadCPUTime));
    }

    /// Those of the fleet that are stopped now, by a signal or a debugger: much cheaper than a sweep.
    pub fn stopped(&self) -> Vec<AgentInfo> {
        let of = |agent: &&AgentInfo| is_stopped(Identity { pid: agent.pid, start_ticks: agent.start_ticks });
        self.agents.iter().filter(of).cloned().collect()
    }

    /// What of the fleet is no agent: its guards, and spare coordinators. A guard that outlives its supervisor is a child
    /// of this process.
    pub fn helpers(&self) -> Vec<Helper> {
        let kin = Kin::new();
        let parents = self.supervisor().into_iter().chain([&self.own]);
        parents.flat_map(|parent| commands::helpers(parent.pid, &kin)).collect()
    }

    /// The supervisor that is sampled.
    pub fn supervisor(&self) -> Option<&AgentInfo> {
        self.agents.iter().find(|agent| agent.role == Role::Supervisor)
    }

    /// The process that is sampled as this agent.
    pub fn agent(&self, id: AgentId) -> Option<&AgentInfo> {
        self.agents.binary_search_by_key(&id, |info| info.id).ok().map(|at| &self.agents[at])
    }

    fn read(&self, agent: &AgentInfo, kin: &Kin, with_pss: bool, unread: &mut Vec<String>) -> Reading {
        match self.try_read(agent, kin, with_pss, unread) {
            Ok(reading) => reading,
            Err(error) if is_gone(&error) => Reading::Gone,
            Err(error) => {
                unread.push(format!("{} ({}): {error}", agent.name, agent.pid));
                Reading::Unread
            }
        }
    }

    fn try_read(
        &self,
        agent: &AgentInfo,
        kin: &Kin,
        with_pss: bool,
        unread: &mut Vec<String>,
    ) -> Result<Reading, ProcError> {
        let Ok(pid) = i32::try_from(agent.pid) else { return Ok(Reading::Gone) };
        // One directory descriptor for all files of a process: they cannot be of two processes.
        let process = Process::new(pid)?;
        let stat = process.stat()?;
        if life(&stat, agent.start_ticks) == Life::Gone {
            return Ok(Reading::Gone);
        }
        let status = process.status()?;
        let fds = process.fd_count()?;
        let pss_kib = if with_pss { read_pss(&process, agent, unread)? } else { None };
        let exact = if stat.num_threads == 1 { process.schedstat().ok() } else { None };
        let inexact = exact.is_none() && stat.num_threads == 1;
        // A process that ends while it is read gives its memory up first, and then its descriptors and its times. It
        // is not there any more, and what is left of its figures is no figure of it.
        if (has_lost(&status, fds, pss_kib) || inexact)
            && life(&process.stat()?, agent.start_ticks) == Life::Gone
        {
            return Ok(Reading::Gone);
        }
        let cpu = exact.map_or(Cpu::Ticks { per_second: self.ticks_per_second }, |times| Cpu::Exact {
            ns: times.sum_exec_runtime,
        });
        let sample = agent_sample(agent.id, &stat, &status, fds, pss_kib, cpu);
        let commands = match agent.role {
            Role::Worker => match commands::sample(&process, &stat, kin, with_pss, unread) {
                Ok(commands) => Some(commands),
                Err(error) if is_gone(&error) => return Err(error),
                Err(error) => {
                    unread.push(format!("what {} ({}) runs: {error}", agent.name, agent.pid));
                    None
                }
            },
            Role::Harness | Role::Supervisor | Role::Coordinator => None,
        };
        Ok(Reading::Alive(AgentSample { incarnation: agent.incarnation, commands, ..sample }))
    }
}

enum Reading {
    Alive(AgentSample),
    Gone,
    Unread,
}

/// A process that may be looked at but not into (another user's, a hardened kernel) still has its
/// other figures.
fn read_pss(
    process: &Process,
    agent: &AgentInfo,
    unread: &mut Vec<String>,
) -> Result<Option<u64>, ProcError> {
    match process.smaps_rollup() {
        Ok(rollup) => Ok(figures::pss_kib(&rollup)),
        Err(error) if is_gone(&error) => Err(error),
        Err(error) => {
            unread.push(format!("PSS of {} ({}): {error}", agent.name, agent.pid));
            Ok(None)
        }
    }
}

/// A process that ends while it is read answers ESRCH, one that had ended before has no directory.
fn is_gone(error: &ProcError) -> bool {
    match error {
        ProcError::NotFound(_) => true,
        ProcError::Io(error, _) => error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()),
        _ => false,
    }
}

fn own_info() -> Result<AgentInfo, SampleError> {
    let stat = Process::myself()
        .and_then(|me| me.stat())
        .map_err(|source| SampleError::Own { what: "/proc/self/stat", source })?;
    Ok(AgentInfo {
        id: HARNESS,
        role: Role::Harness,
        name: "harness".to_owned(),
        pid: std::process::id(),
        start_ticks: stat.starttime,
        incarnation: 1,
    })
}
