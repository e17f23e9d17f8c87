//! Whether the records of a log make sense together.
//!
//! A checksum says that a line is what was written; this says that what was written can be true: what a run can
//! be follows from the plan in its header. A pure step function; its memory grows with the number of agents and
//! of rounds in flight, and with nothing else. Whether the fleet did well is for the verdict.

mod agents;
mod bounds;
mod calm;
mod checkpoints;
mod commands;
mod faults;
mod histogram;
mod ledger;
mod load;
mod newest;
mod plan;
mod ranks;
mod segments;
mod since;
mod sizes;
mod stages;
mod sweeps;
mod thresholds;
mod workers;
mod workloads;

use std::sync::Arc;

use super::event::{
    AgentExit, AgentId, Agents, Alert, End, EndReason, Event, Header, Ledger, Phase, PlanFacts, Record,
    Resumes, Round, Sample, Severity, WorkloadLatency,
};
use agents::Census;
use bounds::Bounds;
use checkpoints::Checkpoints;
use commands::Commands;
use faults::Faults;
use load::Rounds;
use newest::newest;
pub(crate) use segments::differs;
use since::{ALERTS_GRADED_SINCE, ALL_ENDS_SINCE, POOL_SINCE};
use sizes::Sizes;
use stages::Stages;
use sweeps::Sweeps;
use thresholds::Thresholds;

/// Two readings of a clock, or of two, are no further apart.
const READ_NS: u64 = 1_000_000;

/// A record that contradicts those before it, or itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {what}")]
pub struct Contradiction {
    pub seq: u64,
    pub what: String,
}

/// Feed it every record in order, and the end of every segment; it stays usable after an error.
#[derive(Debug, Default)]
pub struct Validator {
    records: u64,
    seq: u64,
    header: Option<Arc<Header>>,
    /// The last line of the segment before, between two segments.
    closed: Option<Resumes>,
    resumed: bool,
    t_ns: u64,
    /// Of this segment, in order.
    phases: Vec<Phase>,
    /// When the newest of them began.
    since_ns: u64,
    commands: Commands,
    census: Census,
    /// When the fleet was complete.
    began_ns: u64,
    faults: Faults,
    stages: Stages,
    thresholds: Thresholds,
    sizes: Sizes,
    rounds: Rounds,
    sweeps: Sweeps,
    bounds: Bounds,
    /// An operator was told something: it may be that something could not be read,
    alerted: bool,
    /// or that sweeps were left out.
    doubted: bool,
    ledger: bool,
    /// Of this segment.
    checkpoints: Checkpoints,
    /// Workers that others have replaced in order, as far as the ledger says.
    renewed: Option<u64>,
    /// Attempts at tasks beyond those that the ledger accounts for: given out again after a process had ended.
    given_again: u64,
    /// Whether something was left behind.
    verify: Option<bool>,
    ended: Option<End>,
}

impl Validator {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn step(&mut self, record: &Record) -> Result<(), Contradiction> {
        let first = self.records == 0;
        self.records += 1;
        self.seq = record.seq;
        let verdict = self.check(record, first);
        self.t_ns = self.t_ns.max(record.t_ns);
        verdict.map_err(|what| Contradiction { seq: record.seq, what })
    }

    /// What a run that was carried out to its end must have, and the log does not. To be called after the last
    /// record.
    pub fn complete(&self) -> Result<(), Contradiction> {
        self.lacks().map_or(Ok(()), |what| Err(Contradiction { seq: self.seq, what }))
    }

    /// The last record was the end of a complete log.
    pub fn is_complete(&self) -> bool {
        self.ended.is_some()
    }

    /// The log of a segment has no more records, and the run has another segment. `lines` are its good lines,
    /// and `crc` is the checksum of the last of them.
    pub fn end_segment(&mut self, lines: u64, crc: String) {
        let run = self.header.as_ref().map(|header| header.run_id.clone()).unwrap_or_default();
        let counted_to = if self.ledger { None } else { self.checkpoints.last_seq() };
        self.closed = Some(Resumes { run, seq: lines.saturating_sub(1), crc, counted_to, left: None });
    }

    fn check(&mut self, record: &Record, first: bool) -> Result<(), String> {
        if self.ended.is_some() && self.closed.is_none() {
            return Err("a record after the end".into());
        }
        let due = first || self.closed.is_some();
        if due && !matches!(record.event, Event::Header(_)) {
            return Err("the first record is not the header".into());
        }
        if record.t_ns < self.t_ns {
            return Err(format!("time runs backwards: {} ns after {} ns", record.t_ns, self.t_ns));
        }
        if let Some((what, at_ns)) = newest(&record.event).filter(|(_, at_ns)| *at_ns > record.t_ns) {
            return Err(format!("{what} at {at_ns} ns, and it was recorded at {} ns", record.t_ns));
        }
        let own = if let Event::Header(own) = &record.event { Some(&**own) } else { None };
        let header = own.or(self.header.as_deref());
        header.map_or(Ok(()), |header| since::check(&record.event, header.format))?;
        self.event(record)
    }

    fn event(&mut self, record: &Record) -> Result<(), String> {
        let header = self.header.clone();
        let plan = header.as_ref().map(|header| &header.plan);
        match &record.event {
            Event::Header(header) => self.begin_segment(header),
            Event::Phase(began) => self.begin_phase((began.phase, record.t_ns), plan),
            Event::Agents(event) => self.introduced(event, plan, record.t_ns),
            Event::AgentExit(exit) => self.exited(exit, plan),
            Event::Command(command) => {
                let stage = (self.phase(), self.since_ns);
                plan.map_or(Ok(()), |plan| self.commands.done(command, stage, plan))
            }
            Event::Incident(incident) if incident.from_ns < self.began_ns => {
                Err(format!("{} {} before the fleet was there", incident.name, incident.kind.name()))
            }
            Event::Incident(incident) => self.census.incident(incident),
            Event::AgentReplaced(new) => {
                self.census.replace(new)?;
                self.bounds.replaced(&new.name, new.start_ticks, new.seen_ns)
            }
            Event::Fault(step) => {
                self.under_load("a fault")?;
                let is_deadly = plan.is_some_and(|plan| self.faults.ends_targets(step, plan));
                self.census.faulted(step, is_deadly)?;
                plan.map_or(Ok(()), |plan| self.faults.step(step, plan))?;
                self.rounds.faulted(step)
            }
            Event::Scaled(scaled) => plan.map_or(Ok(()), |plan| {
                plan::scaled(scaled, plan)?;
                self.stages.step(scaled, plan)
            }),
            Event::Resized(resized) => plan.map_or(Ok(()), |plan| self.sizes.resized(resized, plan)),
            Event::DeathNoticed(death) => self.census.noticed(death, self.began_ns),
            Event::Round(round) => self.round(round, plan),
            Event::TaskFailed(failed) => {
                self.works(failed.worker)?;
                plan.map_or(Ok(()), |plan| self.rounds.task_failed(failed, plan))
            }
            Event::Latency(interval) => {
                self.under_load("latencies")?;
                let extent = self.rounds.latency(interval)?;
                self.bounds.latency(interval, extent)
            }
            Event::WorkloadLatency(interval) => self.workload_latency(interval, plan),
            Event::Sample(sample) => self.sample(sample, plan),
            Event::SampleMissed(missed) => self.sweeps.missed(missed, plan, self.doubted),
            Event::Alert(alert) => self.alert(alert),
            Event::Clock(clock) => self.bounds.clock(clock, record.t_ns),
            Event::Threshold(step) => self.thresholds.step(step),
            Event::Checkpoint(checkpoint) => self.checkpoint(checkpoint, plan),
            Event::Workers(workers) => self.workers(workers, plan),
            Event::Ledger(ledger) => self.ledger(ledger, plan),
            Event::Verify(verify) => self.verified(!verify.processes_left.is_empty()),
            Event::End(end) => {
                self.ended = Some(end.clone());
                self.bounds.end(end, (record.t_ns, self.t_ns))
            }
        }
    }

    fn alert(&mut self, alert: &Alert) -> Result<(), String> {
        if alert.text.is_empty() {
            return Err("an alert that says nothing".into());
        }
        // Before 2.4 an alert's severity was for its readers alone.
        let is_graded = self.header.as_ref().is_some_and(|header| header.format.has(ALERTS_GRADED_SINCE));
        self.alerted = true;
        self.doubted |= !is_graded || alert.severity > Severity::Info;
        Ok(())
    }

    fn ledger(&mut self, ledger: &Ledger, plan: Option<&PlanFacts>) -> Result<(), String> {
        if std::mem::replace(&mut self.ledger, true) {
            return Err("a second ledger".into());
        }
        self.checkpoints.before_ledger(ledger, self.bounds.losses())?;
        if let Some(plan) = plan {
            let has_pool = self.header.as_ref().is_some_and(|header| header.format.has(POOL_SINCE));
            ledger::check(ledger, plan, has_pool)?;
            ledger::bounded(ledger, plan, self.bounds.losses())?;
            self.rounds.booked(ledger, plan, self.census.deaths())?;
        }
        (self.renewed, self.given_again) = (ledger::renewed(ledger), ledger::given_again(ledger));
        self.bounds.ledger(ledger)
    }

    fn introduced(&mut self, event: &Agents, plan: Option<&PlanFacts>, t_ns: u64) -> Result<(), String> {
        if self.began_ns == 0 {
            self.began_ns = t_ns;
        }
        self.census.introduce(event, plan)?;
        self.bounds.introduced(&event.agents, t_ns)
    }

    fn exited(&mut self, exit: &AgentExit, plan: Option<&PlanFacts>) -> Result<(), String> {
        if exit.seen_ns < self.began_ns {
            return Err(format!("{} had ended before the fleet was there", exit.name));
        }
        self.census.exit(exit, self.phase(), plan)?;
        if self.census.is_death_of_coordinator(exit) {
            self.rounds.coordinator_died(exit.seen_ns);
        }
        self.bounds.exit((exit.agent, &exit.name), (exit.incarnation, exit.expected), exit.seen_ns)
    }

    fn verified(&mut self, left: bool) -> Result<(), String> {
        match self.verify.replace(left) {
            Some(_) => Err("what is left is looked for twice".into()),
            None if self.phase() != Some(Phase::Verify) => {
                Err(format!("what is left is looked for in phase {:?}", self.phase()))
            }
            None => Ok(()),
        }
    }

    fn phase(&self) -> Option<Phase> {
        self.phases.last().copied()
    }

    fn begin_phase(&mut self, (phase, t_ns): (Phase, u64), plan: Option<&PlanFacts>) -> Result<(), String> {
        self.bounds.phase(phase, t_ns);
        self.since_ns = t_ns;
        if self.phase() >= Some(phase) {
            return Err(format!("phase {phase:?} after {:?}", self.phase()));
        }
        self.phases.push(phase);
        if phase == Phase::Launch {
            self.sizes = Sizes::since(self.since_ns);
        }
        match (phase, plan) {
            (Phase::WarmUp | Phase::Load, Some(plan)) => self.census.begin(plan),
            _ => Ok(()),
        }
    }

    /// What only a fleet that is there can bring about.
    fn under_load(&self, what: &str) -> Result<(), String> {
        match self.phase() {
            Some(Phase::Verify) => Err(format!("{what} after the fleet was stopped")),
            _ => Ok(()),
        }
    }

    fn workload_latency(
        &mut self,
        interval: &WorkloadLatency,
        plan: Option<&PlanFacts>,
    ) -> Result<(), String> {
        self.under_load("latencies")?;
        plan.map_or(Ok(()), |plan| self.rounds.workloads.latency(interval, plan))?;
        self.bounds.workload_latency(interval)
    }

    /// What the plan names was done, and when it says.
    fn carried_out(&self, plan: &PlanFacts) -> Result<(), String> {
        self.commands.complete(plan)?;
        self.stages.complete(plan, self.bounds.load_due_ns())?;
        self.census.killed(&self.faults.killed(plan))?;
        self.faults.complete(plan, self.bounds.load_due_ns())?;
        // Who was told something may have missed a notice; and older writers began with what was not reached.
        let has_all = self.header.as_ref().is_some_and(|header| header.format.has(ALL_ENDS_SINCE));
        let is_one = |name: &str| self.census.is_one_process(name);
        if has_all && !self.alerted { self.sizes.complete(is_one) } else { Ok(()) }
    }

    fn works(&self, worker: AgentId) -> Result<(), String> {
        self.census.knows(worker)?;
        if worker == 0 || self.census.is_worker(worker) {
            Ok(())
        } else {
            Err(format!("agent {worker} failed a task, and is no worker"))
        }
    }

    fn round(&mut self, r: &Round, plan: Option<&PlanFacts>) -> Result<(), String> {
        if u64::from(r.tasks) != u64::from(r.answered) + u64::from(r.failed) {
            return Err(format!(
                "round {}: {} tasks, but {} answered and {} failed",
                r.round, r.tasks, r.answered, r.failed
            ));
        }
        if r.started_ns < r.scheduled_ns || r.finished_ns < r.started_ns {
            return Err(format!("round {} was over before it began", r.round));
        }
        if !matches!(r.phase, Phase::WarmUp | Phase::Load) || Some(r.phase) > self.phase() {
            return Err(format!("round {} of phase {:?} in {:?}", r.round, r.phase, self.phase()));
        }
        if r.corrupt > r.failed {
            return Err(format!("round {}: more corrupt answers than failed tasks", r.round));
        }
        if r.contradicted > r.failed {
            return Err(format!("round {}: more contradicted answers than failed tasks", r.round));
        }
        if r.causes.total() + u64::from(r.corrupt) + u64::from(r.contradicted) > u64::from(r.failed) {
            return Err(format!("round {}: more reasons than failed tasks", r.round));
        }
        self.under_load("a round")?;
        plan.map_or(Ok(()), |plan| self.rounds.round(r, plan, self.began_ns))?;
        self.bounds.round(r, plan.and_then(|plan| plan.task_least_ns.max(plan.cpu_per_task_ns)))
    }

    fn sample(&mut self, sample: &Sample, plan: Option<&PlanFacts>) -> Result<(), String> {
        self.under_load("a sweep")?;
        self.sweeps.due((sample.sweep, sample.due_ns), plan, self.doubted)?;
        if let Some(plan) = plan {
            sweeps::check(sample, plan)?;
        }
        self.census.sample(sample)?;
        if self.census.has_all_coordinators(sample) {
            self.rounds.all_coordinators_live(sample.started_ns);
        }
        self.bounds.sample(sample)
    }

    fn lacks(&self) -> Option<String> {
        let end = self.ended.as_ref().filter(|end| end.reason == EndReason::Completed)?;
        let header = self.header.as_ref()?;
        if end.harness_cpu_ns == 0 || end.harness_rss_max_kib == 0 {
            return Some("the harness used no time or no memory".into());
        }
        let warm_up = (header.plan.warm_up_ns > 0 && !self.resumed).then_some(Phase::WarmUp);
        for phase in [Phase::Launch, Phase::Load, Phase::Drain, Phase::Verify].into_iter().chain(warm_up) {
            if !self.phases.contains(&phase) {
                return Some(format!("a run that was carried out, without phase {phase:?}"));
            }
        }
        let left = self.verify.unwrap_or_default();
        let whole = || self.rounds.complete(&header.plan, end);
        self.census
            .complete(&header.plan, left)
            .and_then(|()| self.census.succeeded(&header.plan, self.renewed))
            .and_then(|()| self.census.gave_again(&header.plan, self.given_again, self.renewed))
            .and_then(|()| if self.resumed { Ok(()) } else { whole() })
            .and_then(|()| if self.resumed { Ok(()) } else { self.bounds.complete(header, self.alerted) })
            .and_then(|()| if self.resumed { Ok(()) } else { self.carried_out(&header.plan) })
            .and_then(|()| match self.bounds.load_over_ns(&header.plan) {
                Some(over_ns) if !self.resumed && !self.doubted => {
                    self.sweeps.complete(&header.plan, over_ns)
                }
                _ => Ok(()),
            })
            .err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runlog::event::{PhaseBegan, SampleMissed};

    /// The first contradiction after a header that is taken for granted.
    fn first(events: Vec<(u64, Event)>) -> Option<String> {
        let mut validator = Validator { records: 1, ..Validator::new() };
        (1..)
            .zip(events)
            .find_map(|(seq, (t_ns, event))| validator.step(&Record { seq, t_ns, event }).err())
            .map(|c| c.to_string())
    }

    fn phase(phase: Phase) -> Event {
        Event::Phase(PhaseBegan { phase })
    }

    fn missed(sweep: u64) -> Event {
        Event::SampleMissed(SampleMissed { sweep, due_ns: 0, reason: "late".to_owned() })
    }

    #[test]
    fn phases_come_in_order_and_once() {
        assert_eq!(first(vec![(0, phase(Phase::Launch)), (1, phase(Phase::Load))]), None);
        for bad in [Phase::Load, Phase::WarmUp] {
            let found = first(vec![(0, phase(Phase::Load)), (1, phase(bad))]).unwrap();
            assert!(found.starts_with("record 2: phase"), "{found}");
        }
    }

    #[test]
    fn time_and_sweeps_do_not_run_backwards() {
        assert!(first(vec![(5, missed(0)), (4, missed(1))]).unwrap().contains("backwards"));
        assert!(first(vec![(0, missed(3)), (1, missed(3))]).unwrap().contains("counted twice"));
    }

    #[test]
    fn the_first_record_is_the_header_and_no_other() {
        let alert = || Event::Alert(Alert { severity: Severity::Info, text: "a round was late".into() });
        let mut validator = Validator::new();
        assert!(validator.step(&Record { seq: 0, t_ns: 0, event: alert() }).is_err());
        assert_eq!(first(vec![(0, alert())]), None);
    }
}
