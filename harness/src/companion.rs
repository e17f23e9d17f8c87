//! Processes of the harness's own beside its fleet: this very program, with another verb. They end with the harness, however it ends,
//! but for the one that answers trapped calls, which outlives it until the last process below its filter has ended.

mod line;

use coordinator::client::Identity;
pub(crate) use line::Line;
use rustix::process::{
    Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal, set_parent_process_death_signal,
};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Makes this process die with its parent, by the kernel's doing; false if that has died already.
///
/// # Errors
/// The kernel does not let it.
pub(crate) fn dies_with(parent: u32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent))
}

/// One of them. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Companion {
    child: Child,
    /// From the start of the child on: this process may reap it elsewhere, and its pid may then be another one's.
    fd: OwnedFd,
    identity: Identity,
}

impl Companion {
    /// Starts this program; `set` says with which verb, and what it reads and writes: nothing, otherwise.
    ///
    /// # Errors
    /// It cannot be started, or is not to be seen in `/proc`.
    pub(crate) fn start(set: impl FnOnce(&mut Command)) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // What is typed at the terminal is for the harness.
        command.process_group(0);
        set(&mut command);
        Self::of(command.spawn()?)
    }

    /// A child that was not waited for.
    pub(crate) fn of(mut child: Child) -> io::Result<Self> {
        let opened = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(io::Error::from);
        let known = opened.and_then(|fd| {
            let identity = Identity::of(child.id()).ok_or(io::ErrorKind::NotFound)?;
            Ok((fd, identity))
        });
        match known {
            Ok((fd, identity)) => Ok(Self { child, fd, identity }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn kill(&self) {
        // One that has ended needs no signal.
        let _ = pidfd_send_signal(&self.fd, Signal::KILL);
    }

    /// Kills it, and waits for its end.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.child.wait()
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // It may have been reaped with the orphans of the fleet.
        let _ = self.end();
    }
}
