//! Rounds during which other programs had the host's processors: what their times say of the fleet is open.
//!
//! The evidence is the kernel's own. Between two sweeps it has counted how long the processors were busy, and how long the
//! processes of the run used them. What is left was used by others, or given to others by the hypervisor. Between sweeps
//! where that cannot be told (a process came or went, a figure is missing, the run has set-up commands, which are its own
//! and not sampled) nothing counts as others' use.

use std::collections::VecDeque;

use super::distribution::Distribution;
use crate::runlog::event::{AgentId, Phase, PlanFacts, Round, Sample};

/// Share of all processors' time that others must have used for a stretch between two sweeps to be theirs.
pub const OTHERS_MIN: f64 = 0.5;
/// Share of all processors' time that must have been in use then: others take nothing from a fleet while some are idle.
pub const IN_USE_MIN: f64 = 0.9;
/// Share of a value's own time that must lie in such stretches.
pub const COVERED_MIN: f64 = 0.5;
/// Values that wait for the sweep after their end; of more, the oldest are not others'.
const WAITING_MAX: usize = 4_096;
/// Stretches that are kept; of more, the oldest are forgotten.
const STRETCHES_MAX: usize = 1_024;

/// Times that there is one of in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundTime {
    Coordination,
    FirstAnswer,
    Completion,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    of: RoundTime,
    from_ns: u64,
    to_ns: u64,
    value_ns: u64,
}

/// The times of one kind, at best.
#[derive(Debug, Clone, Default)]
pub struct AtBest {
    /// As they were; each that was taken while others had the host counts as the least of all.
    pub times: Distribution,
    /// How many those are.
    pub others: u64,
}

/// Of the values that have met their sweep.
#[derive(Debug, Clone, Default)]
struct Settled {
    /// Those that are not others' doing.
    own: Distribution,
    others: u64,
    /// The least of those that are.
    others_min_ns: Option<u64>,
}

/// What the processors did between two sweeps, as shares of all their time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Use {
    /// By any process, or stolen.
    pub all: f64,
    /// By processes that are not of the run, or stolen.
    pub others: f64,
}

#[derive(Debug, Clone)]
pub struct Contention {
    /// Nothing that the run started itself goes unseen.
    is_sampled: bool,
    /// When others had the host.
    stretches: VecDeque<(u64, u64)>,
    swept_ns: u64,
    /// The processes of the newest sweep, by incarnation.
    processes: Vec<(AgentId, u32)>,
    waiting: VecDeque<Waiting>,
    settled: [Settled; 3],
}

impl Contention {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        Self {
            is_sampled: plan.setup.is_empty(),
            stretches: VecDeque::new(),
            swept_ns: 0,
            processes: Vec::new(),
            waiting: VecDeque::new(),
            settled: Default::default(),
        }
    }

    /// Another segment begins: what comes before its first sweep is not known.
    pub(super) fn resume(&mut self) {
        self.processes.clear();
    }

    pub(super) fn round(&mut self, round: &Round) {
        if round.phase != Phase::Load {
            return;
        }
        let to_ns = round.finished_ns;
        let mut push = |of, from_ns: u64, to_ns: u64| {
            let value_ns = to_ns.saturating_sub(from_ns);
            self.waiting.push_back(Waiting { of, from_ns, to_ns, value_ns });
        };
        push(RoundTime::Coordination, round.scheduled_ns, to_ns);
        if let Some(first_ns) = round.first_ns {
            push(RoundTime::FirstAnswer, round.started_ns, first_ns);
        }
        if let Some(made_ns) = round.made_ns {
            push(RoundTime::Completion, made_ns, to_ns);
        }
        while self.waiting.len() > WAITING_MAX {
            let Some(oldest) = self.waiting.pop_front() else { return };
            self.settled[oldest.of as usize].own.record(oldest.value_ns);
        }
    }

    /// `used` is absent where a part of it is not known.
    pub(super) fn sweep(&mut self, sample: &Sample, used: Option<Use>, is_worker: impl Fn(AgentId) -> bool) {
        let mut processes: Vec<_> = sample.agents.iter().map(|row| (row.agent, row.incarnation)).collect();
        processes.sort_unstable();
        let is_whole = sample.agents.iter().all(|row| !is_worker(row.agent) || row.commands.is_some());
        let before = std::mem::replace(&mut self.processes, processes);
        let same = !before.is_empty() && before == self.processes;
        let (from_ns, to_ns) = (self.swept_ns, sample.started_ns);
        self.swept_ns = to_ns;
        let is_theirs = |used: Use| used.others >= OTHERS_MIN && used.all >= IN_USE_MIN;
        if self.is_sampled && same && is_whole && used.is_some_and(is_theirs) {
            match self.stretches.back_mut() {
                Some((_, end_ns)) if *end_ns == from_ns => *end_ns = to_ns,
                _ => self.stretches.push_back((from_ns, to_ns)),
            }
        }
        if self.stretches.len() > STRETCHES_MAX {
            self.stretches.pop_front();
        }
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.to_ns > to_ns {
                self.waiting.push_back(waiting);
                continue;
            }
            let is_others = self.covers(waiting.from_ns, waiting.to_ns);
            let settled = &mut self.settled[waiting.of as usize];
            if is_others {
                settled.others += 1;
                let least = settled.others_min_ns.unwrap_or(u64::MAX);
                settled.others_min_ns = Some(least.min(waiting.value_ns));
            } else {
                settled.own.record(waiting.value_ns);
            }
        }
    }

    /// Whether others had the host for most of that time.
    fn covers(&self, from_ns: u64, to_ns: u64) -> bool {
        let within =
            self.stretches.iter().map(|(start, end)| to_ns.min(*end).saturating_sub(from_ns.max(*start)));
        let (within, all) = (within.sum::<u64>(), to_ns.saturating_sub(from_ns));
        all > 0 && within as f64 >= COVERED_MIN * all as f64
    }

    /// While the run goes on, values that still wait for their sweep may be others' doing.
    pub fn at_best(&self, of: RoundTime, is_over: bool) -> AtBest {
        let Settled { own, others, others_min_ns } = &self.settled[of as usize];
        let waiting =
            || self.waiting.iter().filter(|waiting| waiting.of == of).map(|waiting| waiting.value_ns);
        let least = waiting().chain(own.min_ns()).chain(*others_min_ns).min().unwrap_or(0);
        let mut times = own.clone();
        times.record_many(least, *others);
        for value_ns in waiting() {
            times.record(if is_over || !self.is_sampled { value_ns } else { least });
        }
        AtBest { times, others: *others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runlog::event::AgentSample;

    const MS: u64 = 1_000_000;

    fn contention() -> Contention {
        Contention {
            is_sampled: true,
            stretches: VecDeque::new(),
            swept_ns: 0,
            processes: Vec::new(),
            waiting: VecDeque::new(),
            settled: Default::default(),
        }
    }

    fn round(scheduled_ms: u64, finished_ms: u64) -> Round {
        let json = serde_json::json!({
            "round": 0, "phase": "load", "scheduled_ns": scheduled_ms * MS, "started_ns": scheduled_ms * MS,
            "finished_ns": finished_ms * MS, "tasks": 1, "answered": 1, "failed": 0, "late": 0, "duplicates": 0,
            "corrupt": 0, "task_p50_ns": null, "task_p99_ns": null, "task_max_ns": null,
        });
        serde_json::from_value(json).unwrap()
    }

    fn sweep(contention: &mut Contention, at_ms: u64, incarnation: u32, all: f64, others: f64) {
        let row = AgentSample {
            agent: 1,
            incarnation,
            rss_kib: 1,
            anon_kib: 1,
            vsz_kib: 1,
            fds: 1,
            threads: 1,
            cpu_us: 1,
            voluntary_switches: 1,
            involuntary_switches: 1,
            pss_kib: None,
            state: None,
            commands: None,
        };
        let sample: Sample = serde_json::from_value(serde_json::json!({
            "sweep": 0, "due_ns": at_ms * MS, "started_ns": at_ms * MS, "took_ns": 1, "cpu_ns": 1, "live": 1, "agents": [],
            "host": { "load1": 0.0, "load5": 0.0, "load15": 0.0, "mem_available_kib": 1, "shm_used_bytes": 0,
                "shm_used_inodes": 0, "fleet_shm_bytes": 0, "fleet_shm_files": 0 },
        }))
        .unwrap();
        let sample = Sample { agents: vec![row], ..sample };
        contention.sweep(&sample, Some(Use { all, others }), |_| false);
    }

    fn found(contention: &Contention) -> (u64, u64) {
        let at_best = contention.at_best(RoundTime::Coordination, true);
        (at_best.times.count(), at_best.others)
    }

    #[test]
    fn a_round_is_others_if_they_had_most_of_its_time() {
        let mut contention = contention();
        sweep(&mut contention, 0, 1, 0.0, 0.0);
        contention.round(&round(100, 900));
        sweep(&mut contention, 1_000, 1, 0.95, 0.6);
        contention.round(&round(900, 1_100));
        contention.round(&round(950, 1_200));
        sweep(&mut contention, 2_000, 1, 0.95, 0.4);
        // Of the first all of its time, of the second a half, of the third a fifth.
        assert_eq!(found(&contention), (3, 2));
        contention.round(&round(1_100, 1_900));
        assert_eq!(found(&contention), (4, 2), "no sweep has come, and the run is over");
        let live = contention.at_best(RoundTime::Coordination, false);
        assert_eq!(
            live.times.above(201 * MS),
            1,
            "of one the sweep is still to come: it may be as quick as the quickest"
        );
        let over = contention.at_best(RoundTime::Coordination, true);
        assert_eq!((over.times.above(201 * MS), over.times.min_ns()), (2, Some(200 * MS)));
    }

    #[test]
    fn where_processors_are_idle_or_a_part_is_unknown_no_round_is_others() {
        for (incarnation, all, others) in [(1, 0.8, 0.7), (2, 0.95, 0.9), (1, 0.95, 0.49)] {
            let mut contention = contention();
            sweep(&mut contention, 0, 1, 0.0, 0.0);
            contention.round(&round(100, 900));
            sweep(&mut contention, 1_000, incarnation, all, others);
            assert_eq!(found(&contention), (1, 0), "{incarnation} {all} {others}");
        }
        let mut resumed = contention();
        sweep(&mut resumed, 0, 1, 0.0, 0.0);
        resumed.resume();
        resumed.round(&round(100, 900));
        sweep(&mut resumed, 1_000, 1, 0.95, 0.9);
        assert_eq!(found(&resumed), (1, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut contention = contention();
        for n in 0..WAITING_MAX as u64 + 500 {
            contention.round(&round(n, n + 5));
        }
        assert_eq!(contention.waiting.len(), WAITING_MAX);
        assert_eq!(found(&contention), (WAITING_MAX as u64 + 500, 0));
    }
}
