//! The signals that ask a process to stop, taken by a thread that does nothing else.

use crate::process::fork::is_ignored;
use nix::sys::signal::{SigSet, Signal};
use std::io;

/// Blocks the signals that ask to stop, and calls `came` with the number of each one that comes. To be called before this
/// process has a second thread. A SIGHUP that is ignored (`nohup`) stays so. Also blocks the signal for a file over its
/// size limit: the write fails with an error, too.
///
/// # Errors
/// The thread cannot be started.
pub fn watch(mut came: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    let mut stops = SigSet::empty();
    stops.add(Signal::SIGINT);
    stops.add(Signal::SIGTERM);
    if !is_ignored(Signal::SIGHUP) {
        stops.add(Signal::SIGHUP);
    }
    let mut blocked = stops;
    blocked.add(Signal::SIGXFSZ);
    blocked.thread_block()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while let Ok(signal) = stops.wait() {
            came(signal as i32);
        }
    })?;
    Ok(())
}
