//! How soon a fleet has another size, and knows of a death.

use super::Facts;
use crate::runlog::event::{AgentReplaced, DeathNoticed, Resized, Scaled};

impl Facts {
    pub(super) fn scaled(&mut self, scaled: &Scaled) {
        self.samples.scaling.push(scaled);
        if let Some(reached_ns) = scaled.reached_ns {
            self.resizings.record(reached_ns.saturating_sub(scaled.ordered_ns));
            if scaled.to < scaled.from {
                self.faults.shrunk(reached_ns, &self.agents);
            }
        }
    }

    pub(super) fn resized(&mut self, resized: &Resized) {
        self.resizings.record(resized.reached_ns.saturating_sub(resized.decided_ns));
        self.faults.resized(resized);
    }

    pub(super) fn replaced_by(&mut self, new: &AgentReplaced, t_ns: u64) {
        self.faults.replaced(new);
        self.replaced(new, t_ns);
    }

    pub(super) fn death_noticed(&mut self, of: &DeathNoticed) {
        let killed_ns = self.faults.killed(of.pid).unwrap_or(u64::MAX);
        self.deaths_noticed.record(of.noticed_ns.saturating_sub(of.ended_ns.min(killed_ns)));
    }
}
