//! Counts of what should not be there, which may fall and never rise.
//!
//! `ci/ratchets.toml` has a number for each rule and each retired term. A count above its number is an error. One below
//! it means that the tree has improved: `cargo xtask tidy --tighten` writes the lower number, so that it stays so.

use super::Finding;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) const FILE: &str = "ci/ratchets.toml";

/// Of the sites of one rule that has grown: there is no telling which of them is new.
const SHOWN_MAX: usize = 30;

/// The tables of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Rules,
    Terms,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Terms => "terms",
        }
    }
}

/// What a rule finds in the tree.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) table: Table,
    pub(super) name: String,
    pub(super) count: usize,
    /// Where. Most rules count these.
    pub(super) sites: Vec<Finding>,
}

impl Measure {
    pub(super) fn rule(name: impl Into<String>, sites: Vec<Finding>) -> Self {
        Self { table: Table::Rules, name: name.into(), count: sites.len(), sites }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ratchets {
    /// The last commit whose subject is not looked at.
    pub(super) commits_after: String,
    numbers: BTreeMap<(Table, String), usize>,
}

impl Ratchets {
    pub(super) fn parse(text: &str) -> Result<Self, Finding> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Finding::error(FILE, line, format!("must be TOML: {}", error.message()))
        })?;
        let commits_after = table
            .get("commits")
            .and_then(|commits| commits.get("after")?.as_str())
            .ok_or_else(|| Finding::error(FILE, 1, "must name a commit: [commits] after = \"…\""))?;
        let mut numbers = BTreeMap::new();
        for kind in [Table::Rules, Table::Terms] {
            let rows = table.get(kind.name()).and_then(toml::Value::as_table);
            for (name, number) in rows.into_iter().flatten() {
                let number = number.as_integer().and_then(|number| usize::try_from(number).ok());
                let number = number.ok_or_else(|| {
                    Finding::error(FILE, line_of(text, name), format!("`{name}` must be a count"))
                })?;
                numbers.insert((kind, name.clone()), number);
            }
        }
        Ok(Self { commits_after: commits_after.to_owned(), numbers })
    }

    /// `strict` is for CI, where a number that could be lower is an error too.
    pub(super) fn hold(&self, text: &str, measures: &[Measure], strict: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        for Measure { table, name, count, sites } in measures {
            let limit = self.numbers.get(&(*table, name.clone())).copied().unwrap_or_default();
            let line = line_of(text, name);
            if *count > limit {
                findings.extend(sites.iter().take(SHOWN_MAX).cloned());
                let more = sites.len().saturating_sub(SHOWN_MAX);
                let more = if more == 0 { String::new() } else { format!(", {more} more") };
                let what = format!("{name}: {count} in the tree, and at most {limit} may be (listed{more})");
                findings.push(Finding::error(FILE, line, what));
            } else if *count < limit {
                let what = format!("{name}: {limit} can be lowered to {count}: cargo xtask tidy --tighten");
                let finding = Finding::warning(FILE, line, what);
                findings.push(if strict {
                    Finding { weight: super::Weight::Error, ..finding }
                } else {
                    finding
                });
            }
        }
        findings
    }

    /// Each number as low as it can be. Terms that are new begin with what there is.
    pub(super) fn tighten(&mut self, measures: &[Measure]) {
        let is_known = |name: &String| measures.iter().any(|measure| measure.name == *name);
        // A rule that was not looked at (subjects, in a shallow clone) keeps its number.
        self.numbers.retain(|(table, name), _| *table == Table::Rules || is_known(name));
        for Measure { table, name, count, .. } in measures {
            let key = (*table, name.clone());
            let number = match self.numbers.get(&key) {
                Some(number) => *count.min(number),
                None if *table == Table::Terms => *count,
                // Without a number it is 0.
                None => continue,
            };
            self.numbers.insert(key, number);
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!(
            "# How much there still is of what should not be there. A number may be lowered and never raised:\n\
             # `cargo xtask tidy` holds the tree against it, `cargo xtask tidy --tighten` writes what has become less.\n\n\
             [commits]\n# Subjects of commits after this one are looked at.\nafter = \"{}\"\n",
            self.commits_after
        );
        for kind in [Table::Rules, Table::Terms] {
            let _ = writeln!(text, "\n[{}]", kind.name());
            for ((_, name), number) in self.numbers.iter().filter(|((table, _), _)| *table == kind) {
                let _ = writeln!(text, "{} = {number}", quoted(name));
            }
        }
        text
    }
}

fn quoted(name: &str) -> String {
    let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if is_bare { name.to_owned() } else { format!("'{name}'") }
}

fn line_of(text: &str, name: &str) -> usize {
    let start = format!("{} = ", quoted(name));
    text.lines().position(|line| line.starts_with(&start)).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    const TEXT: &str =
        "[commits]\nafter = \"a1\"\n[rules]\nlong-files = 2\n'a/b-cycles' = 1\n[terms]\n'`Wish`' = 3\n";

    fn measure(table: Table, name: &str, count: usize) -> Measure {
        let sites = (0..count).map(|line| Finding::error("a.rs", line + 1, "found")).collect();
        Measure { table, name: name.to_owned(), count, sites }
    }

    fn held(measures: &[Measure], strict: bool) -> Vec<(usize, Weight)> {
        let findings = Ratchets::parse(TEXT).expect("the fixture is whole").hold(TEXT, measures, strict);
        findings.iter().filter(|found| found.path == FILE).map(|found| (found.line, found.weight)).collect()
    }

    #[test]
    fn more_is_an_error_with_its_sites() {
        let found = Ratchets::parse(TEXT).expect("whole").hold(
            TEXT,
            &[measure(Table::Rules, "long-files", 3)],
            false,
        );
        assert_eq!(found.iter().filter(|found| found.path == "a.rs").count(), 3);
        assert_eq!(held(&[measure(Table::Rules, "long-files", 3)], false), [(4, Weight::Error)]);
        assert_eq!(held(&[measure(Table::Rules, "new", 1)], false), [(1, Weight::Error)]);
    }

    #[test]
    fn as_much_is_fine_and_less_asks_for_a_lower_number() {
        assert_eq!(held(&[measure(Table::Rules, "long-files", 2)], true), []);
        assert_eq!(held(&[measure(Table::Rules, "a/b-cycles", 0)], false), [(5, Weight::Warning)]);
        assert_eq!(held(&[measure(Table::Terms, "`Wish`", 0)], true), [(7, Weight::Error)]);
    }

    #[test]
    fn tightening_lowers_and_never_raises() {
        let mut ratchets = Ratchets::parse(TEXT).expect("whole");
        let measures = [
            measure(Table::Rules, "long-files", 1),
            measure(Table::Rules, "a/b-cycles", 9),
            measure(Table::Rules, "new", 4),
            measure(Table::Terms, "new term", 5),
        ];
        ratchets.tighten(&measures);
        let text = ratchets.to_text();
        assert!(
            text.ends_with("[rules]\n'a/b-cycles' = 1\nlong-files = 1\n\n[terms]\n'new term' = 5\n"),
            "{text}"
        );
        assert_eq!(Ratchets::parse(&text), Ok(ratchets));
    }

    #[test]
    fn what_is_no_count_is_told_with_its_line() {
        let found = Ratchets::parse("[commits]\nafter = \"a\"\n[rules]\na = -1\n")
            .expect_err("a count is not negative");
        assert_eq!((found.line, found.path.as_str()), (4, FILE));
        assert!(Ratchets::parse("[rules]\n").is_err() && Ratchets::parse("a = ").is_err());
    }
}
