//! A decision: what every document of a gate is drawn from.

use std::collections::BTreeSet;

use serde::Serialize;

use super::builds::is_same_commit;
use super::plan::{Evidence, Gate, Outcomes, PlanFile};
use crate::verdict::{Exit, Verdict};

/// The version of `decision.json`.
pub const DECISION_VERSION: u32 = 1;

/// The state of a waiver by which a failure is waived.
pub(super) const APPLIED: &str = "applied";

/// The state of a waiver whose last day is over.
pub(crate) const EXPIRED: &str = "expired";

/// The word of a verdict at a gate with these outcomes.
pub fn word(outcomes: Outcomes, verdict: Verdict) -> &'static str {
    match (outcomes, verdict) {
        (Outcomes::Go, Verdict::Pass) => "GO",
        (Outcomes::Go, Verdict::Conditional) => "PIVOT",
        (Outcomes::Go, Verdict::Fail) => "NO-GO",
        (Outcomes::Pass, _) | (Outcomes::Go, Verdict::Inconclusive) => verdict.word(),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    pub version: u32,
    pub gate: String,
    pub title: String,
    pub asks: String,
    pub phase: String,
    pub requirements: Vec<String>,
    /// Made from a plan that only shows how gates work.
    pub demo: bool,
    pub plan: PlanFile,
    pub decided_utc: String,
    /// `GO`, `CONDITIONAL`, …
    pub outcome: &'static str,
    pub verdict: Verdict,
    pub exit: Exit,
    /// What the outcome leads to.
    pub recommendation: String,
    /// In words, the gravest first.
    pub reasons: Vec<String>,
    /// The gates that have to be passed before.
    pub before: Vec<Before>,
    pub evidence: Vec<Weighed>,
    /// Of this gate, then of those before it.
    pub waivers: Vec<WaiverUse>,
    /// What has to be mended after a CONDITIONAL or a PIVOT.
    pub conditions: Vec<String>,
    pub risks: Vec<MeasuredRisk>,
    pub options: Vec<OpenOption>,
    /// What is missing, and the commands that produce it.
    pub next: Vec<Step>,
}

impl Decision {
    /// The outcome with what qualifies it, marked where the plan is a demonstration.
    pub fn headline(&self) -> String {
        let demo = if self.demo { " (DEMO)" } else { "" };
        format!("{}{}{demo}", self.outcome, self.qualifications())
    }

    /// ` by a waiver, with 9 runs beside it that did not pass`; nothing where the gate is not passed.
    fn qualifications(&self) -> String {
        let mut said = String::new();
        if !self.opens() {
            return said;
        }
        let is_own = |waiver: &&WaiverUse| waiver.gate == self.gate && waiver.state == APPLIED;
        match self.waivers.iter().filter(is_own).count() {
            0 => {}
            1 => said.push_str(" by a waiver"),
            several => said.extend([" by ", &several.to_string(), " waivers"]),
        }
        for qualified in self.evidence.iter().filter_map(|weighed| weighed.qualifies.as_ref()) {
            said.extend([", ", qualified]);
        }
        for before in self.before.iter().filter(|before| before.verdict == Verdict::Conditional) {
            said.extend([", after ", &before.gate, " was ", before.outcome]);
        }
        match self.evidence.iter().map(|weighed| weighed.runs_beside).sum::<usize>() {
            0 => {}
            1 => said.push_str(", with 1 run beside it that did not pass"),
            several => said.extend([", with ", &several.to_string(), " runs beside it that did not pass"]),
        }
        let going: BTreeSet<&String> = self.evidence.iter().flat_map(|weighed| &weighed.going).collect();
        match going.len() {
            0 => {}
            1 => said.push_str(", while 1 run is still going"),
            several => said.extend([", while ", &several.to_string(), " runs are still going"]),
        }
        said
    }

    /// `fast of stable`; of a gate before this one with its name.
    pub fn waived(&self, waiver: &WaiverUse) -> String {
        let of = format!("{} of {}", waiver.criterion, waiver.evidence);
        let mark = if waiver.state == APPLIED { " (FAIL, waived)" } else { "" };
        if waiver.gate == self.gate { of + mark } else { format!("{of} at {}{mark}", waiver.gate) }
    }

    /// What to do first: to pass the gate before it, where that is not passed; else the quickest, which may already decide.
    pub fn first_step(&self) -> Option<&Step> {
        let is_closed = |step: &&Step| {
            self.before.iter().any(|before| !opens(before.verdict) && before.gate == step.evidence)
        };
        if let Some(closed) = self.next.iter().find(is_closed) {
            return Some(closed);
        }
        let known = self.next.iter().filter(|step| step.takes_ns.is_some());
        known.min_by_key(|step| step.takes_ns).or(self.next.first())
    }

    /// The phases after it may begin.
    pub fn opens(&self) -> bool {
        opens(self.verdict)
    }
}

/// A gate that is passed, if only with conditions, opens what comes after it.
pub fn opens(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Pass | Verdict::Conditional => true,
        Verdict::Inconclusive | Verdict::Fail => false,
    }
}

/// A gate before this one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Before {
    pub gate: String,
    pub outcome: &'static str,
    pub verdict: Verdict,
    /// The time whose evidence it is decided from.
    pub as_of_utc: String,
    /// The commit whose runs it is decided from; absent if it does not ask for runs of one build, or has none.
    pub of_build: Option<String>,
    /// Those of its own plan.
    pub waivers: Vec<WaiverUse>,
}

impl Before {
    /// Decided from the evidence of a time, and of a build where the gate asks for one.
    pub(super) fn of(
        gate: &Gate,
        verdict: Verdict,
        as_of_utc: String,
        of_build: Option<String>,
        waivers: Vec<WaiverUse>,
    ) -> Self {
        let outcome = word(gate.outcomes, verdict);
        Self { gate: gate.name.clone(), outcome, verdict, as_of_utc, of_build, waivers }
    }

    /// The build that it is decided by, if that is another one than the one of this commit.
    pub(super) fn by_other_build(&self, here: Option<&str>) -> Option<&str> {
        self.of_build.as_deref().filter(|build| here.is_none_or(|here| !is_same_commit(build, here)))
    }

    /// `as of 2026-01-20T12:00:00Z, by build 1234567`
    pub fn basis(&self) -> String {
        let build = self.of_build.as_ref().map_or_else(String::new, |build| format!(", by build {build}"));
        format!("as of {}{build}", self.as_of_utc)
    }
}

/// One piece of evidence, and what it amounts to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weighed {
    pub name: String,
    pub says: String,
    /// `file:line` of the plan.
    pub place: String,
    pub verdict: Verdict,
    pub wanted: String,
    pub found: String,
    /// What a reader has to know beside the figures.
    pub notes: Vec<String>,
    pub findings: Vec<Finding>,
    pub runs: Vec<RunShown>,
    /// Runs that answer the same question, did not pass, and do not count.
    pub runs_beside: usize,
    /// Directories of runs that are still going, and say nothing so far.
    pub going: Vec<String>,
    /// What the headline says of it although it holds: `in 2 of 3 environments, arm64 is FAIL`.
    pub qualifies: Option<String>,
}

impl Weighed {
    /// Nothing is found so far.
    pub(super) fn open(evidence: &Evidence, wanted: String) -> Self {
        Self {
            name: evidence.name.clone(),
            says: evidence.says.clone(),
            place: evidence.place.clone(),
            verdict: Verdict::Inconclusive,
            wanted,
            found: String::new(),
            notes: Vec::new(),
            findings: Vec::new(),
            runs: Vec::new(),
            runs_beside: 0,
            going: Vec::new(),
            qualifies: None,
        }
    }
}

/// One criterion of one run or file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub criterion: String,
    /// Directory of the run, or path of the file.
    pub source: String,
    pub asked: String,
    pub measured: String,
    pub verdict: Verdict,
    /// In base units; absent of a check.
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub comparator: Option<String>,
    pub interval: Option<String>,
    pub samples: Option<u64>,
    pub margin: Option<String>,
    pub note: Option<String>,
    /// The verdict before bands and waivers; absent if they changed nothing.
    pub strictly: Option<Verdict>,
    /// A person answers for its failure.
    #[serde(skip)]
    pub is_waived: bool,
}

/// Before the name of a check, so that it is no criterion's.
pub(super) const CHECK: &str = "check: ";

impl Finding {
    /// It is of a check that every run has, and not of a criterion.
    pub(super) fn is_check(&self) -> bool {
        self.criterion.starts_with(CHECK) && self.threshold.is_none()
    }

    /// Makes it CONDITIONAL, and adds why to its note.
    pub(super) fn soften(&mut self, why: String) {
        self.strictly.get_or_insert(self.verdict);
        self.verdict = Verdict::Conditional;
        self.note = Some(match self.note.take() {
            Some(note) => format!("{note}; {why}"),
            None => why,
        });
    }

    /// `FAIL, waived`, or the word of its verdict.
    pub fn mark(&self) -> &'static str {
        if self.is_waived { "FAIL, waived" } else { self.verdict.word() }
    }
}

/// A run of the scenario, whether or not it counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunShown {
    pub directory: String,
    pub run_id: String,
    pub started_utc: String,
    /// `PASS (profile ci)`, by its own criteria, from its log; `unreadable` without one.
    pub headline: String,
    /// By what this gate asks, bands and waivers included.
    pub verdict: Option<Verdict>,
    pub environment: String,
    pub host: String,
    pub build: String,
    pub counts: bool,
    /// Why it does not count.
    pub why_not: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaiverUse {
    /// This gate, or one before it.
    pub gate: String,
    pub evidence: String,
    pub criterion: String,
    pub author: String,
    pub reason: String,
    pub expires: String,
    /// `file:line` of the plan.
    pub place: String,
    /// `applied`, `expired`, or `not needed`.
    pub state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredRisk {
    pub name: String,
    pub says: String,
    pub likelihood: &'static str,
    pub impact: &'static str,
    pub mitigation: String,
    /// The likelihood now, and why: `low: what measures it passes`.
    pub now: &'static str,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenOption {
    pub name: String,
    pub says: String,
    /// What of the evidence speaks for it; empty if nothing does.
    pub speaks: Vec<String>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub evidence: String,
    pub what: String,
    pub command: String,
    /// Absent if it is not known.
    pub takes_ns: Option<u64>,
}
