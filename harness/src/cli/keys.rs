//! Every option of `coordinator up` and `coordinator run` is a key, or has a reason why it is none.

use crate::scenario::schema_json;
use coordinator::cli;

/// What becomes of an option in a scenario.
enum Is {
    /// Key of a table, by its name among the definitions of the schema.
    Key(&'static str, &'static str),
    /// A choice of the harness, for this reason.
    Own(&'static str),
}

use Is::{Key, Own};

const SIZE: Is = Own("the number of coordinators stays what it is: each row of a verdict names them");
const LIST: Is = Own("it is about a list of tasks, and rounds take its place");
const SHOWN: Is = Own("it is about what is printed, and documents take its place");

const UP: &[(&str, Is)] = &[
    ("name", Own("the id of the run is the name of its fleet")),
    ("coordinators", Key("Fleet", "coordinators")),
    ("coordinators-max", SIZE),
    ("coordinators-min", SIZE),
    ("workers", Key("Fleet", "workers")),
    ("workers-max", Key("Fleet", "workers_max")),
    ("workers-min", Key("Fleet", "workers_min")),
    ("by-load", Own("a bound of the workers says so")),
    ("scale-up-at", Key("Fleet", "scale_up_at")),
    ("scale-down-at", Key("Fleet", "scale_down_at")),
    ("scale-hold", Key("Fleet", "scale_hold")),
    ("scale-pause", Key("Fleet", "scale_pause")),
    ("payload-max", Own("the workloads say how large tasks and answers are")),
    ("depth", Own("the load says how many tasks may wait")),
    ("attempts-max", Key("Fleet", "attempts_max")),
    ("backoff", Key("Fleet", "backoff")),
    ("backoff-max", Key("Fleet", "backoff_max")),
    ("restarts-max", Key("Fleet", "restarts_max")),
    ("restart-window", Key("Fleet", "restart_window")),
    ("hang-after", Key("Fleet", "hang_after")),
    ("failover", Key("Fleet", "failover")),
    ("on-supervisor-death", Key("Fleet", "on_supervisor_death")),
    ("partial", Key("Fleet", "partial")),
    ("recycle-after", Key("Fleet", "recycle_after")),
    ("recycle-growth", Key("Fleet", "recycle_growth")),
    ("batch-max", Key("Fleet", "batch_max")),
    ("spawn-max", Key("Fleet", "spawn_max")),
    ("agent", Key("Workload", "command")),
    ("agent-env", Key("Workload", "env")),
    ("agent-cwd", Key("Workload", "cwd")),
    ("agent-startup", Key("Workload", "start_timeout")),
    ("stop-signal", Key("Fleet", "stop_signal")),
    ("grace", Key("Fleet", "grace")),
    ("dry-run", Own("`harness plan` and `harness doctor FILE` do that")),
    ("owner", Own("the harness is the owner")),
    ("shm-dir", Own("a matter of the host: `COORDINATOR_SHM_DIR`")),
];

const RUN: &[(&str, Is)] = &[
    ("agents", Key("Fleet", "workers")),
    ("inputs", LIST),
    ("null", LIST),
    ("tasks", LIST),
    ("protocol", Key("Workload", "kind")),
    ("dry-run", Own("`harness plan` does that")),
    ("timeout", Key("Load", "task_timeout")),
    ("deadline", Key("Load", "task_timeout")),
    ("retries", Key("Fleet", "attempts_max")),
    ("delay", Key("Load", "every")),
    ("halt", Own("`abort` of a criterion takes its place")),
    ("drain", Own("the end of the load waits for every task, at most its time-out")),
    ("stop-signal", Key("Fleet", "stop_signal")),
    ("grace", Key("Fleet", "grace")),
    ("results", LIST),
    ("resume", LIST),
    ("retry-failed", LIST),
    ("journal", LIST),
    ("output-dir", SHOWN),
    ("print", SHOWN),
    ("keep-order", SHOWN),
    ("tag", SHOWN),
    ("progress", SHOWN),
    ("output-max", Key("Workload", "output_max")),
    ("coordinators", Key("Fleet", "coordinators")),
    ("recycle-after", Key("Fleet", "recycle_after")),
    ("recycle-growth", Key("Fleet", "recycle_growth")),
    ("agent-startup", Key("Workload", "start_timeout")),
    ("shm-dir", Own("a matter of the host: `COORDINATOR_SHM_DIR`")),
];

#[test]
fn every_option_of_a_fleet_is_a_key_or_has_a_reason_to_be_none() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    for (verb, known) in [("up", UP), ("run", RUN)] {
        let options = cli::options(verb);
        let named: Vec<&str> = known.iter().map(|(option, _)| *option).collect();
        let new: Vec<&String> = options.iter().filter(|option| !named.contains(&option.as_str())).collect();
        assert!(new.is_empty(), "`coordinator {verb}` has options that no scenario can set: {new:?}");
        for (option, is) in known {
            assert!(options.iter().any(|known| known == option), "`coordinator {verb}` has no --{option}");
            match is {
                Key(table, key) => {
                    let key = &schema["definitions"][*table]["properties"][*key];
                    assert!(key.is_object(), "--{option}: no such key of {table}");
                }
                Own(why) => assert!(!why.is_empty(), "--{option}"),
            }
        }
    }
}
