//! Walks a table by its known keys and notes every mistake on the way.
//!
//! A reader that stops at the first mistake makes a person run it five times to find five.

use super::mistake::{Mistake, Origin, nearest, suggest};
use super::tree::{Node, Table, Value};
use super::unit;
use std::time::Duration;

/// A value, where it was written, and the path of its key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sited<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
    pub(super) path: String,
}

impl<T> Sited<T> {
    pub(super) fn complain(
        &self,
        found: &mut Vec<Mistake>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        found.push(Mistake::new(self.origin, message, hint));
    }
}

/// What is wrong with one value: message and hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint(pub(super) String, pub(super) String);

impl From<unit::UnitError> for Complaint {
    fn from(error: unit::UnitError) -> Self {
        Self(error.message, error.hint)
    }
}

/// One table, read key by key. Made by [`Fields::open`]; whatever is not in `known` is a mistake.
pub(super) struct Fields<'t> {
    table: Option<&'t Table>,
    origin: Origin,
    path: String,
    known: &'static [&'static str],
}

impl<'t> Fields<'t> {
    /// `path` is the table's own, empty for the root.
    pub(super) fn open(
        node: &'t Node,
        origin: Origin,
        path: &str,
        known: &'static [&'static str],
        found: &mut Vec<Mistake>,
    ) -> Self {
        let table = match &node.value {
            Value::Table(table) => Some(table),
            other => {
                let message = format!("`{path}` must be a table, not {}", other.kind());
                found.push(Mistake::new(node.origin, message, format!("write [{path}] and its keys below")));
                None
            }
        };
        let fields = Self { table, origin, path: path.to_owned(), known };
        fields.refuse_unknown(found);
        fields
    }

    fn refuse_unknown(&self, found: &mut Vec<Mistake>) {
        let whole = if self.path.is_empty() { "a scenario".to_owned() } else { format!("[{}]", self.path) };
        for (key, entry) in self.table.into_iter().flatten() {
            if !self.known.contains(&key.as_str()) {
                let message = format!("`{key}` is not a key of {whole}");
                found.push(Mistake::new(entry.key, message, suggest(key, self.known)));
            }
        }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// `table.key`.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// An unknown key stands where `key` is missing, and has been told what it is near to.
    pub(super) fn misspells(&self, key: &str) -> bool {
        self.node(key).is_none()
            && self.table.into_iter().flatten().any(|(unknown, _)| {
                !self.known.contains(&unknown.as_str())
                    && nearest(unknown, self.known.iter().copied()) == Some(key)
            })
    }

    /// The node under `key`, and where the key stands.
    pub(super) fn node(&self, key: &str) -> Option<(&'t Node, Origin)> {
        debug_assert!(self.known.contains(&key), "`{key}` is read but not known");
        self.table.and_then(|table| table.get(key)).map(|entry| (&entry.node, entry.key))
    }

    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, Complaint>,
        found: &mut Vec<Mistake>,
    ) -> Option<Sited<T>> {
        let (node, _) = self.node(key)?;
        let path = self.path_of(key);
        match read(&node.value) {
            Ok(value) => Some(Sited { value, origin: node.origin, path }),
            Err(Complaint(message, hint)) => {
                found.push(Mistake::new(node.origin, format!("`{path}` {message}"), hint));
                None
            }
        }
    }

    /// As [`Self::optional`]; a missing key is a mistake, and `example` shows one that is not.
    pub(super) fn required<T>(
        &self,
        key: &str,
        example: &str,
        read: impl Fn(&Value) -> Result<T, Complaint>,
        found: &mut Vec<Mistake>,
    ) -> Option<Sited<T>> {
        if self.table.is_some() && self.node(key).is_none() && !self.misspells(key) {
            self.missing(key, example, found);
        }
        self.optional(key, read, found)
    }

    pub(super) fn missing(&self, key: &str, example: &str, found: &mut Vec<Mistake>) {
        let message = format!("`{}` is missing", self.path_of(key));
        let place = if self.path.is_empty() {
            "above the first table".to_owned()
        } else {
            format!("under [{}]", self.path)
        };
        found.push(Mistake::new(self.origin, message, format!("write `{key} = {example}` {place}")));
    }
}

fn wrong_kind(wanted: &str, value: &Value, example: &str) -> Complaint {
    Complaint(
        format!("must be {wanted}, not {} ({})", value.kind(), value.text()),
        format!("such as {example}"),
    )
}

pub(super) fn string(value: &Value) -> Result<String, Complaint> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(wrong_kind("a string", other, "\"text\"")),
    }
}

pub(super) fn boolean(value: &Value) -> Result<bool, Complaint> {
    match value {
        Value::Boolean(value) => Ok(*value),
        other => Err(wrong_kind("a boolean", other, "true")),
    }
}

pub(super) fn integer(value: &Value) -> Result<u64, Complaint> {
    match value {
        Value::Integer(text, radix) => u64::from_str_radix(text, *radix).map_err(|_| {
            Complaint(format!("is {text}"), "a whole number from 0 to 18446744073709551615 is wanted".into())
        }),
        other => Err(wrong_kind("an integer", other, "10")),
    }
}

/// A number of things: 1 to `max` of them.
pub(super) fn count(max: u32, things: &'static str) -> impl Fn(&Value) -> Result<u32, Complaint> {
    move |value| {
        let hint = format!("1 to {max} {things}");
        let Value::Integer(text, radix) = value else {
            let Complaint(message, _) = wrong_kind("an integer", value, "");
            return Err(Complaint(message, hint));
        };
        match u64::from_str_radix(text, *radix) {
            Err(_) if text.starts_with('-') => Err(Complaint(format!("is {text}, which is too few"), hint)),
            Ok(0) => Err(Complaint("is 0".to_owned(), hint)),
            Ok(fitting) if fitting <= u64::from(max) => Ok(fitting as u32),
            _ => Err(Complaint(format!("is {text}, which is too many"), hint)),
        }
    }
}

pub(super) fn duration(value: &Value) -> Result<Duration, Complaint> {
    match value {
        Value::String(text) => Ok(unit::duration(text)?),
        Value::Integer(text, _) | Value::Float(text) => {
            let hint = format!("write \"{text}s\" for seconds, \"{text}ms\", \"{text}m\" or \"{text}h\"");
            Err(Complaint(format!("is a duration without a unit ({text})"), hint))
        }
        other => Err(wrong_kind("a duration", other, "\"30s\"")),
    }
}

pub(super) fn bytes(value: &Value) -> Result<u64, Complaint> {
    match value {
        Value::String(text) => Ok(unit::bytes(text)?),
        Value::Integer(text, _) | Value::Float(text) => {
            let hint = format!("write \"{text}B\" for bytes, \"{text}KiB\" or \"{text}MiB\"");
            Err(Complaint(format!("is a size without a unit ({text})"), hint))
        }
        other => Err(wrong_kind("a size", other, "\"64KiB\"")),
    }
}

pub(super) fn strings(value: &Value) -> Result<Vec<String>, Complaint> {
    let wrong = |found: &Value| wrong_kind("an array of strings", found, "[\"sh\", \"-c\", \"echo {}\"]");
    let Value::Array(items) = value else { return Err(wrong(value)) };
    items
        .iter()
        .map(|item| match &item.value {
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong(other)),
        })
        .collect()
}

/// One of a few words.
pub(super) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Value) -> Result<T, Complaint> {
    move |value| {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let listed = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let Value::String(text) = value else {
            return Err(Complaint(
                format!("must be a string, not {} ({})", value.kind(), value.text()),
                format!("one of {listed}"),
            ));
        };
        words
            .iter()
            .find(|(name, _)| name == text)
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| Complaint(format!("cannot be \"{text}\""), suggest_word(text, &names, &listed)))
    }
}

fn suggest_word(text: &str, names: &[&str], listed: &str) -> String {
    match nearest(text, names.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? it is one of {listed}"),
        None => format!("one of {listed}"),
    }
}
