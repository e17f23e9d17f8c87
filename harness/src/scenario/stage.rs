//! `[[stage]]`: another number of workers or another pace, from a time of the load on.

use super::cursor::{CHOOSE_ANOTHER, Fields, Sited, reject_repeated_names};
use super::form::{Count, Name, Span};
use super::load::Load;
use super::mistake::Mistake;
use super::rehearsal::shorten;
use super::table::{Key, Presence, Table};
use super::unit::{duration_text, nanos};
use coordinator::config::{COORDINATORS_MAX, WORKERS_PER_COORDINATOR_MAX};
use reports::runlog::event::{LoadModel, StageFacts};
use reports::units;
use serde_json::json;
use std::time::Duration;

/// Closer together than this, the steps of a ramp are not carried out one by one: a fork takes its time.
const STEP_MIN: Duration = Duration::from_millis(250);
/// A stage that comes again.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_TIMES_MAX: u64 = 1_000;
/// As for the whole load.
const ROUND_EVERY_MIN: Duration = Duration::from_millis(1);

pub(super) static TABLE: Table = Table {
    name: "stage",
    definition: "Stage",
    says: "Another number of workers, or another pace, from a time of the load on. The warm-up has those of `[fleet]` and `[load]`.",
    required: false,
    repeated: true,
    keys: &[&NAME, &AT, &WORKERS, &OVER, &EVERY, &AGAIN],
    anew: None,
    rules: Some(|| {
        vec![
            json!({ "dependencies": { OVER.name: [WORKERS.name] } }),
            // One that comes again may find what it wants there, but not want nothing.
            json!({ "anyOf": [{ "required": [WORKERS.name] }, { "required": [EVERY.name] }] }),
        ]
    }),
};

static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Required { example: "\"peak\"" },
    says: "What documents call the stage.",
};

static AT: Key<Span> = Key {
    name: "at",
    form: Span::ANY,
    presence: Presence::Required { example: "\"2m\"" },
    says: "When it begins, from the beginning of the load. It lasts until the next one, or the end of the load.",
};

static WORKERS: Key<Count> = Key {
    name: "workers",
    form: Count { max: COORDINATORS_MAX * WORKERS_PER_COORDINATOR_MAX, things: "workers of the whole fleet" },
    presence: Presence::Optional("those of the stage before"),
    says: "Workers of the whole fleet, the same number under each coordinator. New ones get tasks when they are ready; those that \
           are too many finish theirs and end.",
};

static OVER: Key<Span> = Key {
    name: "over",
    form: Span::ANY,
    presence: Presence::Optional("all at once"),
    says: "How long the number of workers takes to become this one, in equal steps.",
};

static EVERY: Key<Span> = Key {
    name: "every",
    form: Span { least: ROUND_EVERY_MIN, instead: "`model = \"closed\"` is as fast as possible" },
    presence: Presence::Optional("that of the stage before"),
    says: "Open loop: the time between the scheduled starts of two rounds from here on.",
};

static AGAIN: Key<Span> = Key {
    name: "again",
    form: Span { least: AGAIN_MIN, instead: "a ramp has `over`" },
    presence: Presence::Optional("once"),
    says: "And again after so long, until the load ends: `\"1d\"` is a daily curve. The second is called `peak-2`, and so on.",
};

#[derive(Debug, Clone)]
pub(super) struct RawStage {
    name: Option<Sited<String>>,
    at: Option<Sited<Duration>>,
    workers: Option<Sited<u32>>,
    over: Option<Sited<Duration>>,
    every: Option<Sited<Duration>>,
    again: Option<Sited<Duration>>,
}

/// What holds from a time of the load on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    name: String,
    at: Duration,
    /// Under each coordinator.
    workers: u32,
    over: Duration,
    /// Nothing in a closed loop.
    every: Option<Duration>,
}

/// The fleet is to have another number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeStep {
    /// From the beginning of the load.
    pub at_ns: u64,
    /// Index of its stage.
    pub stage: usize,
    /// Under each coordinator.
    pub workers: u32,
}

impl Stage {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From the beginning of the load.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Under each coordinator.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// How long the number of workers takes to become this one.
    pub fn over(&self) -> Duration {
        self.over
    }

    /// Between the scheduled starts of two rounds; nothing in a closed loop.
    pub fn every(&self) -> Option<Duration> {
        self.every
    }

    pub(super) fn facts(&self, coordinators: u32) -> StageFacts {
        StageFacts {
            name: self.name.clone(),
            at_ns: nanos(self.at),
            over_ns: nanos(self.over),
            workers: coordinators * self.workers,
            round_every_ns: self.every.map_or(0, nanos),
        }
    }

    /// In a schedule that is `factor` times as fast.
    pub(super) fn compress(&mut self, factor: f64, notes: &mut Vec<String>) {
        self.at = self.at.div_f64(factor);
        self.over = self.over.div_f64(factor);
        let (least, key) = (super::load::REHEARSED_ROUND_EVERY_MIN, format!("stage.{}.every", self.name));
        self.every = self.every.map(|every| shorten(every, factor, least, &key, notes));
    }
}

/// From when on another time lies between two starts, and how long it is. Nothing in a closed loop.
pub(super) fn paces(stages: &[Stage]) -> Vec<(Duration, Duration)> {
    stages.iter().filter_map(|stage| Some((stage.at, stage.every?))).collect()
}

/// The steps in which the number of workers under each coordinator follows the stages, from `start` on.
pub(super) fn steps(stages: &[Stage], start: u32) -> Vec<SizeStep> {
    let (mut from, mut all) = (i64::from(start), Vec::new());
    for (stage, index) in stages.iter().zip(0..) {
        let difference = i64::from(stage.workers) - from;
        let in_time = (stage.over.as_nanos() / STEP_MIN.as_nanos()).max(1);
        let count = i64::try_from(in_time).unwrap_or(i64::MAX).min(difference.abs());
        for step in 1..=count {
            // The last of several is at the end of the time.
            let share = if count == 1 { 0 } else { step };
            let at_ns =
                nanos(stage.at) + (u128::from(nanos(stage.over)) * share as u128 / count as u128) as u64;
            let workers = u32::try_from(from + difference * step / count).unwrap_or(1);
            all.push(SizeStep { at_ns, stage: index, workers });
        }
        from = i64::from(stage.workers);
    }
    all
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Vec<RawStage> {
    let entries = root.entries(&TABLE, found).unwrap_or_default();
    entries
        .iter()
        .map(|fields| RawStage {
            name: fields.value(&NAME, found),
            at: fields.value(&AT, found),
            workers: fields.value(&WORKERS, found),
            over: fields.value(&OVER, found),
            every: fields.value(&EVERY, found),
            again: fields.value(&AGAIN, found),
        })
        .collect()
}

/// The fleet has `coordinators`, each with `workers` at the start. What is wrong is left out, and has been reported.
pub(super) fn check(
    raw: &[RawStage],
    load: &Load,
    (coordinators, workers): (u32, u32),
    found: &mut Vec<Mistake>,
) -> Vec<Stage> {
    for stage in raw.iter().filter(|stage| stage.again.is_some()) {
        if let (Some(name), None, None) = (&stage.name, &stage.workers, &stage.every) {
            reject_idle(name, "it has neither `workers` nor `every`", found);
        }
    }
    let raw = &repeated(raw, load.duration(), found)[..];
    let names = raw.iter().filter_map(|stage| stage.name.as_ref());
    reject_repeated_names("stage", names, |_| CHOOSE_ANOTHER.to_owned(), found);
    let mut stages: Vec<Stage> = Vec::new();
    for (index, stage) in raw.iter().enumerate() {
        let (Some(name), Some(at)) = (&stage.name, &stage.at) else { continue };
        if let Some(before) = stages.last().filter(|before| before.at >= at.value) {
            let message = format!(
                "`{}` ({}) is not after the stage before it, `{}` ({})",
                at.path,
                duration_text(at.value),
                before.name,
                duration_text(before.at)
            );
            at.reject(found, message, "write the stages in the order of their times");
        }
        if at.value >= load.duration() {
            let message =
                format!("`{}` ({}) is not before the end of the load", at.path, duration_text(at.value));
            at.reject(found, message, format!("the load takes {}", duration_text(load.duration())));
        }
        let next =
            raw.get(index + 1).and_then(|next| next.at.as_ref()).map_or(load.duration(), |next| next.value);
        stage.check_over(next.saturating_sub(at.value), found);
        let before = stages.last().map_or((workers, load.every()), |before| (before.workers, before.every));
        let mistakes = found.len();
        let now = (
            stage.workers_under_each(coordinators, found).unwrap_or(before.0),
            stage.pace(load.model(), found).or(before.1),
        );
        // One that comes again may find what it wants there.
        if now == before && stage.again.is_none() && found.len() == mistakes {
            let all = units::things((coordinators * before.0).into(), "worker");
            let pace = before.1.map(|every| format!(", and rounds start every {}", duration_text(every)));
            reject_idle(name, &format!("the fleet has {all} then{}", pace.unwrap_or_default()), found);
        }
        stages.push(Stage {
            name: name.value.clone(),
            at: at.value,
            workers: now.0,
            over: stage.over.as_ref().map_or(Duration::ZERO, |over| over.value),
            every: now.1,
        });
    }
    stages
}

fn reject_idle(name: &Sited<String>, why: &str, found: &mut Vec<Mistake>) {
    let message = format!("the stage `{}` changes nothing: {why}", name.value);
    name.reject(found, message, "give it other `workers` or another `every`, or leave the stage out");
}

/// With every stage that comes again as often as it does. Those are in the order of their times; where none comes again, the
/// order of the file is left for the checks.
fn repeated(raw: &[RawStage], duration: Duration, found: &mut Vec<Mistake>) -> Vec<RawStage> {
    let mut all = Vec::new();
    for stage in raw {
        all.push(stage.clone());
        let (Some(at), Some(again)) = (&stage.at, &stage.again) else { continue };
        let times = duration.saturating_sub(at.value).as_secs() / again.value.as_secs().max(1);
        if times > AGAIN_TIMES_MAX {
            let message = format!("`{}` makes the stage come again {times} times", again.path);
            again.reject(
                found,
                message,
                format!("a stage may come again {AGAIN_TIMES_MAX} times: write a longer time"),
            );
            continue;
        }
        // One that is too short has been reported.
        let again = again.value.max(AGAIN_MIN);
        let times = (2..)
            .zip(1_u32..)
            .map(|(number, nth)| (number, at.value.saturating_add(again.saturating_mul(nth))));
        for (number, time) in times.take_while(|(_, time)| *time < duration) {
            let mut next = stage.clone();
            next.at = next.at.map(|at| Sited { value: time, ..at });
            next.name = next.name.map(|name| Sited { value: format!("{}-{number}", name.value), ..name });
            all.push(next);
        }
    }
    if raw.iter().any(|stage| stage.again.is_some()) {
        all.sort_by_key(|stage| stage.at.as_ref().map(|at| at.value));
    }
    all
}

impl RawStage {
    fn workers_under_each(&self, coordinators: u32, found: &mut Vec<Mistake>) -> Option<u32> {
        let at = self.workers.as_ref()?;
        let (each, rest) = (at.value / coordinators, at.value % coordinators);
        if rest > 0 {
            let message = format!(
                "`{}` is {}, which {coordinators} coordinators cannot have in equal parts",
                at.path, at.value
            );
            let more = (each + 1) * coordinators;
            let hint = match each {
                0 => format!("it is the number of the whole fleet: write {more}"),
                _ => format!("it is the number of the whole fleet: write {} or {more}", each * coordinators),
            };
            at.reject(found, message, hint);
            return None;
        }
        if each > WORKERS_PER_COORDINATOR_MAX {
            let message = format!("`{}` would be {each} workers under each coordinator", at.path);
            at.reject(found, message, format!("a coordinator has at most {WORKERS_PER_COORDINATOR_MAX}"));
            return None;
        }
        Some(each)
    }

    /// `room` is how long the stage lasts.
    fn check_over(&self, room: Duration, found: &mut Vec<Mistake>) {
        let Some(over) = &self.over else { return };
        if self.workers.is_none() {
            let message = format!("`{}` has no effect without `workers`", over.path);
            over.reject(found, message, "add `workers`, or leave `over` out");
        } else if over.value > room {
            let message = format!("`{}` ({}) is longer than its stage", over.path, duration_text(over.value));
            over.reject(found, message, format!("the stage lasts {}", duration_text(room)));
        }
    }

    fn pace(&self, model: LoadModel, found: &mut Vec<Mistake>) -> Option<Duration> {
        let every = self.every.as_ref()?;
        if model == LoadModel::Closed {
            let message = format!(
                "`{}` does not apply to a closed loop: a round starts when the previous one has finished",
                every.path
            );
            every.reject(found, message, "leave it out, or write `model = \"open\"`");
            return None;
        }
        // Too short a pace has been reported.
        Some(every.value).filter(|every| !every.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAILY: &str = "schema = 1\nname = \"x\"\nasks = \"Does it?\"\n\
        [fleet]\ntopology = \"flat\"\ncoordinators = 1\nworkers = 2\n\
        [workload]\nkind = \"echo\"\npayload = \"1B\"\n[sampling]\nevery = \"1m\"\n\
        [load]\nmodel = \"open\"\nevery = \"1m\"\nduration = \"3d\"\n\
        [[stage]]\nname = \"day\"\nat = \"8h\"\nworkers = 9\nagain = \"AGAIN\"\n\
        [[stage]]\nname = \"night\"\nat = \"20h\"\nworkers = 2\nagain = \"1d\"\n\
        [[criterion]]\nname = \"c\"\npass = \"delivery.rate >= 100%\"\n";

    fn daily(again: &str) -> Result<Vec<String>, String> {
        use crate::scenario::{Scenario, Selection, Source};
        let source = Source::new("x.toml", DAILY.replace("AGAIN", again));
        let scenario = Scenario::parse(&source, &Selection::default())
            .map_err(|found| found.iter().map(|m| m.message().to_owned()).collect::<Vec<_>>().join("; "))?;
        let hour =
            |stage: &Stage| format!("{} {}h {}", stage.name(), stage.at().as_secs() / 3_600, stage.workers());
        Ok(scenario.stages.iter().map(hour).collect())
    }

    #[test]
    fn a_stage_that_comes_again_does_so_until_the_load_ends() {
        assert_eq!(
            daily("1d").unwrap(),
            ["day 8h 9", "night 20h 2", "day-2 32h 9", "night-2 44h 2", "day-3 56h 9", "night-3 68h 2"]
        );
        assert_eq!(
            daily("2d").unwrap(),
            ["day 8h 9", "night 20h 2", "night-2 44h 2", "day-2 56h 9", "night-3 68h 2"]
        );
    }

    #[test]
    fn stages_that_would_begin_at_the_same_time_or_too_often_are_refused() {
        assert!(daily("12h").unwrap_err().contains("is not after the stage before it"), "{:?}", daily("12h"));
        assert!(daily("1ms").unwrap_err().contains("`stage.day.again` is 1ms, which is too short"));
        assert!(
            daily("1m").unwrap_err().contains("makes the stage come again 3840 times"),
            "{:?}",
            daily("1m")
        );
    }

    fn stage(at_s: u64, workers: u32, over_s: u64) -> Stage {
        let seconds = Duration::from_secs;
        Stage { name: format!("at-{at_s}"), at: seconds(at_s), workers, over: seconds(over_s), every: None }
    }

    fn times(stages: &[Stage], start: u32) -> Vec<(u64, u32)> {
        steps(stages, start).iter().map(|step| (step.at_ns / 1_000_000, step.workers)).collect()
    }

    #[test]
    fn a_ramp_goes_up_and_down_in_equal_steps() {
        assert_eq!(times(&[stage(1, 5, 0)], 2), [(1_000, 5)]);
        assert_eq!(
            times(&[stage(0, 4, 3), stage(10, 1, 3)], 1),
            [(1_000, 2), (2_000, 3), (3_000, 4), (11_000, 3), (12_000, 2), (13_000, 1)]
        );
        assert_eq!(times(&[stage(0, 7, 60)], 7), []);
    }

    #[test]
    fn steps_are_no_closer_together_than_a_fleet_can_take_them() {
        let all = times(&[stage(0, 708, 1)], 100);
        assert_eq!(all, [(250, 252), (500, 404), (750, 556), (1_000, 708)]);
        assert_eq!(times(&[stage(5, 1, 1)], 3), [(5_500, 2), (6_000, 1)]);
    }
}
