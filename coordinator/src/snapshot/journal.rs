//! The journal of a client: which tasks were accepted and which have ended, so that a reboot loses nothing.
//!
//! Lines are appended and never changed. A group of records counts once its commit line has been written and flushed to
//! the disk together with them. So a process that is killed, or a host that loses power, leaves complete groups and at
//! most the beginning of one more: no promise was made about that, and it is cut off when the journal is opened again.
//! Any other fault is damage, and the file is refused.
//!
//! It numbers its entries itself: the ids of tasks start again with each fleet, and a journal may outlive many.

mod read;

use super::durable::{Existing, Staged, lock, may_grow};
use super::error::SnapshotError;
use super::file::{open, too_long};
use super::lines::append;
use super::record::{AnswerRecord, Body, Header, Kind, OpenTask, Record};
use crate::os::whereabouts::Whereabouts;
use notation::framed::Chain;
use read::{Found, read};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Smaller journals are not worth rewriting; in bytes.
const COMPACT_MIN: u64 = 1 << 20;
/// A journal is rewritten when at most one in this many of its entries is still open.
const COMPACT_SHARE: u64 = 4;

/// A task in a journal, for as long as it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry(u64);

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    Answered,
    /// Its client got a failure: there will be no answer.
    Failed,
    Cancelled,
}

/// The outcome of a task that is not known to be written where results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The number of the coordinator that reported it.
    pub coordinator: u32,
    pub answer: AnswerRecord,
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    pub header: Header,
    /// Accepted and not ended, in the order of their acceptance.
    pub open: BTreeMap<Entry, OpenTask>,
    /// Of open tasks that need not be done again.
    pub outcomes: BTreeMap<Entry, Outcome>,
    /// Files that results of these tasks were written to, in the order in which they were named; absolute paths.
    pub results: Vec<PathBuf>,
    /// Entries in the file; those that a compaction has left out are not counted.
    pub accepted: u64,
    pub ended: u64,
    /// What the last writer had begun and not committed.
    pub torn: Option<Torn>,
}

/// A group without its commit line. Lines count from 1, bytes from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    pub line: u64,
    pub offset: u64,
    pub bytes: u64,
}

/// An open journal. One process at a time appends to it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that the disk has, and the checksum of their lines.
    committed: u64,
    chain: Chain,
    /// The records since then, and the checksum after them.
    group: Vec<u8>,
    group_chain: Chain,
    group_records: u64,
    next: u64,
    open: BTreeSet<u64>,
    /// Entries in the file, ended ones too.
    entries: u64,
    /// The next compaction is tried beyond this; in bytes.
    compact_from: u64,
    /// A write failed, and it is not known what the disk holds.
    unsure: bool,
}

impl Journal {
    /// Makes a new journal. A file that has the name already is not touched.
    ///
    /// # Errors
    /// There is such a file, or the new one cannot be written or locked.
    pub fn create(path: &Path, header: &Header) -> Result<Self, SnapshotError> {
        let (text, chain) = start(path, header)?;
        let mut staged = Staged::create(path)?;
        // Before it has its name, so that no other process can be first.
        staged.lock()?;
        staged.write(0, &text)?;
        let file = staged.publish(Existing::Refuse)?;
        Ok(Self::new(path, file, text.len() as u64, chain))
    }

    fn new(path: &Path, file: File, committed: u64, chain: Chain) -> Self {
        Self {
            path: path.to_owned(),
            file,
            committed,
            chain,
            group: Vec::new(),
            group_chain: chain,
            group_records: 0,
            next: 1,
            open: BTreeSet::new(),
            entries: 0,
            compact_from: COMPACT_MIN,
            unsure: false,
        }
    }

    /// Opens a journal to go on with it. An incomplete last group is cut off, and described in the replay.
    ///
    /// # Errors
    /// The file cannot be read or locked, is not a journal, or is damaged.
    pub fn open(path: &Path) -> Result<(Self, Replay), SnapshotError> {
        let refused = |what, error: &std::io::Error| SnapshotError::io(path, what, error);
        let file = loop {
            let file =
                File::options().read(true).write(true).open(path).map_err(|e| refused("open it", &e))?;
            lock(&file, path)?;
            let (own, named) = (file.metadata(), std::fs::metadata(path));
            let own = own.map_err(|e| refused("open it", &e))?;
            let named = named.map_err(|e| refused("open it", &e))?;
            // Its owner may have replaced it by a compaction before the lock was taken.
            if (own.dev(), own.ino()) == (named.dev(), named.ino()) {
                break file;
            }
        };
        let read = read(path, open(path)?)?;
        if let Some(torn) = read.replay.torn {
            file.set_len(torn.offset)
                .and_then(|()| file.sync_all())
                .map_err(|error| refused("cut off its incomplete end", &error))?;
        }
        let mut journal = Self::new(path, file, read.committed, read.chain);
        journal.next = read.next;
        journal.open = read.replay.open.keys().map(|entry| entry.0).collect();
        journal.entries = read.replay.accepted;
        Ok((journal, read.replay))
    }

    /// Records a task. It is on the disk after the next [`Journal::commit`]: only then may its acceptance be reported.
    ///
    /// # Errors
    /// The record is too long for its readers.
    pub fn accepted(&mut self, task: &OpenTask) -> Result<Entry, SnapshotError> {
        let number = self.next;
        self.append(&Record::Accepted { number, task: task.clone() })?;
        self.next += 1;
        self.open.insert(number);
        self.entries += 1;
        Ok(Entry(number))
    }

    /// Records that a task has ended. Without a commit after this, a crash makes the task be done once more.
    pub fn ended(&mut self, entry: Entry, how: Ended) {
        assert!(self.open.remove(&entry.0), "the caller ends each entry once");
        self.append(&Record::Ended { number: entry.0, how }).expect("a record without a body is short");
    }

    /// Records the outcome of an open task, whose result cannot be written now. It counts after the next
    /// [`Journal::commit`]; the task stays open until [`Journal::ended`].
    ///
    /// # Errors
    /// The record is too long for its readers.
    pub fn outcome(&mut self, entry: Entry, outcome: &Outcome) -> Result<(), SnapshotError> {
        assert!(self.open.contains(&entry.0), "the caller has not ended the entry");
        let Outcome { coordinator, answer } = outcome.clone();
        self.append(&Record::Outcome { number: entry.0, coordinator, answer })
    }

    /// Records where the results of its tasks go from now on: by this file, a later reader finds out which of the open
    /// tasks have a result. `path` is absolute.
    ///
    /// # Errors
    /// The record is too long for its readers.
    pub fn results(&mut self, path: &Path) -> Result<(), SnapshotError> {
        self.append(&Record::Results { path: Body(path.as_os_str().as_bytes().to_vec()) })
    }

    fn append(&mut self, record: &Record) -> Result<(), SnapshotError> {
        append(&mut self.group_chain, &mut self.group, record)
            .map_err(|error| too_long(&self.path, &error))?;
        self.group_records += 1;
        Ok(())
    }

    /// Whether what was committed is where a later process looks for it.
    ///
    /// # Errors
    /// Another program has removed, cut off, moved or replaced the file.
    pub fn is_there(&self) -> Result<(), SnapshotError> {
        let what = match Whereabouts::of(&self.file, &self.path, self.committed) {
            Whereabouts::There => return Ok(()),
            Whereabouts::Removed => "it was removed, and what is written to it is lost",
            Whereabouts::CutOff => "it was cut off by another program, and what stood there is lost",
            Whereabouts::Replaced => "it is another file now, and the journal is the one that had that name",
            Whereabouts::Moved => "it has another name now, and the journal is the file under that name",
            Whereabouts::Unmounted => {
                "it is out of reach, because its file system is not mounted there any more, and the journal is on that"
            }
        };
        Err(SnapshotError::Lost { path: self.path.clone(), what })
    }

    /// Flushes everything since the last commit to the disk, in one write.
    ///
    /// # Errors
    /// The disk is full or fails: nothing of the group counts, what was committed before stands, and the commit may be
    /// tried again, unless it is not known what the disk holds.
    pub fn commit(&mut self) -> Result<(), SnapshotError> {
        if self.unsure {
            return Err(SnapshotError::Unsure { path: self.path.clone() });
        }
        if self.group_records == 0 {
            return Ok(());
        }
        let (records_end, mut chain) = (self.group.len(), self.group_chain);
        append(&mut chain, &mut self.group, &Record::Commit { records: self.group_records })
            .expect("a record without a body is short");
        let bytes = self.group.len() as u64;
        if let Err(error) = self.is_there() {
            self.group.truncate(records_end);
            return Err(error);
        }
        let written = may_grow(self.committed + bytes)
            .and_then(|()| self.file.write_all_at(&self.group, self.committed));
        if let Err(error) = written {
            self.group.truncate(records_end);
            // If that fails, the next process that opens the file cuts it off.
            self.unsure = self.file.set_len(self.committed).is_err();
            return Err(SnapshotError::sized(&self.path, "append to it", bytes, &error));
        }
        if let Err(error) = self.file.sync_data() {
            // The kernel may have dropped the pages, and would report no error the next time.
            self.unsure = true;
            return Err(SnapshotError::io(&self.path, "flush it to the disk", &error));
        }
        self.committed += bytes;
        self.chain = chain;
        self.group.clear();
        self.group_chain = chain;
        self.group_records = 0;
        if self.committed >= self.compact_from && self.entries >= COMPACT_SHARE * self.open.len() as u64 {
            // If it fails nothing is lost: it is tried again when the journal has grown.
            let _ = self.compact();
            self.compact_from = COMPACT_MIN.max(2 * self.committed);
        }
        Ok(())
    }

    /// Rewrites the file with its open tasks alone. Until the new file is complete, the old one is the journal.
    ///
    /// # Errors
    /// The new file cannot be written; the old one stays.
    fn compact(&mut self) -> Result<(), SnapshotError> {
        assert_eq!(self.group_records, 0, "only a committed journal is compacted");
        let path = &self.path;
        let Found { replay, .. } = read(path, open(path)?)?;
        let (mut text, mut chain) = start(path, &replay.header)?;
        let mut records = 0;
        let mut add = |record: &Record| {
            records += 1;
            append(&mut chain, &mut text, record)
                .expect("the record was read from a line of the same length");
        };
        for path in &replay.results {
            add(&Record::Results { path: Body(path.as_os_str().as_bytes().to_vec()) });
        }
        for (entry, task) in &replay.open {
            add(&Record::Accepted { number: entry.0, task: task.clone() });
        }
        for (entry, outcome) in &replay.outcomes {
            let Outcome { coordinator, answer } = outcome.clone();
            add(&Record::Outcome { number: entry.0, coordinator, answer });
        }
        let open = replay.open.len() as u64;
        if records > 0 {
            append(&mut chain, &mut text, &Record::Commit { records })
                .expect("a record without a body is short");
        }
        let mut staged = Staged::create(path)?;
        staged.lock()?;
        staged.write(0, &text)?;
        self.file = staged.publish(Existing::Replace)?;
        self.committed = text.len() as u64;
        (self.chain, self.group_chain) = (chain, chain);
        self.entries = open;
        Ok(())
    }

    /// Tasks accepted and not ended, whether committed or not.
    pub fn open_tasks(&self) -> usize {
        self.open.len()
    }

    /// Bytes that the disk has.
    pub fn bytes(&self) -> u64 {
        self.committed
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a journal without appending to it; an incomplete last group stays in the file.
///
/// # Errors
/// The file cannot be read, is not a journal, or is damaged.
pub fn replay(path: &Path) -> Result<Replay, SnapshotError> {
    Ok(read(path, open(path)?)?.replay)
}

fn start(path: &Path, header: &Header) -> Result<(Vec<u8>, Chain), SnapshotError> {
    assert_eq!(header.file, Kind::Journal, "the caller makes a journal's header");
    let (mut text, mut chain) = (Vec::new(), Chain::default());
    append(&mut chain, &mut text, &Record::Header(header.clone())).map_err(|error| too_long(path, &error))?;
    Ok((text, chain))
}

#[cfg(test)]
mod tests;
