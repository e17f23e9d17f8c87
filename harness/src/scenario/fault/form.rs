//! Forms of values that only faults have: moments of the load, shares, and parts of processors.

use super::At;
use crate::scenario::form::{Form, wrong_kind};
use crate::scenario::mistake::Rejection;
use crate::scenario::pattern;
use crate::scenario::tree::Value;
use crate::scenario::unit;
use reports::units;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// `"10s"`, `"50%"`.
pub(in crate::scenario) struct Moment;

const PERCENT: &str = r"^\s*(?:100(?:\.0+)?|[0-9]{1,2}(?:\.[0-9]+)?)\s*%\s*$";

/// Of at most 100, as the pattern has it: no more digits than that before the point, and one at least behind it.
fn percent(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let percent = units::parse_number(number)?;
    let whole = number.split('.').next()?;
    (whole.len() <= 2 || whole == "100" && percent <= 100.0).then_some(percent / 100.0)
}

impl Form for Moment {
    type Value = At;

    fn read(&self, value: &Value) -> Result<At, Rejection> {
        let Value::String(text) = value else {
            return Err(wrong_kind("a string", value, "\"10s\" or \"50%\""));
        };
        if text.contains('%') {
            return percent(text).map(At::Share).ok_or_else(|| {
                Rejection(
                    format!("cannot be \"{text}\""),
                    "write a share of the load, \"0%\" to \"100%\"".into(),
                )
            });
        }
        Ok(At::After(unit::duration(text)?))
    }

    fn words(&self) -> String {
        "duration, or share of the load such as `\"50%\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        let span = json!({ "type": "string", "pattern": pattern::span(Duration::ZERO) });
        json!({ "anyOf": [span, { "type": "string", "pattern": PERCENT }] })
    }
}

/// `"10%"`, more than nothing.
pub(in crate::scenario) struct Share;

impl Form for Share {
    type Value = f64;

    fn read(&self, value: &Value) -> Result<f64, Rejection> {
        let Value::String(text) = value else { return Err(wrong_kind("a string", value, "\"10%\"")) };
        percent(text).filter(|share| *share > 0.0).ok_or_else(|| {
            Rejection(format!("cannot be \"{text}\""), "write a share above \"0%\" and up to \"100%\"".into())
        })
    }

    fn words(&self) -> String {
        "share such as `\"10%\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": format!("(?=.*[1-9]){PERCENT}") })
    }
}

/// `0.5`, of processors.
pub(in crate::scenario) struct Processors;

/// The kernel takes no quota below a millisecond of its period, which is 100 ms.
const PROCESSORS_MIN: f64 = 0.01;
const PROCESSORS_MAX: f64 = 1024.0;

impl Form for Processors {
    type Value = f64;

    fn read(&self, value: &Value) -> Result<f64, Rejection> {
        match value {
            Value::Integer(text, 10) | Value::Float(text) => {
                text.replace('_', "").parse().ok().filter(|cpus: &f64| cpus.is_finite()).ok_or_else(|| {
                    Rejection(format!("cannot be {text}"), "write a number of processors, such as 0.5".into())
                })
            }
            other => Err(wrong_kind("a decimal number", other, "0.5")),
        }
    }

    fn beyond(&self, cpus: &f64) -> Option<Rejection> {
        let fits = (PROCESSORS_MIN..=PROCESSORS_MAX).contains(cpus);
        let hint = || format!("write from {PROCESSORS_MIN} to {PROCESSORS_MAX}");
        (!fits).then(|| Rejection(format!("is {cpus}"), hint()))
    }

    fn words(&self) -> String {
        format!("number, {PROCESSORS_MIN} to {PROCESSORS_MAX}")
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        json!({ "type": "number", "minimum": PROCESSORS_MIN, "maximum": PROCESSORS_MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_its_pattern_has_it() {
        for (text, share) in [("0%", 0.0), (" 95.5 % ", 0.955), ("05%", 0.05), ("100%", 1.0), ("100.0%", 1.0)]
        {
            assert_eq!(percent(text), Some(share), "{text}");
        }
        for text in ["95.%", ".5%", "0050%", "100.1%", "101%", "100.%", "1e1%", "-5%", "5", "%", "5%%"] {
            assert_eq!(percent(text), None, "{text}");
        }
    }
}
