//! The archive of a bundle: a tar file in which each byte is decided by the names and contents of its files.
//!
//! A header that this program would not have written is refused. So there are no links, no paths that lead elsewhere, no
//! names twice, no sizes beyond the end, and nothing behind it.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom, Write};
use tar::{Archive, EntryType, Header};

use super::{SMALL_MAX, SealError};
use crate::sha256::sha256_of;

/// More files are no bundle: a run has about five, and as many more as it was resumed.
const FILES_MAX: usize = 100_000;
/// What a tar archive is made of.
const BLOCK: u64 = 512;
/// At the end of an archive.
const END_BLOCKS: u64 = 2;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    /// Where its content begins in the archive.
    at: u64,
    size: u64,
}

/// A regular file, with no owner and no time.
fn header(name: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

/// `smoke-0123abcd/run.log`: names that mean the same everywhere.
fn is_plain(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(is_good)
    };
    name.split('/').count() <= 2 && name.split('/').all(is_part)
}

/// Writes an archive, file by file.
pub(super) struct Packer<W: Write>(tar::Builder<W>);

impl<W: Write> Packer<W> {
    pub(super) fn new(out: W) -> Self {
        Self(tar::Builder::new(out))
    }

    pub(super) fn add(&mut self, name: &str, size: u64, content: impl Read) -> Result<(), SealError> {
        assert!(is_plain(name), "`{name}` is not a name that a bundle may have");
        header(name, size).and_then(|header| self.0.append(&header, content)).map_err(SealError::Write)
    }

    pub(super) fn finish(self) -> Result<W, SealError> {
        self.0.into_inner().map_err(SealError::Write)
    }
}

/// The files of an archive, in their order; all of it is looked at, and none of the contents.
pub(super) fn files<R: Read + Seek>(bundle: &mut R) -> Result<Vec<File>, SealError> {
    let length = bundle.seek(SeekFrom::End(0)).map_err(SealError::Read)?;
    bundle.rewind().map_err(SealError::Read)?;
    let broken =
        |error: io::Error| SealError::NotABundle(format!("it is not a tar archive, or cut off ({error})"));
    let mut files: Vec<File> = Vec::new();
    let mut names = BTreeSet::new();
    let mut end = 0;
    let mut archive = Archive::new(&mut *bundle);
    for entry in archive.entries_with_seek().map_err(broken)?.raw(true) {
        let entry = entry.map_err(broken)?;
        let file = file(entry.header(), entry.raw_file_position())?;
        let refuse = |what: &str| Err(SealError::Entry { name: file.name.clone(), what: what.to_owned() });
        if !names.insert(file.name.clone()) {
            return refuse("is duplicated");
        }
        if files.len() >= FILES_MAX {
            return refuse("is one file too many");
        }
        // Checked so: a size may be as large as a number can be.
        end = match file.size.checked_next_multiple_of(BLOCK).and_then(|size| size.checked_add(file.at)) {
            Some(end) if end <= length => end,
            _ => return refuse("is larger than the bundle: it was cut off, or never whole"),
        };
        files.push(file);
    }
    ends_here(bundle, end, length)?;
    for file in &files {
        file.is_padded(bundle)?;
    }
    Ok(files)
}

/// Nothing but the end of the archive may follow its last file.
fn ends_here<R: Read + Seek>(bundle: &mut R, end: u64, length: u64) -> Result<(), SealError> {
    let refuse = |what: &str| Err(SealError::NotABundle(what.to_owned()));
    if end == 0 {
        return refuse("it holds no file");
    }
    if length < end + END_BLOCKS * BLOCK {
        return refuse("it is cut off: the end of the archive is missing");
    }
    if length > end + END_BLOCKS * BLOCK {
        return refuse("something follows the end of the archive");
    }
    let mut rest = Vec::new();
    bundle.seek(SeekFrom::Start(end)).and_then(|_| bundle.read_to_end(&mut rest)).map_err(SealError::Read)?;
    if rest.iter().any(|byte| *byte != 0) { refuse("its end is not that of an archive") } else { Ok(()) }
}

fn file(found: &Header, at: u64) -> Result<File, SealError> {
    let name = String::from_utf8_lossy(&found.path_bytes()).into_owned();
    let refuse = |what: &str| Err(SealError::Entry { name: name.clone(), what: what.to_owned() });
    if found.entry_type() != EntryType::Regular {
        return refuse("is not a regular file: a bundle has no links, directories or extensions");
    }
    if !is_plain(&name) {
        return refuse("has a name that no file of a bundle has: it may lead elsewhere");
    }
    let Ok(size) = found.size() else { return refuse("has a size that is not a number") };
    match header(&name, size) {
        Ok(wanted) if wanted.as_bytes() == found.as_bytes() => Ok(File { name, at, size }),
        _ => refuse("has a header that `harness seal` does not write"),
    }
}

impl File {
    /// Between its content and the next block there is nothing.
    fn is_padded<R: Read + Seek>(&self, bundle: &mut R) -> Result<(), SealError> {
        let mut padding = [0; BLOCK as usize];
        let padding = &mut padding[..(self.size.next_multiple_of(BLOCK) - self.size) as usize];
        bundle
            .seek(SeekFrom::Start(self.at + self.size))
            .and_then(|_| bundle.read_exact(padding))
            .map_err(SealError::Read)?;
        if padding.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let what = "is followed by bytes that `harness seal` does not write".to_owned();
        Err(SealError::Entry { name: self.name.clone(), what })
    }

    /// Where its content lies in the archive: the first byte, and how many.
    pub(super) fn span(&self) -> (u64, u64) {
        (self.at, self.size)
    }

    /// Its content, for reading once.
    pub(super) fn open<'b, R: Read + Seek>(
        &self,
        bundle: &'b mut R,
    ) -> Result<impl Read + use<'b, R>, SealError> {
        bundle.seek(SeekFrom::Start(self.at)).map_err(SealError::Read)?;
        Ok(bundle.take(self.size))
    }

    /// Its content at once, if it is one of the small ones.
    pub(super) fn read<R: Read + Seek>(&self, bundle: &mut R) -> Result<Vec<u8>, SealError> {
        if self.size > SMALL_MAX {
            let what = format!("has {} bytes, and {SMALL_MAX} at most are read", self.size);
            return Err(SealError::Entry { name: self.name.clone(), what });
        }
        let mut bytes = Vec::new();
        self.open(bundle)?.read_to_end(&mut bytes).map_err(SealError::Read)?;
        Ok(bytes)
    }

    pub(super) fn sha256<R: Read + Seek>(&self, bundle: &mut R) -> Result<String, SealError> {
        Ok(sha256_of(self.open(bundle)?).map_err(SealError::Read)?.0)
    }
}
