//! A pipe that is full, and that no process reads.

use std::io::{ErrorKind, PipeReader, PipeWriter, Write};

/// Its end for writing takes nothing as long as its end for reading is open.
pub fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    for piece in [4096, 1] {
        while writer.write(&vec![b'x'; piece]).map_err(|error| error.kind()) != Err(ErrorKind::WouldBlock) {}
    }
    // Writers wait from now on.
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}
