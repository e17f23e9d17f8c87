//! Values with units as a scenario writes them.
//!
//! The grammar is that of `notation`, which the criteria have as well, so that `"1h 30m"` means the same on both
//! sides of a file. What is added here: types, bounds, and hints apart from messages.

use reports::units;
use std::time::Duration;

/// Longer than any soak; short enough that sums of a few never overflow nanoseconds in 64 bits.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// What is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnitError {
    pub(super) message: String,
    pub(super) hint: String,
}

/// `"500ms"`, `"1h 30m"`.
pub(super) fn duration(text: &str) -> Result<Duration, UnitError> {
    let ns = notation::duration::parse(text)
        .map_err(|reason| split(text, &reason, "write it like \"500ms\", \"30s\", \"1h 30m\" or \"30d\""))?;
    let duration = Duration::from_nanos(ns);
    if duration > DURATION_MAX {
        let message = format!("cannot be \"{text}\"");
        return Err(UnitError { message, hint: "the longest duration is ten years".into() });
    }
    Ok(duration)
}

/// `"256B"`, `"64KiB"`.
pub(super) fn bytes(text: &str) -> Result<u64, UnitError> {
    notation::size::parse(text)
        .map_err(|reason| split(text, &reason, "write it like \"256B\", \"64KiB\" or \"1MiB\""))
}

/// `"8 has no unit; write …"` is a message and a hint in one.
fn split(text: &str, reason: &str, otherwise: &str) -> UnitError {
    let (message, hint) = reason.split_once("; ").unwrap_or((reason, otherwise));
    UnitError { message: format!("cannot be \"{text}\": {message}"), hint: hint.to_owned() }
}

/// `1h 30m`.
pub fn duration_text(duration: Duration) -> String {
    notation::duration::exact(nanos(duration))
}

/// `64KiB`: as a scenario writes it.
pub fn size_text(bytes: u64) -> String {
    notation::size::exact(bytes)
}

/// `1.5 MiB`.
pub fn bytes_text(bytes: u64) -> String {
    units::bytes(bytes as f64)
}

/// Nanoseconds in 64 bits: every checked duration fits ([`DURATION_MAX`]).
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_be_misread_is_refused_with_a_way_out() {
        for (text, hint) in [
            ("", "write it like"),
            ("30", "`30s`"),
            ("30M", "`30m` for minutes"),
            ("-5s", "they are ns, us, ms"),
            ("9999w", "ten years"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.hint.contains(hint), "{text}: {error:?}");
        }
        for text in ["", "64", "64M", "64MB", "-1B"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_written_out_reads_back_the_same(ns in 0_u64..DURATION_MAX.as_nanos() as u64) {
            let written = Duration::from_nanos(ns);
            prop_assert_eq!(duration(&duration_text(written)), Ok(written));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = duration(&text);
            let _ = bytes(&text);
        }
    }
}
