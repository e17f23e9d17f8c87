//! What figures of real fleets do when nothing is wrong with them.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal};

/// A series in which each value is near the one before it: autoregressive, of order 1.
#[derive(Debug, Clone)]
pub(super) struct Wandering {
    value: f64,
    keeps: f64,
    step: Normal<f64>,
}

impl Wandering {
    /// With this standard deviation in the long run; `keeps` is the correlation of neighbours.
    pub(super) fn new(deviation: f64, keeps: f64, random: &mut ChaCha8Rng) -> Self {
        let whole = normal(deviation);
        Self { value: whole.sample(random), keeps, step: normal(deviation * (1.0 - keeps * keeps).sqrt()) }
    }

    pub(super) fn next(&mut self, random: &mut ChaCha8Rng) -> f64 {
        self.value = self.value * self.keeps + self.step.sample(random);
        self.value
    }
}

fn normal(deviation: f64) -> Normal<f64> {
    Normal::new(0.0, deviation).expect("a deviation is finite and not negative")
}

/// Independent ones.
pub(super) fn one(deviation: f64, random: &mut ChaCha8Rng) -> f64 {
    normal(deviation).sample(random)
}

pub(super) fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// The correlation of two readings this far apart, of something that is forgotten within about `memory_s`.
pub(super) fn keeps(apart_ns: u64, memory_s: f64) -> f64 {
    (-(apart_ns as f64 / 1e9) / memory_s).exp()
}
