//! Regular expressions for criteria, from the catalogue of metrics and what the checks say of each. They match what a criterion
//! can be whatever the rest of the file; what depends on the plan, only the checks know, and of large thresholds the last digits.

use super::pattern::{EXACT_MAX, number, roughly, size_body, span_body};
use reports::criterion::{Aggregation, Criterion, Kind, Metric, Scale, Side, Thresholds, Unit, catalogue};
use reports::scope::Scope;
use reports::units;

/// A criterion. Unless it is `informational`, it asks for the better; in any case a run can pass it, and another one fail it.
pub(super) fn criterion(informational: bool) -> String {
    let of_each = catalogue().iter().map(|metric| (metric, of_metric(metric, informational)));
    let metrics: Vec<String> = grouped(of_each)
        .iter()
        .map(|(named, rest)| {
            let names: Vec<String> = named.iter().map(|metric| name(metric)).collect();
            format!("(?:{})(?:{rest})", names.join("|"))
        })
        .collect();
    let guards = no_longer_time() + &no_longer_number();
    format!(r"^{guards}\s*(?:{})\s*$", metrics.join("|"))
}

fn name(metric: &Metric) -> String {
    let name = metric.name.replace('.', r"\.");
    if name == "incidents" { name + r"|agents\.deaths" } else { name }
}

/// A lookahead against times of one unit that are too long to be read; of those with many digits, by their number.
fn no_longer_time() -> String {
    let beyond = |(unit, scale): (&str, u64)| {
        // Of the shortest unit, whole numbers with a sign are counted.
        let most = if scale == 1 { i64::MAX.unsigned_abs() } else { u64::MAX / scale };
        let digits = most.ilog10() + 1;
        let longer = format!("[1-9][0-9]{{{digits},}}");
        let beyond = match 10_u64.checked_pow(digits).map(|next| next - 1) {
            Some(all) if all <= EXACT_MAX => format!("(?:{longer}|{})", number(most + 1, all)),
            _ => longer,
        };
        format!(r"{beyond}\s*{unit}(?![a-z])")
    };
    let parts: Vec<String> = notation::duration::UNITS.into_iter().map(beyond).collect();
    format!(r"(?!.*[^0-9]0*(?:{}))", parts.join("|"))
}

/// A lookahead against thresholds with more digits than are read, before a point or behind it.
fn no_longer_number() -> String {
    let (before, behind) = (u64::MAX.ilog10() + 1, units::DECIMALS_READ_MAX + 1);
    format!(r"(?!.*[<>=]\s*(?:0*[1-9][0-9]{{{before}}}|[0-9]*\.[0-9]{{{behind}}}))")
}

/// What is asked besides metric, aggregation and comparison: all of it bounds what may be asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    metric: &'a Metric,
    scope: Scope,
    /// As a criterion has it, without what is beside it; empty if it is about everything.
    label: &'a str,
    informational: bool,
}

/// What is the same for several, once: whose they are, and the text.
fn grouped<T>(all: impl Iterator<Item = (T, String)>) -> Vec<(Vec<T>, String)> {
    let mut groups: Vec<(Vec<T>, String)> = Vec::new();
    for (one, text) in all.filter(|(_, text)| !text.is_empty()) {
        match groups.iter_mut().find(|(_, known)| *known == text) {
            Some((same, _)) => same.push(one),
            None => groups.push((vec![one], text)),
        }
    }
    groups
}

/// What may follow the name of a metric.
fn of_metric(metric: &Metric, informational: bool) -> String {
    let labels = labels(metric);
    let of_scope = |scope: Scope| {
        let of_label = |label: &'static str| (label, ways(Asked { metric, scope, label, informational }));
        let samples = ["", labels.as_ref().map_or("", |(sample, _)| *sample)];
        let count = if labels.is_some() { 2 } else { 1 };
        let parts = grouped(samples.into_iter().take(count).map(of_label)).into_iter().map(|(with, ways)| {
            let pattern = labels.as_ref().map_or("", |(_, pattern)| pattern.as_str());
            match (with.contains(&""), with.len()) {
                (true, 2) => format!("(?:{pattern})?(?:{ways})"),
                (true, _) => format!("(?:{ways})"),
                (false, _) => format!("{pattern}(?:{ways})"),
            }
        });
        parts.collect::<Vec<String>>().join("|")
    };
    let scopes = std::iter::once(Scope::Fleet).chain(metric.scopes());
    let parts = grouped(scopes.map(|scope| (scope, of_scope(scope)))).into_iter().map(|(scopes, rest)| {
        let named: Vec<&str> =
            scopes.iter().filter(|scope| **scope != Scope::Fleet).map(|scope| scope.name()).collect();
        let head = match (named.is_empty(), scopes.contains(&Scope::Fleet)) {
            (true, _) => String::new(),
            (false, true) => format!(r"(?:\.(?:{}))?", named.join("|")),
            (false, false) => format!(r"\.(?:{})", named.join("|")),
        };
        format!("{head}(?:{rest})")
    });
    parts.collect::<Vec<String>>().join("|")
}

/// The labels that a metric takes: one of them, and what all look like.
fn labels(metric: &Metric) -> Option<(&'static str, String)> {
    let all = [
        ("workload", "[a-z0-9-]+", "{workload=a}", metric.by_workload()),
        ("coordinator", "(?:0|[1-9][0-9]{0,8})", "{coordinator=0}", metric.by_coordinator()),
    ];
    let taken = all.into_iter().filter(|(.., has)| *has);
    let texts: Vec<String> = taken
        .clone()
        .map(|(label, value, ..)| format!(r#"{label}\s*=\s*(?:"{value}"|'{value}'|{value})"#))
        .collect();
    let (_, _, sample, _) = taken.clone().next()?;
    Some((sample, format!(r"\s*\{{\s*(?:{})\s*\}}\s*", texts.join("|"))))
}

/// What may follow a metric with its scope and label.
fn ways(asked: Asked<'_>) -> String {
    let of_each = asked.metric.aggregations.iter().map(|one| (*one, comparison(asked, *one)));
    let ways: Vec<String> = grouped(of_each).iter().map(|(named, rest)| aggregations(named) + rest).collect();
    ways.join("|")
}

fn aggregations(named: &[Aggregation]) -> String {
    match named {
        [Aggregation::Whole] => String::new(),
        named => {
            let names: Vec<String> = named.iter().map(|one| one.name().replace('.', r"\.")).collect();
            format!(r"[\s.]+(?:{})", names.join("|"))
        }
    }
}

/// Comparator and threshold, and what may follow them: `each`, a window, a part of the load.
fn comparison(asked: Asked<'_>, aggregation: Aggregation) -> String {
    let metric = asked.metric;
    let every = || format!(r"\s+every\s+(?=.*[1-9]){}", span_body());
    let mut ends = vec![("", String::new())];
    if metric.has_each(aggregation) {
        ends.push((" each", r"\s+each".to_owned()));
    }
    if metric.has_windows(aggregation) {
        ends.push((" every 1m", every()));
    }
    if let Some((sample, pattern)) = stretch(metric, aggregation) {
        ends.push((sample, pattern));
    }
    let before = |(sample, pattern): (&str, String)| (pattern, thresholds(asked, aggregation, sample));
    let ways: Vec<String> = grouped(ends.into_iter().map(before))
        .iter()
        .map(|(ends, thresholds)| match &ends[..] {
            [only] => format!("{thresholds}{only}"),
            several => format!("{thresholds}(?:{})", several.join("|")),
        })
        .collect();
    match &ways[..] {
        [] => String::new(),
        ways => format!(r"\s*(?:{})", ways.join("|")),
    }
}

/// The comparators with what may follow each of them. The checks say between which ends it lies.
fn thresholds(asked: Asked<'_>, aggregation: Aggregation, end: &str) -> String {
    let Asked { metric, scope, label, informational } = asked;
    let whose = if scope == Scope::Fleet { String::new() } else { format!(".{}", scope.name()) };
    let unit = match (aggregation.scale(), metric.unit) {
        (Scale::Slope, _) => "%/h",
        (Scale::Relative, _) | (_, Unit::Share | Unit::OfOneCore | Unit::OfMean) => "%",
        (Scale::Level, Unit::Seconds) => "s",
        (Scale::Level, Unit::Bytes) => "B",
        (Scale::Level, Unit::Count) => "",
        (Scale::Level, Unit::Cores) => " cores",
        (Scale::Level, Unit::PerSecond) => "/s",
    };
    let of_each = ["<=", ">=", "==", "<", ">"].into_iter().map(|symbol| {
        let text = format!("{}{whose}{label} {} {symbol} 7{unit}{end}", metric.name, aggregation.name());
        let asked = Criterion::parse(&text).expect("the unit is the metric's own");
        let within = asked.thresholds(informational);
        (symbol, within.map_or_else(String::new, |within| threshold(metric, aggregation, &within)))
    });
    let ways: Vec<String> =
        grouped(of_each).iter().map(|(same, rest)| format!(r"(?:{})\s*{rest}", same.join("|"))).collect();
    if ways.is_empty() { String::new() } else { format!("(?:{})", ways.join("|")) }
}

/// What lies between two ends, in the unit of a metric. None that can be written is below 0.
fn threshold(metric: &Metric, aggregation: Aggregation, within: &Thresholds) -> String {
    match (aggregation.scale(), metric.unit) {
        (Scale::Slope, unit) => slope(unit),
        (Scale::Relative, _) | (Scale::Level, Unit::Share | Unit::OfOneCore | Unit::OfMean) => {
            format!("{}%", decimal(&scaled(within, 100.0), Digits::Any))
        }
        (Scale::Level, Unit::Seconds) => time(within),
        (Scale::Level, Unit::Bytes) => bytes(within),
        (Scale::Level, Unit::Count) if metric.kind == Kind::Count => decimal(within, Digits::Whole),
        (Scale::Level, Unit::Count) => decimal(within, Digits::Any),
        (Scale::Level, Unit::Cores) => format!(r"{}\s*cores", decimal(within, Digits::Any)),
        (Scale::Level, Unit::PerSecond) => format!(r"{}\s*/s", decimal(within, Digits::Any)),
    }
}

fn scaled(within: &Thresholds, factor: f64) -> Thresholds {
    Thresholds { low: within.low * factor, high: within.high * factor, ..*within }
}

/// Times have one end: nothing, which is among them, alone, or not.
fn time(within: &Thresholds) -> String {
    // As far as the threshold goes: other words behind it begin with these letters.
    const NOT_ZERO: &str = r"(?=(?:(?!\s[abdeo]).)*[1-9])";
    const ZERO: &str = r"(?!(?:(?!\s[abdeo]).)*[1-9])";
    let guard = match within {
        Thresholds { high, .. } if *high <= 0.0 => ZERO,
        Thresholds { low, has_low: false, .. } if *low >= 0.0 => NOT_ZERO,
        _ => "",
    };
    guard.to_owned() + &span_body()
}

fn bytes(within: &Thresholds) -> String {
    // Ends that are too large for a size are cut off by the conversion.
    let least = within.low.max(0.0) as u64 + u64::from(!within.has_low && within.low >= 0.0);
    let most =
        (within.high as u64).saturating_sub(u64::from(!within.has_high && within.high < u64::MAX as f64));
    size_body(least, most)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    /// Behind a point, zeros alone.
    Whole,
    Any,
}

/// Numbers as [`units::parse_number`] reads them. The ends are whole numbers.
fn decimal(within: &Thresholds, digits: Digits) -> String {
    let largest = 10_u64.pow(units::DIGITS_MAX as u32) - 1;
    let has_low = within.has_low || within.low < 0.0;
    let low = within.low.max(0.0) as u64;
    // What is beyond the largest number cannot be written.
    let (high, has_high) =
        if within.high > largest as f64 { (largest, true) } else { (within.high as u64, within.has_high) };
    let (any, none) = (r"(?:\.[0-9]+)?", r"(?:\.0+)?");
    let fraction = if digits == Digits::Whole { none } else { any };
    let mut parts = Vec::new();
    if low == high {
        return format!("0*{low}{none}");
    }
    if has_low {
        parts.push(format!("{low}{fraction}"));
    } else if digits == Digits::Any {
        // More than the end.
        parts.push(format!(r"{low}\.(?=[0-9]*[1-9])[0-9]+"));
    }
    if high > EXACT_MAX {
        parts.push(format!("{}{fraction}", roughly(low + 1, high)));
    } else {
        if low + 1 < high {
            parts.push(format!("{}{fraction}", number(low + 1, high - 1)));
        }
        if has_high {
            parts.push(format!("{high}{none}"));
        }
    }
    format!("(?:0*(?:{}))", parts.join("|"))
}

/// A part of the load: one, and what all look like.
fn stretch(metric: &Metric, aggregation: Aggregation) -> Option<(&'static str, String)> {
    const SAMPLES: [(Side, &str); 4] = [
        (Side::Before, " before a"),
        (Side::During, " during a"),
        (Side::After, " after a"),
        (Side::Outside, " outside a"),
    ];
    let taken = SAMPLES.into_iter().filter(|(side, _)| metric.has_stretch(aggregation, *side));
    let sides: Vec<&str> = taken.clone().map(|(side, _)| side.name()).collect();
    let (_, sample) = taken.clone().next()?;
    Some((sample, format!(r"\s+(?:{})\s+[a-z0-9-]+", sides.join("|"))))
}

fn slope(unit: Unit) -> String {
    let any = Thresholds { low: 0.0, has_low: true, high: f64::INFINITY, has_high: false };
    let number = decimal(&any, Digits::Any);
    let amount = if unit == Unit::Bytes { size_body(0, u64::MAX) } else { number.clone() };
    format!(r"(?:{number}%|{amount})\s*/[hd]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reports::criterion::Known;
    use std::sync::LazyLock;

    fn thresholds() -> impl Strategy<Value = String> {
        let amounts = prop_oneof![
            4 => "[1-9][0-9]{0,2}(\\.[0-9])?",
            2 => "0{0,2}[0-9]{1,20}(\\.[0-9]{0,2})?",
            1 => prop::sample::select(vec!["0", "0.0", "100", "100.0", "1", "1.0", "1.5"]).prop_map(str::to_owned),
            1 => prop::sample::select(vec!["4095", "4096", "4194304", "4194303.5", "8192", "819200", "819200.5"])
                .prop_map(str::to_owned),
            1 => prop::sample::select(vec![".5", "95.", ".", "2147483584", "2147483585", "819200000000"])
                .prop_map(str::to_owned),
        ];
        let units = prop::sample::select(vec![
            "", "%", "%/h", "/h", "/d", "/s", "ms", "s", "B", "MiB", "MiB/h", " cores", "x",
        ]);
        (amounts, units).prop_map(|(amount, unit)| format!("{amount}{unit}"))
    }

    fn criteria() -> impl Strategy<Value = String> {
        let names: Vec<String> = reports::criterion::names();
        let aggregations = ["", "p50", "p99.9", "max", "min", "mean", "slope", "growth", "drift", "p98"];
        let comparators = ["<", "<=", ">", ">=", "==", "=", "=>"];
        let rest = [
            "",
            "",
            " every 15m",
            " every 0s",
            " please",
            " each",
            " each every 15m",
            " after kill-3",
            " outside faults",
            " during a",
            " before",
            " after Kill",
            " every 15m after a",
            " each during a",
        ];
        let labels = [
            "",
            "",
            r#"{workload="a-1"}"#,
            "{workload='b'}",
            " { workload = c } ",
            "{worklod='a'}",
            "{workload=''}",
            "{coordinator=3}",
            "{coordinator='03'}",
        ];
        let named = (prop::sample::select(names), prop::sample::select(labels.to_vec()));
        (
            named.prop_map(|(name, label)| name + label),
            prop::sample::select(aggregations.to_vec()),
            prop::sample::select(comparators.to_vec()),
            thresholds(),
            prop::sample::select(rest.to_vec()),
        )
            .prop_map(|(name, aggregation, comparator, threshold, rest)| {
                format!("{name} {aggregation} {comparator} {threshold}{rest}")
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// An editor underlines what the harness refuses, and nothing else; but of large thresholds, it knows the number of digits alone.
        #[test]
        fn criteria_are_matched_as_they_are_read(text in criteria()) {
            let read = Criterion::parse(&text);
            let is_open = read.as_ref().is_ok_and(|criterion| criterion.is_settled(Known::default()).is_none());
            let is_right = read.as_ref().is_ok_and(|criterion| criterion.points_the_wrong_way().is_none());
            let value = serde_json::json!(text);
            for (schema, wanted) in [(&*JUDGED, is_open && is_right), (&*SHOWN, is_open)] {
                let valid = schema.is_valid(&value);
                prop_assert!(valid == wanted || valid && is_large(&text), "{}: {}, {:?}", text, valid, read);
            }
        }
    }

    /// Whether it holds a number with more digits than bounds are matched by.
    fn is_large(text: &str) -> bool {
        let numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.trim_start_matches('0'));
        numbers.into_iter().any(|number| number.len() as u32 > EXACT_MAX.ilog10())
    }

    /// An editor reads it at every start; one of 1.3 MB took taplo minutes.
    #[test]
    fn criteria_are_matched_by_a_short_pattern() {
        for informational in [false, true] {
            let length = criterion(informational).len();
            assert!(length < 40_000, "{length} bytes");
        }
    }

    static JUDGED: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(false));
    static SHOWN: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(true));

    /// What the language of patterns can say, it says; the list is that of the rules that need no plan.
    #[test]
    fn a_threshold_that_no_plan_can_help_is_not_matched() {
        for (text, judged, shown) in [
            ("threads max < 9999999", false, false),
            ("threads max < 4194304", true, true),
            ("threads max <= 4194304", false, false),
            ("threads max <= 4194303.5", true, true),
            ("shm.used max < 1B", false, false),
            ("shm.used max < 4KiB", false, false),
            ("shm.used max < 5KiB", true, true),
            ("shm.used max < 4096TiB", true, true),
            ("shm.used max <= 4096TiB", false, false),
            ("delivery.rate > 0%", false, false),
            ("delivery.rate > 0.0%", false, false),
            ("delivery.rate > 0.01%", true, true),
            ("delivery.rate > 0% every 1m", true, true),
            ("delivery.rate{workload=a} > 0%", true, true),
            ("delivery.rate >= 95.%", false, false),
            ("delivery.rate == 100%", true, true),
            ("delivery.rate == 99%", false, true),
            ("cpu max < .5 cores", false, false),
            ("cpu max > 0.5 cores", false, true),
            ("cpu max <= 0 cores", false, false),
            ("cpu.supervisor max <= 0 cores", true, true),
            ("fds max < 2147483584 each", true, true),
            ("fds max < 2147483585", true, true),
            ("agents.live min >= 1", false, false),
            ("agents.live min >= 2", true, true),
            ("incidents == 0", true, true),
            ("incidents == 1", false, true),
            ("gap.time == 0s", true, true),
            ("memory.pss slope < 999999999999999999999TiB/h", false, false),
        ] {
            let value = serde_json::json!(text);
            assert_eq!((JUDGED.is_valid(&value), SHOWN.is_valid(&value)), (judged, shown), "{text}");
            let read = Criterion::parse(text);
            let is_open = read.as_ref().is_ok_and(|read| read.is_settled(Known::default()).is_none());
            assert_eq!(is_open, shown, "{text}: {read:?}");
        }
    }

    fn validator(informational: bool) -> jsonschema::Validator {
        let schema = serde_json::json!({ "type": "string", "pattern": criterion(informational) });
        jsonschema::validator_for(&schema).unwrap()
    }
}
