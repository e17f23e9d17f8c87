//! The grammar of a criterion for facts from outside: `coverage.lines >= 75%`, `tests.failed == 0`.
//!
//! As that of a run's criteria, without aggregations and windows: such a file holds one value a figure.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::criterion::{Comparator, CriterionError, comparison};
use crate::units;
use notation::suggest;

/// What a file from outside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Lcov,
    LlvmCov,
    Junit,
    CargoDeny,
    CargoAudit,
    Comparison,
    Statement,
}

impl Format {
    pub fn word(self) -> &'static str {
        match self {
            Self::Lcov => "lcov",
            Self::LlvmCov => "llvm-cov",
            Self::Junit => "junit",
            Self::CargoDeny => "cargo-deny",
            Self::CargoAudit => "cargo-audit",
            Self::Comparison => "comparison",
            Self::Statement => "statement",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Share,
    Count,
}

/// One figure that a file of some format has.
#[derive(Debug, PartialEq, Eq)]
pub struct Outside {
    pub name: &'static str,
    pub unit: Unit,
    pub says: &'static str,
    pub formats: &'static [Format],
}

const fn figure(name: &'static str, unit: Unit, formats: &'static [Format], says: &'static str) -> Outside {
    Outside { name, unit, says, formats }
}

const COVERAGE: &[Format] = &[Format::Lcov, Format::LlvmCov];
const DENY: &[Format] = &[Format::CargoDeny];
const COMPARISON: &[Format] = &[Format::Comparison];
const ADVISORIES: &[Format] = &[Format::CargoDeny, Format::CargoAudit];

/// All of them.
pub static CATALOGUE: [Outside; 14] = [
    figure("coverage.lines", Unit::Share, COVERAGE, "lines that tests reach, of all"),
    figure("coverage.functions", Unit::Share, COVERAGE, "functions that tests reach, of all"),
    figure("coverage.branches", Unit::Share, COVERAGE, "branches that tests reach, of all"),
    figure("coverage.regions", Unit::Share, &[Format::LlvmCov], "regions that tests reach, of all"),
    figure("tests.total", Unit::Count, &[Format::Junit], "test cases, those that were skipped included"),
    figure("tests.failed", Unit::Count, &[Format::Junit], "test cases that failed or ended in an error"),
    figure("tests.skipped", Unit::Count, &[Format::Junit], "test cases that were skipped"),
    figure("advisories", Unit::Count, ADVISORIES, "known vulnerabilities of dependencies"),
    figure("licences", Unit::Count, DENY, "dependencies whose licence is refused"),
    figure("bans", Unit::Count, DENY, "dependencies that are banned, or duplicated"),
    figure("sources", Unit::Count, DENY, "dependencies from a source that is refused"),
    figure("regressions", Unit::Count, COMPARISON, "figures that have become worse than the limit allows"),
    figure(
        "regression.limit",
        Unit::Share,
        COMPARISON,
        "by how much a figure may be worse, as the comparison was asked",
    ),
    figure("statement.approved", Unit::Count, &[Format::Statement], "1 if its author approves, and 0 if not"),
];

impl Outside {
    pub fn of(name: &str) -> Option<&'static Self> {
        CATALOGUE.iter().find(|figure| figure.name == name)
    }

    /// A value, as people read it.
    pub fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Share => units::percent(value),
            Unit::Count => units::count(value),
        }
    }
}

/// One comparison of one figure with one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    pub figure: &'static Outside,
    pub comparator: Comparator,
    /// A ratio or a count.
    pub threshold: f64,
}

impl Asked {
    /// The figures are those that files of this format have.
    pub fn parse(text: &str, format: Format) -> Result<Self, CriterionError> {
        let (at, comparator) = comparison(text)?;
        let word = text[..at].trim();
        let start = at - text[..at].trim_start().len();
        let figure =
            Outside::of(word).filter(|figure| figure.formats.contains(&format)).ok_or_else(|| {
                let names = CATALOGUE.iter().filter(|figure| figure.formats.contains(&format));
                let names: Vec<&str> = names.map(|figure| figure.name).collect();
                let message =
                    format!("there is no figure `{word}` in a file of format \"{}\"", format.word());
                CriterionError::at(start..start + word.len(), &message, Some(suggest::hint(word, &names)))
            })?;
        let after = at + comparator.symbol().len();
        let limit = text[after..].trim();
        let wrong = |message: String, hint: &str| {
            CriterionError::at(after..text.len(), &message, Some(hint.to_owned()))
        };
        let threshold = match figure.unit {
            Unit::Share => {
                let percent = units::parse_percent(limit).map_err(|why| wrong(why, "such as `>= 75%`"))?;
                if percent > 100.0 {
                    return Err(wrong(format!("`{word}` cannot exceed 100%"), "lower the threshold"));
                }
                percent / 100.0
            }
            Unit::Count => units::parse_number(limit).ok_or_else(|| {
                wrong(format!("`{limit}` is not a count"), "write a plain number, such as `0`")
            })?,
        };
        Ok(Self { figure, comparator, threshold })
    }

    pub fn holds(&self, value: f64) -> bool {
        self.comparator.holds(value, self.threshold)
    }

    /// About the same figure, and met by everything that meets the other, and by more.
    pub fn is_weaker_than(&self, pass: &Self) -> bool {
        let (a, b) = (self.comparator, pass.comparator);
        let same = self.figure.name == pass.figure.name;
        same && match b {
            Comparator::Less | Comparator::AtMost => a.is_ceiling() && self.threshold > pass.threshold,
            Comparator::Greater | Comparator::AtLeast => a.is_floor() && self.threshold < pass.threshold,
            Comparator::Equal => a != Comparator::Equal && a.holds(pass.threshold, self.threshold),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.figure.name, self.comparator.symbol())?;
        match self.figure.unit {
            // Rounded to what a person can have written.
            Unit::Share => write!(f, "{}%", (self.threshold * 1e8).round() / 1e6),
            Unit::Count => write!(f, "{}", self.threshold),
        }
    }
}

impl Serialize for Asked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_criterion_of_a_file_prints_as_it_was_read() {
        for (text, format) in [
            ("coverage.lines >= 75%", Format::Lcov),
            ("coverage.regions > 62.5%", Format::LlvmCov),
            ("tests.failed == 0", Format::Junit),
            ("advisories == 0", Format::CargoAudit),
        ] {
            assert_eq!(Asked::parse(text, format).unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_are_named_with_what_was_meant() {
        for (text, message, hint) in [
            ("coverage.line >= 75%", "no figure `coverage.line`", "did you mean `coverage.lines`?"),
            ("coverage.regions >= 75%", "no figure `coverage.regions`", "coverage"),
            ("coverage.lines >= 75", "is not a ratio", ">= 75%"),
            ("coverage.lines >= 175%", "cannot exceed 100%", "lower"),
            ("coverage.lines 75%", "comparison is missing", "comparators"),
            ("coverage.lines => 75%", "`=>` is not a comparator", "did you mean `>=`?"),
        ] {
            let error = Asked::parse(text, Format::Lcov).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert!(error.hint.clone().unwrap_or_default().contains(hint), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_fallback_must_be_weaker_and_about_the_same_figure() {
        let of = |text| Asked::parse(text, Format::Lcov).unwrap();
        let pass = of("coverage.lines >= 80%");
        assert!(of("coverage.lines >= 72%").is_weaker_than(&pass));
        assert!(!of("coverage.lines >= 80%").is_weaker_than(&pass));
        assert!(!of("coverage.functions >= 72%").is_weaker_than(&pass));
    }
}
