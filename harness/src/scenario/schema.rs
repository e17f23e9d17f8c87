//! The JSON Schema of a scenario file: what an editor needs to complete keys and to underline mistakes.
//!
//! Assembled from the declared tables: each key's form, and the rules of its table for keys together. What a schema
//! cannot say (two criteria of one name, a product of two numbers) only the checks say.

use super::form::{Form as _, Name};
use super::matrix::{self, CELLS_MAX, MATRIX};
use super::overlay::UNSET;
use super::relation;
use super::root::{EXTENDS, FIXED, PROFILE, ROOT, TABLES};
use super::table::{AnyKey, Presence, Table};
use super::tree::ENTRIES_MAX;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// Of the committed file; a trailing newline included.
pub fn schema_json() -> String {
    format!("{:#}\n", plain(&schema()))
}

/// With patterns that are compiled sooner: spaces are those that are typed, and not all of Unicode.
pub(super) fn plain(schema: &Json) -> Json {
    match schema {
        Json::Object(all) => {
            let of = |(key, value): (&String, &Json)| match value {
                Json::String(pattern) if key == "pattern" => (key.clone(), json!(typed_spaces(pattern))),
                other => (key.clone(), plain(other)),
            };
            Json::Object(all.iter().map(of).collect())
        }
        Json::Array(all) => Json::Array(all.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// Within brackets as outside them.
fn typed_spaces(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let (mut is_escaped, mut is_in_class) = (false, false);
    for c in pattern.chars() {
        if std::mem::take(&mut is_escaped) {
            match (c, is_in_class) {
                ('s', true) => text.push_str(r" \t\r\n"),
                ('s', false) => text.push_str(r"[ \t\r\n]"),
                _ => text.extend(['\\', c]),
            }
            continue;
        }
        if c == '\\' {
            is_escaped = true;
        } else {
            is_in_class = c == '[' || is_in_class && c != ']';
            text.push(c);
        }
    }
    text
}

fn schema() -> Json {
    let mut definitions = Map::new();
    for table in TABLES {
        let full = object(table, &mut definitions);
        definitions.insert(format!("Profile{}", table.definition), optional(&full));
        definitions.insert(table.definition.to_owned(), full);
    }
    let mut root = object(&ROOT, &mut definitions);
    definitions.insert("Profile".to_owned(), profile(&root));
    let mut whole = Map::new();
    for table in TABLES {
        // Which of its keys are required depends on `extends`.
        root["properties"][table.name] = reference(table, &format!("Profile{}", table.definition));
        whole.insert(table.name.to_owned(), reference(table, table.definition));
        if table.required
            && let Some(required) = root["required"].as_array_mut()
        {
            required.push(json!(table.name));
        }
    }
    // Without a matrix, no string has to be left open.
    for key in ROOT.keys {
        whole.insert(key.name().to_owned(), root["properties"][key.name()].clone());
    }
    let required = root["required"].take();
    if let Some(root) = root.as_object_mut() {
        root.remove("required");
    }
    root["if"] = json!({ "required": [EXTENDS.name] });
    root["then"] = json!({ "required": ["name"] });
    root["else"] = json!({
        "required": required,
        "properties": { UNSET: false },
        "if": { "required": [MATRIX] },
        "then": { "properties": open(&Json::Object(whole.clone())) },
        "else": { "properties": whole, "allOf": relation::rules() },
    });
    root["properties"][MATRIX] = json!({
        "type": "object",
        "description": "Keys and their values: one scenario for each combination. {KEY} in a string is the value.",
        "minProperties": 1,
        "propertyNames": { "enum": axes() },
        "properties": typed_axes(&mut definitions),
        "additionalProperties": { "$ref": "#/definitions/Axis" },
    });
    definitions.insert("Axis".to_owned(), axis());
    root["properties"][UNSET] =
        unset("", "Keys, tables and entries that are not taken from the file that this one extends.");
    root["properties"][PROFILE] = profiles();
    for (name, definition) in definitions.clone() {
        definitions.insert(format!("{OPEN}{name}"), open(&definition));
    }
    // The values may be of a matrix that the file has, or the one that it extends.
    root["properties"] = open(&root["properties"]);
    unused(&root, &mut definitions);
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!(ROOT.definition);
    root["definitions"] = Json::Object(definitions);
    root
}

/// Before the names of definitions that take `{KEY}` of a matrix for any part of a string.
const OPEN: &str = "Open";

/// The same with `{KEY}` taken for any part of a string that has to look like something.
fn open(schema: &Json) -> Json {
    const KEY: &str = r"\{[a-z0-9_.-]+\}";
    match schema {
        Json::Object(object) if ["enum", "oneOf", "const"].iter().any(|key| object.contains_key(*key)) => {
            json!({ "anyOf": [schema, { "type": "string", "pattern": format!("^{KEY}$") }] })
        }
        Json::Object(object) => {
            let opened = object.iter().map(|(key, value)| {
                let value = match (key.as_str(), value.as_str()) {
                    ("pattern", Some(pattern)) => json!(format!("{pattern}|{KEY}")),
                    ("$ref", Some(target)) => {
                        json!(target.replacen(DEFINITIONS, &format!("{DEFINITIONS}{OPEN}"), 1))
                    }
                    // What does not look like it is not it.
                    ("if" | "not", _) => value.clone(),
                    _ => open(value),
                };
                (key.clone(), value)
            });
            Json::Object(opened.collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(open).collect()),
        other => other.clone(),
    }
}

/// As references begin.
const DEFINITIONS: &str = "#/definitions/";

/// Leaves out definitions that nothing refers to.
fn unused(root: &Json, definitions: &mut Map<String, Json>) {
    let (mut wanted, mut texts) = (BTreeSet::new(), vec![root.to_string()]);
    while let Some(text) = texts.pop() {
        for (at, _) in text.match_indices(DEFINITIONS) {
            let name = text[at + DEFINITIONS.len()..].split('"').next().unwrap_or_default();
            if wanted.insert(name.to_owned()) {
                texts.extend(definitions.get(name).map(Json::to_string));
            }
        }
    }
    definitions.retain(|name, _| wanted.contains(name));
}

fn profiles() -> Json {
    json!({
        "type": "object",
        "additionalProperties": { "$ref": "#/definitions/Profile" },
        "description": "Tables of keys that differ, chosen with --profile NAME.",
    })
}

/// The keys of one table, without the tables in it.
fn object(table: &Table, definitions: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in table.keys {
        let earlier = properties.insert(key.name().to_owned(), key.schema(definitions));
        assert!(earlier.is_none(), "`{}` is declared twice in {}", key.name(), table.header());
        if matches!(key.presence(), Presence::Required { .. }) {
            required.push(json!(key.name()));
        }
    }
    let mut object = json!({
        "type": "object",
        "description": table.says,
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    });
    let rules: Vec<Json> = table.rules.iter().flat_map(|rules| rules()).collect();
    if !rules.is_empty() {
        object["allOf"] = Json::Array(rules);
    }
    object
}

/// A table as the root holds it.
fn reference(table: &Table, definition: &str) -> Json {
    let target = format!("#/definitions/{definition}");
    if !table.repeated {
        return json!({ "$ref": target });
    }
    let least = u32::from(table.required);
    let array = json!({ "type": "array", "description": table.says, "items": { "$ref": target }, "minItems": least, "maxItems": ENTRIES_MAX });
    if table.may_stand_alone() {
        return json!({ "description": table.says, "anyOf": [{ "$ref": target }, array] });
    }
    array
}

/// The schema of a file that has these tables, without profiles and a matrix.
pub(super) fn of_tables(root: &Table, tables: &[&Table]) -> Json {
    let mut definitions = Map::new();
    for table in tables {
        let full = object(table, &mut definitions);
        definitions.insert(table.definition.to_owned(), full);
    }
    let mut schema = object(root, &mut definitions);
    for table in tables {
        schema["properties"][table.name] = reference(table, table.definition);
        if table.required
            && let Some(required) = schema["required"].as_array_mut()
        {
            required.push(json!(table.name));
        }
    }
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(root.definition);
    schema["definitions"] = Json::Object(definitions);
    schema
}

/// What a matrix may have: keys that one table alone has, and tables.
fn axes() -> BTreeSet<&'static str> {
    let bare = singles().into_iter().flat_map(Table::key_names).filter(|key| is_bare(key));
    bare.chain(TABLES.iter().map(|table| table.name)).chain([matrix::ABOVE]).collect()
}

/// Tables whose keys a matrix can name alone.
fn singles() -> Vec<&'static Table> {
    TABLES.iter().copied().filter(|table| matrix::is_single(table)).collect()
}

fn is_bare(key: &str) -> bool {
    singles().iter().filter(|table| table.key_names().contains(&key)).count() == 1
}

/// Axes whose values are those of a key: by the names of the keys that one table alone has, and below those of tables.
fn typed_axes(definitions: &mut Map<String, Json>) -> Map<String, Json> {
    let mut axes = Map::new();
    for key in ROOT.keys.iter().filter(|key| key.name() == matrix::ABOVE) {
        axes.insert(key.name().to_owned(), axis_of(*key, definitions));
    }
    for table in singles() {
        let mut below = Map::new();
        for key in table.keys {
            let axis = axis_of(*key, definitions);
            if is_bare(key.name()) {
                axes.insert(key.name().to_owned(), axis.clone());
            }
            below.insert(key.name().to_owned(), axis);
        }
        // One that may be repeated has entries by their names, too.
        if !table.repeated {
            let whole = json!({ "type": "object", "minProperties": 1, "additionalProperties": false, "properties": below });
            axes.insert(table.name.to_owned(), whole);
        }
    }
    axes
}

/// The values of an axis that is a key.
fn axis_of(key: &dyn AnyKey, definitions: &mut Map<String, Json>) -> Json {
    let mut items = key.schema(definitions);
    // It stands beside the key.
    if let Some(items) = items.as_object_mut() {
        items.remove("description");
    }
    json!({ "type": "array", "minItems": 1, "maxItems": CELLS_MAX, "uniqueItems": true, "items": items })
}

/// The values of an axis, or dotted keys with axes below them.
fn axis() -> Json {
    json!({ "anyOf": [
        { "type": "array", "minItems": 1, "maxItems": CELLS_MAX, "uniqueItems": true, "items": { "type": ["string", "integer", "number", "boolean"] } },
        { "type": "object", "minProperties": 1, "additionalProperties": { "$ref": "#/definitions/Axis" } },
    ] })
}

/// Paths of keys, none of them empty; `unlike` is a lookahead.
fn unset(unlike: &str, says: &str) -> Json {
    let path = format!(r"^{unlike}\s*[^.\s][^.]*(?:\.\s*[^.\s][^.]*)*$");
    json!({ "type": "array", "description": says, "items": { "type": "string", "pattern": path } })
}

/// The same table with no key required, and no rule for keys together: some of them stand elsewhere.
fn optional(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(object) = object.as_object_mut() {
        object.remove("required");
        object.remove("allOf");
    }
    object
}

/// What a profile may hold: every key that can change, nothing required, and arrays of tables by name.
fn profile(root: &Json) -> Json {
    let mut profile = optional(root);
    profile["description"] = json!("Keys that differ from the file's own.");
    if let Some(properties) = profile["properties"].as_object_mut() {
        for fixed in FIXED {
            properties.remove(*fixed);
        }
    }
    for table in TABLES {
        let target = json!({ "$ref": format!("#/definitions/Profile{}", table.definition) });
        profile["properties"][table.name] = if table.repeated {
            let mut by_name = json!({
                "type": "object",
                "description": format!("By name: {}.NAME.KEY = …", table.name),
                "propertyNames": Name.schema(&mut Map::new()),
                "additionalProperties": target,
            });
            if table.may_stand_alone() {
                by_name = json!({ "anyOf": [target, by_name] });
            }
            by_name
        } else {
            target
        };
    }
    // A profile cannot change these.
    let fixed = format!(r"(?!\s*(?:{})\s*(?:\.|$))", FIXED.join("|"));
    profile["properties"][UNSET] =
        unset(&fixed, "Keys, tables and entries that the profile takes out, such as \"load.warm_up\".");
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &Json) -> Vec<&str> {
        let mut names: Vec<&str> = match list {
            Json::Object(object) => object.keys().map(String::as_str).collect(),
            Json::Array(items) => items.iter().map(|item| item.as_str().unwrap()).collect(),
            _ => Vec::new(),
        };
        names.sort_unstable();
        names
    }

    #[test]
    fn the_schema_has_the_declared_keys_of_each_table_and_no_other() {
        let schema = schema();
        for table in TABLES {
            let mut declared = table.key_names();
            declared.sort_unstable();
            let definitions =
                ["", "Open", "OpenProfile"].map(|before| format!("{before}{}", table.definition));
            for definition in definitions {
                assert_eq!(
                    names(&schema["definitions"][&definition]["properties"]),
                    declared,
                    "{definition}"
                );
            }
        }
        let mut declared = ROOT.key_names();
        declared.extend(TABLES.iter().map(|table| table.name));
        declared.extend([PROFILE, MATRIX, UNSET]);
        declared.sort_unstable();
        assert_eq!(names(&schema["properties"]), declared);
    }

    #[test]
    fn the_schema_requires_what_the_reader_requires_and_a_profile_nothing() {
        let schema = schema();
        let root = ["asks", "criterion", "fleet", "load", "name", "sampling", "schema", "workload"];
        assert_eq!(names(&schema["else"]["required"]), root);
        let required = |table: &str| names(&schema["definitions"][table]["required"]);
        assert_eq!(required("Load"), ["duration", "model"]);
        assert_eq!(required("Sampling"), ["every"]);
        assert_eq!(required("Criterion"), ["name", "pass"]);
        assert!(required("OpenProfileLoad").is_empty() && required("OpenProfile").is_empty());
    }

    #[test]
    fn every_reference_has_a_definition() {
        let schema = schema();
        let text = schema.to_string();
        for (at, prefix) in text.match_indices("#/definitions/") {
            let name = text[at + prefix.len()..].split('"').next().unwrap();
            assert!(schema["definitions"].get(name).is_some(), "{name}");
        }
        // Of values: a description may well say it.
        assert!([":null", ",null", "[null"].iter().all(|null| !text.contains(null)));
    }

    #[test]
    fn the_committed_schema_is_this_one() {
        let committed = include_str!("../../../scenarios/scenario.schema.json");
        assert!(committed == schema_json(), "run: cargo xtask schema");
    }
}
