//! JUnit files, as test runners of all languages write them: `<testsuites>` or one `<testsuite>`.
//!
//! The cases are counted, and not what the attributes of their suites say about them: if these differ, the file was cut or changed.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{REMARKS_MAX, Reading};

#[derive(Default)]
struct Tally {
    cases: u64,
    failed: u64,
    skipped: u64,
    /// Of suites without suites in them, as their attributes have it.
    declared: Option<u64>,
    remarks: Vec<String>,
}

#[derive(Default)]
struct Case {
    name: String,
    failed: bool,
    skipped: bool,
}

pub(super) fn read(text: &str) -> Result<Reading, String> {
    let mut reader = Reader::from_str(text);
    let (mut tally, mut open, mut depth, mut is_junit) = (Tally::default(), None::<Case>, 0_u32, false);
    loop {
        let event = reader.read_event().map_err(|error| format!("it is not XML: {error}"))?;
        match &event {
            Event::Start(tag) => {
                depth += 1;
                is_junit |= is_suite(tag);
                begin(tag, &mut tally, &mut open);
            }
            Event::Empty(tag) => {
                is_junit |= is_suite(tag);
                begin(tag, &mut tally, &mut open);
                if tag.name().as_ref() == b"testcase" {
                    tally.take(&mut open);
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if tag.name().as_ref() == b"testcase" {
                    tally.take(&mut open);
                }
            }
            Event::Eof => break,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if !is_junit {
        return Err("it has no `testsuite`: is it a JUnit file?".to_owned());
    }
    if depth > 0 {
        return Err("it ends within an element".to_owned());
    }
    tally.reading()
}

fn is_suite(tag: &BytesStart<'_>) -> bool {
    matches!(tag.name().as_ref(), b"testsuites" | b"testsuite")
}

fn begin(tag: &BytesStart<'_>, tally: &mut Tally, open: &mut Option<Case>) {
    match tag.name().as_ref() {
        b"testsuite" => {
            if let Some(tests) = attribute(tag, "tests").and_then(|text| text.parse::<u64>().ok()) {
                tally.declared = Some(tally.declared.unwrap_or(0).saturating_add(tests));
            }
        }
        b"testcase" => {
            *open = Some(Case { name: attribute(tag, "name").unwrap_or_default(), ..Case::default() });
        }
        b"failure" | b"error" => {
            if let Some(case) = open {
                case.failed = true;
            }
        }
        b"skipped" => {
            if let Some(case) = open {
                case.skipped = true;
            }
        }
        _ => {}
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).ok().flatten()?;
    Some(String::from_utf8_lossy(&found.value).into_owned())
}

impl Tally {
    fn take(&mut self, open: &mut Option<Case>) {
        let Some(case) = open.take() else { return };
        self.cases += 1;
        self.failed += u64::from(case.failed);
        self.skipped += u64::from(case.skipped && !case.failed);
        if case.failed && self.remarks.len() < REMARKS_MAX {
            self.remarks.push(format!("failed: {}", case.name));
        }
    }

    fn reading(self) -> Result<Reading, String> {
        if let Some(declared) = self.declared.filter(|declared| *declared > self.cases) {
            return Err(format!("it says that it has {declared} cases, and {} are there", self.cases));
        }
        if self.cases == 0 {
            return Err("it holds no test case".to_owned());
        }
        let counts =
            [("tests.total", self.cases), ("tests.failed", self.failed), ("tests.skipped", self.skipped)];
        let figures = counts.into_iter().map(|(name, count)| (name, count as f64)).collect();
        Ok(Reading { figures, remarks: self.remarks, ..Reading::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_in_either_form() {
        let cases = r#"<testcase name="a"/><testcase name="b"><failure message="no"/></testcase>
            <testcase name="c"><skipped/></testcase><testcase name="d"><error/></testcase>"#;
        let one = format!(r#"<?xml version="1.0"?><testsuite name="s" tests="4">{cases}</testsuite>"#);
        let several =
            format!(r#"<testsuites tests="4"><testsuite name="s">{cases}</testsuite></testsuites>"#);
        for text in [one, several] {
            let reading = read(&text).unwrap();
            let of = |name| reading.figures[name];
            assert_eq!((of("tests.total"), of("tests.failed"), of("tests.skipped")), (4.0, 2.0, 1.0));
            assert_eq!(reading.remarks, ["failed: b", "failed: d"]);
        }
    }

    #[test]
    fn a_file_that_was_cut_or_emptied_is_refused() {
        for (text, why) in [
            ("<testsuite tests=\"2\"><testcase name=\"a\"/></testsuite>", "2 cases, and 1 are there"),
            ("<testsuite tests=\"0\"></testsuite>", "no test case"),
            ("<testsuite><testcase name=\"a\"/>", "within an element"),
            ("<html></html>", "no `testsuite`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
