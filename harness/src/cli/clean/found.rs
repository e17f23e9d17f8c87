//! Which directories are runs, and which of them go on.

use jiff::Timestamp;
use reports::run_dir::layout::RUN_LOG;
use reports::runlog::codec;
use reports::runlog::event::{Event, Header};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A directory with the log of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) path: PathBuf,
    pub(super) scenario: String,
    /// As its log says.
    pub(super) started: Timestamp,
    /// Allocated for all its files.
    pub(super) bytes: u64,
    /// The link beside it points to it.
    pub(super) latest: bool,
    /// Its log, locked; absent if the run that writes it goes on.
    pub(super) lock: Option<File>,
}

/// The directory of a scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    /// The newest first.
    pub(super) runs: Vec<Run>,
    /// Directories that are no runs, and why not.
    pub(super) others: Vec<(PathBuf, String)>,
}

pub(super) fn log(run: &Path) -> PathBuf {
    run.join(RUN_LOG)
}

/// In the order of their names. Links are not followed.
pub(super) fn scenarios(directory: &Path) -> io::Result<Vec<Scenario>> {
    let mut paths = directories(directory)?;
    paths.sort();
    paths.iter().map(|path| scenario(path)).collect()
}

fn directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn scenario(directory: &Path) -> io::Result<Scenario> {
    let latest = fs::canonicalize(directory.join("latest")).ok();
    let mut scenario = Scenario { runs: Vec::new(), others: Vec::new() };
    for path in directories(directory)? {
        match run(&path, latest.as_deref()) {
            Ok(run) => scenario.runs.push(run),
            Err(why) => scenario.others.push((path, why)),
        }
    }
    scenario.runs.sort_by(|a, b| b.started.cmp(&a.started).then(b.path.cmp(&a.path)));
    scenario.others.sort();
    Ok(scenario)
}

/// The error says why it is none.
fn run(path: &Path, latest: Option<&Path>) -> Result<Run, String> {
    let header = header(&log(path))?;
    let started = header.started_utc.parse().map_err(|error| format!("its log has no start: {error}"))?;
    let file = File::open(log(path)).map_err(|error| error.to_string())?;
    let canonical = fs::canonicalize(path).map_err(|error| error.to_string())?;
    Ok(Run {
        path: path.to_owned(),
        scenario: header.scenario.name,
        started,
        bytes: bytes(path).map_err(|error| error.to_string())?,
        latest: latest == Some(canonical.as_path()),
        // The harness that writes the log holds the lock until it has judged the run.
        lock: file.try_lock().is_ok().then_some(file),
    })
}

fn header(log: &Path) -> Result<Header, String> {
    let is_file = fs::symlink_metadata(log).is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err(format!("it has no file {RUN_LOG}"));
    }
    let mut records = codec::open(log).map_err(|error| error.to_string())?;
    match records.next() {
        Some(Ok(record)) => match record.event {
            Event::Header(header) => Ok(*header),
            _ => Err(format!("its {RUN_LOG} does not begin with a header")),
        },
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("its {RUN_LOG} is empty")),
    }
}

fn bytes(directory: &Path) -> io::Result<u64> {
    const BLOCK: u64 = 512;
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += metadata.blocks() * BLOCK;
        if metadata.is_dir() {
            sum += bytes(&entry.path())?;
        }
    }
    Ok(sum)
}
