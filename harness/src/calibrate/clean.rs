//! Runs with which nothing is wrong, in the shapes that they have.

use super::noise::{Wandering, keeps, one, random};
use crate::synthetic::settle::took;
use crate::synthetic::sweep::memory;
use crate::synthetic::{LAUNCHED_NS, MS_NS, Synthetic};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use reports::runlog::event::{AgentId, Sample};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// Of the memory of one process.
const MEMORY_DEVIATION: f64 = 0.005;
/// How long memory remembers, in seconds: medians of five minutes have a correlation of 0.6.
const MEMORY_S: f64 = 600.0;
/// Of the logarithm of a round's time: what wanders, and what is each round's own.
const PACE_DEVIATION: f64 = 0.03;
const ROUND_DEVIATION: f64 = 0.15;
/// How long the pace remembers, in seconds.
const PACE_S: f64 = 300.0;
/// Sweeps in which a process has a file open for a moment.
const FILE_SHARE: f64 = 0.02;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Noise alone.
    Level,
    /// Memory that fills up in the first twentieth of the load, and then stays.
    WarmUp,
    /// Memory that is collected 240 times in the load, a tenth of it.
    Sawtooth,
    /// The same 24 times: as slow as a leak that something resets.
    SlowSawtooth,
    /// Memory and times that follow a load with twelve periods.
    Cycle,
    /// A host that others use now and then: slow rounds, late sweeps, stolen time.
    HostNoise,
}

impl Shape {
    pub const ALL: [Self; 6] =
        [Self::Level, Self::WarmUp, Self::Sawtooth, Self::SlowSawtooth, Self::Cycle, Self::HostNoise];

    pub fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::WarmUp => "warm-up",
            Self::Sawtooth => "sawtooth",
            Self::SlowSawtooth => "slow sawtooth",
            Self::Cycle => "load cycle",
            Self::HostNoise => "noise of the host",
        }
    }

    /// Whether INCONCLUSIVE is the right answer, too: memory alone does not show whether it is a collector or a leak that something resets.
    pub fn may_be_open(self) -> bool {
        self == Self::SlowSawtooth
    }

    /// What memory is at this share of the load, to 1 as its level.
    fn memory(self, at: f64) -> f64 {
        match self {
            Self::Level | Self::HostNoise => 1.0,
            Self::WarmUp => 1.0 - 0.3 * (-at * 80.0).exp(),
            Self::Sawtooth => 1.0 + 0.1 * (at * 240.0).fract(),
            Self::SlowSawtooth => 1.0 + 0.1 * (at * 24.0).fract(),
            Self::Cycle => 1.0 + 0.03 * (at * 12.0 * TAU).sin(),
        }
    }

    /// The same of a round's time.
    fn pace(self, at: f64) -> f64 {
        match self {
            Self::Level | Self::WarmUp | Self::Sawtooth | Self::SlowSawtooth | Self::HostNoise => 1.0,
            Self::Cycle => 1.0 + 0.03 * (at * 12.0 * TAU).sin(),
        }
    }
}

pub(super) fn lay(run: &mut Synthetic, shape: Shape, seed: u64) {
    let mut random = random(seed);
    rounds(run, shape, &mut random);
    sweeps(run, shape, &mut random);
    run.settle();
}

fn rounds(run: &mut Synthetic, shape: Shape, random: &mut ChaCha8Rng) {
    let plan = run.header().plan.clone();
    let mut pace = Wandering::new(PACE_DEVIATION, keeps(plan.round_every_ns, PACE_S), random);
    for (number, round) in run.load_rounds() {
        let at = number as f64 / plan.rounds_planned.max(1) as f64;
        let slow = if shape == Shape::HostNoise && random.random_bool(0.003) { 5.0 } else { 1.0 };
        let factor = (pace.next(random) + one(ROUND_DEVIATION, random)).exp();
        let took_ns = 5.0 * MS_NS as f64 * factor * slow * shape.pace(at);
        took(round, took_ns as u64);
    }
}

fn sweeps(run: &mut Synthetic, shape: Shape, random: &mut ChaCha8Rng) {
    let plan = run.header().plan.clone();
    let keeps = keeps(plan.sample_every_ns, MEMORY_S);
    let mut wanderings: BTreeMap<AgentId, Wandering> = BTreeMap::new();
    let load_ns = LAUNCHED_NS + plan.warm_up_ns;
    let mut host = Host::default();
    for sample in run.sweeps() {
        let at = sample.due_ns.saturating_sub(load_ns) as f64 / plan.duration_ns as f64;
        for row in &mut sample.agents {
            let wandering = wanderings
                .entry(row.agent)
                .or_insert_with(|| Wandering::new(MEMORY_DEVIATION, keeps, random));
            let factor = shape.memory(at) * (1.0 + wandering.next(random));
            memory(row, |kib| kib * factor);
            row.fds += u32::from(random.random_bool(FILE_SHARE));
        }
        if shape == Shape::HostNoise {
            host.disturb(sample, random);
        }
    }
}

/// What others have taken from the host so far, in ticks.
#[derive(Debug, Default)]
struct Host {
    stolen: u64,
    busy: u64,
    until: u64,
}

impl Host {
    /// Bursts of a few sweeps.
    fn disturb(&mut self, sample: &mut Sample, random: &mut ChaCha8Rng) {
        if random.random_bool(0.02) {
            self.until = sample.sweep + random.random_range(1..10);
        }
        if sample.sweep < self.until {
            self.stolen += random.random_range(0..20);
            self.busy += random.random_range(0..500);
            sample.started_ns += random.random_range(0..100) * MS_NS;
            sample.host.load1 += random.random_range(0.0..4.0);
        }
        let host = &mut sample.host;
        host.steal_ticks = host.steal_ticks.map(|ticks| ticks + self.stolen);
        host.idle_ticks = host.idle_ticks.map(|ticks| ticks.saturating_sub(self.stolen + self.busy));
    }
}
