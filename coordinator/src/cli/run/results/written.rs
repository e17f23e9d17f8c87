//! The file of results while it is written: what can happen to it meanwhile.

use super::super::patience;
use super::super::source::PIECE;
use crate::os::whereabouts::Whereabouts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How often a writer that waits for the reader of a pipe asks whether to go on.
const LOOK_NS: i64 = 50_000_000;

/// What is said of a file that has no name any more.
pub(super) const GONE: &str = "was removed, and the results in it are lost";

/// What is said of one that another program has made shorter,
pub(super) const CUT: &str = "was cut off by another program, and the results that stood there are lost";
/// or has put another one in the place of,
const REPLACED: &str = "is another file now, and the results are in the one that had that name";
/// or has moved.
const MOVED: &str = "has another name now, and the results are in the file under that name";
/// What is said of one whose file system was unmounted.
const UNMOUNTED: &str =
    "is out of reach, because its file system is not mounted there any more, and the results are on that";

/// Why nothing is written any more.
pub(super) const TORN: &str = "a part of a line is in it, to which more would be joined";

/// Whether the results so far are not, or not all, where a later run would look for them.
pub(in crate::cli) fn is_elsewhere(error: &str) -> bool {
    [GONE, CUT, REPLACED, MOVED, UNMOUNTED].iter().any(|what| error.ends_with(what))
}

/// A file that results are written to.
#[derive(Debug)]
pub(in crate::cli) struct Written {
    file: File,
    path: PathBuf,
    len: u64,
    kind: Kind,
    /// Its reader did not read when a signal asked to stop: it is not waited for again.
    stalled: bool,
    /// It ends with a part of a line, which cannot be taken back.
    is_torn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    /// It had no name when it was opened: what it holds is read through a descriptor.
    Nameless,
    /// A pipe with a name. Its reader may leave, or not read.
    Pipe,
    Other,
}

impl Kind {
    fn of(found: &Metadata) -> Self {
        match found {
            found if found.is_file() && found.nlink() == 0 => Self::Nameless,
            found if found.is_file() => Self::Regular,
            found if found.file_type().is_fifo() => Self::Pipe,
            _ => Self::Other,
        }
    }
}

impl Written {
    /// `len` bytes of the file are complete lines.
    pub(super) fn of(file: File, path: &Path, len: u64) -> io::Result<Self> {
        let kind = Kind::of(&file.metadata()?);
        if kind == Kind::Pipe {
            rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { file, path: path.to_owned(), len, kind, stalled: false, is_torn: false })
    }

    /// The file, if it can be read again.
    pub(super) fn regular(&self) -> Option<&Path> {
        (self.kind == Kind::Regular).then_some(&self.path)
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> Result<(), String> {
        self.is_there()?;
        match self.file.sync_data() {
            // Pipes and terminals have no disk.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
                Err(format!("cannot sync {} to the disk: {error}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes what `fill` does, which is a whole line, or leaves the file unchanged.
    pub(super) fn write(
        &mut self,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), String> {
        self.is_there()?;
        if self.is_torn {
            return Err(format!("cannot write to {}: {TORN}", self.path.display()));
        }
        let mut to = BufWriter::with_capacity(PIECE, Piecewise { to: self, written: 0 });
        let filled = fill(&mut to).and_then(|()| to.flush());
        // Without another try to write what is left.
        let written = to.into_parts().0.written;
        match filled {
            Ok(()) => {
                self.len += written;
                Ok(())
            }
            Err(error) => {
                // The beginning of a line that does not fit must not stay in the file.
                self.is_torn = self.file.set_len(self.len).is_err() && written > 0;
                Err(format!("cannot write to {}: {error}", self.path.display()))
            }
        }
    }

    /// What is written to a file without a name is lost, and so is what another program has cut off. What has another name
    /// now is not where it was asked for.
    fn is_there(&self) -> Result<(), String> {
        if self.kind != Kind::Regular {
            return Ok(());
        }
        let what = match Whereabouts::of(&self.file, &self.path, self.len) {
            Whereabouts::There => return Ok(()),
            Whereabouts::Removed => GONE,
            Whereabouts::CutOff => CUT,
            Whereabouts::Replaced => REPLACED,
            Whereabouts::Moved => MOVED,
            Whereabouts::Unmounted => UNMOUNTED,
        };
        Err(format!("{} {what}", self.path.display()))
    }

    /// Waits for the reader as long as no signal asks to stop. Adds to `written` what is in the pipe, whatever happens then.
    fn write_to_pipe(&mut self, mut bytes: &[u8], written: &mut u64) -> io::Result<()> {
        let mut go_on = patience();
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(more) => {
                    bytes = &bytes[more..];
                    *written += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.stalled && go_on() => {
                    let look = Timespec { tv_sec: 0, tv_nsec: LOOK_NS };
                    // What it says is found out by the next write.
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&look));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled = true;
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "its reader does not read"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Counts what is written.
struct Piecewise<'a> {
    to: &'a mut Written,
    written: u64,
}

impl Write for Piecewise<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.to.kind == Kind::Pipe {
            self.to.write_to_pipe(bytes, &mut self.written)?;
            return Ok(bytes.len());
        }
        let written = self.to.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
