//! What is wrong with a scenario, where, and what to do next.
//!
//! A file's mistakes are values: collected, put in order, and shown at the edge.

use super::{Selection, Source, unit};
use std::fmt;
use thiserror::Error;

/// Where a value was written, in bytes of the text that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In the scenario file.
    File { start: usize, end: usize },
    /// In the n-th file that it extends, the nearest first.
    Base { index: usize, start: usize, end: usize },
    /// In the n-th `--set` argument.
    Set { index: usize, start: usize, end: usize },
    /// On the command line, in an argument that names no text of its own (`--profile`).
    CommandLine,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Mistake {
    message: String,
    hint: String,
    origin: Origin,
}

impl Mistake {
    /// `message` is a lower-case fragment; `hint` says what to do next and may be empty.
    pub(super) fn new(origin: Origin, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), origin }
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn hint(&self) -> Option<&str> {
        (!self.hint.is_empty()).then_some(self.hint.as_str())
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) fn is_in_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. } | Origin::Base { .. })
    }

    /// About the same value; missing tables all stand at the top of the file and are told apart by words.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        let top = Origin::File { start: 0, end: 0 };
        self.origin == other.origin && (self.origin != top || self.message == other.message)
    }

    pub(super) fn within_profile(mut self, profile: &str) -> Self {
        self.message = format!("{} (with --profile {profile})", self.message);
        self
    }
}

/// What is wrong with one value: message and hint. The message goes on where the path of the key ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection(pub(super) String, pub(super) String);

impl From<unit::UnitError> for Rejection {
    fn from(error: unit::UnitError) -> Self {
        Self(error.message, error.hint)
    }
}

/// `file:line`, for messages that name a second place.
pub(super) fn place(origin: Origin, source: &Source) -> String {
    match origin {
        Origin::File { start, .. } => format!("{}:{}", source.name, line_and_column(&source.text, start).0),
        Origin::Base { index, start, .. } => source.bases.get(index).map_or_else(String::new, |base| {
            format!("{}:{}", base.name, line_and_column(&base.text, start).0)
        }),
        Origin::Set { .. } => "--set".to_owned(),
        Origin::CommandLine => "the command line".to_owned(),
    }
}

/// Puts mistakes in the order of the text, each once.
pub(super) fn settle(found: &mut Vec<Mistake>) {
    found.sort_by(|a, b| (a.origin, &a.message).cmp(&(b.origin, &b.message)));
    found.dedup();
}

/// All mistakes of a file, and the texts that they point into. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    source: Source,
    sets: Vec<String>,
    list: Vec<Mistake>,
}

/// A place in a text, as an editor counts it: from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    File { name: String, line: usize, column: usize },
    Set { argument: String, column: usize },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Set { argument, column } => write!(f, "--set {argument}, column {column}"),
        }
    }
}

impl Mistakes {
    pub(super) fn new(source: &Source, selection: &Selection, list: Vec<Mistake>) -> Self {
        let list = if list.is_empty() {
            // Not expected; a rejection without any message would be worse than this one.
            vec![Mistake::new(Origin::File { start: 0, end: 0 }, "the scenario could not be read", "")]
        } else {
            list
        };
        Self { source: source.clone(), sets: selection.sets.clone(), list }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// The text that a mistake points into, its name, and the bytes in it; nothing for `--profile`.
    pub fn text_of(&self, mistake: &Mistake) -> Option<(String, &str, std::ops::Range<usize>)> {
        match mistake.origin {
            Origin::File { start, end } => Some((self.source.name.clone(), &self.source.text, start..end)),
            Origin::Base { index, start, end } => {
                let base = self.source.bases.get(index)?;
                Some((base.name.clone(), &base.text, start..end))
            }
            Origin::Set { index, start, end } => {
                self.sets.get(index).map(|set| ("--set".to_owned(), set.as_str(), start..end))
            }
            Origin::CommandLine => None,
        }
    }

    pub fn place_of(&self, mistake: &Mistake) -> Option<Place> {
        let (name, text, span) = self.text_of(mistake)?;
        let (line, column) = line_and_column(text, span.start);
        Some(match mistake.origin {
            Origin::Set { .. } => Place::Set { argument: text.to_owned(), column },
            _ => Place::File { name, line, column },
        })
    }
}

impl std::error::Error for Mistakes {}

/// The plain form: message, place, hint; a block for each mistake.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "error: {}", mistake.message)?;
            if let Some(place) = self.place_of(mistake) {
                writeln!(f, "  at {place}")?;
            }
            if let Some(hint) = mistake.hint() {
                writeln!(f, "hint: {hint}")?;
            }
        }
        Ok(())
    }
}

/// Counted from 1; an offset beyond the text is its end.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_newlines() {
        let text = "a = 1\nüb = 2\n";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, text.find("b =").unwrap()), (2, 2));
        assert_eq!(line_and_column(text, 999), (3, 1));
    }
}
