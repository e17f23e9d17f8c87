//! The plan of a project as data: phases, sprints, gates, what each gate asks for, and what may go wrong.
//!
//! Made by a reader that has checked it: every name that one part uses of another is there, and nothing waits for
//! itself.

use jiff::civil::Date;
use serde::Serialize;

use super::ask::Asked;
pub use super::ask::Format;

/// A whole plan. Phases, sprints and gates are in the order of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub title: String,
    /// It shows how gates work, and decides nothing: every document says so.
    pub demo: bool,
    pub file: PlanFile,
    pub phases: Vec<Phase>,
    pub sprints: Vec<Sprint>,
    pub gates: Vec<Gate>,
}

impl Plan {
    pub fn gate(&self, name: &str) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.name == name)
    }

    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }

    /// The gate at the end of a phase.
    pub fn gate_of(&self, phase: &str) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.phase == phase)
    }

    /// The gates that have to be passed before this one opens: those of the phases that its own comes after.
    pub fn before<'a>(&'a self, gate: &Gate) -> Vec<&'a Gate> {
        let Some(phase) = self.phase(&gate.phase) else { return Vec::new() };
        phase.after.iter().filter_map(|earlier| self.gate_of(earlier)).collect()
    }

    /// This gate and all before it, each after those that it waits for.
    pub fn chain<'a>(&'a self, gate: &'a Gate) -> Vec<&'a Gate> {
        let mut chain = Vec::new();
        self.walk(gate, &mut chain);
        chain
    }

    fn walk<'a>(&'a self, gate: &'a Gate, chain: &mut Vec<&'a Gate>) {
        if chain.iter().any(|seen| seen.name == gate.name) {
            return;
        }
        for earlier in self.before(gate) {
            self.walk(earlier, chain);
        }
        chain.push(gate);
    }
}

/// Which plan decides: a gate of this name in another file is another gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanFile {
    /// As given on the command line.
    pub path: String,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    pub name: String,
    pub title: String,
    /// Phases whose gates have to be passed before this one begins.
    pub after: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sprint {
    pub name: String,
    pub title: String,
    pub phase: String,
    /// Sprints of the same phase that come before it.
    pub after: Vec<String>,
    pub takes_ns: u64,
    /// How long before the end of the last of [`Self::after`] it may begin.
    pub overlap_ns: u64,
}

/// The words that the decision of a gate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcomes {
    /// GO, PIVOT, NO-GO.
    Go,
    /// PASS, CONDITIONAL, FAIL.
    Pass,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    pub name: String,
    pub title: String,
    /// The question that it answers.
    pub asks: String,
    pub phase: String,
    pub outcomes: Outcomes,
    pub requirements: Vec<String>,
    /// From which share of its target a figure that misses it is CONDITIONAL and no FAIL.
    pub conditional_from: Option<f64>,
    /// What each outcome leads to.
    pub on_pass: String,
    pub on_conditional: String,
    pub on_fail: String,
    pub evidence: Vec<Evidence>,
    pub waivers: Vec<Waiver>,
    pub risks: Vec<Risk>,
    /// Ways to go on that are open where this one does not hold.
    pub options: Vec<PivotOption>,
}

/// One thing that a gate asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    pub name: String,
    /// What it shows, in a sentence.
    pub says: String,
    /// How old it may be; absent if its age does not matter.
    pub fresh_ns: Option<u64>,
    pub source: Source,
    /// `file:line` of the plan.
    pub place: String,
}

impl Evidence {
    /// Whether it asks for what the build that decides has made.
    pub fn build(&self) -> Whose {
        match &self.source {
            Source::Runs(runs) => runs.build,
            Source::File(file) => file.build,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Runs(Runs),
    File(OutsideFile),
}

/// Runs of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Runs {
    /// From the directory of the plan.
    pub scenario: String,
    /// Of the scenario's text, with what it extends: neither the file nor a run may have another. Absent if the file as
    /// it stands is what is asked for.
    pub sha256: Option<String>,
    pub profile: Option<String>,
    /// At least so many.
    pub runs: u32,
    pub select: Select,
    pub host: Whose,
    pub build: Whose,
    pub environments: Option<Quorum>,
    /// Files of public keys, from the directory of the plan: a run counts only if it is in a seal that one of them
    /// has signed. Empty if no signature is asked for.
    pub signed_by: Vec<String>,
    /// The criteria that the gate asks; all of them if empty. Where others fail, there is no PASS.
    pub criteria: Vec<String>,
}

impl Runs {
    /// Which recipe they follow: the scenario, and the profile.
    pub fn recipe(&self) -> (String, Option<String>) {
        (self.scenario.clone(), self.profile.clone())
    }

    /// Whether a text of the scenario with this SHA-256 may be what is asked for.
    pub fn admits(&self, sha256: &str) -> bool {
        self.sha256.as_ref().is_none_or(|pin| pin == sha256)
    }
}

/// Which runs in the window count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    All,
    /// The newest so many.
    Latest(u32),
}

/// Whose runs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    Any,
    /// Of the host, or the build, that decides.
    This,
}

/// In how many environments it has to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quorum {
    pub pass: u32,
    pub conditional: Option<u32>,
}

/// A file that another program has written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutsideFile {
    /// From the working directory.
    pub path: String,
    pub format: Format,
    /// Of a statement: whether it must be for the build that decides.
    pub build: Whose,
    /// Of a statement: the scenario that it must be about, from the directory of the plan, as its file stands.
    pub about: Option<String>,
    /// Of a statement: files of public keys, from the directory of the plan, one of which must have signed it. Empty if no
    /// signature is asked for.
    pub signed_by: Vec<String>,
    pub pass: Asked,
    pub conditional: Option<Asked>,
    /// The command line that makes it, and how long that takes.
    pub command: String,
    pub takes_ns: Option<u64>,
}

impl OutsideFile {
    /// Where a signature of its text lies: beside it.
    pub fn signature(&self) -> String {
        format!("{}.sig", self.path)
    }
}

/// A person takes responsibility for one failure, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiver {
    pub evidence: String,
    pub criterion: String,
    pub author: String,
    pub reason: String,
    /// The last day on which it holds, in UTC.
    #[serde(serialize_with = "as_text")]
    pub expires: Date,
    /// `file:line` of the plan.
    pub place: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn as_text<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    Low,
    Medium,
    High,
}

impl Likelihood {
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    Low,
    Medium,
    High,
    Critical,
}

impl Impact {
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Risk {
    pub name: String,
    pub says: String,
    pub likelihood: Likelihood,
    pub impact: Impact,
    pub mitigation: String,
    /// The evidence that measures it.
    pub evidence: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PivotOption {
    pub name: String,
    pub says: String,
    /// Evidence that speaks for it where it does not pass.
    pub evidence: Vec<String>,
}
