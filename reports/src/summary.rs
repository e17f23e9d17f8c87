//! Everything about a run that comparison and gates need, in one value that can be kept.
//!
//! A log is read once and folded into [`Facts`]; a summary is what stays of them: a few hundred kilobytes however
//! long the run was. It is read back exactly as it was written. Deliberately absent: series for plots, and lists
//! that only people read.

use serde::{Deserialize, Serialize};

use crate::facts::{Counts, Distribution, Facts, Figure, Gap, Gauge, Span};
use crate::runlog::event::{AgentExit, BuildFacts, End, Header, HostFacts, Ledger, PlanFacts, Verify};
use crate::scope::Scope;
use crate::units;
use crate::verdict::{Judgement, Verdict};

/// The version of a summary.
pub const SUMMARY_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub version: u32,
    pub identity: Identity,
    pub plan: PlanFacts,
    pub spans: Spans,
    /// Of the load phase, and of the warm-up before it.
    pub counts: Counts,
    pub warm_up: Counts,
    /// Figures of each workload, in the plan's order; empty if the scenario names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadSummary>,
    /// Answered tasks a second, over the spans of the load.
    pub throughput_tasks: Option<f64>,
    pub launch_ns: Option<u64>,
    pub distributions: Distributions,
    /// Of the load phase; without those that no sweep of it has.
    pub gauges: Vec<GaugeSummary>,
    pub sweeps: Sweeps,
    pub exits: Exits,
    pub ledger: Option<Ledger>,
    pub verify: Option<Verify>,
    pub end: Option<End>,
    pub judgement: Judgement,
}

/// One workload of a mix; times in nanoseconds, of the load phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSummary {
    pub name: String,
    /// Of the load phase.
    pub counts: Counts,
    pub task: Distribution,
}

/// Which run it was: what was asked, of which build, on which machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub run_id: String,
    /// RFC 3339, UTC.
    pub started_utc: String,
    pub scenario: String,
    pub scenario_sha256: String,
    pub profile: Option<String>,
    /// As given on the command line.
    pub overrides: Vec<String>,
    pub requirements: Vec<String>,
    pub seed: u64,
    /// Present if the schedule was compressed: by how much.
    pub rehearsal: Option<f64>,
    pub build: BuildFacts,
    /// Identity of the machine, for comparison.
    pub machine: String,
    /// Class of host, for gates.
    pub fingerprint: String,
    pub host: HostFacts,
}

/// On the run's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    pub load: Vec<Span>,
    /// Of the load, gaps left out.
    pub load_ns: u64,
    pub segments: u32,
    pub gaps: Vec<Gap>,
}

/// In nanoseconds, of the load phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distributions {
    pub coordination: Distribution,
    pub task: Distribution,
    pub task_from_send: Distribution,
    pub load_lateness: Distribution,
    pub sampler_lateness: Distribution,
}

/// In base units: bytes, counts, seconds a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaugeSummary {
    pub figure: Figure,
    pub whose: Scope,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// Sweeps of the load phase that have it.
    pub count: u64,
    /// Medians over equal buckets: the middle of the bucket, since the start of the load in ns, and the median.
    pub medians: Vec<(u64, f64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweeps {
    /// Of the load phase.
    pub done: u64,
    pub missed: u64,
    pub gap_max_ns: u64,
    /// Fewest processes that a sweep saw.
    pub live_min: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits {
    pub expected: u64,
    pub unexpected: u64,
    /// The first of those that were not expected.
    pub first: Vec<AgentExit>,
}

impl Summary {
    pub fn of(facts: &Facts, judgement: &Judgement) -> Self {
        let (load, samples) = (&facts.load, &facts.samples);
        Self {
            version: SUMMARY_VERSION,
            identity: Identity::of(&facts.header),
            plan: facts.header.plan.clone(),
            spans: Spans {
                load: facts.spans.iter().copied().collect(),
                load_ns: facts.load_ns(),
                segments: facts.segments,
                gaps: facts.gaps.clone(),
            },
            counts: load.counts,
            warm_up: load.warm_up,
            workloads: facts
                .workloads
                .iter()
                .map(|workload| WorkloadSummary {
                    name: workload.facts.name.clone(),
                    counts: workload.counts,
                    task: workload.task.clone(),
                })
                .collect(),
            throughput_tasks: facts.throughput_tasks(),
            launch_ns: facts.launch_ns,
            distributions: Distributions {
                coordination: load.coordination.clone(),
                task: load.task.clone(),
                task_from_send: load.task_from_send.clone(),
                load_lateness: load.lateness.clone(),
                sampler_lateness: samples.lateness.clone(),
            },
            gauges: samples
                .gauges()
                .filter_map(|(figure, whose, gauge)| GaugeSummary::of(figure, whose, gauge, facts))
                .collect(),
            sweeps: Sweeps {
                done: samples.sweeps,
                missed: samples.missed,
                gap_max_ns: samples.gap_max_ns,
                live_min: samples.live_min,
            },
            exits: Exits {
                expected: facts.exits_expected,
                unexpected: facts.exits_unexpected.total,
                first: facts.exits_unexpected.items.clone(),
            },
            ledger: facts.ledger.clone(),
            verify: facts.verify.clone(),
            end: facts.end.clone(),
            judgement: judgement.clone(),
        }
    }

    /// Why its figures are not those of a fleet that did what it was asked: what fails at once, or is not there, costs less. Nothing if it did,
    /// however long that took.
    pub fn unserved(&self) -> Option<String> {
        let Counts { failed, tasks, .. } = self.counts;
        if failed > 0 {
            return Some(format!(
                "{} of {} failed",
                units::count(failed as f64),
                units::things(tasks, "task")
            ));
        }
        if self.exits.unexpected > 0 {
            let died = units::counted(self.exits.unexpected, "process", "processes");
            return Some(format!("{died} died unasked"));
        }
        let check = self.judgement.evidence.iter().find(|check| check.verdict == Verdict::Fail)?;
        Some(format!("its check `{}` failed", check.name))
    }

    pub fn gauge(&self, figure: Figure, whose: Scope) -> Option<&GaugeSummary> {
        self.gauges.iter().find(|g| (g.figure, g.whose) == (figure, whose))
    }
}

impl Identity {
    pub(crate) fn of(header: &Header) -> Self {
        let scenario = &header.scenario;
        Self {
            run_id: header.run_id.clone(),
            started_utc: header.started_utc.clone(),
            scenario: scenario.name.clone(),
            scenario_sha256: scenario.sha256.clone(),
            profile: scenario.profile.clone(),
            overrides: scenario.overrides.clone(),
            requirements: scenario.requirements.clone(),
            seed: header.seed,
            rehearsal: header.rehearsal,
            build: header.build.clone(),
            machine: header.host.machine.clone(),
            fingerprint: header.host.fingerprint.clone(),
            host: header.host.clone(),
        }
    }
}

impl GaugeSummary {
    fn of(figure: Figure, whose: Scope, gauge: &Gauge, facts: &Facts) -> Option<Self> {
        Some(Self {
            figure,
            whose,
            min: gauge.min,
            max: gauge.max,
            mean: gauge.mean()?,
            count: gauge.count,
            medians: gauge.medians.points(facts.load_extent_ns()),
        })
    }
}
