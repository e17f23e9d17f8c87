//! Everything that can be decided before the first fork, in a value that can be printed and compared.

use super::alerts::Alerts;
use super::decidable::{self, Undecidable};
use super::fault::{self, Calendar, Fault};
use super::load::{Load, Starts};
use super::reach;
use super::rehearsal::Rehearsal;
use super::root::Scenario;
use super::sampling::Sampling;
use super::setup::Step;
use super::shm::Room;
use super::stage::{self, SizeStep, Stage};
use super::unit::nanos;
use super::workload::{self, Mix, Plotted, Workload};
use super::{criterion, seed};
use crate::system::{FleetSpec, SystemSpec};
use coordinator::config::{Agent, FleetShape, Policy};
use reports::criterion::{Criterion, HostLimits, Known, MetricId, Planned};
use reports::runlog::event::{CriterionSpec, PlanFacts, RoomFacts, ScenarioFacts, SourceText, Topology};
use std::time::Duration;

/// What the command line adds to a scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanOptions {
    /// Takes precedence over the file's own.
    pub seed: Option<u64>,
    /// Used if neither the command line nor the file has one.
    pub fallback_seed: u64,
    pub rehearsal: Option<Rehearsal>,
}

/// A scenario with every choice made.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    scenario: Scenario,
    system: SystemSpec,
    seed: u64,
    rehearsal: Option<Rehearsal>,
    rounds_planned: Option<u64>,
    notes: Vec<String>,
    undecidable: Vec<Undecidable>,
    calendar: Calendar,
}

/// What a criterion asks, as far as the grammar takes it.
fn texts(spec: &CriterionSpec) -> impl Iterator<Item = Criterion> {
    let texts = std::iter::once(spec.pass.as_str()).chain(spec.conditional.as_deref());
    texts.filter_map(|text| Criterion::parse(text).ok())
}

fn words(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| step.words.clone()).collect()
}

/// The fleet's, with the program that its workers keep running.
fn policy(scenario: &Scenario) -> Policy {
    let mut policy = scenario.fleet.policy;
    if let Some(program) = scenario.mix.agent() {
        let (command, env) = (program.command.clone(), program.env.clone());
        let agent = Agent { command, env, cwd: program.cwd.as_ref().map(Into::into) };
        // Policies are copied and so refer to it: one a plan, as long as the process lives.
        policy.agent = Some(Box::leak(Box::new(agent)));
        policy.agent_startup = program.start_timeout;
    }
    policy
}

impl Plan {
    pub fn new(mut scenario: Scenario, options: &PlanOptions) -> Self {
        let seed = options.seed.or(scenario.seed).unwrap_or(options.fallback_seed);
        // Of a file that names a seed, a run with another one is not what the file states.
        if scenario.seed.is_some_and(|stated| stated != seed) {
            scenario.facts.overrides.push(format!("seed={seed}"));
        }
        assert!(!scenario.load.duration().is_zero(), "a load without a duration passed the checks");
        assert!(!scenario.sampling.every().is_zero(), "sweeps without a pause passed the checks");
        let fleet = FleetSpec { shape: scenario.fleet.shape, policy: policy(&scenario) };
        let system = SystemSpec::Fleet(fleet);
        let mut plan = Self {
            scenario,
            system,
            seed,
            rehearsal: options.rehearsal,
            rounds_planned: None,
            notes: Vec::new(),
            undecidable: Vec::new(),
            calendar: Calendar::default(),
        };
        let duration = plan.load().duration();
        if let Some(rehearsal) = options.rehearsal {
            plan.compress(rehearsal.factor());
        }
        if options.rehearsal.is_some() {
            let clashes =
                fault::rehearsed_overlaps(&plan.scenario.faults, plan.load().duration(), plan.shape());
            plan.notes.extend(clashes);
        }
        plan.calendar = Calendar::new(&plan.scenario.faults, plan.shape(), plan.load().duration(), plan.seed);
        plan.rounds_planned = plan.starts().map(|starts| starts.remaining());
        plan.undecidable = plan.what_is_open(duration);
        plan.notes.extend(plan.undecidable.iter().map(|found| found.note.clone()));
        plan.notes.extend(decidable::without_effect(&plan.scenario.criteria, plan.rounds_planned.is_some()));
        plan.notes.extend(fault::notes(&plan.scenario.faults, &plan.calendar, plan.load().duration()));
        plan
    }

    /// Criteria that no run of it can decide. `duration` is that of the scenario, before a rehearsal.
    fn what_is_open(&self, duration: Duration) -> Vec<Undecidable> {
        let shape = self.shape();
        let workers = shape.coordinators() * shape.workers_per_coordinator();
        let run = decidable::Run {
            duration,
            rehearsed: self.load().duration(),
            factor: self.rehearsal.map_or(1.0, Rehearsal::factor),
            rounds: self.rounds_planned,
            tasks_per_round: self.tasks_for_any().unwrap_or(workers),
            sampling: self.sampling(),
            mix: self.mix(),
            faults: self.faults(),
            calendar: &self.calendar,
            policy: self.fleet_policy(),
            changes_size: self.workers_least().is_some(),
        };
        decidable::undecidable(self.criteria(), &run)
    }

    /// The same with so many workers under each coordinator at most: at least 1, and no more than it has. Only of a plan that
    /// [`Self::is_partial`]. Nothing if so few have no room for the tasks of a round.
    pub fn with_room_for(&self, workers: u32) -> Option<Self> {
        assert!(self.is_partial(), "the scenario does not allow fewer workers");
        let mut plan = self.clone();
        plan.scenario.fleet = self.scenario.fleet.with_room_for(workers).ok()?;
        let policy = policy(&plan.scenario);
        plan.system = SystemSpec::Fleet(FleetSpec { shape: plan.scenario.fleet.shape, policy });
        plan.calendar = Calendar::new(&plan.scenario.faults, plan.shape(), plan.load().duration(), plan.seed);
        Some(plan)
    }

    /// Whether the fleet may have fewer workers where the host has no room for all.
    pub fn is_partial(&self) -> bool {
        self.scenario.fleet.is_partial()
    }

    /// Of the whole fleet: the workers that the scenario asks for, where the host had no room for all.
    pub fn workers_asked(&self) -> Option<u32> {
        self.scenario.fleet.workers_asked()
    }

    fn compress(&mut self, factor: f64) {
        let Self { scenario: Scenario { mix, load, stages, sampling, faults, criteria, .. }, notes, .. } =
            self;
        mix.compress(factor);
        load.compress(factor, notes);
        for stage in stages {
            stage.compress(factor, notes);
        }
        sampling.compress(factor, notes);
        for fault in faults {
            fault.compress(factor, notes);
        }
        for spec in criteria {
            criterion::compress_grace(spec, factor);
        }
    }

    pub fn name(&self) -> &str {
        &self.scenario.facts.name
    }

    pub fn asks(&self) -> &str {
        &self.scenario.facts.asks
    }

    /// For the log's header.
    /// The texts that it was read from.
    pub fn sources(&self) -> &[SourceText] {
        &self.scenario.sources
    }

    pub fn scenario_facts(&self) -> &ScenarioFacts {
        &self.scenario.facts
    }

    /// Whether a run of it can do nothing else than one of `other`, whatever the command line has said.
    pub fn does_the_same_as(&self, other: &Self) -> bool {
        let unnamed = |plan: &Self| {
            let mut scenario = plan.scenario.clone();
            scenario.facts.overrides.clear();
            scenario
        };
        unnamed(self) == unnamed(other)
    }

    /// The root; derive others with [`Self::child_seed`].
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The seed of the part of the run called `name`.
    pub fn child_seed(&self, name: &str) -> u64 {
        seed::child(self.seed, name)
    }

    pub fn rehearsal(&self) -> Option<Rehearsal> {
        self.rehearsal
    }

    pub fn topology(&self) -> Topology {
        self.scenario.fleet.topology
    }

    pub fn shape(&self) -> &FleetShape {
        &self.scenario.fleet.shape
    }

    /// What the fleet does about deaths, failures, hangs and load.
    pub fn fleet_policy(&self) -> &Policy {
        &self.scenario.fleet.policy
    }

    /// What is under test.
    pub fn system(&self) -> SystemSpec {
        self.system
    }

    /// What tasks can be.
    pub fn mix(&self) -> &Mix {
        &self.scenario.mix
    }

    /// What each workload of [`Self::mix`] asks of defective workers; nothing if they are to have no defect.
    pub fn sabotage(&self) -> Vec<Option<Plotted>> {
        let plot = |(index, part): (usize, &workload::Part)| match &part.workload {
            Workload::Saboteur(saboteur) => {
                let seed = self.child_seed(&format!("saboteur/{index}"));
                Some(saboteur.plot(self.shape(), self.load().duration(), seed))
            }
            _ => None,
        };
        self.mix().parts().iter().enumerate().map(plot).collect()
    }

    /// The seed from which [`Mix::of_task`] draws.
    pub fn mix_seed(&self) -> u64 {
        workload::seed_of(self.seed)
    }

    /// Commands before the launch.
    pub fn setup(&self) -> &[Step] {
        &self.scenario.setup
    }

    /// Commands after the end.
    pub fn teardown(&self) -> &[Step] {
        &self.scenario.teardown
    }

    /// What people are told of while a run goes on.
    pub fn alerts(&self) -> &Alerts {
        &self.scenario.alerts
    }

    pub fn load(&self) -> &Load {
        &self.scenario.load
    }

    /// In order; none if the fleet keeps its size and the load its pace.
    pub fn stages(&self) -> &[Stage] {
        &self.scenario.stages
    }

    /// When the fleet is to have another number of workers.
    pub fn size_steps(&self) -> Vec<SizeStep> {
        let fleet = &self.scenario.fleet;
        stage::steps(self.stages(), fleet.workers_at_start() / self.shape().coordinators())
    }

    /// Of the whole fleet.
    pub fn workers_at_start(&self) -> u32 {
        self.scenario.fleet.workers_at_start()
    }

    /// Of the whole fleet: the fewest at any time. Nothing if their number never changes.
    pub fn workers_least(&self) -> Option<u32> {
        self.scenario.fleet.workers_least()
    }

    pub fn coordinators_at_start(&self) -> u32 {
        self.scenario.fleet.coordinators_at_start()
    }

    /// The fewest at any time. Nothing if their number never changes.
    pub fn coordinators_least(&self) -> Option<u32> {
        self.scenario.fleet.coordinators_least()
    }

    /// The fewest at any time, with the supervisor.
    pub fn processes_least(&self) -> u32 {
        self.scenario.fleet.processes_least()
    }

    /// Whether the fleet itself decides how many workers it has.
    pub fn follows_load(&self) -> bool {
        self.workers_least().is_some() && self.stages().is_empty()
    }

    /// The scheduled starts of the load's rounds, from its beginning on; nothing in a closed loop.
    pub fn starts(&self) -> Option<Starts> {
        self.load().starts(&stage::paces(self.stages()), self.child_seed("arrivals"))
    }

    /// The same for the warm-up.
    pub fn warm_up_starts(&self) -> Option<Starts> {
        self.load().warm_up_starts(self.child_seed("arrivals of the warm-up"))
    }

    /// Rounds whose scheduled start lies in the load phase; nothing in a closed loop.
    pub fn rounds_planned(&self) -> Option<u64> {
        self.rounds_planned
    }

    /// Tasks of a round for any worker; nothing if a round has one task for each worker.
    pub fn tasks_for_any(&self) -> Option<u32> {
        let shape = self.shape();
        self.load().tasks_for_any(shape.coordinators() * shape.workers_per_coordinator())
    }

    pub fn sampling(&self) -> &Sampling {
        &self.scenario.sampling
    }

    /// As declared, in the order of the file.
    pub fn faults(&self) -> &[Fault] {
        &self.scenario.faults
    }

    /// Faults that a host cannot carry out where its control groups have one tree for all controllers.
    pub fn grouped(&self) -> Vec<fault::Grouped> {
        fault::grouped(self.faults(), self.load().duration(), self.shape())
    }

    /// What a file system of the run's own for shared memory can hold; nothing if the fleet uses that of the host.
    pub fn private_shm(&self) -> Option<Room> {
        self.scenario.private_shm
    }

    /// Whether calls of the fleet are to fail, so that it must be started below a filter.
    pub fn traps_calls(&self) -> bool {
        self.faults().iter().any(|fault| fault.action().kind().is_of_calls())
    }

    /// When each fault fires, and into which places.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    pub fn criteria(&self) -> &[CriterionSpec] {
        &self.scenario.criteria
    }

    /// Whether a criterion, judged or not, is over this metric.
    pub fn asks_for(&self, metric: MetricId) -> bool {
        let of = |spec: &CriterionSpec| Criterion::parse(&spec.pass).ok().map(|c| c.metric().id);
        self.criteria().iter().any(|spec| of(spec) == Some(metric))
    }

    /// The directories that faults are done to, each once. Without a name it is that of the run.
    pub fn covered(&self) -> Vec<Option<&str>> {
        let mut all: Vec<Option<&str>> = Vec::new();
        for dir in self.faults().iter().filter_map(Fault::covers) {
            if !all.contains(&dir) {
                all.push(dir);
            }
        }
        all
    }

    /// Whether it has a fault on a directory.
    pub fn covers_disks(&self) -> bool {
        !self.covered().is_empty()
    }

    /// What a reader of the plan should know and no figure says; a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Criteria that no run of it can decide; each is among the notes.
    pub fn undecidable(&self) -> &[Undecidable] {
        &self.undecidable
    }

    /// How far its figures can go.
    fn reach(&self) -> Planned {
        let scenario = &self.scenario;
        reach::planned(&scenario.fleet, &scenario.mix, &scenario.load, &scenario.stages, scenario.private_shm)
    }

    /// Those of other criteria that no run of it could fail, or none pass: names, each with a sentence fragment.
    pub fn settles(&self, criteria: &[CriterionSpec]) -> Vec<(String, String)> {
        let plan = self.reach();
        let known = Known { plan: Some(&plan), host: None };
        let why = |spec: &CriterionSpec| {
            let lacks = |criterion: &Criterion| {
                plan.lacks(criterion).map(|(what, hint)| format!("the run has {what}; {hint}"))
            };
            let settled = |criterion: &Criterion| criterion.is_settled(known).map(|unsound| unsound.message);
            let why = texts(spec).find_map(|criterion| lacks(&criterion).or_else(|| settled(&criterion)))?;
            Some((spec.name.clone(), why))
        };
        criteria.iter().filter_map(why).collect()
    }

    /// Criteria that this host alone decides; a sentence each.
    pub fn settled_by(&self, host: &HostLimits) -> Vec<String> {
        let plan = self.reach();
        let by = |host| Known { plan: Some(&plan), host };
        self.criteria()
            .iter()
            .flat_map(texts)
            // Of a rehearsal, the plan may settle more than that of the scenario itself.
            .filter(|criterion| criterion.is_settled(by(None)).is_none())
            .filter_map(|criterion| criterion.is_settled(by(Some(host))))
            .map(|unsound| format!("{}; {}", unsound.message, unsound.hint))
            .collect()
    }

    /// Whether no criterion that is judged can be decided: a run of it could only end INCONCLUSIVE.
    pub fn is_undecidable(&self) -> bool {
        let is_open =
            |spec: &CriterionSpec| self.undecidable.iter().any(|found| found.criterion == spec.name);
        self.criteria().iter().filter(|spec| !spec.informational).all(is_open)
    }

    /// From the first round to the end of the load, without launch and drain.
    pub fn expected_duration(&self) -> Duration {
        self.load().warm_up() + self.load().duration()
    }

    pub fn facts(&self) -> PlanFacts {
        let (shape, load, sampling) = (self.shape(), self.load(), self.sampling());
        PlanFacts {
            topology: self.topology(),
            coordinators: shape.coordinators(),
            workers_per_coordinator: shape.workers_per_coordinator(),
            processes: shape.processes(),
            shm_bytes: shape.shm_bytes(),
            fds_max: shape.fds_max(),
            workload: self.mix().words(),
            load: load.model(),
            round_every_ns: load.every().map_or(0, nanos),
            warm_up_ns: nanos(load.warm_up()),
            duration_ns: nanos(load.duration()),
            rounds_planned: self.rounds_planned.unwrap_or(0),
            task_timeout_ns: nanos(load.task_timeout()),
            rounds_in_flight_max: load.rounds_in_flight_max(),
            sample_every_ns: nanos(sampling.every()),
            pss_every_ns: sampling.pss_every().map_or(0, nanos),
            messages_per_task: self.system().messages_per_task(),
            workloads: self.mix().facts(),
            setup: words(self.setup()),
            teardown: words(self.teardown()),
            cpu_per_task_ns: self.mix().cpu_per_task().map(nanos),
            task_least_ns: self.mix().task_least().map(nanos),
            faults: self.calendar.facts(self.faults(), shape),
            arrivals: load.arrivals(),
            tasks_per_round: self.tasks_for_any(),
            workers_at_start: self.workers_least().map(|_| self.workers_at_start()),
            workers_least: self.workers_least(),
            coordinators_at_start: self.coordinators_least().map(|_| self.coordinators_at_start()),
            coordinators_least: self.coordinators_least(),
            private_shm: self.private_shm().map(|room| RoomFacts { bytes: room.bytes, inodes: room.inodes }),
            workers_asked: self.scenario.fleet.workers_asked(),
            stages: self.stages().iter().map(|stage| stage.facts(shape.coordinators())).collect(),
        }
    }
}
