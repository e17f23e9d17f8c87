//! What holds of the tables of a file together, as JSON Schemas. They follow the checks; a test holds both to one corpus
//! of files. They are for files that stand alone: what another file, or a matrix, adds is not in sight of an editor.

use super::fleet::BOUNDS;
use super::rule::without;
use serde_json::{Value as Json, json};

pub(super) fn rules() -> Vec<Json> {
    let is = |table: &str, schema: &Json| json!({ "properties": { table: schema }, "required": [table] });
    let has_not = |table: &str, keys: &[&str]| is(table, &without(keys));
    let none = |table: &str| json!({ "not": { "required": [table] } });
    let keeps_size = has_not("fleet", &BOUNDS);
    let has_one = json!({ "properties": { "coordinators": { "const": 1 }, "coordinators_max": false } });
    let each_stage = |keys: &[&str]| json!({ "properties": { "stage": { "items": without(keys) } } });
    let partial = json!({ "properties": { "partial": { "const": true } }, "required": ["partial"] });
    let closed = json!({ "properties": { "model": { "const": "closed" } }, "required": ["model"] });
    vec![
        rule(&has_not("sampling", &["pss_every"]), &never_asks(r"^\s*memory\.pss")),
        rule(&none("fault"), &never_asks(r"^\s*(?:recovery\.time|detection\.time|fault\.)")),
        rule(&none("fault"), &never_asks(r"\s(?:before|during|after|outside)\s")),
        rule(&all(&[none("stage"), keeps_size]), &never_asks(r"^\s*scaling\.time")),
        rule(&runs_nothing(), &never_asks(r"^\s*(?:exits\.nonzero|[a-z.]+\.commands)(?![a-z_])")),
        rule(&is("fleet", &has_one), &never_asks(r"^\s*balance(?![a-z_])")),
        rule(&is("fleet", &partial), &json!({ "properties": { "stage": { "maxItems": 0 } } })),
        rule(&is("fleet", &follows_its_load()), &any_worker_will_do()),
        rule(&is("load", &closed), &each_stage(&["every"])),
        rule(&names_no_workload(), &never_asks(r"\{\s*workload")),
        rule(&is("fleet", &not_adopted()), &never_ends_the_supervisor()),
        several_workloads_have_names(),
        one_criterion_is_judged(),
    ]
}

fn rule(condition: &Json, then: &Json) -> Json {
    json!({ "if": condition, "then": then })
}

fn all(conditions: &[Json]) -> Json {
    json!({ "allOf": conditions })
}

/// No criterion looks like this.
fn never_asks(pattern: &str) -> Json {
    let text = json!({ "not": { "type": "string", "pattern": pattern } });
    let criterion = json!({ "properties": { "pass": text, "conditional": text } });
    json!({ "properties": { "criterion": { "items": criterion } } })
}

/// The one workload, or each of several, is as `one` says.
fn every_workload(one: &Json) -> Json {
    let (single, several) = (json!({ "type": "object" }), json!({ "type": "array", "items": one }));
    json!({
        "properties": { "workload": { "anyOf": [all(&[single, one.clone()]), several] } },
        "required": ["workload"],
    })
}

/// The load decides how many processes there are.
fn follows_its_load() -> Json {
    let bounds = BOUNDS.map(|bound| json!({ "required": [bound] }));
    json!({ "anyOf": bounds })
}

/// No task is for a worker that may be retired, and no stage decides as well.
fn any_worker_will_do() -> Json {
    let any = json!({ "properties": { "to": { "const": "any" } }, "required": ["to"] });
    let load = json!({ "anyOf": [any, { "required": ["tasks_per_round"] }] });
    json!({ "properties": { "load": load, "stage": { "maxItems": 0 } } })
}

/// No worker runs a command.
fn runs_nothing() -> Json {
    let kinds = json!({ "enum": ["echo", "sleep", "compute"] });
    every_workload(&json!({ "properties": { "kind": kinds }, "required": ["kind"] }))
}

fn several_workloads_have_names() -> Json {
    let several = json!({ "type": "array", "minItems": 2 });
    let named = json!({ "items": { "required": ["name"] } });
    rule(
        &json!({ "properties": { "workload": several }, "required": ["workload"] }),
        &json!({ "properties": { "workload": named } }),
    )
}

/// The fleet ends with its supervisor.
fn not_adopted() -> Json {
    json!({ "properties": { "on_supervisor_death": { "not": { "const": "adopt" } } } })
}

fn never_ends_the_supervisor() -> Json {
    let ends = json!({
        "properties": { "kind": { "enum": ["kill", "oom"] }, "role": { "const": "supervisor" } },
        "required": ["kind", "role"],
    });
    json!({ "properties": { "fault": { "items": { "not": ends } } } })
}

/// A run of which every criterion is informational could not fail.
fn one_criterion_is_judged() -> Json {
    let shown =
        json!({ "properties": { "informational": { "const": true } }, "required": ["informational"] });
    json!({ "properties": { "criterion": { "contains": { "not": shown } } } })
}

fn names_no_workload() -> Json {
    every_workload(&without(&["name"]))
}
