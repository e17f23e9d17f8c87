//! Where the lines of a run log go: a file here, a stream from elsewhere later.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Takes the log's lines in their order. After an error nothing more comes.
pub trait Sink: fmt::Debug + Send {
    /// Takes one or more whole lines; they may be held back until [`Sink::flush`].
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Passes on what was held back: a crash of this process costs nothing before it.
    fn flush(&mut self) -> io::Result<()>;

    /// Makes everything so far outlast a crash of the machine.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file of its own; never written over another one.
#[derive(Debug)]
pub struct FileSink(BufWriter<File>);

impl FileSink {
    /// The error names the path.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        // For `harness clean`: what is locked goes on. A file system that has no locks does without.
        let _ = file.try_lock();
        Ok(Self(BufWriter::with_capacity(1 << 16, file)))
    }

    /// The file itself, whatever becomes of its name.
    pub fn hold(&self, path: &Path) -> io::Result<Held> {
        Ok(Held { file: self.0.get_ref().try_clone()?, path: path.to_owned() })
    }
}

/// A log that can be read to its end even if its directory is removed, moved or closed meanwhile.
#[derive(Debug)]
pub struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Why the log cannot be found where it was begun, in a sentence. `None` if it can.
    pub fn lost(&self) -> Option<String> {
        let path = self.path.display();
        let found = match std::fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some(format!("{path} was removed or moved during the run"));
            }
            Err(error) => return Some(format!("{path} cannot be reached any more: {error}")),
        };
        match self.file.metadata() {
            Ok(own) if (own.dev(), own.ino()) == (found.dev(), found.ino()) => {}
            Ok(_) => return Some(format!("{path} is another file than the one that the run wrote")),
            Err(error) => return Some(format!("{path} cannot be compared: {error}")),
        }
        // The same file, so this waits for no pipe.
        File::open(&self.path).err().map(|error| format!("{path} cannot be read any more: {error}"))
    }

    /// From its begin. The sink must be gone: both share a position.
    pub fn read(mut self) -> io::Result<BufReader<File>> {
        self.file.rewind()?;
        Ok(BufReader::with_capacity(1 << 18, self.file))
    }
}

impl Sink for FileSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.write_all(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync_data()
    }
}

/// Keeps the lines, for tests.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub struct MemorySink {
    lines: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    /// Lines are refused when there are more bytes than this.
    full_at: Option<usize>,
}

#[cfg(test)]
impl MemorySink {
    pub fn of_size(bytes: usize) -> Self {
        Self { full_at: Some(bytes), ..Self::default() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.lines.lock().unwrap().clone()
    }
}

#[cfg(test)]
impl Sink for MemorySink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        assert_eq!(lines.last(), Some(&b'\n'), "whole lines only");
        let mut kept = self.lines.lock().unwrap();
        if self.full_at.is_some_and(|full_at| kept.len() + lines.len() > full_at) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        kept.extend_from_slice(lines);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
