//! Forms that are numbers, with a unit or without.

use super::{Form, wrong_kind};
use crate::scenario::mistake::Rejection;
use crate::scenario::pattern;
use crate::scenario::tree::Value;
use crate::scenario::unit::{self, duration_text, size_text};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// Any whole number that 64 bits hold.
pub(in super::super) struct Whole;

impl Form for Whole {
    type Value = u64;

    fn read(&self, value: &Value) -> Result<u64, Rejection> {
        match value {
            Value::Integer(text, radix) => u64::from_str_radix(text, *radix).map_err(|_| {
                Rejection(format!("cannot be {text}"), format!("write a whole number from 0 to {}", u64::MAX))
            }),
            other => Err(wrong_kind("an integer", other, "10")),
        }
    }

    fn words(&self) -> String {
        "whole number".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "integer", "format": "uint64", "minimum": 0 })
    }
}

/// The version of a format, of which there is one so far.
pub(in super::super) struct Version(pub(in super::super) u64);

impl Form for Version {
    type Value = u64;

    fn read(&self, value: &Value) -> Result<u64, Rejection> {
        Whole.read(value).map_err(|Rejection(message, _)| Rejection(message, format!("write {}", self.0)))
    }

    fn beyond(&self, version: &u64) -> Option<Rejection> {
        let message = || format!("is {version}, which this harness cannot read");
        (*version != self.0).then(|| Rejection(message(), format!("the only version so far is {}", self.0)))
    }

    fn words(&self) -> String {
        format!("`{}`", self.0)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "integer", "format": "uint32", "minimum": self.0, "maximum": self.0 })
    }
}

/// A number of things: 1 to `max` of them.
pub(in super::super) struct Count {
    pub(in super::super) max: u32,
    /// Completes "it is the number of …".
    pub(in super::super) things: &'static str,
}

impl Form for Count {
    type Value = u32;

    fn read(&self, value: &Value) -> Result<u32, Rejection> {
        let Value::Integer(text, radix) = value else {
            let Rejection(message, _) = wrong_kind("an integer", value, "");
            return Err(Rejection(message, format!("write a number from 1 to {}", self.max)));
        };
        match u32::from_str_radix(text, *radix) {
            Ok(count) if (1..=self.max).contains(&count) => Ok(count),
            _ => Err(Rejection(
                format!("must be from 1 to {}, not {text}", self.max),
                format!("it is the number of {}", self.things),
            )),
        }
    }

    fn words(&self) -> String {
        format!("1 to {}", self.max)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "integer", "format": "uint32", "minimum": 1, "maximum": self.max })
    }
}

/// Exit codes of a program: an array of numbers from 0 to 255.
pub(in super::super) struct Codes {
    pub(in super::super) example: &'static str,
}

impl Form for Codes {
    type Value = Vec<u8>;

    fn read(&self, value: &Value) -> Result<Vec<u8>, Rejection> {
        let wrong = |found: &Value| wrong_kind("an array of exit codes, 0 to 255", found, self.example);
        let Value::Array(items) = value else { return Err(wrong(value)) };
        items
            .iter()
            .map(|item| match &item.value {
                Value::Integer(text, radix) => {
                    u8::from_str_radix(text, *radix).map_err(|_| wrong(&item.value))
                }
                other => Err(wrong(other)),
            })
            .collect()
    }

    fn beyond(&self, codes: &Vec<u8>) -> Option<Rejection> {
        let message = "is empty, so that no command could answer".to_owned();
        codes.is_empty().then(|| Rejection(message, format!("such as {}", self.example)))
    }

    fn words(&self) -> String {
        format!("array of exit codes, such as `{}`", self.example)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        let code = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
        json!({ "type": "array", "items": code, "minItems": 1 })
    }
}

/// A duration: `"1h 30m"`.
pub(in super::super) struct Span {
    pub(in super::super) least: Duration,
    /// What to do for a shorter one, or nothing.
    pub(in super::super) instead: &'static str,
}

impl Span {
    /// Zero included.
    pub(in super::super) const ANY: Self = Self { least: Duration::ZERO, instead: "" };
    /// Zero excluded.
    pub(in super::super) const POSITIVE: Self = Self { least: Duration::from_nanos(1), instead: "" };
}

/// TOML also has `inf` and `nan`, to which no unit can be added.
fn is_number(float: &str) -> bool {
    float.bytes().any(|byte| byte.is_ascii_digit())
}

impl Form for Span {
    type Value = Duration;

    fn read(&self, value: &Value) -> Result<Duration, Rejection> {
        match value {
            Value::String(text) => Ok(unit::duration(text)?),
            Value::Float(text) if !is_number(text) => Err(wrong_kind("a duration", value, "\"30s\"")),
            Value::Integer(text, _) | Value::Float(text) => {
                let hint = format!("write \"{text}s\" for seconds, \"{text}ms\", \"{text}m\" or \"{text}h\"");
                Err(Rejection(format!("is {text}, a duration without a unit"), hint))
            }
            other => Err(wrong_kind("a duration", other, "\"30s\"")),
        }
    }

    fn beyond(&self, duration: &Duration) -> Option<Rejection> {
        if *duration >= self.least {
            return None;
        }
        if self.least == Self::POSITIVE.least {
            return Some(Rejection("must be longer than 0".to_owned(), "such as \"30s\"".to_owned()));
        }
        let least = duration_text(self.least);
        let hint = match self.instead {
            "" => format!("write at least \"{least}\""),
            instead => format!("write at least \"{least}\"; {instead}"),
        };
        Some(Rejection(format!("is {}, which is too short", duration_text(*duration)), hint))
    }

    fn limit(&self) -> Option<String> {
        if self.least.is_zero() {
            None
        } else if self.least == Self::POSITIVE.least {
            Some("Longer than 0".to_owned())
        } else {
            Some(format!("At least {}", duration_text(self.least)))
        }
    }

    fn words(&self) -> String {
        match self.limit() {
            None => "duration".to_owned(),
            Some(limit) => format!("duration, {}", limit.to_lowercase()),
        }
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": pattern::span(self.least), "examples": ["500ms", "30s", "1h 30m", "30d"] })
    }
}

/// A number of bytes: `"64KiB"`.
pub(in super::super) struct Size {
    pub(in super::super) least: u32,
    pub(in super::super) most: u32,
}

impl Form for Size {
    type Value = u64;

    fn read(&self, value: &Value) -> Result<u64, Rejection> {
        match value {
            Value::String(text) => Ok(unit::bytes(text)?),
            Value::Float(text) if !is_number(text) => Err(wrong_kind("a size", value, "\"64KiB\"")),
            Value::Integer(text, _) | Value::Float(text) => {
                let hint = format!("write \"{text}B\" for bytes, \"{text}KiB\" or \"{text}MiB\"");
                Err(Rejection(format!("is {text}, a size without a unit"), hint))
            }
            other => Err(wrong_kind("a size", other, "\"64KiB\"")),
        }
    }

    fn beyond(&self, bytes: &u64) -> Option<Rejection> {
        let (least, most) = (u64::from(self.least), u64::from(self.most));
        let hint = format!("write from \"{}\" to \"{}\"", size_text(least), size_text(most));
        if *bytes > most {
            return Some(Rejection(format!("is {}, which is too large", size_text(*bytes)), hint));
        }
        (*bytes < least).then(|| Rejection(format!("is {}, which is too small", size_text(*bytes)), hint))
    }

    fn limit(&self) -> Option<String> {
        Some(format!("{} to {}", size_text(u64::from(self.least)), size_text(u64::from(self.most))))
    }

    fn words(&self) -> String {
        let (least, most) = (u64::from(self.least), u64::from(self.most));
        format!("size, `{}` to `{}`", size_text(least), size_text(most))
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({
            "type": "string",
            "pattern": pattern::size(u64::from(self.least), u64::from(self.most)),
            "examples": ["256B", "64KiB", "1MiB"],
        })
    }
}

/// A factor above 1, in thousandths: `"1.5x"`.
pub(in super::super) struct Factor;

/// Of a factor: more makes no task longer than its time-out.
const FACTOR_MAX: f64 = 1e6;

impl Form for Factor {
    type Value = u64;

    fn read(&self, value: &Value) -> Result<u64, Rejection> {
        let Value::String(text) = value else { return Err(wrong_kind("a string", value, "\"1.5x\"")) };
        let number = text.strip_suffix('x').filter(|number| number.starts_with(|c: char| c.is_ascii_digit()));
        let plain = |number: &&str| number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let factor = number.filter(plain).and_then(|number| number.parse::<f64>().ok());
        let fits = |factor: &f64| (1.001..=FACTOR_MAX).contains(factor);
        factor.filter(fits).map(|factor| (factor * 1e3).round() as u64).ok_or_else(|| {
            let hint = "write a factor from \"1.001x\" to \"1000000x\"";
            Rejection(format!("cannot be \"{text}\""), hint.into())
        })
    }

    fn words(&self) -> String {
        "factor above 1, such as `\"1.5x\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        let digits = r"(?:0*1\.(?:00[1-9]|0[1-9]|[1-9])[0-9]*|0*(?:[2-9]|[1-9][0-9]{1,5})(?:\.[0-9]*)?|0*1000000(?:\.0*)?)";
        json!({ "type": "string", "pattern": format!("^{digits}x$") })
    }
}
