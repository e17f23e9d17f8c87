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
    /// The temporary name is always the same: what has it, left by a killed program or put there by another user, is
    /// removed and never written to.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default();
        let dir = path.parent().unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(name)
            .suffix(".tmp")
            .rand_bytes(0)
            .make_in(dir, |temporary| create_anew(temporary).map(BufWriter::new))?;
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

fn create_anew(temporary: &Path) -> io::Result<File> {
    match File::create_new(temporary) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(temporary)?;
            File::create_new(temporary)
        }
        created => created,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_at_the_temporary_name_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (precious, path) = (dir.path().join("precious"), dir.path().join("verdict.json"));
        File::create_new(&precious).and_then(|mut file| file.write_all(b"kept")).unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("verdict.json.tmp")).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"kept");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
