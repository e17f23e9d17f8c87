//! Tree to [`Raw`]: types and known keys, table by table.

use super::cursor::{Fields, boolean, bytes, count, duration, integer, string, strings, word};
use super::mistake::{Mistake, Origin};
use super::raw::{
    DistributionKind, Raw, RawCriterion, RawFleet, RawLoad, RawSampling, RawWorkload, WorkloadKind, keys,
};
use super::tree::{CRITERIA_HINT, Node, Value};
use coordinator::config::{COORDINATORS_MAX, DEPTH_MAX, WORKERS_PER_COORDINATOR_MAX};
use reports::runlog::event::{LoadModel, Topology};

/// The only version of the format there is.
pub(super) const SCHEMA: u64 = 1;

pub(super) const TOPOLOGIES: &[(&str, Topology)] = &[("flat", Topology::Flat), ("hybrid", Topology::Hybrid)];
pub(super) const MODELS: &[(&str, LoadModel)] = &[("open", LoadModel::Open), ("closed", LoadModel::Closed)];
pub(super) const KINDS: &[(&str, WorkloadKind)] = &[
    ("echo", WorkloadKind::Echo),
    ("sleep", WorkloadKind::Sleep),
    ("compute", WorkloadKind::Compute),
    ("exec", WorkloadKind::Exec),
];
pub(super) const DISTRIBUTIONS: &[(&str, DistributionKind)] = &[
    ("exponential", DistributionKind::Exponential),
    ("uniform", DistributionKind::Uniform),
    ("normal", DistributionKind::Normal),
    ("lognormal", DistributionKind::Lognormal),
];

pub(super) fn read(root: &Node, found: &mut Vec<Mistake>) -> Raw {
    let fields = Fields::open(root, root.origin, "", keys::ROOT, found);
    if let Some(schema) = fields.required("schema", "1", integer, found)
        && schema.value != SCHEMA
    {
        let message = format!("`schema` {} is not one that this harness reads", schema.value);
        schema.complain(found, message, format!("the only version so far is {SCHEMA}"));
    }
    Raw {
        name: fields.required("name", "\"load-100\"", string, found),
        asks: fields.required("asks", "\"Does … ?\"", string, found),
        requirements: fields.optional("requirements", strings, found),
        seed: fields.optional("seed", integer, found),
        fleet: table(&fields, "fleet", "topology = \"flat\"", found, read_fleet),
        workload: table(&fields, "workload", "kind = \"echo\"", found, read_workload),
        load: table(&fields, "load", "model = \"open\"", found, read_load),
        sampling: table(&fields, "sampling", "every = \"1s\"", found, read_sampling),
        criteria: read_criteria(&fields, found),
    }
}

fn table<T>(
    root: &Fields<'_>,
    key: &'static str,
    example: &str,
    found: &mut Vec<Mistake>,
    read: fn(&Node, Origin, &mut Vec<Mistake>) -> T,
) -> Option<T> {
    if let Some((node, origin)) = root.node(key) {
        return Some(read(node, origin, found));
    }
    if root.misspells(key) {
        return None;
    }
    let message = format!("the table [{key}] is missing");
    found.push(Mistake::new(root.origin(), message, format!("write [{key}] and below it `{example}`")));
    None
}

fn read_fleet(node: &Node, origin: Origin, found: &mut Vec<Mistake>) -> RawFleet {
    let fields = Fields::open(node, origin, "fleet", keys::FLEET, found);
    RawFleet {
        topology: fields.required("topology", "\"flat\"", word(TOPOLOGIES), found),
        coordinators: fields.required(
            "coordinators",
            "1",
            count(COORDINATORS_MAX, "coordinators in a fleet"),
            found,
        ),
        workers: fields.required(
            "workers",
            "100",
            count(WORKERS_PER_COORDINATOR_MAX, "workers under each coordinator"),
            found,
        ),
    }
}

fn read_workload(node: &Node, origin: Origin, found: &mut Vec<Mistake>) -> RawWorkload {
    let fields = Fields::open(node, origin, "workload", keys::WORKLOAD, found);
    RawWorkload {
        origin,
        kind: fields.required("kind", "\"echo\"", word(KINDS), found),
        payload: fields.optional("payload", bytes, found),
        time: fields.optional("time", duration, found),
        distribution: fields.optional("distribution", word(DISTRIBUTIONS), found),
        mean: fields.optional("mean", duration, found),
        deviation: fields.optional("deviation", duration, found),
        min: fields.optional("min", duration, found),
        max: fields.optional("max", duration, found),
        cpu: fields.optional("cpu", duration, found),
        command: fields.optional("command", strings, found),
        output_max: fields.optional("output_max", bytes, found),
        present: keys::WORKLOAD
            .iter()
            .filter_map(|key| fields.node(key).map(|(_, origin)| (*key, origin)))
            .collect(),
        misspelt: keys::WORKLOAD.iter().copied().filter(|key| fields.misspells(key)).collect(),
    }
}

fn read_load(node: &Node, origin: Origin, found: &mut Vec<Mistake>) -> RawLoad {
    let fields = Fields::open(node, origin, "load", keys::LOAD, found);
    RawLoad {
        origin,
        model: fields.required("model", "\"open\"", word(MODELS), found),
        every: fields.optional("every", duration, found),
        every_present: fields.node("every").map(|(_, origin)| origin),
        every_misspelt: fields.misspells("every"),
        duration: fields.required("duration", "\"60s\"", duration, found),
        warm_up: fields.optional("warm_up", duration, found),
        task_timeout: fields.optional("task_timeout", duration, found),
        rounds_in_flight_max: fields.optional(
            "rounds_in_flight_max",
            count(DEPTH_MAX, "rounds may be in flight"),
            found,
        ),
    }
}

fn read_sampling(node: &Node, origin: Origin, found: &mut Vec<Mistake>) -> RawSampling {
    let fields = Fields::open(node, origin, "sampling", keys::SAMPLING, found);
    RawSampling {
        every: fields.required("every", "\"1s\"", duration, found),
        pss_every: fields.optional("pss_every", duration, found),
    }
}

fn read_criteria(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Vec<RawCriterion> {
    const EXAMPLE: &str =
        "write [[criterion]] and below it `name = …` and `pass = \"delivery.rate >= 100%\"`";
    let Some((node, _)) = root.node("criterion") else {
        if root.misspells("criterion") {
            return Vec::new();
        }
        let message = "the scenario has no criterion, so no run of it could fail";
        found.push(Mistake::new(root.origin(), message, EXAMPLE));
        return Vec::new();
    };
    let Value::Array(items) = &node.value else {
        let message = format!("`criterion` must be an array of tables, not {}", node.value.kind());
        let hint = if matches!(node.value, Value::Table(_)) { CRITERIA_HINT } else { EXAMPLE };
        found.push(Mistake::new(node.origin, message, hint));
        return Vec::new();
    };
    if items.is_empty() {
        let message = "the scenario has no criterion, so no run of it could fail";
        found.push(Mistake::new(node.origin, message, EXAMPLE));
    }
    items.iter().enumerate().map(|(index, item)| read_criterion(index, item, found)).collect()
}

fn read_criterion(index: usize, node: &Node, found: &mut Vec<Mistake>) -> RawCriterion {
    let path = format!("criterion[{index}]");
    let fields = Fields::open(node, node.origin, &path, keys::CRITERION, found);
    RawCriterion {
        name: fields.required("name", "\"delivery\"", string, found),
        requirement: fields.optional("requirement", string, found),
        pass: fields.required("pass", "\"delivery.rate >= 100%\"", string, found),
        conditional: fields.optional("conditional", string, found),
        abort: fields.optional("abort", boolean, found),
        grace: fields.optional("grace", duration, found),
    }
}
