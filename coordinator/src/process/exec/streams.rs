//! The standard streams of a command, without ever waiting for one.

use super::spool::{Growing, Room, Spool};
use crate::wire::spooled::Part;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Most bytes that are read from a pipe in one turn: a process that keeps writing must not hold up its reader.
pub(in crate::process) const TURN: usize = 1 << 20;

/// Bytes that a pipe holds at most: more of what its writers have left there by now, there cannot be.
pub(in crate::process) fn capacity(pipe: &impl AsFd) -> usize {
    // Root may have made it larger than a turn.
    rustix::pipe::fcntl_getpipe_size(pipe).map_or(TURN, |size| size.max(TURN))
}

/// Makes reads and writes at this end return at once.
pub(in crate::process) fn never_waits(end: &impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(end)?;
    Ok(rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// A pipe that is read as it fills, and what came out of it: the beginning, or a file with all of it.
pub(super) struct Kept<R> {
    pub(super) from: Option<R>,
    /// What its file is called if it gets one.
    what: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) dropped: bool,
    file: Option<Growing>,
    /// Why the file could not be written.
    failed: Option<(PathBuf, io::Error)>,
}

impl<R: Read + AsFd> Kept<R> {
    /// `file` gets all of it, however little that is.
    pub(super) fn new(from: Option<R>, what: &'static str, file: Option<Growing>) -> io::Result<Self> {
        from.as_ref().map_or(Ok(()), never_waits)?;
        Ok(Self { from, what, bytes: Vec::new(), dropped: false, file, failed: None })
    }

    /// Reads what is there now, [`TURN`] at most, and keeps what there is room for. `each` gets everything.
    pub(super) fn read(&mut self, room: Room<'_>, each: impl FnMut(&[u8])) {
        self.read_up_to(TURN, room, each);
    }

    /// As [`Self::read`], all of what is there now.
    pub(super) fn read_rest(&mut self, room: Room<'_>, each: impl FnMut(&[u8])) {
        let most = self.from.as_ref().map_or(0, capacity);
        self.read_up_to(most, room, each);
    }

    fn read_up_to(&mut self, most: usize, room: Room<'_>, mut each: impl FnMut(&[u8])) {
        let mut buffer = [0; 8192];
        let mut taken = 0;
        while let Some(from) = &mut self.from
            && taken < most
        {
            match from.read(&mut buffer) {
                Ok(0) => self.from = None,
                Ok(n) => {
                    each(&buffer[..n]);
                    self.keep(&buffer[..n], room);
                    taken += n;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.from = None,
            }
        }
    }

    fn keep(&mut self, bytes: &[u8], room: Room<'_>) {
        let keep = bytes.len().min(room.max.saturating_sub(self.bytes.len()));
        if let Some(spool) = room.spool
            && self.failed.is_none()
            && (self.file.is_some() || keep < bytes.len())
            && let Err(error) = self.write(bytes, spool)
        {
            let at = self.file.as_ref().map_or_else(|| spool.dir().to_owned(), |file| file.path().to_owned());
            self.failed = Some((at, error));
        }
        self.bytes.extend_from_slice(&bytes[..keep]);
        self.dropped |= keep < bytes.len();
    }

    fn write(&mut self, bytes: &[u8], spool: &Spool) -> io::Result<()> {
        if self.file.is_none() {
            self.file.insert(spool.begin(self.what)?).write(&self.bytes)?;
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write(bytes))
    }

    /// It cannot be kept whole, as it was to be.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The file with all of it, made now if there is none; or where that failed, and why.
    pub(super) fn into_part(mut self, spool: &Spool) -> Result<Option<Part>, (PathBuf, io::Error)> {
        let file = self.file.take();
        if let Some(failed) = self.failed {
            if let Some(file) = file {
                file.abandon();
            }
            return Err(failed);
        }
        let part = match file {
            Some(file) => file.finish(),
            None => spool.keep(self.what, &self.bytes),
        };
        part.map_err(|error| (spool.dir().to_owned(), error))
    }

    /// Reads the beginning of what went into a file instead; the file has all of it.
    pub(super) fn read_file(&mut self, path: &Path, room: usize) {
        // A pipe or a terminal cannot be read back.
        if !path.metadata().is_ok_and(|is| is.is_file()) {
            return;
        }
        let Ok(file) = File::open(path) else { return };
        let _ = (&file).take(room as u64).read_to_end(&mut self.bytes);
        let len = file.metadata().map_or(0, |now| now.len());
        self.dropped = len > self.bytes.len() as u64;
        self.file = Some(Growing::of_user(file, path.to_owned(), len));
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
