//! Standard output and standard error, written without being held up by a reader that does not read.
//!
//! A write to a pipe or a terminal waits for its reader, and a process that waits there obeys no signal that it has blocked.
//! So what may wait is asked first, and the caller says how long to go on.

use crate::bus::sync::{AtomicBool, Ordering};
use crate::os::named::own_descriptor;
use crate::process::inherited::started_without;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a process in a [`hurry`] waits for a reader in all: one that reads at all takes a page in far less.
pub const WAIT_MAX: Duration = Duration::from_secs(2);
/// What a pipe takes without waiting whenever it is ready (`PIPE_BUF`).
const PIECE: usize = 4096;
/// How often a writer that waits asks whether to go on.
const LOOK: Duration = Duration::from_millis(50);
/// A kernel that says "ready" and takes nothing is asked again after this.
const PAUSE: Duration = Duration::from_millis(1);

static HURRY: AtomicBool = AtomicBool::new(false);

/// From now on this process must obey signals by itself: no write waits long for a reader.
pub fn hurry() {
    HURRY.store(true, Ordering::Relaxed);
}

pub(super) fn is_in_hurry() -> bool {
    HURRY.load(Ordering::Relaxed)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// This process was started without it, and what is written to it would be lost.
    pub(super) fn is_missing(self) -> bool {
        started_without(self.fd().as_raw_fd())
    }

    fn fd(self) -> BorrowedFd<'static> {
        match self {
            Self::Stdout => rustix::stdio::stdout(),
            Self::Stderr => rustix::stdio::stderr(),
        }
    }
}

/// A standard stream to write to.
#[derive(Debug)]
pub struct Outlet {
    stream: Stream,
    to: To,
}

#[derive(Debug)]
enum To {
    /// A file has no reader to wait for.
    File,
    /// Opened once more, never to wait: other programs that have the stream must not see that.
    Own(OwnedFd),
    /// What cannot be opened once more, such as a socket: looked at before each piece.
    Watched,
}

impl Outlet {
    pub fn open(stream: Stream) -> Self {
        let kind = fstat(stream.fd()).map(|found| FileType::from_raw_mode(found.st_mode));
        let to = match kind {
            Ok(FileType::RegularFile) => To::File,
            Ok(FileType::Fifo | FileType::CharacterDevice) => again(stream).map_or(To::Watched, To::Own),
            _ => To::Watched,
        };
        Self { stream, to }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.to {
            To::Own(fd) => fd.as_fd(),
            To::File | To::Watched => self.stream.fd(),
        }
    }

    /// Writes what is taken at once; returns how many bytes that was.
    ///
    /// # Errors
    /// `WouldBlock`: nothing is taken at the moment. `BrokenPipe`: the reader has gone.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() && self.stream.is_missing() {
            return Err(closed());
        }
        let piece = match self.to {
            To::Watched if !self.is_ready(Duration::ZERO) => return Err(io::ErrorKind::WouldBlock.into()),
            To::Watched => &bytes[..bytes.len().min(PIECE)],
            To::File | To::Own(_) => bytes,
        };
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(self.fd(), piece))?)
    }

    /// Writes all of it. While nothing is taken, asks `go_on` whether to wait.
    ///
    /// # Errors
    /// `TimedOut`: it was not to wait, and part of the bytes may be written.
    pub fn write(&self, bytes: &[u8], go_on: impl FnMut() -> bool) -> io::Result<()> {
        self.write_counted(bytes, go_on, &mut 0)
    }

    /// As [`Self::write`], and adds to `taken` what is taken, whatever happens then.
    fn write_counted(
        &self,
        mut bytes: &[u8],
        mut go_on: impl FnMut() -> bool,
        taken: &mut u64,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    *taken += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !go_on() {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "its reader does not read"));
                    }
                    self.wait(LOOK);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A writer that asks, for each piece, a new `go_on` of [`Self::write`].
    pub(super) fn patient<F: FnMut() -> bool, G: FnMut() -> F>(self, go_on: G) -> Patient<G> {
        Patient { outlet: self, go_on, taken: 0 }
    }

    /// As [`Self::write`]: without end, or for [`WAIT_MAX`] in a [`hurry`].
    ///
    /// # Errors
    /// As of [`Self::write`].
    pub fn write_in_time(&self, bytes: &[u8]) -> io::Result<()> {
        let begun = Instant::now();
        self.write(bytes, || !is_in_hurry() || begun.elapsed() < WAIT_MAX)
    }

    /// Until something is taken, or for `time`.
    pub(super) fn wait(&self, time: Duration) {
        let begun = Instant::now();
        if self.is_ready(time) && begun.elapsed() < PAUSE {
            std::thread::sleep(PAUSE);
        }
    }

    fn is_ready(&self, time: Duration) -> bool {
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.fd(), PollFlags::OUT)], Some(&time)).is_ok_and(|ready| ready > 0)
    }
}

fn closed() -> io::Error {
    io::Error::other("it is closed")
}

/// Prints help or a version that was asked for. A reader that has gone does not want it.
///
/// # Errors
/// It could not be written.
pub fn print_help(help: &clap::Error) -> io::Result<()> {
    if Stream::Stdout.is_missing() {
        return Err(closed());
    }
    match help.print() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// The file at `path` is a standard stream that this process was started without: what stands in its place takes all and
/// keeps nothing, and gives nothing.
pub(super) fn is_missing_stream(path: &Path) -> bool {
    own_descriptor(path).is_some_and(started_without)
}

/// The same pipe or terminal, by its entry in `/proc`.
fn again(stream: Stream) -> Option<OwnedFd> {
    let path = match stream {
        Stream::Stdout => c"/proc/self/fd/1",
        Stream::Stderr => c"/proc/self/fd/2",
    };
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// A writer that waits for the reader.
pub(super) struct Patient<G> {
    outlet: Outlet,
    go_on: G,
    /// Bytes that the reader has, or the pipe.
    pub(super) taken: u64,
}

impl<G: FnMut() -> F, F: FnMut() -> bool> io::Write for Patient<G> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outlet.write_counted(bytes, (self.go_on)(), &mut self.taken)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
