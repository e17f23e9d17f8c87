//! When sweeps were due, and which of them are in the log.

use crate::runlog::event::{HostSample, PlanFacts, Sample, SampleMissed};

/// Two clocks are read one after the other.
const CLOCKS_APART_NS: u64 = 10_000_000;

#[derive(Debug, Default)]
pub(super) struct Sweeps {
    next: u64,
    /// Of the first sweep, were it number 0.
    base: Option<i128>,
    /// Another segment came before.
    resumed: bool,
}

impl Sweeps {
    pub(super) fn of_resumed_segment() -> Self {
        Self { resumed: true, ..Self::default() }
    }

    /// `excused`: the log has said that sweeps were left out.
    pub(super) fn due(
        &mut self,
        (sweep, due_ns): (u64, u64),
        plan: Option<&PlanFacts>,
        excused: bool,
    ) -> Result<(), String> {
        if sweep < self.next {
            return Err(format!("sweep {sweep} is counted twice"));
        }
        let skipped = sweep > self.next && (self.base.is_some() || !self.resumed);
        self.next = sweep.saturating_add(1);
        let Some(plan) = plan else { return Ok(()) };
        if skipped && !excused {
            return Err(format!("sweep {sweep} comes, and the one before is missing"));
        }
        let base = i128::from(due_ns) - i128::from(sweep) * i128::from(plan.sample_every_ns);
        if *self.base.get_or_insert(base) != base {
            return Err(format!("sweep {sweep} was not due when the schedule says"));
        }
        Ok(())
    }

    pub(super) fn missed(
        &mut self,
        missed: &SampleMissed,
        plan: Option<&PlanFacts>,
        excused: bool,
    ) -> Result<(), String> {
        if missed.reason.is_empty() {
            return Err(format!("sweep {} was missed, and the log does not say why", missed.sweep));
        }
        self.due((missed.sweep, missed.due_ns), plan, excused)
    }

    /// At the end of a run that was carried out in one segment: sweeps go on until no more rounds come, which is not before
    /// `load_over_ns`. Each of them is in the log, even if it could not be carried out.
    pub(super) fn complete(&self, plan: &PlanFacts, load_over_ns: u64) -> Result<(), String> {
        let next_ns = self.base.map(|base| base + i128::from(self.next) * i128::from(plan.sample_every_ns));
        match next_ns {
            Some(next_ns) if next_ns < i128::from(load_over_ns) => {
                Err(format!("sweep {} was due before the load was over, and is missing", self.next))
            }
            _ => Ok(()),
        }
    }
}

/// The times of a sweep, and what it says about the host.
pub(super) fn check(sample: &Sample, plan: &PlanFacts) -> Result<(), String> {
    let sweep = sample.sweep;
    if sample.due_ns == 0 || sample.started_ns < sample.due_ns || sample.took_ns == 0 {
        return Err(format!("sweep {sweep} began before it was due, or took no time"));
    }
    if sample.cpu_ns > sample.took_ns.saturating_add(CLOCKS_APART_NS) {
        return Err(format!("sweep {sweep} used more CPU time than it took"));
    }
    if sample.live > plan.processes {
        return Err(format!(
            "sweep {sweep}: {} processes are live, and {} are planned",
            sample.live, plan.processes
        ));
    }
    let HostSample { load1, load5, load15, .. } = sample.host;
    if ![load1, load5, load15].iter().all(|load| load.is_finite() && *load >= 0.0) {
        return Err(format!("sweep {sweep}: a load average that cannot be"));
    }
    Ok(())
}
