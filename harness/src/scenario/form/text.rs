//! Forms that are strings, and arrays of strings.

use super::{Form, wrong_kind};
use crate::scenario::mistake::Rejection;
use crate::scenario::tree::Value;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

fn string(value: &Value, example: &str) -> Result<String, Rejection> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(wrong_kind("a string", other, example)),
    }
}

const NAME_MAX: usize = 64;

/// A name that can be a directory and a JUnit case.
pub(in super::super) struct Name;

impl Form for Name {
    type Value = String;

    fn read(&self, value: &Value) -> Result<String, Rejection> {
        string(value, "\"load-100\"")
    }

    fn beyond(&self, text: &String) -> Option<Rejection> {
        let fits = text.len() <= NAME_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let hint =
            || format!("use at most {NAME_MAX} lower-case letters, digits and `-`, such as \"load-100\"");
        (!fits).then(|| Rejection(format!("cannot be \"{text}\""), hint()))
    }

    fn words(&self) -> String {
        format!("name: lower-case letters, digits and `-`, at most {NAME_MAX}")
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": format!("^[a-z0-9][a-z0-9-]{{0,{}}}$", NAME_MAX - 1) })
    }
}

/// One line of text.
pub(in super::super) struct Line {
    /// In characters.
    pub(in super::super) max: usize,
    pub(in super::super) hint: &'static str,
}

impl Form for Line {
    type Value = String;

    fn read(&self, value: &Value) -> Result<String, Rejection> {
        string(value, "\"Does it work?\"")
    }

    fn beyond(&self, text: &String) -> Option<Rejection> {
        let text = text.trim();
        let fits = !text.is_empty() && !text.contains('\n') && text.chars().count() <= self.max;
        let message = || format!("must be one line of 1 to {} characters", self.max);
        (!fits).then(|| Rejection(message(), self.hint.to_owned()))
    }

    fn words(&self) -> String {
        format!("one line, at most {} characters", self.max)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": r"^[^\n]*\S[^\n]*$", "maxLength": self.max })
    }
}

/// A string that a grammar outside this module reads.
pub(in super::super) struct Text {
    pub(in super::super) words: &'static str,
    pub(in super::super) examples: &'static [&'static str],
}

impl Form for Text {
    type Value = String;

    fn read(&self, value: &Value) -> Result<String, Rejection> {
        string(value, &format!("\"{}\"", self.examples.first().unwrap_or(&"text")))
    }

    fn words(&self) -> String {
        self.words.to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        let mut schema = json!({ "type": "string" });
        if !self.examples.is_empty() {
            schema["examples"] = json!(self.examples);
        }
        schema
    }
}

const NO_NUL: &str = r"^[^\u0000]*$";

/// As [`Text`], not empty and without a NUL byte; what reads it says so.
pub(in super::super) struct Filled(pub(in super::super) Text);

impl Form for Filled {
    type Value = String;

    fn read(&self, value: &Value) -> Result<String, Rejection> {
        self.0.read(value)
    }

    fn words(&self) -> String {
        self.0.words()
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        let mut schema = self.0.schema(definitions);
        schema["pattern"] = json!(r"^[^\u0000]+$");
        schema
    }
}

const REQUIREMENT: &str = "^[TCPSGM][0-9]{1,2}$";

fn not_a_requirement(id: &str) -> Option<Rejection> {
    let mut characters = id.chars();
    let letter = characters.next().is_some_and(|c| "TCPSGM".contains(c));
    let digits = characters.as_str();
    let number = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let hint = "write one of the letters T, C, P, S, G, M and a number, such as \"C1\"";
    (!(letter && number))
        .then(|| Rejection(format!("contains \"{id}\", which is not a requirement id"), hint.to_owned()))
}

/// The id of one requirement: `"C1"`.
pub(in super::super) struct Requirement;

impl Form for Requirement {
    type Value = String;

    fn read(&self, value: &Value) -> Result<String, Rejection> {
        string(value, "\"C1\"")
    }

    fn beyond(&self, id: &String) -> Option<Rejection> {
        not_a_requirement(id)
    }

    fn words(&self) -> String {
        "requirement id, such as `\"C1\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": REQUIREMENT })
    }
}

/// Several: `["C1", "T2"]`.
pub(in super::super) struct Requirements;

impl Form for Requirements {
    type Value = Vec<String>;

    fn read(&self, value: &Value) -> Result<Vec<String>, Rejection> {
        strings(value, "[\"C1\", \"T2\"]")
    }

    fn beyond(&self, ids: &Vec<String>) -> Option<Rejection> {
        ids.iter().find_map(|id| not_a_requirement(id))
    }

    fn words(&self) -> String {
        "requirement ids, such as `[\"C1\", \"T2\"]`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "array", "items": { "type": "string", "pattern": REQUIREMENT } })
    }
}

fn strings(value: &Value, example: &str) -> Result<Vec<String>, Rejection> {
    let wrong = |found: &Value| wrong_kind("an array of strings", found, example);
    let Value::Array(items) = value else { return Err(wrong(value)) };
    items
        .iter()
        .map(|item| match &item.value {
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong(other)),
        })
        .collect()
}

/// A program and its arguments.
pub(in super::super) struct Command {
    pub(in super::super) example: &'static str,
}

impl Form for Command {
    type Value = Vec<String>;

    fn read(&self, value: &Value) -> Result<Vec<String>, Rejection> {
        strings(value, self.example)
    }

    fn beyond(&self, command: &Vec<String>) -> Option<Rejection> {
        if command.first().is_none_or(String::is_empty) {
            let hint = format!("write the program first, then its arguments: {}", self.example);
            return Some(Rejection("must name a program".to_owned(), hint));
        }
        let nul = command.iter().any(|argument| argument.contains('\0'));
        let message = "contains a NUL byte, which no argument can hold";
        nul.then(|| Rejection(message.to_owned(), "remove it".to_owned()))
    }

    fn words(&self) -> String {
        format!("array of strings, such as `{}`", self.example)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        let argument = json!({ "type": "string", "pattern": NO_NUL });
        let program = json!({ "type": "string", "pattern": r"^[^\u0000]+$" });
        json!({ "type": "array", "items": [program], "additionalItems": argument, "minItems": 1 })
    }
}

/// Names and their values, each a string.
pub(in super::super) struct Pairs {
    pub(in super::super) example: &'static str,
}

impl Form for Pairs {
    type Value = BTreeMap<String, String>;

    fn read(&self, value: &Value) -> Result<BTreeMap<String, String>, Rejection> {
        let wrong = |found: &Value| wrong_kind("a table of strings", found, self.example);
        let Value::Table(table) = value else { return Err(wrong(value)) };
        table
            .iter()
            .map(|(name, entry)| match &entry.node.value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                other => Err(wrong(other)),
            })
            .collect()
    }

    fn beyond(&self, pairs: &BTreeMap<String, String>) -> Option<Rejection> {
        if let Some(bad) = pairs.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            let message = format!("has a name that no variable can have: \"{}\"", bad.escape_debug());
            return Some(Rejection(message, format!("such as {}", self.example)));
        }
        let (name, _) = pairs.iter().find(|(_, value)| value.contains('\0'))?;
        let message = format!("has a NUL byte in `{name}`, which no variable can hold");
        Some(Rejection(message, "remove it".to_owned()))
    }

    fn words(&self) -> String {
        format!("table of strings, such as `{}`", self.example)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({
            "type": "object",
            "propertyNames": { "pattern": r"^[^=\u0000]+$" },
            "additionalProperties": { "type": "string", "pattern": NO_NUL },
        })
    }
}
