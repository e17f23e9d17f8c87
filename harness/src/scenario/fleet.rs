//! `[fleet]`: which processes there are, and the policy that they run under.

mod form;
mod policy;
mod pool;
#[cfg(test)]
mod tests;

use super::cursor::{Fields, Sited};
use super::form::{Count, Flag, Span, Word, Words};
use super::mistake::{Mistake, Origin};
use super::rule::when;
use super::stage::Stage;
use super::table::{Key, Presence, Preset, Table};
use coordinator::config::{
    COORDINATORS_MAX, DEPTH_MAX, FleetShape, HANG_AFTER as HANG_AFTER_DEFAULT, HANG_AFTER_MIN, Policy,
    ShapeError, Span as SizeSpan, WORKERS_PER_COORDINATOR_MAX,
};
use form::Patience;
use policy::RawPolicy;
pub(super) use pool::BOUNDS;
use pool::{Pool, RawPool};
use reports::runlog::event::Topology;
use serde_json::{Value as Json, json};

const NEVER: &str = "never";

pub(super) static TABLE: Table = Table {
    name: "fleet",
    definition: "Fleet",
    says: "Which processes there are.",
    required: true,
    repeated: false,
    keys: &[
        &TOPOLOGY,
        &COORDINATORS,
        &pool::COORDINATORS_MIN,
        &pool::COORDINATORS_MAX_KEY,
        &WORKERS,
        &pool::WORKERS_MIN,
        &pool::WORKERS_MAX,
        &pool::SCALE_UP_AT,
        &pool::SCALE_DOWN_AT,
        &pool::SCALE_HOLD,
        &pool::SCALE_PAUSE,
        &PARTIAL,
        &HANG_AFTER,
        &policy::ATTEMPTS_MAX,
        &policy::BACKOFF,
        &policy::BACKOFF_MAX,
        &policy::RESTARTS_MAX,
        &policy::RESTART_WINDOW,
        &policy::FAILOVER,
        &policy::RECYCLE_AFTER,
        &policy::RECYCLE_GROWTH,
        &policy::BATCH_MAX,
        &policy::SPAWN_MAX,
        &policy::STOP_SIGNAL,
        &policy::GRACE,
        &policy::ON_SUPERVISOR_DEATH,
    ],
    anew: None,
    rules: Some(rules),
};

fn rules() -> Vec<Json> {
    let bounds = ["coordinators_min", "coordinators_max"].map(|bound| json!({ "required": [bound] }));
    let single = json!({ "properties": { "coordinators": { "const": 1 } }, "not": { "anyOf": bounds } });
    let mut rules = vec![when("topology", &json!("flat"), &single)];
    // A single coordinator leaves none.
    rules.push(json!({ "not": {
        "properties": {
            "failover": { "const": "survivors" },
            "coordinators": { "const": 1 },
            "coordinators_max": false,
        },
        "required": ["failover", "coordinators"],
    } }));
    rules.extend(pool::rules());
    rules
}

static TOPOLOGY: Key<Words<Topology>> = Key {
    name: "topology",
    form: Words {
        definition: "Topology",
        words: &[
            Word { text: "flat", value: Topology::Flat, says: "one coordinator" },
            Word {
                text: "hybrid",
                value: Topology::Hybrid,
                says: "several coordinators, each with its workers",
            },
        ],
    },
    presence: Presence::Required { example: "\"flat\"" },
    says: "How the fleet is divided.",
};

static COORDINATORS: Key<Count> = Key {
    name: "coordinators",
    form: Count { max: COORDINATORS_MAX, things: "coordinators in the fleet" },
    presence: Presence::Required { example: "1" },
    says: "Number of coordinators; with `coordinators_min` or `coordinators_max`, at the start.",
};

static WORKERS: Key<Count> = Key {
    name: "workers",
    form: Count { max: WORKERS_PER_COORDINATOR_MAX, things: "workers under each coordinator" },
    presence: Presence::Required { example: "100" },
    says: "Number of workers under each coordinator; with `[[stage]]`, `workers_min` or `workers_max`, at the start.",
};

static PARTIAL: Key<Flag> = Key {
    name: "partial",
    form: Flag,
    presence: Presence::Optional("`false`"),
    says: "Whether the fleet may have fewer workers where the host has no room for all. All documents then say how many there were.",
};

static HANG_AFTER: Key<Patience> = Key {
    name: "hang_after",
    form: Patience(Span { least: HANG_AFTER_MIN, instead: "" }),
    presence: Presence::Default(Preset::Duration(HANG_AFTER_DEFAULT)),
    says: "How long the progress of a process may stop before the fleet takes it for hung and replaces it.",
};

#[derive(Debug)]
pub(super) struct RawFleet {
    topology: Option<Sited<Topology>>,
    coordinators: Option<Sited<u32>>,
    workers: Option<Sited<u32>>,
    pool: RawPool,
    partial: Option<Sited<bool>>,
    policy: RawPolicy,
}

/// Its processes, and what is done about their deaths and hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    pub(super) topology: Topology,
    pub(super) shape: FleetShape,
    pub(super) policy: Policy,
    /// The fewest that there may be, if their number changes.
    least: Option<Fewest>,
    /// It may have fewer workers where the host has no room for all.
    partial: bool,
    bus: Bus,
    /// Workers of each coordinator that the scenario has room for, where the host had none for all.
    asked: Option<u32>,
}

/// How many there are at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fewest {
    coordinators: u32,
    /// Under each coordinator.
    workers: u32,
}

impl Fleet {
    /// Of the whole fleet, if their number changes: the fewest that the scenario allows at any time.
    pub fn workers_least(&self) -> Option<u32> {
        self.least.map(|least| least.coordinators * least.workers)
    }

    /// If their number changes: the fewest that the scenario allows at any time.
    pub fn coordinators_least(&self) -> Option<u32> {
        self.least.map(|least| least.coordinators).filter(|least| *least < self.shape.coordinators())
    }

    /// The fewest that a sweep may see, with the supervisor.
    pub fn processes_least(&self) -> u32 {
        let changed = |least: Fewest| 1 + least.coordinators * (1 + least.workers);
        self.least.map_or(self.shape.processes(), changed)
    }

    pub fn coordinators_at_start(&self) -> u32 {
        self.policy.coordinators.within(self.shape.coordinators()).start
    }

    /// Of the whole fleet.
    pub fn workers_at_start(&self) -> u32 {
        let places = self.shape.workers_per_coordinator();
        self.policy.workers.within(places).start * self.coordinators_at_start()
    }

    /// Whether it may have fewer workers where the host has no room for all.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Of the whole fleet: the workers that the scenario asks for, where the host had no room for all.
    pub fn workers_asked(&self) -> Option<u32> {
        self.asked.map(|asked| asked * self.shape.coordinators())
    }

    /// The same with so many workers under each coordinator at most: at least 1, and no more than it has.
    ///
    /// # Errors
    /// So few have no room for the tasks of a round.
    pub(super) fn with_room_for(&self, workers: u32) -> Result<Self, ShapeError> {
        let (coordinators, places) = (self.shape.coordinators(), self.shape.workers_per_coordinator());
        assert!((1..=places).contains(&workers), "{workers} workers in {places} places");
        let least = self.least.map(|least| Fewest { workers: least.workers.min(workers), ..least });
        let serving = self.coordinators_least().unwrap_or(coordinators);
        let depth = self.bus.depth(coordinators.saturating_mul(workers), serving.saturating_mul(workers));
        let shape = FleetShape::new(coordinators, workers, self.bus.payload_max, depth)?;
        let asked = self.asked.unwrap_or(places);
        Ok(Self { shape, least, asked: (workers < asked).then_some(asked), ..*self })
    }
}

impl RawFleet {
    /// Coordinators, and workers of each at the start.
    pub(super) fn sizes(&self) -> Option<(u32, u32)> {
        Some((self.coordinators.as_ref()?.value, self.workers.as_ref()?.value))
    }
}

/// What the bus must have room for, which the other tables decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bus {
    /// Bytes of a task or an answer.
    pub(super) payload_max: u32,
    /// Rounds that may be on their way at the same time.
    pub(super) rounds: u32,
    /// Tasks of a round for any worker; 0 is as many as there are workers. Nothing if each worker has one of its own.
    pub(super) tasks_for_any: Option<u32>,
}

impl Bus {
    /// More tasks of all rounds may have to wait for each of `served` workers than there is room for.
    fn too_many_tasks(self, tasks_at: Origin, depth: u32, served: u32) -> Option<Mistake> {
        let tasks = self.tasks_for_any.filter(|_| depth > DEPTH_MAX)?;
        let message = format!(
            "`load.tasks_per_round` is {tasks} with {} rounds in flight, and {DEPTH_MAX} tasks may wait for each of {served} workers",
            self.rounds
        );
        let most = u64::from(DEPTH_MAX) * u64::from(served) / u64::from(self.rounds.max(1));
        let hint = format!("write at most {most}, lower `load.rounds_in_flight_max`, or have more workers");
        Some(Mistake::new(tasks_at, message, hint))
    }

    /// Tasks that may wait for one of `workers` at the same time: a fleet has room for so many of each. Where coordinators are
    /// retired, the tasks have the room of those that are left, with places for `served` workers.
    fn depth(self, workers: u32, served: u32) -> u32 {
        let tasks = match self.tasks_for_any {
            None => 0,
            Some(0) => workers,
            Some(tasks) => tasks,
        };
        let for_any = (u64::from(tasks) * u64::from(self.rounds)).div_ceil(u64::from(served.max(1)));
        u32::try_from(for_any).unwrap_or(u32::MAX).max(self.rounds)
    }
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawFleet> {
    let fields = root.table(&TABLE, found)?;
    Some(RawFleet {
        topology: fields.value(&TOPOLOGY, found),
        coordinators: fields.value(&COORDINATORS, found),
        workers: fields.value(&WORKERS, found),
        pool: pool::read(&fields, found),
        partial: fields.value(&PARTIAL, found),
        policy: policy::read(&fields, found),
    })
}

/// Whether there may be fewer workers where the host has no room for all.
fn check_partial(partial: Option<&Sited<bool>>, stages: &[Stage], found: &mut Vec<Mistake>) -> bool {
    let Some(at) = partial.filter(|at| at.value) else { return false };
    if !stages.is_empty() {
        let message = format!("`{}` does not apply to a fleet whose size `[[stage]]` decides", at.path);
        at.reject(found, message, "leave one of them out");
    }
    true
}

/// `bus` is absent if the tables that decide it were rejected; `tasks_at` is where the tasks of a round are stated.
pub(super) fn check(
    raw: &RawFleet,
    (bus, tasks_at): (Option<Bus>, Option<Origin>),
    stages: &[Stage],
    found: &mut Vec<Mistake>,
) -> Option<Fleet> {
    if let (Some(topology), Some(at)) = (&raw.topology, &raw.coordinators)
        && topology.value == Topology::Flat
        && at.value != 1
    {
        let message = format!("a flat fleet has one coordinator, but `{}` is {}", at.path, at.value);
        at.reject(found, message, "write `topology = \"hybrid\"`, or `coordinators = 1`");
        return None;
    }
    let (topology, coordinators, workers) =
        (raw.topology.as_ref()?.value, raw.coordinators.as_ref()?.value, raw.workers.as_ref()?.value);
    if topology == Topology::Flat
        && let Some(at) = raw.pool.coordinators.max.as_ref().filter(|at| at.value > 1)
    {
        let message = format!("a flat fleet has one coordinator, but `{}` is {}", at.path, at.value);
        at.reject(found, message, "write `topology = \"hybrid\"`, or leave it out");
        return None;
    }
    let pool = pool::check(&raw.pool, (coordinators, workers), bus, stages, found);
    let partial = check_partial(raw.partial.as_ref(), stages, found);
    let bus = bus?;
    let sizes = || {
        let by_load = pool.workers.iter().flat_map(|bounds| [bounds.min, bounds.max]);
        stages.iter().map(Stage::workers).chain([workers]).chain(by_load)
    };
    let (fewest, most) = pool.coordinators.map_or((coordinators, coordinators), |b| (b.min, b.max));
    let (least, workers_most) = (Fewest { coordinators: fewest, workers: sizes().min()? }, sizes().max()?);
    let served = fewest.saturating_mul(workers_most);
    let depth = bus.depth(most.saturating_mul(workers_most), served);
    if let Some(mistake) = tasks_at.and_then(|at| bus.too_many_tasks(at, depth, served)) {
        found.push(mistake);
        return None;
    }
    let shape = FleetShape::new(most, workers_most, bus.payload_max, depth)
        .map_err(|error| {
            let hint = "each key is right by itself: change `fleet`, `workload`, `load.tasks_per_round` or \
                        `load.rounds_in_flight_max`";
            found.push(Mistake::new(Origin::File { start: 0, end: 0 }, error.to_string(), hint));
        })
        .ok()?;
    let mut policy = policy::check(&raw.policy, shape.coordinators(), found);
    policy.scaling = raw.pool.thresholds();
    if let Some(bounds) = pool.coordinators {
        policy.coordinators = SizeSpan { min: bounds.min, start: coordinators, by_load: true };
    }
    if let Some(bounds) = pool.workers {
        policy.workers = SizeSpan { min: bounds.min, start: workers, by_load: true };
    } else if !stages.is_empty() {
        policy.workers = SizeSpan { min: 1, start: workers, by_load: false };
    }
    let changes = pool != Pool::default() || !stages.is_empty();
    let least = changes.then_some(least);
    Some(Fleet { topology, shape, policy, least, partial, bus, asked: None })
}
