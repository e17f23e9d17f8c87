//! The table of a fault, and which keys each kind takes, for the JSON Schema.

use super::keys::{
    APART, AT, COUNT, CPUS, CPUS_MAX, DELAY, DELAY_MAX, DIR, ERROR, EVERY, FILL, FOR, HOGS, KIND,
    MAY_MEET_NOTHING, MEMORY, MOMENT, NAME, NICE, NTH, PART, PICK, PIDS_MAX, RATE, RESOURCE, ROLE, SHARE,
    SIZE, TIMES, TO, WITHIN, WORDS,
};
use crate::scenario::pattern;
use crate::scenario::rule::{when, without};
use crate::scenario::table::Table;
use reports::criterion::ANY_FAULT;
use serde_json::{Value as Json, json};

pub(in crate::scenario) static TABLE: Table = Table {
    name: "fault",
    definition: "Fault",
    says: "What is done to the fleet while it is under load. A death or stop that a fault explains is not an incident; \
           a fault whose effect cannot be shown makes the run INCONCLUSIVE.",
    required: false,
    repeated: true,
    keys: &[
        &NAME,
        &KIND,
        &ROLE,
        &COUNT,
        &SHARE,
        &PICK,
        &AT,
        &MOMENT,
        &WITHIN,
        &EVERY,
        &TIMES,
        &APART,
        &FOR,
        &RESOURCE,
        &TO,
        &SIZE,
        &FILL,
        &PART,
        &WORDS,
        &HOGS,
        &NICE,
        &MEMORY,
        &CPUS,
        &DIR,
        &DELAY,
        &ERROR,
        &RATE,
        &NTH,
        &MAY_MEET_NOTHING,
    ],
    anew: None,
    rules: Some(rules),
};

fn rules() -> Vec<Json> {
    let of_all = vec![
        json!({ "properties": { NAME.name: { "not": { "const": ANY_FAULT } } } }),
        // At the end of the load, nothing of a fault would be seen.
        json!({ "properties": { AT.name: { "not": { "pattern": r"^\s*0*100(?:\.0*)?\s*%" } } } }),
        // There is one.
        when(ROLE.name, &json!("supervisor"), &json!({ "properties": { COUNT.name: { "maximum": 1 } } })),
        json!({ "if": { "required": [SHARE.name] }, "then": without(&[COUNT.name]) }),
        json!({ "if": { "required": [TIMES.name] }, "then": { "required": [EVERY.name] } }),
        json!({ "if": { "required": [WITHIN.name] }, "then": { "required": [MOMENT.name] } }),
        when(
            MOMENT.name,
            &json!("task-in-flight"),
            &json!({
                "required": [ROLE.name],
                "properties": { ROLE.name: { "not": { "const": "supervisor" } } },
            }),
        ),
    ];
    let uncounted = KIND.form.words.iter().filter(|word| !word.value.is_counted());
    let meets = uncounted.map(|word| when(KIND.name, &json!(word.text), &without(&[MAY_MEET_NOTHING.name])));
    let of_faults = [
        meets.collect(),
        of_processes_and_shm(),
        of_segments(),
        of_calls(),
        of_the_host(),
        of_groups(),
        of_disks(),
        of_all,
    ];
    of_faults.concat()
}

/// Those that make system calls fail: a share of them, or every n-th.
fn of_calls() -> Vec<Json> {
    let lacks = without(&[OF_TARGETS, OF_LIMIT, OF_SHM, OF_SCRIBBLE, OF_HOST, OF_DISKS].concat());
    vec![when(KIND.name, &json!("shm-errors"), &json!({ "allOf": [lacks, which()] }))]
}

/// Which calls fail, and how.
fn which() -> Json {
    let which = json!({ "oneOf": [{ "required": [RATE.name] }, { "required": [NTH.name] }] });
    // Below 1 %.
    let rare =
        json!({ "properties": { RATE.name: { "not": { "pattern": r"^\s*0{1,2}(?:\.[0-9]+)?\s*%" } } } });
    let needs = json!({ "required": [FOR.name, ERROR.name] });
    json!({ "allOf": [needs, which, rare] })
}

/// Those in the files of coordinators' regions.
fn of_segments() -> Vec<Json> {
    let of = |kind: &str, others: &[&str], needs: &[&str]| {
        let lacks = without(&[OF_LIMIT, OF_SHM, OF_HOST, OF_CALLS, OF_DISKS, others].concat());
        let coordinators = json!({ "properties": { ROLE.name: { "const": "coordinator" } } });
        when(KIND.name, &json!(kind), &json!({ "allOf": [lacks, { "required": needs }, coordinators] }))
    };
    vec![
        of("segment-unlink", OF_SCRIBBLE, &[ROLE.name, FOR.name]),
        of("segment-truncate", OF_SCRIBBLE, &[ROLE.name, FOR.name]),
        of("segment-scribble", &[FOR.name], &[ROLE.name]),
    ]
}

/// Those in a directory that the run writes into.
fn of_disks() -> Vec<Json> {
    let of = |kind: &str, others: &[&str], needs: &[&str]| {
        let lacks = without(&[OF_TARGETS, OF_LIMIT, OF_SHM, OF_SCRIBBLE, OF_HOST, others].concat());
        when(KIND.name, &json!(kind), &json!({ "allOf": [lacks, { "required": needs }] }))
    };
    vec![
        of("disk-slow", OF_CALLS, &[FOR.name, DELAY.name]),
        of("disk-fail", &[DELAY.name], &[FOR.name]),
        when(KIND.name, &json!("disk-fail"), &which()),
        when(
            KIND.name,
            &json!("disk-slow"),
            &json!({ "properties": { DELAY.name: pattern::no_longer_than(DELAY_MAX) } }),
        ),
        of("disk-full", &[OF_CALLS, &[DELAY.name]].concat(), &[FOR.name]),
    ]
}

/// Those that take processors or memory from everything beside them.
fn of_the_host() -> Vec<Json> {
    let of = |kind: &str, others: &[&str], needs: &[&str]| {
        let lacks =
            without(&[OF_TARGETS, OF_LIMIT, OF_SHM, OF_SCRIBBLE, OF_CALLS, OF_DISKS, others].concat());
        when(KIND.name, &json!(kind), &json!({ "allOf": [lacks, { "required": needs }] }))
    };
    vec![
        of("cpu-hogs", &[MEMORY.name, CPUS.name], &[FOR.name, HOGS.name]),
        of("memory", &[HOGS.name, NICE.name, CPUS.name], &[FOR.name, MEMORY.name]),
    ]
}

/// Those that put processes into control groups.
fn of_groups() -> Vec<Json> {
    let of = |kind: &str, others: &[&str], needs: &[&str]| {
        let lacks = without(
            &[&[RESOURCE.name, HOGS.name, NICE.name], OF_SHM, OF_SCRIBBLE, OF_CALLS, OF_DISKS, others]
                .concat(),
        );
        when(KIND.name, &json!(kind), &json!({ "allOf": [lacks, { "required": needs }] }))
    };
    let pids = json!({ "properties": { TO.name: { "minimum": 1, "maximum": PIDS_MAX } } });
    vec![
        of("cgroup-memory", &[TO.name, CPUS.name], &[ROLE.name, FOR.name, MEMORY.name]),
        of("cgroup-cpu", &[TO.name, MEMORY.name], &[ROLE.name, FOR.name, CPUS.name]),
        of("cgroup-pids", &[CPUS.name, MEMORY.name], &[ROLE.name, FOR.name, TO.name]),
        when(KIND.name, &json!("cgroup-pids"), &pids),
        of("oom", &[TO.name, CPUS.name, MEMORY.name, FOR.name], &[ROLE.name]),
    ]
}

fn of_processes_and_shm() -> Vec<Json> {
    let lacks = |keys: &[&[&str]]| without(&keys.concat());
    let needs = |keys: &[&str]| json!({ "required": keys });
    let both = |one: Json, other: Json| json!({ "allOf": [one, other] });
    let not_supervisor = json!({ "properties": { ROLE.name: { "not": { "const": "supervisor" } } } });
    vec![
        when(
            KIND.name,
            &json!("kill"),
            &both(lacks(&[OF_LIMIT, OF_SHM, OF_OTHERS, &[FOR.name]]), needs(&[ROLE.name])),
        ),
        when(
            KIND.name,
            &json!("stop"),
            &both(lacks(&[OF_LIMIT, OF_SHM, OF_OTHERS, &[FOR.name]]), needs(&[ROLE.name])),
        ),
        when(KIND.name, &json!("stop"), &not_supervisor),
        when(
            KIND.name,
            &json!("cpus"),
            &both(lacks(&[OF_SHM, OF_OTHERS, &[RESOURCE.name]]), needs(&[ROLE.name, FOR.name, TO.name])),
        ),
        when(
            KIND.name,
            &json!("cpus"),
            &json!({ "properties": { TO.name: { "minimum": 1, "maximum": CPUS_MAX } } }),
        ),
        when(
            KIND.name,
            &json!("pause"),
            &both(lacks(&[OF_LIMIT, OF_SHM, OF_OTHERS]), needs(&[ROLE.name, FOR.name])),
        ),
        when(
            KIND.name,
            &json!("limit"),
            &both(lacks(&[OF_SHM, OF_OTHERS]), needs(&[ROLE.name, FOR.name, RESOURCE.name, TO.name])),
        ),
        when(
            KIND.name,
            &json!("shm-limit"),
            &both(lacks(&[OF_TARGETS, OF_LIMIT, OF_OTHERS, &[FILL.name]]), needs(&[FOR.name, SIZE.name])),
        ),
        when(
            KIND.name,
            &json!("shm-fill"),
            &both(lacks(&[OF_TARGETS, OF_LIMIT, OF_OTHERS, &[SIZE.name]]), needs(&[FOR.name, FILL.name])),
        ),
        when(
            KIND.name,
            &json!("shm-inodes"),
            &both(lacks(&[OF_TARGETS, OF_LIMIT, OF_OTHERS, OF_SHM]), needs(&[FOR.name])),
        ),
        when(
            KIND.name,
            &json!("shm-read-only"),
            &both(lacks(&[OF_TARGETS, OF_LIMIT, OF_OTHERS, OF_SHM]), needs(&[FOR.name])),
        ),
    ]
}

/// Keys that say which processes it is done to.
const OF_TARGETS: &[&str] = &[ROLE.name, COUNT.name, SHARE.name, PICK.name, APART.name];
/// Keys of `kind = "limit"` alone,
const OF_LIMIT: &[&str] = &[RESOURCE.name, TO.name];
/// of faults on shared memory.
const OF_SHM: &[&str] = &[SIZE.name, FILL.name];
/// of scribbles,
const OF_SCRIBBLE: &[&str] = &[PART.name, WORDS.name];
/// of what is done to the host, and of quotas,
const OF_HOST: &[&str] = &[HOGS.name, NICE.name, MEMORY.name, CPUS.name];
/// to calls,
const OF_CALLS: &[&str] = &[ERROR.name, RATE.name, NTH.name];
/// and to a directory.
const OF_DISKS: &[&str] = &[DIR.name, DELAY.name];
/// The last four.
const OF_OTHERS: &[&str] = &[
    PART.name,
    WORDS.name,
    HOGS.name,
    NICE.name,
    MEMORY.name,
    CPUS.name,
    ERROR.name,
    RATE.name,
    NTH.name,
    DIR.name,
    DELAY.name,
];
