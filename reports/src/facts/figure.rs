//! What the kernel says of processes and of the host, as the facts keep it over time.
//!
//! Every column of a sweep is kept, whether or not a criterion asks for it: a metric over one of them needs
//! nothing here. A new column is a line in [`SUMMED`].

use serde::{Deserialize, Serialize};

use crate::runlog::event::{AgentSample, CommandsSample};

/// A figure that is read in each sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Bytes, summed over processes; only where it was read from all of them.
    Pss,
    /// Bytes, summed over processes.
    Rss,
    Anon,
    Vsz,
    /// Open descriptors, summed over processes.
    Fds,
    /// Descriptors of the process with the most of them, over its soft limit.
    FdsUse,
    Threads,
    /// CPU seconds a second, summed over processes.
    Cpu,
    /// Context switches a second, summed over processes.
    VoluntarySwitches,
    InvoluntarySwitches,
    /// Bytes of the fleet's own directory in /dev/shm.
    FleetShm,
    /// Bytes in use in all of /dev/shm.
    HostShm,
    /// Bytes that the kernel has to give.
    MemoryAvailable,
    /// Load average of the host over a minute.
    LoadAverage,
    /// Share of the host's CPU time that its hypervisor gave to others, since the sweep before.
    Steal,
    /// Share of the host's CPU time that processes used which are not of the run.
    OthersBusy,
    /// Processes of the fleet that were there.
    Live,
    /// CPU of the sampling thread, as a share of one core.
    SamplerCost,
}

/// How one process's part of a sum comes about.
pub(super) enum Part {
    /// The value itself, if it was read; of the process, and of its commands.
    Level(fn(&AgentSample) -> Option<f64>, fn(&CommandsSample) -> Option<f64>),
    /// What has come since the sweep before, over so much, a second. Not every figure can be had of commands: what
    /// they have done is lost when they end, unless the kernel adds it to their parent's.
    Rate(fn(&AgentSample) -> u64, Option<fn(&CommandsSample) -> u64>, f64),
}

pub(super) fn bytes(kib: u64) -> f64 {
    kib as f64 * 1024.0
}

pub(super) const SUMMED: [(Figure, Part); 9] = [
    (Figure::Pss, Part::Level(|s| s.pss_kib.map(bytes), |c| c.pss_kib.map(bytes))),
    (Figure::Rss, Part::Level(|s| Some(bytes(s.rss_kib)), |c| Some(bytes(c.rss_kib)))),
    (Figure::Anon, Part::Level(|s| Some(bytes(s.anon_kib)), |c| Some(bytes(c.anon_kib)))),
    (Figure::Vsz, Part::Level(|s| Some(bytes(s.vsz_kib)), |c| Some(bytes(c.vsz_kib)))),
    (Figure::Fds, Part::Level(|s| Some(f64::from(s.fds)), |c| Some(f64::from(c.fds)))),
    (Figure::Threads, Part::Level(|s| Some(f64::from(s.threads)), |c| Some(f64::from(c.threads)))),
    (Figure::Cpu, Part::Rate(|s| s.cpu_us, Some(|c| c.cpu_us), 1e6)),
    (Figure::VoluntarySwitches, Part::Rate(|s| s.voluntary_switches, None, 1.0)),
    (Figure::InvoluntarySwitches, Part::Rate(|s| s.involuntary_switches, None, 1.0)),
];
