//! What a backup notes beside its copies while it makes them, so that the next one can remove what it leaves if it is
//! interrupted: a framed line in a file of the directory.
//!
//! It names files, and is believed only about names that the backup which wrote it can have given.

use notation::framed::{Chain, Lines, Next, append};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::{BufRead, Read};

/// The file in the directory.
pub(super) const NAME: &str = ".unfinished";
/// How it begins, and no file that has another purpose.
const BEGINNING: &[u8] = b"{\"file\":\"coordinator-backup-unfinished\"";
const FILE: &str = "coordinator-backup-unfinished";
/// Names of about 60 bytes, two an answer of each worker of the largest fleets, with room for more.
const BYTES_MAX: usize = 1 << 28;

/// The names of a backup that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Leftover {
    // The first key: see `BEGINNING`.
    file: String,
    /// When the backup was taken, which says which one it is. In ns since 1970.
    taken: u64,
    /// It made the directory.
    pub(super) made_dir: bool,
    /// What it copies.
    copies: Vec<String>,
    /// What it removes once it is written: copies of the backup that it replaces.
    replaced: Vec<String>,
}

impl Leftover {
    pub(super) fn new(taken: u64, copies: Vec<String>, replaced: &HashSet<String>, made_dir: bool) -> Self {
        let replaced = replaced.iter().cloned().collect();
        Self { file: FILE.to_owned(), taken, made_dir, copies, replaced }
    }

    pub(super) fn copies(&self) -> &[String] {
        &self.copies
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.replaced.is_empty()
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        append(&mut Chain::START.clone(), &mut text, self, BYTES_MAX)
            .expect("a fleet has fewer answers than fill it");
        text
    }

    /// `None` unless it is complete and undamaged.
    pub(super) fn read(from: impl BufRead) -> Option<Self> {
        let mut lines = Lines::new(from, BYTES_MAX);
        if lines.advance().ok()? != Next::Whole {
            return None;
        }
        let found: Self = serde_json::from_slice(&lines.check().ok()?.json).ok()?;
        let is_its = |name: &String| super::taken_of(name) == Some(found.taken);
        let is_valid = found.file == FILE
            && found.copies.iter().all(is_its)
            && found.replaced.iter().all(|name| super::taken_of(name).is_some());
        is_valid.then_some(found)
    }

    /// What is of no use any more, if the backup that is there was taken at `taken`: `None` if there is none.
    pub(super) fn useless(self, taken: Option<u64>) -> Vec<String> {
        // It was written before it was interrupted, or it never was.
        let written = taken == Some(self.taken);
        if written { [self.copies, self.replaced].concat() } else { self.copies }
    }

    /// All that it names.
    pub(super) fn all(self) -> Vec<String> {
        [self.copies, self.replaced].concat()
    }
}

/// Whether it is one, or the beginning of one: its writer was interrupted before it copied anything.
pub(super) fn begins_one(from: impl Read) -> bool {
    let mut begun = Vec::new();
    let read = from.take(BEGINNING.len() as u64).read_to_end(&mut begun);
    read.is_ok() && BEGINNING.starts_with(&begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted() -> Leftover {
        Leftover::new(16, vec!["1.2.1-10.stdout".to_owned()], &["1.2.1-f.stderr".to_owned()].into(), true)
    }

    #[test]
    fn what_is_noted_is_read_whole_or_not_at_all() {
        let text = noted().text();
        assert_eq!(Leftover::read(&text[..]), Some(noted()));
        for len in 0..text.len() {
            assert_eq!(Leftover::read(&text[..len]), None, "{len}");
            assert!(begins_one(&text[..len]), "{len}");
        }
        let mut damaged = text;
        damaged[BEGINNING.len() + 12] ^= 1;
        assert_eq!(Leftover::read(&damaged[..]), None);
        assert!(!begins_one(&b"notes"[..]));
    }

    #[test]
    fn a_note_names_no_file_that_its_backup_cannot_have_made() {
        for wrong in ["notes", "../1.2.1-10.stdout", "1.2.1-11.stdout", "1.2.1-10", ""] {
            let wrong = Leftover { copies: vec![wrong.to_owned()], ..noted() };
            assert_eq!(Leftover::read(&wrong.text()[..]), None, "{wrong:?}");
        }
        let wrong = Leftover { replaced: vec!["notes".to_owned()], ..noted() };
        assert_eq!(Leftover::read(&wrong.text()[..]), None);
    }
}
