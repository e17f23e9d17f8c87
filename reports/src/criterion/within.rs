//! The last words of a criterion, `after kill-3`: of which part of the load its figure is.

use std::ops::Range;

use super::CriterionError;
use super::catalogue::{Aggregation, Metric};
use crate::stretch::{ANY_FAULT, Side, Stretch};

/// A part of the load, and where it stands.
type Found = (Stretch, Range<usize>);

/// Among the words behind the comparison: where what stands before the last ones ends, and the part of the load with its
/// place in the text.
pub(super) fn split(
    text: &str,
    words: &[Range<usize>],
    metric: &Metric,
    aggregation: Aggregation,
) -> Result<(usize, Option<Found>), CriterionError> {
    let side_of = |word: &Range<usize>| Side::ALL.into_iter().find(|side| side.name() == &text[word.clone()]);
    let Some((at, side)) = words.iter().enumerate().find_map(|(at, word)| Some((at, side_of(word)?))) else {
        return Ok((text.len(), None));
    };
    let word = words[at].clone();
    let how =
        || Some(format!("write `{} name`, or `{} {ANY_FAULT}` for all of them", side.name(), side.name()));
    let name = match &words[at + 1..] {
        [] => return Err(CriterionError::at(word, "the name of a fault is missing", how())),
        [name] => name.clone(),
        [_, more, ..] => {
            return Err(CriterionError::at(more.clone(), "one fault is enough, and it stands last", how()));
        }
    };
    let named = &text[name.clone()];
    if !named.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Err(CriterionError::at(name, &format!("`{named}` is not the name of a fault"), how()));
    }
    let span = word.start..name.end;
    if !metric.has_stretch(aggregation, side) {
        return Err(refused(span, metric, aggregation, side));
    }
    let fault = (named != ANY_FAULT).then(|| named.to_owned());
    Ok((word.start, Some((Stretch { side, fault }, span))))
}

fn refused(span: Range<usize>, metric: &Metric, aggregation: Aggregation, side: Side) -> CriterionError {
    let subject = format!("{} {}", metric.name, aggregation.name());
    let message = format!("`{}` has no `{}`", subject.trim_end(), side.name());
    let hint = if metric.id.is_of_faults() {
        "of what faults cost, `during` and a name says which fault is meant"
    } else {
        "figures of the whole run and trends are not divided; ask for one of the load's times, counts and rates, or \
         for max, mean or min of a gauge"
    };
    CriterionError::at(span, &message, Some(hint.to_owned()))
}

/// Beside `each` or `every`.
pub(super) fn beside(span: Range<usize>, other: &str) -> CriterionError {
    let message = format!("a part of the load and `{other}` do not go together");
    CriterionError::at(span, &message, Some(format!("leave it out, or `{other}`")))
}

#[cfg(test)]
mod tests {
    use crate::criterion::{Criterion, CriterionPair};

    #[track_caller]
    fn refuses(text: &str, at: &str, message: &str) {
        let e = Criterion::parse(text).unwrap_err();
        assert_eq!(&text[e.span.clone()], at, "span of {e:?}");
        assert!(e.message.contains(message), "{e:?}");
    }

    #[test]
    fn a_part_of_the_load_is_read_and_written() {
        for text in [
            "delivery.rate >= 100% after kill-3",
            "coordination.time p99 < 1s outside faults",
            "balance < 10% outside faults",
            "memory.pss.workers max < 1GiB before kill-1",
            "incidents == 0 during pause",
            r#"task.time{workload="a"} max < 2s after kill-3"#,
            "recovery.time max < 1s during kill-3",
            "fault.loss == 0 during kill-3",
        ] {
            assert_eq!(Criterion::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_in_a_part_of_the_load_are_pointed_at() {
        refuses("delivery.rate >= 100% after", "after", "name of a fault is missing");
        refuses("delivery.rate >= 100% after kill-3 please", "please", "one fault is enough");
        refuses("delivery.rate >= 100% after Kill", "Kill", "not the name of a fault");
        refuses("delivery.rate >= 100% every 1m after kill", "after kill", "do not go together");
        refuses("memory.pss max < 1MiB each after kill", "after kill", "do not go together");
        refuses("memory.pss slope < 1%/h after kill", "after kill", "`memory.pss slope` has no `after`");
        refuses("pool.reuse > 90% outside faults", "outside faults", "has no `outside`");
        refuses("recovery.time max < 1s after kill", "after kill", "has no `after`");
        refuses("delivery.rate >= after kill", ">= after kill", "a threshold is missing");
    }

    #[test]
    fn a_conditional_is_about_the_same_part_of_the_load() {
        let pass = "delivery.rate >= 100% after kill-3";
        let other = CriterionPair::parse(pass, Some("delivery.rate >= 99% after kill-1")).unwrap_err();
        assert!(other.message.contains("another figure"), "{other:?}");
        assert!(CriterionPair::parse(pass, Some("delivery.rate >= 99% after kill-3")).is_ok());
    }
}
