//! Forms of limits that can be switched off.

use super::{Form, wrong_kind};
use crate::scenario::mistake::Rejection;
use crate::scenario::pattern;
use crate::scenario::tree::Value;
use crate::scenario::unit;
use reports::units;
use serde_json::{Map, Value as Json, json};

/// What switches a limit off.
const OFF: &str = "off";

/// Another form, or `"off"`.
pub(in super::super) struct OrOff<F>(pub(in super::super) F);

impl<F: Form> Form for OrOff<F> {
    type Value = Option<F::Value>;

    fn read(&self, value: &Value) -> Result<Self::Value, Rejection> {
        match value {
            Value::String(text) if text == OFF => Ok(None),
            other => self.0.read(other).map(Some),
        }
    }

    fn beyond(&self, value: &Self::Value) -> Option<Rejection> {
        value.as_ref().and_then(|value| self.0.beyond(value))
    }

    fn limit(&self) -> Option<String> {
        self.0.limit()
    }

    fn words(&self) -> String {
        format!("{}; or `\"{OFF}\"`", self.0.words())
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        json!({ "anyOf": [self.0.schema(definitions), { "type": "string", "const": OFF }] })
    }
}

/// A share, as a percentage that may be more than all.
pub(in super::super) struct Share {
    pub(in super::super) example: &'static str,
}

impl Form for Share {
    type Value = f64;

    fn read(&self, value: &Value) -> Result<f64, Rejection> {
        let Value::String(text) = value else {
            return Err(wrong_kind("a percentage", value, &format!("\"{}\"", self.example)));
        };
        let share = units::parse_percent(text).ok().map(|percent| percent / 100.0);
        let hint = format!("write it like \"{}\"", self.example);
        share.ok_or_else(|| Rejection(format!("cannot be \"{text}\""), hint))
    }

    fn words(&self) -> String {
        format!("percentage, such as `\"{}\"`", self.example)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": r"^[0-9]+(?:\.[0-9]+)?%$", "examples": [self.example] })
    }
}

/// Bytes, as many as there may be on a disk.
pub(in super::super) struct Amount;

/// More than any file system of a single host.
const AMOUNT_MAX: u64 = 1 << 50;

impl Form for Amount {
    type Value = u64;

    fn read(&self, value: &Value) -> Result<u64, Rejection> {
        match value {
            Value::String(text) => Ok(unit::bytes(text)?),
            other => Err(wrong_kind("a size", other, "\"1GiB\"")),
        }
    }

    fn beyond(&self, bytes: &u64) -> Option<Rejection> {
        let hint = || "write from \"1B\" to \"1024TiB\"".to_owned();
        let is_within = (1..=AMOUNT_MAX).contains(bytes);
        (!is_within).then(|| Rejection(format!("cannot be {}", unit::size_text(*bytes)), hint()))
    }

    fn words(&self) -> String {
        "size, such as `\"1GiB\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": pattern::size(1, AMOUNT_MAX), "examples": ["512MiB", "1GiB"] })
    }
}
