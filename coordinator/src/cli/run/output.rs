//! The output of commands, on its way to standard output and standard error. The output of a task stays together; on
//! request it is printed in the order of the list, and each line begins with the id of its task.

use super::super::console;
use super::super::outlet::{Outlet, Stream};
use super::patience;
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
}

/// Output that waits for its turn: stdout, then stderr.
#[derive(Debug)]
struct Held {
    stdout_len: usize,
    bytes: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    /// In the temporary file: offset and length.
    File(u64, usize),
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
        stdout: &[u8],
        stderr: &[u8],
    ) -> Result<(), Unprinted> {
        if !self.prints {
            return Ok(());
        }
        let (stdout, stderr) =
            if self.tag { (&*tagged(id, stdout), &*tagged(id, stderr)) } else { (stdout, stderr) };
        if !self.keep_order {
            return self.print(stdout, stderr);
        }
        if turn != self.next {
            return self.hold(turn, stdout, stderr);
        }
        self.print(stdout, stderr)?;
        self.next += 1;
        while let Some(held) = self.held.remove(&self.next) {
            self.print_held(held)?;
            self.next += 1;
        }
        if self.held.is_empty() {
            self.spill = None;
        }
        Ok(())
    }

    /// Prints the output that still waits: the tasks before it will not end any more.
    pub(super) fn finish(&mut self) -> Result<(), Unprinted> {
        while let Some((_, held)) = self.held.pop_first() {
            self.print_held(held)?;
        }
        Ok(())
    }

    fn hold(&mut self, turn: u64, stdout: &[u8], stderr: &[u8]) -> Result<(), Unprinted> {
        let all = [stdout, stderr].concat();
        let bytes = if self.held_bytes + all.len() <= HELD_MAX {
            self.held_bytes += all.len();
            Kept::Memory(all)
        } else {
            let at = self.spill(&all).map_err(|error| {
                Unprinted::Error(format!("cannot keep output for its turn in a temporary file: {error}"))
            })?;
            Kept::File(at, all.len())
        };
        self.held.insert(turn, Held { stdout_len: stdout.len(), bytes });
        Ok(())
    }

    fn spill(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let (file, len) = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert((nameless()?, 0)),
        };
        file.write_all_at(bytes, *len)?;
        let at = *len;
        *len += bytes.len() as u64;
        Ok(at)
    }

    fn print_held(&mut self, held: Held) -> Result<(), Unprinted> {
        let bytes = match held.bytes {
            Kept::Memory(bytes) => {
                self.held_bytes -= bytes.len();
                bytes
            }
            Kept::File(at, len) => {
                let mut bytes = vec![0; len];
                if let Some((file, _)) = &self.spill {
                    file.read_exact_at(&mut bytes, at).map_err(|error| {
                        Unprinted::Error(format!("cannot read back output that waited for its turn: {error}"))
                    })?;
                }
                bytes
            }
        };
        let (stdout, stderr) = bytes.split_at(held.stdout_len);
        self.print(stdout, stderr)
    }

    fn print(&mut self, stdout: &[u8], stderr: &[u8]) -> Result<(), Unprinted> {
        if !stderr.is_empty() && !self.is_unheard {
            console::flush();
            // If standard error cannot be written, there is no other place to report it.
            let written = Outlet::open(Stream::Stderr).write(stderr, patience());
            self.is_unheard = written.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut);
        }
        Outlet::open(Stream::Stdout).write(stdout, patience()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Unprinted::ReaderGone,
            io::ErrorKind::TimedOut => Unprinted::Stalled,
            _ => Unprinted::Error(format!("cannot write to standard output: {error}")),
        })
    }
}

/// The text with the id and a tab before each line.
fn tagged(id: &str, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + id.len() + 2);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(id.as_bytes());
        out.push(b'\t');
        out.extend_from_slice(line);
    }
    if out.last().is_some_and(|byte| *byte != b'\n') {
        // The output of the next task must begin on a new line.
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_tag() {
        assert_eq!(tagged("a", b"x\ny"), b"a\tx\na\ty\n");
        assert_eq!(tagged("a", b"\n"), b"a\t\n");
        assert_eq!(tagged("a", b""), b"");
    }
}
