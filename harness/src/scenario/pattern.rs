//! Regular expressions for what is written in strings: durations and sizes within bounds, and criteria.
//!
//! An editor knows no more of a string than these. They follow what the readers accept; a test holds both to one
//! corpus of files. In the dialect of JSON Schema: anchors, groups and lookaheads.

use super::unit::DURATION_MAX;
use reports::criterion::{
    Aggregation, Criterion, Kind, Known, Metric, MetricId, Scale, Side, Unit, catalogue,
};
use reports::scope::Scope;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Numbers from `least` to `most` in decimal, without leading zeros.
pub(super) fn number(least: u64, most: u64) -> String {
    assert!(least <= most, "an empty range of numbers: {least} to {most}");
    let mut parts = Vec::new();
    let mut from = least;
    loop {
        // As far as the numbers have as many digits, and only their last ones differ.
        let mut span = 1u64;
        while from.is_multiple_of(span * 10) && from != 0 && from + (span * 10 - 1) <= most {
            span *= 10;
        }
        let digit = from / span % 10;
        let up = ((most - from + 1) / span).min(10 - digit);
        parts.push(block(from, span, digit, digit + up - 1));
        match from.checked_add(up * span).filter(|next| *next <= most) {
            Some(next) => from = next,
            None => break,
        }
    }
    format!("(?:{})", parts.join("|"))
}

/// The numbers from `from` on whose digit at `span` runs from `low` to `high`, and whose lower digits are any.
fn block(from: u64, span: u64, low: u64, high: u64) -> String {
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

/// A size of `least` to `most` bytes.
pub(super) fn size(least: u64, most: u64) -> String {
    let units = [("B", 0u32), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let fitting: Vec<String> = units
        .into_iter()
        .filter_map(|(name, bits)| {
            let (low, high) = (least.div_ceil(1 << bits), most >> bits);
            (low <= high).then(|| format!("0*{}{name}", number(low, high)))
        })
        .collect();
    format!("^(?:{})$", fitting.join("|"))
}

/// Each unit once, the longest first.
fn span_body() -> String {
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

/// A criterion. Unless it is `informational`, it asks for the better; in any case a run can pass it, and another one fail it.
pub(super) fn criterion(informational: bool) -> String {
    let metrics: Vec<String> = catalogue().iter().map(|metric| of_metric(metric, informational)).collect();
    format!(r"^\s*(?:{})\s*$", metrics.join("|"))
}

fn of_metric(metric: &Metric, informational: bool) -> String {
    let name = metric.name.replace('.', r"\.");
    let (own, commands): (Vec<Scope>, Vec<Scope>) =
        metric.scopes().partition(|scope| *scope != Scope::Commands);
    let of_own = ways(metric, "", informational);
    // What commands hold may be nothing, where no process holds nothing.
    let of_commands = commands.first().map(|_| ways(metric, ".commands", informational));
    let of_commands = of_commands.filter(|theirs| *theirs != of_own);
    let apart = of_commands.is_some();
    let scoped = |scopes: &[Scope]| {
        let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        format!(r"\.(?:{})", names.join("|"))
    };
    let mut head = match metric.scoped {
        true if apart => format!("{name}(?:{})?", scoped(&own)),
        true => format!("{name}(?:{})?", scoped(&[own, commands.clone()].concat())),
        false => name.clone(),
    };
    let mut labels = Vec::new();
    for (label, value, has) in [
        ("workload", "[a-z0-9-]+", metric.by_workload()),
        ("coordinator", "(?:0|[1-9][0-9]{0,8})", metric.by_coordinator()),
    ] {
        if has {
            labels.push(format!(r#"{label}\s*=\s*(?:"{value}"|'{value}'|{value})"#));
        }
    }
    if !labels.is_empty() {
        head = format!(r"{head}(?:\s*\{{\s*(?:{})\s*\}}\s*)?", labels.join("|"));
    }
    if metric.name == "incidents" {
        head = format!(r"(?:{head}|agents\.deaths)");
    }
    let whole = format!("{head}(?:{of_own})");
    match of_commands {
        Some(theirs) => format!("{whole}|{name}{}(?:{theirs})", scoped(&commands)),
        None => whole,
    }
}

/// What may follow the name of a metric, which has this scope.
fn ways(metric: &Metric, scope: &str, informational: bool) -> String {
    // Aggregations that may be followed by the same.
    let mut ways: Vec<(String, Vec<Aggregation>)> = Vec::new();
    for aggregation in metric.aggregations {
        let rest = comparison(metric, scope, *aggregation, informational);
        match ways.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, same)) => same.push(*aggregation),
            None => ways.push((rest, vec![*aggregation])),
        }
    }
    let ways: Vec<String> = ways.iter().map(|(rest, named)| aggregations(named) + rest).collect();
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

/// Comparator, threshold, `each` and window.
fn comparison(metric: &Metric, scope: &str, aggregation: Aggregation, informational: bool) -> String {
    let threshold = match aggregation.scale() {
        Scale::Slope => slope(metric.unit),
        Scale::Relative => PERCENT.to_owned(),
        Scale::Level => level(metric),
    };
    let mut comparators: Vec<(String, Vec<&str>)> = Vec::new();
    for symbol in ["<=", ">=", "==", "<", ">"] {
        let Some(guard) = guard((metric, scope), aggregation, symbol, informational) else { continue };
        match comparators.iter_mut().find(|(known, _)| *known == guard) {
            Some((_, same)) => same.push(symbol),
            None => comparators.push((guard, vec![symbol])),
        }
    }
    let comparators: Vec<String> =
        comparators.iter().map(|(guard, same)| format!(r"(?:{})\s*{guard}", same.join("|"))).collect();
    let every = if metric.has_windows(aggregation) {
        format!(r"(?:\s+every\s+(?=.*[1-9]){})?", span_body())
    } else {
        String::new()
    };
    let each = if metric.has_each(aggregation) { r"(?:\s+each)?" } else { "" };
    let rest = match stretch(metric, aggregation) {
        Some(stretch) => format!("(?:{each}{every}|{stretch})"),
        None => format!("{each}{every}"),
    };
    format!(r"\s*(?:{})(?:{threshold}){rest}", comparators.join("|"))
}

/// What the threshold after a comparator must look like, as a lookahead; nothing if none may follow it. The bounds of what can
/// be asked are 0 and 100%: what the checks say of these, and of a value between them, holds of all.
fn guard(
    (metric, scope): (&Metric, &str),
    aggregation: Aggregation,
    comparator: &str,
    informational: bool,
) -> Option<String> {
    // As far as the threshold goes: other words behind it begin with these letters.
    const NOT_ZERO: &str = r"(?=(?:(?!\s[abdeo]).)*[1-9])";
    const ZERO: &str = r"(?!(?:(?!\s[abdeo]).)*[1-9])";
    const FULL: &str = r"(?=100(?:\.0+)?%)";
    const ABOVE_ONE: &str = r"(?=0*(?:[1-9][0-9]|[2-9]|1\.0*[1-9]))";
    const NOT_FULL: &str = r"(?!100(?:\.0+)?%)";
    let allows = |amount: &str| {
        let unit = match (aggregation.scale(), metric.unit) {
            (Scale::Slope, _) => "%/h",
            (Scale::Relative, _) | (_, Unit::Share | Unit::OfOneCore | Unit::OfMean) => "%",
            (Scale::Level, Unit::Seconds) => "s",
            (Scale::Level, Unit::Bytes) => "B",
            (Scale::Level, Unit::Count) => "",
            (Scale::Level, Unit::Cores) => " cores",
            (Scale::Level, Unit::PerSecond) => "/s",
        };
        let text = format!("{}{scope} {} {comparator} {amount}{unit}", metric.name, aggregation.name());
        let asked = Criterion::parse(&text).expect("the unit is the metric's own");
        asked.is_settled(Known::default()).is_none()
            && (informational || asked.points_the_wrong_way().is_none())
    };
    let is_share = is_share(metric, aggregation);
    let (zero, between, full) = (allows("0"), allows("7"), is_share && allows("100"));
    let of_things = aggregation.scale() == Scale::Level && metric.unit == Unit::Count;
    if of_things && between && !zero && !allows("1") {
        return Some(ABOVE_ONE.to_owned());
    }
    match (zero, between, full) {
        (false, false, false) => None,
        (true, false, _) => Some(ZERO.to_owned()),
        (false, false, true) => Some(FULL.to_owned()),
        (zero, true, full) => {
            let zero = if zero { "" } else { NOT_ZERO };
            Some(format!("{zero}{}", if is_share && !full { NOT_FULL } else { "" }))
        }
    }
}

/// A part of the load.
fn stretch(metric: &Metric, aggregation: Aggregation) -> Option<String> {
    let sides: Vec<&str> =
        Side::ALL.into_iter().filter(|side| metric.has_stretch(aggregation, *side)).map(Side::name).collect();
    (!sides.is_empty()).then(|| format!(r"\s+(?:{})\s+[a-z0-9-]+", sides.join("|")))
}

const SHARE: &str = r"(?:100(?:\.0+)?|[0-9]{1,2}(?:\.[0-9]+)?)%";
const PERCENT: &str = r"[0-9]+(?:\.[0-9]+)?%";
const NUMBER: &str = r"[0-9]+(?:\.[0-9]+)?";

/// A figure that never exceeds 100 %: a share, or what one thread uses of one core.
fn is_share(metric: &Metric, aggregation: Aggregation) -> bool {
    aggregation.scale() == Scale::Level && (metric.unit == Unit::Share || metric.id == MetricId::SamplerCost)
}

fn level(metric: &Metric) -> String {
    match metric.unit {
        Unit::OfOneCore if metric.id == MetricId::SamplerCost => SHARE.to_owned(),
        Unit::Share => SHARE.to_owned(),
        Unit::Count if metric.kind == Kind::Count => r"[0-9]+(?:\.0+)?".to_owned(),
        Unit::Seconds => span_body(),
        Unit::Bytes => r"[0-9]+(?:B|KiB|MiB|GiB|TiB)".to_owned(),
        Unit::OfOneCore | Unit::OfMean => PERCENT.to_owned(),
        Unit::Count => NUMBER.to_owned(),
        Unit::Cores => format!(r"{NUMBER}\s*cores"),
        Unit::PerSecond => format!(r"{NUMBER}\s*/s"),
    }
}

fn slope(unit: Unit) -> String {
    let amount = if unit == Unit::Bytes { r"[0-9]+(?:B|KiB|MiB|GiB|TiB)" } else { NUMBER };
    format!(r"(?:{PERCENT}|{amount})\s*/[hd]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

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

    fn thresholds() -> impl Strategy<Value = String> {
        let amounts = prop_oneof![
            4 => "[1-9][0-9]{0,2}(\\.[0-9])?",
            1 => prop::sample::select(vec!["0", "0.0", "100", "100.0"]).prop_map(str::to_owned),
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
        /// An editor underlines what the harness refuses, and nothing else.
        #[test]
        fn criteria_are_matched_as_they_are_read(text in criteria()) {
            let read = Criterion::parse(&text);
            let is_open = read.as_ref().is_ok_and(|criterion| criterion.is_settled(Known::default()).is_none());
            let is_right = read.as_ref().is_ok_and(|criterion| criterion.points_the_wrong_way().is_none());
            let value = serde_json::json!(text);
            prop_assert_eq!(JUDGED.is_valid(&value), is_open && is_right, "{}: {:?}", text, read);
            prop_assert_eq!(SHOWN.is_valid(&value), is_open, "{}: {:?}", text, read);
        }
    }

    static JUDGED: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(false));
    static SHOWN: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(true));

    fn validator(informational: bool) -> jsonschema::Validator {
        let schema = serde_json::json!({ "type": "string", "pattern": criterion(informational) });
        jsonschema::validator_for(&schema).unwrap()
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
