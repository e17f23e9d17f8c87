//! What a decision is made from: runs, files from outside, and the circumstances.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use notation::shell::quoted;

use super::ask::Format;
use super::index::Index;
use super::outside::Reading;
use crate::runlog::event::{BuildFacts, HostFacts};
use crate::verdict::Judgement;

/// A run that was found. It was judged from its log, now; what its `verdict.json` says was not read.
#[derive(Debug, Clone, PartialEq)]
pub struct Exhibit {
    pub directory: String,
    /// Of the scenario, as its log has it; that of its directory if the log cannot be read.
    pub scenario: String,
    /// Of its log; of a run with several, of each, joined.
    pub log_sha256: String,
    /// Of what its logs recorded, without their headers: a copy can have another id and another start, and not other
    /// records.
    pub records_sha256: String,
    /// Files of public keys, as the plan names them, that have signed a seal with exactly this log.
    pub signers: Vec<String>,
    /// The error says why its log cannot be judged.
    pub judged: Result<Box<JudgedRun>, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JudgedRun {
    pub judgement: Judgement,
    pub host: HostFacts,
    pub build: BuildFacts,
}

impl JudgedRun {
    /// Absent if the log has no time that can be read.
    pub fn started(&self) -> Option<Timestamp> {
        self.judgement.started_utc.parse().ok()
    }

    /// Where it ran, in a word: `docker`, `kvm`, `bare host`.
    pub fn environment(&self) -> &str {
        match self.host.virtualization.as_str() {
            "none" | "" => "bare host",
            other => other,
        }
    }
}

/// A run that is not over: another process holds its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ongoing {
    pub directory: String,
    /// The scenarios that it may be of.
    pub scenarios: Vec<String>,
    pub profile: Option<String>,
}

/// What a scenario of the plan is as its file stands; of a file with a matrix, one of its combinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub name: String,
    pub sha256: String,
    /// Its file, as the runs that are there and those of the index have named it.
    pub files: Vec<String>,
    /// Names of its criteria, without those that are only shown.
    pub criteria: Vec<String>,
    /// The command line of one run without the directory of the runs, and how long that takes.
    pub command: String,
    pub takes_ns: u64,
}

/// By the file and the profile that the plan names: a scenario, or each combination of its matrix. None is empty.
pub type Recipes = BTreeMap<(String, Option<String>), Vec<Recipe>>;

/// A file from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// When it was last changed.
    pub changed: Timestamp,
    /// Files of public keys, as the plan names them, that have signed exactly this text.
    pub signers: Vec<String>,
    /// The error says why it cannot be read.
    pub reading: Result<Reading, String>,
}

impl Found {
    /// The time that it is of: as it says itself, or else that of its last change. Absent if it cannot be read.
    pub fn dated(&self) -> Option<Timestamp> {
        Some(self.reading.as_ref().ok()?.dated.unwrap_or(self.changed))
    }
}

/// Where and when a decision is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    pub now: Timestamp,
    /// Class of this host.
    pub fingerprint: String,
    /// Commit of this build; absent if it is unknown, or the build has changes of its own.
    pub commit: Option<String>,
}

impl Circumstances {
    /// The day of the decision, in UTC: last days count by it.
    pub fn day(&self) -> Date {
        self.now.to_zoned(TimeZone::UTC).date()
    }
}

/// What the commands that a decision prints have to say, so that each works where this one was given and acts on the same plan and the
/// same runs. The names of files are as they are, and the options are quoted for a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The directory of the plan; empty for the working directory.
    pub home: String,
    /// The directory of the runs.
    pub runs: String,
    /// With a space before each: what was given to `harness gate`, and what of it `harness phases` and `harness run` take as well.
    pub gate: String,
    pub phases: String,
    pub out: String,
}

impl Caller {
    /// A file that the plan names from its own directory, for a shell.
    pub fn file(&self, name: &str) -> String {
        quoted(&Path::new(&self.home).join(name).display().to_string())
    }

    /// A command of the plan: `{runs}` in it is the directory of the runs.
    pub fn command(&self, command: &str) -> String {
        command.replace(RUNS_HERE, &quoted(&self.runs))
    }

    /// What `harness run` needs to write to a new directory of runs.
    pub fn out_anew(&self) -> String {
        format!(" --out {}", quoted(&format!("{}-anew", self.runs.trim_end_matches('/'))))
    }
}

/// How a command of a plan names the directory of the runs.
pub const RUNS_HERE: &str = "{runs}";

/// Everything that a decision is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    pub circumstances: Circumstances,
    pub caller: Caller,
    /// In the order of their directories.
    pub exhibits: Vec<Exhibit>,
    pub index: Index,
    /// Runs that are not over yet: they are not gone, and say nothing so far.
    pub ongoing: Vec<Ongoing>,
    pub recipes: Recipes,
    /// By the path that the plan names, and as what it is read; absent if there is no such file.
    pub files: BTreeMap<(String, Format), Found>,
}
