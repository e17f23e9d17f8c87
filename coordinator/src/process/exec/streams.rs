//! What goes into a command and comes out of it, without waiting for either.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// Read of a pipe before anything else is looked at: what keeps writing must not keep its reader. No pipe of an
/// ordinary user's holds more.
const TURN: usize = 1 << 20;

/// Nobody waits at this end any more.
pub(in crate::process) fn never_waits(end: &impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(end)?;
    Ok(rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// A pipe that is read as it fills, and kept up to a bound: its beginning.
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

    /// What is there now, and keeps up to `room` bytes in all. `heard` gets everything.
    pub(super) fn read(&mut self, room: usize, mut heard: impl FnMut(&[u8])) {
        let mut buffer = [0; 8192];
        let mut taken = 0;
        while let Some(from) = &mut self.from
            && taken < TURN
        {
            match from.read(&mut buffer) {
                Ok(0) => self.from = None,
                Ok(n) => {
                    heard(&buffer[..n]);
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

    /// The beginning of what went into a file instead.
    pub(super) fn read_file(&mut self, path: &Path, room: usize) {
        // A pipe or a terminal has nothing to give back.
        if !path.metadata().is_ok_and(|is| is.is_file()) {
            return;
        }
        let Ok(file) = File::open(path) else { return };
        let _ = (&file).take(room as u64).read_to_end(&mut self.bytes);
        self.dropped = file.metadata().is_ok_and(|now| now.len() > self.bytes.len() as u64);
    }
}

/// What a command is to read, as fast as it reads it.
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

    /// As much as there is room for; then the end is closed.
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
                // It does not want to read the rest, which is its own affair.
                Err(_) => self.into = None,
            }
        }
    }
}
