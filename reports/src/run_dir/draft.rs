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

/// A file that is not there yet, under a name of its own beside the one that it will have: a program that is killed while it writes leaves nothing
/// half under that. It never takes the place of a file.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile<BufWriter<File>>,
    path: PathBuf,
}

impl NewFile {
    /// # Errors
    /// There is something of that name (`AlreadyExists`), or the directory cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(name)
            .suffix(".tmp")
            .make_in(directory, |temporary| File::create_new(temporary).map(BufWriter::new))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// On disk under its own name.
    ///
    /// # Errors
    /// It cannot be written, or a file of that name has come meanwhile (`AlreadyExists`).
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.as_file().get_ref().sync_all()?;
        self.file.persist_noclobber(&self.path).map_err(|refused| refused.error)?;
        Ok(())
    }
}

impl Write for NewFile {
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

/// As [`replace`], of a file that a user has made: it keeps its mode, and what a link leads to is replaced, and not the link.
pub(super) fn edit(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = path.canonicalize()?;
    let mode = fs::metadata(&path)?.permissions();
    let mut draft = Draft::create(&path)?;
    draft.file.as_file().get_ref().set_permissions(mode)?;
    draft.write_all(bytes)?;
    draft.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_its_name_once_it_is_whole_and_takes_no_ones_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sealed.tar");
        let names = || -> Vec<String> {
            let entries = fs::read_dir(dir.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut half = NewFile::create(&path).unwrap();
        half.write_all(b"half").unwrap();
        half.flush().unwrap();
        assert!(!path.exists() && names().len() == 1, "{:?}", names());
        drop(half);
        assert!(names().is_empty(), "{:?}", names());
        let (mut first, mut second) = (NewFile::create(&path).unwrap(), NewFile::create(&path).unwrap());
        first.write_all(b"first").and_then(|()| second.write_all(b"second")).unwrap();
        first.finish().unwrap();
        assert_eq!(second.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(NewFile::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap(), names()), (b"first".to_vec(), vec!["sealed.tar".to_owned()]));
    }

    #[test]
    fn an_edited_file_keeps_its_mode_and_the_links_to_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("plan.toml"), dir.path().join("link.toml"));
        std::os::unix::fs::symlink("plan.toml", &link).unwrap();
        for mode in [0o600, 0o644, 0o664] {
            File::create(&file).and_then(|mut file| file.write_all(b"old")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            edit(&link, b"new").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"new");
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, mode);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

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
