//! The words that docs/glossary.md has retired.
//!
//! Its last table has two columns, `retired` and `use instead`. A term is a phrase, in whatever case and joined
//! however (`dead letter`, `dead_letter`, `DeadLetter`); one in backticks is an identifier, exactly. Where a retired term is a
//! part of what replaces it (`letter` in `dead letter`), only the bare one is found.

use super::{Finding, has_extension};

pub(super) const GLOSSARY: &str = "docs/glossary.md";
/// The heading above the table.
const HEADING: &str = "## Retired";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// As the table has it, without backticks.
    pub(super) text: String,
    instead: String,
    exact: bool,
}

impl Term {
    pub(super) fn name(&self) -> String {
        if self.exact { format!("`{}`", self.text) } else { self.text.clone() }
    }
}

/// Code, docs and messages. History keeps its words; so do recorded files, which are none of these.
pub(super) fn is_spoken(path: &str) -> bool {
    let is_history = path == GLOSSARY || path == "CHANGELOG.md" || path.starts_with("docs/adr/");
    let is_text = ["rs", "md", "toml", "sh", "html"].iter().any(|extension| has_extension(path, extension));
    is_text && !is_history && path != super::ratchets::FILE
}

/// The retired terms of the glossary, in its order.
pub(super) fn retired(glossary: &str) -> Result<Vec<Term>, Finding> {
    let mut terms = Vec::new();
    let table = glossary.lines().enumerate().skip_while(|(_, line)| !line.starts_with(HEADING)).skip(1);
    for (index, line) in table.take_while(|(_, line)| !line.starts_with('#')) {
        let Some(row) = line.strip_prefix('|') else { continue };
        let cells: Vec<&str> = row.trim_end().trim_end_matches('|').split('|').map(str::trim).collect();
        let is_head = matches!(cells[0], "retired") || cells[0].starts_with('-');
        if is_head {
            continue;
        }
        let [term, instead] = cells[..] else {
            let what = "a retired term needs two cells: | retired | use instead |";
            return Err(Finding::error(GLOSSARY, index + 1, what));
        };
        let exact = term.len() > 2 && term.starts_with('`') && term.ends_with('`');
        terms.push(Term { text: term.trim_matches('`').to_owned(), instead: instead.to_owned(), exact });
    }
    Ok(terms)
}

/// A file's words, for every term that is looked for in it.
#[derive(Debug)]
pub(super) struct Words<'a> {
    path: &'a str,
    /// In small letters, with their lines.
    lowered: Vec<(usize, String)>,
    identifiers: Vec<(usize, &'a str)>,
}

impl<'a> Words<'a> {
    pub(super) fn of(path: &'a str, text: &'a str) -> Self {
        let (mut lowered, mut identifiers) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            for identifier in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
                if identifier.is_empty() {
                    continue;
                }
                identifiers.push((index + 1, identifier));
                lowered.extend(humps(identifier).into_iter().map(|word| (index + 1, word)));
            }
        }
        Self { path, lowered, identifiers }
    }

    pub(super) fn find(&self, term: &Term) -> Vec<Finding> {
        let lines = if term.exact { self.exactly(&term.text) } else { self.anyhow(term) };
        let what = format!("{} is retired: use {}", term.name(), term.instead);
        lines.into_iter().map(|line| Finding::error(self.path, line, what.clone())).collect()
    }

    fn exactly(&self, identifier: &str) -> Vec<usize> {
        self.identifiers.iter().filter(|(_, found)| *found == identifier).map(|(line, _)| *line).collect()
    }

    fn anyhow(&self, term: &Term) -> Vec<usize> {
        let (wanted, instead) = (parts(&term.text), parts(&term.instead));
        // Where the term stands in what replaces it.
        let inner = instead.windows(wanted.len()).position(|window| window == wanted);
        let is_at = |at: usize, words: &[String]| {
            self.lowered
                .get(at..at + words.len())
                .is_some_and(|found| found.iter().zip(words).all(|((_, found), word)| found == word))
        };
        (0..self.lowered.len())
            .filter(|at| is_at(*at, &wanted))
            .filter(|at| {
                let begin = inner.and_then(|inner| at.checked_sub(inner));
                !begin.is_some_and(|begin| is_at(begin, &instead))
            })
            .map(|at| self.lowered[at].0)
            .collect()
    }
}

fn parts(text: &str) -> Vec<String> {
    Words::of("", text).lowered.into_iter().map(|(_, word)| word).collect()
}

/// `DeadLetter_box` is three words.
fn humps(identifier: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in identifier.split('_').filter(|part| !part.is_empty()) {
        let mut was_small = true;
        for (index, letter) in part.chars().enumerate() {
            let begins = index == 0 || (letter.is_uppercase() && was_small);
            was_small = !letter.is_uppercase();
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOSSARY_TEXT: &str = "# Glossary\n| term | meaning |\n|---|---|\n| place | where |\n## Retired terms\n\n\
        | retired | use instead |\n|---|---|\n| letter | dead letter |\n| nobody is there | vacant |\n| `Wish` | `StopMode` |\n";

    fn lines(term: &str, text: &str) -> Vec<usize> {
        let terms = retired(GLOSSARY_TEXT).expect("the table is whole");
        let term = terms.iter().find(|found| found.text == term).expect("the term");
        Words::of("a.rs", text).find(term).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn the_table_is_read_up_to_its_end() {
        let terms = retired(GLOSSARY_TEXT).expect("the table is whole");
        let names: Vec<String> = terms.iter().map(Term::name).collect();
        assert_eq!(names, ["letter", "nobody is there", "`Wish`"]);
        assert!(retired("## Retired\n| a |\n").is_err());
        assert_eq!(retired("# Glossary\n| a | b |\n"), Ok(Vec::new()));
    }

    #[test]
    fn a_phrase_is_found_in_any_spelling_and_across_lines() {
        let text =
            "the letter\nLetterState letter_count\nletters dead_letter DeadLetter `dead\n/// letter` Letter";
        assert_eq!(lines("letter", text), [1, 2, 2, 4]);
        assert_eq!(lines("nobody is there", "Nobody is\n    /// there; nobody else is there"), [1]);
    }

    #[test]
    fn an_identifier_is_found_exactly() {
        assert_eq!(lines("Wish", "Wish::Now\nwish Wishes WishList\nuse a::Wish;"), [1, 3]);
    }

    #[test]
    fn history_and_recorded_files_keep_their_words() {
        assert!(
            is_spoken("harness/src/a.rs") && is_spoken("README.md") && is_spoken("reports/templates/a.html")
        );
        for path in ["CHANGELOG.md", "docs/adr/0002-a.md", GLOSSARY, "a/tests/run.jsonl", "Cargo.lock"] {
            assert!(!is_spoken(path), "{path}");
        }
    }
}
