//! Durations as people write them: `500ms`, `1h 30m`.
//!
//! The grammar is `jiff`'s friendly format, less what two readers could take for two things: no bare
//! number, no sign, no fraction, no `M` (minutes or months), no months and years, no spelled-out units.
//! A day has 24 hours and a week seven days.

use jiff::Span;
use jiff::fmt::friendly::SpanParser;

/// With its length in nanoseconds, the shortest first.
pub const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// As a message lists them.
pub const UNIT_NAMES: &str = "ns, us, ms, s, m, h, d, w";

/// Reads `5s`, `1h 30m`, `1h30m` or `250 ms` as nanoseconds: whole numbers, each with its unit, the
/// longest unit first.
///
/// The error is a sentence fragment; what to write instead follows after `; ` where that helps.
pub fn parse(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    refuse_doubtful(trimmed)?;
    let too_long = || format!("`{trimmed}` is longer than 292 years");
    let span = SPANS.parse_span(trimmed).map_err(|_| misplaced(trimmed).unwrap_or_else(too_long))?;
    exact_ns(&span).ok_or_else(too_long)
}

static SPANS: SpanParser = SpanParser::new();

/// The number and unit at the start of `text`, and what follows them.
fn part(text: &str) -> (&str, &str, &str) {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, after) = text.split_at(number_end);
    let after = after.trim_start();
    let unit_end = after.find(|c: char| c.is_whitespace() || c.is_ascii_digit()).unwrap_or(after.len());
    let (unit, rest) = after.split_at(unit_end);
    (number, unit, rest.trim_start())
}

fn scale(unit: &str) -> Option<u64> {
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

/// What `jiff` would accept, and a reader of a scenario might misread.
fn refuse_doubtful(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("a duration is missing".into());
    }
    if text.starts_with(['-', '−', '+']) {
        return Err(format!(
            "a duration cannot be negative or have a sign; write a whole number and its unit: they are {UNIT_NAMES}"
        ));
    }
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, after) = part(rest);
        if number.is_empty() {
            return Err(format!("`{unit}` does not begin with a whole number"));
        }
        if unit.is_empty() {
            return Err(format!("`{number}` has no unit; write `{number}s`, `{number}ms` or `{number}m`"));
        }
        if unit == "M" {
            return Err(format!("`{number}M` could be minutes or months; write `{number}m` for minutes"));
        }
        if scale(unit).is_none() {
            return Err(format!("`{unit}` is not a unit of time; they are {UNIT_NAMES}"));
        }
        if number.contains('.') {
            return Err(fraction(number, unit));
        }
        if number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale(unit)?)).is_none() {
            return Err(format!("`{number}{unit}` is longer than 584 years"));
        }
        rest = after;
    }
    Ok(())
}

/// What to write instead of a number with a fraction: a whole number of the largest unit that allows one.
fn fraction(number: &str, unit: &str) -> String {
    let exact = || {
        let (whole, digits) = number.split_once('.')?;
        let scaled: u128 = format!("{whole}{digits}").parse().ok()?;
        let divisor = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
        let ns = scaled.checked_mul(scale(unit)?.into())?;
        let (name, length) = UNITS.iter().rev().find(|(_, length)| {
            u128::from(*length) <= scale(unit).unwrap_or(0).into()
                && ns.is_multiple_of(divisor * u128::from(*length))
        })?;
        Some(format!("{}{name}", ns / divisor / u128::from(*length)))
    };
    match exact() {
        Some(instead) => {
            format!("`{number}{unit}` has a fraction; write a smaller unit, such as `{instead}`")
        }
        None => format!("`{number}{unit}` does not begin with a whole number"),
    }
}

/// Why the units of a text that is otherwise right are in the wrong order.
fn misplaced(text: &str) -> Option<String> {
    let mut rest = text;
    let mut last: Option<(&str, u64)> = None;
    while !rest.is_empty() {
        let (_, unit, after) = part(rest);
        let here = scale(unit)?;
        if let Some((before, length)) = last
            && here >= length
        {
            return Some(if here == length {
                format!("`{unit}` is duplicated; add the two up")
            } else {
                format!("`{unit}` follows `{before}`; write the longest unit first, such as `1h 30m`")
            });
        }
        last = Some((unit, here));
        rest = after;
    }
    None
}

/// In whole numbers: a total of nanoseconds as a float loses the last of them after a few months.
fn exact_ns(span: &Span) -> Option<u64> {
    let counts = [
        span.get_nanoseconds(),
        span.get_microseconds(),
        span.get_milliseconds(),
        span.get_seconds(),
        span.get_minutes(),
        span.get_hours().into(),
        span.get_days().into(),
        span.get_weeks().into(),
    ];
    let total: i128 =
        counts.iter().zip(UNITS).map(|(count, (_, scale))| i128::from(*count) * i128::from(scale)).sum();
    u64::try_from(total).ok()
}

/// The shortest exact spelling that [`parse`] reads back: `1h 30m`; `0s` for nothing.
pub fn exact(mut ns: u64) -> String {
    if ns == 0 {
        return "0s".into();
    }
    let mut parts = Vec::new();
    for (name, scale) in UNITS.iter().rev().filter(|(name, _)| *name != "w") {
        if ns >= *scale {
            parts.push(format!("{}{name}", ns / scale));
            ns %= scale;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_be_misread_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "is missing"),
            ("-5s", "cannot be negative"),
            ("- 5 s", "cannot be negative"),
            ("+5s", "sign"),
            ("5", "`5` has no unit; write `5s`"),
            ("1h30", "`30` has no unit"),
            ("5M", "minutes or months; write `5m`"),
            ("5 M", "minutes or months; write `5m`"),
            (" ", "is missing"),
            ("s", "does not begin with a whole number"),
            ("s 5", "does not begin with a whole number"),
            ("soon", "`soon` does not begin with a whole number"),
            ("99999999999w", "longer than 584 years"),
            ("1h2M", "`2M` could be minutes or months"),
            ("6 seconds", "`seconds` is not a unit of time"),
            ("5µs", "`µs` is not a unit of time"),
            ("1.5h", "`1.5h` has a fraction; write a smaller unit, such as `90m`"),
            ("1.5s", "`1.5s` has a fraction; write a smaller unit, such as `1500ms`"),
            ("1m .5s", "`.5s` has a fraction; write a smaller unit, such as `500ms`"),
            ("0.5ns", "`0.5ns` does not begin with a whole number"),
            ("1.2.3s", "`1.2.3s` does not begin with a whole number"),
            ("5 5 s", "`5` has no unit"),
            ("5s s", "`s` does not begin with a whole number"),
            ("1mo", "`mo` is not a unit of time"),
            ("600y", "`y` is not a unit of time"),
            ("1h 2h", "`h` is duplicated"),
            ("30m 1h", "`h` follows `m`; write the longest unit first"),
            ("99999999999999999999s", "longer than 584 years"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn spaces_are_free_between_numbers_and_units() {
        const S: u64 = 1_000_000_000;
        for (text, ns) in [
            ("6 s", 6 * S),
            ("90s", 90 * S),
            ("1m30s", 90 * S),
            ("1m 30s", 90 * S),
            (" 1 m 30 s ", 90 * S),
            ("1h\t30m", 5_400 * S),
            ("250 ms", S / 4),
            ("1s1ms1us1ns", 1_001_001_001),
            ("2w 1d", 15 * 86_400 * S),
            ("365d", 365 * 86_400 * S),
        ] {
            assert_eq!(parse(text), Ok(ns), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,20}") {
            let _ = parse(&text);
        }

        #[test]
        fn an_exact_spelling_reads_back_the_same(ns in any::<u64>()) {
            prop_assert_eq!(parse(&exact(ns)), Ok(ns));
        }
    }
}
