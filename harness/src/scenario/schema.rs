//! The JSON Schema of a scenario file: what an editor needs to complete keys and to underline mistakes.
//!
//! The structs below mirror the file for the schema alone; a test holds their keys to those that the
//! reader knows. What a schema cannot say (a flat fleet has one coordinator) only the reader says.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Of the committed file; a trailing newline included.
pub fn schema_json() -> String {
    format!("{:#}\n", schema())
}

fn schema() -> Value {
    let settings = SchemaSettings::draft07();
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<File>();
    let mut root = schema.to_value();
    strip_null(&mut root);
    add_profiles(&mut root);
    root
}

/// TOML has no null: what is optional may be absent, and is otherwise of its type.
fn strip_null(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice != &json!({ "type": "null" }));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    // draft-07 ignores what stands beside `$ref`.
                    if only.contains_key("$ref") && object.contains_key("description") {
                        object.insert("allOf".to_owned(), json!([only]));
                    } else {
                        object.extend(only);
                    }
                }
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            object.values_mut().for_each(strip_null);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_null),
        _ => {}
    }
}

/// A profile is the same file with nothing required; its criteria are addressed by name.
fn add_profiles(root: &mut Value) {
    let Some(definitions) = root.get("definitions").and_then(Value::as_object).cloned() else { return };
    let mut partial = Map::new();
    for (name, definition) in definitions {
        partial.insert(format!("Profile{name}"), optional(&definition));
    }
    let mut properties = root.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for fixed in ["schema", "name", "profile"] {
        properties.remove(fixed);
    }
    properties.insert(
        "criterion".to_owned(),
        json!({
            "description": "Criteria by name: criterion.delivery.pass = \"…\"",
            "type": "object",
            "additionalProperties": { "$ref": "#/definitions/Criterion" },
        }),
    );
    let profile = optional(&json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    }));
    partial.insert("Profile".to_owned(), profile);
    if let Some(definitions) = root.get_mut("definitions").and_then(Value::as_object_mut) {
        definitions.extend(partial);
    }
}

/// Drops `required`, and points at the optional twin of each table.
fn optional(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .iter()
                .filter(|(key, _)| *key != "required")
                .map(|(key, value)| {
                    let value = match (key.as_str(), value) {
                        ("$ref", Value::String(target)) => {
                            Value::String(target.replace("#/definitions/", "#/definitions/Profile"))
                        }
                        (_, other) => optional(other),
                    };
                    (key.clone(), value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(optional).collect()),
        other => other.clone(),
    }
}

const DURATION: &str = r"^\s*[0-9]+(ns|us|ms|s|m|h|d|w)(\s+[0-9]+(ns|us|ms|s|m|h|d|w))*\s*$";
const SIZE: &str = r"^[0-9]+(B|KiB|MiB|GiB|TiB)$";

/// `"1h 30m"`.
struct DurationText;

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": DURATION, "examples": ["500ms", "30s", "1h 30m", "30d"] })
    }
}

/// `"64KiB"`.
struct SizeText;

impl JsonSchema for SizeText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": SIZE, "examples": ["256B", "64KiB", "1MiB"] })
    }
}

/// `[profile.NAME]`: what a profile may hold is added when the rest is known.
struct Profiles;

impl JsonSchema for Profiles {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Profiles".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": { "$ref": "#/definitions/Profile" },
        })
    }
}

/// A scenario: the question that a run answers, and what is done to answer it.
#[derive(JsonSchema)]
#[schemars(title = "Scenario", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the derive alone")]
struct File {
    /// Version of this format.
    #[schemars(range(min = 1, max = 1))]
    schema: u32,
    /// Names the run's directory.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,63}$"))]
    name: String,
    /// The question that the run answers, in one sentence.
    #[schemars(length(min = 1, max = 400))]
    asks: String,
    /// Ids of the requirements that this scenario is about.
    #[schemars(inner(regex(pattern = "^[TCPSGM][0-9]{1,2}$")))]
    requirements: Option<Vec<String>>,
    /// The root of everything that is drawn at random; without it, one is derived from the file's text.
    seed: Option<u64>,
    fleet: Fleet,
    workload: Workload,
    load: Load,
    sampling: Sampling,
    /// What must hold; the worst of them is the verdict.
    #[schemars(length(min = 1))]
    criterion: Vec<Criterion>,
    /// Tables of keys that differ, chosen with --profile NAME.
    profile: Option<Profiles>,
}

/// Which processes there are.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the derive alone")]
struct Fleet {
    topology: Topology,
    #[schemars(range(min = 1, max = 256))]
    coordinators: u32,
    /// Under each coordinator.
    #[schemars(range(min = 1, max = 4096))]
    workers: u32,
}

/// How coordinators stand to each other.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the derive alone")]
enum Topology {
    /// One coordinator.
    Flat,
    /// Several coordinators in a mesh, workers under each.
    Hybrid,
}

/// What a worker does with a task.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the derive alone")]
struct Workload {
    kind: WorkloadKind,
    /// echo: how much is sent and comes back.
    payload: Option<SizeText>,
    /// sleep: how long, always.
    time: Option<DurationText>,
    /// sleep: drawn for each task.
    distribution: Option<Distribution>,
    /// sleep: of the distribution.
    mean: Option<DurationText>,
    /// sleep: standard deviation of the distribution.
    deviation: Option<DurationText>,
    /// sleep: shorter draws count as this.
    min: Option<DurationText>,
    /// sleep: longer draws count as this.
    max: Option<DurationText>,
    /// compute: how long a task uses a processor.
    cpu: Option<DurationText>,
    /// exec: the program and its arguments; {} becomes the task's number.
    #[schemars(length(min = 1))]
    command: Option<Vec<String>>,
    /// exec: how much of the output is kept (4KiB unless said).
    output_max: Option<SizeText>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the derive alone")]
enum WorkloadKind {
    /// The payload comes back and is compared.
    Echo,
    /// The worker waits.
    Sleep,
    /// The worker uses a processor.
    Compute,
    /// The worker runs a command.
    Exec,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the derive alone")]
enum Distribution {
    Exponential,
    Uniform,
    Normal,
    Lognormal,
}

/// When rounds start, and how long that goes on.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the derive alone")]
struct Load {
    model: LoadModel,
    /// open: between the scheduled starts of two rounds.
    every: Option<DurationText>,
    /// Of the load, without the warm-up.
    duration: DurationText,
    /// Rounds before the load, which count for nothing.
    warm_up: Option<DurationText>,
    /// After which a task has failed (30s unless said).
    task_timeout: Option<DurationText>,
    /// open: a round that would be one more waits (4 unless said).
    #[schemars(range(min = 1, max = 64))]
    rounds_in_flight_max: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the derive alone")]
enum LoadModel {
    /// Rounds start on schedule, whether or not the last one is back.
    Open,
    /// A round starts when the last one is back.
    Closed,
}

/// How often the kernel is asked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the derive alone")]
struct Sampling {
    /// Cheap figures: memory, descriptors, threads, CPU; at least 100ms.
    every: DurationText,
    /// Proportional memory, which is dear; not read unless said.
    pss_every: Option<DurationText>,
}

/// One thing that must hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the derive alone")]
struct Criterion {
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,63}$"))]
    name: String,
    /// Id of the requirement that it comes from.
    #[schemars(regex(pattern = "^[TCPSGM][0-9]{1,2}$"))]
    requirement: Option<String>,
    /// metric [aggregation] comparison threshold [every window]
    #[schemars(example = "coordination.time p99 < 1s", example = "delivery.rate >= 100% every 15m")]
    pass: String,
    /// The same with a weaker threshold; missing `pass` but not this is CONDITIONAL.
    conditional: Option<String>,
    /// End the run as soon as it is hopeless.
    abort: Option<bool>,
    /// No abort before this much of the load has passed.
    grace: Option<DurationText>,
}

#[cfg(test)]
mod tests {
    use super::super::raw::keys;
    use super::*;

    fn keys_of(object: &Value) -> Vec<String> {
        let mut keys: Vec<String> =
            object.get("properties").unwrap().as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }

    fn sorted(keys: &[&str]) -> Vec<String> {
        let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_schema_knows_the_keys_that_the_reader_knows() {
        let schema = schema();
        assert_eq!(keys_of(&schema), sorted(keys::ROOT));
        for (name, known) in [
            ("Fleet", keys::FLEET),
            ("Workload", keys::WORKLOAD),
            ("Load", keys::LOAD),
            ("Sampling", keys::SAMPLING),
            ("Criterion", keys::CRITERION),
        ] {
            assert_eq!(keys_of(&schema["definitions"][name]), sorted(known), "{name}");
            assert_eq!(keys_of(&schema["definitions"][format!("Profile{name}")]), sorted(known), "{name}");
        }
    }

    #[test]
    fn the_schema_requires_what_the_reader_requires_and_a_profile_nothing() {
        let schema = schema();
        let required = |value: &Value| {
            let mut names: Vec<String> = value
                .get("required")
                .and_then(Value::as_array)
                .map(|names| names.iter().map(|name| name.as_str().unwrap().to_owned()).collect())
                .unwrap_or_default();
            names.sort();
            names
        };
        let root = ["schema", "name", "asks", "fleet", "workload", "load", "sampling", "criterion"];
        assert_eq!(required(&schema), sorted(&root));
        assert_eq!(required(&schema["definitions"]["Load"]), sorted(&["model", "duration"]));
        assert_eq!(required(&schema["definitions"]["Sampling"]), sorted(&["every"]));
        assert_eq!(required(&schema["definitions"]["Criterion"]), sorted(&["name", "pass"]));
        assert!(required(&schema["definitions"]["ProfileLoad"]).is_empty());
        assert!(!schema_json().contains("null"));
    }

    #[test]
    fn the_committed_schema_is_this_one() {
        let committed = include_str!("../../../scenarios/scenario.schema.json");
        assert!(
            committed == schema_json(),
            "run: cargo run -p harness -- schema > scenarios/scenario.schema.json"
        );
    }
}
