//! Files that a user names, in directories that other users may write to.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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

/// Links that are followed, as the kernel does.
const LINKS_MAX: u32 = 40;

/// The descriptor of this process that `path` is a name of, such as 1 for `/dev/stdout`. Such a name is not a link like
/// others: what it leads to may have no other name.
pub fn own_descriptor(path: &Path) -> Option<i32> {
    let of_this_process = PathBuf::from(format!("/proc/{}", std::process::id()));
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let name = path.file_name()?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = parent.canonicalize().ok()?;
        // `/proc/PID/fd`, or `/proc/PID/task/TID/fd` by way of `/proc/thread-self`.
        if parent.starts_with(&of_this_process) && parent.ends_with("fd") {
            return name.to_str()?.parse().ok();
        }
        path = parent.join(std::fs::read_link(parent.join(name)).ok()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn a_descriptor_is_known_by_each_of_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        symlink("/dev/stdout", &link).unwrap();
        std::fs::write(&file, "").unwrap();
        let names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1"];
        for name in names.iter().map(Path::new).chain([link.as_path()]) {
            assert_eq!(own_descriptor(name), Some(1), "{}", name.display());
        }
        assert_eq!(own_descriptor(Path::new("/dev/stdin")), Some(0));
        for name in [file.as_path(), Path::new("/dev/null"), Path::new("-"), Path::new("/")] {
            assert_eq!(own_descriptor(name), None, "{}", name.display());
        }
    }

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
