//! Files that a user names, in directories that other users may write to.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Opens the file `path`. A link there is followed if this user or root has made it: that of another user could lead to any
/// file of this user's.
///
/// # Errors
/// As of `open`, or the link is another user's.
pub fn open_named(path: &Path, options: &OpenOptions) -> io::Result<File> {
    open_named_with(path, options, OFlags::empty())
}

/// As [`open_named`], with more flags.
///
/// # Errors
/// As of [`open_named`].
pub fn open_named_with(path: &Path, options: &OpenOptions, flags: OFlags) -> io::Result<File> {
    let open = |flags: OFlags| options.clone().custom_flags(flags.bits() as i32).open(path);
    match open(flags | OFlags::NOFOLLOW) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {}
        done => return done,
    }
    let owner = path.symlink_metadata()?.uid();
    if owner == 0 || owner == rustix::process::geteuid().as_raw() {
        return open(flags);
    }
    let words =
        format!("it is a link that user {owner} has made, and could lead to any file: choose another name");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn only_the_link_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "kept").unwrap();
        symlink(&file, &link).unwrap();
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        open_named(&file, &options).unwrap();
        open_named(&link, &options).unwrap();
        open_named(&dir.path().join("new"), &options).unwrap();
        // Only root may give a link away.
        if lchown(&link, Some(65534), Some(65534)).is_ok() {
            let error = open_named(&link, &options).unwrap_err();
            assert!(error.to_string().contains("user 65534 has made"), "{error}");
        }
    }
}
