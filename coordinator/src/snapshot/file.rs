//! Backup files: the whole state of a fleet at one moment.

use super::durable::{Existing, Staged};
use super::error::SnapshotError;
use super::lines::{Lines, Next, append};
use super::record::{Counters, DeadLetter, Header, Kind, OpenTask, Record, Untold};
use notation::framed::{Chain, TooLong};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Lines are written once they have come to this many bytes.
const CHUNK: usize = 1 << 18;

/// A fleet at one moment: *accepted = answered + failed + in flight* held in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub header: Header,
    pub counters: Vec<Counters>,
    /// Accepted and not ended, in the order of their tables.
    pub tasks: Vec<OpenTask>,
    pub untold: Vec<Untold>,
    pub dead: Vec<DeadLetter>,
}

impl Snapshot {
    fn records(&self) -> impl Iterator<Item = Record> {
        let counters = self.counters.iter().map(|one| Record::Counters(*one));
        let tasks = self.tasks.iter().map(|one| Record::Task(one.clone()));
        let untold = self.untold.iter().map(|one| Record::Untold(one.clone()));
        let dead = self.dead.iter().map(|one| Record::DeadLetter(one.clone()));
        counters.chain(tasks).chain(untold).chain(dead)
    }
}

/// Writes the file and returns its size in bytes. Whatever happens, `path` names a complete file or what was there
/// before.
///
/// # Errors
/// The file cannot be written, or a record is too long for its readers.
pub fn write_snapshot(path: &Path, snapshot: &Snapshot) -> Result<u64, SnapshotError> {
    assert_eq!(snapshot.header.file, Kind::Backup, "the caller makes a backup's header");
    let mut staged = Staged::create(path)?;
    let (mut chain, mut text, mut written) = (Chain::default(), Vec::new(), 0);
    let mut count = 0;
    let header = std::iter::once(Record::Header(snapshot.header.clone()));
    for record in header.chain(snapshot.records()) {
        append(&mut chain, &mut text, &record).map_err(|error| too_long(path, &error))?;
        count += 1;
        if text.len() >= CHUNK {
            staged.write(written, &text)?;
            written += text.len() as u64;
            text.clear();
        }
    }
    append(&mut chain, &mut text, &Record::End { records: count }).expect("a line with one number is short");
    staged.write(written, &text)?;
    staged.publish(Existing::Replace)?;
    Ok(written + text.len() as u64)
}

pub(super) fn too_long(path: &Path, error: &TooLong) -> SnapshotError {
    SnapshotError::Refused { path: path.to_owned(), what: "write it", why: error.to_string() }
}

/// Reads the whole file.
///
/// # Errors
/// The file cannot be read, is not a backup, or is damaged anywhere: nothing of it is returned then.
pub fn read_snapshot(path: &Path) -> Result<Snapshot, SnapshotError> {
    read(path, open(path)?)
}

/// The kind of a file, by its header alone.
///
/// # Errors
/// The file cannot be read, or its header is not one of a backup or a journal.
pub fn kind_of(path: &Path) -> Result<Kind, SnapshotError> {
    Ok(Lines::open(path, open(path)?, None)?.1.file)
}

pub(super) fn open(path: &Path) -> Result<BufReader<File>, SnapshotError> {
    let refused = |error| SnapshotError::io(path, "read it", &error);
    // The open of a pipe would wait for its other end, and it is refused then.
    let without_waiting = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(without_waiting).open(path).map_err(refused)?;
    if !file.metadata().map_err(refused)?.is_file() {
        return Err(SnapshotError::Foreign { path: path.to_owned(), why: "it is not a regular file".into() });
    }
    Ok(BufReader::with_capacity(CHUNK, file))
}

fn read(path: &Path, input: impl BufRead) -> Result<Snapshot, SnapshotError> {
    let (mut lines, header) = Lines::open(path, input, Some(Kind::Backup))?;
    let mut snapshot =
        Snapshot { header, counters: Vec::new(), tasks: Vec::new(), untold: Vec::new(), dead: Vec::new() };
    loop {
        let before = lines.count();
        match lines.next()? {
            Next::Record(record) => match *record {
                Record::Counters(one) => snapshot.counters.push(one),
                Record::Task(one) => snapshot.tasks.push(one),
                Record::Untold(one) => snapshot.untold.push(one),
                Record::DeadLetter(one) => snapshot.dead.push(one),
                Record::End { records } if records == before => break,
                Record::End { records } => {
                    return Err(lines
                        .contradicts(format!("{before} records stand before it, and it counts {records}")));
                }
                Record::Header(_)
                | Record::Accepted { .. }
                | Record::Ended { .. }
                | Record::Outcome { .. }
                | Record::Results { .. }
                | Record::Commit { .. } => {
                    return Err(lines.contradicts("backups do not have such a record".into()));
                }
            },
            Next::End => return Err(lines.torn("its last line is missing")),
            Next::Torn(_) => return Err(lines.torn("the line is not complete")),
        }
    }
    match lines.next() {
        Ok(Next::End) => Ok(snapshot),
        _ => Err(lines.trailing()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::FORMAT;
    use super::super::record::tests::sample;
    use super::*;
    use proptest::prelude::*;

    fn bytes(snapshot: &Snapshot) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let size = write_snapshot(&path, snapshot).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(size, bytes.len() as u64);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        read(Path::new("backup"), bytes)
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(parse(&bytes(&sample())).unwrap(), sample());
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = bytes(&sample());
        for len in 0..whole.len() {
            let error = parse(&whole[..len]).unwrap_err();
            match error {
                SnapshotError::Torn { .. } => assert!(len > 0),
                SnapshotError::Foreign { .. } => assert_eq!(len, 0),
                other => panic!("{len} bytes: {other}"),
            }
        }
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let whole = bytes(&sample());
        for at in 0..whole.len() {
            for change in [0x01, 0x20, 0x80, whole[at], whole[at] ^ b'\n'] {
                if change != 0 {
                    let mut changed = whole.clone();
                    changed[at] ^= change;
                    assert!(parse(&changed).is_err(), "byte {at} ^ {change:#x}");
                }
            }
        }
    }

    #[test]
    fn every_line_that_is_missing_moved_or_repeated_is_refused() {
        let whole = bytes(&sample());
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        for at in 0..lines.len() {
            let mut missing = lines.clone();
            missing.remove(at);
            assert!(parse(&missing.concat()).is_err(), "without line {at}");
            let mut twice = lines.clone();
            twice.insert(at, lines[at]);
            assert!(parse(&twice.concat()).is_err(), "line {at} twice");
            let mut moved = lines.clone();
            moved.swap(at, (at + 1) % lines.len());
            assert!(parse(&moved.concat()).is_err(), "line {at} moved");
        }
    }

    #[test]
    fn what_follows_the_end_is_refused() {
        let whole = bytes(&sample());
        for more in [&b"x"[..], b"\n", b"{}\n", &whole] {
            let error = parse(&[&whole, more].concat()).unwrap_err();
            assert!(matches!(error, SnapshotError::Trailing { .. }), "{error}");
        }
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let mut newer = sample();
        newer.header.format = FORMAT + 1;
        let error = parse(&bytes(&newer)).unwrap_err();
        assert!(matches!(error, SnapshotError::Newer { found, .. } if found == FORMAT + 1), "{error}");
    }

    #[test]
    fn a_journal_is_no_backup() {
        let (mut chain, mut text) = (Chain::default(), Vec::new());
        let header = Header { file: Kind::Journal, ..sample().header };
        append(&mut chain, &mut text, &Record::Header(header)).unwrap();
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, SnapshotError::OtherKind { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn arbitrary_bytes_behind_the_magic_are_refused(rest: Vec<u8>) {
            let magic = super::super::record::MAGIC.as_bytes();
            prop_assert!(parse(&[magic, &rest].concat()).is_err());
        }
    }
}
