//! The journal that a fleet's clients keep in its directory, one after the other.
//!
//! A client notes each task before the fleet sees it, and its end once its result is written. So after a client was killed,
//! the next one knows what the fleet's answers are about, and which of them are still to be written. What is not its own,
//! it keeps here for the client that asks for it.
//!
//! Deliberately absent: the tasks themselves, which the fleet has; and the clients of other programs, which keep their own
//! account.

use super::error::SnapshotError;
use super::file::Snapshot;
use super::header::header_of;
use super::journal::{Ended, Entry, Journal, Outcome, replay};
use super::record::{AnswerRecord, Body, Kind, Listed, OpenTask, Untold};
use crate::bus::directory::clients_path;
use crate::client;
use crate::wire::TaskId;
use crate::wire::spooled::Spooled;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What the fleet's client knows about its own tasks, and about those that earlier clients have left.
#[derive(Debug)]
pub struct Clients {
    journal: Journal,
    left: HashMap<TaskId, Left>,
}

/// A task of an earlier client, whose result is not known to be written.
#[derive(Debug, Clone)]
pub struct Left {
    pub entry: Entry,
    pub task: OpenTask,
    /// `None` while the fleet still has the task.
    pub outcome: Option<Outcome>,
}

impl Clients {
    /// Opens the journal of the fleet in `dir`, or makes it. The caller is the fleet's client; `in_fleet` are the tasks of
    /// earlier clients that the fleet still has, or has answered.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged.
    pub fn open(dir: &Path, name: &str, in_fleet: &HashSet<TaskId>) -> Result<Self, SnapshotError> {
        let path = clients_path(dir);
        remove_unfinished(dir, &path);
        if !path.exists() {
            let header = header_of(dir, name, Kind::Journal).map_err(|error| SnapshotError::Refused {
                path: path.clone(),
                what: "make it",
                why: error.to_string(),
            })?;
            return Ok(Self { journal: Journal::create(&path, &header)?, left: HashMap::new() });
        }
        let (mut journal, mut found) = Journal::open(&path)?;
        let mut left = HashMap::new();
        for (entry, task) in found.open {
            let outcome = found.outcomes.remove(&entry);
            if outcome.is_some() || in_fleet.contains(&task.id) {
                left.insert(task.id, Left { entry, task, outcome });
            } else {
                // Its client was killed before the fleet had the task, or after its result was written.
                journal.ended(entry, Ended::Cancelled);
            }
        }
        journal.commit()?;
        Ok(Self { journal, left })
    }

    /// Notes a task of this client. The fleet may see it after the next [`Clients::commit`].
    ///
    /// # Errors
    /// The record is too long for its readers.
    pub fn accepted(&mut self, task: OpenTask) -> Result<Entry, SnapshotError> {
        self.journal.accepted(&OpenTask { body: Body(Vec::new()), ..task })
    }

    /// The result of a task is written, or the task is submitted again.
    pub fn ended(&mut self, entry: Entry, how: Ended) {
        self.journal.ended(entry, how);
    }

    /// The result of a task of this client cannot be written: the next client gets it.
    ///
    /// # Errors
    /// The disk is full, or the record would be longer than readers accept.
    pub fn keep(&mut self, entry: Entry, outcome: &Outcome) -> Result<(), SnapshotError> {
        self.journal.outcome(entry, outcome)?;
        self.journal.commit()
    }

    /// Keeps the outcome of an earlier client's task. What no journal names is not kept: its client has noted that its
    /// result is written, or keeps its account elsewhere. The files with its output go with it.
    ///
    /// # Errors
    /// As of [`Clients::keep`].
    pub fn inherited(&mut self, found: &client::Outcome<'_>) -> Result<(), SnapshotError> {
        let Some(left) = self.left.get_mut(&found.id) else {
            found.spooled().iter().for_each(Spooled::remove);
            return Ok(());
        };
        if left.outcome.is_some() {
            return Ok(());
        }
        if let Some(answer) = AnswerRecord::of(found) {
            let outcome = Outcome { coordinator: found.worker.coordinator, answer };
            self.journal.outcome(left.entry, &outcome)?;
            left.outcome = Some(outcome);
        } else {
            // The fleet has given it back, and does not have it any more.
            self.journal.ended(left.entry, Ended::Cancelled);
            self.left.remove(&found.id);
        }
        // Before its record in the ring is acknowledged.
        self.journal.commit()
    }

    /// Takes over an earlier client's task of this name that runs the same: its end is now noted by the caller.
    pub fn claim(&mut self, name: &str, hash: &str) -> Option<Left> {
        let is_it = |left: &&Left| {
            let listed = left.task.listed.as_ref();
            left.task.name.as_deref() == Some(name) && listed.is_some_and(|listed| listed.task_hash == hash)
        };
        // An answer rather than a task that still runs.
        let found =
            self.left.values().filter(is_it).max_by_key(|left| (left.outcome.is_some(), left.entry))?;
        let id = found.task.id;
        self.left.remove(&id)
    }

    /// Ends the tasks of which `is_written` knows a result.
    pub fn settle(&mut self, is_written: impl Fn(&str, &Listed) -> bool) {
        let journal = &mut self.journal;
        self.left.retain(|_, left| {
            let (name, listed) = (left.task.name.as_deref(), left.task.listed.as_ref());
            let is_done = name.zip(listed).is_some_and(|(name, listed)| is_written(name, listed));
            if is_done {
                journal.ended(left.entry, Ended::Answered);
            }
            !is_done
        });
    }

    /// Makes what was noted survive this process.
    ///
    /// # Errors
    /// There is no space for it.
    pub fn commit(&mut self) -> Result<(), SnapshotError> {
        self.journal.commit()
    }

    /// Whether an answer of an earlier client's task is kept, or still to come.
    pub fn holds(&self, id: TaskId) -> bool {
        self.left.contains_key(&id)
    }

    /// How many answers of earlier clients are kept, and how many of their tasks the fleet still has.
    pub fn left(&self) -> (usize, usize) {
        let kept = self.left.values().filter(|left| left.outcome.is_some()).count();
        (kept, self.left.len() - kept)
    }
}

/// What a client that was killed had begun to rewrite.
fn remove_unfinished(dir: &Path, journal: &Path) {
    let Some(name) = journal.file_name().and_then(|name| name.to_str()) else { return };
    let staged = format!(".{name}.");
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|found| found.starts_with(&staged)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The tasks whose results the clients of the fleet in `dir` have not noted as written; none if they keep no journal.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn unwritten_in(dir: &Path) -> Result<HashSet<TaskId>, SnapshotError> {
    let path = clients_path(dir);
    match path.try_exists() {
        Ok(false) => Ok(HashSet::new()),
        _ => Ok(replay(&path)?.open.into_values().map(|task| task.id).collect()),
    }
}

/// What the clients of the fleet in `dir` call their tasks, and the answers that are kept for them; none if they keep no
/// journal, or if it cannot be read.
pub(super) fn left_in(dir: &Path) -> HashMap<TaskId, Left> {
    let Ok(found) = replay(&clients_path(dir)) else { return HashMap::new() };
    let mut outcomes = found.outcomes;
    let left =
        |(entry, task): (Entry, OpenTask)| (task.id, Left { entry, outcome: outcomes.remove(&entry), task });
    found.open.into_iter().map(left).collect()
}

/// Adds to a backup what its clients have noted about the tasks, and the answers that are kept for them.
pub(super) fn name(snapshot: &mut Snapshot, noted: HashMap<TaskId, Left>) {
    let dead = snapshot.dead.iter_mut().map(|letter| &mut letter.task);
    for task in snapshot.tasks.iter_mut().chain(dead) {
        if let Some(left) = noted.get(&task.id) {
            (task.name, task.listed) = (left.task.name.clone(), left.task.listed.clone());
        }
    }
    for one in &mut snapshot.untold {
        if let Some(left) = noted.get(&one.id) {
            (one.name, one.listed) = (left.task.name.clone(), left.task.listed.clone());
        }
    }
    let known: HashSet<TaskId> = snapshot.untold.iter().map(|one| one.id).collect();
    for Left { task, outcome, .. } in noted.into_values().filter(|left| !known.contains(&left.task.id)) {
        let Some(Outcome { coordinator, answer }) = outcome else { continue };
        let OpenTask { id, kind, name, listed, .. } = task;
        snapshot.untold.push(Untold { id, coordinator, kind: Some(kind), name, listed, answer });
    }
}
