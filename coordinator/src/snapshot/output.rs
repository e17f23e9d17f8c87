//! Output that a backup's answers name in files of the fleet: copied into a directory beside the backup, since the fleet's
//! own goes with it.
//!
//! The directory may hold files of the user's. None is touched but copies that a backup named: the one that is replaced
//! here, or one that was interrupted, which had noted them ([`leftover`]).

mod dir;
mod leftover;

use super::error::SnapshotError;
use super::file::{Snapshot, read_snapshot};
use super::record::{AnswerRecord, Untold};
use crate::wire::spooled::{Part, STREAMS, Spooled, name_of};
use crate::wire::{TaskId, spooled};
use dir::{Dir, Uncopied};
use leftover::Leftover;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A client that has removed the output of an answer notes its end within this time.
const NOTED_WITHIN: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2000 });
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// The directory of the backup `path`: its name with `.output` behind it.
pub fn output_dir(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".output");
    path.with_file_name(name)
}

/// The copies of a backup that is not written yet. They are removed again if that fails.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Locked as long as it is open. `None` if there is nothing to copy, and nothing to remove.
    dir: Option<Dir>,
    /// Those that were made.
    names: Vec<String>,
    /// What is of no use once this backup is written.
    before: HashSet<String>,
    /// What an earlier note names is still there, and nothing else names it.
    keeps_note: bool,
    /// The answers whose output cannot be had, and why. They are in the backup, and a restore reports them without it.
    pub(crate) lost: Vec<(TaskId, String)>,
}

/// Copies the output that the answers of a backup name, before it is written to `path`. An answer whose output its client
/// has removed because its result is written is left out: `unwritten` finds the tasks whose results are not known to be written,
/// and is `None` if that cannot be found out. The files of an earlier backup of that name stay until [`Copied::keep`]; those
/// of one that was interrupted are removed.
///
/// # Errors
/// The directory belongs to another user, or is a link, or there is no room in it.
pub(crate) fn copy(
    path: &Path,
    snapshot: &mut Snapshot,
    unwritten: &mut dyn FnMut() -> Option<HashSet<TaskId>>,
) -> Result<Copied, SnapshotError> {
    let mut copied = Copied::begin(path, snapshot)?;
    let mut lost = HashMap::new();
    for one in snapshot.untold.iter_mut().filter(|one| one.answer.spooled) {
        if let Some(why) = copied.copy(one, snapshot.header.taken_unix_ns)? {
            lost.insert(one.id, why);
        }
    }
    let ended = ended(lost.keys().copied().collect(), unwritten);
    snapshot.untold.retain(|one| !ended.contains(&one.id));
    copied.lost = lost.into_iter().filter(|(id, _)| !ended.contains(id)).collect();
    copied.lost.sort_by_key(|(id, _)| *id);
    // Their output was reported; the beginning of stderr, which shows why they failed, is left.
    for answer in snapshot.dead.iter_mut().filter_map(|letter| letter.answer.as_mut()) {
        if answer.spooled {
            replace(answer, &[]);
            (answer.spooled, answer.truncated) = (false, true);
        }
    }
    if let Some(dir) = &copied.dir {
        dir.sync()?;
    }
    Ok(copied)
}

/// Removes what a backup left in `dir` that was interrupted. `there` is the backup of that name. Returns what cannot be told
/// from copies of the one that is there, because that cannot be read.
fn sweep(dir: &mut Dir, there: &Result<Option<Snapshot>, SnapshotError>) -> Vec<String> {
    let Some(left) = dir.leftover() else { return Vec::new() };
    dir.is_new |= left.made_dir;
    let Ok(there) = there else { return left.all() };
    let kept = there.as_ref().map(names_in).unwrap_or_default();
    let useless = left.useless(there.as_ref().map(|there| there.header.taken_unix_ns));
    dir.remove(useless.iter().filter(|name| !kept.contains(*name)).map(String::as_str));
    Vec::new()
}

/// Those of the tasks whose results are written. A client removes the files of an answer before it notes that.
fn ended(
    mut open: HashSet<TaskId>,
    unwritten: &mut dyn FnMut() -> Option<HashSet<TaskId>>,
) -> HashSet<TaskId> {
    let (begun, mut ended) = (Instant::now(), HashSet::new());
    while !open.is_empty() {
        let Some(there) = unwritten() else { break };
        ended.extend(open.extract_if(|id| !there.contains(id)));
        if begun.elapsed() >= NOTED_WITHIN {
            break;
        }
        std::thread::sleep(LOOK);
    }
    ended
}

impl Copied {
    /// Removes what an interrupted backup left, and notes what is to be copied.
    fn begin(path: &Path, snapshot: &Snapshot) -> Result<Self, SnapshotError> {
        let there = match read_snapshot(path) {
            Err(_) if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) => {
                Ok(None)
            }
            there => there.map(Some),
        };
        let taken = snapshot.header.taken_unix_ns;
        let spooled = snapshot.untold.iter().filter(|one| one.answer.spooled);
        let copies: Vec<String> = spooled
            .filter_map(|one| Some((one.id, parsed(one.id, &one.answer)?)))
            .flat_map(|(id, found)| {
                found.streams().map(|(stream, _)| copy_name(id, taken, stream)).collect::<Vec<_>>()
            })
            .collect();
        let mut dir = if copies.is_empty() {
            // Without one there is nothing in it, or what is there is not this user's.
            Dir::open(&output_dir(path)).ok().flatten()
        } else {
            Some(Dir::make(&output_dir(path))?)
        };
        let unknown = dir.as_mut().map(|dir| sweep(dir, &there)).unwrap_or_default();
        let keeps_note = !unknown.is_empty();
        let named = there.iter().flatten().flat_map(names_in);
        let before: HashSet<_> = named.chain(unknown).filter(|name| taken_of(name).is_some()).collect();
        let copied = Self { dir, names: Vec::new(), before, keeps_note, lost: Vec::new() };
        if let Some(dir) = &copied.dir {
            let is_needed = !copies.is_empty();
            let noted = dir.begin(&Leftover::new(taken, copies, &copied.before, dir.is_new));
            if is_needed {
                noted?;
            }
        }
        Ok(copied)
    }

    /// Copies the output of an answer; returns why there is none. `taken` makes the names different from those of every other
    /// backup.
    fn copy(&mut self, one: &mut Untold, taken: u64) -> Result<Option<String>, SnapshotError> {
        let Some(mut found) = parsed(one.id, &one.answer) else {
            return Ok(Some("its worker does not say where it is".to_owned()));
        };
        let mut lost = None;
        for (stream, part) in found.streams_mut() {
            let name = copy_name(one.id, taken, stream);
            let dir = self.dir.as_ref().expect("it was opened for what is to be copied");
            match dir.copy(part, &name) {
                Ok(()) => self.names.push(name.clone()),
                Err(Uncopied::Lost(why)) => lost = Some(format!("{}: {why}", part.path.display())),
                Err(Uncopied::Refused(error)) => return Err(error),
            }
            // Of one that is lost, too: a restore looks for it, and says so.
            *part = Part { path: name.into(), len: part.len, stays: true };
        }
        let body = found.to_body().expect("the names are made of letters and digits");
        replace(&mut one.answer, &body);
        Ok(lost)
    }

    /// The backup `snapshot` is written: removes what the one before it had here.
    pub(crate) fn keep(mut self, snapshot: &Snapshot) {
        let Some(dir) = self.dir.take() else { return };
        let kept = names_in(snapshot);
        let left = self.before.iter().chain(&self.names).filter(|name| !kept.contains(*name));
        let removed = dir.remove(left.map(String::as_str));
        dir.end();
        dir.leave(removed);
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            let removed = dir.remove(self.names.iter().map(String::as_str));
            if !self.keeps_note {
                dir.end();
            }
            dir.leave(removed);
        }
    }
}

/// What a backup that was taken then calls a part of a task's output.
fn copy_name(id: TaskId, taken: u64, stream: &str) -> String {
    format!("{}{taken:x}.{stream}", name_of(id))
}

fn parsed(id: TaskId, answer: &AnswerRecord) -> Option<Spooled> {
    Spooled::parse(answer.body.0.get(..answer.stdout_len as usize)?, id)
}

/// Puts `first` in the place of what says where the output is.
fn replace(answer: &mut AnswerRecord, first: &[u8]) {
    let rest = answer.body.0.get(answer.stdout_len as usize..).unwrap_or_default();
    answer.body.0 = [first, rest].concat();
    answer.stdout_len = first.len() as u32;
}

/// The files that a backup has in its directory.
fn names_in(snapshot: &Snapshot) -> HashSet<String> {
    let spooled = snapshot.untold.iter().map(|one| &one.answer).filter(|answer| answer.spooled);
    let found =
        spooled.filter_map(|answer| spooled::relative(answer.body.0.get(..answer.stdout_len as usize)?));
    let names = |found: Spooled| found.parts().map(|part| part.path.clone()).collect::<Vec<_>>();
    found.flat_map(names).filter_map(|name| name.into_os_string().into_string().ok()).collect()
}

/// When the backup was taken that has a copy of this name; `None` if the name is not that of a copy.
fn taken_of(name: &str) -> Option<u64> {
    let id = spooled::task_of(name)?;
    let (taken, stream) = name.strip_prefix(&name_of(id))?.split_once('.')?;
    let taken = u64::from_str_radix(taken, 16).ok()?;
    (name == copy_name(id, taken, stream) && STREAMS.contains(&stream)).then_some(taken)
}

/// Says where the output of a backup at `path` is: in the directory beside it.
pub fn find(path: &Path, untold: &mut [Untold]) {
    let Ok(dir) = std::path::absolute(output_dir(path)) else { return };
    for answer in untold.iter_mut().map(|one| &mut one.answer).filter(|answer| answer.spooled) {
        let place = answer.body.0.get(..answer.stdout_len as usize).and_then(spooled::relative);
        let Some(mut found) = place else { continue };
        for part in [&mut found.stdout, &mut found.stderr].into_iter().flatten() {
            part.path = dir.join(&part.path);
        }
        if let Some(body) = found.to_body() {
            replace(answer, &body);
        }
    }
}

#[cfg(test)]
mod tests;
