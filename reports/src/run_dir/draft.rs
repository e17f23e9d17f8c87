//! A file under its temporary name: whole or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Beside the file that it will be, so that the rename stays on one file system; removed if it is dropped
/// unfinished.
#[derive(Debug)]
pub(super) struct Draft {
    file: NamedTempFile<BufWriter<File>>,
    path: PathBuf,
}

impl Draft {
    /// The temporary name is always the same: what a killed program has left is written over.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default();
        let dir = path.parent().unwrap_or(Path::new("."));
        let file =
            tempfile::Builder::new().prefix(name).suffix(".tmp").rand_bytes(0).make_in(dir, |temporary| {
                remove_stream(temporary)?;
                // The directory is the run's own, so that no other user can have put a link there.
                File::options().write(true).create(true).truncate(true).open(temporary).map(BufWriter::new)
            })?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// On disk under its own name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.as_file().get_ref().sync_all()?;
        self.file.persist(&self.path).map_err(|refused| refused.error)?;
        Ok(())
    }
}

/// Opening a pipe would wait for a reader. What has the temporary name is ours.
fn remove_stream(temporary: &Path) -> io::Result<()> {
    match fs::symlink_metadata(temporary) {
        Ok(found) if !(found.is_file() || found.is_dir() || found.is_symlink()) => fs::remove_file(temporary),
        Ok(_) | Err(_) => Ok(()),
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

/// Writes beside the file and renames: a reader sees the old bytes or the new ones.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::create(path)?;
    draft.write_all(bytes)?;
    draft.finish()
}
