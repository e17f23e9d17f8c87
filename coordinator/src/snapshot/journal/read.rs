//! Reading a journal back: groups that were committed count, an incomplete last one is described.

use super::super::error::SnapshotError;
use super::super::lines::{Lines, Next};
use super::super::record::{Body, Kind, OpenTask, Record};
use super::{Entry, Outcome, Replay, Torn};
use notation::framed::Chain;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

pub(super) struct Found {
    pub(super) replay: Replay,
    /// Bytes up to the last commit, and the checksum there.
    pub(super) committed: u64,
    pub(super) chain: Chain,
    pub(super) next: u64,
}

pub(super) fn read(path: &Path, input: impl BufRead) -> Result<Found, SnapshotError> {
    let (mut lines, header) = Lines::open(path, input, Some(Kind::Journal))?;
    let mut replay = Replay {
        header,
        open: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        results: Vec::new(),
        accepted: 0,
        ended: 0,
        torn: None,
    };
    let (mut committed, mut committed_lines, mut chain) = (lines.offset(), lines.count(), lines.chain());
    let mut next = 1;
    let mut group = Group::default();
    let partial = loop {
        match lines.next()? {
            Next::End => break 0,
            Next::Torn(bytes) => break bytes,
            Next::Record(record) => match *record {
                // The largest one has no next.
                Record::Accepted { number, task } if (next..u64::MAX).contains(&number) => {
                    next = number + 1;
                    group.accepted.push((Entry(number), task));
                }
                Record::Accepted { number, .. } => {
                    return Err(lines.contradicts(format!("entry {number} comes after entry {}", next - 1)));
                }
                Record::Ended { number, .. } => group.ended.push(Entry(number)),
                Record::Outcome { number, coordinator, answer } => {
                    group.outcomes.push((Entry(number), Outcome { coordinator, answer }));
                }
                Record::Results { path } => group.results.push(path),
                Record::Commit { records } if records == group.records() => {
                    if let Some(entry) = group.apply(&mut replay) {
                        return Err(lines.contradicts(format!(
                            "entry {} ends or has an outcome, and is not open",
                            entry.0
                        )));
                    }
                    (committed, committed_lines, chain) = (lines.offset(), lines.count(), lines.chain());
                }
                Record::Commit { records } => {
                    let found = group.records();
                    return Err(
                        lines.contradicts(format!("the group has {found} records, and it counts {records}"))
                    );
                }
                _ => return Err(lines.contradicts("journals do not have such a record".into())),
            },
        }
    };
    let bytes = lines.offset() - committed + partial;
    if bytes > 0 {
        replay.torn = Some(Torn { line: committed_lines + 1, offset: committed, bytes });
        // Numbers that were not committed are free.
        next = group.accepted.first().map_or(next, |(entry, _)| entry.0);
    }
    Ok(Found { replay, committed, chain, next })
}

/// The records since the last commit.
#[derive(Default)]
struct Group {
    accepted: Vec<(Entry, OpenTask)>,
    outcomes: Vec<(Entry, Outcome)>,
    ended: Vec<Entry>,
    results: Vec<Body>,
}

impl Group {
    fn records(&self) -> u64 {
        (self.accepted.len() + self.outcomes.len() + self.ended.len() + self.results.len()) as u64
    }

    /// Applies the group to the replay. Returns an entry that ended or had an outcome without being open, if there is
    /// one.
    fn apply(&mut self, replay: &mut Replay) -> Option<Entry> {
        replay.accepted += self.accepted.len() as u64;
        replay.ended += self.ended.len() as u64;
        replay.open.extend(self.accepted.drain(..));
        let mut not_open = None;
        for (entry, outcome) in self.outcomes.drain(..) {
            if !replay.open.contains_key(&entry) {
                not_open = Some(entry);
            }
            replay.outcomes.insert(entry, outcome);
        }
        for entry in self.ended.drain(..) {
            if replay.open.remove(&entry).is_none() {
                not_open = Some(entry);
            }
            replay.outcomes.remove(&entry);
        }
        for path in self.results.drain(..) {
            let path = PathBuf::from(OsString::from_vec(path.0));
            if !replay.results.contains(&path) {
                replay.results.push(path);
            }
        }
        not_open
    }
}
