//! `[fleet]`: which processes there are, and the policy that they run under.

mod form;
mod policy;
mod pool;

use super::cursor::{Fields, Sited};
use super::form::{Count, Flag, Span, Word, Words};
use super::mistake::{Mistake, Origin};
use super::rule::when;
use super::stage::Stage;
use super::table::{Key, Presence, Preset, Table};
use coordinator::config::{
    COORDINATORS_MAX, FleetShape, HANG_AFTER as HANG_AFTER_DEFAULT, HANG_AFTER_MIN, Policy, ShapeError,
    Span as WorkersSpan, WORKERS_PER_COORDINATOR_MAX,
};
use form::Patience;
use policy::RawPolicy;
use pool::RawPool;
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
        &policy::STOP_SIGNAL,
        &policy::GRACE,
        &policy::ON_SUPERVISOR_DEATH,
    ],
    anew: None,
    rules: Some(rules),
};

fn rules() -> Vec<Json> {
    let single = json!({ "properties": { "coordinators": { "const": 1 } } });
    let mut rules = vec![when("topology", &json!("flat"), &single)];
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
    says: "Number of coordinators.",
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
    /// The fewest workers under each coordinator, if their number changes.
    least: Option<u32>,
    /// It may have fewer workers where the host has no room for all.
    partial: bool,
    bus: Bus,
    /// Workers of each coordinator that the scenario has room for, where the host had none for all.
    asked: Option<u32>,
}

impl Fleet {
    /// Of the whole fleet, if their number changes: the fewest that the scenario allows at any time.
    pub fn workers_least(&self) -> Option<u32> {
        self.least.map(|least| least * self.shape.coordinators())
    }

    /// Of the whole fleet.
    pub fn workers_at_start(&self) -> u32 {
        let places = self.shape.workers_per_coordinator();
        self.policy.workers.within(places).start * self.shape.coordinators()
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
        let depth = self.bus.depth(coordinators.saturating_mul(workers));
        let shape = FleetShape::new(coordinators, workers, self.bus.payload_max, depth)?;
        let (least, asked) = (self.least.map(|least| least.min(workers)), self.asked.unwrap_or(places));
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
    /// Tasks that may wait for one of `workers` at the same time: a fleet has room for so many of each.
    fn depth(self, workers: u32) -> u32 {
        let tasks = self.tasks_for_any.unwrap_or(0);
        let for_any = (u64::from(tasks) * u64::from(self.rounds)).div_ceil(u64::from(workers.max(1)));
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

/// `bus` is absent if the tables that decide it were rejected.
pub(super) fn check(
    raw: &RawFleet,
    bus: Option<Bus>,
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
    let bounds = pool::check(&raw.pool, workers, bus, stages, found);
    let partial = raw.partial.as_ref().filter(|at| at.value);
    if let Some(at) = partial.filter(|_| !stages.is_empty()) {
        let message = format!("`{}` does not apply to a fleet whose size `[[stage]]` decides", at.path);
        at.reject(found, message, "leave one of them out");
    }
    let bus = bus?;
    let sizes = || {
        let by_load = bounds.iter().flat_map(|bounds| [bounds.min, bounds.max]);
        stages.iter().map(Stage::workers).chain([workers]).chain(by_load)
    };
    let (least, most) = (sizes().min()?, sizes().max()?);
    let depth = bus.depth(coordinators.saturating_mul(most));
    let shape = FleetShape::new(coordinators, most, bus.payload_max, depth)
        .map_err(|error| {
            let hint = "each key is right by itself: change `fleet`, `workload`, `load.tasks_per_round` or \
                        `load.rounds_in_flight_max`";
            found.push(Mistake::new(Origin::File { start: 0, end: 0 }, error.to_string(), hint));
        })
        .ok()?;
    let mut policy = policy::check(&raw.policy, coordinators, found);
    policy.scaling = raw.pool.thresholds();
    if let Some(bounds) = bounds {
        policy.workers = WorkersSpan { min: bounds.min, start: workers, by_load: true };
    } else if !stages.is_empty() {
        policy.workers = WorkersSpan { min: 1, start: workers, by_load: false };
    }
    let changes = bounds.is_some() || !stages.is_empty();
    let (least, partial) = (changes.then_some(least), partial.is_some());
    Some(Fleet { topology, shape, policy, least, partial, bus, asked: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
    use coordinator::config::Thresholds;
    use std::time::Duration;

    fn hang_after(set: &[&str]) -> Result<Option<Duration>, String> {
        let text = include_str!("../../../scenarios/smoke.toml").to_owned();
        let sets = set.iter().map(|&set| set.to_owned()).collect();
        let source = Source::new("smoke.toml", text);
        let scenario = Scenario::parse(&source, &Selection { profile: None, sets });
        let options = PlanOptions { seed: None, fallback_seed: 1, rehearsal: None };
        scenario
            .map(|scenario| Plan::new(scenario, &options).fleet_policy().hang_after)
            .map_err(|found| found.to_string())
    }

    fn policy(sets: &[&str]) -> Result<Policy, String> {
        let text = include_str!("../../../scenarios/smoke.toml").to_owned();
        let sets = sets.iter().map(|&set| set.to_owned()).collect();
        let scenario = Scenario::parse(&Source::new("smoke.toml", text), &Selection { profile: None, sets });
        scenario.map(|scenario| scenario.fleet.policy).map_err(|found| found.to_string())
    }

    #[test]
    fn each_key_of_the_policy_reaches_the_fleet() {
        use coordinator::config::{Failover, Signal, Stop, SupervisorDeath};
        assert_eq!(policy(&[]), Ok(Policy::default()));
        let sets = [
            "fleet.attempts_max=5",
            "fleet.backoff=20ms",
            "fleet.backoff_max=1s",
            "fleet.restarts_max=3",
            "fleet.restart_window=1m",
            "fleet.hang_after=3s",
            "fleet.failover=spare",
            "fleet.recycle_after=100",
            "fleet.recycle_growth=8MiB",
            "fleet.stop_signal=INT",
            "fleet.grace=2s",
            "fleet.on_supervisor_death=adopt",
        ];
        let wanted = Policy {
            attempts_max: 5,
            backoff_first: Duration::from_millis(20),
            backoff_max: Duration::from_secs(1),
            restarts_max: 3,
            restart_window: Duration::from_secs(60),
            hang_after: Some(Duration::from_secs(3)),
            failover: Failover::Spare,
            recycle_after: Some(100),
            recycle_growth: Some(8 << 20),
            stop: Stop { signal: Signal::SIGINT, grace: Duration::from_secs(2) },
            supervisor_death: SupervisorDeath::Adopt,
            ..Policy::default()
        };
        assert_eq!(policy(&sets), Ok(wanted));
        let single = policy(&["fleet.coordinators=1", "fleet.failover=survivors"]).unwrap_err();
        assert!(single.contains("a single coordinator has none"), "{single}");
        let short = policy(&["fleet.backoff=1m"]).map(|policy| policy.backoff_max);
        assert_eq!(short, Ok(Duration::from_secs(60)), "the longest pause is never shorter than the first");
        let wrong = policy(&["fleet.backoff=1m", "fleet.backoff_max=1s"]).unwrap_err();
        assert!(wrong.contains("is shorter than `fleet.backoff`"), "{wrong}");
    }

    /// Fewer workers than the scenario's own criterion asks for.
    const POOL: [&str; 5] = [
        "!criterion.all-there",
        "fleet.workers=3",
        "fleet.workers_min=2",
        "fleet.workers_max=9",
        "load.to=any",
    ];

    #[test]
    fn bounds_of_the_workers_let_their_number_follow_the_load() {
        let marks = [
            "fleet.scale_up_at=95%",
            "fleet.scale_down_at=5%",
            "fleet.scale_hold=1s",
            "fleet.scale_pause=2s",
        ];
        let policy = policy(&[&POOL[..], &marks].concat()).unwrap();
        assert_eq!(policy.workers, WorkersSpan { min: 2, start: 3, by_load: true });
        let second = Duration::from_secs(1);
        assert_eq!(policy.scaling, Thresholds { up_at: 95, down_at: 5, hold: second, pause: second * 2 });
        let upper = &[&POOL[..2], &POOL[3..], &["fleet.scale_up_at=20%"]].concat();
        let policy = self::policy(upper).unwrap();
        assert_eq!((policy.workers.min, policy.scaling.down_at), (1, 19));
    }

    #[test]
    fn bounds_that_no_fleet_can_keep_are_refused() {
        for (sets, words) in [
            (&["fleet.workers_max=2"][..], "`fleet.workers_max` (2) is below `fleet.workers`"),
            (&["fleet.workers_min=4"], "`fleet.workers_min` (4) is above `fleet.workers`"),
            (&["fleet.workers_min=3", "fleet.workers_max=3"], "no other number of workers than 3"),
            (&["load.to=each"], "write `to = \"any\"` under [load]"),
            (
                &["fleet.scale_down_at=90%"],
                "`fleet.scale_down_at` (90%) is not below `fleet.scale_up_at` (80%)",
            ),
            (&["fleet.scale_up_at=0%"], "write a whole share from \"1%\" to \"299%\""),
            (&["fleet.scale_up_at=080%"], "cannot be \"080%\""),
            (&["fleet.grace=61s"], "write at most \"1m\""),
            (&["fleet.stop_signal=STOP"], "SIGSTOP does not end a process"),
            (&["fleet.stop_signal=int"], "write \"INT\""),
            (
                &["!fleet.workers_min", "!fleet.workers_max", "fleet.scale_hold=1s"],
                "on a fleet that keeps its size",
            ),
        ] {
            let found = policy(&[&POOL[..], sets].concat()).unwrap_err();
            assert!(found.contains(words), "{sets:?}: {found}");
        }
    }

    #[test]
    fn how_long_a_process_may_hang_reaches_the_policy_of_the_fleet() {
        assert_eq!(hang_after(&[]), Ok(Policy::default().hang_after));
        assert_eq!(hang_after(&["fleet.hang_after=3s"]), Ok(Some(Duration::from_secs(3))));
        assert_eq!(hang_after(&["fleet.hang_after=never"]), Ok(None));
        for (set, words) in [
            ("99ms", "`fleet.hang_after` is 99ms, which is too short"),
            ("25h", "write at most \"1d\", or \"never\""),
            ("5", "write \"5s\" for seconds, \"5ms\", \"5m\" or \"5h\", or \"never\""),
            ("off", "or \"never\""),
        ] {
            let found = hang_after(&[&format!("fleet.hang_after={set}")]).unwrap_err();
            assert!(found.contains(words), "{set}: {found}");
        }
    }
}
