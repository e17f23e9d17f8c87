//! Durations on the command line and in lists of tasks.

use std::time::Duration;

/// Reads a duration of the command line, or of a list of tasks.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match notation::duration::parse(text)? {
        0 => Err(format!("`{}` is too short: it must be longer than 0", text.trim())),
        ns => Ok(Duration::from_nanos(ns)),
    }
}
