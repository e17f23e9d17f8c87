//! Temporary files that no other process can name.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// With a random name of 64 bits, one try is as good as certain to be the first with it.
const TRIES: u32 = 16;

/// A temporary file for reading and writing that vanishes with its last descriptor.
///
/// # Errors
/// The temporary directory does not exist, is full, or may not be written to.
pub fn nameless() -> io::Result<File> {
    let dir = std::env::temp_dir();
    within(&dir).map_err(|error| {
        let words = format!(
            "a temporary file in {}: {error}; TMPDIR names another directory for them",
            dir.display()
        );
        io::Error::new(error.kind(), words)
    })
}

fn within(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(File::from(file)),
        // A file system that has no such files, or an old kernel.
        Err(_) => named_and_removed(dir),
    }
}

/// For a moment it has a name, which is random: no other user can have been there before.
fn named_and_removed(dir: &Path) -> io::Result<File> {
    let mut tried = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..TRIES {
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let path = dir.join(format!("coordinator-{random:016x}.tmp"));
        match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tried = error,
            Err(error) => return Err(error),
        }
    }
    Err(tried)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_nameless_file_is_private_and_leaves_nothing() {
        for make in [within as fn(&Path) -> io::Result<File>, named_and_removed] {
            let dir = tempfile::tempdir().unwrap();
            let mut file = make(dir.path()).unwrap();
            assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
            let found = file.metadata().unwrap();
            assert_eq!((found.nlink(), found.mode() & 0o777), (0, 0o600));
            file.write_all(b"kept").unwrap();
            file.rewind().unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "kept");
        }
    }
}
