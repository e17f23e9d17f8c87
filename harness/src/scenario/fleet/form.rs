//! Forms of values that only the fleet has: patience, signals, shares of busy workers.

use super::NEVER;
use crate::scenario::form::{Form, Span, wrong_kind};
use crate::scenario::mistake::Rejection;
use crate::scenario::pattern;
use crate::scenario::tree::Value;
use crate::scenario::unit::duration_text;
use coordinator::config::{GRACE_MAX, HANG_AFTER_MIN, Signal, parse_signal, signal_name};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// Longer is never in all but name.
const HANG_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// A duration, or a word for no limit.
pub(super) struct Patience(pub(super) Span);

impl Form for Patience {
    type Value = Option<Duration>;

    fn read(&self, value: &Value) -> Result<Option<Duration>, Rejection> {
        if *value == Value::String(NEVER.to_owned()) {
            return Ok(None);
        }
        let or_never = |Rejection(message, hint)| Rejection(message, format!("{hint}, or \"{NEVER}\""));
        self.0.read(value).map(Some).map_err(or_never)
    }

    fn beyond(&self, patience: &Option<Duration>) -> Option<Rejection> {
        let patience = patience.as_ref()?;
        if *patience <= HANG_AFTER_MAX {
            return self.0.beyond(patience);
        }
        let hint = format!("write at most \"{}\", or \"{NEVER}\"", duration_text(HANG_AFTER_MAX));
        Some(Rejection(format!("is {}, which is too long", duration_text(*patience)), hint))
    }

    fn limit(&self) -> Option<String> {
        Some(format!("{} to {}", duration_text(HANG_AFTER_MIN), duration_text(HANG_AFTER_MAX)))
    }

    fn words(&self) -> String {
        let (least, most) = (duration_text(HANG_AFTER_MIN), duration_text(HANG_AFTER_MAX));
        format!("duration, `{least}` to `{most}`; or `\"{NEVER}\"`")
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        let mut span = self.0.schema(definitions);
        span["allOf"] = json!([pattern::no_longer_than(HANG_AFTER_MAX)]);
        json!({ "anyOf": [span, { "const": NEVER, "type": "string" }] })
    }
}

/// The time from a signal until SIGKILL.
pub(super) struct Grace;

impl Form for Grace {
    type Value = Duration;

    fn read(&self, value: &Value) -> Result<Duration, Rejection> {
        Span::ANY.read(value)
    }

    fn beyond(&self, grace: &Duration) -> Option<Rejection> {
        let message = || format!("is {}, which is too long", duration_text(*grace));
        let hint = || format!("write at most \"{}\"", duration_text(GRACE_MAX));
        (*grace > GRACE_MAX).then(|| Rejection(message(), hint()))
    }

    fn limit(&self) -> Option<String> {
        Some(format!("At most {}", duration_text(GRACE_MAX)))
    }

    fn words(&self) -> String {
        format!("duration, at most {}", duration_text(GRACE_MAX))
    }

    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        let mut span = Span::ANY.schema(definitions);
        span["allOf"] = json!([pattern::no_longer_than(GRACE_MAX)]);
        span
    }
}

/// The name of a signal that can end a process: `"TERM"` or `"SIGTERM"`.
pub(super) struct SignalName;

impl Form for SignalName {
    type Value = Signal;

    fn read(&self, value: &Value) -> Result<Signal, Rejection> {
        let Value::String(text) = value else {
            return Err(wrong_kind("the name of a signal", value, "\"INT\""));
        };
        let wrong = |why: String| Rejection(format!("cannot be \"{text}\""), why);
        let signal = parse_signal(text).map_err(wrong)?;
        let name = signal_name(signal);
        if text != name && text != signal.as_str() {
            return Err(wrong(format!("write \"{name}\"")));
        }
        Ok(signal)
    }

    fn words(&self) -> String {
        "name of a signal, such as `\"INT\"`".to_owned()
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        let ends = |signal: &Signal| parse_signal(signal.as_str()).is_ok();
        let names: Vec<&str> = Signal::iterator()
            .filter(ends)
            .flat_map(|signal| [signal_name(signal), signal.as_str()])
            .collect();
        json!({ "type": "string", "enum": names })
    }
}

/// Percent of the workers, in whole numbers: `"80%"`.
pub(super) struct Busy {
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Form for Busy {
    type Value = u32;

    fn read(&self, value: &Value) -> Result<u32, Rejection> {
        let Value::String(text) = value else { return Err(wrong_kind("a string", value, "\"80%\"")) };
        let number = text.trim().strip_suffix('%').map(str::trim_end);
        number
            .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
            .filter(|number| *number == "0" || !number.starts_with('0'))
            .and_then(|number| number.parse().ok())
            .filter(|percent| (self.least..=self.most).contains(percent))
            .ok_or_else(|| {
                let hint = format!("write a whole share from \"{}%\" to \"{}%\"", self.least, self.most);
                Rejection(format!("cannot be \"{text}\""), hint)
            })
    }

    fn words(&self) -> String {
        format!("share, `\"{}%\"` to `\"{}%\"`", self.least, self.most)
    }

    fn schema(&self, _: &mut Map<String, Json>) -> Json {
        let number = pattern::number(self.least.into(), self.most.into());
        json!({ "type": "string", "pattern": format!(r"^\s*{number}\s*%\s*$") })
    }
}
