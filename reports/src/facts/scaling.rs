//! How many processes there should be, over time.

use crate::runlog::event::{PlanFacts, Scaled};

/// How many processes a sweep must see: it follows what the run has asked the fleet for.
#[derive(Debug, Clone, Default)]
pub struct Scaling {
    /// Wanted now.
    processes: u32,
    /// The most that there may be, where the fleet itself decides how many.
    most: Option<u32>,
    /// The fewest that there may be now, and from when on,
    least: u32,
    since_ns: u64,
    /// and the fewest before that.
    least_before: u32,
    /// Of each stage that has asked for something: the number of workers that it wanted last, and whether they were there.
    stages: Vec<(String, u32, bool)>,
}

impl Scaling {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        let at_start = plan.processes_at_start();
        // Where the fleet itself decides, there may be the fewest at any time.
        let by_load = plan.processes_by_load();
        let least = by_load.unwrap_or(at_start);
        let most = by_load.map(|_| plan.processes);
        Self { processes: at_start, most, least, since_ns: 0, least_before: least, stages: Vec::new() }
    }

    pub(super) fn push(&mut self, scaled: &Scaled) {
        let reached = scaled.reached_ns.is_some();
        match self.stages.iter_mut().find(|(name, ..)| *name == scaled.stage) {
            Some(stage) => (stage.1, stage.2) = (scaled.to, reached),
            None => self.stages.push((scaled.stage.clone(), scaled.to, reached)),
        }
        self.processes = scaled.processes;
        if let Some(reached_ns) = scaled.reached_ns {
            (self.least_before, self.least) = (self.least, scaled.processes);
            self.since_ns = reached_ns;
        } else {
            self.least = self.least.min(scaled.processes);
        }
    }

    /// Wanted now.
    pub fn processes(&self) -> u32 {
        self.processes
    }

    /// How many there may be now: the fewest and the most.
    pub fn bounds(&self) -> (u32, u32) {
        self.most.map_or((self.processes, self.processes), |most| (self.least, most))
    }

    /// The fewest that a sweep may see which was due then.
    pub fn least_at(&self, due_ns: u64) -> u32 {
        if due_ns < self.since_ns { self.least.min(self.least_before) } else { self.least }
    }

    /// Stages of the plan that did not come to their number of workers, in words.
    pub fn missed(&self, plan: &PlanFacts) -> Vec<String> {
        let places = plan.coordinators.saturating_mul(plan.workers_per_coordinator);
        let mut before = plan.workers_at_start.unwrap_or(places);
        let mut missed = Vec::new();
        for stage in &plan.stages {
            let asked = self.stages.iter().find(|(name, ..)| *name == stage.name);
            match asked {
                // Nothing is to be done.
                None if stage.workers == before => {}
                Some((_, to, true)) if *to == stage.workers => {}
                Some((_, to, _)) if *to == stage.workers => {
                    missed.push(format!("{}: the fleet never had its {to} workers", stage.name));
                }
                None | Some(_) => missed.push(format!("{}: it was not carried out", stage.name)),
            }
            before = stage.workers;
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(from: u32, to: u32, ordered_ns: u64, reached_ns: Option<u64>) -> Scaled {
        Scaled { stage: "s".into(), from, to, processes: 2 + to, ordered_ns, reached_ns }
    }

    #[test]
    fn while_a_fleet_grows_or_shrinks_the_fewer_are_enough() {
        let mut scaling = Scaling { processes: 12, least: 12, least_before: 12, ..Scaling::default() };
        scaling.push(&scaled(10, 50, 100, None));
        assert_eq!((scaling.processes(), scaling.bounds(), scaling.least_at(150)), (52, (52, 52), 12));
        scaling.push(&scaled(10, 50, 100, Some(200)));
        // A sweep that was due before, and is recorded late.
        assert_eq!((scaling.least_at(199), scaling.least_at(200)), (12, 52));
        scaling.push(&scaled(50, 20, 300, None));
        assert_eq!((scaling.processes(), scaling.least_at(310)), (22, 22));
        scaling.push(&scaled(50, 20, 300, Some(400)));
        assert_eq!(scaling.least_at(500), 22);
    }

    #[test]
    fn a_ramp_that_asks_again_before_it_has_what_it_asked_for_is_held_to_what_it_had() {
        let mut scaling = Scaling { processes: 12, least: 12, least_before: 12, ..Scaling::default() };
        scaling.push(&scaled(10, 20, 100, None));
        scaling.push(&scaled(20, 30, 200, None));
        assert_eq!(scaling.least_at(250), 12);
        scaling.push(&scaled(20, 30, 200, Some(300)));
        assert_eq!(scaling.least_at(300), 32);
    }

    #[test]
    fn a_fleet_that_decides_by_itself_has_two_bounds() {
        let scaling = Scaling { processes: 5, most: Some(14), least: 4, ..Scaling::default() };
        assert_eq!(scaling.bounds(), (4, 14));
    }
}
