//! What a run's records amount to, in bounded memory.
//!
//! [`Facts`] takes one record at a time and holds no more for a month than for a minute: counts,
//! histograms, and series that coarsen themselves. The judge and all renderers read it; the harness
//! feeds it while the run goes on, for progress and for aborts. It knows no criteria: which windows they ask
//! for is handed in. Only the load phase counts for
//! criteria; warm-up is shown and not judged.

pub(crate) mod balance;
pub(crate) mod contention;
mod crossed;
mod cut;
pub(crate) mod deaths;
mod distribution;
mod each;
mod faults;
mod figure;
mod fleet_time;
mod followed;
mod left;
mod listed;
mod live;
mod load;
mod mixed;
mod own;
mod periods;
mod samples;
mod scaling;
mod series;
mod spans;
mod strays;
mod stretches;
mod time_bins;
mod turnover;
mod typical;
mod work;
mod workers;
mod workloads;

use std::collections::BTreeMap;

use crate::runlog::event::{
    AgentExit, AgentInfo, AgentReplaced, Agents, Alert, CommandDone, End, Event, Header, Incident, Ledger,
    Phase, PhaseBegan, Record, Role, Round, Sample, Severity, TaskFailed, Threshold, ThresholdKind, Verify,
    When,
};
use crate::stretch::Stretch;

pub use balance::Balance;
use contention::Contention;
pub use cut::Cut;
use cut::Tail;
pub use distribution::Distribution;
pub(crate) use distribution::samples_needed;
pub use each::{Each, EachSpec, Process};
pub(crate) use faults::joined;
pub use faults::{FaultFacts, Firing, STEADY_NS};
pub use figure::Figure;
pub use fleet_time::FleetTime;
pub use listed::Listed;
pub use live::LiveView;
pub use load::{Counts, LoadFacts, Over, Timed, WindowSpec, Windowed};
pub use mixed::{MixedWork, Proof};
pub use own::{Held, OwnFacts};
pub use periods::{Periods, Worst};
pub use samples::{Gauge, SampleFacts};
pub use scaling::Scaling;
pub use series::{Bin, Medians, STEPS_MAX, Series, Windows};
pub use spans::{Gap, Span, Spans};
pub use strays::{Stray, Strays};
use stretches::Stretches;
pub use time_bins::{TimeBin, TimeBins};
pub use typical::Typical;
pub use work::{WorkFacts, Worked};
pub use workers::{Slow, WorkerFacts, median_ns};
pub use workloads::WorkloadLoad;

/// See the module.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Of the first segment.
    pub header: Header,
    /// One, if the run was not resumed.
    pub segments: u32,
    /// Between the segments.
    pub gaps: Vec<Gap>,
    /// Of the load phase.
    pub spans: Spans,
    /// In order, each with its start.
    pub phases: Vec<(Phase, u64)>,
    pub agents: BTreeMap<u32, AgentInfo>,
    /// Until the last agent had attached.
    pub launch_ns: Option<u64>,
    /// As many bare forks, just before.
    pub bare_forks_ns: Option<u64>,
    pub balance: Balance,
    pub contention: Contention,
    pub load: LoadFacts,
    pub strays: Strays,
    /// Figures of each workload, in the plan's order; empty if the scenario names none.
    pub workloads: Vec<WorkloadLoad>,
    pub samples: SampleFacts,
    pub work: WorkFacts,
    /// What each worker did, as far as the log says it.
    pub workers: WorkerFacts,
    pub mixed: MixedWork,
    pub own: OwnFacts,
    pub exits_unexpected: Listed<AgentExit>,
    pub exits_expected: u64,
    /// Deaths that declared faults explain.
    pub exits_declared: Listed<AgentExit>,
    /// Without the exits.
    pub incidents: Listed<Incident>,
    pub incidents_minor: u64,
    /// What befell living processes and declared faults explain.
    pub incidents_declared: u64,
    pub faults: FaultFacts,
    /// From the end of a process to the moment that the fleet noticed it.
    pub deaths_noticed: Distribution,
    /// From a decision to have another number of processes to the moment that the fleet had it.
    pub resizings: Distribution,
    /// Before the launch and after the end.
    pub commands: Listed<CommandDone>,
    pub alerts: Listed<(u64, Alert)>,
    /// Those that are not informational,
    pub alerts_grave: Listed<Alert>,
    /// and how many of these are critical.
    pub alerts_critical: u64,
    pub task_failures: Listed<TaskFailed>,
    /// Of all segments: as it was when the load had drained, or at the last checkpoint.
    pub ledger: Option<Ledger>,
    /// Of those that have drained.
    pub drained: Option<Ledger>,
    /// How many have one, or a checkpoint.
    pub ledgers: u32,
    /// Segments that count up to a checkpoint.
    pub cuts: Vec<Cut>,
    /// How many have done nothing that a ledger would have.
    idle_segments: u32,
    /// The newest segment has done something of that kind,
    segment_has_tasks: bool,
    /// and its load has begun.
    segment_has_load: bool,
    /// Position of the checkpoint up to which the newest segment counts.
    counted_to: Option<u64>,
    /// Since that checkpoint.
    tail: Option<Tail>,
    /// How long loads went on after checkpoints up to which their segments count.
    pub tail_ns: u64,
    pub verify: Option<Verify>,
    /// After how many segments it was looked.
    pub verified: u32,
    /// The newest segment is one of them.
    segment_verified: bool,
    /// Processes of killed segments that were found when the run went on.
    pub outlived: Vec<String>,
    /// Thresholds that are crossed, as far as the newest segment says.
    pub crossed: BTreeMap<ThresholdKind, Threshold>,
    pub end: Option<End>,
    /// Parts of the load that criteria ask for.
    stretches: Stretches,
    pub records: u64,
    /// Of the newest record.
    pub last_ns: u64,
}

impl Facts {
    /// `windows` are those that criteria will ask for, `each` the figures of single processes, and `stretches` parts of
    /// the load.
    pub fn new(header: &Header, windows: &[WindowSpec], each: &[EachSpec], stretches: &[Stretch]) -> Self {
        let factor = time_factor(header);
        Self {
            load: LoadFacts::new(&header.plan, factor, windows),
            workloads: workloads::all(&header.plan, factor, windows),
            work: WorkFacts::new(&header.plan),
            workers: WorkerFacts::new(&header.plan),
            mixed: MixedWork::new(&header.plan),
            own: OwnFacts::new(header.plan.duration_ns),
            samples: SampleFacts::new(&header.plan, &header.host, factor, each),
            header: header.clone(),
            segments: 1,
            gaps: Vec::new(),
            spans: Spans::default(),
            phases: Vec::new(),
            agents: BTreeMap::new(),
            launch_ns: None,
            bare_forks_ns: None,
            balance: Balance::new(&header.plan),
            contention: Contention::new(&header.plan, windows),
            strays: Strays::new(&header.plan),
            exits_unexpected: Listed::new(),
            exits_expected: 0,
            exits_declared: Listed::new(),
            incidents: Listed::new(),
            incidents_minor: 0,
            incidents_declared: 0,
            faults: FaultFacts::new(header),
            deaths_noticed: Distribution::default(),
            resizings: Distribution::default(),
            commands: Listed::new(),
            alerts: Listed::new(),
            alerts_grave: Listed::new(),
            alerts_critical: 0,
            task_failures: Listed::new(),
            ledger: None,
            drained: None,
            ledgers: 0,
            cuts: Vec::new(),
            idle_segments: 0,
            segment_has_tasks: false,
            segment_has_load: false,
            counted_to: None,
            tail: None,
            tail_ns: 0,
            verify: None,
            verified: 0,
            segment_verified: false,
            outlived: Vec::new(),
            crossed: BTreeMap::new(),
            end: None,
            stretches: Stretches::new(header, stretches),
            records: 0,
            last_ns: 0,
        }
    }

    /// Records in the order of the log, the header included.
    pub fn push(&mut self, record: &Record) {
        if self.records > 0 && matches!(record.event, Event::Header(_)) {
            self.resume(record.t_ns);
            self.looked_back(&record.event);
        }
        self.records += 1;
        self.last_ns = self.last_ns.max(record.t_ns);
        self.segment_has_tasks |= cut::is_of_tasks(&record.event);
        if self.take_after(record) {
            return;
        }
        let mut declared = false;
        match &record.event {
            Event::Header(_) | Event::Clock(_) => {}
            Event::Phase(PhaseBegan { phase }) => {
                self.phases.push((*phase, record.t_ns));
                match phase {
                    Phase::Launch | Phase::WarmUp => {}
                    Phase::Load => self.begin_load(record.t_ns),
                    Phase::Drain | Phase::Verify => self.end_load(record.t_ns),
                }
            }
            Event::Agents(event) => self.introduce(event, record.t_ns),
            Event::AgentReplaced(new) => self.replaced_by(new, record.t_ns),
            Event::AgentExit(exit) => declared = self.exit(exit),
            Event::Incident(incident) => declared = self.incident(incident),
            Event::Fault(step) => self.faults.step(step, &self.agents),
            Event::Scaled(scaled) => self.scaled(scaled),
            Event::Resized(of) => self.resized(of),
            Event::DeathNoticed(of) => self.death_noticed(of),
            Event::Command(command) => self.commands.push(command.clone()),
            Event::Round(round) => self.round(round),
            Event::TaskFailed(failed) => self.task_failures.push(failed.clone()),
            Event::Latency(interval) => self.load.push_latency(interval, &self.spans),
            Event::WorkloadLatency(interval) => {
                let merged = workloads::push_latency(&mut self.workloads, interval, &self.spans);
                self.load.unreadable(merged);
            }
            Event::Sample(sample) => self.sweep(sample),
            Event::SampleMissed(missed) => self.samples.push_missed(missed, &self.spans),
            Event::Alert(alert) => {
                self.alerts_critical += u64::from(alert.severity == Severity::Critical);
                if alert.severity > Severity::Info {
                    self.alerts_grave.push(alert.clone());
                }
                self.alerts.push((record.t_ns, alert.clone()));
            }
            Event::Ledger(ledger) => self.drained(ledger),
            Event::Threshold(step) => self.threshold(record.t_ns, step),
            Event::Checkpoint(checkpoint) => self.check_point(record, checkpoint),
            Event::Workers(workers) => self.workers.push(workers),
            Event::Verify(verify) => self.left(verify),
            Event::End(end) => self.end = Some(end.clone()),
        }
        self.divide(record, declared);
    }

    fn replaced(&mut self, new: &AgentReplaced, t_ns: u64) {
        self.samples.replaced(new, t_ns);
        self.balance.replaced(new);
        if let Some(agent) = self.agents.get_mut(&new.agent) {
            (agent.pid, agent.start_ticks) = (new.pid, new.start_ticks);
            agent.incarnation = new.incarnation;
        }
    }

    fn introduce(&mut self, event: &Agents, t_ns: u64) {
        self.balance.introduce(&event.agents, t_ns);
        self.launch_ns = Some(self.launch_ns.unwrap_or(0).max(event.launch_ns));
        self.bare_forks_ns = self.bare_forks_ns.or(event.bare_forks_ns);
        for agent in &event.agents {
            self.samples.introduce(agent.id, agent.role);
            self.agents.insert(agent.id, agent.clone());
        }
    }

    /// Whether a declared fault explains it.
    fn exit(&mut self, exit: &AgentExit) -> bool {
        self.balance.exit(exit);
        self.samples.exit(exit);
        if exit.expected {
            self.exits_expected += 1;
            self.faults.retired(exit, &self.agents);
        } else if self.faults.explains(exit, self.agents.get(&exit.agent)) {
            self.exits_declared.push(exit.clone());
            return true;
        } else {
            self.exits_unexpected.push(exit.clone());
        }
        false
    }

    /// Whether a declared fault explains it.
    fn incident(&mut self, incident: &Incident) -> bool {
        let declared = self.faults.disturbs(incident);
        if declared {
            self.incidents_declared += 1;
        } else {
            self.incidents_minor += u64::from(incident.kind.severity() == Severity::Minor);
            self.incidents.push(incident.clone());
        }
        declared
    }

    fn round(&mut self, round: &Round) {
        self.work.round(round);
        self.mixed.round(round);
        self.faults.settle(round, &self.agents);
        self.faults.round(round);
        self.balance.round(round);
        self.contention.round(round, self.spans.load_time(round.scheduled_ns));
        self.strays.round(round);
        self.load.push_round(round, &self.spans);
        workloads::push_round(&mut self.workloads, round, &self.spans);
    }

    /// The figures of the workload with this name.
    pub fn workload(&self, name: &str) -> Option<&WorkloadLoad> {
        self.workloads.iter().find(|workload| workload.facts.name == name)
    }

    fn sweep(&mut self, sample: &Sample) {
        let is_worker = |id| self.agents.get(&id).is_some_and(|agent| agent.role == Role::Worker);
        self.work.sample(sample, is_worker);
        self.mixed.sample(sample, is_worker);
        if let Some(row) = sample.agents.iter().find(|row| row.agent == 0) {
            let at_ns = sample.started_ns;
            let load_ns = self.spans.contains(at_ns).then(|| self.spans.load_time(at_ns));
            self.own.push(row, load_ns);
        }
        let is_taken = self.faults.take_host(self.samples.swept_ns(), sample.started_ns);
        let excused = self.faults.excused(sample.started_ns);
        let is_excused = self.samples.push(sample, &self.spans, excused, is_taken);
        self.faults.sweeps_excused += u64::from(is_excused);
        self.contention.sweep(sample, self.samples.used_last, is_worker);
    }

    fn begin_load(&mut self, t_ns: u64) {
        self.segment_has_load = true;
        self.spans.begin(t_ns);
        self.samples.begin_load(t_ns);
    }

    /// A command before the launch failed: there was no fleet.
    pub fn setup_failed(&self) -> bool {
        self.agents.is_empty() && self.commands.items.iter().any(|c| c.failed && c.when == When::SetUp)
    }

    pub fn phase(&self) -> Option<Phase> {
        self.phases.last().map(|p| p.0)
    }

    pub fn load_start_ns(&self) -> Option<u64> {
        self.spans.start_ns()
    }

    /// The start of what came after the load; of the last segment, if there are more.
    pub fn load_end_ns(&self) -> Option<u64> {
        self.spans.end_ns()
    }

    /// Observed length of the load phase so far, without gaps: to its end, to the newest record, or to the checkpoint up to which it
    /// counts.
    pub fn load_ns(&self) -> u64 {
        self.spans.length_ns(self.judged_ns())
    }

    /// The same with gaps: how far the series of the load phase reach.
    pub fn load_extent_ns(&self) -> u64 {
        self.spans.extent_ns(self.judged_ns())
    }

    /// Of all gaps together: what the series reach over and the load does not.
    pub fn gaps_ns(&self) -> u64 {
        self.gaps.iter().map(Gap::length_ns).sum()
    }

    /// Whether the log was written in a version that has what came with `minor` of format 2.
    pub fn has(&self, minor: u16) -> bool {
        self.header.format.has(minor)
    }

    /// Scenario time over real time: 1, or the factor of a rehearsal.
    pub fn time_factor(&self) -> f64 {
        time_factor(&self.header)
    }

    /// Bus messages a second.
    pub fn throughput_messages(&self) -> Option<f64> {
        self.throughput_tasks().map(|rate| rate * f64::from(self.header.plan.messages_per_task))
    }

    pub fn role_of(&self, agent: u32) -> Option<Role> {
        if agent == 0 { Some(Role::Harness) } else { self.agents.get(&agent).map(|a| a.role) }
    }

    pub fn agent_name(&self, agent: u32) -> String {
        match self.agents.get(&agent) {
            Some(info) => info.name.clone(),
            None if agent == 0 => "harness".into(),
            None => format!("agent {agent}"),
        }
    }

    /// Answered tasks a second: from the start of the load to its end or its last answer.
    pub fn throughput_tasks(&self) -> Option<f64> {
        self.per_second(self.load.counts.answered)
    }

    /// So many over the time from the start of the load to its end or its last answer.
    pub fn per_second(&self, count: u64) -> Option<f64> {
        self.load_start_ns()?;
        let end = self.load_end_ns().unwrap_or(0).max(self.load.last_finished_ns?);
        let seconds = self.spans.load_time(end) as f64 / 1e9;
        (seconds > 0.0).then(|| count as f64 / seconds)
    }
}

/// Scenario time over real time, as the header has it.
pub(crate) fn time_factor(header: &Header) -> f64 {
    header.rehearsal.filter(|f| f.is_finite() && *f > 0.0).unwrap_or(1.0)
}
