//! A compressed schedule: by how much, and what is held at a floor because the kernel does not get faster with it.

use reports::units;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// By how much a schedule is compressed: `1440x` makes a minute of a day.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rehearsal(f64);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a factor of more than 1x, up to 1000000x, such as `1440x`")]
pub struct RehearsalError(String);

impl Rehearsal {
    /// Of a log that holds one.
    pub fn of_factor(factor: f64) -> Option<Self> {
        (factor > 1.0 && factor <= 1e6).then_some(Self(factor))
    }

    pub fn factor(self) -> f64 {
        self.0
    }
}

impl FromStr for Rehearsal {
    type Err = RehearsalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || RehearsalError(text.to_owned());
        let number = text.trim().strip_suffix('x').ok_or_else(refused)?;
        let factor: f64 = number.parse().map_err(|_| refused())?;
        Self::of_factor(factor).ok_or_else(refused)
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

/// `value` in a schedule that is `factor` times as fast, and not below `least`: a value that is held there gets a
/// note. A value that is below `least` in a full run is not lengthened.
pub(super) fn shorten(
    value: Duration,
    factor: f64,
    least: Duration,
    key: &str,
    notes: &mut Vec<String>,
) -> Duration {
    assert!(factor >= 1.0, "a rehearsal is never slower than the run: {factor}");
    let wanted = value.div_f64(factor);
    let least = least.min(value);
    if wanted < least {
        notes.push(format!(
            "{key} would be {} in this rehearsal and is held at {}",
            units::seconds(wanted.as_secs_f64()),
            units::seconds(least.as_secs_f64())
        ));
    }
    wanted.max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_is_a_factor_with_an_x() {
        assert_eq!("1440x".parse::<Rehearsal>(), Ok(Rehearsal(1440.0)));
        for text in ["", "x", "1440", "0x", "0.5x", "NaNx", "infx", "-3x", "1e9x"] {
            assert!(text.parse::<Rehearsal>().is_err(), "{text}");
        }
    }
}
