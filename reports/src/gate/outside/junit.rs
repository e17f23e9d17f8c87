//! JUnit files, as test runners of all languages write them: `<testsuites>` or one `<testsuite>`.
//!
//! The cases are counted, and not what the attributes of their suites say about them: if a suite says more, the file was cut or changed.
//! A failure counts wherever it stands: a suite that crashes has no case for it.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::{REMARKS_MAX, Reading};

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    cases: u64,
    failed: u64,
    skipped: u64,
}

/// What the attributes of a suite say; failures and errors together.
struct Declared {
    cases: Option<u64>,
    failed: u64,
    skipped: u64,
}

/// An element that is open and counts what is in it.
struct Suite {
    declared: Declared,
    /// What had been counted where it began.
    before: Counts,
    /// Cases that are in it and in no suite within it.
    own: u64,
    depth: usize,
}

#[derive(Default)]
struct Tally {
    counts: Counts,
    suites: Vec<Suite>,
    case: Option<Case>,
    depth: usize,
    has_root: bool,
    remarks: Vec<String>,
}

struct Case {
    name: String,
    failed: bool,
    skipped: bool,
    depth: usize,
}

pub(super) fn read(text: &str) -> Result<Reading, String> {
    let mut reader = Reader::from_str(text);
    let mut tally = Tally::default();
    loop {
        let event = reader.read_event();
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).min(text.len());
        let line = || text.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        let event = event.map_err(|error| format!("line {}: it is not XML: {error}", line()))?;
        if matches!(event, Event::Eof) {
            return tally.reading();
        }
        tally.take(&event).map_err(|why| format!("line {}: {why}", line()))?;
    }
}

/// What it stands for is known without a definition: a character by its number, and the five of XML.
fn is_predefined(reference: &BytesRef<'_>) -> bool {
    reference.is_char_ref() || [&b"amp"[..], b"lt", b"gt", b"quot", b"apos"].contains(&reference.as_ref())
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).ok().flatten()?;
    let text = String::from_utf8_lossy(&found.value);
    // What cannot be resolved has been refused.
    Some(unescape(&text).map_or_else(|_| text.to_string(), Cow::into_owned))
}

/// No attribute is duplicated, and none holds what is defined nowhere.
fn check_attributes(tag: &BytesStart<'_>) -> Result<(), String> {
    for found in tag.attributes() {
        let found = found.map_err(|error| format!("it is not XML: {error}"))?;
        unescape(&String::from_utf8_lossy(&found.value)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Nothing is declared by an attribute that is absent or empty.
fn declared(tag: &BytesStart<'_>, name: &str) -> Result<Option<u64>, String> {
    match attribute(tag, name) {
        Some(text) if !text.trim().is_empty() => {
            let count = text.trim().parse();
            count.map(Some).map_err(|_| format!("`{name}` of a suite must be a count, and is `{text}`"))
        }
        _ => Ok(None),
    }
}

/// Whether the `status` or the `result` of a case is one of these words.
fn says(tag: &BytesStart<'_>, words: &[&str]) -> bool {
    let is_said = |name| {
        attribute(tag, name).is_some_and(|value| words.contains(&value.trim().to_ascii_lowercase().as_str()))
    };
    is_said("status") || is_said("result")
}

/// A case that a runner lists and did not run.
const LEFT_OUT: [&str; 6] = ["notrun", "not run", "skipped", "disabled", "suppressed", "ignored"];
/// A case that some runners mark by a word alone.
const FAILED: [&str; 10] =
    ["failed", "failure", "fail", "error", "errored", "broken", "crashed", "timeout", "timedout", "aborted"];

impl Tally {
    fn take(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(tag) => check_attributes(tag).and_then(|()| self.begin(tag)),
            Event::Empty(tag) => {
                check_attributes(tag).and_then(|()| self.begin(tag)).and_then(|()| self.end())
            }
            Event::End(_) => self.end(),
            Event::Text(text) if self.depth == 0 && !text.iter().all(u8::is_ascii_whitespace) => {
                Err("it has text outside of its root".to_owned())
            }
            Event::CData(_) | Event::GeneralRef(_) if self.depth == 0 => {
                Err("it has text outside of its root".to_owned())
            }
            // What it defines could stand for anything, cases included.
            Event::DocType(_) => Err("it has a DOCTYPE, which no test runner writes".to_owned()),
            Event::GeneralRef(reference) if !is_predefined(reference) => {
                Err(format!("`&{};` is defined nowhere", String::from_utf8_lossy(reference)))
            }
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_)
            | Event::Eof => Ok(()),
        }
    }

    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        let name = tag.local_name();
        let is_suite = matches!(name.as_ref(), b"testsuites" | b"testsuite");
        if self.depth == 0 {
            if self.has_root {
                return Err("it goes on after its end".to_owned());
            }
            if !is_suite {
                return Err("it has no `testsuite`: is it a JUnit file?".to_owned());
            }
            self.has_root = true;
        }
        self.depth += 1;
        match name.as_ref() {
            _ if is_suite => {
                let failures = declared(tag, "failures")?.unwrap_or(0);
                let declared = Declared {
                    cases: declared(tag, "tests")?,
                    failed: failures.saturating_add(declared(tag, "errors")?.unwrap_or(0)),
                    skipped: declared(tag, "skipped")?.unwrap_or(0),
                };
                self.suites.push(Suite { declared, before: self.counts, own: 0, depth: self.depth });
            }
            b"testcase" => {
                if self.case.is_some() {
                    return Err("it has a test case within a test case".to_owned());
                }
                let name = attribute(tag, "name").unwrap_or_default();
                let (failed, skipped) = (says(tag, &FAILED), says(tag, &LEFT_OUT));
                self.case = Some(Case { name, failed, skipped, depth: self.depth });
                if let Some(suite) = self.suites.last_mut() {
                    suite.own += 1;
                }
            }
            b"failure" | b"error" => match &mut self.case {
                Some(case) => case.failed = true,
                None => self.fail("a suite, outside of its cases"),
            },
            b"skipped" => {
                if let Some(case) = &mut self.case {
                    case.skipped = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        if let Some(case) = self.case.take_if(|case| case.depth == self.depth) {
            self.counts.cases += 1;
            if case.failed {
                self.fail(&case.name);
            } else {
                self.counts.skipped += u64::from(case.skipped);
            }
        }
        if let Some(suite) = self.suites.pop_if(|suite| suite.depth == self.depth) {
            suite.check(self.counts)?;
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn fail(&mut self, what: &str) {
        self.counts.failed += 1;
        if self.remarks.len() < REMARKS_MAX {
            self.remarks.push(format!("failed: {what}"));
        }
    }

    fn reading(mut self) -> Result<Reading, String> {
        if !self.has_root {
            return Err("it has no `testsuite`: is it a JUnit file?".to_owned());
        }
        if self.depth > 0 {
            return Err("it ends within an element".to_owned());
        }
        let Counts { cases, failed, skipped } = self.counts;
        if cases == 0 && failed == 0 {
            return Err("it holds no test case".to_owned());
        }
        if skipped == cases && failed == 0 {
            return Err(format!("none of its {cases} test cases ran: all were skipped"));
        }
        self.remarks.insert(0, format!("test cases: {cases}, of them {failed} failed and {skipped} skipped"));
        let counts = [("tests.total", cases), ("tests.failed", failed), ("tests.skipped", skipped)];
        let figures = counts.into_iter().map(|(name, count)| (name, count as f64)).collect();
        Ok(Reading { figures, remarks: self.remarks, ..Reading::default() })
    }
}

impl Suite {
    fn check(&self, now: Counts) -> Result<(), String> {
        let cases = now.cases - self.before.cases;
        // Some runners count the cases of the suites within a suite, and some do not.
        if let Some(said) = self.declared.cases.filter(|said| *said != cases && *said != self.own) {
            return Err(format!("a suite says that it has {said} cases, and {cases} are there"));
        }
        let failed = now.failed - self.before.failed;
        if self.declared.failed > failed {
            return Err(format!(
                "a suite says that it has {} failures and errors, and {failed} are there",
                self.declared.failed
            ));
        }
        let skipped = now.skipped - self.before.skipped;
        if self.declared.skipped > skipped {
            return Err(format!(
                "a suite says that {} of its cases were skipped, and {skipped} are there",
                self.declared.skipped
            ));
        }
        Ok(())
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
            let counted = "test cases: 4, of them 2 failed and 1 skipped";
            assert_eq!(reading.remarks, [counted, "failed: b", "failed: d"]);
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

    #[test]
    fn a_failure_counts_wherever_it_stands() {
        for text in [
            r#"<testsuite tests="1"><failure message="crash"/><testcase name="a"/></testsuite>"#,
            r#"<testsuites><error/><testsuite><testcase name="a"/></testsuite></testsuites>"#,
            r#"<testsuite><testcase name="a"><x:failure xmlns:x="urn:x"/></testcase></testsuite>"#,
        ] {
            assert_eq!(read(text).unwrap().figures.get("tests.failed"), Some(&1.0), "{text}");
        }
    }

    #[test]
    fn a_suite_that_declares_failures_which_are_not_there_is_refused() {
        for text in [
            r#"<testsuite tests="1" failures="3" errors="2"><testcase name="a"/></testsuite>"#,
            r#"<testsuite errors="1"><testcase name="a"/></testsuite>"#,
            r#"<testsuites failures="1"><testsuite><testcase name="a"/></testsuite></testsuites>"#,
        ] {
            assert!(read(text).unwrap_err().contains("failures and errors, and 0 are there"), "{text}");
        }
        let nested = r#"<testsuite tests="2" failures="1"><testsuite tests="2" failures="1">
            <testcase name="a"/><testcase name="b"><failure/></testcase></testsuite></testsuite>"#;
        assert_eq!(
            read(nested).unwrap().figures.get("tests.total"),
            Some(&2.0),
            "a suite counts what is in it"
        );
    }

    #[test]
    fn a_case_that_failed_by_its_status_failed() {
        for says in ["status=\"failed\"", "result='Failure'", "status=\"ERROR\"", "status=\" failed \""] {
            let text = format!("<testsuite tests=\"1\"><testcase name=\"a\" {says}/></testsuite>");
            assert_eq!(read(&text).unwrap().figures.get("tests.failed"), Some(&1.0), "{text}");
        }
        let passed = r#"<testsuite><testcase name="a" status="run" result="completed"/></testsuite>"#;
        assert_eq!(read(passed).unwrap().figures.get("tests.failed"), Some(&0.0));
    }

    #[test]
    fn totals_that_are_not_those_of_the_cases_are_refused_with_the_line() {
        let case = r#"<testcase name="a"/>"#;
        for (text, why) in [
            (
                format!("<testsuite tests=\"1\">\n{case}\n{case}\n</testsuite>"),
                "line 4: a suite says that it has 1 cases, and 2",
            ),
            (format!("<testsuite tests=\"0\">{case}</testsuite>"), "0 cases, and 1 are there"),
            (format!("<testsuite tests=\"-1\">{case}</testsuite>"), "must be a count, and is `-1`"),
            (format!("<testsuite skipped=\"1\">{case}</testsuite>"), "1 of its cases were skipped, and 0"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        // With the cases of the suites within it, and without.
        for outer in [1, 2] {
            let nested = format!(
                "<testsuite tests=\"{outer}\">{case}<testsuite tests=\"1\">{case}</testsuite></testsuite>"
            );
            assert!(read(&nested).is_ok(), "{nested}");
        }
        // One that holds only suites has no case of its own.
        let inner = format!("<testsuite tests=\"2\">{case}{case}</testsuite>");
        for outer in [0, 2] {
            let nested = format!("<testsuite tests=\"{outer}\">{inner}</testsuite>");
            assert_eq!(read(&nested).unwrap().figures.get("tests.total"), Some(&2.0), "{nested}");
        }
        let error = read(&format!("<testsuite tests=\"0\">{case}{inner}</testsuite>")).unwrap_err();
        assert!(error.contains("0 cases, and 3 are there"), "{error}");
    }

    #[test]
    fn what_could_stand_for_anything_is_refused() {
        let case = r#"<testcase name="a &amp; b">&lt;&#10;</testcase>"#;
        assert!(read(&format!("<testsuite>{case}</testsuite>")).is_ok());
        let doctype = r#"<!DOCTYPE t [<!ENTITY c "<testcase name='b'><failure/></testcase>">]>"#;
        let error = read(&format!("\n{doctype}\n<testsuite>{case}&c;</testsuite>")).unwrap_err();
        assert!(error.contains("line 2: it has a DOCTYPE"), "{error}");
        let by_number = r#"<testsuite><testcase name="a" status="&#102;ailed"/></testsuite>"#;
        assert_eq!(read(by_number).unwrap().figures.get("tests.failed"), Some(&1.0));
        for (attributes, why) in [("status=\"&c;\"", "c"), ("status=\"ok\" status=\"failed\"", "duplicate")] {
            let error = read(&format!("<testsuite><testcase {attributes}/></testsuite>")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let error = read(&format!("<testsuite>{case}&c;</testsuite>")).unwrap_err();
        assert!(error.contains("`&c;` is defined nowhere"), "{error}");
    }

    #[test]
    fn tests_that_did_not_run_are_no_evidence() {
        let skipped = r#"<testsuite><testcase name="a"><skipped/></testcase></testsuite>"#;
        let left_out = r#"<testsuite><testcase name="a" status="notrun"/></testsuite>"#;
        for text in [skipped, left_out] {
            assert!(read(text).unwrap_err().contains("all were skipped"), "{text}");
        }
    }

    #[test]
    fn what_follows_the_root_is_refused() {
        let good = r#"<testsuite><testcase name="a"/></testsuite>"#;
        assert!(read(&format!("{good}\n<!-- made by a runner -->\n")).is_ok());
        for junk in ["junk", good, "<failure/>", "<![CDATA[x]]>"] {
            assert!(read(&format!("{good}{junk}")).is_err(), "{junk}");
        }
    }
}
