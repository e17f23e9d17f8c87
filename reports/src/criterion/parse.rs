//! Text to [`Criterion`]: what stands where, what is wrong with it, and what was meant.

use std::ops::Range;

use super::Scope;
use super::catalogue::{Aggregation, Kind, Metric, Unit, catalogue, names};
use super::{Comparator, Criterion, CriterionError, Stretch, Threshold};
use super::{label, within};
use notation::suggest;

/// Two-character symbols first, so that `<` does not take the half of `<=`.
const COMPARATORS: [Comparator; 5] =
    [Comparator::AtMost, Comparator::AtLeast, Comparator::Equal, Comparator::Less, Comparator::Greater];

/// What people write for one of them, and which they mean.
const SLIPS: [(&str, Option<Comparator>); 8] = [
    ("===", Some(Comparator::Equal)),
    ("=<", Some(Comparator::AtMost)),
    ("=>", Some(Comparator::AtLeast)),
    ("≤", Some(Comparator::AtMost)),
    ("≥", Some(Comparator::AtLeast)),
    ("=", Some(Comparator::Equal)),
    // No comparator means 'not equal': no figure is good merely because it differs from another.
    ("!=", None),
    ("<>", None),
];

const KNOWN: &str = "the comparators are < <= > >= ==";

pub(super) fn criterion(text: &str) -> Result<Criterion, CriterionError> {
    let (text, label) = label::take(text)?;
    let text = text.as_str();
    let (at, comparator) = comparison(text)?;
    let after = at + comparator.symbol().len();
    let behind = words(text, after..text.len());
    let mut words = words(text, 0..at);
    if words.is_empty() {
        return Err(error(0..after, "a metric is missing before the comparison", None));
    }
    let subject = words.remove(0);
    let (metric, scope, dotted) = find_metric(text, subject.clone())?;
    if let Some(label) = &label {
        label::check(label, metric)?;
    }
    let aggregation = match (dotted, words.as_slice()) {
        (Some(dotted), []) => find_aggregation(text, dotted, metric)?,
        (None, []) => default_aggregation(metric, subject)?,
        (None, [word]) => find_aggregation(text, word.clone(), metric)?,
        (_, more) => {
            let last = more.last().cloned().unwrap_or(subject);
            return Err(error(last, "one aggregation is enough", None));
        }
    };
    let Rest { limit, every_ns, each, stretch } = rest(text, &behind, metric, aggregation, after)?;
    if text[limit.clone()].is_empty() {
        return Err(error(at..text.len(), "a threshold is missing after the comparison", None));
    }
    let threshold = Threshold::parse(&text[limit.clone()], metric, aggregation)
        .map_err(|message| wrong_threshold(text, limit, &message, metric, aggregation))?;
    let label = label.map(|found| found.label);
    Ok(Criterion {
        metric: metric.id,
        scope,
        label,
        aggregation,
        comparator,
        threshold,
        each,
        every_ns,
        stretch,
    })
}

/// What stands behind the comparison.
struct Rest {
    /// Where the threshold stands.
    limit: Range<usize>,
    every_ns: Option<u64>,
    each: bool,
    stretch: Option<Stretch>,
}

fn rest(
    text: &str,
    behind: &[Range<usize>],
    metric: &Metric,
    aggregation: Aggregation,
    after: usize,
) -> Result<Rest, CriterionError> {
    let (end, stretch) = within::split(text, behind, metric, aggregation)?;
    let (limit, every) = split_every(text, after..end);
    if let Some((_, span)) = stretch.as_ref().filter(|_| every.is_some()) {
        return Err(within::beside(span.clone(), "every"));
    }
    let every_ns = every.map(|span| window(text, span, metric, aggregation)).transpose()?;
    let (limit, each) = split_each(text, limit);
    if let Some(span) = each.clone()
        && !metric.has_each(aggregation)
    {
        return Err(error(
            span,
            &format!("`{}` has no `each` here", metric.name),
            Some(
                "max, slope and growth of memory, fds and threads of processes have it; leave it out".into(),
            ),
        ));
    }
    if let Some((_, span)) = stretch.as_ref().filter(|_| each.is_some()) {
        return Err(within::beside(span.clone(), "each"));
    }
    let (each, stretch) = (each.is_some(), stretch.map(|(stretch, _)| stretch));
    Ok(Rest { limit, every_ns, each, stretch })
}

/// Where the comparison stands, and which it is.
pub(crate) fn comparison(text: &str) -> Result<(usize, Comparator), CriterionError> {
    refuse_slips(text)?;
    find_comparator(text).ok_or_else(|| {
        let hint = "write `metric [aggregation] comparator threshold`, such as `coordination.time p99 < 5s`";
        error(0..text.len(), "a comparison is missing", Some(format!("{hint}; {KNOWN}")))
    })
}

/// At the first sign of a comparison: one that is none, and looks like one.
fn refuse_slips(text: &str) -> Result<(), CriterionError> {
    let Some(at) = text.find(['<', '>', '=', '≤', '≥', '!']) else { return Ok(()) };
    let Some((slip, meant)) = SLIPS.into_iter().find(|(slip, _)| text[at..].starts_with(slip)) else {
        return Ok(());
    };
    // `==` begins with `=`, and is right.
    if slip == "=" && text[at..].starts_with(Comparator::Equal.symbol()) {
        return Ok(());
    }
    let message = format!("`{slip}` is not a comparator");
    let hint = meant.map_or(KNOWN.to_owned(), |meant| format!("did you mean `{}`?", meant.symbol()));
    Err(error(at..at + slip.len(), &message, Some(hint)))
}

fn find_comparator(text: &str) -> Option<(usize, Comparator)> {
    let at = text.find(['<', '>', '='])?;
    COMPARATORS.iter().find(|c| text[at..].starts_with(c.symbol())).map(|c| (at, *c))
}

/// `name`, `name.scope`, or either with `.aggregation`: returns where the aggregation stands.
type Found = (&'static Metric, Scope, Option<Range<usize>>);

fn find_metric(text: &str, span: Range<usize>) -> Result<Found, CriterionError> {
    let word = &text[span.clone()];
    if let Some((metric, scope)) = by_name(word) {
        return Ok((metric, scope, None));
    }
    if let Some((head, tail)) = word.rsplit_once('.')
        && let Some((metric, scope)) = by_name(head)
        && (aggregation(tail).is_some() || !metric.scoped)
    {
        return Ok((metric, scope, Some(span.start + head.len() + 1..span.end)));
    }
    Err(error(span, &format!("there is no metric `{word}`"), Some(nearest(word))))
}

fn by_name(word: &str) -> Option<(&'static Metric, Scope)> {
    let word = if word == "agents.deaths" { "incidents" } else { word };
    if let Some(metric) = catalogue().iter().find(|m| m.name == word) {
        return Some((metric, Scope::Fleet));
    }
    let (name, scope) = word.rsplit_once('.')?;
    let metric = catalogue().iter().find(|m| m.scoped && m.name == name)?;
    metric.scopes().find(|s| s.name() == scope).map(|scope| (metric, scope))
}

fn nearest(word: &str) -> String {
    let names = names();
    if let Some(near) = suggest::nearest(word, names.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let names: Vec<&str> = catalogue().iter().map(|m| m.name).collect();
    format!("the metrics are {}", names.join(", "))
}

fn aggregation(word: &str) -> Option<Aggregation> {
    use Aggregation::{Drift, Growth, Max, Mean, Min, P50, P90, P95, P99, P999, Slope};
    [P50, P90, P95, P99, P999, Max, Min, Mean, Slope, Growth, Drift].into_iter().find(|a| a.name() == word)
}

fn find_aggregation(text: &str, span: Range<usize>, metric: &Metric) -> Result<Aggregation, CriterionError> {
    let word = &text[span.clone()];
    if let Some(found) = aggregation(word).filter(|a| metric.aggregations.contains(a)) {
        return Ok(found);
    }
    let message = format!("`{}` is a {} and has no `{word}`", metric.name, metric.kind.name());
    Err(error(span, &message, Some(legal(metric))))
}

fn default_aggregation(metric: &Metric, span: Range<usize>) -> Result<Aggregation, CriterionError> {
    match metric.kind {
        Kind::Distribution | Kind::Gauge => {
            let message = format!("`{}` is a {}: say which value of it", metric.name, metric.kind.name());
            Err(error(span, &message, Some(legal(metric))))
        }
        Kind::Ratio | Kind::Count | Kind::Rate | Kind::Value => Ok(Aggregation::Whole),
    }
}

fn legal(metric: &Metric) -> String {
    let names: Vec<&str> =
        metric.aggregations.iter().filter(|a| **a != Aggregation::Whole).map(|a| a.name()).collect();
    if names.is_empty() {
        format!("`{}` takes no aggregation; leave it out", metric.name)
    } else {
        format!("`{}` has {}", metric.name, names.join(", "))
    }
}

/// Threshold and window, both trimmed.
fn split_every(text: &str, within: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
    let found = words(text, within.clone()).into_iter().find(|w| &text[w.clone()] == "every");
    match found {
        Some(word) => (trim(text, within.start..word.start), Some(trim(text, word.end..within.end))),
        None => (trim(text, within), None),
    }
}

/// Threshold, and the word `each` if it is its last.
fn split_each(text: &str, limit: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
    let words = words(text, limit.clone());
    match words.split_last() {
        Some((last, before)) if &text[last.clone()] == "each" && !before.is_empty() => {
            (trim(text, limit.start..last.start), Some(last.clone()))
        }
        _ => (limit, None),
    }
}

/// If its first words are a threshold, the next one is the mistake.
fn wrong_threshold(
    text: &str,
    limit: Range<usize>,
    message: &str,
    metric: &Metric,
    aggregation: Aggregation,
) -> CriterionError {
    let words = words(text, limit.clone());
    // The longest: of `1m 30s please`, `1m` alone would be one too.
    let extra = words.windows(2).rev().find(|pair| {
        Threshold::parse(&text[limit.start..pair[0].end], metric, aggregation).is_ok()
            && !text[pair[1].clone()].starts_with(|c: char| c.is_ascii_digit())
    });
    if let Some(pair) = extra {
        let word = pair[1].clone();
        let message = format!("unexpected `{}` after the threshold", &text[word.clone()]);
        return error(word, &message, Some("only `each`, `every` and a window, or `before`, `during`, `after` or `outside` and a fault may follow it".into()));
    }
    let example = example(metric, aggregation);
    error(limit, message, Some(format!("such as `{example}`")))
}

/// A criterion of this metric and aggregation that is right.
fn example(metric: &Metric, aggregation: Aggregation) -> String {
    let level = match metric.unit {
        Unit::Seconds => "< 5s",
        Unit::Bytes => "< 64MiB",
        Unit::Share if metric.name == "delivery.rate" => ">= 95%",
        Unit::Share | Unit::OfOneCore | Unit::OfMean => "< 20%",
        Unit::Count => "<= 10",
        Unit::Cores => "< 1.5 cores",
        Unit::PerSecond => "> 8000/s",
    };
    match aggregation {
        Aggregation::Whole => format!("{} {level}", metric.name),
        Aggregation::Slope => format!("{} slope < 10%/h", metric.name),
        Aggregation::Growth | Aggregation::Drift => format!("{} {} < 10%", metric.name, aggregation.name()),
        Aggregation::P50
        | Aggregation::P90
        | Aggregation::P95
        | Aggregation::P99
        | Aggregation::P999
        | Aggregation::Max
        | Aggregation::Min
        | Aggregation::Mean => format!("{} {} {level}", metric.name, aggregation.name()),
    }
}

fn window(
    text: &str,
    span: Range<usize>,
    metric: &Metric,
    aggregation: Aggregation,
) -> Result<u64, CriterionError> {
    if !metric.has_windows(aggregation) {
        let subject = format!("{} {}", metric.name, aggregation.name());
        let message = format!("`{}` has no windows", subject.trim_end());
        let hint = "`every` is for ratios, rates and times: delivery.rate, throughput.tasks, throughput.messages, and each value but `drift` of coordination.time and task.time";
        return Err(error(span, &message, Some(hint.into())));
    }
    match notation::duration::parse(&text[span.clone()]) {
        Ok(0) => Err(error(span, "a window must be longer than nothing", None)),
        Ok(ns) => Ok(ns),
        Err(message) => Err(error(span, &message, None)),
    }
}

fn words(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let base = range.start;
    let part = &text[range];
    part.split_whitespace()
        .map(|word| {
            // Both point into the same string: the difference is the word's place in it.
            let start = base + (word.as_ptr() as usize - part.as_ptr() as usize);
            start..start + word.len()
        })
        .collect()
}

fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

fn error(span: Range<usize>, message: &str, hint: Option<String>) -> CriterionError {
    CriterionError::at(span, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, at: &str, message: &str, hint: &str) {
        let e = criterion(text).unwrap_err();
        assert_eq!(&text[e.span.clone()], at, "span of {e:?}");
        assert!(e.message.contains(message), "{e:?}");
        assert!(e.hint.clone().unwrap_or_default().contains(hint), "{e:?}");
    }

    #[test]
    fn what_people_write_is_read() {
        for text in [
            "delivery.rate >= 95% every 15m",
            "coordination.time p99 < 5s",
            "coordination.time p99 < 5s every 15m",
            "task.time max < 5s every 1h",
            "coordination.time p99.9 < 1m 30s",
            "coordination.time drift < 20%",
            "memory.pss.workers slope < 10%/h",
            "memory.pss.harness slope < 1MiB/h",
            "memory.anon growth <= 10%",
            "fds slope <= 0/h",
            "fds.use max < 80%",
            "throughput.messages > 8000/s every 1m",
            "incidents == 0",
            "agents.live min >= 708",
            "cpu max < 1.5 cores",
            "launch.time < 15s",
            "harness.cpu mean < 20%",
            "shm.used max < 64MiB",
        ] {
            assert_eq!(criterion(text).unwrap().to_string(), text);
        }
        assert_eq!(criterion("fds.max<80").unwrap().to_string(), "fds max < 80");
        assert_eq!(criterion("agents.deaths==0").unwrap().to_string(), "incidents == 0");
    }

    #[test]
    fn mistakes_are_pointed_at() {
        refuses("delivery.rat >= 95%", "delivery.rat", "no metric", "did you mean `delivery.rate`?");
        refuses("coordination.time < 5s", "coordination.time", "say which value", "p50, p90");
        refuses("delivery.rate p99 > 5%", "p99", "has no `p99`", "leave it out");
        refuses("delivery.rate >= 120%", "120%", "cannot exceed 100%", "");
        refuses("coordination.time p99 < 5", "5", "has no unit", "");
        refuses("coordination.time p99 < 5M", "5M", "minutes or months", "");
        refuses("memory.pss max < 64", "64", "no unit", "");
        refuses(
            "memory.pss slope < 64MiB",
            "64MiB",
            "needs a time unit",
            "such as `memory.pss slope < 10%/h`",
        );
        refuses("coordination.time p99", "coordination.time p99", "comparison is missing", "");
        refuses("coordination.time p99 <", "<", "threshold is missing", "");
        refuses("memory.pss max < 5MiB every 1m", "1m", "no windows", "ratios, rates and times");
        refuses("task.time drift < 5% every 1m", "1m", "`task.time drift` has no windows", "each value but");
        refuses("load.lateness p99 < 5s every 1m", "1m", "no windows", "ratios, rates and times");
        refuses("delivery.rate > 5% every 0s", "0s", "longer than nothing", "");
        refuses("memory.pss.worker max < 5B", "memory.pss.worker", "no metric", "memory.pss.workers");
        refuses("delivery.late != 0", "!=", "`!=` is not a comparator", "the comparators are < <=");
        refuses("delivery.late <> 0", "<>", "`<>` is not a comparator", "the comparators are < <=");
        refuses("retries <= 1.5", "1.5", "`retries` counts whole things; write a whole number", "");
        refuses("coordination.time p99 = 1s", "=", "`=` is not a comparator", "did you mean `==`?");
        refuses("coordination.time p99 =< 1s", "=<", "`=<` is not a comparator", "did you mean `<=`?");
        refuses("delivery.rate => 95%", "=>", "not a comparator", "did you mean `>=`?");
        refuses("delivery.rate ≥ 95%", "≥", "not a comparator", "did you mean `>=`?");
        refuses("incidents === 0", "===", "not a comparator", "did you mean `==`?");
        refuses("coordination.time p99 < 1s please", "please", "unexpected `please` after the threshold", "");
        refuses("coordination.time p99 < 1m 30s or so", "or", "unexpected `or` after the threshold", "");
        refuses("memory.pss slope < 1MiB/h often", "often", "unexpected `often`", "every");
        refuses("incidents == 0 at all", "at", "unexpected `at`", "");
        refuses("coordination.time p99 < 5s 3M", "5s 3M", "minutes or months", "");
        refuses("coordination.time p99 max < 5s", "max", "one aggregation", "");
    }
}
