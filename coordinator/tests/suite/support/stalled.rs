//! A pipe that is full, and that no process reads; and what must be heard all the same. Shared with the tests of the harness.

use nix::sys::signal::Signal;
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

/// The signals that ask to stop. Under `nohup` SIGHUP is ignored, here and by what is started here: it asks for nothing.
pub fn asking() -> Vec<Signal> {
    let ignored = procfs::process::Process::myself().unwrap().status().unwrap().sigign;
    let mut signals = vec![Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    signals.retain(|signal| ignored & (1 << (*signal as i32 - 1)) == 0);
    signals
}
