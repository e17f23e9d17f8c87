//! Rounds during which other programs had the host's processors: what their times, and those of their tasks, say of the fleet
//! is open.
//!
//! The evidence is the kernel's own. Between two sweeps it has counted how long the processors were busy, and how long the
//! processes of the run used them. What is left was used by others, or given to others by the hypervisor. Between sweeps
//! where that cannot be told (a process came or went, a figure is missing, the run has set-up commands, which are its own
//! and not sampled) nothing counts as others' use.

use std::collections::VecDeque;

use super::distribution::Distribution;
use super::load::{Timed, WindowSpec, Windowed};
use super::periods::Periods;
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

/// Times that there is one of in a round, or one of each of its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundTime {
    Coordination,
    FirstAnswer,
    Completion,
    Task,
}

/// So many values, none of which is less.
type AtLeast = (u64, u64);

#[derive(Debug, Clone, Copy)]
struct Waiting {
    of: RoundTime,
    from_ns: u64,
    to_ns: u64,
    /// When the round was due, since the start of the load.
    load_ns: u64,
    values: [AtLeast; 3],
    /// How many values there are besides, of which nothing else is known.
    more: u64,
}

impl Waiting {
    fn count(&self) -> u64 {
        self.values.iter().map(|(_, count)| count).sum::<u64>() + self.more
    }

    fn record(&self, times: &mut Distribution) {
        self.values.iter().for_each(|(ns, count)| times.record_many(*ns, *count));
    }
}

/// What a round says of the times of its tasks: the greatest is one of them, and as many lie at a percentile or above as
/// there are beyond it.
fn of_tasks(round: &Round) -> Option<([AtLeast; 3], u64)> {
    let answered = u64::from(round.answered);
    let (max_ns, p99_ns, p50_ns) = (round.task_max_ns?, round.task_p99_ns?, round.task_p50_ns?);
    let from = |quantile: f64| answered - ((answered as f64 * quantile).ceil() as u64).clamp(1, answered) + 1;
    if answered == 0 {
        return None;
    }
    let (high, middle) = (from(0.99), from(0.5));
    Some(([(max_ns, 1), (p99_ns, high - 1), (p50_ns, middle - high)], answered - middle))
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
    /// Those that are not others' doing; no less than this.
    own: Distribution,
    /// Of which no more is known.
    own_more: u64,
    others: u64,
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
    settled: [Settled; 4],
    /// Of the values that are not others' doing.
    windows: Vec<(Timed, Periods)>,
}

impl Contention {
    pub(super) fn new(plan: &PlanFacts, windows: &[WindowSpec]) -> Self {
        let of = |spec: &WindowSpec| match spec.of {
            Windowed::Times(timed) => Some((timed, Periods::new(spec.width_ns))),
            Windowed::Answered(_) => None,
        };
        Self {
            windows: windows.iter().filter_map(of).collect(),
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

    /// `load_ns` is when it was due, since the start of the load.
    pub(super) fn round(&mut self, round: &Round, load_ns: u64) {
        if round.phase != Phase::Load {
            return;
        }
        let to_ns = round.finished_ns;
        let mut push = |of, from_ns: u64, to_ns: u64| {
            let values = [(to_ns.saturating_sub(from_ns), 1), (0, 0), (0, 0)];
            self.waiting.push_back(Waiting { of, from_ns, to_ns, load_ns, values, more: 0 });
        };
        push(RoundTime::Coordination, round.scheduled_ns, to_ns);
        if let Some(first_ns) = round.first_ns {
            push(RoundTime::FirstAnswer, round.started_ns, first_ns);
        }
        if let Some(made_ns) = round.made_ns {
            push(RoundTime::Completion, made_ns, to_ns);
        }
        if let Some((values, more)) = of_tasks(round) {
            let (of, from_ns) = (RoundTime::Task, round.scheduled_ns);
            self.waiting.push_back(Waiting { of, from_ns, to_ns, load_ns, values, more });
        }
        while self.waiting.len() > WAITING_MAX {
            let Some(oldest) = self.waiting.pop_front() else { return };
            self.settle(&oldest, false);
        }
    }

    fn settle(&mut self, value: &Waiting, is_others: bool) {
        let settled = &mut self.settled[value.of as usize];
        if is_others {
            settled.others += value.count();
            return;
        }
        value.record(&mut settled.own);
        settled.own_more += value.more;
        keep(&mut self.windows, value);
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
            self.settle(&waiting, is_others);
        }
    }

    /// Whether others had the host for most of that time.
    pub fn covers(&self, from_ns: u64, to_ns: u64) -> bool {
        let within =
            self.stretches.iter().map(|(start, end)| to_ns.min(*end).saturating_sub(from_ns.max(*start)));
        let (within, all) = (within.sum::<u64>(), to_ns.saturating_sub(from_ns));
        all > 0 && within as f64 >= COVERED_MIN * all as f64
    }

    /// `least_ns` is the least of all. While the run goes on, values that still wait for their sweep may be others' doing.
    pub fn at_best(&self, of: RoundTime, is_over: bool, least_ns: u64) -> AtBest {
        let Settled { own, own_more, others } = &self.settled[of as usize];
        let mut times = own.clone();
        times.record_many(least_ns, *others + own_more);
        for waiting in self.waiting.iter().filter(|waiting| waiting.of == of) {
            if is_over || !self.is_sampled {
                waiting.record(&mut times);
                times.record_many(least_ns, waiting.more);
            } else {
                times.record_many(least_ns, waiting.count());
            }
        }
        AtBest { times, others: *others }
    }

    /// Values of which it is known whose doing they are.
    pub fn settled(&self, of: RoundTime) -> u64 {
        let Settled { own, own_more, others } = &self.settled[of as usize];
        own.count() + own_more + others
    }

    /// The times in windows of this width without those that are others' doing, and how many these are.
    pub fn windows_at_best(&self, timed: Timed, width_ns: u64, is_over: bool) -> Option<(Periods, u64)> {
        let mut kept: Vec<(Timed, Periods)> = self
            .windows
            .iter()
            .filter(|(of, own)| *of == timed && own.width_ns() == width_ns)
            .cloned()
            .collect();
        if is_over || !self.is_sampled {
            self.waiting.iter().for_each(|waiting| keep(&mut kept, waiting));
        }
        let of = match timed {
            Timed::Rounds => RoundTime::Coordination,
            Timed::Tasks => RoundTime::Task,
        };
        Some((kept.pop()?.1, self.settled[of as usize].others))
    }
}

fn keep(windows: &mut [(Timed, Periods)], value: &Waiting) {
    let timed = match value.of {
        RoundTime::Coordination => Timed::Rounds,
        RoundTime::Task => Timed::Tasks,
        RoundTime::FirstAnswer | RoundTime::Completion => return,
    };
    for (_, periods) in windows.iter_mut().filter(|(of, _)| *of == timed) {
        let times = periods.of(value.load_ns);
        value.record(times);
        times.record_many(0, value.more);
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
            windows: Vec::new(),
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
        let at_best = contention.at_best(RoundTime::Coordination, true, 200 * MS);
        (at_best.times.count(), at_best.others)
    }

    #[test]
    fn a_round_is_others_if_they_had_most_of_its_time() {
        let mut contention = contention();
        sweep(&mut contention, 0, 1, 0.0, 0.0);
        contention.round(&round(100, 900), 0);
        sweep(&mut contention, 1_000, 1, 0.95, 0.6);
        contention.round(&round(900, 1_100), 0);
        contention.round(&round(950, 1_200), 0);
        sweep(&mut contention, 2_000, 1, 0.95, 0.4);
        // Of the first all of its time, of the second a half, of the third a fifth.
        assert_eq!(found(&contention), (3, 2));
        contention.round(&round(1_100, 1_900), 0);
        assert_eq!(found(&contention), (4, 2), "no sweep has come, and the run is over");
        let live = contention.at_best(RoundTime::Coordination, false, 200 * MS);
        assert_eq!(
            live.times.above(201 * MS),
            1,
            "of one the sweep is still to come: it may be as quick as the quickest"
        );
        let over = contention.at_best(RoundTime::Coordination, true, 200 * MS);
        assert_eq!((over.times.above(201 * MS), over.times.min_ns()), (2, Some(200 * MS)));
    }

    #[test]
    fn where_processors_are_idle_or_a_part_is_unknown_no_round_is_others() {
        for (incarnation, all, others) in [(1, 0.8, 0.7), (2, 0.95, 0.9), (1, 0.95, 0.49)] {
            let mut contention = contention();
            sweep(&mut contention, 0, 1, 0.0, 0.0);
            contention.round(&round(100, 900), 0);
            sweep(&mut contention, 1_000, incarnation, all, others);
            assert_eq!(found(&contention), (1, 0), "{incarnation} {all} {others}");
        }
        let mut resumed = contention();
        sweep(&mut resumed, 0, 1, 0.0, 0.0);
        resumed.resume();
        resumed.round(&round(100, 900), 0);
        sweep(&mut resumed, 1_000, 1, 0.95, 0.9);
        assert_eq!(found(&resumed), (1, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut contention = contention();
        for n in 0..WAITING_MAX as u64 + 500 {
            contention.round(&round(n, n + 5), 0);
        }
        assert_eq!(contention.waiting.len(), WAITING_MAX);
        assert_eq!(found(&contention), (WAITING_MAX as u64 + 500, 0));
    }

    #[test]
    fn tasks_are_no_less_than_what_their_round_says_of_them() {
        let with = |answered: u64, p50_ms: u64, p99_ms: u64, max_ms: u64| Round {
            answered: answered as u32,
            task_p50_ns: Some(p50_ms * MS),
            task_p99_ns: Some(p99_ms * MS),
            task_max_ns: Some(max_ms * MS),
            ..round(100, 900)
        };
        assert_eq!(of_tasks(&with(1, 5, 5, 5)), Some(([(5 * MS, 1), (5 * MS, 0), (5 * MS, 0)], 0)));
        assert_eq!(of_tasks(&with(8, 5, 9, 9)), Some(([(9 * MS, 1), (9 * MS, 0), (5 * MS, 4)], 3)));
        assert_eq!(of_tasks(&with(200, 5, 8, 9)), Some(([(9 * MS, 1), (8 * MS, 2), (5 * MS, 98)], 99)));
        assert_eq!(of_tasks(&with(0, 5, 8, 9)), None);
        let mut contention = contention();
        sweep(&mut contention, 0, 1, 0.0, 0.0);
        contention.round(&with(8, 5, 9, 9), 0);
        sweep(&mut contention, 1_000, 1, 0.95, 0.6);
        contention.round(&Round { finished_ns: 2_000 * MS, scheduled_ns: 1_500 * MS, ..with(8, 5, 7, 7) }, 0);
        sweep(&mut contention, 2_000, 1, 0.95, 0.1);
        let best = contention.at_best(RoundTime::Task, true, MS);
        assert_eq!((best.others, best.times.count(), best.times.max_ns()), (8, 16, Some(7 * MS)));
        assert_eq!((best.times.above(4 * MS), best.times.above(6 * MS)), (5, 1));
    }
}
