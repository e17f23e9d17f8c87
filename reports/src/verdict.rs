//! The verdict of a run: what `verdict.json` holds, and what every other format is drawn from.
//!
//! Merging takes the worst of all. Missing, short or thin data is INCONCLUSIVE and never
//! better. Computed here and nowhere else.

mod abort;
mod case;
mod check;
mod evidence;
mod judge;
mod measure;
mod processes;
mod variant;

use serde::{Deserialize, Serialize};

use crate::facts::{Gap, WorkloadLoad};
use crate::runlog::Unknown;
use crate::runlog::event::{EndReason, ScenarioFacts};
use crate::stats::Interval;

pub use abort::can_abort;
pub use case::{Asked, Case};
pub use check::Check;
pub use judge::show;
pub use variant::{Ran, Smaller, Variant, title as title_of};

/// The version of `verdict.json`.
pub const VERDICT_VERSION: u32 = 2;

/// From best to worst: merging is taking the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    Pass,
    Conditional,
    Inconclusive,
    Fail,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Conditional => "CONDITIONAL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
        }
    }
}

/// How the program that judged this should end. Part of the interface: see `docs/exit-codes.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub code: u8,
    pub name: String,
}

/// How far the log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogState {
    pub lines: u64,
    /// Where the last, incomplete line begins: line and byte.
    pub torn: Option<(u64, u64)>,
    /// What this program does not know.
    pub unknown: Unknown,
    /// The first record that contradicts the others.
    pub contradiction: Option<String>,
}

/// The file of a scenario, with those that it extends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioFile {
    /// As given on the command line.
    pub path: String,
    /// Of its text and of the texts that it extends.
    pub sha256: String,
    /// The nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extends: Vec<String>,
}

impl ScenarioFile {
    fn of(facts: &ScenarioFacts) -> Self {
        Self { path: facts.file.clone(), sha256: facts.sha256.clone(), extends: facts.extends.clone() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub version: u32,
    pub run_id: String,
    pub started_utc: String,
    pub scenario: String,
    /// Which file that was: any file can carry the name. Absent from verdicts of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ScenarioFile>,
    /// The question.
    pub asks: String,
    pub requirements: Vec<String>,
    pub verdict: Verdict,
    pub exit: Exit,
    /// What command lines laid over the scenario file: `profile`, `overrides`, `rehearsal`, `judged_by`; and `smaller`, where the host had no
    /// room for all workers.
    #[serde(flatten)]
    pub variant: Variant,
    /// Where the run was interrupted, and went on later: on its clock. Empty in most runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What was run, whatever the file says. Absent from verdicts of before.
    #[serde(default)]
    pub ran: Option<Ran>,
    /// Whether a gate that names nothing but this scenario would take it: it passed, and the file was run as it
    /// stands.
    pub satisfies_gate: bool,
    /// In words, the gravest first.
    pub reasons: Vec<String>,
    pub criteria: Vec<CriterionResult>,
    pub evidence: Vec<EvidenceResult>,
    /// The figures of each workload, in the order of the scenario; empty if it names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadResult>,
}

/// What became of the tasks of one workload in the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadResult {
    pub name: String,
    pub tasks: u64,
    pub answered: u64,
    pub failed: u64,
    /// Answers with the wrong content, counted under `failed`.
    pub corrupt: u64,
    /// Answered over all; absent without a task.
    pub delivery: Option<f64>,
    /// Of answered tasks, from the scheduled start of their round, in nanoseconds; absent without any, and a percentile
    /// also where there are too few for it.
    pub p50_ns: Option<u64>,
    pub p95_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub max_ns: Option<u64>,
}

impl WorkloadResult {
    fn of(workload: &WorkloadLoad) -> Self {
        let (counts, task) = (&workload.counts, &workload.task);
        Self {
            name: workload.facts.name.clone(),
            tasks: counts.tasks,
            answered: counts.answered,
            failed: counts.failed,
            corrupt: counts.corrupt,
            delivery: counts.delivery(),
            p50_ns: task.supported_quantile_ns(0.5),
            p95_ns: task.supported_quantile_ns(0.95),
            p99_ns: task.supported_quantile_ns(0.99),
            max_ns: task.max_ns(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriterionResult {
    pub name: String,
    pub requirement: Option<String>,
    /// `file:line`.
    pub source: String,
    pub metric: String,
    pub aggregation: String,
    pub pass: String,
    pub conditional: Option<String>,
    /// Shown, and not judged: its verdict counts for nothing.
    #[serde(default)]
    pub informational: bool,
    pub verdict: Verdict,
    /// In `unit`; absent if there was nothing to measure.
    pub value: Option<f64>,
    /// `seconds`, `bytes`, `ratio`, …
    pub unit: String,
    pub value_text: String,
    pub comparator: String,
    pub threshold: f64,
    pub threshold_text: String,
    /// 95 %; of a slope.
    pub interval: Option<Interval>,
    pub interval_text: Option<String>,
    pub samples: u64,
    /// Distance to `threshold`, positive on the good side.
    pub margin: Option<f64>,
    pub margin_text: String,
    pub note: Option<String>,
    /// What the figures say as far as the run went: `verdict`, if it went to its end. Absent from a judgement
    /// that was read back.
    #[serde(skip)]
    pub so_far: Option<Verdict>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceResult {
    pub name: String,
    pub verdict: Verdict,
    pub wanted: String,
    pub found: String,
    pub note: Option<String>,
}

impl EvidenceResult {
    pub fn wanted_and_found(&self) -> String {
        format!("wanted: {}; found: {}", self.wanted, self.found)
    }
}

impl CriterionResult {
    /// The verdict, or that there is none.
    pub fn word(&self) -> &'static str {
        if self.informational { "INFO" } else { self.verdict.word() }
    }

    /// With its thousands apart.
    pub fn samples_text(&self) -> String {
        crate::units::count(self.samples as f64)
    }
}

impl Judgement {
    pub(crate) fn of(case: &Case, log: &LogState) -> Self {
        let facts = case.facts();
        let interrupted = facts.end.as_ref().is_some_and(|e| e.reason == EndReason::Interrupted);
        let reach = judge::Reach::of(facts);
        let criteria: Vec<_> = case.criteria().iter().map(|c| judge::criterion(c, facts, reach)).collect();
        let evidence = evidence::all(case, log);
        let worst = criteria
            .iter()
            .filter(|c| !c.informational)
            .map(|c| c.verdict)
            .chain(evidence.iter().map(|e| e.verdict))
            .max()
            .unwrap_or(Verdict::Inconclusive);
        // A run that was interrupted gives what there is, not a judgement of the fleet.
        let verdict = if interrupted { Verdict::Inconclusive } else { worst };
        let header = &facts.header;
        let variant = Variant::of(header);
        Self {
            version: VERDICT_VERSION,
            run_id: header.run_id.clone(),
            started_utc: header.started_utc.clone(),
            scenario: header.scenario.name.clone(),
            file: Some(ScenarioFile::of(&header.scenario)),
            asks: header.scenario.asks.clone(),
            requirements: header.scenario.requirements.clone(),
            verdict,
            exit: if facts.setup_failed() && !interrupted {
                Exit { code: 20, name: "host-unfit".to_owned() }
            } else {
                exit(verdict, interrupted)
            },
            satisfies_gate: verdict == Verdict::Pass && variant.is_plain(),
            variant,
            gaps: facts.gaps.clone(),
            ran: Some(Ran::of(facts)),
            reasons: judge::reasons(verdict, reach, &criteria, &evidence, facts, log),
            criteria,
            evidence,
            workloads: facts.workloads.iter().map(WorkloadResult::of).collect(),
        }
    }

    /// The verdict as one word, with what limits its use: `PASS (rehearsal 1440x, profile ci)`.
    pub fn headline(&self) -> String {
        if self.variant.is_plain() {
            return self.verdict.word().to_owned();
        }
        format!("{} ({})", self.verdict.word(), self.variant.tag())
    }

    /// A sentence for each thing that a reader must know before the verdict: what was changed of the scenario, and where the
    /// run was interrupted.
    pub fn banners(&self) -> Vec<String> {
        let mut all = self.variant.banners();
        all.extend(self.interruptions().map(|words| format!("RESUMED: {words}.")));
        all
    }

    /// How often the run was interrupted, and for how long in all.
    pub fn interruptions(&self) -> Option<String> {
        let longest = self.gaps.iter().map(Gap::length_ns).max()?;
        let sum = crate::units::nanos(self.gaps.iter().map(Gap::length_ns).sum());
        let in_hand: Vec<u64> = self.gaps.iter().filter_map(|gap| gap.in_hand).collect();
        let what = if in_hand.is_empty() {
            "in which nothing was recorded".to_owned()
        } else {
            let tasks = crate::units::things(in_hand.into_iter().fold(0, u64::saturating_add), "task");
            format!("in which nothing was recorded that counts; {tasks} in hand when the run was cut off")
        };
        Some(match self.gaps.len() {
            1 => format!("the run was interrupted once, for {sum}, {what}"),
            n => format!(
                "the run was interrupted {n} times, for {sum} in all and {} at most, {what}",
                crate::units::nanos(longest)
            ),
        })
    }

    /// What was run, for titles; the question itself of a verdict of before.
    pub fn title(&self) -> &str {
        self.ran.as_ref().map_or(&self.asks, |ran| &ran.title)
    }
}

impl Exit {
    /// Of what was judged to its end.
    pub(crate) fn of(verdict: Verdict) -> Self {
        let (code, name) = match verdict {
            Verdict::Pass => (0, "pass"),
            Verdict::Fail => (10, "fail"),
            Verdict::Conditional => (11, "conditional"),
            Verdict::Inconclusive => (12, "inconclusive"),
        };
        Self { code, name: name.to_owned() }
    }
}

fn exit(verdict: Verdict, interrupted: bool) -> Exit {
    if interrupted { Exit { code: 21, name: "interrupted".to_owned() } } else { Exit::of(verdict) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_takes_the_worst() {
        assert!(Verdict::Fail > Verdict::Inconclusive);
        assert!(Verdict::Inconclusive > Verdict::Conditional);
        assert!(Verdict::Conditional > Verdict::Pass);
    }
}
