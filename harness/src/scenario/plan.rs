//! Everything that can be decided before the first fork, in a value that can be printed and compared.

use super::check::{Load, Sampling, Scenario};
use super::criteria;
use super::seed;
use super::unit::nanos;
use super::workload::Workload;
use coordinator::config::FleetShape;
use reports::runlog::event::{CriterionSpec, PlanFacts, ScenarioFacts, Topology};
use reports::units;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// A rehearsal asks the kernel no more often than this: `/proc` does not get faster with the schedule.
pub const REHEARSED_SAMPLE_EVERY_MIN: Duration = Duration::from_millis(250);
/// PSS walks page tables.
pub const REHEARSED_PSS_EVERY_MIN: Duration = Duration::from_secs(2);
/// Closer together, a round over hundreds of processes would overtake the one before.
pub const REHEARSED_ROUND_EVERY_MIN: Duration = Duration::from_millis(5);

/// A task's round trip on the bus: from the client to the coordinator, to the worker, and the same way back.
const MESSAGES_PER_TASK: u32 = 4;

/// By how much a schedule is compressed: `1440x` makes a minute of a day.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rehearsal(f64);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a factor from 1x to 1000000x, such as `1440x`")]
pub struct RehearsalError(String);

impl Rehearsal {
    pub fn factor(self) -> f64 {
        self.0
    }
}

impl FromStr for Rehearsal {
    type Err = RehearsalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || RehearsalError(text.to_owned());
        let number = text.trim().strip_suffix('x').ok_or_else(refused)?;
        let factor: f64 = number.parse().map_err(|_| refused())?;
        if (1.0..=1e6).contains(&factor) { Ok(Self(factor)) } else { Err(refused()) }
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

/// What the command line adds to a scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanOptions {
    /// Wins over the file's own.
    pub seed: Option<u64>,
    /// Used if neither the command line nor the file names one.
    pub fallback_seed: u64,
    pub rehearsal: Option<Rehearsal>,
}

/// A scenario with every choice made.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    scenario: Scenario,
    seed: u64,
    rehearsal: Option<Rehearsal>,
    notes: Vec<String>,
}

impl Plan {
    pub fn new(scenario: Scenario, options: &PlanOptions) -> Self {
        let seed = options.seed.or(scenario.seed).unwrap_or(options.fallback_seed);
        let mut plan = Self { scenario, seed, rehearsal: options.rehearsal, notes: Vec::new() };
        let unwindowed = criteria::unwindowed(&plan.scenario.criteria, plan.load().duration());
        if let Some(rehearsal) = options.rehearsal {
            plan.compress(rehearsal.factor());
        }
        let undecidable = criteria::undecidable(&plan.scenario.criteria, plan.load().rounds_planned());
        plan.notes.extend(unwindowed);
        plan.notes.extend(undecidable);
        plan
    }

    fn compress(&mut self, factor: f64) {
        let Self { scenario, notes, .. } = self;
        let Scenario { load, sampling, criteria, .. } = scenario;
        let mut shorten = |value: Duration, least: Duration, key: &str| {
            let wanted = value.div_f64(factor);
            // Whoever asks for less than the floor in a full run gets what they asked for.
            let least = least.min(value);
            if wanted < least {
                notes.push(format!(
                    "{key} would be {} in this rehearsal and is held at {}",
                    units::seconds(wanted.as_secs_f64()),
                    units::seconds(least.as_secs_f64())
                ));
            }
            wanted.max(least)
        };
        let any = Duration::from_nanos(1);
        load.duration = shorten(load.duration, any, "load.duration");
        load.warm_up = load.warm_up.div_f64(factor);
        load.every = load.every.map(|every| shorten(every, REHEARSED_ROUND_EVERY_MIN, "load.every"));
        sampling.every = shorten(sampling.every, REHEARSED_SAMPLE_EVERY_MIN, "sampling.every");
        sampling.pss_every =
            sampling.pss_every.map(|pss| shorten(pss, REHEARSED_PSS_EVERY_MIN, "sampling.pss_every"));
        for spec in criteria {
            criteria::compress_grace(spec, factor);
        }
    }

    pub fn name(&self) -> &str {
        &self.scenario.facts.name
    }

    pub fn asks(&self) -> &str {
        &self.scenario.facts.asks
    }

    /// For the log's header.
    pub fn scenario_facts(&self) -> &ScenarioFacts {
        &self.scenario.facts
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
        self.scenario.topology
    }

    pub fn shape(&self) -> &FleetShape {
        &self.scenario.shape
    }

    pub fn workload(&self) -> &Workload {
        &self.scenario.workload
    }

    pub fn load(&self) -> &Load {
        &self.scenario.load
    }

    pub fn sampling(&self) -> &Sampling {
        &self.scenario.sampling
    }

    pub fn criteria(&self) -> &[CriterionSpec] {
        &self.scenario.criteria
    }

    /// What a reader of the plan should know and no figure says; a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// From the first round to the end of the load, without launch and drain.
    pub fn expected_duration(&self) -> Duration {
        self.load().warm_up + self.load().duration
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
            workload: self.workload().words(),
            load: load.model,
            round_every_ns: load.every.map_or(0, nanos),
            warm_up_ns: nanos(load.warm_up),
            duration_ns: nanos(load.duration),
            rounds_planned: load.rounds_planned().unwrap_or(0),
            task_timeout_ns: nanos(load.task_timeout),
            rounds_in_flight_max: load.rounds_in_flight_max,
            sample_every_ns: nanos(sampling.every),
            pss_every_ns: sampling.pss_every.map_or(0, nanos),
            messages_per_task: MESSAGES_PER_TASK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_is_a_factor_with_an_x() {
        assert_eq!("1440x".parse::<Rehearsal>(), Ok(Rehearsal(1440.0)));
        for text in ["", "x", "1440", "0x", "0.5x", "NaNx", "infx", "-3x", "1e9x"] {
            assert!(text.parse::<Rehearsal>().is_err(), "{text}");
        }
    }
}
