//! What ends the leftovers of a set-up when the harness itself was killed and cannot.

use super::{MARK, end_the_rest};
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// A process that waits for the end of this one. It notices by a pipe, whose other end nothing else holds.
#[derive(Debug)]
pub(in crate::engine) struct Guard(Child);

impl Guard {
    pub(in crate::engine) fn start(run_id: &str) -> io::Result<Self> {
        let child = Command::new("/proc/self/exe")
            .args(["setup-guard", run_id])
            // It is none of what it looks for, here or in a run around this one.
            .env_remove(MARK)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What is typed at the terminal, or sent to the harness's group, is not for it.
            .process_group(0)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends by itself; if it cannot be waited for, it is not this process's any more.
        let _ = self.0.wait();
    }
}

/// Waits until `harness`, the reading end of a pipe, is at its end: then the run's harness is gone. Ends what the commands
/// of that run have left running.
///
/// # Errors
/// The pipe cannot be read; nothing is ended then.
pub fn guard(run_id: &str, mut harness: impl Read) -> io::Result<()> {
    let mut byte = [0];
    loop {
        match harness.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    end_the_rest(run_id);
    Ok(())
}
