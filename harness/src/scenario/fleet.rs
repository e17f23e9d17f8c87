//! `[fleet]`: which processes there are, and the policy that they run under.

use super::cursor::{Fields, Sited};
use super::form::{Count, Word, Words};
use super::mistake::{Mistake, Origin};
use super::table::{Key, Presence, Table};
use coordinator::config::{COORDINATORS_MAX, FleetShape, Policy, WORKERS_PER_COORDINATOR_MAX};
use reports::runlog::event::Topology;

pub(super) static TABLE: Table = Table {
    name: "fleet",
    definition: "Fleet",
    says: "Which processes there are.",
    required: true,
    repeated: false,
    keys: &[&TOPOLOGY, &COORDINATORS, &WORKERS],
    anew: None,
};

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
    says: "Number of workers under each coordinator.",
};

#[derive(Debug)]
pub(super) struct RawFleet {
    topology: Option<Sited<Topology>>,
    coordinators: Option<Sited<u32>>,
    workers: Option<Sited<u32>>,
}

/// Its processes, and what is done about their deaths and hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    pub(super) topology: Topology,
    pub(super) shape: FleetShape,
    pub(super) policy: Policy,
}

/// What the bus must have room for, which the other tables decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bus {
    /// Bytes of a task or an answer.
    pub(super) payload_max: u32,
    /// Tasks that may wait for one worker at the same time.
    pub(super) depth: u32,
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Option<RawFleet> {
    let fields = root.table(&TABLE, found)?;
    Some(RawFleet {
        topology: fields.value(&TOPOLOGY, found),
        coordinators: fields.value(&COORDINATORS, found),
        workers: fields.value(&WORKERS, found),
    })
}

/// `bus` is absent if the tables that decide it were rejected.
pub(super) fn check(raw: &RawFleet, bus: Option<Bus>, found: &mut Vec<Mistake>) -> Option<Fleet> {
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
    let bus = bus?;
    let shape = FleetShape::new(coordinators, workers, bus.payload_max, bus.depth)
        .map_err(|error| {
            let hint =
                "each key is right by itself: change `fleet`, `workload` or `load.rounds_in_flight_max`";
            found.push(Mistake::new(Origin::File { start: 0, end: 0 }, error.to_string(), hint));
        })
        .ok()?;
    Some(Fleet { topology, shape, policy: Policy::default() })
}
