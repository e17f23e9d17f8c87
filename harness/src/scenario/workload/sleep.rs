//! `kind = "sleep"`: how long a worker waits, always the same or drawn for each task.

use crate::scenario::cursor::{Fields, Given, Sited};
use crate::scenario::form::{Span, Word, Words};
use crate::scenario::mistake::{Mistake, Origin};
use crate::scenario::rule::{when, without};
use crate::scenario::seed;
use crate::scenario::table::{Key, Presence};
use crate::scenario::unit::duration_text;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1, StandardNormal};
use serde_json::{Value as Json, json};
use std::time::Duration;

const EXAMPLE: &str = "\"10ms\"";

pub(super) static TIME: Key<Span> = Key {
    name: "time",
    form: Span::ANY,
    presence: Presence::RequiredBy {
        example: EXAMPLE,
        who: "`kind = \"sleep\"`, unless `distribution` is given",
    },
    says: "Sleep: how long a worker waits, the same for every task. Saboteur: the same, 0 if absent.",
};

pub(super) static DISTRIBUTION: Key<Words<Distribution>> = Key {
    name: "distribution",
    form: Words {
        definition: "Distribution",
        words: &[
            Word { text: "exponential", value: Distribution::Exponential, says: "" },
            Word { text: "uniform", value: Distribution::Uniform, says: "" },
            Word { text: "normal", value: Distribution::Normal, says: "" },
            Word { text: "lognormal", value: Distribution::Lognormal, says: "" },
        ],
    },
    presence: Presence::RequiredBy {
        example: "\"exponential\"",
        who: "`kind = \"sleep\"`, unless `time` is given",
    },
    says: "Sleep: what the time of each task is drawn from.",
};

pub(super) static MEAN: Key<Span> = Key {
    name: "mean",
    form: Span::POSITIVE,
    presence: Presence::RequiredBy { example: EXAMPLE, who: "every distribution but `uniform`" },
    says: "Sleep: mean of the distribution.",
};

pub(super) static DEVIATION: Key<Span> = Key {
    name: "deviation",
    form: Span::POSITIVE,
    presence: Presence::RequiredBy { example: EXAMPLE, who: "`normal` and `lognormal`" },
    says: "Sleep: standard deviation of the distribution.",
};

pub(super) static MIN: Key<Span> = Key {
    name: "min",
    form: Span::ANY,
    presence: Presence::RequiredBy { example: EXAMPLE, who: "`uniform`" },
    says: "Sleep: least time; a shorter draw counts as this.",
};

pub(super) static MAX: Key<Span> = Key {
    name: "max",
    form: Span::ANY,
    presence: Presence::RequiredBy { example: EXAMPLE, who: "`uniform`" },
    says: "Sleep: greatest time; a longer draw counts as this.",
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distribution {
    Exponential,
    Uniform,
    Normal,
    Lognormal,
}

/// What an editor knows of the keys that a time, or a distribution, takes.
pub(super) fn rules() -> Vec<Json> {
    let random = [MEAN.name, DEVIATION.name, MIN.name, MAX.name];
    let time = json!({ "properties": { "kind": { "const": "sleep" } }, "required": ["kind", TIME.name] });
    let word = |word: &Word<Distribution>| {
        let (needed, rejected) = word.value.keys();
        let mut then = without(rejected);
        then["required"] = json!(needed);
        when(DISTRIBUTION.name, &json!(word.text), &then)
    };
    let mut rules = vec![json!({ "if": time, "then": without(&random) })];
    rules.extend(DISTRIBUTION.form.words.iter().map(word));
    rules
}

#[derive(Debug)]
pub(super) struct RawSleep {
    time: Given<Duration>,
    distribution: Given<Distribution>,
    mean: Given<Duration>,
    deviation: Given<Duration>,
    min: Given<Duration>,
    max: Given<Duration>,
}

pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawSleep {
    RawSleep {
        time: fields.given(&TIME, found),
        distribution: fields.given(&DISTRIBUTION, found),
        mean: fields.given(&MEAN, found),
        deviation: fields.given(&DEVIATION, found),
        min: fields.given(&MIN, found),
        max: fields.given(&MAX, found),
    }
}

/// `path` is the workload's, and `table` where it stands.
pub(super) fn check(
    raw: &RawSleep,
    (path, table): (&str, Origin),
    found: &mut Vec<Mistake>,
) -> Option<SleepTime> {
    if let Some(time) = raw.time.key {
        if let Some(random) = raw.random_key() {
            let message = format!("`{path}.time` is fixed, but `{path}.{random}` makes it random");
            found.push(Mistake::new(time, message, "write either `time`, or `distribution` and its keys"));
            return None;
        }
        return raw.time.value.as_ref().map(|time| SleepTime::Fixed(time.value));
    }
    if raw.distribution.is_absent() {
        if !raw.time.is_misspelt() && !raw.distribution.is_misspelt() {
            let hint = "write `time = \"10ms\"`, or `distribution = \"exponential\"` and `mean = \"10ms\"`";
            found.push(Mistake::new(table, format!("`{path}.time` is missing"), hint));
        }
        return None;
    }
    let distribution = raw.distribution.value.as_ref()?.value;
    raw.check_keys_of(distribution, path, found);
    let min = value(&raw.min).unwrap_or(Duration::ZERO);
    if let Some(max) = &raw.max.value
        && max.value < min
    {
        let message = format!("`{}` ({}) is less than `{path}.min`", max.path, duration_text(max.value));
        max.reject(found, message, format!("write at least \"{}\"", duration_text(min)));
    }
    Some(SleepTime::Drawn(Drawn { shape: raw.shape(distribution)?, min, max: value(&raw.max) }))
}

fn value(given: &Given<Duration>) -> Option<Duration> {
    given.value.as_ref().map(|at: &Sited<Duration>| at.value)
}

impl Distribution {
    /// Those that it needs, and those that do not apply to it.
    fn keys(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Uniform => (&["min", "max"], &["mean", "deviation"]),
            Self::Exponential => (&["mean"], &["deviation"]),
            Self::Normal | Self::Lognormal => (&["mean", "deviation"], &[]),
        }
    }

    fn name(self) -> &'static str {
        let word = DISTRIBUTION.form.words.iter().find(|word| word.value == self);
        word.map_or("", |word| word.text)
    }
}

impl RawSleep {
    pub(super) fn time(&self) -> &Given<Duration> {
        &self.time
    }

    /// A key that makes the time random.
    fn random_key(&self) -> Option<&'static str> {
        if !self.distribution.is_absent() {
            return Some(self.distribution.name);
        }
        let times = [&self.mean, &self.deviation, &self.min, &self.max];
        times.into_iter().find(|key| !key.is_absent()).map(|key| key.name)
    }

    fn check_keys_of(&self, distribution: Distribution, path: &str, found: &mut Vec<Mistake>) {
        let (needed, rejected) = distribution.keys();
        let own = [&self.mean, &self.deviation, &self.min, &self.max];
        let of = |names: &[&str]| own.into_iter().filter(|key| names.contains(&key.name)).collect::<Vec<_>>();
        let (needed, rejected) = (of(needed), of(rejected));
        let name = distribution.name();
        for key in &needed {
            key.require(&format!("the distribution \"{name}\" needs it"), "", found);
        }
        for key in rejected {
            if let Some(origin) = key.key {
                let message = format!("`{path}.{}` does not apply to distribution \"{name}\"", key.name);
                let listed =
                    needed.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(" and ");
                found.push(Mistake::new(origin, message, format!("\"{name}\" takes {listed}")));
            }
        }
    }

    /// Absent if a time that it needs is.
    fn shape(&self, distribution: Distribution) -> Option<Shape> {
        Some(match distribution {
            Distribution::Uniform => {
                value(&self.min).and(value(&self.max))?;
                Shape::Uniform
            }
            Distribution::Exponential => Shape::Exponential { mean: value(&self.mean)? },
            Distribution::Normal => {
                Shape::Normal { mean: value(&self.mean)?, deviation: value(&self.deviation)? }
            }
            Distribution::Lognormal => {
                Shape::Lognormal { mean: value(&self.mean)?, deviation: value(&self.deviation)? }
            }
        })
    }
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
    shape: Shape,
    min: Duration,
    max: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// Between `min` and `max`, which are both present.
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
    pub(super) fn least(&self) -> Duration {
        match self {
            Self::Fixed(time) => *time,
            Self::Drawn(drawn) => drawn.min,
        }
    }

    /// The time of task number `task`: the same for the same seed, in whatever order tasks are asked for.
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

impl Drawn {
    pub(super) fn words(&self) -> String {
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
