//! The index of a directory of runs, kept up by each run that begins or ends: what a gate asks which runs there were.
//!
//! The format is in `reports::gate::index`. A run is added under a lock, so that runs side by side do not mix their lines.

use reports::Judgement;
use reports::gate::index::{self, Addition, Entry, Index};
use reports::run_dir::{Unfinished, logs_sha256};
use reports::runlog::event::Header;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A harness holds the lock for as long as it takes to write a line.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is in the place of the log of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// What the run wrote.
    Own,
    /// Nothing, or something else.
    Lost,
}

/// Adds a run that begins, or goes on, to the index of `runs`: should it be killed and removed, a gate notices. The error is a sentence.
pub fn begin(runs: &Path, directory: &Path, header: &Header) -> Result<(), String> {
    append(runs, directory, |place| {
        let begun = Entry::begun(header, place);
        if header.segment == 0 {
            return Ok(begun);
        }
        // From now on, nothing of the segments before may change.
        let mut logs = logs_sha256(directory).map_err(|error| error.to_string())?;
        logs.truncate(header.segment as usize);
        Ok(Entry { log_sha256: joined(&logs), ..begun })
    })
}

/// Adds a run that has ended to the index of `runs`. The error is a sentence: the run itself is none the worse for it.
pub fn add(runs: &Path, directory: &Path, judgement: &Judgement, log: Log) -> Result<(), String> {
    append(runs, directory, |place| {
        let logs = match log {
            Log::Own => logs_sha256(directory).map_err(|error| error.to_string())?,
            Log::Lost => Vec::new(),
        };
        Ok(Entry::of(judgement, joined(&logs), place))
    })
}

/// Why a run is not the one that the index of its directory of runs has: nothing may be added to what was changed or is gone. Nothing if it
/// is that one, or is in no index that can be read.
pub fn stands_against(directory: &Path, run: &Unfinished) -> Option<String> {
    let header = run.header();
    let index = read(&home_of(directory, &header.scenario.name)?);
    let entry = index.entries.iter().find(|entry| entry.run_id == header.run_id)?;
    let says = |what: &str| Some(format!("{what}, says the index of runs"));
    if let Some(differs) = entry.differs(&Entry::begun(header, String::new())) {
        return says(&format!("its header was changed after the run began: {differs}"));
    }
    if index.rivals.iter().any(|rival| rival.run_id == header.run_id) {
        return says("it was resumed before from a log that was changed, or from a copy");
    }
    let logs = joined(&logs_sha256(directory).ok()?);
    let was = || format!("its log was changed after the run: it was {} when it ended", entry.verdict);
    match entry.is_unfinished() {
        false if entry.has_lost_its_log() || !entry.is_begun_by(&logs) => says(&was()),
        true if !entry.is_begun_by(&logs) => {
            says("its log was changed after the run: it does not begin with what it was when the run went on")
        }
        true if !entry.is_followed_by(&logs) => says("the log of its last segment is gone"),
        true | false => None,
    }
}

/// One more line, of a run in this directory.
fn append(
    runs: &Path,
    directory: &Path,
    entry: impl FnOnce(String) -> Result<Entry, String>,
) -> Result<(), String> {
    let path = runs.join(index::FILE);
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let place = directory.canonicalize().map_err(failed)?;
    let within = runs.canonicalize().ok().and_then(|runs| place.strip_prefix(runs).ok()).unwrap_or(&place);
    let entry = entry(within.display().to_string())?;
    let mut file = open(&path).map_err(failed)?;
    patiently(|| file.try_lock()).map_err(failed)?;
    let Addition { offset, line } = index::add(BufReader::new(&file), &entry)
        .map_err(|why| format!("{} does not verify ({why}); nothing is added to it", path.display()))?;
    file.set_len(offset)
        .and_then(|()| file.seek(SeekFrom::Start(offset)))
        .and_then(|_| file.write_all(&line))
        .and_then(|()| file.sync_data())
        .map_err(failed)
}

/// What the index of `runs` says. One that cannot be read is damaged: it is there, and may hold anything.
pub fn read(runs: &Path) -> Index {
    let path = runs.join(index::FILE);
    let damaged =
        |why: String| Index { damaged: Some(format!("{}: {why}", path.display())), ..Index::default() };
    let file = match plain(File::options().read(true), &path) {
        Ok(file) => file,
        // A directory of runs from before there was an index, or from elsewhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Index::default(),
        Err(error) => return damaged(error.to_string()),
    };
    // Not while a line is being written.
    if let Err(error) = patiently(|| file.try_lock_shared()) {
        return damaged(error.to_string());
    }
    let read = index::read(BufReader::new(&file));
    Index { damaged: read.damaged.map(|why| format!("{}: {why}", path.display())), ..read }
}

/// Any program can hold a lock for ever.
fn patiently(lock: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                return Err(io::Error::other("another process keeps it locked"));
            }
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOOK_AGAIN),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    plain(File::options().read(true).write(true).create(true).truncate(false), path)
}

/// Neither a link nor a pipe, which could lead elsewhere, to nothing, or have no other end.
fn plain(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    match options.custom_flags(flags).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(io::Error::other("it is not a file")),
        Err(_) if path.is_symlink() => Err(io::Error::other("it is a link, and not a file")),
        Err(error) => Err(error),
    }
}

/// The directory of runs that a run of `scenario` lies in: one that has an index, or that the run was begun in.
pub fn home_of(directory: &Path, scenario: &str) -> Option<PathBuf> {
    let run = directory.canonicalize().ok()?;
    let beside = run.parent()?;
    let runs = beside.parent()?.to_owned();
    (runs.join(index::FILE).is_file() || beside.file_name()? == scenario).then_some(runs)
}

/// Of each log of a run, joined: that of its log, for a run with one.
pub fn joined(logs_sha256: &[String]) -> String {
    logs_sha256.join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_another_process_keeps_locked_is_not_waited_for_without_end() {
        let runs = tempfile::tempdir().unwrap();
        let path = runs.path().join(index::FILE);
        let held = File::create(&path).unwrap();
        held.lock().unwrap();
        let damaged = read(runs.path()).damaged.unwrap();
        assert!(damaged.contains("another process keeps it locked"), "{damaged}");
        drop(held);
        assert_eq!(read(runs.path()), Index::default());
    }

    #[test]
    fn an_index_that_is_a_link_is_said_to_be_one() {
        let runs = tempfile::tempdir().unwrap();
        for to in ["nowhere", "there"] {
            let path = runs.path().join(index::FILE);
            std::fs::write(runs.path().join("there"), "").unwrap();
            std::os::unix::fs::symlink(to, &path).unwrap();
            let damaged = read(runs.path()).damaged.unwrap();
            assert!(damaged.contains("it is a link, and not a file"), "{to}: {damaged}");
            assert!(open(&path).unwrap_err().to_string().contains("it is a link"));
            std::fs::remove_file(path).unwrap();
        }
    }
}
