//! What rounds took by the fleet's own doing: without the time by which the load itself started them late.
//!
//! A round that is late because as many as may be in flight were in flight is late by the fleet's doing; one that is
//! late although there was room is late by the harness's. And the longest time in which the fleet, with work in hand,
//! answered no round.

use std::collections::{BTreeMap, VecDeque};

use super::distribution::Distribution;
use super::series::Medians;
use crate::runlog::event::{LoadModel, Phase, PlanFacts, Round};

/// Rounds that are waited for before one with a lower number is taken for lost.
const PENDING_MAX: usize = 256;
/// Earlier rounds that may still have been in flight.
const RECENT_MAX: usize = 64;

/// Of a round, in nanoseconds of the run's clock.
#[derive(Debug, Clone, Copy)]
struct Times {
    scheduled: u64,
    started: u64,
    finished: u64,
    /// Since the start of the load; absent in the warm-up.
    since: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct FleetTime {
    is_open: bool,
    in_flight_max: usize,
    pending: BTreeMap<u64, Times>,
    next: u64,
    recent: VecDeque<Times>,
    /// Of the load phase.
    pub times: Distribution,
    pub medians: Medians,
    /// By how much the load was late at most by its own doing.
    pub late_max_ns: u64,
    last_finished_ns: u64,
    /// Of the load phase.
    pub silence_max_ns: u64,
}

impl FleetTime {
    pub(super) fn new(plan: &PlanFacts, bucket_ns: u64) -> Self {
        Self {
            is_open: plan.load == LoadModel::Open,
            in_flight_max: plan.rounds_in_flight_max.max(1) as usize,
            pending: BTreeMap::new(),
            next: 0,
            recent: VecDeque::new(),
            times: Distribution::default(),
            medians: Medians::new(bucket_ns),
            late_max_ns: 0,
            last_finished_ns: 0,
            silence_max_ns: 0,
        }
    }

    /// In the order of the log, which is that of their ends.
    pub(super) fn push(&mut self, round: &Round, since_ns: u64) {
        let since_ns = (round.phase == Phase::Load).then_some(since_ns);
        if since_ns.is_some() {
            let silent = round.finished_ns.saturating_sub(self.last_finished_ns.max(round.started_ns));
            self.silence_max_ns = self.silence_max_ns.max(silent);
        }
        self.last_finished_ns = self.last_finished_ns.max(round.finished_ns);
        let (scheduled, started, finished) = (round.scheduled_ns, round.started_ns, round.finished_ns);
        self.pending.insert(round.round, Times { scheduled, started, finished, since: since_ns });
        while let Some(number) = self.pending.first_key_value().map(|(number, _)| *number)
            && (number <= self.next || self.pending.len() > PENDING_MAX)
        {
            self.next = self.next.max(number + 1);
            if let Some(times) = self.pending.remove(&number) {
                self.take(times);
            }
        }
    }

    /// A round of the load that does not count: only what is worse than all before it is taken.
    pub(super) fn take_bad(&mut self, round: &Round) {
        let silent = round.finished_ns.saturating_sub(self.last_finished_ns.max(round.started_ns));
        self.silence_max_ns = self.silence_max_ns.max(silent);
        self.last_finished_ns = self.last_finished_ns.max(round.finished_ns);
        // From its start on, the time is the fleet's, however late that was.
        self.times.record_if_greatest(round.finished_ns.saturating_sub(round.started_ns));
    }

    fn take(&mut self, times: Times) {
        let in_flight = |other: &&Times| other.started <= times.scheduled && other.finished > times.scheduled;
        let has_room = self.recent.iter().filter(in_flight).count() < self.in_flight_max;
        let late = times.started.saturating_sub(times.scheduled);
        let late = if self.is_open && has_room { late } else { 0 };
        self.recent.push_back(times);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        let Some(since_ns) = times.since else { return };
        self.late_max_ns = self.late_max_ns.max(late);
        let took = times.finished.saturating_sub(times.scheduled).saturating_sub(late);
        self.times.record(took);
        self.medians.push(since_ns, took as f64 / 1e9);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn round(round: u64, scheduled_ms: u64, started_ms: u64, finished_ms: u64) -> Round {
        let json = serde_json::json!({
            "round": round, "phase": "load", "scheduled_ns": scheduled_ms * MS, "started_ns": started_ms * MS,
            "finished_ns": finished_ms * MS, "tasks": 1, "answered": 1, "failed": 0, "late": 0, "duplicates": 0,
            "corrupt": 0, "task_p50_ns": null, "task_p99_ns": null, "task_max_ns": null,
        });
        serde_json::from_value(json).unwrap()
    }

    fn fleet_time(in_flight_max: usize, rounds: &[(u64, u64, u64, u64)]) -> FleetTime {
        let mut out = FleetTime {
            is_open: true,
            in_flight_max,
            pending: BTreeMap::new(),
            next: 0,
            recent: VecDeque::new(),
            times: Distribution::default(),
            medians: Medians::new(1),
            late_max_ns: 0,
            last_finished_ns: 0,
            silence_max_ns: 0,
        };
        for (n, scheduled, started, finished) in rounds {
            out.push(&round(*n, *scheduled, *started, *finished), *scheduled);
        }
        out
    }

    #[test]
    fn a_harness_that_stood_still_is_not_the_fleet() {
        // It stood still from 250 to 3,250 ms; the fleet took 5 ms for each.
        let rounds: Vec<_> = (0..40)
            .map(|n| {
                let scheduled = n * 100;
                let started = if (250..3_250).contains(&scheduled) { 3_250 } else { scheduled };
                (n, scheduled, started, started + 5)
            })
            .collect();
        let found = fleet_time(4, &rounds);
        assert_eq!((found.times.max_ns(), found.late_max_ns), (Some(5 * MS), 2_950 * MS));
        assert_eq!(found.silence_max_ns, 5 * MS);
    }

    #[test]
    fn a_fleet_that_lets_rounds_pile_up_is_late_by_its_own_doing() {
        // Two may be in flight; the first two hang for three seconds.
        let rounds = [(0, 0, 0, 3_000), (1, 100, 100, 3_001), (2, 200, 3_000, 3_010), (3, 300, 3_001, 3_011)];
        let found = fleet_time(2, &rounds);
        assert_eq!((found.times.count(), found.times.max_ns()), (4, Some(3_000 * MS)));
        assert_eq!((found.late_max_ns, found.silence_max_ns), (0, 3_000 * MS));
        assert!(found.times.min_ns() >= Some(2_700 * MS), "those that waited for room waited for the fleet");
    }

    #[test]
    fn the_order_of_their_ends_does_not_matter() {
        // The first round ends last: whether the second had room is known then.
        let found = fleet_time(1, &[(1, 100, 150, 160), (0, 0, 0, 500)]);
        assert_eq!((found.times.count(), found.late_max_ns), (2, 0));
    }
}
