//! Runs a user's command for a worker: its output bounded, its whole process group ended with it.

use super::clock::now_ns;
use super::fork::own_group;
use super::identity::Identity;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often a running command is looked at for a stop of the fleet.
const LOOK: Duration = Duration::from_millis(50);
/// Between SIGTERM and SIGKILL. Less than a coordinator waits for its workers.
const GRACE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit status, or minus the signal.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Output beyond the bound was read and dropped.
    pub truncated: bool,
    /// It did not end by itself: the deadline came, or the fleet was stopped.
    pub cut_short: bool,
}

/// Runs `arguments` until it ends, `deadline_ns` comes or `stop` says so. At most `output_max`
/// bytes are kept of stdout and stderr together, stderr giving way first.
///
/// `started` hears which process it is, for those who must end it if this worker dies.
pub fn run(
    arguments: &[&[u8]],
    deadline_ns: u64,
    output_max: usize,
    started: impl FnOnce(Identity),
    stop: impl Fn() -> bool,
) -> io::Result<Ended> {
    let Some((program, rest)) = arguments.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty command"));
    };
    let mut command = Command::new(OsStr::from_bytes(program));
    command
        .args(rest.iter().map(|argument| OsStr::from_bytes(argument)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = own_group(&mut command).spawn()?;
    if let Some(identity) = Identity::of(child.id()) {
        started(identity);
    }
    let ended = watch(&mut child, deadline_ns, output_max, stop);
    // Whatever happened: nobody of that group stays.
    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    let status = child.wait()?;
    let mut ended = ended?;
    ended.code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
    Ok(ended)
}

/// A pipe that is read as it fills, and kept up to a bound.
struct Stream<R> {
    from: Option<R>,
    kept: Vec<u8>,
    dropped: bool,
}

impl<R: Read + AsFd> Stream<R> {
    fn new(from: Option<R>) -> io::Result<Self> {
        if let Some(from) = &from {
            let flags = rustix::fs::fcntl_getfl(from)?;
            rustix::fs::fcntl_setfl(from, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
        Ok(Self { from, kept: Vec::new(), dropped: false })
    }

    fn read(&mut self, room: usize) {
        let mut buffer = [0; 8192];
        while let Some(from) = &mut self.from {
            match from.read(&mut buffer) {
                Ok(0) => self.from = None,
                Ok(n) => {
                    let keep = n.min(room.saturating_sub(self.kept.len()));
                    self.kept.extend_from_slice(&buffer[..keep]);
                    self.dropped |= keep < n;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.from = None,
            }
        }
    }
}

fn watch(
    child: &mut Child,
    deadline_ns: u64,
    output_max: usize,
    stop: impl Fn() -> bool,
) -> io::Result<Ended> {
    let group = Pid::from_raw(child.id() as i32);
    let pid = rustix::process::Pid::from_raw(group.as_raw()).expect("a child's pid is positive");
    let exit: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
    let mut stdout = Stream::new(child.stdout.take())?;
    let mut stderr = Stream::new(child.stderr.take())?;
    let (mut term_at, mut cut_short) = (None, false);
    let ended = loop {
        let mut fds = vec![PollFd::new(exit.as_fd(), PollFlags::POLLIN)];
        fds.extend(stdout.from.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(stderr.from.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        let now = now_ns();
        let until_deadline =
            Duration::from_nanos(deadline_ns.saturating_sub(now)).max(Duration::from_millis(1));
        let wait = LOOK.min(until_deadline);
        match poll(&mut fds, PollTimeout::from(wait.as_millis() as u16)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let exited = fds[0].revents().is_some_and(|events| !events.is_empty());
        stdout.read(output_max);
        stderr.read(output_max);
        if exited {
            break true;
        }
        let now = now_ns();
        match term_at {
            None if now >= deadline_ns || stop() => {
                cut_short = true;
                let _ = killpg(group, Signal::SIGTERM);
                term_at = Some(now);
            }
            Some(at) if now - at >= GRACE.as_nanos() as u64 => {
                let _ = killpg(group, Signal::SIGKILL);
                break false;
            }
            _ => {}
        }
    };
    if ended {
        // What was in the pipes when it ended; a background child may hold them open, so no wait.
        stdout.read(output_max);
        stderr.read(output_max);
    }
    let room = output_max.saturating_sub(stdout.kept.len());
    let truncated = stdout.dropped || stderr.dropped || stderr.kept.len() > room;
    stderr.kept.truncate(room);
    Ok(Ended { code: 0, stdout: stdout.kept, stderr: stderr.kept, truncated, cut_short })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: u64 = u64::MAX;

    fn sh(script: &str, deadline_ns: u64, output_max: usize, stop: impl Fn() -> bool) -> Ended {
        run(&[b"sh", b"-c", script.as_bytes()], deadline_ns, output_max, |_| (), stop).unwrap()
    }

    #[test]
    fn exit_status_and_both_outputs_come_back() {
        let ended = sh("echo out; echo err >&2; exit 3", FAR, 100, || false);
        assert_eq!((ended.code, &ended.stdout[..], &ended.stderr[..]), (3, &b"out\n"[..], &b"err\n"[..]));
        assert!(!ended.truncated && !ended.cut_short);
    }

    #[test]
    fn a_signal_is_told_from_a_status() {
        assert_eq!(sh("kill -9 $$", FAR, 100, || false).code, -9);
    }

    #[test]
    fn output_is_bounded_and_says_so() {
        let ended = sh("yes | head -c 100000; echo err >&2", FAR, 1000, || false);
        assert_eq!((ended.stdout.len(), ended.stderr.len(), ended.truncated), (1000, 0, true));
        assert_eq!(ended.code, 0);
    }

    #[test]
    fn the_deadline_ends_the_whole_group() {
        let started = std::cell::Cell::new(None);
        let past = now_ns();
        let ended = run(
            &[b"sh", b"-c", b"sleep 1000 & sleep 1000; wait"],
            past,
            100,
            |identity| started.set(Some(identity)),
            || false,
        )
        .unwrap();
        assert!(ended.cut_short);
        assert!(ended.code < 0, "{ended:?}");
        let leader = started.get().unwrap();
        // Every member is dead or dying: its group takes no signal any more once they are reaped.
        while procfs::process::all_processes()
            .unwrap()
            .filter_map(|process| process.ok()?.stat().ok())
            .any(|stat| stat.pgrp as u32 == leader.pid && stat.state != 'Z')
        {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_command_that_ignores_sigterm_is_killed() {
        let ended = sh("trap '' TERM; while :; do sleep 0.01; done", now_ns(), 100, || false);
        assert_eq!((ended.code, ended.cut_short), (-9, true));
    }

    #[test]
    fn what_does_not_exist_is_an_error() {
        let error = run(&[b"/no/such/program"], FAR, 10, |_| (), || false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
