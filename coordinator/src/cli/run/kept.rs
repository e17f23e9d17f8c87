//! The journal of a run: what was handed in is on the disk before the fleet sees it, and what has ended is noted there
//! when its result is on the disk as well.

use super::results::{Results, Status};
use super::task::Job;
use super::{USAGE, complain, warn};
use crate::client::{Address, TaskId, Terms};
use crate::snapshot::backup::header_of;
use crate::snapshot::file::kind_of;
use crate::snapshot::record::{Body, Kind, Listed, OpenTask};
use crate::snapshot::{Ended, Entry, Journal, SnapshotError};
use std::path::Path;

/// An open journal, and what it has not been told yet.
#[derive(Debug)]
pub(super) struct Kept {
    journal: Journal,
    ended: Vec<(Entry, Ended)>,
}

/// Before anything starts: whether there may be a journal of this name. One that is there holds tasks that nobody has
/// done, unless the same list is gone through once more. What is wrong has been said.
pub(super) fn check(path: &Path, resumes: bool) -> Result<(), u8> {
    if !path.exists() {
        return Ok(());
    }
    let said = |what: String, hint: &str| {
        complain(what, hint);
        Err(USAGE)
    };
    match kind_of(path) {
        Ok(Kind::Journal) if resumes => Ok(()),
        Ok(Kind::Journal) => said(
            format!("{} is there already", path.display()),
            "`coordinator restore FILE` does what is open in it, and `--resume` goes through the list once more; or name another file",
        ),
        Ok(Kind::Backup) => said(format!("{} is a backup", path.display()), "name another file"),
        Err(error) => said(error.to_string(), "name another file"),
    }
}

/// An earlier journal that the list which is gone through once more makes unnecessary. If anything is open in it, it may
/// be of another list, and is kept.
fn put_aside(path: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot put {} aside: {error}", path.display());
    // Not while somebody writes to it.
    let (_journal, found) = Journal::open(path).map_err(|error| error.to_string())?;
    if found.open.is_empty() {
        return std::fs::remove_file(path).map_err(cannot);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".before");
    let before = Path::new(&name);
    if before.exists() {
        return Err(format!(
            "{} has open tasks, and {} is there already: restore or remove one of them",
            path.display(),
            before.display()
        ));
    }
    std::fs::rename(path, before).map_err(cannot)?;
    warn(format!(
        "{} tasks were open in {}, which is {} now",
        found.open.len(),
        path.display(),
        before.display()
    ));
    Ok(())
}

impl Kept {
    /// For the fleet in `dir`.
    pub(super) fn create(path: &Path, dir: &Path, name: &str) -> Result<Self, String> {
        let header = header_of(dir, name, Kind::Journal).map_err(|error| error.to_string())?;
        if path.exists() {
            put_aside(path)?;
        }
        let journal = Journal::create(path, &header).map_err(|error| error.to_string())?;
        Ok(Self { journal, ended: Vec::new() })
    }

    pub(super) fn accepted(&mut self, id: TaskId, job: &Job, terms: &Terms) -> Result<Entry, SnapshotError> {
        let listed = Listed {
            number: job.number,
            input: job.input.clone().map(Body),
            task_hash: format!("{:016x}", job.hash),
        };
        let task = OpenTask::of(id, Address::Any, job.task(), terms, Some(&job.id));
        self.journal.accepted(&OpenTask { listed: Some(listed), ..task })
    }

    pub(super) fn ended(&mut self, entry: Entry, status: Status) {
        let how = match status {
            Status::Ok => Ended::Answered,
            Status::Cancelled => Ended::Cancelled,
            Status::Failed | Status::TimedOut | Status::Died | Status::Refused => Ended::Failed,
        };
        self.ended.push((entry, how));
    }

    /// What has ended, once its results are on the disk.
    pub(super) fn settle(&mut self, results: &Results) -> Result<(), String> {
        if !self.ended.is_empty() {
            results.sync()?;
        }
        for (entry, how) in self.ended.drain(..) {
            self.journal.ended(entry, how);
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), String> {
        self.journal.commit().map_err(|error| error.to_string())
    }
}
