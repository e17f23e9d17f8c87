//! The journal of a run: a task is on the disk before the fleet sees it, and its end is noted when its result is on the
//! disk, too.

use super::results::{Done, Results, Resume, Status};
use super::task::Job;
use super::{USAGE, print};
use crate::client::{Address, TaskId, Terms};
use crate::snapshot::backup::header_of;
use crate::snapshot::file::kind_of;
use crate::snapshot::record::{Body, Kind, Listed, OpenTask};
use crate::snapshot::{Ended, Entry, Journal, Replay, SnapshotError};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// An open journal, and the ends of tasks that it has not noted yet.
#[derive(Debug)]
pub(super) struct Kept {
    journal: Journal,
    ended: Vec<(Entry, Ended)>,
    /// Open tasks of the run that this one resumes, by name and hash: they keep their entries.
    earlier: HashMap<(String, String), Entry>,
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
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return refuse(
            format!("{} cannot hold a journal: it is not a regular file", path.display()),
            "name a file on a disk, not a pipe, a device or a directory: a journal is read again",
        );
    }
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

/// Notes the ends of the tasks whose results were written and whose writer was killed before it noted them: they are in the
/// files that the journal names.
pub(in crate::cli) fn settle(journal: &mut Journal, found: &mut Replay) {
    let mut all = Vec::new();
    for path in &found.results {
        // Nothing else can be read again, and opening it might wait.
        let is_file = path.metadata().is_ok_and(|found| found.is_file());
        // Warnings are for those who write to the file.
        let opened = is_file.then(|| Results::open(path, Resume::LookOnly, |_| ()));
        match opened {
            Some(Ok((_, done))) => all.push(done),
            Some(Err(_)) | None => print::warn(format!(
                "{}: the results in {} cannot be read: tasks that have ended there may be done again",
                journal.path().display(),
                path.display()
            )),
        }
    }
    found.open.retain(|entry, task| {
        let (name, listed) = (task.name.as_deref(), task.listed.as_ref());
        let is_done = name.zip(listed).is_some_and(|(name, listed)| Done::have(&all, name, listed));
        if is_done {
            journal.ended(*entry, Ended::Answered);
        }
        !is_done
    });
}

/// A task as a journal holds it; `results_before` is how many results it had when it was submitted.
pub(super) fn open_task(id: TaskId, job: &Job, terms: &Terms, results_before: u64) -> OpenTask {
    let listed = Listed {
        number: job.number,
        input: job.input.clone().map(Body),
        task_hash: job.hash_text(),
        results_before,
    };
    let task = OpenTask::of(id, Address::Any, job.task(), terms, Some(&job.id));
    OpenTask { listed: Some(listed), ..task }
}

impl Kept {
    /// For the fleet in `dir`; `results` is the file that results go to, if it can be read again. A journal that is there
    /// already is that of the run that this one resumes, and is continued.
    pub(super) fn open(
        path: &Path,
        dir: &Path,
        name: &str,
        results: Option<&Path>,
    ) -> Result<Self, SnapshotError> {
        let (mut journal, earlier) = if path.exists() {
            let (mut journal, mut found) = Journal::open(path)?;
            settle(&mut journal, &mut found);
            (journal, found.open)
        } else {
            let refused =
                |why: String| SnapshotError::Refused { path: path.to_owned(), what: "make it", why };
            let header = header_of(dir, name, Kind::Journal).map_err(|error| refused(error.to_string()))?;
            (Journal::create(path, &header)?, BTreeMap::new())
        };
        if let Some(results) = results {
            let absolute = std::path::absolute(results);
            journal.results(
                &absolute.map_err(|error| SnapshotError::io(path, "name the results in it", &error))?,
            )?;
        }
        journal.commit()?;
        let name_of = |task: OpenTask| Some((task.name?, task.listed?.task_hash));
        let earlier = earlier.into_iter().filter_map(|(entry, task)| Some((name_of(task)?, entry))).collect();
        Ok(Self { journal, ended: Vec::new(), earlier })
    }

    pub(super) fn accepted(
        &mut self,
        id: TaskId,
        job: &Job,
        terms: &Terms,
        results_before: u64,
    ) -> Result<Entry, SnapshotError> {
        match self.earlier.remove(&(job.id.clone(), job.hash_text())) {
            Some(entry) => Ok(entry),
            None => self.journal.accepted(&open_task(id, job, terms, results_before)),
        }
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

    /// How many open tasks of an earlier run this one has not begun.
    pub(super) fn earlier(&self) -> usize {
        self.earlier.len()
    }

    /// Commits what was noted, and looks whether the journal is still there.
    pub(super) fn commit(&mut self) -> Result<(), SnapshotError> {
        self.journal.is_there()?;
        self.journal.commit()
    }
}
