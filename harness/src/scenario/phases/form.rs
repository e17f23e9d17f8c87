//! Forms of values that only a plan has.

use crate::scenario::form::{Form, wrong_kind};
use crate::scenario::mistake::Rejection;
use crate::scenario::tree::Value;
use jiff::civil::Date;
use reports::gate::day;
use reports::gate::plan::Select;
use reports::sha256::is_hex;
use reports::units;
use serde_json::{Map, Value as Json, json};

/// Several names: `["sprint-1", "sprint-2"]`.
pub(super) struct Names {
    pub(super) example: &'static str,
}

impl Form for Names {
    type Value = Vec<String>;

    fn read(&self, value: &Value) -> Result<Vec<String>, Rejection> {
        let wrong = |found: &Value| wrong_kind("an array of names", found, self.example);
        let Value::Array(items) = value else { return Err(wrong(value)) };
        items
            .iter()
            .map(|item| match &item.value {
                Value::String(text) => Ok(text.clone()),
                other => Err(wrong(other)),
            })
            .collect()
    }

    fn words(&self) -> String {
        format!("array of names, such as `{}`", self.example)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "array", "items": { "type": "string" } })
    }
}

/// Several names, of which there must be one at least: an empty array would ask for nothing, and look as if it did.
pub(super) struct SomeNames {
    pub(super) example: &'static str,
}

impl Form for SomeNames {
    type Value = Vec<String>;

    fn read(&self, value: &Value) -> Result<Vec<String>, Rejection> {
        let names = Names { example: self.example }.read(value)?;
        if names.is_empty() {
            let hint = format!("name at least one, such as {}, or leave it out", self.example);
            return Err(Rejection("must not be empty: it would ask for nothing".to_owned(), hint));
        }
        Ok(names)
    }

    fn words(&self) -> String {
        Names { example: self.example }.words()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }
}

/// A day: `2026-12-31`, with quotes or without.
pub(super) struct Day;

impl Form for Day {
    type Value = Date;

    fn read(&self, value: &Value) -> Result<Date, Rejection> {
        let (Value::String(text) | Value::Datetime(text)) = value else {
            return Err(wrong_kind("a date", value, "2026-12-31"));
        };
        day(text).ok_or_else(|| {
            Rejection(format!("cannot be \"{text}\""), "write a date, such as 2026-12-31".to_owned())
        })
    }

    fn words(&self) -> String {
        "date, such as `2026-12-31`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
    }
}

/// A SHA-256 in hex.
pub(super) struct Hash;

impl Form for Hash {
    type Value = String;

    fn read(&self, value: &Value) -> Result<String, Rejection> {
        let Value::String(text) = value else {
            return Err(wrong_kind("a SHA-256", value, "\"9f86d081…\""));
        };
        let is_hash = text.len() == 64 && is_hex(text);
        is_hash.then(|| text.clone()).ok_or_else(|| {
            let hint = "write 64 lower-case hex digits, as `harness plan FILE --json` prints them";
            Rejection(format!("cannot be \"{text}\""), hint.to_owned())
        })
    }

    fn words(&self) -> String {
        "SHA-256: 64 lower-case hex digits".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

/// A share of a target, between 0 and 1: `"80%"`.
pub(super) struct Share;

impl Form for Share {
    type Value = f64;

    fn read(&self, value: &Value) -> Result<f64, Rejection> {
        let Value::String(text) = value else { return Err(wrong_kind("a share", value, "\"80%\"")) };
        let percent =
            units::parse_percent(text).map_err(|why| Rejection(format!("cannot be \"{text}\""), why))?;
        let fits = percent > 0.0 && percent < 100.0;
        fits.then_some(percent / 100.0).ok_or_else(|| {
            Rejection(
                format!("cannot be \"{text}\""),
                "write a share between 0% and 100%, such as \"80%\"".to_owned(),
            )
        })
    }

    fn words(&self) -> String {
        "share between `\"0%\"` and `\"100%\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": r"^[0-9]{1,2}(?:\.[0-9]*)?%$" })
    }
}

/// Which runs count: `"all"`, `"latest 3"`.
pub(super) struct Selected;

impl Form for Selected {
    type Value = Select;

    fn read(&self, value: &Value) -> Result<Select, Rejection> {
        let Value::String(text) = value else { return Err(wrong_kind("a rule", value, "\"latest 3\"")) };
        let latest = || text.strip_prefix("latest ")?.trim().parse::<u32>().ok().filter(|count| *count > 0);
        match (text.as_str(), latest()) {
            ("all", _) => Ok(Select::All),
            (_, Some(count)) => Ok(Select::Latest(count)),
            _ => Err(Rejection(
                format!("cannot be \"{text}\""),
                "write \"all\", or \"latest 3\" for the three newest".to_owned(),
            )),
        }
    }

    fn words(&self) -> String {
        "`\"all\"`, or `\"latest N\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": "^(?:all|latest +0*[1-9][0-9]*)$" })
    }
}
