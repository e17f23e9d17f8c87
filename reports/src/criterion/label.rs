//! The label of a criterion, `{workload="compile"}`: of which part of the tasks its figure is.
//!
//! It stands directly behind the metric. The name may be in double quotes, in single ones, which need no escape in a
//! string of TOML, or in none; it is written with double quotes.

use std::ops::Range;

use super::CriterionError;
use super::catalogue::{Metric, catalogue};
use notation::suggest;

/// The only label so far.
pub(super) const WORKLOAD: &str = "workload";

/// A name, and where it stands.
pub(super) struct Label {
    pub(super) workload: String,
    /// Of the whole, braces included.
    pub(super) span: Range<usize>,
}

/// Takes the label out of `text`: blanks of the same length stand in its place in what is returned, so that every other
/// word keeps its place.
pub(super) fn take(text: &str) -> Result<(String, Option<Label>), CriterionError> {
    let Some(open) = text.find(['{', '}']) else { return Ok((text.to_owned(), None)) };
    let how = || Some(format!("write `metric{{{WORKLOAD}=\"name\"}}`"));
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
    let workload = workload(text, open + 1..span.end - 1)?;
    let blank = format!("{}{}{}", &text[..open], " ".repeat(span.len()), &text[span.end..]);
    Ok((blank, Some(Label { workload, span })))
}

/// What is between the braces.
fn workload(text: &str, inside: Range<usize>) -> Result<String, CriterionError> {
    let how = || Some(format!("write `{{{WORKLOAD}=\"name\"}}`"));
    let Some((label, value)) = text[inside.clone()].split_once('=') else {
        return Err(error(inside, "a label is a name and its value", how()));
    };
    if label.trim() != WORKLOAD {
        let near = suggest::nearest(label.trim(), [WORKLOAD]);
        let hint = near.map_or_else(
            || format!("the only label is `{WORKLOAD}`"),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("there is no label `{}`", label.trim());
        return Err(error(inside.start..inside.start + label.len(), &message, Some(hint)));
    }
    let value_at = inside.end - value.len()..inside.end;
    let value = value.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let name = quoted.unwrap_or(value);
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_name {
        let message = format!("`{value}` is not the name of a workload");
        return Err(error(value_at, &message, how()));
    }
    Ok(name.to_owned())
}

fn error(span: Range<usize>, message: &str, hint: Option<String>) -> CriterionError {
    CriterionError::at(span, message, hint)
}

/// A label behind a metric that is not divided by workload is refused.
pub(super) fn check(label: &Label, metric: &Metric) -> Result<(), CriterionError> {
    if metric.by_workload() {
        return Ok(());
    }
    let with: Vec<&str> = catalogue().iter().filter(|m| m.by_workload()).map(|m| m.name).collect();
    let message = format!("`{}` has no label `{WORKLOAD}`", metric.name);
    Err(error(label.span.clone(), &message, Some(format!("{} have it", with.join(", ")))))
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
        refuses("task.time{coordinator='a'} p95 < 2s", "coordinator", "no label", "the only label is");
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
        assert!(CriterionPair::parse(pass, Some("task.time{workload=a} max < 3s")).is_ok());
    }
}
