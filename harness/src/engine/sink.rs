//! Where the lines of a run log go: a file here, a stream from elsewhere later.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

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
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Self(BufWriter::with_capacity(1 << 16, file)))
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
