//! What a worker does with a task.

use super::seed;
use super::unit::{bytes_text, duration_text};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1, StandardNormal};
use std::time::Duration;

/// Checked: payloads and outputs fit the bus, commands are not empty.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// The payload comes back and is compared.
    Echo { payload_bytes: u32 },
    /// The worker waits.
    Sleep(SleepTime),
    /// The worker uses a processor for so long.
    Compute { cpu: Duration },
    /// A command; `{}` in an argument becomes the task's number.
    Exec { command: Vec<String>, output_max_bytes: u32 },
}

/// How long a worker waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SleepTime {
    Fixed(Duration),
    Drawn(Drawn),
}

/// A distribution, cut off at `min` and `max`: a draw outside counts as the bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    pub(super) shape: Shape,
    pub(super) min: Duration,
    pub(super) max: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// Between `min` and `max`, which are both there.
    Uniform,
    Exponential {
        mean: Duration,
    },
    Normal {
        mean: Duration,
        deviation: Duration,
    },
    /// Mean and deviation are the times' own, not their logarithms'.
    Lognormal {
        mean: Duration,
        deviation: Duration,
    },
}

impl SleepTime {
    /// The time of task number `task`: the same for the same seed, whoever asks and in whatever order.
    pub fn of_task(&self, seed: u64, task: u64) -> Duration {
        match self {
            Self::Fixed(time) => *time,
            Self::Drawn(drawn) => {
                drawn.draw(&mut ChaCha8Rng::seed_from_u64(seed::child(seed, &format!("sleep.{task}"))))
            }
        }
    }
}

impl Drawn {
    fn draw(&self, random: &mut ChaCha8Rng) -> Duration {
        let seconds = match self.shape {
            Shape::Uniform => {
                let max = self.max.unwrap_or(self.min);
                let width = max.saturating_sub(self.min).as_secs_f64();
                let unit: f64 = rand_distr::StandardUniform.sample(random);
                self.min.as_secs_f64() + width * unit
            }
            Shape::Exponential { mean } => {
                let unit: f64 = Exp1.sample(random);
                mean.as_secs_f64() * unit
            }
            Shape::Normal { mean, deviation } => {
                let unit: f64 = StandardNormal.sample(random);
                mean.as_secs_f64() + deviation.as_secs_f64() * unit
            }
            Shape::Lognormal { mean, deviation } => {
                let (mean, deviation) = (mean.as_secs_f64(), deviation.as_secs_f64());
                // The logarithm's own moments, from those of the times.
                let variance = (1.0 + (deviation / mean).powi(2)).ln();
                let unit: f64 = StandardNormal.sample(random);
                (mean.ln() - variance / 2.0 + variance.sqrt() * unit).exp()
            }
        };
        let drawn = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        drawn.max(self.min).min(self.max.unwrap_or(Duration::MAX))
    }
}

impl Workload {
    /// Bytes that a task or its answer carries at most: what the bus must have room for.
    pub fn payload_max_bytes(&self) -> u32 {
        /// A duration or a status, and what frames it.
        const SMALL: u32 = 64;
        /// A `{}` becomes up to twenty digits.
        const DIGITS: usize = 20;
        /// Length before each argument.
        const LENGTH: usize = 4;
        match self {
            Self::Echo { payload_bytes } => (*payload_bytes).max(SMALL),
            Self::Sleep(_) | Self::Compute { .. } => SMALL,
            Self::Exec { command, output_max_bytes } => {
                let arguments: usize = command
                    .iter()
                    .map(|argument| LENGTH + argument.len() + argument.matches("{}").count() * DIGITS)
                    .sum();
                u32::try_from(arguments).unwrap_or(u32::MAX).max(*output_max_bytes).saturating_add(SMALL)
            }
        }
    }

    /// In words: `echo 256 B`.
    pub fn words(&self) -> String {
        match self {
            Self::Echo { payload_bytes } => format!("echo {}", bytes_text(u64::from(*payload_bytes))),
            Self::Sleep(SleepTime::Fixed(time)) => format!("sleep {}", duration_text(*time)),
            Self::Sleep(SleepTime::Drawn(drawn)) => format!("sleep {}", drawn.words()),
            Self::Compute { cpu } => format!("compute {}", duration_text(*cpu)),
            Self::Exec { command, .. } => format!("exec {}", command.join(" ")),
        }
    }
}

impl Drawn {
    fn words(&self) -> String {
        let shape = match self.shape {
            Shape::Uniform => "uniform".to_owned(),
            Shape::Exponential { mean } => format!("exponential, mean {}", duration_text(mean)),
            Shape::Normal { mean, deviation } => {
                format!("normal, mean {}, deviation {}", duration_text(mean), duration_text(deviation))
            }
            Shape::Lognormal { mean, deviation } => {
                format!("lognormal, mean {}, deviation {}", duration_text(mean), duration_text(deviation))
            }
        };
        match self.max {
            Some(max) => format!("{shape}, {} to {}", duration_text(self.min), duration_text(max)),
            None if self.min.is_zero() => shape,
            None => format!("{shape}, at least {}", duration_text(self.min)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn mean_ms(shape: Shape, min: Duration, max: Option<Duration>) -> f64 {
        let time = SleepTime::Drawn(Drawn { shape, min, max });
        let n = 20_000;
        (0..n).map(|task| time.of_task(7, task).as_secs_f64() * 1e3).sum::<f64>() / n as f64
    }

    #[test]
    fn each_distribution_has_the_mean_it_was_asked_for() {
        for (shape, min, max) in [
            (Shape::Uniform, MS(5), Some(MS(15))),
            (Shape::Exponential { mean: MS(10) }, MS(0), None),
            (Shape::Normal { mean: MS(10), deviation: MS(2) }, MS(0), None),
            (Shape::Lognormal { mean: MS(10), deviation: MS(5) }, MS(0), None),
        ] {
            let mean = mean_ms(shape, min, max);
            assert!((mean - 10.0).abs() < 0.4, "{shape:?}: {mean} ms");
        }
    }

    #[test]
    fn draws_stay_within_their_bounds_and_repeat_with_their_seed() {
        let shape = Shape::Exponential { mean: MS(10) };
        let time = SleepTime::Drawn(Drawn { shape, min: MS(5), max: Some(MS(12)) });
        for task in 0..1_000 {
            let drawn = time.of_task(1, task);
            assert!((MS(5)..=MS(12)).contains(&drawn), "{drawn:?}");
            assert_eq!(drawn, time.of_task(1, task));
        }
    }
}
