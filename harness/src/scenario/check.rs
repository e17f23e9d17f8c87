//! [`Raw`] to [`Scenario`]: what no single key can tell.

use super::criteria;
use super::cursor::Sited;
use super::mistake::{Mistake, Origin};
use super::raw::{DistributionKind, Raw, RawFleet, RawLoad, RawSampling, RawWorkload, WorkloadKind};
use super::unit::{bytes_text, duration_text};
use super::workload::{Drawn, Shape, SleepTime, Workload};
use super::{Selection, Source};
use coordinator::config::{FleetShape, PAYLOAD_MAX};
use reports::runlog::event::{CriterionSpec, LoadModel, ScenarioFacts, Topology};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

pub(super) const TASK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Enough to see a round overtaken by the next; few enough to see one that never ends.
pub(super) const ROUNDS_IN_FLIGHT_DEFAULT: u32 = 4;
/// A sweep over hundreds of processes takes tens of milliseconds: closer together, the sampler measures itself.
pub(super) const SAMPLE_EVERY_MIN: Duration = Duration::from_millis(100);
/// Closer together, rounds are a flood and no schedule; who wants that wants the closed loop.
pub(super) const ROUND_EVERY_MIN: Duration = Duration::from_millis(1);
const OUTPUT_MAX_DEFAULT: u64 = 4096;
const NAME_MAX: usize = 64;
const ASKS_MAX: usize = 400;

/// A scenario that can be carried out; it cannot be wrong, only ask for too much of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub(super) facts: ScenarioFacts,
    pub(super) seed: Option<u64>,
    pub(super) topology: Topology,
    pub(super) shape: FleetShape,
    pub(super) workload: Workload,
    pub(super) load: Load,
    pub(super) sampling: Sampling,
    pub(super) criteria: Vec<CriterionSpec>,
}

impl Scenario {
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    pub fn asks(&self) -> &str {
        &self.facts.asks
    }

    pub fn seed(&self) -> Option<u64> {
        self.seed
    }
}

/// When rounds start and how long that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    pub(super) model: LoadModel,
    pub(super) every: Option<Duration>,
    pub(super) duration: Duration,
    pub(super) warm_up: Duration,
    pub(super) task_timeout: Duration,
    pub(super) rounds_in_flight_max: u32,
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

    pub fn rounds_in_flight_max(&self) -> u32 {
        self.rounds_in_flight_max
    }

    /// Rounds whose scheduled start lies in the load phase; nothing in a closed loop.
    pub fn rounds_planned(&self) -> Option<u64> {
        self.every.map(|every| rounds(self.duration, every))
    }

    /// The same for the warm-up.
    pub fn rounds_in_warm_up(&self) -> Option<u64> {
        self.every.map(|every| rounds(self.warm_up, every))
    }
}

/// Starts at 0, `every`, 2 × `every`, …, all before `span`.
fn rounds(span: Duration, every: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(every.as_nanos().max(1))).unwrap_or(u64::MAX)
}

/// How often the kernel is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    pub(super) every: Duration,
    pub(super) pss_every: Option<Duration>,
}

impl Sampling {
    pub fn every(&self) -> Duration {
        self.every
    }

    /// PSS costs the kernel a walk over every page table; nothing if nobody asked for it.
    pub fn pss_every(&self) -> Option<Duration> {
        self.pss_every
    }
}

pub(super) fn check(
    raw: Raw,
    source: &Source,
    selection: &Selection,
    found: &mut Vec<Mistake>,
) -> Option<Scenario> {
    if let Some(name) = &raw.name {
        check_name(name, found);
    }
    if let Some(asks) = &raw.asks {
        check_asks(asks, found);
    }
    if let Some(requirements) = &raw.requirements {
        for id in &requirements.value {
            check_requirement(requirements, id, found);
        }
    }
    let workload = raw.workload.and_then(|raw| check_workload(raw, found));
    let load = raw.load.and_then(|raw| check_load(raw, found));
    let sampling = raw.sampling.and_then(|raw| check_sampling(raw, load.as_ref(), found));
    let criteria = criteria::check_all(&raw.criteria, load.as_ref(), sampling.as_ref(), source, found);
    let fleet = raw.fleet.and_then(|raw| check_fleet(&raw, found));

    let (topology, coordinators, workers) = fleet?;
    let (workload, load) = (workload?, load?);
    let shape =
        FleetShape::new(coordinators, workers, workload.payload_max_bytes(), load.rounds_in_flight_max)
            .map_err(|error| {
                let hint = "this is a combination that no single key is to blame for";
                found.push(Mistake::new(Origin::File { start: 0, end: 0 }, error.to_string(), hint));
            })
            .ok()?;
    criteria::refuse_unreachable(&raw.criteria, shape.processes(), found);
    Some(Scenario {
        facts: ScenarioFacts {
            name: raw.name?.value,
            asks: raw.asks?.value,
            file: source.name.clone(),
            sha256: hex(&Sha256::digest(source.text.as_bytes())),
            profile: selection.profile.clone(),
            overrides: selection.sets.clone(),
            requirements: raw.requirements.map(|ids| ids.value).unwrap_or_default(),
        },
        seed: raw.seed.map(|seed| seed.value),
        topology,
        shape,
        workload,
        load,
        sampling: sampling?,
        criteria,
    })
}

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Names become directories and JUnit cases.
pub(super) fn check_name(name: &Sited<String>, found: &mut Vec<Mistake>) {
    let text = &name.value;
    let fits = text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fits {
        let hint = format!("lower-case letters, digits and `-`, at most {NAME_MAX} of them: \"load-100\"");
        name.complain(found, format!("`{}` cannot be \"{text}\"", name.path), hint);
    }
}

fn check_asks(asks: &Sited<String>, found: &mut Vec<Mistake>) {
    let text = asks.value.trim();
    if text.is_empty() || text.contains('\n') || text.chars().count() > ASKS_MAX {
        let hint = format!("one line of at most {ASKS_MAX} characters: the question that the run answers");
        asks.complain(found, "`asks` is not a sentence", hint);
    }
}

/// `at` may hold several ids; `id` is the one that is looked at.
pub(super) fn check_requirement<T>(at: &Sited<T>, id: &str, found: &mut Vec<Mistake>) {
    let mut characters = id.chars();
    let letter = characters.next().is_some_and(|c| "TCPSGM".contains(c));
    let digits = characters.as_str();
    let number = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if !(letter && number) {
        let hint = "a letter of T, C, P, S, G, M and a number, as the requirements have them: \"C1\"";
        at.complain(
            found,
            format!("`{}` names \"{id}\", which is not the id of a requirement", at.path),
            hint,
        );
    }
}

fn check_fleet(raw: &RawFleet, found: &mut Vec<Mistake>) -> Option<(Topology, u32, u32)> {
    if let (Some(topology), Some(at)) = (&raw.topology, &raw.coordinators)
        && topology.value == Topology::Flat
        && at.value != 1
    {
        let message = format!("a flat fleet has exactly one coordinator, and `{}` is {}", at.path, at.value);
        at.complain(found, message, "write `topology = \"hybrid\"`, or `coordinators = 1`");
        return None;
    }
    Some((raw.topology.as_ref()?.value, raw.coordinators.as_ref()?.value, raw.workers.as_ref()?.value))
}

fn check_load(raw: RawLoad, found: &mut Vec<Mistake>) -> Option<Load> {
    for at in [&raw.every, &raw.duration, &raw.task_timeout].into_iter().flatten() {
        if at.value.is_zero() {
            at.complain(found, format!("`{}` is 0", at.path), "it must be longer than nothing: \"30s\"");
        }
    }
    let duration = raw.duration.filter(|at| !at.value.is_zero());
    let task_timeout = raw.task_timeout.map_or(TASK_TIMEOUT_DEFAULT, |at| at.value);
    let warm_up = raw.warm_up.as_ref().map_or(Duration::ZERO, |at| at.value);
    if let (Some(duration), Some(at)) = (&duration, &raw.warm_up)
        && at.value > duration.value
    {
        let message = format!("`{}` ({}) is longer than `load.duration`", at.path, duration_text(at.value));
        at.complain(found, message, format!("the load itself takes {}", duration_text(duration.value)));
    }
    let model = raw.model?;
    let every = match model.value {
        LoadModel::Closed => {
            if let Some(origin) = raw.every_present {
                let message = "a closed loop has no `load.every`: a round starts when the last one is back";
                found.push(Mistake::new(origin, message, "leave it out, or write `model = \"open\"`"));
            }
            None
        }
        LoadModel::Open => {
            if raw.every_present.is_none() && !raw.every_misspelt {
                let hint = "write `every = \"500ms\"` under [load], or `model = \"closed\"`";
                let message = "`load.every` is missing: an open loop starts rounds on a schedule";
                found.push(Mistake::new(raw.origin, message, hint));
            }
            let every = raw.every?;
            if !every.value.is_zero() && every.value < ROUND_EVERY_MIN {
                let message = format!("`{}` ({}) is too often", every.path, duration_text(every.value));
                let hint = format!(
                    "at least \"{}\"; `model = \"closed\"` is as fast as possible",
                    duration_text(ROUND_EVERY_MIN)
                );
                every.complain(found, message, hint);
            }
            if let Some(duration) = &duration
                && every.value > duration.value
            {
                let message = format!(
                    "no second round fits: `load.every` ({}) is longer than `load.duration`",
                    duration_text(every.value)
                );
                every.complain(found, message, format!("the load takes {}", duration_text(duration.value)));
            }
            Some(every.value)
        }
    };
    let rounds_in_flight_max = check_in_flight(raw.rounds_in_flight_max, model.value, found)?;
    Some(Load {
        model: model.value,
        every,
        duration: duration?.value,
        warm_up,
        task_timeout,
        rounds_in_flight_max,
    })
}

fn check_in_flight(raw: Option<Sited<u32>>, model: LoadModel, found: &mut Vec<Mistake>) -> Option<u32> {
    let default = if model == LoadModel::Open { ROUNDS_IN_FLIGHT_DEFAULT } else { 1 };
    let Some(at) = raw else { return Some(default) };
    if model == LoadModel::Closed && at.value != 1 {
        let message = format!("a closed loop has one round in flight, and `{}` is {}", at.path, at.value);
        at.complain(found, message, "leave it out, or write `model = \"open\"`");
        return None;
    }
    Some(at.value)
}

fn check_sampling(raw: RawSampling, load: Option<&Load>, found: &mut Vec<Mistake>) -> Option<Sampling> {
    let every = raw.every?;
    if every.value < SAMPLE_EVERY_MIN {
        let message = format!("`{}` ({}) is too often", every.path, duration_text(every.value));
        every.complain(found, message, format!("at least \"{}\"", duration_text(SAMPLE_EVERY_MIN)));
    } else if let Some(load) = load
        && every.value > load.duration
    {
        let message =
            format!("`{}` ({}) is longer than `load.duration`", every.path, duration_text(every.value));
        every.complain(found, message, format!("the load takes {}", duration_text(load.duration)));
    }
    if let Some(pss) = &raw.pss_every
        && pss.value < every.value
    {
        let message =
            format!("`{}` ({}) is more often than `sampling.every`", pss.path, duration_text(pss.value));
        pss.complain(found, message, format!("at least \"{}\"", duration_text(every.value)));
    }
    Some(Sampling { every: every.value, pss_every: raw.pss_every.map(|pss| pss.value) })
}

fn check_workload(raw: RawWorkload, found: &mut Vec<Mistake>) -> Option<Workload> {
    let kind = raw.kind.as_ref()?.value;
    refuse_foreign_keys(&raw, kind, found);
    let missing = |key: &str, example: &str, found: &mut Vec<Mistake>| {
        let present = raw.present.iter().any(|(present, _)| *present == key);
        if !present && !raw.misspelt.contains(&key) {
            let message = format!("`workload.{key}` is missing");
            found.push(Mistake::new(
                raw.origin,
                message,
                format!("write `{key} = {example}` under [workload]"),
            ));
        }
    };
    match kind {
        WorkloadKind::Echo => {
            missing("payload", "\"256B\"", found);
            let payload = raw.payload?;
            if payload.value == 0 {
                payload.complain(
                    found,
                    "`workload.payload` is 0",
                    "an echo is checked by its content: \"256B\"",
                );
            }
            Some(Workload::Echo { payload_bytes: fitting(&payload, found)? })
        }
        WorkloadKind::Sleep => check_sleep(&raw, found).map(Workload::Sleep),
        WorkloadKind::Compute => {
            missing("cpu", "\"2ms\"", found);
            let cpu = raw.cpu?;
            if cpu.value.is_zero() {
                cpu.complain(found, "`workload.cpu` is 0", "how long a task uses a processor: \"2ms\"");
            }
            Some(Workload::Compute { cpu: cpu.value })
        }
        WorkloadKind::Exec => {
            missing("command", "[\"sh\", \"-c\", \"echo {}\"]", found);
            let output_max_bytes = match &raw.output_max {
                Some(at) => fitting(at, found)?,
                None => OUTPUT_MAX_DEFAULT as u32,
            };
            let command = raw.command?;
            if command.value.first().is_none_or(String::is_empty) {
                let hint = "the program first, then its arguments: [\"sh\", \"-c\", \"echo {}\"]";
                command.complain(found, "`workload.command` names no program", hint);
            }
            if command.value.iter().any(|argument| argument.contains('\0')) {
                let message = "`workload.command` has a NUL byte, which no argument can hold";
                command.complain(found, message, "remove it");
            }
            let workload = Workload::Exec { command: command.value.clone(), output_max_bytes };
            if workload.payload_max_bytes() > PAYLOAD_MAX {
                let message = format!(
                    "`workload.command` and its output do not fit a task ({} at most)",
                    bytes_text(u64::from(PAYLOAD_MAX))
                );
                command.complain(found, message, "put a long script into a file and name that");
                return None;
            }
            Some(workload)
        }
    }
}

fn fitting(size: &Sited<u64>, found: &mut Vec<Mistake>) -> Option<u32> {
    if size.value > u64::from(PAYLOAD_MAX) {
        let message = format!("`{}` ({}) is more than a task can carry", size.path, bytes_text(size.value));
        size.complain(found, message, format!("at most {}", bytes_text(u64::from(PAYLOAD_MAX))));
        return None;
    }
    Some(size.value as u32)
}

fn refuse_foreign_keys(raw: &RawWorkload, kind: WorkloadKind, found: &mut Vec<Mistake>) {
    let (name, own): (&str, &[&str]) = match kind {
        WorkloadKind::Echo => ("echo", &["payload"]),
        WorkloadKind::Sleep => ("sleep", &["time", "distribution", "mean", "deviation", "min", "max"]),
        WorkloadKind::Compute => ("compute", &["cpu"]),
        WorkloadKind::Exec => ("exec", &["command", "output_max"]),
    };
    for (key, origin) in &raw.present {
        if *key != "kind" && !own.contains(key) {
            let message = format!("`workload.{key}` means nothing to the workload \"{name}\"");
            let listed = own.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            found.push(Mistake::new(*origin, message, format!("\"{name}\" takes {listed}")));
        }
    }
}

fn check_sleep(raw: &RawWorkload, found: &mut Vec<Mistake>) -> Option<SleepTime> {
    let present =
        |key: &str| raw.present.iter().find(|(present, _)| *present == key).map(|(_, origin)| *origin);
    if let Some(time) = present("time") {
        for key in ["distribution", "mean", "deviation", "min", "max"] {
            if present(key).is_some() {
                let message = format!("`workload.time` is fixed, and `workload.{key}` makes it random");
                found.push(Mistake::new(
                    time,
                    message,
                    "write either `time`, or `distribution` and its keys",
                ));
                return None;
            }
        }
        return raw.time.as_ref().map(|time| SleepTime::Fixed(time.value));
    }
    if present("distribution").is_none() {
        if raw.misspelt.iter().any(|key| matches!(*key, "time" | "distribution")) {
            return None;
        }
        let hint = "write `time = \"10ms\"`, or `distribution = \"exponential\"` and `mean = \"10ms\"`";
        found.push(Mistake::new(raw.origin, "`workload.time` is missing", hint));
        return None;
    }
    let kind = raw.distribution.as_ref()?.value;
    let (name, needed, refused): (&str, &[&str], &[&str]) = match kind {
        DistributionKind::Uniform => ("uniform", &["min", "max"], &["mean", "deviation"]),
        DistributionKind::Exponential => ("exponential", &["mean"], &["deviation"]),
        DistributionKind::Normal => ("normal", &["mean", "deviation"], &[]),
        DistributionKind::Lognormal => ("lognormal", &["mean", "deviation"], &[]),
    };
    for key in needed.iter().filter(|key| present(key).is_none() && !raw.misspelt.contains(key)) {
        let message = format!("`workload.{key}` is missing: the distribution \"{name}\" needs it");
        found.push(Mistake::new(raw.origin, message, format!("write `{key} = \"10ms\"` under [workload]")));
    }
    for key in refused {
        if let Some(origin) = present(key) {
            let message = format!("`workload.{key}` means nothing to the distribution \"{name}\"");
            let listed = needed.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
            found.push(Mistake::new(origin, message, format!("\"{name}\" takes {listed}")));
        }
    }
    let min = raw.min.as_ref().map_or(Duration::ZERO, |min| min.value);
    if let Some(max) = &raw.max
        && max.value < min
    {
        let message = format!("`workload.max` ({}) is less than `workload.min`", duration_text(max.value));
        max.complain(found, message, format!("at least \"{}\"", duration_text(min)));
    }
    let positive = |at: &Option<Sited<Duration>>, found: &mut Vec<Mistake>| {
        let at = at.as_ref()?;
        if at.value.is_zero() {
            at.complain(found, format!("`{}` is 0", at.path), "it must be longer than nothing: \"10ms\"");
        }
        Some(at.value)
    };
    let shape = match kind {
        DistributionKind::Uniform => {
            raw.min.as_ref()?;
            raw.max.as_ref()?;
            Shape::Uniform
        }
        DistributionKind::Exponential => Shape::Exponential { mean: positive(&raw.mean, found)? },
        DistributionKind::Normal => {
            let mean = positive(&raw.mean, found);
            Shape::Normal { mean: mean?, deviation: positive(&raw.deviation, found)? }
        }
        DistributionKind::Lognormal => {
            let mean = positive(&raw.mean, found);
            Shape::Lognormal { mean: mean?, deviation: positive(&raw.deviation, found)? }
        }
    };
    Some(SleepTime::Drawn(Drawn { shape, min, max: raw.max.as_ref().map(|max| max.value) }))
}
