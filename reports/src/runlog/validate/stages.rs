//! The sizes that a run has asked its fleet for: those of the plan's stages, in their order, each from the one before.

use super::READ_NS;
use crate::runlog::event::{LoadModel, PlanFacts, Scaled};

/// Of one segment; grows with the number of stages.
#[derive(Debug, Default)]
pub(super) struct Stages {
    /// A fleet that is new catches up with the stage that the run was in.
    resumed: bool,
    /// Workers that are wanted; absent before the first order.
    wanted: Option<u32>,
    /// The newest order, until the fleet was seen to have followed it.
    open: Option<Scaled>,
    /// When each stage's first order came, by its place in the plan; the last is the stage of the newest order.
    ordered_ns: Vec<(usize, u64)>,
}

impl Stages {
    pub(super) fn of_resumed_segment() -> Self {
        Self { resumed: true, ..Self::default() }
    }

    /// Of a record that fits the plan by itself.
    pub(super) fn step(&mut self, scaled: &Scaled, plan: &PlanFacts) -> Result<(), String> {
        if scaled.reached_ns.is_some() {
            return self.reached(scaled);
        }
        let Scaled { stage, from, to, ordered_ns, .. } = scaled;
        let before = self.wanted(plan);
        if *from != before {
            return Err(format!(
                "stage {stage} scales the fleet from {from} workers, and {before} were wanted"
            ));
        }
        let newest = self.newest();
        let first = newest.unwrap_or(0);
        let found = plan.stages.iter().enumerate().skip(first).find(|(_, planned)| planned.name == *stage);
        let Some((at, planned)) = found else {
            return Err(format!("stage {stage} scales the fleet, and was over"));
        };
        if newest != Some(at) {
            // A stage of another pace alone orders nothing.
            let from = newest.map_or(0, |before| before + 1);
            let last = newest.and_then(|before| plan.stages.get(before)).into_iter();
            let left_out = last.chain(&plan.stages[from..at]).find(|planned| planned.workers != before);
            if let Some(left_out) = left_out.filter(|_| !self.resumed) {
                return Err(format!(
                    "stage {stage} begins with {before} workers wanted, and stage {} before it asks for {}",
                    left_out.name, left_out.workers
                ));
            }
            self.ordered_ns.push((at, *ordered_ns));
        }
        if !(before.min(planned.workers)..=before.max(planned.workers)).contains(to) && !self.resumed {
            return Err(format!(
                "stage {stage} asks for {to} workers on the way from {before} to {}",
                planned.workers
            ));
        }
        (self.wanted, self.open) = (Some(*to), Some(scaled.clone()));
        Ok(())
    }

    /// Where the plan has the stage of the newest order.
    fn newest(&self) -> Option<usize> {
        self.ordered_ns.last().map(|(at, _)| *at)
    }

    /// How many workers are wanted so far.
    fn wanted(&self, plan: &PlanFacts) -> u32 {
        self.wanted.or(plan.workers_at_start).unwrap_or_else(|| plan.places())
    }

    fn reached(&mut self, scaled: &Scaled) -> Result<(), String> {
        let asked = Scaled { reached_ns: None, ..scaled.clone() };
        match self.open.take() {
            Some(open) if open == asked => Ok(()),
            Some(open) => Err(format!(
                "stage {} had gone from {} to {} workers as asked at {} ns, and was asked to go from {} to {} at {} ns",
                scaled.stage, scaled.from, scaled.to, scaled.ordered_ns, open.from, open.to, open.ordered_ns
            )),
            None => {
                Err(format!("stage {} had {} workers, and had not been asked to", scaled.stage, scaled.to))
            }
        }
    }

    /// At the end of a run that was carried out in one segment, whose load began at `load_ns`: each stage was ordered, none
    /// before it was due.
    pub(super) fn complete(&self, plan: &PlanFacts, load_ns: Option<u64>) -> Result<(), String> {
        let from = self.newest().unwrap_or(0);
        let wanted = self.wanted(plan);
        if let Some(left_out) = plan.stages.iter().skip(from).find(|planned| planned.workers != wanted) {
            return Err(format!(
                "stage {} asks for {} workers, and the fleet was asked for {wanted} at last",
                left_out.name, left_out.workers
            ));
        }
        let Some(load_ns) = load_ns.filter(|_| plan.load == LoadModel::Open) else { return Ok(()) };
        for (at, ordered_ns) in &self.ordered_ns {
            let due_ns = load_ns.saturating_add(plan.stages[*at].at_ns);
            if ordered_ns.saturating_add(READ_NS) < due_ns {
                return Err(format!(
                    "stage {} was ordered at {ordered_ns} ns, and was due at {due_ns} ns",
                    plan.stages[*at].name
                ));
            }
        }
        Ok(())
    }
}
