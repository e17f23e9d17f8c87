//! The output of commands, on its way to standard output and standard error. The output of a task stays together; on
//! request it is printed in the order of the list, and each line begins with the id of its task.

use super::super::console;
use super::super::outlet::{Outlet, Stream};
use super::patience;
use super::source::{PIECE, Source};
use crate::os::nameless::nameless;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of output waiting for its turn that are kept in memory; more goes into a temporary file.
const HELD_MAX: usize = 32 << 20;

/// Why nothing more can be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unprinted {
    /// The reader has closed the pipe.
    ReaderGone,
    /// The reader does not read, and the run is to stop.
    Stalled,
    /// The same of standard error.
    Unheard,
    /// An earlier write has failed, which was told: what followed would be joined to a part of its output.
    Stopped,
    Error(String),
}

#[derive(Debug)]
pub(super) struct Printer {
    prints: bool,
    tag: bool,
    keep_order: bool,
    /// The task whose turn it is.
    next: u64,
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    spill: Option<(File, u64)>,
    /// The reader of standard error did not read, when the run was already to stop.
    is_unheard: bool,
    /// Standard output takes no more.
    is_stopped: bool,
    /// Tasks whose output was held, and is printed now.
    came_out: Vec<u64>,
}

/// Output that waits for its turn: stdout, then stderr.
#[derive(Debug)]
struct Held {
    stdout_len: u64,
    bytes: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    /// In the temporary file: offset and length.
    File(u64, u64),
}

impl Printer {
    pub(super) fn new(prints: bool, tag: bool, keep_order: bool) -> Self {
        Self {
            prints,
            tag,
            keep_order,
            next: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            spill: None,
            is_unheard: false,
            is_stopped: false,
            came_out: Vec::new(),
        }
    }

    pub(super) fn prints(&self) -> bool {
        self.prints
    }

    /// Prints the output of the task that was started as number `turn`, or keeps it for its turn.
    pub(super) fn take(
        &mut self,
        turn: u64,
        id: &str,
        stdout: &Source<'_>,
        stderr: &Source<'_>,
    ) -> Result<(), Unprinted> {
        if !self.prints {
            return Ok(());
        }
        if self.is_stopped {
            return Err(Unprinted::Stopped);
        }
        let id = self.tag.then_some(id);
        if !self.keep_order {
            return self.print(|each| emit(id, stdout, each), |each| emit(id, stderr, each));
        }
        if turn != self.next {
            return self.hold(turn, id, stdout, stderr).map_err(|error| {
                Unprinted::Error(format!("cannot keep output for its turn in a temporary file: {error}"))
            });
        }
        let printed = self.print(|each| emit(id, stdout, each), |each| emit(id, stderr, each));
        let mut unheard = self.unheard(printed)?;
        self.next += 1;
        while let Some(held) = self.held.remove(&self.next) {
            match self.print_held(held) {
                Ok(()) => self.came_out.push(self.next),
                printed => unheard = self.unheard(printed)?.or(unheard),
            }
            self.next += 1;
        }
        if self.held.is_empty() {
            self.spill = None;
        }
        unheard.map_or(Ok(()), Err)
    }

    /// Prints the output that still waits: the tasks before it will not end any more.
    pub(super) fn finish(&mut self) -> Result<(), Unprinted> {
        let mut unheard = None;
        while let Some((turn, held)) = self.held.pop_first() {
            match self.print_held(held) {
                Ok(()) => self.came_out.push(turn),
                printed => unheard = self.unheard(printed)?.or(unheard),
            }
        }
        unheard.map_or(Ok(()), Err)
    }

    /// What standard error alone did not take: standard output goes on, and with it the order.
    fn unheard(&self, printed: Result<(), Unprinted>) -> Result<Option<Unprinted>, Unprinted> {
        match printed {
            Ok(()) => Ok(None),
            Err(unheard @ (Unprinted::Unheard | Unprinted::Stopped)) if !self.is_stopped => Ok(Some(unheard)),
            Err(other) => Err(other),
        }
    }

    /// Whether the output of the task that was started as number `turn` waits for its turn.
    pub(super) fn is_held(&self, turn: u64) -> bool {
        self.held.contains_key(&turn)
    }

    /// The tasks whose output was held and has been printed since the last call.
    pub(super) fn came_out(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.came_out)
    }

    fn hold(
        &mut self,
        turn: u64,
        id: Option<&str>,
        stdout: &Source<'_>,
        stderr: &Source<'_>,
    ) -> io::Result<()> {
        let is_large = stdout.is_file() || stderr.is_file();
        if !is_large && self.held_bytes < HELD_MAX {
            let mut all = Vec::new();
            let stdout_len = emit_both(id, stdout, stderr, &mut |piece| {
                all.extend_from_slice(piece);
                Ok(())
            })?;
            self.held_bytes += all.len();
            self.held.insert(turn, Held { stdout_len, bytes: Kept::Memory(all) });
            return Ok(());
        }
        let (file, end) = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert((nameless()?, 0)),
        };
        let begin = *end;
        let stdout_len = emit_both(id, stdout, stderr, &mut |piece| {
            file.write_all_at(piece, *end)?;
            *end += piece.len() as u64;
            Ok(())
        })?;
        self.held.insert(turn, Held { stdout_len, bytes: Kept::File(begin, *end - begin) });
        Ok(())
    }

    fn print_held(&mut self, held: Held) -> Result<(), Unprinted> {
        let stdout_len = held.stdout_len;
        match held.bytes {
            Kept::Memory(bytes) => {
                self.held_bytes -= bytes.len();
                let (stdout, stderr) = bytes.split_at(stdout_len as usize);
                self.print(|each| each(stdout), |each| each(stderr))
            }
            Kept::File(at, len) => {
                let Some((file, end)) = self.spill.take() else { return Ok(()) };
                let printed = self.print(
                    |each| read_at(&file, at, stdout_len, each),
                    |each| read_at(&file, at + stdout_len, len - stdout_len, each),
                );
                self.spill = Some((file, end));
                printed
            }
        }
    }

    fn print(
        &mut self,
        stdout: impl FnOnce(Each<'_>) -> io::Result<()>,
        stderr: impl FnOnce(Each<'_>) -> io::Result<()>,
    ) -> Result<(), Unprinted> {
        if self.is_stopped {
            return Err(Unprinted::Stopped);
        }
        let was_unheard = self.is_unheard;
        let mut is_left_out = false;
        if was_unheard {
            stderr(&mut |piece| {
                is_left_out |= !piece.is_empty();
                Ok(())
            })
            .map_err(|error| unread(&error))?;
        } else {
            let mut unwritten = None;
            let outlet = Outlet::open(Stream::Stderr);
            let mut is_first = true;
            let done = stderr(&mut |piece| {
                if std::mem::take(&mut is_first) && !piece.is_empty() {
                    console::flush();
                }
                noted(outlet.write(piece, patience()), &mut unwritten)
            });
            // If standard error cannot be written, there is no other place to report it.
            self.is_unheard = unwritten == Some(io::ErrorKind::TimedOut);
            if unwritten.is_none() {
                done.map_err(|error| unread(&error))?;
            }
        }
        let mut unwritten = None;
        let outlet = Outlet::open(Stream::Stdout);
        let done = stdout(&mut |piece| noted(outlet.write(piece, patience()), &mut unwritten));
        self.is_stopped = done.is_err();
        done.map_err(|error| match unwritten {
            Some(io::ErrorKind::BrokenPipe) => Unprinted::ReaderGone,
            Some(io::ErrorKind::TimedOut) => Unprinted::Stalled,
            Some(_) => Unprinted::Error(format!("cannot write to standard output: {error}")),
            None => unread(&error),
        })?;
        match (self.is_unheard, was_unheard) {
            (true, false) => Err(Unprinted::Unheard),
            (true, true) if is_left_out => Err(Unprinted::Stopped),
            _ => Ok(()),
        }
    }
}

/// Gets output, a piece at a time.
type Each<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Tells an error of the writer from one of what is read.
fn noted(written: io::Result<()>, kind: &mut Option<io::ErrorKind>) -> io::Result<()> {
    *kind = written.as_ref().err().map(io::Error::kind);
    written
}

fn unread(error: &io::Error) -> Unprinted {
    Unprinted::Error(format!("cannot read back the output of a task: {error}"))
}

/// Passes output on, on request with the id and a tab before each line.
fn emit(id: Option<&str>, source: &Source<'_>, each: Each<'_>) -> io::Result<()> {
    let Some(id) = id else { return source.read(each) };
    let mut begins_line = true;
    let mut out = Vec::new();
    source.read(|piece| {
        out.clear();
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            if begins_line {
                out.extend_from_slice(id.as_bytes());
                out.push(b'\t');
            }
            out.extend_from_slice(line);
            begins_line = line.ends_with(b"\n");
        }
        each(&out)
    })?;
    // The output of the next task must begin on a new line.
    if begins_line { Ok(()) } else { each(b"\n") }
}

/// Passes on stdout, then stderr; the bytes that stdout became.
fn emit_both(id: Option<&str>, stdout: &Source<'_>, stderr: &Source<'_>, each: Each<'_>) -> io::Result<u64> {
    let mut stdout_len = 0;
    emit(id, stdout, &mut |piece| {
        stdout_len += piece.len() as u64;
        each(piece)
    })?;
    emit(id, stderr, each)?;
    Ok(stdout_len)
}

fn read_at(file: &File, mut at: u64, len: u64, each: Each<'_>) -> io::Result<()> {
    let end = at + len;
    let mut buffer = vec![0; PIECE];
    while at < end {
        let piece = &mut buffer[..(end - at).min(PIECE as u64) as usize];
        file.read_exact_at(piece, at)?;
        each(piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(id: &str, text: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut add = |piece: &[u8]| {
            all.extend_from_slice(piece);
            Ok(())
        };
        emit(Some(id), &Source::Bytes(text), &mut add).unwrap();
        all
    }

    #[test]
    fn every_line_has_its_tag() {
        assert_eq!(tagged("a", b"x\ny"), b"a\tx\na\ty\n");
        assert_eq!(tagged("a", b"\n"), b"a\t\n");
        assert_eq!(tagged("a", b""), b"");
    }

    /// Standard output has what each of them said there, in order.
    #[test]
    fn a_task_whose_errors_were_not_read_has_had_its_turn() {
        let mut printer = Printer { is_unheard: true, ..Printer::new(true, false, true) };
        let mut take = |turn, stderr: &[u8]| {
            let printed = printer.take(turn, "id", &Source::Bytes(b""), &Source::Bytes(stderr));
            (printed, printer.next, printer.came_out())
        };
        assert_eq!(take(2, b"err"), (Ok(()), 0, vec![]), "held");
        assert_eq!(take(1, b""), (Ok(()), 0, vec![]), "held");
        assert_eq!(take(0, b"err"), (Err(Unprinted::Stopped), 3, vec![1]));
        assert_eq!(take(3, b""), (Ok(()), 4, vec![]));
        for turn in [5, 6, 7] {
            let stderr: &[u8] = if turn == 6 { b"err" } else { b"" };
            printer.take(turn, "id", &Source::Bytes(b""), &Source::Bytes(stderr)).unwrap();
        }
        assert_eq!((printer.finish(), printer.came_out()), (Err(Unprinted::Stopped), vec![5, 7]));
    }
}
