//! The standard streams of a command, without ever waiting for one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// Most bytes that are read from a pipe in one turn: a command that keeps writing must not hold up its reader. No pipe of
/// an ordinary user holds more.
const TURN: usize = 1 << 20;

/// Makes reads and writes at this end return at once.
pub(in crate::process) fn never_waits(end: &impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(end)?;
    Ok(rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// A pipe that is read as it fills, and the beginning of what came out of it.
pub(super) struct Kept<R> {
    pub(super) from: Option<R>,
    pub(super) bytes: Vec<u8>,
    pub(super) dropped: bool,
}

impl<R: Read + AsFd> Kept<R> {
    pub(super) fn new(from: Option<R>) -> io::Result<Self> {
        from.as_ref().map_or(Ok(()), never_waits)?;
        Ok(Self { from, bytes: Vec::new(), dropped: false })
    }

    /// Reads what is there now, and keeps up to `room` bytes in all. `each` gets everything.
    pub(super) fn read(&mut self, room: usize, mut each: impl FnMut(&[u8])) {
        let mut buffer = [0; 8192];
        let mut taken = 0;
        while let Some(from) = &mut self.from
            && taken < TURN
        {
            match from.read(&mut buffer) {
                Ok(0) => self.from = None,
                Ok(n) => {
                    each(&buffer[..n]);
                    let keep = n.min(room.saturating_sub(self.bytes.len()));
                    self.bytes.extend_from_slice(&buffer[..keep]);
                    self.dropped |= keep < n;
                    taken += n;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.from = None,
            }
        }
    }

    /// Reads the beginning of what went into a file instead.
    pub(super) fn read_file(&mut self, path: &Path, room: usize) {
        // A pipe or a terminal cannot be read back.
        if !path.metadata().is_ok_and(|is| is.is_file()) {
            return;
        }
        let Ok(file) = File::open(path) else { return };
        let _ = (&file).take(room as u64).read_to_end(&mut self.bytes);
        self.dropped = file.metadata().is_ok_and(|now| now.len() > self.bytes.len() as u64);
    }
}

/// The input of a command, written as fast as it reads.
pub(super) struct Feed<'a, W> {
    pub(super) into: Option<W>,
    left: &'a [u8],
}

impl<'a, W: Write + AsFd> Feed<'a, W> {
    pub(super) fn new(into: Option<W>, bytes: &'a [u8]) -> io::Result<Self> {
        into.as_ref().map_or(Ok(()), never_waits)?;
        let mut feed = Self { into, left: bytes };
        feed.write();
        Ok(feed)
    }

    /// Writes as much as there is room for; closes the pipe when everything is written.
    pub(super) fn write(&mut self) {
        while let Some(into) = &mut self.into {
            if self.left.is_empty() {
                self.into = None;
                return;
            }
            match into.write(self.left) {
                Ok(n) => self.left = &self.left[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The command has closed its stdin, as it may.
                Err(_) => self.into = None,
            }
        }
    }
}
