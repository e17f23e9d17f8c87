//! Output that a backup's answers name in files of the fleet: copied into a directory beside the backup, since the fleet's
//! own goes with it.

use super::error::SnapshotError;
use super::file::Snapshot;
use super::record::{AnswerRecord, Untold};
use crate::wire::spooled::{Part, Spooled, name_of};
use crate::wire::{TaskId, spooled};
use rustix::fs::Mode;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the backup `path`: its name with `.output` behind it.
pub fn output_dir(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".output");
    path.with_file_name(name)
}

/// Copies the output that the answers of a backup name, before it is written to `path`. An answer whose output its client
/// has removed is left out: its result is written. The files of an earlier backup of that name stay until [`tidy`].
///
/// # Errors
/// A file cannot be copied.
pub fn copy(path: &Path, snapshot: &mut Snapshot) -> Result<(), SnapshotError> {
    let dir = output_dir(path);
    let mut gone = HashSet::new();
    for one in snapshot.untold.iter_mut().filter(|one| one.answer.spooled) {
        match copy_of(&dir, one, snapshot.header.taken_unix_ns) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                gone.insert(one.id);
            }
            Err(error) => return Err(SnapshotError::io(&dir, "copy output into it", &error)),
        }
    }
    snapshot.untold.retain(|one| !gone.contains(&one.id));
    // Their output was reported; the beginning of stderr, which shows why they failed, is left.
    for answer in snapshot.dead.iter_mut().filter_map(|letter| letter.answer.as_mut()) {
        if answer.spooled {
            replace(answer, &[]);
            (answer.spooled, answer.truncated) = (false, true);
        }
    }
    if dir.exists() {
        let synced = File::open(&dir).and_then(|dir| dir.sync_all());
        synced.map_err(|error| SnapshotError::io(&dir, "sync it", &error))?;
    }
    Ok(())
}

/// `taken` makes the names different from those of every other backup.
fn copy_of(dir: &Path, one: &mut Untold, taken: u64) -> io::Result<()> {
    let mut found = parsed(one.id, &one.answer).ok_or(io::ErrorKind::InvalidData)?;
    match rustix::fs::mkdir(dir, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    for (part, stream) in [(&mut found.stdout, "stdout"), (&mut found.stderr, "stderr")] {
        let Some(part) = part else { continue };
        let name = format!("{}{taken:x}.{stream}", name_of(one.id));
        let copied = std::fs::copy(&part.path, dir.join(&name))?;
        if copied < part.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        File::open(dir.join(&name))?.sync_all()?;
        *part = Part { path: name.into(), len: part.len, stays: true };
    }
    let body = found.to_body().ok_or(io::ErrorKind::InvalidData)?;
    replace(&mut one.answer, &body);
    Ok(())
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

/// Removes what an earlier backup at `path` has left in its directory; `snapshot` is now the one there.
pub fn tidy(path: &Path, snapshot: &Snapshot) {
    let dir = output_dir(path);
    let kept: HashSet<PathBuf> = snapshot
        .untold
        .iter()
        .filter(|one| one.answer.spooled)
        .filter_map(|one| spooled::relative(one.answer.body.0.get(..one.answer.stdout_len as usize)?))
        .flat_map(|found| found.parts().map(|part| part.path.clone()).collect::<Vec<_>>())
        .collect();
    for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
        if !kept.contains(Path::new(&entry.file_name())) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    // Fails unless it is empty.
    let _ = std::fs::remove_dir(&dir);
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
