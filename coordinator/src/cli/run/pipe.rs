//! Input that can be read only once: copied if all of it is needed first, or taken as it comes.

use super::super::outlet::is_missing_stream;
use crate::os::nameless::nameless;
use crate::process::inherited::started_without;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

/// A pipe that has not ended after this long is taken as it comes.
const PATIENCE: Duration = Duration::from_millis(300);
/// How many lines are read ahead.
const AHEAD: usize = 1024;

/// Where a list is read from.
#[derive(Debug)]
pub(super) enum Input {
    /// It can be read again.
    File(File),
    /// What was read so far, and the pipe with the rest.
    Pipe(File, File),
}

/// Opens `path`, or standard input if it is `-`. `whole` waits for the end of a pipe, however late.
pub(super) fn open(path: &Path, whole: bool) -> io::Result<Input> {
    if is_missing_stream(path) {
        return Err(io::Error::other("it is closed"));
    }
    let mut file = if path.as_os_str() == "-" {
        if started_without(io::stdin().as_raw_fd()) {
            return Err(io::Error::other("standard input is closed"));
        }
        File::from(io::stdin().as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() && path.as_os_str() != "-" {
        return Ok(Input::File(file));
    }
    // Beyond `ulimit -f` the kernel would not only refuse: this signal ends the process.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    let mut copy = nameless()?;
    let is_whole = if whole {
        io::copy(&mut file, &mut copy)?;
        true
    } else {
        gather(&mut file, &mut copy)?
    };
    copy.rewind()?;
    Ok(if is_whole { Input::File(copy) } else { Input::Pipe(copy, file) })
}

/// Whether the copy was refused, and not the pipe.
pub(super) fn is_of_copy(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Copies what comes in time; true if that is everything.
fn gather(from: &mut File, to: &mut File) -> io::Result<bool> {
    let until = Instant::now() + PATIENCE;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(left.as_millis() as u16)) {
            Ok(0) | Err(nix::Error::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        match from.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(bytes) => to.write_all(&buffer[..bytes])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lines as they come.
#[derive(Debug)]
pub(super) struct Live {
    from: Feed,
    end: u8,
    line_max: usize,
}

#[derive(Debug)]
enum Feed {
    /// Reading starts with the first request: this process must block its signals before it has a second thread.
    Unread(Option<(File, File)>),
    Reading(Receiver<io::Result<Vec<u8>>>),
}

/// What has come.
#[derive(Debug)]
pub(super) enum Piece {
    /// Without its terminator.
    Line(Vec<u8>),
    Later,
    End,
}

impl Live {
    pub(super) fn new(begun: File, rest: File, end: u8, line_max: usize) -> Self {
        Self { from: Feed::Unread(Some((begun, rest))), end, line_max }
    }

    pub(super) fn next(&mut self) -> io::Result<Piece> {
        if let Feed::Unread(files) = &mut self.from {
            let Some((begun, rest)) = files.take() else { return Ok(Piece::End) };
            self.from = Feed::Reading(read(begun, rest, self.end, self.line_max)?);
        }
        let Feed::Reading(lines) = &self.from else { return Ok(Piece::End) };
        match lines.try_recv() {
            Ok(line) => line.map(Piece::Line),
            Err(TryRecvError::Empty) => Ok(Piece::Later),
            Err(TryRecvError::Disconnected) => Ok(Piece::End),
        }
    }
}

/// Starts a thread that reads until the end, an error, or the end of the receiver.
fn read(begun: File, rest: File, end: u8, line_max: usize) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (to, lines) = sync_channel(AHEAD);
    std::thread::Builder::new().name("lines".to_owned()).spawn(move || {
        let mut from = BufReader::with_capacity(1 << 16, begun.chain(rest));
        loop {
            let mut line = Vec::new();
            let read = (&mut from).take(line_max as u64 + 1).read_until(end, &mut line);
            let line = match read {
                Ok(0) => return,
                Ok(_) if line.last() == Some(&end) => {
                    line.pop();
                    Ok(line)
                }
                Ok(bytes) if bytes > line_max => {
                    Err(io::Error::other(format!("a line is longer than {line_max} bytes")))
                }
                Ok(_) => Ok(line),
                Err(error) => Err(error),
            };
            let failed = line.is_err();
            if to.send(line).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(lines)
}
