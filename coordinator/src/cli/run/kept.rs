//! The journal of a run: a task is on the disk before the fleet sees it, and its end is noted when its result is on the
//! disk, too.

use super::results::{Results, Status};
use super::task::Job;
use super::{USAGE, print};
use crate::client::{Address, TaskId, Terms};
use crate::snapshot::backup::header_of;
use crate::snapshot::file::kind_of;
use crate::snapshot::record::{Body, Kind, Listed, OpenTask};
use crate::snapshot::{Ended, Entry, Journal, SnapshotError};
use std::path::Path;

/// An open journal, and the ends of tasks that it has not noted yet.
#[derive(Debug)]
pub(super) struct Kept {
    journal: Journal,
    ended: Vec<(Entry, Ended)>,
}

/// Before anything starts: checks that a journal of this name may be created. An existing one holds tasks that are not
/// done, unless the same list is resumed. Errors are already printed.
pub(super) fn check(path: &Path, resumes: bool) -> Result<(), u8> {
    if !path.exists() {
        return Ok(());
    }
    let refuse = |what: String, hint: &str| {
        print::error(what, hint);
        Err(USAGE)
    };
    match kind_of(path) {
        Ok(Kind::Journal) if resumes => Ok(()),
        Ok(Kind::Journal) => refuse(
            format!("{} already exists", path.display()),
            "`coordinator restore FILE` does the tasks that are open in it, `--resume` does the list again; or choose another file",
        ),
        Ok(Kind::Backup) => refuse(format!("{} is a backup", path.display()), "choose another file"),
        Err(error) => refuse(error.to_string(), "choose another file"),
    }
}

/// Removes an earlier journal, which is not needed when its list is resumed. A journal with open tasks may belong to
/// another list, and is renamed instead.
fn put_aside(path: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot move {} out of the way: {error}", path.display());
    // Opening it fails while another run writes to it.
    let (_journal, found) = Journal::open(path).map_err(|error| error.to_string())?;
    if found.open.is_empty() {
        return std::fs::remove_file(path).map_err(cannot);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".before");
    let before = Path::new(&name);
    if before.exists() {
        return Err(format!(
            "{} has open tasks, and {} already exists: restore or remove one of them",
            path.display(),
            before.display()
        ));
    }
    std::fs::rename(path, before).map_err(cannot)?;
    print::warn(format!(
        "{} tasks are open in the journal {}, which was renamed to {}",
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

    /// Notes the tasks that have ended, once their results are on the disk.
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
