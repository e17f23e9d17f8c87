//! What holds of the keys of a table together, as JSON Schemas: a table lists its rules beside its keys.

use serde_json::{Map, Value as Json, json};

/// If `key` is `value`, the table is as `then` says.
pub(super) fn when(key: &str, value: &Json, then: &Json) -> Json {
    json!({ "if": { "properties": { key: { "const": value } }, "required": [key] }, "then": then })
}

/// A table in which these keys are missing.
pub(super) fn without(keys: &[&str]) -> Json {
    let absent: Map<String, Json> = keys.iter().map(|key| ((*key).to_owned(), json!(false))).collect();
    json!({ "properties": absent })
}
