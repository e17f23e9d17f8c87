//! The file as its author wrote it: every key that exists, typed, and nothing checked against another.

use super::cursor::Sited;
use super::mistake::Origin;
use reports::runlog::event::{LoadModel, Topology};
use std::time::Duration;

/// The keys of each table. The JSON Schema is held to these by a test.
pub(super) mod keys {
    pub(in super::super) const ROOT: &[&str] = &[
        "schema",
        "name",
        "asks",
        "requirements",
        "seed",
        "fleet",
        "workload",
        "load",
        "sampling",
        "criterion",
        "profile",
    ];
    pub(in super::super) const FLEET: &[&str] = &["topology", "coordinators", "workers"];
    pub(in super::super) const WORKLOAD: &[&str] = &[
        "kind",
        "payload",
        "time",
        "distribution",
        "mean",
        "deviation",
        "min",
        "max",
        "cpu",
        "command",
        "output_max",
    ];
    pub(in super::super) const LOAD: &[&str] =
        &["model", "every", "duration", "warm_up", "task_timeout", "rounds_in_flight_max"];
    pub(in super::super) const SAMPLING: &[&str] = &["every", "pss_every"];
    pub(in super::super) const CRITERION: &[&str] =
        &["name", "requirement", "pass", "conditional", "abort", "grace"];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkloadKind {
    Echo,
    Sleep,
    Compute,
    Exec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DistributionKind {
    Exponential,
    Uniform,
    Normal,
    Lognormal,
}

/// What is absent here is absent in the file, or was wrong and is already noted.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) name: Option<Sited<String>>,
    pub(super) asks: Option<Sited<String>>,
    pub(super) requirements: Option<Sited<Vec<String>>>,
    pub(super) seed: Option<Sited<u64>>,
    pub(super) fleet: Option<RawFleet>,
    pub(super) workload: Option<RawWorkload>,
    pub(super) load: Option<RawLoad>,
    pub(super) sampling: Option<RawSampling>,
    pub(super) criteria: Vec<RawCriterion>,
}

#[derive(Debug)]
pub(super) struct RawFleet {
    pub(super) topology: Option<Sited<Topology>>,
    pub(super) coordinators: Option<Sited<u32>>,
    pub(super) workers: Option<Sited<u32>>,
}

#[derive(Debug)]
pub(super) struct RawWorkload {
    pub(super) origin: Origin,
    pub(super) kind: Option<Sited<WorkloadKind>>,
    pub(super) payload: Option<Sited<u64>>,
    pub(super) time: Option<Sited<Duration>>,
    pub(super) distribution: Option<Sited<DistributionKind>>,
    pub(super) mean: Option<Sited<Duration>>,
    pub(super) deviation: Option<Sited<Duration>>,
    pub(super) min: Option<Sited<Duration>>,
    pub(super) max: Option<Sited<Duration>>,
    pub(super) cpu: Option<Sited<Duration>>,
    pub(super) command: Option<Sited<Vec<String>>>,
    pub(super) output_max: Option<Sited<u64>>,
    /// Keys that are in the file, right or wrong, and where they stand.
    pub(super) present: Vec<(&'static str, Origin)>,
    /// Keys that are not in the file, while one that is near to them is.
    pub(super) misspelt: Vec<&'static str>,
}

#[derive(Debug)]
pub(super) struct RawLoad {
    pub(super) origin: Origin,
    pub(super) model: Option<Sited<LoadModel>>,
    pub(super) every: Option<Sited<Duration>>,
    /// `every` is in the file, right or wrong.
    pub(super) every_present: Option<Origin>,
    /// It is not, while a key that is near to it is.
    pub(super) every_misspelt: bool,
    pub(super) duration: Option<Sited<Duration>>,
    pub(super) warm_up: Option<Sited<Duration>>,
    pub(super) task_timeout: Option<Sited<Duration>>,
    pub(super) rounds_in_flight_max: Option<Sited<u32>>,
}

#[derive(Debug)]
pub(super) struct RawSampling {
    pub(super) every: Option<Sited<Duration>>,
    pub(super) pss_every: Option<Sited<Duration>>,
}

#[derive(Debug)]
pub(super) struct RawCriterion {
    pub(super) name: Option<Sited<String>>,
    pub(super) requirement: Option<Sited<String>>,
    pub(super) pass: Option<Sited<String>>,
    pub(super) conditional: Option<Sited<String>>,
    pub(super) abort: Option<Sited<bool>>,
    pub(super) grace: Option<Sited<Duration>>,
}
