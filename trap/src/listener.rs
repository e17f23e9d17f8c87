//! Calls that wait, and their answers.

use crate::filter::TrappedCall;
use crate::kernel;
use nix::libc::{self, seccomp_notif, seccomp_notif_resp};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A trapped call that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    id: u64,
    /// The thread that calls, in the pid namespace of the listener; 0 if it is not in that.
    pub thread: u32,
    pub what: TrappedCall,
    pub arguments: [u64; 6],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The kernel carries it out.
    Continue,
    /// It is not carried out, and fails like that.
    Fail(Errno),
}

/// Hears of trapped calls.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl AsFd for Listener {
    /// Readable while a call waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    /// `fd` is what [`install`](crate::install) gave, here or in another process.
    ///
    /// # Errors
    /// The kernel's notifications are not those that this crate knows.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        kernel::check_sizes()?;
        Ok(Self(fd))
    }

    /// The next call, which must be answered; nothing if it has ended meanwhile. Waits for one.
    ///
    /// # Errors
    /// The descriptor is not of a listener.
    pub fn receive(&self) -> io::Result<Option<Call>> {
        let seccomp_notif { id, pid, data, .. } = match kernel::receive(self.as_fd()) {
            Ok(call) => call,
            // The thread was killed, or this one was interrupted: the call is there still, or another one.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(what) = TrappedCall::of(data.nr) else {
            // Of another filter.
            self.send(id, Answer::Continue)?;
            return Ok(None);
        };
        Ok(Some(Call { id, thread: pid, what, arguments: data.args }))
    }

    /// Whether the call still waits: only then is what was read of its thread by pid certain to be of that thread.
    pub fn is_waiting(&self, call: &Call) -> bool {
        kernel::is_valid(self.as_fd(), call.id)
    }

    /// Ends the wait of a call; whether it was waiting still.
    ///
    /// # Errors
    /// The kernel takes no such answer.
    pub fn answer(&self, call: &Call, answer: Answer) -> io::Result<bool> {
        self.send(call.id, answer)
    }

    fn send(&self, id: u64, answer: Answer) -> io::Result<bool> {
        let (error, flags) = match answer {
            Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Answer::Fail(errno) => (-errno.raw_os_error(), 0),
        };
        loop {
            match kernel::send(self.as_fd(), seccomp_notif_resp { id, val: 0, error, flags }) {
                Ok(()) => return Ok(true),
                // Gone, or answered before.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINPROGRESS)) => {
                    return Ok(false);
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::fs::File;
    use std::sync::mpsc::channel;
    use std::thread;

    /// Runs `body` in a thread whose calls are trapped, and gives its listener to `answers`; nothing where that is refused.
    fn trapped<T: Send + 'static>(
        body: impl FnOnce() -> T + Send + 'static,
        answers: impl FnOnce(Listener),
    ) -> Option<T> {
        let (sender, receiver) = channel();
        let thread = thread::spawn(move || {
            let installed = install();
            let is_there = installed.is_ok();
            sender.send(installed).unwrap();
            is_there.then(body)
        });
        match receiver.recv().unwrap() {
            Ok(fd) => answers(Listener::new(fd).unwrap()),
            Err(error) => eprintln!("SKIPPED: seccomp user notification is refused: {error}"),
        }
        thread.join().unwrap()
    }

    fn next(listener: &Listener) -> Call {
        loop {
            if let Some(call) = listener.receive().unwrap() {
                return call;
            }
        }
    }

    #[test]
    fn a_call_fails_as_it_is_answered_and_is_carried_out_if_it_is_to_go_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let body = move || (File::open(&path).map(drop), File::open(&path).map(drop));
        let opened = trapped(body, |listener| {
            for answer in [Answer::Fail(Errno::NOSPC), Answer::Continue] {
                let call = next(&listener);
                assert_eq!(call.what, TrappedCall::OpenAt);
                assert!(listener.is_waiting(&call));
                assert!(listener.answer(&call, answer).unwrap());
                assert!(!listener.is_waiting(&call));
                assert!(!listener.answer(&call, answer).unwrap(), "an answer counts once");
            }
        });
        let Some((first, second)) = opened else { return };
        assert_eq!(first.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        second.unwrap();
    }

    #[test]
    fn what_a_trapped_thread_starts_is_trapped_and_the_others_are_not() {
        let started = trapped(
            || std::process::Command::new("/bin/cat").arg("/proc/self/status").output(),
            |listener| {
                loop {
                    let mut fds = [PollFd::new(&listener, PollFlags::IN)];
                    poll(&mut fds, None).unwrap();
                    if !fds[0].revents().contains(PollFlags::IN) {
                        // The thread has ended, and what it had started.
                        break;
                    }
                    if let Some(call) = listener.receive().unwrap() {
                        listener.answer(&call, Answer::Continue).unwrap();
                    }
                }
            },
        );
        let Some(output) = started else { return };
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(text.contains("Seccomp:\t2") && text.contains("NoNewPrivs:\t1"), "{text}");
        File::open("/proc/self/status").unwrap();
    }

    #[test]
    fn without_a_listener_a_trapped_call_fails() {
        let failed = trapped(|| File::open("/dev/null").map(drop), drop);
        let Some(opened) = failed else { return };
        assert_eq!(opened.unwrap_err().raw_os_error(), Some(libc::ENOSYS));
    }
}
