//! The label of a criterion: of which part its figure is. `{workload="compile"}` is of the tasks of one workload,
//! `{coordinator="3"}` of the answers of one coordinator.
//!
//! It stands directly behind the metric. The value may be in double quotes, in single ones, which need no escape in a
//! string of TOML, or in none; it is written with double quotes.

use std::fmt;
use std::ops::Range;

use super::CriterionError;
use super::catalogue::{Metric, catalogue};
use notation::suggest;

const WORKLOAD: &str = "workload";
const COORDINATOR: &str = "coordinator";
const NAMES: [&str; 2] = [WORKLOAD, COORDINATOR];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    /// Its name.
    Workload(String),
    /// Its number.
    Coordinator(u32),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(name) => write!(f, "{{{WORKLOAD}=\"{name}\"}}"),
            Self::Coordinator(number) => write!(f, "{{{COORDINATOR}=\"{number}\"}}"),
        }
    }
}

/// A label, and where it stands.
pub(super) struct Found {
    pub(super) label: Label,
    /// Of the whole, braces included.
    pub(super) span: Range<usize>,
}

/// Takes the label out of `text`: blanks of the same length stand in its place in what is returned, so that every other
/// word keeps its place.
pub(super) fn take(text: &str) -> Result<(String, Option<Found>), CriterionError> {
    let Some(open) = text.find(['{', '}']) else { return Ok((text.to_owned(), None)) };
    let how = || Some(format!("write `metric{{{WORKLOAD}=\"name\"}}` or `metric{{{COORDINATOR}=\"0\"}}`"));
    let Some(length) = text[open..].find('}').filter(|_| text[open..].starts_with('{')) else {
        return Err(error(open..open + 1, "a brace without its other half", how()));
    };
    let span = open..open + length + 1;
    if let Some(more) = text[span.end..].find(['{', '}']) {
        let at = span.end + more;
        return Err(error(at..at + 1, "one label is enough", how()));
    }
    if text[..open].split_whitespace().count() != 1 {
        return Err(error(span, "a label stands directly behind the metric", how()));
    }
    let label = read(text, open + 1..span.end - 1)?;
    let blank = format!("{}{}{}", &text[..open], " ".repeat(span.len()), &text[span.end..]);
    Ok((blank, Some(Found { label, span })))
}

/// What is between the braces.
fn read(text: &str, inside: Range<usize>) -> Result<Label, CriterionError> {
    let Some((name, value)) = text[inside.clone()].split_once('=') else {
        let how = format!("write `{{{WORKLOAD}=\"name\"}}` or `{{{COORDINATOR}=\"0\"}}`");
        return Err(error(inside, "a label is a name and its value", Some(how)));
    };
    let value_at = inside.end - value.len()..inside.end;
    let value = value.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let bare = quoted.unwrap_or(value);
    let is_name =
        !bare.is_empty() && bare.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    // One way to write a number.
    let number = bare.parse::<u32>().ok().filter(|number| number.to_string() == bare);
    match name.trim() {
        WORKLOAD if is_name => Ok(Label::Workload(bare.to_owned())),
        WORKLOAD => {
            let message = format!("`{value}` is not the name of a workload");
            Err(error(value_at, &message, Some(format!("write `{{{WORKLOAD}=\"name\"}}`"))))
        }
        COORDINATOR => number.map(Label::Coordinator).ok_or_else(|| {
            let message = format!("`{value}` is not the number of a coordinator");
            error(value_at, &message, Some(format!("write `{{{COORDINATOR}=\"0\"}}` for the first")))
        }),
        other => {
            let near = suggest::nearest(other, NAMES);
            let hint = near.map_or_else(
                || format!("the labels are `{WORKLOAD}` and `{COORDINATOR}`"),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("there is no label `{other}`");
            Err(error(inside.start..inside.start + name.len(), &message, Some(hint)))
        }
    }
}

/// That there is no workload of this name, as the end of a sentence, and what to do. `names` are those that there are.
pub fn no_workload(named: &str, names: &[&str]) -> Option<(String, String)> {
    if names.contains(&named) {
        return None;
    }
    let hint = match names {
        [] => "give [workload] a `name`, or leave the label out".to_owned(),
        _ => suggest::hint(named, names),
    };
    Some((format!("no workload `{named}`"), hint))
}

/// That there is no coordinator of this number among so many, as the end of a sentence, and what to do.
pub fn no_coordinator(number: u32, coordinators: u32) -> Option<(String, String)> {
    let hint = match coordinators {
        1 => "its only coordinator is 0".to_owned(),
        all => format!("they are numbered 0 to {}", all.saturating_sub(1)),
    };
    (number >= coordinators).then(|| (format!("no coordinator {number}"), hint))
}

fn error(span: Range<usize>, message: &str, hint: Option<String>) -> CriterionError {
    CriterionError::at(span, message, hint)
}

/// A label behind a metric that is not divided like that is refused.
pub(super) fn check(found: &Found, metric: &Metric) -> Result<(), CriterionError> {
    let (name, has): (_, fn(&Metric) -> bool) = match found.label {
        Label::Workload(_) => (WORKLOAD, Metric::by_workload),
        Label::Coordinator(_) => (COORDINATOR, Metric::by_coordinator),
    };
    if has(metric) {
        return Ok(());
    }
    let with: Vec<&str> = catalogue().iter().filter(|m| has(m)).map(|m| m.name).collect();
    let message = format!("`{}` has no label `{name}`", metric.name);
    Err(error(found.span.clone(), &message, Some(format!("{} have it", with.join(", ")))))
}

#[cfg(test)]
mod tests {
    use crate::criterion::Criterion;

    #[track_caller]
    fn refuses(text: &str, at: &str, message: &str, hint: &str) {
        let e = Criterion::parse(text).unwrap_err();
        assert_eq!(&text[e.span.clone()], at, "span of {e:?}");
        assert!(e.message.contains(message), "{e:?}");
        assert!(e.hint.clone().unwrap_or_default().contains(hint), "{e:?}");
    }

    #[test]
    fn a_label_is_read_however_it_is_quoted_and_written_in_one_way() {
        let canonical = r#"task.time{workload="compile"} p95 < 2s"#;
        for text in [
            canonical,
            "task.time{workload='compile'} p95 < 2s",
            "task.time{workload=compile} p95 < 2s",
            "  task.time { workload = 'compile' }  p95<2s",
        ] {
            let read = Criterion::parse(text).unwrap();
            assert_eq!((read.to_string().as_str(), read.workload()), (canonical, Some("compile")));
        }
        for text in [
            r#"delivery.rate{workload="a-1"} >= 95% every 15m"#,
            r#"delivery.failed{workload="a"} == 0"#,
            r#"throughput.tasks{workload="a"} > 10/s"#,
            r#"task.time{workload="a"} drift < 20%"#,
            r#"delivery.late{workload="a"} == 0"#,
            r#"delivery.late{coordinator="0"} == 0"#,
            r#"delivery.duplicates{coordinator="12"} <= 3"#,
        ] {
            assert_eq!(Criterion::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_in_a_label_are_pointed_at() {
        refuses(
            "task.time{worklod='a'} p95 < 2s",
            "worklod",
            "no label `worklod`",
            "did you mean `workload`?",
        );
        refuses("task.time{colour='a'} p95 < 2s", "colour", "no label `colour`", "the labels are");
        refuses("task.time{coordinator=0} p95 < 2s", "{coordinator=0}", "has no label", "delivery.late");
        refuses(
            "delivery.late{coordinator=a} == 0",
            "a",
            "is not the number of a coordinator",
            "for the first",
        );
        refuses("delivery.late{coordinator='01'} == 0", "'01'", "is not the number of a coordinator", "");
        refuses("memory.pss{workload='a'} max < 2GiB", "{workload='a'}", "has no label", "task.time");
        refuses("task.time{workload} p95 < 2s", "workload", "a name and its value", "workload=");
        refuses("task.time{workload=''} p95 < 2s", "''", "is not the name of a workload", "");
        refuses("task.time{workload='a\"} p95 < 2s", "'a\"", "is not the name of a workload", "");
        refuses("task.time{workload='a' p95 < 2s", "{", "without its other half", "");
        refuses("task.time}p95 < 2s", "}", "without its other half", "");
        refuses("task.time p95{workload='a'} < 2s", "{workload='a'}", "directly behind the metric", "");
        refuses("{workload='a'} p95 < 2s", "{workload='a'}", "directly behind the metric", "");
        refuses("task.time{workload='a'}{workload='b'} p95 < 2s", "{", "one label is enough", "");
        refuses("task.tim{workload='a'} p95 < 2s", "task.tim", "no metric", "task.time");
        refuses("task.time{workload='a'} p98 < 2s", "p98", "has no `p98`", "p95");
        refuses("task.time{workload='a'} p95 < 2", "2", "has no unit", "");
    }

    #[test]
    fn a_conditional_is_about_the_same_workload() {
        use crate::criterion::CriterionPair;
        let pass = "task.time{workload='a'} max < 2s";
        let other = CriterionPair::parse(pass, Some("task.time{workload='b'} max < 3s")).unwrap_err();
        assert!(other.message.contains("another figure"), "{other:?}");
        let pass = "delivery.late{coordinator=0} == 0";
        let other = CriterionPair::parse(pass, Some("delivery.late{coordinator=1} <= 3")).unwrap_err();
        assert!(other.message.contains("another figure"), "{other:?}");
        let pass = "task.time{workload='a'} max < 2s";
        assert!(CriterionPair::parse(pass, Some("task.time{workload=a} max < 3s")).is_ok());
    }
}
