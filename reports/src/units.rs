//! Quantities as people write and read them.
//!
//! Parsing takes no bare numbers where a unit could be meant; printing chooses the unit that leaves
//! one to three digits before the point, and never rounds a ratio up to 100 %.

/// Nanoseconds, by unit. `M` is absent on purpose: it is minutes to one reader and months to another.
const DURATIONS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

const SIZES: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// `5s`, `1h 30m`, `1h30m`, `250 ms`, as nanoseconds: whole numbers, each with its unit, spaces as one likes.
/// Units are ns, us, ms, s, m, h, d, w; no bare number, no `M` and no sign.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("a duration is missing".into());
    }
    if rest.starts_with(['-', '−']) {
        return Err("a duration cannot be negative; write a whole number and its unit: they are ns, us, ms, s, m, h, d, w".into());
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let ns;
        (ns, rest) = duration_part(rest)?;
        total = total.checked_add(ns).ok_or_else(|| format!("`{text}` is longer than 584 years"))?;
    }
    Ok(total)
}

/// The first number with its unit, and what follows them.
fn duration_part(text: &str) -> Result<(u64, &str), String> {
    let (number, after) = split_number(text);
    let after = after.trim_start();
    let ends = after.find(|c: char| c.is_whitespace() || c.is_ascii_digit()).unwrap_or(after.len());
    let (unit, rest) = after.split_at(ends);
    if number.is_empty() {
        return Err(format!("`{unit}` does not begin with a whole number"));
    }
    if unit.is_empty() {
        return Err(format!("`{number}` has no unit; write `{number}s`, `{number}ms` or `{number}m`"));
    }
    let Some(&(_, scale)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit == "M" {
            format!("`{number}M` could be minutes or months; write `{number}m` for minutes")
        } else {
            format!("`{unit}` is no unit of time; they are ns, us, ms, s, m, h, d, w")
        });
    };
    let whole: u64 = match number.parse() {
        Ok(whole) => whole,
        Err(_) if number.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(format!("`{number}{unit}` is longer than 584 years"));
        }
        Err(_) => return Err(format!("`{number}{unit}` does not begin with a whole number")),
    };
    let ns = whole.checked_mul(scale).ok_or_else(|| format!("`{number}{unit}` is longer than 584 years"))?;
    Ok((ns, rest.trim_start()))
}

/// `64MiB`, as bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text);
    let Some(&(_, scale)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            format!("`{text}` has no unit; write `{text}B` or `{text}MiB`")
        } else {
            format!("`{unit}` is no unit of size; they are B, KiB, MiB, GiB, TiB")
        });
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` does not begin with a whole number"))?;
    number.checked_mul(scale).ok_or_else(|| format!("`{text}` is more than 2^64 bytes"))
}

/// `95%`, as the number before the sign.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let Some(number) = text.strip_suffix('%') else {
        return Err(format!("`{text}` is no ratio; write it in percent, such as `95%`"));
    };
    parse_number(number).ok_or_else(|| format!("`{text}` does not begin with a number"))
}

/// A plain decimal number: no sign, exponent, infinity or NaN.
pub fn parse_number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

fn split_number(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(at)
}

/// The shortest exact spelling: `1h 30m`.
pub fn exact_duration(mut ns: u64) -> String {
    if ns == 0 {
        return "0s".into();
    }
    let mut parts = Vec::new();
    for (name, scale) in DURATIONS.iter().rev().filter(|(name, _)| *name != "w") {
        if ns >= *scale {
            parts.push(format!("{}{name}", ns / scale));
            ns %= scale;
        }
    }
    parts.join(" ")
}

/// The largest unit that divides it: `64MiB`.
pub fn exact_size(bytes: u64) -> String {
    let (name, scale) =
        SIZES.iter().rev().find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale)).unwrap_or(&SIZES[0]);
    format!("{}{name}", bytes / scale)
}

/// A span of time that was measured: `12.3 ms`, `4 min 10 s`, `8 h`.
pub fn seconds(s: f64) -> String {
    let size = s.abs();
    let (value, unit) = match size {
        _ if size == 0.0 => return "0 s".into(),
        _ if size < 1e-6 => (s * 1e9, "ns"),
        _ if size < 1e-3 => (s * 1e6, "µs"),
        _ if size < 1.0 => (s * 1e3, "ms"),
        _ if size < 120.0 => (s, "s"),
        _ => return long_seconds(s),
    };
    format!("{} {unit}", three_digits(value))
}

fn long_seconds(s: f64) -> String {
    let whole = s.abs().round() as u64;
    let (d, h, m, sec) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    let parts: Vec<String> = [(d, "d"), (h, "h"), (m, "min"), (sec, "s")]
        .iter()
        .filter(|(n, _)| *n > 0)
        .take(2)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    format!("{}{}", if s < 0.0 { "−" } else { "" }, parts.join(" "))
}

pub fn nanos(ns: u64) -> String {
    seconds(ns as f64 / 1e9)
}

pub fn bytes(b: f64) -> String {
    let (name, scale) = SIZES.iter().rev().find(|(_, scale)| b.abs() >= *scale as f64).unwrap_or(&SIZES[0]);
    let value = b / *scale as f64;
    if *scale == 1 { format!("{} B", value.round()) } else { format!("{} {name}", three_digits(value)) }
}

/// A share: rounded down, so that 99.9999 % never reads as 100 %.
pub fn percent(ratio: f64) -> String {
    let p = ratio * 100.0;
    if p > 99.0 && p < 100.0 {
        return format!("{} %", trim(format!("{:.4}", (p * 1e4).floor() / 1e4)));
    }
    let decimals = if p.abs() < 1.0 { 3 } else { 2 };
    format!("{} %", trim(format!("{p:.decimals$}")))
}

/// Thousands apart, so that 1,234,567 can be read: whole numbers without a point.
pub fn count(n: f64) -> String {
    if n.fract().abs() > 1e-9 && n.abs() < 1e6 {
        return three_digits(n);
    }
    let digits = format!("{:.0}", n.abs());
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if n < 0.0 { format!("−{out}") } else { out }
}

fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    trim(format!("{value:.decimals$}"))
}

fn trim(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_loss_never_reads_as_a_hundred_percent() {
        assert_eq!(percent(0.999_999_99), "99.9999 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.95), "95 %");
        assert_eq!(percent(0.000_02), "0.002 %");
    }

    #[test]
    fn spans_are_readable_at_every_size() {
        assert_eq!(seconds(0.000_000_5), "500 ns");
        assert_eq!(seconds(0.012_34), "12.3 ms");
        assert_eq!(seconds(250.0), "4 min 10 s");
        assert_eq!(seconds(28_800.0), "8 h");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(bytes(67_108_864.0), "64 MiB");
    }

    #[test]
    fn doubtful_units_are_refused() {
        for bad in [
            "5",
            "5 M",
            "5M",
            "1h30",
            "",
            " ",
            "s",
            "1.5h",
            "s 5",
            "5 5 s",
            "5s s",
            "5µs",
            "99999999999w",
            "6 seconds",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for bad in ["64", "64MB", "64M", "-1B", "MiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_read_with_and_without_spaces() {
        let s = 1_000_000_000;
        for (text, ns) in [
            ("6 s", 6 * s),
            ("90s", 90 * s),
            ("1m30s", 90 * s),
            ("1m 30s", 90 * s),
            (" 1 m 30 s ", 90 * s),
            ("1h\t30m", 5_400 * s),
            ("250 ms", s / 4),
            ("1s1ms1us1ns", 1_001_001_001),
        ] {
            assert_eq!(parse_duration(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn a_refused_duration_says_what_is_wrong() {
        for (text, says) in [
            ("-5s", "a duration cannot be negative"),
            ("- 5 s", "a duration cannot be negative"),
            ("5", "`5` has no unit; write `5s`"),
            ("1h30", "`30` has no unit"),
            ("5 M", "minutes or months; write `5m`"),
            ("1h2M", "`2M` could be minutes or months"),
            ("6 seconds", "`seconds` is no unit of time"),
            ("1.5h", "`1.5h` does not begin with a whole number"),
            ("soon", "`soon` does not begin with a whole number"),
            ("99999999999999999999s", "longer than 584 years"),
            ("600y", "`y` is no unit of time"),
        ] {
            let message = parse_duration(text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_duration_panic(text in "\\PC{0,20}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn exact_spellings_come_back_unchanged(n in any::<u64>()) {
            prop_assert_eq!(parse_duration(&exact_duration(n)), Ok(n));
            prop_assert_eq!(parse_size(&exact_size(n)), Ok(n));
        }
    }
}
