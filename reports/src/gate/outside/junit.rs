//! JUnit files, as test runners of all languages write them: `<testsuites>` or one `<testsuite>`.
//!
//! The cases are counted, and not what the attributes of their suites say about them: if a suite says more, the file was cut or changed.
//! A failure counts wherever it stands: a suite that crashes has no case for it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{REMARKS_MAX, Reading};

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    cases: u64,
    failed: u64,
    skipped: u64,
}

/// An element that is open and counts what is in it.
struct Suite {
    /// What its attributes say.
    declared: Counts,
    /// What had been counted where it began.
    before: Counts,
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

#[derive(Default)]
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
        let event = reader.read_event().map_err(|error| format!("it is not XML: {error}"))?;
        match &event {
            Event::Start(tag) => tally.begin(tag)?,
            Event::Empty(tag) => {
                tally.begin(tag)?;
                tally.end()?;
            }
            Event::End(_) => tally.end()?,
            Event::Text(text) if tally.depth == 0 && !text.iter().all(u8::is_ascii_whitespace) => {
                return Err("it has text outside of its root".to_owned());
            }
            Event::CData(_) | Event::GeneralRef(_) if tally.depth == 0 => {
                return Err("it has text outside of its root".to_owned());
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
    tally.reading()
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).ok().flatten()?;
    Some(String::from_utf8_lossy(&found.value).into_owned())
}

/// Nothing is declared by an attribute that is absent or empty.
fn declared(tag: &BytesStart<'_>, name: &str) -> Result<u64, String> {
    match attribute(tag, name) {
        Some(text) if !text.trim().is_empty() => {
            text.trim().parse().map_err(|_| format!("`{name}` of a suite is `{text}`, and no count"))
        }
        _ => Ok(0),
    }
}

/// A case that a runner lists and did not run.
fn is_left_out(tag: &BytesStart<'_>) -> bool {
    let says = |name, words: &[&str]| {
        attribute(tag, name).is_some_and(|value| words.contains(&value.to_ascii_lowercase().as_str()))
    };
    let words = ["notrun", "not run", "skipped", "disabled", "suppressed", "ignored"];
    says("status", &words) || says("result", &words)
}

impl Tally {
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
                let failed = declared(tag, "failures")?.saturating_add(declared(tag, "errors")?);
                let declared = Counts { cases: declared(tag, "tests")?, failed, skipped: 0 };
                self.suites.push(Suite { declared, before: self.counts, depth: self.depth });
            }
            b"testcase" => {
                if self.case.is_some() {
                    return Err("it has a test case within a test case".to_owned());
                }
                let name = attribute(tag, "name").unwrap_or_default();
                self.case =
                    Some(Case { name, skipped: is_left_out(tag), depth: self.depth, ..Case::default() });
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
        if self.declared.cases > cases {
            return Err(format!("it says that it has {} cases, and {cases} are there", self.declared.cases));
        }
        let failed = now.failed - self.before.failed;
        if self.declared.failed > failed {
            return Err(format!(
                "a suite says that it has {} failures and errors, and {failed} are there",
                self.declared.failed
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
