//! Where a list came from, to notice that it was changed.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file with a list, as it was when that was checked.
#[derive(Debug)]
pub(super) struct Whence {
    path: PathBuf,
    stamp: Stamp,
}

/// What changes with a file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// In ns since 1970.
    modified: i128,
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
        }
    }
}

impl Whence {
    /// Of a file that was just opened; `None` if it is not the one at `path`, but a copy of what came through a pipe.
    pub(super) fn of(path: &Path, file: &File) -> Option<Self> {
        let [there, stamp] =
            [path.metadata(), file.metadata()].map(|found| found.ok().as_ref().map(Stamp::of));
        (there == stamp).then_some(Self { path: path.to_owned(), stamp: stamp? })
    }

    /// The file that is there now, opened, if it is not there as it was. A file that was removed has not changed.
    ///
    /// # Errors
    /// Why it cannot be read: it is not a file any more, or cannot be opened.
    pub(super) fn changed(&self) -> Result<Option<File>, String> {
        let path = self.path.display();
        let Ok(found) = self.path.metadata() else { return Ok(None) };
        if Stamp::of(&found) == self.stamp {
            return Ok(None);
        }
        if !found.is_file() {
            return Err(format!("{path} was replaced after it had been checked"));
        }
        File::open(&self.path).map(Some).map_err(|error| format!("cannot read {path} again: {error}"))
    }
}
