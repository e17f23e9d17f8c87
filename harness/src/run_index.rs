//! The index of a directory of runs, kept up by each run that begins or ends: what a gate asks which runs there were.
//!
//! The format is in `reports::gate::index`. A run is added under a lock, so that runs side by side do not mix their lines.

use reports::Judgement;
use reports::gate::index::{self, Addition, Entry, Index};
use reports::run_dir::logs_sha256;
use reports::runlog::codec;
use reports::runlog::event::Header;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Adds a run that begins to the index of `runs`: should it be killed and removed, a gate notices. The error is a sentence.
pub fn begin(runs: &Path, directory: &Path, header: &Header) -> Result<(), String> {
    append(runs, directory, |place| Ok(Entry::begun(header, place)))
}

/// Adds a run that has ended to the index of `runs`. The error is a sentence: the run itself is none the worse for it.
pub fn add(runs: &Path, directory: &Path, judgement: &Judgement) -> Result<(), String> {
    append(runs, directory, |place| {
        let logs = logs_sha256(directory).map_err(|error| error.to_string())?;
        Ok(Entry::of(judgement, joined(&logs), place))
    })
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
    file.lock().map_err(failed)?;
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
    let damaged = |why: String| Some(format!("{}: {why}", path.display()));
    let file = match codec::open_file(&path) {
        Ok(file) => file,
        // A directory of runs from before there was an index, or from elsewhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Index::default(),
        Err(error) => return Index { entries: Vec::new(), damaged: damaged(error.to_string()) },
    };
    // Not while a line is being written.
    if let Err(error) = file.lock_shared() {
        return Index { entries: Vec::new(), damaged: damaged(error.to_string()) };
    }
    let Index { entries, damaged: why } = index::read(BufReader::new(&file));
    Index { entries, damaged: why.and_then(damaged) }
}

/// Neither a link nor a pipe, which could lead elsewhere or have no other end.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file =
        File::options().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
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
