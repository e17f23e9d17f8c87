//! What other programs do to a file while this process writes to it under its name.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What has become of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Its name leads to it, or that cannot be found out.
    There,
    /// It has no name any more.
    Removed,
    /// It is shorter than it was.
    CutOff,
    /// Its name leads to another file.
    Replaced,
    /// It has another name.
    Moved,
    /// Its name leads nowhere, since its file system is not mounted there any more.
    Unmounted,
}

impl Whereabouts {
    /// Of a file that was opened as `path` and had `len` bytes.
    pub fn of(file: &File, path: &Path, len: u64) -> Self {
        let Ok(found) = file.metadata() else { return Self::There };
        if found.nlink() == 0 {
            return Self::Removed;
        }
        if found.len() < len {
            return Self::CutOff;
        }
        match path.metadata() {
            Ok(named) if (named.dev(), named.ino()) == (found.dev(), found.ino()) => Self::There,
            Ok(_) => Self::Replaced,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let is_mounted = device_above(path).is_none_or(|device| device == found.dev());
                if is_mounted { Self::Moved } else { Self::Unmounted }
            }
            Err(_) => Self::There,
        }
    }
}

/// The file system of the nearest directory above `path` that is there.
fn device_above(path: &Path) -> Option<u64> {
    let above = path.ancestors().skip(1);
    let named = above.map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    named.filter_map(|dir| dir.metadata().ok()).map(|found| found.dev()).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_done_to_a_file_is_told_from_everything_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in").join("file");
        let anew = || {
            let _ = fs::remove_dir_all(dir.path().join("in"));
            let _ = fs::remove_file(dir.path().join("kept"));
            fs::create_dir(dir.path().join("in")).unwrap();
            fs::write(&path, "1234").unwrap();
            File::open(&path).unwrap()
        };
        let deeds: [(Whereabouts, &dyn Fn()); 6] = [
            (Whereabouts::There, &|| fs::write(&path, "12345678").unwrap()),
            (Whereabouts::Removed, &|| fs::remove_file(&path).unwrap()),
            (Whereabouts::CutOff, &|| fs::write(&path, "1").unwrap()),
            (Whereabouts::Moved, &|| fs::rename(&path, dir.path().join("kept")).unwrap()),
            (Whereabouts::Moved, &|| {
                fs::rename(&path, dir.path().join("kept")).unwrap();
                fs::remove_dir(dir.path().join("in")).unwrap();
            }),
            (Whereabouts::Replaced, &|| {
                fs::rename(&path, dir.path().join("kept")).unwrap();
                fs::write(&path, "1234").unwrap();
            }),
        ];
        for (wanted, deed) in deeds {
            let file = anew();
            deed();
            assert_eq!(Whereabouts::of(&file, &path, 4), wanted);
        }
    }

    #[test]
    fn a_file_on_another_file_system_than_that_of_its_directory_was_unmounted() {
        // As it looks afterwards: the file is open, and the directory is the one below.
        let (there, here) = (tempfile::tempfile_in("/dev/shm").unwrap(), tempfile::tempdir().unwrap());
        let named = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        let device = |file: &File| file.metadata().unwrap().dev();
        assert_eq!(Whereabouts::of(&there, &here.path().join("out"), 0), Whereabouts::Removed);
        if device(named.as_file()) != here.path().metadata().unwrap().dev() {
            for out in ["out", "no/such/out"] {
                let found = Whereabouts::of(named.as_file(), &here.path().join(out), 0);
                assert_eq!(found, Whereabouts::Unmounted, "{out}");
            }
        }
    }
}
