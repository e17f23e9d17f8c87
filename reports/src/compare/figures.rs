//! The figures that runs are compared by: one value a run, with the least step that it can differ by.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::criterion::{Better, Unit};
use crate::facts::{Counts, Distribution, Figure};
use crate::runlog::event::EndReason;
use crate::scope::Scope;
use crate::stats::Step;
use crate::summary::Summary;
use crate::units;
use crate::verdict::Verdict;

/// A histogram keeps three digits, and no change of another figure below that is worth a word.
const THOUSANDTH: f64 = 1e-3;
/// Logarithms of the same value may differ by so much, by the way they are added up.
const ROUNDING: f64 = 1e-9;

/// What a figure has to say in the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Without an answer to it there is no answer at all.
    Judged,
    /// Differs so much between runs of one build that few runs can settle it: it can show a regression, or raise a doubt if it
    /// is worse for sure, and otherwise holds nothing up.
    Watched,
}

/// What a run has of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FigureValue {
    /// In base units (seconds, bytes, counts), and how far it may be off by the way it is kept.
    Level { value: f64, step: f64 },
    /// So many, among so many.
    Count { count: u64, among: u64 },
}

/// What a figure is, whichever run has it.
#[derive(Debug, Clone, Copy)]
pub struct FigureKind {
    /// As the catalogue of metrics calls it, with the aggregation.
    pub name: &'static str,
    pub unit: Unit,
    pub better: Better,
    pub part: Part,
    of: fn(&Summary) -> Option<FigureValue>,
}

/// One run, as it is compared and kept in a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFigures {
    pub run_id: String,
    /// RFC 3339, UTC.
    pub started_utc: String,
    /// Short commit hash, with `-dirty` where the tree had changes.
    pub commit: String,
    pub verdict: Verdict,
    /// Of what its logs recorded, as [`crate::run_dir::records_sha256`] has it: a copy can have another id, and not other records. Absent
    /// from what was kept before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_sha256: Option<String>,
    /// By name. What the run does not have is absent, and never 0.
    pub figures: BTreeMap<String, FigureValue>,
}

const fn kind(
    name: &'static str,
    (unit, better, part): (Unit, Better, Part),
    of: fn(&Summary) -> Option<FigureValue>,
) -> FigureKind {
    FigureKind { name, unit, better, part, of }
}

const TIME: (Unit, Better, Part) = (Unit::Seconds, Better::Lower, Part::Judged);
const TAIL: (Unit, Better, Part) = (Unit::Seconds, Better::Lower, Part::Watched);
const SIZE: (Unit, Better, Part) = (Unit::Bytes, Better::Lower, Part::Judged);
const AMOUNT: (Unit, Better, Part) = (Unit::Count, Better::Lower, Part::Judged);
/// Figures of one workload; the rest of the name is its label.
const TASK_MEDIAN: &str = "task.time p50";
const TASK_TAIL: &str = "task.time p99";
const FAILED: &str = "delivery.failed";
/// Also of a run whose fleet was lost, which has no other figure.
pub(super) const RUNS_FAILED: &str = "runs.failed";

#[rustfmt::skip]
const KINDS: [FigureKind; 19] = [
    kind("coordination.time p50", TIME, |s| quantile(&s.distributions.coordination, 0.5)),
    kind("coordination.time p99", TAIL, |s| quantile(&s.distributions.coordination, 0.99)),
    kind("coordination.time spread", TAIL, |s| spread(&s.distributions.coordination)),
    kind(TASK_MEDIAN, TIME, |s| quantile(&s.distributions.task, 0.5)),
    kind(TASK_TAIL, TAIL, |s| quantile(&s.distributions.task, 0.99)),
    kind("task.time spread", TAIL, |s| spread(&s.distributions.task)),
    kind("throughput.tasks", (Unit::PerSecond, Better::Higher, Part::Judged), |s| fine(s.throughput_tasks?)),
    kind("memory.pss mean", SIZE, |s| gauge(s, Figure::Pss, |g| g.0, 4096.0)),
    kind("memory.anon mean", SIZE, |s| gauge(s, Figure::Anon, |g| g.0, 4096.0)),
    kind("cpu mean", (Unit::Cores, Better::Lower, Part::Judged), |s| fine(s.gauge(Figure::Cpu, Scope::Fleet)?.mean)),
    kind("fds max", AMOUNT, |s| gauge(s, Figure::Fds, |g| g.1, 1.0)),
    kind("threads max", AMOUNT, |s| gauge(s, Figure::Threads, |g| g.1, 1.0)),
    kind("shm.used max", SIZE, |s| gauge(s, Figure::FleetShm, |g| g.1, 4096.0)),
    kind("launch.time", TAIL, |s| fine(s.launch_ns? as f64 / 1e9)),
    kind(FAILED, AMOUNT, |s| tasks(s, |c| c.failed)),
    kind("delivery.late", AMOUNT, |s| tasks(s, |c| c.late)),
    kind("delivery.duplicates", AMOUNT, |s| tasks(s, |c| c.duplicates)),
    kind("incidents", AMOUNT, |s| Some(FigureValue::Count { count: s.exits.unexpected, among: u64::from(s.plan.processes) })),
    kind(RUNS_FAILED, AMOUNT, |s| Some(FigureValue::Count { count: u64::from(s.judgement.verdict == Verdict::Fail), among: 1 })),
];

/// In the order of the documents.
pub fn figure_kinds() -> &'static [FigureKind] {
    &KINDS
}

/// All figures that some of these runs have, in the order of the documents, labelled ones after the plain one.
pub fn figure_names<'a>(
    runs: impl Iterator<Item = &'a RunFigures>,
) -> impl Iterator<Item = (&'static FigureKind, String)> {
    let all: BTreeSet<String> = runs.flat_map(|run| run.figures.keys().cloned()).collect();
    KINDS.iter().flat_map(move |kind| {
        let is_of = |name: &&String| FigureKind::named(name).is_some_and(|found| found.name == kind.name);
        let mut names: Vec<String> = all.iter().filter(is_of).cloned().collect();
        names.sort_by_key(|name| (name != kind.name, name.clone()));
        names.into_iter().map(move |name| (kind, name))
    })
}

impl FigureKind {
    /// What these values and their steps can differ by, as a share: that of what was kept before it was known is 0.
    pub(super) fn step<'a>(&self, values: impl Iterator<Item = &'a (f64, f64)>) -> Step {
        let is_whole = self.unit == Unit::Count;
        let own = |step: f64| if is_whole { step.max(1.0) } else { step };
        let share = values.map(|(value, step)| own(*step) / value).fold(ROUNDING, f64::max);
        if is_whole { Step::Whole(share) } else { Step::Rounded(share) }
    }

    /// Of a name that may have a label: `task.time{workload="compile"} p50`.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let plain = match (name.find('{'), name.rfind('}')) {
            (Some(open), Some(close)) if open < close => format!("{}{}", &name[..open], &name[close + 1..]),
            _ => name.to_owned(),
        };
        KINDS.iter().find(|kind| kind.name == plain)
    }
}

impl RunFigures {
    /// What `summary` has. `None` of a run that was ended from outside, or whose log has no end: what it has is cut off at some moment, and
    /// says nothing of the build.
    pub fn of(summary: &Summary) -> Option<Self> {
        let reason = summary.end.as_ref()?.reason;
        let is_whole = match reason {
            EndReason::Completed => true,
            EndReason::Interrupted | EndReason::RecordingFailed => return None,
            // The fleet's own doing: the run has failed, and its other figures are cut off.
            EndReason::Aborted | EndReason::FleetLost | EndReason::LaunchFailed => false,
        };
        let identity = &summary.identity;
        let mut figures: BTreeMap<String, FigureValue> = KINDS
            .iter()
            .filter(|kind| is_whole || kind.name == RUNS_FAILED)
            .filter_map(|kind| Some((kind.name.to_owned(), (kind.of)(summary)?)))
            .collect();
        if is_whole {
            figures.extend(of_workloads(summary));
        }
        let dirty = if identity.build.dirty { "-dirty" } else { "" };
        Some(Self {
            run_id: identity.run_id.clone(),
            started_utc: identity.started_utc.clone(),
            commit: format!("{}{dirty}", identity.build.git),
            verdict: summary.judgement.verdict,
            records_sha256: None,
            figures,
        })
    }

    /// Whether both are one run, wherever they were found: by what it recorded, or by its id where that is not known.
    pub(super) fn is_that_of(&self, other: &Self) -> bool {
        let recorded = self.records_sha256.is_some() && self.records_sha256 == other.records_sha256;
        recorded || self.run_id == other.run_id
    }

    pub(super) fn level(&self, name: &str) -> Option<(f64, f64)> {
        match self.figures.get(name)? {
            FigureValue::Level { value, step } => Some((*value, *step)),
            FigureValue::Count { .. } => None,
        }
    }

    pub(super) fn count(&self, name: &str) -> Option<(u64, u64)> {
        match self.figures.get(name)? {
            FigureValue::Count { count, among } => Some((*count, *among)),
            FigureValue::Level { .. } => None,
        }
    }
}

fn of_workloads(summary: &Summary) -> Vec<(String, FigureValue)> {
    let labelled = |name: &str, workload: &str| match name.split_once(' ') {
        Some((metric, aggregation)) => format!("{metric}{{workload=\"{workload}\"}} {aggregation}"),
        None => format!("{name}{{workload=\"{workload}\"}}"),
    };
    let of = summary.workloads.iter().flat_map(|workload| {
        let failed = FigureValue::Count { count: workload.counts.failed, among: workload.counts.tasks };
        [
            (TASK_MEDIAN, quantile(&workload.task, 0.5)),
            (TASK_TAIL, quantile(&workload.task, 0.99)),
            (FAILED, (workload.counts.tasks > 0).then_some(failed)),
        ]
        .map(|(name, value)| (labelled(name, &workload.name), value))
    });
    of.filter_map(|(name, value)| Some((name, value?))).collect()
}

fn fine(value: f64) -> Option<FigureValue> {
    level(value, value * THOUSANDTH)
}

fn level(value: f64, step: f64) -> Option<FigureValue> {
    value.is_finite().then_some(FigureValue::Level { value, step })
}

/// In seconds.
fn quantile(of: &Distribution, share: f64) -> Option<FigureValue> {
    fine(of.supported_quantile_ns(share)? as f64 / 1e9)
}

/// Between the tenths at both ends.
fn spread(of: &Distribution) -> Option<FigureValue> {
    let (low, high) = (of.supported_quantile_ns(0.1)?, of.supported_quantile_ns(0.9)?);
    level(high.saturating_sub(low) as f64 / 1e9, 2.0 * high as f64 / 1e9 * THOUSANDTH)
}

/// Picked from mean and greatest; of the fleet.
fn gauge(summary: &Summary, figure: Figure, pick: fn((f64, f64)) -> f64, step: f64) -> Option<FigureValue> {
    let gauge = summary.gauge(figure, Scope::Fleet)?;
    level(pick((gauge.mean, gauge.max)), step)
}

fn tasks(summary: &Summary, of: fn(&Counts) -> u64) -> Option<FigureValue> {
    let counts = &summary.counts;
    (counts.tasks > 0).then(|| FigureValue::Count { count: of(counts), among: counts.tasks })
}

/// A value of a figure, with its unit.
pub fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Seconds => units::seconds(value),
        Unit::Bytes => units::bytes(value),
        Unit::Count => units::count(value),
        Unit::PerSecond => format!("{}/s", units::count(value)),
        Unit::Share | Unit::OfOneCore | Unit::OfMean => units::percent(value),
        Unit::Cores => units::cores(value),
    }
}
