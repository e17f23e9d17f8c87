//! Files for output that has no room in a message.
//!
//! A file has no name until it is complete, so that a worker that is killed leaves nothing. A file system that has no such
//! files gives it one at once; what is left there then is removed with the fleet.

use crate::process::reset::temporary::private;
use crate::wire::spooled::Part;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the files of one attempt at a task go.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    /// The names begin with this, and no other attempt has it.
    name: String,
}

/// How much output is kept, in bytes, and what happens to more.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    pub max: usize,
    /// `None`: more is cut off.
    pub spool: Option<&'a Spool>,
}

impl From<usize> for Room<'_> {
    fn from(max: usize) -> Self {
        Self { max, spool: None }
    }
}

impl Spool {
    /// `dir` is made when something is spooled, in a directory that is private, too.
    pub fn new(dir: PathBuf, name: String) -> Self {
        Self { dir, name }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes the complete files whose names begin with one of `names`.
    pub fn remove_all(dir: &Path, names: &[String]) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let found = entry.file_name();
            if found.to_str().is_some_and(|found| names.iter().any(|name| found.starts_with(name))) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    pub(in crate::process) fn begin(&self, what: &str) -> io::Result<Growing> {
        let parent = self.dir.parent().ok_or(io::ErrorKind::NotADirectory)?;
        private(parent)?;
        private(&self.dir)?;
        let path = self.dir.join(format!("{}{what}", self.name));
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, is_named) = match rustix::fs::open(&self.dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => (File::from(file), false),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                (File::options().write(true).create_new(true).mode(0o600).open(&path)?, true)
            }
            Err(errno) => return Err(errno.into()),
        };
        Ok(Growing { file, path, len: 0, stays: false, is_named })
    }

    /// Puts `bytes` into a file of their own; `None` if there are none.
    pub(in crate::process) fn keep(&self, what: &str, bytes: &[u8]) -> io::Result<Option<Part>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut growing = self.begin(what)?;
        growing.write(bytes)?;
        growing.finish()
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(in crate::process) struct Growing {
    file: File,
    path: PathBuf,
    len: u64,
    stays: bool,
    is_named: bool,
}

impl Growing {
    /// A file of the user's, with `len` bytes in it.
    pub(super) fn of_user(file: File, path: PathBuf, len: u64) -> Self {
        Self { file, path, len, stays: true, is_named: true }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::process) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Removes what a file system without nameless files shows of it.
    pub(in crate::process) fn abandon(self) {
        if self.is_named && !self.stays {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Gives it its name; `None` if it is empty.
    pub(in crate::process) fn finish(mut self) -> io::Result<Option<Part>> {
        if self.len == 0 {
            return Ok(None);
        }
        if !self.is_named {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, own, CWD, &self.path, AtFlags::SYMLINK_FOLLOW)?;
            self.is_named = true;
        }
        let path = std::path::absolute(&self.path)?;
        Ok(Some(Part { path, len: self.len, stays: self.stays }))
    }
}
