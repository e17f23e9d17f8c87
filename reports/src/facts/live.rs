//! What is shown while a run goes on.

use super::Facts;
use crate::runlog::event::Phase;

/// What a progress line shows. Cheap to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveView {
    pub phase: Option<Phase>,
    /// Of the load phase, as all figures below unless they say otherwise.
    pub rounds: u64,
    pub rounds_planned: u64,
    pub warm_up_rounds: u64,
    pub tasks: u64,
    pub answered: u64,
    pub failed: u64,
    pub duplicates: u64,
    /// `None` before the first task.
    pub delivery: Option<f64>,
    pub coordination_p50_ns: Option<u64>,
    /// `None` below 100 rounds: the sample does not support it.
    pub coordination_p99_ns: Option<u64>,
    pub coordination_max_ns: Option<u64>,
    pub coordination_last_ns: Option<u64>,
    /// Answered tasks a second.
    pub throughput_tasks: Option<f64>,
    /// Fleet processes that the newest sweep saw.
    pub agents_live: Option<u32>,
    /// As many as there are to be; two numbers where the fleet itself decides how many.
    pub agents_planned: (u32, u32),
    /// Over the whole run.
    pub deaths: u64,
    pub alerts: u64,
    /// Sum over the fleet, as the newest sweep that read it saw it.
    pub fleet_pss_bytes: Option<f64>,
}

impl Facts {
    pub fn live(&self) -> LiveView {
        let counts = &self.load.counts;
        let time = &self.load.coordination;
        LiveView {
            phase: self.phase(),
            rounds: counts.rounds,
            rounds_planned: self.header.plan.rounds_planned,
            warm_up_rounds: self.load.warm_up.rounds,
            tasks: counts.tasks,
            answered: counts.answered,
            failed: counts.failed,
            duplicates: counts.duplicates,
            delivery: counts.delivery(),
            coordination_p50_ns: time.quantile_ns(0.5),
            coordination_p99_ns: time.supported_quantile_ns(0.99),
            coordination_max_ns: time.max_ns(),
            coordination_last_ns: self.load.last_coordination_ns,
            throughput_tasks: self.throughput_tasks(),
            agents_live: self.samples.live_last,
            agents_planned: self.samples.scaling.bounds(),
            deaths: self.exits_unexpected.total,
            alerts: self.alerts.total,
            fleet_pss_bytes: self.samples.fleet_pss_last,
        }
    }
}
