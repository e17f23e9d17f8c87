//! The directory of a run: `runs/<scenario>/<UTC>-<id>/`, and the link `latest` beside it.

use super::writer::Writer;
use reports::run_dir::layout::{RUN_LOG, segment_log};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// A guard ends what a killed harness has started.
const FLEET_ENDS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Error)]
#[error("{path}: cannot {what}: {error}")]
pub struct RunDirError {
    pub path: PathBuf,
    pub what: &'static str,
    pub error: io::Error,
}

#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    /// Which segment is written.
    segment: u32,
    /// Of a run that goes on: its first log, locked. The harness that has the lock writes the run.
    _lock: Option<Arc<File>>,
}

impl RunDir {
    /// `stamp` is the start in UTC, as it goes into the name.
    pub fn create(out: &Path, scenario: &str, stamp: &str, id: &str) -> Result<Self, RunDirError> {
        let parent = out.join(scenario);
        let path = parent.join(format!("{stamp}-{id}"));
        let failed = |path: &Path, what| {
            let path = path.to_owned();
            move |error| RunDirError { path, what, error }
        };
        fs::create_dir_all(&parent).map_err(failed(&parent, "make the directory"))?;
        fs::create_dir(&path).map_err(failed(&path, "make the run directory"))?;
        // A name of its own first: a link is replaced in one step, also with another run beside this one.
        let staged = parent.join(format!(".latest-{id}"));
        std::os::unix::fs::symlink(format!("{stamp}-{id}"), &staged)
            .and_then(|()| fs::rename(&staged, parent.join("latest")))
            .map_err(failed(&parent, "set the link `latest` in"))?;
        Ok(Self { path, segment: 0, _lock: None })
    }

    /// That of a run which is to have another segment. An error if a harness is still writing the run.
    pub fn of_run(path: &Path) -> Result<Self, RunDirError> {
        let log = path.join(RUN_LOG);
        let failed = |what, error| RunDirError { path: log.clone(), what, error };
        let file = File::open(&log).map_err(|error| failed("open the log", error))?;
        let begun = Instant::now();
        // A file system without locks does without.
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            let writer =
                Writer::holding(&file).map_err(|error| failed("see who has locked the log", error))?;
            if let Writer::Process(_) = writer {
                return Err(failed("go on with the run", io::Error::other("another harness is writing it")));
            }
            // The fleet of a killed harness ends by itself.
            if begun.elapsed() > FLEET_ENDS_WITHIN {
                let why = io::Error::other("another harness is writing it, or its fleet has not ended");
                return Err(failed("go on with the run", why));
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        Ok(Self { path: path.to_owned(), segment: 0, _lock: Some(Arc::new(file)) })
    }

    /// The same, to write this segment.
    #[must_use]
    pub fn at_segment(self, segment: u32) -> Self {
        Self { segment, ..self }
    }

    /// Removes it, and the link to it, if nothing was written into it.
    pub fn discard(&self) {
        if fs::remove_dir(&self.path).is_err() {
            return;
        }
        let link = self.path.with_file_name("latest");
        if fs::read_link(&link).is_ok_and(|to| Some(to.as_os_str()) == self.path.file_name()) {
            // A link that leads nowhere does no harm, either.
            let _ = fs::remove_file(link);
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn log(&self) -> PathBuf {
        self.path.join(segment_log(self.segment))
    }

    /// What the commands before and after the run have written.
    pub fn commands_output(&self) -> PathBuf {
        self.path.join("commands.output")
    }

    /// What the fleet's processes said on stderr.
    pub fn fleet_stderr(&self) -> PathBuf {
        // Of its own for each segment: a file of another fleet is not written over.
        let name = match self.segment {
            0 => "fleet.stderr".to_owned(),
            later => format!("fleet.{}.stderr", u64::from(later) + 1),
        };
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_points_to_the_newest() {
        let out = tempfile::tempdir().unwrap();
        RunDir::create(out.path(), "smoke", "20261122T100000Z", "a").unwrap();
        let second = RunDir::create(out.path(), "smoke", "20261122T100001Z", "b").unwrap();
        let latest = fs::canonicalize(out.path().join("smoke/latest")).unwrap();
        assert_eq!(latest, fs::canonicalize(second.path()).unwrap());
    }

    #[test]
    fn a_run_is_never_written_over() {
        let out = tempfile::tempdir().unwrap();
        RunDir::create(out.path(), "smoke", "t", "a").unwrap();
        assert_eq!(
            RunDir::create(out.path(), "smoke", "t", "a").unwrap_err().error.kind(),
            io::ErrorKind::AlreadyExists
        );
    }
}
