//! What grows in a fleet that leaks: the memory of its processes, and the descriptors of one of them.

use reports::runlog::event::{AgentId, Sample};
use std::collections::BTreeMap;
use std::time::Duration;

/// The first steady part begins after this share of the load, and lasts as long,
const STEADY_SHARE: u32 = 20;
/// but no longer than this.
const STEADY_MAX: Duration = Duration::from_secs(30 * 60);
/// Sweeps that it has at least,
const SWEEPS_MIN: usize = 5;
/// and at most: of a longer one every other is kept.
const SWEEPS_MAX: usize = 256;
/// Less is noise, however little a fleet has.
const GROWTH_MIN_KIB: f64 = 1024.0;

/// RssAnon, for each process that there is: a fleet may have more of them by day than by night.
#[derive(Debug)]
pub(super) struct Memory {
    /// From the start of the load.
    steady_ns: (u64, u64),
    first: Vec<f64>,
    /// Of each so many sweeps one is kept.
    every: usize,
    seen: usize,
    base: Option<f64>,
}

impl Memory {
    pub(super) fn of(load: Duration) -> Self {
        let share = (load / STEADY_SHARE).min(STEADY_MAX).as_nanos() as u64;
        Self { steady_ns: (share, share * 2), first: Vec::new(), every: 1, seen: 0, base: None }
    }

    /// By which share it has grown since; nothing before that is known.
    pub(super) fn push(&mut self, since_ns: u64, sample: &Sample) -> Option<f64> {
        let fleet = sample.agents.iter().filter(|row| row.agent != 0);
        let (sum, processes) = fleet.fold((0.0, 0.0), |(sum, n), row| (sum + row.anon_kib as f64, n + 1.0));
        if processes == 0.0 || since_ns < self.steady_ns.0 {
            return None;
        }
        let mean: f64 = sum / processes;
        if self.base.is_none() {
            if since_ns <= self.steady_ns.1 || self.first.len() < SWEEPS_MIN {
                self.keep(mean);
                return None;
            }
            self.first.sort_by(f64::total_cmp);
            self.base = self.first.get(self.first.len() / 2).copied().filter(|base| *base > 0.0);
            self.first = Vec::new();
        }
        let base = self.base?;
        let is_noise = (mean - base).abs() * processes < GROWTH_MIN_KIB;
        Some(if is_noise { 0.0 } else { mean / base - 1.0 })
    }

    fn keep(&mut self, mean: f64) {
        if self.seen.is_multiple_of(self.every) {
            self.first.push(mean);
        }
        self.seen += 1;
        if self.first.len() == SWEEPS_MAX {
            let mut at = 0;
            self.first.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.every *= 2;
        }
    }
}

/// Of one process.
#[derive(Debug, Clone, Copy)]
struct First {
    incarnation: u32,
    sweeps: usize,
    /// The most in them.
    fds: u32,
}

/// Beyond what each process had in its first sweeps.
#[derive(Debug, Default)]
pub(super) struct Descriptors(BTreeMap<AgentId, First>);

impl Descriptors {
    /// The process that has the most more than it had at first, and how many; nothing before that is known of one.
    pub(super) fn push(&mut self, sample: &Sample) -> Option<(AgentId, u32)> {
        let mut worst: Option<(AgentId, u32)> = None;
        for row in sample.agents.iter().filter(|row| row.agent != 0) {
            let new = First { incarnation: row.incarnation, sweeps: 0, fds: 0 };
            let first = self.0.entry(row.agent).or_insert(new);
            if first.incarnation != row.incarnation {
                *first = new;
            }
            if first.sweeps < SWEEPS_MIN {
                first.sweeps += 1;
                first.fds = first.fds.max(row.fds);
            }
            let more = row.fds.saturating_sub(first.fds);
            if worst.is_none_or(|(_, most)| more > most) {
                worst = Some((row.agent, more));
            }
        }
        worst
    }
}
