//! What two runs must have in common to be compared: what was asked, on which machine, and how the program was built.

use serde::{Deserialize, Serialize};

use crate::runlog::event::{Header, LoadModel, PlanFacts, Topology};
use crate::summary::{Identity, Summary};

/// Runs of one scenario have seeds of their own, and a file that names one has it laid over.
const SEED: &str = "seed";
/// What allows runs of different hosts.
const HOSTS: &str = "--across-hosts";

/// Of one run. Not its seed, nor the commit of its build: these are what differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    pub scenario: String,
    /// Of the text of its file, and of those that it extends.
    pub sha256: String,
    pub profile: Option<String>,
    /// `key=value`, as given; a seed may be among them, and makes no difference.
    pub overrides: Vec<String>,
    /// Present if the schedule was compressed.
    pub rehearsal: Option<f64>,
    pub topology: Topology,
    pub coordinators: u32,
    pub workers_per_coordinator: u32,
    pub workload: String,
    pub load: LoadModel,
    pub round_every_ns: u64,
    pub duration_ns: u64,
    /// Identity of the machine.
    pub machine: String,
    /// Class of host.
    pub fingerprint: String,
    pub cpu_model: String,
    pub cpus: u32,
    /// `release` or `debug`.
    pub build_profile: String,
}

/// What may differ if the caller says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Across {
    pub hosts: bool,
    pub scenarios: bool,
    pub builds: bool,
}

/// Something that two runs do not have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// A sentence's end: `the scenario file: 1a2b… and 3c4d…`.
    pub what: String,
    /// The option that allows it.
    pub option: &'static str,
}

impl Terms {
    pub fn of(summary: &Summary) -> Self {
        Self::asked(&summary.identity, &summary.plan)
    }

    /// Of a run by the first line of its log, which is known before it begins.
    pub fn of_header(header: &Header) -> Self {
        Self::asked(&Identity::of(header), &header.plan)
    }

    fn asked(identity: &Identity, plan: &PlanFacts) -> Self {
        Self {
            scenario: identity.scenario.clone(),
            sha256: identity.scenario_sha256.clone(),
            profile: identity.profile.clone(),
            overrides: identity.overrides.clone(),
            rehearsal: identity.rehearsal,
            topology: plan.topology,
            coordinators: plan.coordinators,
            workers_per_coordinator: plan.workers_per_coordinator,
            workload: plan.workload.clone(),
            load: plan.load,
            round_every_ns: plan.round_every_ns,
            duration_ns: plan.duration_ns,
            machine: identity.machine.clone(),
            fingerprint: identity.fingerprint.clone(),
            cpu_model: identity.host.cpu_model.clone(),
            cpus: identity.host.cpus,
            build_profile: identity.build.profile.clone(),
        }
    }

    /// What `--set` changed that makes another variant: runs that differ by their seed alone are of one. Empty if nothing.
    pub fn changed(&self) -> String {
        let sets = self.overrides.iter().map(String::as_str).filter(|set| set_key(set) != SEED);
        sets.collect::<Vec<_>>().join(", ")
    }

    /// In the order of their weight; empty if these runs can be compared.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut hold = |option: &'static str, name: &str, (a, b): (String, String)| {
            if a != b {
                found.push(Difference { what: format!("{name}: {a} and {b}"), option });
            }
        };
        let mut asked =
            |name: &str, of: fn(&Self) -> String| hold("--across-scenarios", name, (of(self), of(other)));
        asked("the scenario", |t| t.scenario.clone());
        asked("the scenario file (SHA-256)", |t| short(&t.sha256));
        asked("the profile", |t| t.profile.clone().unwrap_or_else(|| "none".into()));
        asked("what --set changed", |t| match t.changed() {
            none if none.is_empty() => "nothing".into(),
            some => some,
        });
        asked("the rehearsal", |t| t.rehearsal.map_or("none".into(), |factor| format!("{factor}x")));
        asked("the size of the fleet", |t| {
            format!("{} coordinators of {} workers", t.coordinators, t.workers_per_coordinator)
        });
        asked("the topology", |t| format!("{:?}", t.topology).to_lowercase());
        asked("the workload", |t| t.workload.clone());
        asked("the load", |t| {
            let every = crate::units::nanos(t.round_every_ns);
            format!("{:?}, every {every}, for {}", t.load, crate::units::nanos(t.duration_ns)).to_lowercase()
        });
        hold(HOSTS, "the machine", (self.machine.clone(), other.machine.clone()));
        hold(HOSTS, "the class of host", (self.fingerprint.clone(), other.fingerprint.clone()));
        hold(
            "--across-builds",
            "the build profile",
            (self.build_profile.clone(), other.build_profile.clone()),
        );
        found
    }
}

impl Across {
    pub fn allows(self, difference: &Difference) -> bool {
        match difference.option {
            HOSTS => self.hosts,
            "--across-scenarios" => self.scenarios,
            _ => self.builds,
        }
    }
}

impl Difference {
    /// Whether a run would have to be elsewhere, and not another one.
    pub fn is_of_host(&self) -> bool {
        self.option == HOSTS
    }
}

/// The key that a `--set` argument sets or, after a `!`, unsets.
pub(crate) fn set_key(set: &str) -> &str {
    let key = set.split('=').next().unwrap_or(set).trim();
    key.strip_prefix('!').unwrap_or(key)
}

fn short(sha256: &str) -> String {
    sha256.chars().take(12).collect()
}
