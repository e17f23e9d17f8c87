//! What earlier clients have left in the fleet.

use super::{Client, SendError, TaskId};
use crate::bus::copy::copy_out;
use crate::bus::ring::{HEADER, Record, RingError};
use crate::bus::slot::TableEntry;
use crate::bus::sync::Ordering;
use crate::bus::view::Region;
use crate::plan::lease::{State, Word};
use crate::process::reset::temporary::spool_in;
use crate::wire::spooled::task_of as task_of_file;
use crate::wire::{ANSWER, AnswerHeader, ControlHeader, Order, TASK, TaskHeader};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use zerocopy::FromBytes;

/// A task's entry that changes while it is read is read again this often.
const READS_MAX: u32 = 8;

impl Client {
    /// The tasks of earlier clients whose outcomes are still to come ([`super::Event::Inherited`]). A task moves on
    /// from the client's ring through the table to the ring of answers, and in this order they are read: what is nowhere
    /// found has left the fleet, or never came to it.
    pub fn left(&self) -> HashSet<TaskId> {
        let mut found = self.held();
        found.retain(|id| id.sender != self.sender);
        found
    }

    /// The files with output of earlier clients' tasks, and whose they are. A client that was killed with an answer in hand
    /// leaves them, and so does an attempt whose answer came too late. Read before [`Self::left`], what that does not name
    /// has no answer that could still come.
    pub fn spooled(&self) -> Vec<(TaskId, PathBuf)> {
        let created_unix_ns = self.control.stamped().created_unix_ns;
        let temporary = temporary_of(self.control.owner().pid).unwrap_or_else(std::env::temp_dir);
        let files = std::fs::read_dir(spool_in(&temporary, created_unix_ns)).into_iter().flatten().flatten();
        let of_task =
            |file: std::fs::DirEntry| Some((task_of_file(file.file_name().to_str()?)?, file.path()));
        files.filter_map(of_task).filter(|(id, _)| id.sender != self.sender).collect()
    }

    /// Every task that is in the rings or in the tables, in the order in which a task moves on.
    pub(super) fn held(&self) -> HashSet<TaskId> {
        let mut found = HashSet::new();
        for region in self.links.iter().flatten().map(|link| link.region) {
            for record in region.client_down().unread().unwrap_or_default() {
                let task = TaskHeader::read_from_bytes(&record.header);
                found.extend(task.ok().filter(|_| record.kind == TASK).map(|task| task.id));
            }
            found.extend(region.table().iter().filter_map(task_of));
            found.extend(unread_answers(region).iter().filter_map(answered));
        }
        found
    }

    /// Only its coordinator knows which one it is.
    pub(super) fn end_left(&mut self, id: TaskId, order: Order) -> Result<(), SendError> {
        let order = ControlHeader { id, order: order as u32, all: 0, spare: [0; 4] };
        for (link, index) in self.links.iter_mut().zip(0..) {
            let Some(link) = link.as_mut().filter(|link| link.lost.is_none()) else { continue };
            link.order(&order).map_err(|_| SendError::Backpressure)?;
            self.control.coordinator(index).bell.ring();
        }
        Ok(())
    }
}

/// The `TMPDIR` that a process was started with.
fn temporary_of(pid: u32) -> Option<PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let found =
        environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"TMPDIR="))?;
    Some(PathBuf::from(OsStr::from_bytes(found)))
}

/// The tasks of a region whose answers no client has taken, or that are to be answered. In the order in which a task moves on.
pub(crate) fn unanswered(region: Region) -> Result<HashSet<TaskId>, RingError> {
    let mut found: HashSet<TaskId> = region.table().iter().filter_map(task_of).collect();
    found.extend(region.client_up().unread()?.iter().filter_map(answered));
    Ok(found)
}

fn unread_answers(region: Region) -> Vec<Record> {
    region.client_up().unread().unwrap_or_default()
}

fn answered(record: &Record) -> Option<TaskId> {
    let answer = AnswerHeader::read_from_bytes(&record.header).ok().filter(|_| record.kind == ANSWER);
    answer.map(|answer| answer.id)
}

/// The task in an entry, unless that is free.
fn task_of(entry: &TableEntry) -> Option<TaskId> {
    let word = || Word::from_raw(entry.word.load(Ordering::Acquire));
    let mut id = None;
    for _ in 0..READS_MAX {
        let before = word();
        if before.state() == Some(State::Free) {
            return None;
        }
        let mut header = [0; HEADER];
        copy_out(&entry.task, &mut header);
        id = TaskHeader::read_from_bytes(&header).ok().map(|task| task.id);
        if word().generation() == before.generation() {
            break;
        }
    }
    id
}
