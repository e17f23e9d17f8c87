//! `[load]`: when rounds start, and how long that goes on.

mod starts;

pub use starts::{Starts, Stretch};

use super::cursor::{Fields, Given, Sited};
use super::form::{Count, Span, Word, Words};
use super::mistake::{Mistake, Origin};
use super::rehearsal::shorten;
use super::rule::{when, without};
use super::table::{Anew, Drops, Key, Presence, Preset, Table};
use super::unit::{duration_text, nanos};
use coordinator::config::DEPTH_MAX;
use reports::runlog::event::{Arrivals, LoadModel};
use serde_json::{Value as Json, json};
use std::time::Duration;

const TASK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Enough to see a round overtaken by the next; few enough to see one that never ends.
const ROUNDS_IN_FLIGHT_DEFAULT: u32 = 4;
/// Closer together, rounds are a flood and not a schedule: that is what the closed loop is for.
const ROUND_EVERY_MIN: Duration = Duration::from_millis(1);
/// A Poisson schedule is drawn before the run, to know how many rounds there will be. As many as these take seconds.
const ROUNDS_DRAWN_MAX: u128 = 100_000_000;
/// In a rehearsal. Closer together, a round over hundreds of processes would overtake the one before.
pub const REHEARSED_ROUND_EVERY_MIN: Duration = Duration::from_millis(5);

/// The index of a task in its round is part of its tag.
const TASKS_PER_ROUND_MAX: u32 = 1_000_000;

// As the key says it.
const _: () = assert!(DEPTH_MAX == 64);
const _: () = assert!(ROUNDS_IN_FLIGHT_DEFAULT >= 1 && ROUNDS_IN_FLIGHT_DEFAULT <= DEPTH_MAX);

pub(super) static TABLE: Table = Table {
    name: "load",
    definition: "Load",
    says: "When rounds start, and how long that goes on.",
    required: true,
    repeated: false,
    keys: &[
        &MODEL,
        &EVERY,
        &ARRIVALS,
        &DURATION,
        &WARM_UP,
        &TO,
        &TASKS_PER_ROUND,
        &TASK_TIMEOUT,
        &ROUNDS_IN_FLIGHT_MAX,
    ],
    // The pace of one model does not apply to the other.
    anew: Some(Anew { key: "model", drops: Drops::Keys(PACE) }),
    rules: Some(rules),
};

/// What only an open loop has.
const PACE: &[&str] = &["every", "arrivals", "rounds_in_flight_max"];

fn rules() -> Vec<Json> {
    vec![
        when("model", &json!("open"), &json!({ "required": ["every"] })),
        when("model", &json!("closed"), &without(PACE)),
        when("to", &json!("each"), &without(&["tasks_per_round"])),
    ]
}

static MODEL: Key<Words<LoadModel>> = Key {
    name: "model",
    form: Words {
        definition: "LoadModel",
        words: &[
            Word {
                text: "open",
                value: LoadModel::Open,
                says: "rounds start on schedule, whether or not the previous one has finished",
            },
            Word {
                text: "closed",
                value: LoadModel::Closed,
                says: "a round starts when the previous one has finished",
            },
        ],
    },
    presence: Presence::Required { example: "\"open\"" },
    says: "What starts a round.",
};

static EVERY: Key<Span> = Key {
    name: "every",
    form: Span { least: ROUND_EVERY_MIN, instead: "`model = \"closed\"` is as fast as possible" },
    presence: Presence::RequiredBy { example: "\"500ms\"", who: "`model = \"open\"`" },
    says: "Open loop: the time between the scheduled starts of two rounds.",
};

static ARRIVALS: Key<Words<Arrivals>> = Key {
    name: "arrivals",
    form: Words {
        definition: "Arrivals",
        words: &[
            Word { text: "constant", value: Arrivals::Constant, says: "`every` after each other" },
            Word {
                text: "poisson",
                value: Arrivals::Poisson,
                says: "at random, with gaps that are drawn from the exponential distribution with the mean `every`",
            },
        ],
    },
    presence: Presence::Optional("`\"constant\"`"),
    says: "Open loop: how rounds follow each other. What is drawn depends on the seed alone.",
};

static TO: Key<Words<To>> = Key {
    name: "to",
    form: Words {
        definition: "To",
        words: &[
            Word { text: "each", value: To::Each, says: "one task to every worker" },
            Word { text: "any", value: To::Any, says: "each task to whichever worker the fleet chooses" },
        ],
    },
    presence: Presence::Optional("`\"each\"`; `\"any\"` with `tasks_per_round`"),
    says: "Which workers the tasks of a round go to.",
};

static TASKS_PER_ROUND: Key<Count> = Key {
    name: "tasks_per_round",
    form: Count { max: TASKS_PER_ROUND_MAX, things: "tasks of a round" },
    presence: Presence::Optional("as many as there are workers"),
    says: "Tasks of a round, each for any worker. Of those of all rounds in flight, 64 may wait for a worker.",
};

static DURATION: Key<Span> = Key {
    name: "duration",
    form: Span::POSITIVE,
    presence: Presence::Required { example: "\"60s\"" },
    says: "How long the load goes on, without the warm-up.",
};

static WARM_UP: Key<Span> = Key {
    name: "warm_up",
    form: Span::ANY,
    presence: Presence::Optional("none"),
    says: "Rounds before the load, which are shown and not judged.",
};

static TASK_TIMEOUT: Key<Span> = Key {
    name: "task_timeout",
    form: Span::POSITIVE,
    presence: Presence::Default(Preset::Duration(TASK_TIMEOUT_DEFAULT)),
    says: "A task without an answer for this long has failed.",
};

static ROUNDS_IN_FLIGHT_MAX: Key<Count> = Key {
    name: "rounds_in_flight_max",
    form: Count { max: DEPTH_MAX, things: "rounds that may be in flight" },
    presence: Presence::Default(Preset::Count(ROUNDS_IN_FLIGHT_DEFAULT)),
    says: "Open loop: rounds that may overlap. One more starts late, and its time includes the delay.",
};

impl RawLoad {
    /// Where `tasks_per_round` stands.
    pub(super) fn tasks_per_round_at(&self) -> Option<Origin> {
        self.tasks_per_round.as_ref().map(|tasks| tasks.origin)
    }
}

/// Which workers the tasks of a round go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// One to every worker.
    Each,
    /// Each to a worker that the fleet chooses.
    Any,
}

#[derive(Debug)]
pub(super) struct RawLoad {
    model: Option<Sited<LoadModel>>,
    every: Given<Duration>,
    arrivals: Option<Sited<Arrivals>>,
    to: Option<Sited<To>>,
    tasks_per_round: Option<Sited<u32>>,
    duration: Option<Sited<Duration>>,
    warm_up: Option<Sited<Duration>>,
    task_timeout: Option<Sited<Duration>>,
    rounds_in_flight_max: Option<Sited<u32>>,
}

/// Rounds that could not start in time are made up for this share of the load phase, and at least
/// [`OVERRUN_MIN`]: a delay at the end must not leave a run one round short.
const OVERRUN_SHARE: u32 = 10;
const OVERRUN_MIN: Duration = Duration::from_secs(1);

/// When rounds start and how long that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    model: LoadModel,
    every: Option<Duration>,
    arrivals: Arrivals,
    to: To,
    tasks_per_round: Option<u32>,
    duration: Duration,
    warm_up: Duration,
    task_timeout: Duration,
    rounds_in_flight_max: u32,
}

impl Load {
    pub fn model(&self) -> LoadModel {
        self.model
    }

    /// Between the scheduled starts of two rounds; nothing in a closed loop.
    pub fn every(&self) -> Option<Duration> {
        self.every
    }

    /// Of the load phase, without the warm-up.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    pub fn warm_up(&self) -> Duration {
        self.warm_up
    }

    pub fn task_timeout(&self) -> Duration {
        self.task_timeout
    }

    /// For how long after its end rounds are made up that could not start in time.
    pub fn overrun(&self) -> Duration {
        (self.duration / OVERRUN_SHARE).max(OVERRUN_MIN)
    }

    pub fn rounds_in_flight_max(&self) -> u32 {
        self.rounds_in_flight_max
    }

    pub fn arrivals(&self) -> Arrivals {
        self.arrivals
    }

    pub fn to(&self) -> To {
        self.to
    }

    /// Tasks of a round for any worker of a fleet with `workers`; nothing if a round has one task for each.
    pub fn tasks_for_any(&self, workers: u32) -> Option<u32> {
        (self.to == To::Any).then(|| self.tasks_per_round.unwrap_or(workers))
    }

    /// The scheduled starts in the load phase; nothing in a closed loop. `paces` are from when on another time lies between
    /// two starts, and how long it is; `seed` is drawn from if they are random.
    pub fn starts(&self, paces: &[(Duration, Duration)], seed: u64) -> Option<Starts> {
        let mut stretches = vec![Stretch::whole(self.duration, self.every?)];
        for (at, every) in paces {
            let last = stretches.last_mut()?;
            let (at_ns, every_ns) = (nanos(*at), nanos(*every));
            if every_ns != last.every_ns && at_ns < last.to_ns {
                let next = Stretch { from_ns: at_ns, to_ns: last.to_ns, every_ns };
                last.to_ns = at_ns;
                stretches.push(next);
            }
        }
        Some(self.starts_of(stretches, seed))
    }

    /// The same for the warm-up.
    pub fn warm_up_starts(&self, seed: u64) -> Option<Starts> {
        Some(self.starts_of(vec![Stretch::whole(self.warm_up, self.every?)], seed))
    }

    fn starts_of(&self, stretches: Vec<Stretch>, seed: u64) -> Starts {
        match self.arrivals {
            Arrivals::Constant => Starts::constant(stretches),
            Arrivals::Poisson => Starts::poisson(stretches, seed),
        }
    }

    /// Rounds whose scheduled start lies in the load phase, and when the last of them starts, in seconds; if starts are
    /// random, as they would be at equal distances. Nothing in a closed loop.
    pub fn rounds_on_average(&self, paces: &[(Duration, Duration)]) -> Option<(u64, f64)> {
        let evenly = Self { arrivals: Arrivals::Constant, ..*self };
        let starts = evenly.starts(paces, 0)?;
        Some((starts.remaining(), starts.last_ns() as f64 / 1e9))
    }

    /// The schedule of a rehearsal that is `factor` times as fast. Time-outs keep their length.
    pub(super) fn compress(&mut self, factor: f64, notes: &mut Vec<String>) {
        let any = Duration::from_nanos(1);
        self.duration = shorten(self.duration, factor, any, "load.duration", notes);
        self.warm_up = self.warm_up.div_f64(factor);
        self.every =
            self.every.map(|every| shorten(every, factor, REHEARSED_ROUND_EVERY_MIN, "load.every", notes));
        assert!(self.every != Some(Duration::ZERO), "rounds without a pause between their starts");
    }
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawLoad> {
    let fields = root.table(&TABLE, found)?;
    Some(RawLoad {
        model: fields.value(&MODEL, found),
        every: fields.given(&EVERY, found),
        arrivals: fields.value(&ARRIVALS, found),
        to: fields.value(&TO, found),
        tasks_per_round: fields.value(&TASKS_PER_ROUND, found),
        duration: fields.value(&DURATION, found),
        warm_up: fields.value(&WARM_UP, found),
        task_timeout: fields.value(&TASK_TIMEOUT, found),
        rounds_in_flight_max: fields.value(&ROUNDS_IN_FLIGHT_MAX, found),
    })
}

pub(super) fn check(raw: RawLoad, found: &mut Vec<Mistake>) -> Option<Load> {
    let duration = raw.duration.map(|at| at.value).filter(|duration| !duration.is_zero());
    let warm_up = raw.warm_up.as_ref().map_or(Duration::ZERO, |at| at.value);
    if let (Some(duration), Some(at)) = (duration, &raw.warm_up)
        && at.value > duration
    {
        let message = format!("`{}` ({}) is longer than `load.duration`", at.path, duration_text(at.value));
        at.reject(found, message, format!("the load itself takes {}", duration_text(duration)));
    }
    let model = raw.model?.value;
    let every = match model {
        LoadModel::Closed => {
            reject_pace(&raw.every, found);
            None
        }
        LoadModel::Open => Some(check_pace(raw.every, duration, found)?),
    };
    let arrivals = check_arrivals(raw.arrivals.as_ref(), model, every.zip(duration), found);
    let to = check_to(raw.to.as_ref(), raw.tasks_per_round.as_ref(), found);
    let rounds_in_flight_max = check_in_flight(raw.rounds_in_flight_max, model, found)?;
    let task_timeout = raw.task_timeout.map_or(TASK_TIMEOUT_DEFAULT, |at| at.value);
    // A pace of zero has been reported.
    let every = match every {
        Some(every) if every.is_zero() => return None,
        every => every,
    };
    Some(Load {
        model,
        every,
        arrivals,
        to,
        tasks_per_round: raw.tasks_per_round.map(|at| at.value),
        duration: duration?,
        warm_up,
        task_timeout,
        rounds_in_flight_max,
    })
}

/// `pace` is the mean gap, and how long it is kept.
fn check_arrivals(
    raw: Option<&Sited<Arrivals>>,
    model: LoadModel,
    pace: Option<(Duration, Duration)>,
    found: &mut Vec<Mistake>,
) -> Arrivals {
    let Some(at) = raw else { return Arrivals::Constant };
    if model == LoadModel::Closed {
        let message = format!(
            "`{}` does not apply to a closed loop: a round starts when the previous one has finished",
            at.path
        );
        at.reject(found, message, "leave it out, or write `model = \"open\"`");
    }
    if let Some((every, duration)) = pace
        && at.value == Arrivals::Poisson
        && !every.is_zero()
        && duration.as_nanos() / every.as_nanos() > ROUNDS_DRAWN_MAX
    {
        let message = format!(
            "`{}` would draw {} rounds before the start, and at most {ROUNDS_DRAWN_MAX} are drawn",
            at.path,
            duration.as_nanos() / every.as_nanos()
        );
        at.reject(found, message, "lengthen `load.every`, or shorten `load.duration`");
    }
    at.value
}

fn check_to(to: Option<&Sited<To>>, tasks: Option<&Sited<u32>>, found: &mut Vec<Mistake>) -> To {
    let Some(at) = to else { return if tasks.is_some() { To::Any } else { To::Each } };
    if let Some(tasks) = tasks
        && at.value == To::Each
    {
        let message = format!("`{}` has no effect: a round is one task to every worker", tasks.path);
        tasks.reject(found, message, "leave it out, or write `to = \"any\"`");
    }
    at.value
}

fn reject_pace(every: &Given<Duration>, found: &mut Vec<Mistake>) {
    if let Some(origin) = every.key {
        let message =
            "`load.every` does not apply to a closed loop: a round starts when the previous one has finished";
        found.push(Mistake::new(origin, message, "leave it out, or write `model = \"open\"`"));
    }
}

fn check_pace(
    every: Given<Duration>,
    duration: Option<Duration>,
    found: &mut Vec<Mistake>,
) -> Option<Duration> {
    every.require("an open loop starts rounds on a schedule", ", or `model = \"closed\"`", found);
    let every = every.value?;
    if let Some(duration) = duration
        && every.value > duration
    {
        let message = format!(
            "`{}` ({}) is longer than `load.duration`, so there is no second round",
            every.path,
            duration_text(every.value)
        );
        every.reject(found, message, format!("the load takes {}", duration_text(duration)));
    }
    Some(every.value)
}

fn check_in_flight(raw: Option<Sited<u32>>, model: LoadModel, found: &mut Vec<Mistake>) -> Option<u32> {
    let default = if model == LoadModel::Open { ROUNDS_IN_FLIGHT_DEFAULT } else { 1 };
    let Some(at) = raw else { return Some(default) };
    if model == LoadModel::Closed && at.value != 1 {
        let message = format!("a closed loop has one round in flight, but `{}` is {}", at.path, at.value);
        at.reject(found, message, "leave it out, or write `model = \"open\"`");
        return None;
    }
    Some(at.value)
}
