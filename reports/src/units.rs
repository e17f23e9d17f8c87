//! Quantities as people read them, and ratios and numbers as people write them.
//!
//! Printing chooses the unit that leaves one to three digits before the point, never rounds a ratio up
//! to 100 %, and never rounds a value other than zero to 0, unless it is within the error of computing. Durations and
//! sizes are read and spelled out by `notation`.

const SIZES: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Decimals at most: what is less, in its unit, is an error of computing.
const DECIMALS_MAX: usize = 9;

/// Of a percentage: a hundred-millionth of the whole. What a fit leaves of figures without noise is less.
const PERCENT_DECIMALS_MAX: usize = 6;

/// In percent: more reads better as a multiple.
const TIMES_FROM: f64 = 1_000.0;

/// `95%`, as the number before the sign.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let Some(number) = text.strip_suffix('%') else {
        return Err(format!("`{text}` is not a ratio; write it in percent, such as `95%`"));
    };
    parse_number(number).ok_or_else(|| {
        format!("`{text}` does not begin with a number; write digits, and behind a point digits as well, such as `95.5%`")
    })
}

/// Of a number that is read, before its point, without leading zeros.
pub const DIGITS_MAX: usize = 18;
/// Behind its point.
pub const DECIMALS_READ_MAX: usize = 9;

/// A plain decimal number: digits, and with a point digits behind it; no sign, exponent, infinity or NaN.
pub fn parse_number(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let fits = whole.trim_start_matches('0').len() <= DIGITS_MAX && fraction.len() <= DECIMALS_READ_MAX;
    (is_plain(whole) && is_plain(fraction) && fits).then(|| text.parse().ok()).flatten()
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
    // A slope may be less than a byte.
    let is_whole = *scale == 1 && value.abs() >= 10.0;
    format!("{} {name}", three_digits(if is_whole { value.round() } else { value }))
}

/// CPU time a second: `1.5 cores`, `0.253 cores`, `12.3 mcores`, `4 µcores`.
pub fn cores(cores: f64) -> String {
    let (value, unit) = match cores.abs() {
        size if size >= 1.0 || size == 0.0 => (cores, "cores"),
        size if size >= 0.1 => return format!("{} cores", signed(trim(format!("{cores:.3}")))),
        size if size >= 1e-3 => (cores * 1e3, "mcores"),
        size if size >= 1e-6 => (cores * 1e6, "µcores"),
        _ => (cores * 1e9, "ncores"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A share: rounded down, so that 99.9999 % never reads as 100 %.
pub fn percent(ratio: f64) -> String {
    let p = ratio * 100.0;
    if p > 99.0 && p < 100.0 {
        return format!("{} %", trim(format!("{:.4}", (p * 1e4).floor() / 1e4)));
    }
    if p.abs() >= TIMES_FROM {
        return format!("{}×", three_digits(ratio));
    }
    let decimals = if p.abs() < 1.0 { decimals(p, 3).min(PERCENT_DECIMALS_MAX) } else { 2 };
    format!("{} %", signed(trim(format!("{p:.decimals$}"))))
}

/// `1 round`, `2,000 rounds`; of things whose plural is regular.
pub fn things(n: u64, one: &str) -> String {
    counted(n, one, &format!("{one}s"))
}

/// `1 criterion`, `2 criteria`.
pub fn counted(n: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(n as f64), if n == 1 { one } else { more })
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
        _ => decimals(value, 2),
    };
    signed(trim(format!("{value:.decimals$}")))
}

/// The usual number of decimals; as many as two digits take where that would leave only zeros.
fn decimals(value: f64, usual: usize) -> usize {
    let size = value.abs();
    let is_lost = size > 0.0 && size < 0.5 / 10f64.powi(usual as i32);
    if is_lost { ((-size.log10()).ceil() as usize + 1).min(DECIMALS_MAX) } else { usual }
}

/// With the one sign for less than nothing.
fn signed(text: String) -> String {
    match text.strip_prefix('-') {
        Some("0") => "0".to_owned(),
        Some(size) => format!("−{size}"),
        None => text,
    }
}

fn trim(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_never_reads_as_a_hundred_percent() {
        assert_eq!(percent(0.999_999_99), "99.9999 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.95), "95 %");
        assert_eq!(percent(33.4858), "33.5×");
        assert_eq!(percent(-0.125), "−12.5 %");
        assert_eq!(
            (percent(-0.000_000_1), bytes(-2048.0), seconds(-0.5)),
            ("−0.00001 %".into(), "−2 KiB".into(), "−500 ms".into())
        );
        assert_eq!(percent(0.000_02), "0.002 %");
    }

    #[test]
    fn a_number_has_digits_on_both_sides_of_its_point_and_no_more_than_are_read() {
        let long = "9".repeat(DIGITS_MAX);
        for text in ["0", "95", "95.0", "0.5", "007", "12.250", &long, &format!("000{long}")] {
            assert_eq!(parse_number(text), text.parse().ok(), "{text}");
        }
        let longer = [format!("{long}9"), format!("0.{}", "9".repeat(DECIMALS_READ_MAX + 1))];
        for text in
            ["", ".", "95.", ".5", "1.2.3", "1e3", "-1", "+1", "1_000", " 1", "inf", &longer[0], &longer[1]]
        {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_zero_does_not_read_as_zero() {
        assert_eq!(
            [1.5, 0.253, 0.0123, 12e-6, 4.2e-9, 0.0, -0.000_5].map(cores),
            ["1.5 cores", "0.253 cores", "12.3 mcores", "12 µcores", "4.2 ncores", "0 cores", "−500 µcores"]
        );
        assert_eq!([0.3, -0.004, 7.0, 512.4, 0.0].map(bytes), ["0.3 B", "−0.004 B", "7 B", "512 B", "0 B"]);
        assert_eq!([0.000_000_3, 0.000_02, 1e-9].map(percent), ["0.00003 %", "0.002 %", "0 %"]);
        assert_eq!([0.004, 0.000_12, 1e-12].map(count), ["0.004", "0.00012", "0"]);
        assert_eq!([4e-12, 3.1e-15].map(seconds), ["0.004 ns", "0.0000031 ns"]);
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
}
