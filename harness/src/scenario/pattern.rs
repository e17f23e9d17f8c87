//! Regular expressions for what is written in strings: numbers, durations and sizes within bounds.
//!
//! An editor knows no more of a string than these. They follow what the readers accept; a test holds both to one
//! corpus of files. In the dialect of JSON Schema: anchors, groups and lookaheads.

use super::unit::DURATION_MAX;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Larger bounds are not matched, and their digits have no end here: each digit of a bound makes an editor
/// slower, and what lies beyond it is still refused by the reader.
pub(super) const EXACT_MAX: u64 = 9_999_999;

/// As [`number`], as far as the ends are up to [`EXACT_MAX`].
pub(super) fn roughly(least: u64, most: u64) -> String {
    if most <= EXACT_MAX {
        return number(least, most);
    }
    let first = EXACT_MAX.ilog10() + 1;
    if least > EXACT_MAX {
        return format!("[1-9][0-9]{{{first},}}");
    }
    let (mut parts, any) = blocks(least, EXACT_MAX);
    parts.push(match any.map_or(first, |(first, _)| first) {
        0 => "[1-9][0-9]*".to_owned(),
        first => format!("[1-9][0-9]{{{first},}}"),
    });
    format!("(?:{})", parts.join("|"))
}

/// Numbers from `least` to `most` in decimal, without leading zeros.
pub(super) fn number(least: u64, most: u64) -> String {
    let (mut parts, any) = blocks(least, most);
    parts.extend(any.map(|(first, last)| format!("[1-9][0-9]{{{first},{last}}}")));
    format!("(?:{})", parts.join("|"))
}

/// The same in parts; and of numbers of any digits, how many follow the first, at least and at most.
fn blocks(least: u64, most: u64) -> (Vec<String>, Option<(u32, u32)>) {
    assert!(least <= most, "an empty range of numbers: {least} to {most}");
    // The largest of them have no room for one more digit.
    let (least, most) = (u128::from(least), u128::from(most));
    let mut parts = Vec::new();
    let mut any: Option<(u32, u32)> = None;
    let mut from = least;
    loop {
        // As far as the numbers have as many digits, and only their last ones differ.
        let mut span = 1u128;
        while from.is_multiple_of(span * 10) && from != 0 && from + (span * 10 - 1) <= most {
            span *= 10;
        }
        let digit = from / span % 10;
        let up = ((most - from + 1) / span).min(10 - digit);
        if from == span && digit + up - 1 == 9 {
            any = Some((any.map_or(span.ilog10(), |(first, _)| first), span.ilog10()));
        } else {
            parts.push(block(from, span, digit, digit + up - 1));
        }
        from += up * span;
        if from > most {
            break;
        }
    }
    (parts, any)
}

/// The numbers from `from` on whose digit at `span` runs from `low` to `high`, and whose lower digits are any.
fn block(from: u128, span: u128, low: u128, high: u128) -> String {
    let head = from / (span * 10);
    let mut text = if head == 0 { String::new() } else { head.to_string() };
    if low == high {
        text.push_str(&low.to_string());
    } else {
        text = format!("{text}[{low}-{high}]");
    }
    match span.ilog10() {
        0 => text,
        1 => text + "[0-9]",
        digits => format!("{text}[0-9]{{{digits}}}"),
    }
}

/// A size of `least` to `most` bytes, as [`roughly`] such numbers of units.
pub(super) fn size(least: u64, most: u64) -> String {
    format!("^{}$", size_body(least, most))
}

pub(super) fn size_body(least: u64, most: u64) -> String {
    let units = [("B", 0u32), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let fitting: Vec<String> = units
        .into_iter()
        .filter_map(|(name, bits)| {
            let (low, high) = (least.div_ceil(1 << bits), most >> bits);
            (low <= high).then(|| format!("0*{}{name}", roughly(low, high)))
        })
        .collect();
    format!("(?:{})", fitting.join("|"))
}

/// Each unit once, the longest first.
pub(super) fn span_body() -> String {
    let parts = ["w", "d", "h", "m", "s", "ms", "us", "ns"].map(|unit| format!(r"(?:[0-9]+\s*{unit}\s*)?"));
    format!("(?=[0-9]){}", parts.concat())
}

/// Numbers with more digits than the longest duration has in their unit, as a lookahead against them.
fn too_long() -> String {
    let units = [("w", 604_800u64), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let below = [("ms", 3u32), ("us", 6), ("ns", 9)];
    let longest_s = DURATION_MAX.as_secs();
    let digits = |most: u64| most.ilog10() + 1;
    let above = units.map(|(unit, s)| (unit, digits(longest_s / s)));
    let below = below.map(|(unit, more)| (unit, digits(longest_s) + more));
    let parts: Vec<String> = above
        .into_iter()
        .chain(below)
        .map(|(unit, most)| format!(r"[0-9]{{{most},}}\s*{unit}(?![a-z])"))
        .collect();
    format!(r"(?!.*[1-9](?:{}))", parts.join("|"))
}

/// A duration that has one unit, and is longer than `most`, is none.
pub(super) fn no_longer_than(most: Duration) -> Json {
    let longer = span(most + Duration::from_nanos(1));
    let of_one_unit = r"^\s*[0-9]+\s*(?:w|d|h|m|s|ms|us|ns)\s*$";
    json!({ "not": { "allOf": [{ "pattern": of_one_unit }, { "pattern": longer }] } })
}

/// A duration or a share that is nothing.
pub(super) const NOTHING: &str = r"^\s*0[^1-9{]*$";

/// A duration, not shorter than `least` where it has one unit.
pub(super) fn span(least: Duration) -> String {
    let least = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
    let mut text = format!("^{}", too_long());
    if least > 0 {
        // No digit but 0 anywhere is no time at all.
        text.push_str("(?=.*[1-9])");
    }
    for (unit, scale) in notation::duration::UNITS {
        if let Some(below) = least.div_ceil(scale).checked_sub(1).filter(|below| *below > 0) {
            // Writing to a String cannot fail.
            let _ = write!(text, r"(?!\s*0*{}\s*{unit}\s*$)", number(0, below));
        }
    }
    text + r"\s*" + &span_body() + "$"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let schema = serde_json::json!({ "type": "string", "pattern": pattern });
        jsonschema::is_valid(&schema, &serde_json::json!(text))
    }

    #[test]
    fn numbers_are_matched_within_their_range_and_nowhere_else() {
        for (least, most) in [(0, 0), (1, 9), (0, 99), (1, 1024), (7, 7), (95, 1003), (100, 4096)] {
            let pattern = format!("^{}$", number(least, most));
            for n in 0..=most + 120 {
                assert_eq!(
                    matches(&pattern, &n.to_string()),
                    (least..=most).contains(&n),
                    "{n} in {pattern}"
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn the_bounds_of_a_range_are_in_it_and_their_neighbours_are_not(a in 1u64..1 << 40, b in 1u64..1 << 40) {
            let (least, most) = (a.min(b), a.max(b));
            let pattern = format!("^{}$", number(least, most));
            for (n, inside) in [(least, true), (most, true), (least - 1, false), (most + 1, false)] {
                prop_assert_eq!(matches(&pattern, &n.to_string()), inside, "{} in {}", n, &pattern);
            }
        }

        /// The schema and the reader agree on whatever can be written with digits and units.
        #[test]
        fn durations_are_matched_as_they_are_read(text in "([0-9]{1,3} ?(w|d|h|m|s|ms|us|ns) ?){1,4}") {
            let read = notation::duration::parse(&text);
            prop_assert_eq!(matches(&span(Duration::ZERO), &text), read.is_ok(), "{:?}: {:?}", text, read);
        }
    }

    #[test]
    fn large_bounds_are_left_to_the_reader() {
        let of = |least, most| format!("^{}$", roughly(least, most));
        for (pattern, n, fits) in [
            (of(3, 4_503_599_627_370_495), "2", false),
            (of(3, 4_503_599_627_370_495), "3", true),
            (of(3, 4_503_599_627_370_495), "4503599627370496", true),
            (of(4_097, u64::MAX), "4096", false),
            (of(4_097, u64::MAX), "4097", true),
            (of(4_097, u64::MAX), "18446744073709551615", true),
            (of(20_000_000, u64::MAX), "9999999", false),
            (of(20_000_000, u64::MAX), "20000000", true),
        ] {
            assert_eq!(matches(&pattern, n), fits, "{n} in {pattern}");
            assert!(pattern.len() < 150, "{pattern}");
        }
        assert_eq!(roughly(3, EXACT_MAX), number(3, EXACT_MAX));
    }

    #[test]
    fn spans_below_the_least_are_not_matched() {
        let pattern = span(Duration::from_millis(100));
        for (text, fits) in [
            ("100ms", true),
            ("1s", true),
            ("99ms", false),
            ("0s", false),
            ("0ms", false),
            ("50us", false),
            ("99999us", false),
            ("100000us", true),
            ("1m 0s", true),
        ] {
            assert_eq!(matches(&pattern, text), fits, "{text}");
        }
        assert!(!matches(&span(Duration::from_nanos(1)), "0s 0ms"));
    }
}
