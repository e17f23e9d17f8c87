//! The guard: ends what a fleet has started and no other process can end any more.
//!
//! Each process of a fleet ends what its children leave behind. If a parent and its parent and the client are killed in
//! one instant, none of them is left to do so, and what commands have put in the background becomes a child of init. The
//! guard is a child of the supervisor that outlives it. It has one thread, a session of its own, and takes no signal that
//! can be refused. It does nothing but wait: for the end of a pipe, the *lifeline*, whose other end every process that the
//! fleet forks holds open, however it ends. Then it kills every process of the host that shows the fleet's marker, and ends.
//!
//! It shares no memory with the fleet that it would have to trust, and never goes by parenthood. Absent on purpose: reports
//! (its standard streams are closed, so that no reader waits for it), and the fleet's directory, which `clean` removes.
//!
//! If the guard is killed, the supervisor starts another one. If it is killed in the same instant as all the others, the
//! kernel still ends the commands themselves, which die with their workers.

use super::descent::Marker;
use super::fork;
use super::nested;
use super::pidfd;
use super::reset::temporary;
use crate::wire::place::PlaceId;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{Pid, getppid};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Its name in `ps`.
pub const TITLE: &str = "guard";
/// How often it looks for another supervisor, while there is none.
const LOOK: Duration = Duration::from_millis(500);
/// Between two searches for processes of the fleet, at first; doubled as long as some are left,
const AGAIN: Duration = Duration::from_millis(1);
/// up to this.
const AGAIN_MAX: Duration = Duration::from_secs(1);
/// One that forks and ends during a search shows its child in the next: so many in a row must find nothing.
const QUIET: u32 = 2;

/// Makes the pipe whose end tells a guard that the fleet is gone. To be called before the first fork.
///
/// # Errors
/// There are no descriptors left.
pub fn prepare() -> nix::Result<OwnedFd> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fork::hold_lifeline(writer);
    Ok(reader)
}

/// Whether a guard waits at the other end of this process's lifeline. True where there is none.
pub fn is_there() -> bool {
    let Some(lifeline) = fork::lifeline() else { return true };
    let mut fds = [PollFd::new(lifeline, PollFlags::empty())];
    let found = poll(&mut fds, PollTimeout::ZERO);
    // The kernel reports a pipe without readers to its writers as an error.
    !matches!(found, Ok(1..)) || !fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

/// The other end of this process's lifeline, for a guard that follows one that has been killed.
///
/// # Errors
/// `/proc` cannot be read, or there are no descriptors left.
pub fn reopen() -> nix::Result<OwnedFd> {
    let lifeline = fork::lifeline().ok_or(nix::Error::EBADF)?;
    let path = format!("/proc/self/fd/{}", lifeline.as_raw_fd());
    nix::fcntl::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
}

/// Whether a process holds the lifeline that is open here: the fleet has forked it, and it has executed no other program. One
/// that is gone does not, nor does another user's.
fn holds(lifeline: BorrowedFd<'_>, pid: u32) -> io::Result<bool> {
    let own = std::fs::read_link(format!("/proc/self/fd/{}", lifeline.as_raw_fd()))?;
    let listed =
        std::fs::read_dir(format!("/proc/{pid}/fd")).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    match listed {
        Ok(fds) => Ok(fds.into_iter().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link == own))),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The living processes that this fleet has forked and whose name in `ps` is `wanted`, with their names: proven by its lifeline,
/// which this process holds too, and by nothing that lies in shared memory.
///
/// # Errors
/// `/proc` cannot be read: there may be more.
pub fn forked(wanted: impl Fn(&str) -> bool) -> io::Result<Vec<(u32, String)>> {
    let lifeline = fork::lifeline().ok_or(io::ErrorKind::NotFound)?;
    let mut found = Vec::new();
    for process in procfs::process::all_processes().map_err(io::Error::other)?.flatten() {
        let Ok(stat) = process.stat() else { continue };
        let pid = stat.pid as u32;
        if wanted(&stat.comm) && holds(lifeline, pid)? {
            found.push((pid, stat.comm));
        }
    }
    Ok(found)
}

/// The fleet that a guard is for.
#[derive(Debug, Clone, Copy)]
pub struct Guarded<'a> {
    pub marker: &'a Marker,
    pub dir: &'a Path,
    pub created_unix_ns: u64,
    /// No process of the fleet is older, in clock ticks since the host's start.
    pub since_ticks: u64,
}

/// Forks a guard. What is left of a fleet whose supervisor is gone, and that gets no other within `patience`, is killed.
///
/// # Errors
/// The kernel refuses the fork.
pub fn start(reader: &OwnedFd, fleet: &Guarded<'_>, patience: Duration) -> nix::Result<Pid> {
    // It changes its directory.
    let dir = std::path::absolute(fleet.dir).unwrap_or_else(|_| fleet.dir.to_owned());
    let supervisor = nix::unistd::getpid();
    fork::spawn_survivor(TITLE, reader.as_fd(), || {
        withdraw();
        let fleet = Guarded { dir: &dir, ..*fleet };
        Guard { lifeline: reader.as_fd(), fleet, patience }.watch(supervisor)
    })
}

/// Lets go of everything by which others could reach this process or would wait for it. Each step is a precaution: a guard
/// that cannot take one is better than none.
fn withdraw() {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
    let _ = nix::unistd::setsid();
    let _ = nix::unistd::chdir("/");
    let _ = nix::sys::prctl::set_child_subreaper(false);
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
}

struct Guard<'a> {
    lifeline: BorrowedFd<'a>,
    fleet: Guarded<'a>,
    patience: Duration,
}

impl Guard<'_> {
    /// Until the fleet is gone. Returns the exit status.
    fn watch(&self, supervisor: Pid) -> i32 {
        // Its pid is its own as long as it is the parent.
        let mut watched = pidfd::open(supervisor.as_raw() as u32).ok().filter(|_| getppid() == supervisor);
        let mut alone: Option<Instant> = None;
        while !self.is_over(watched.as_ref()) {
            if watched.as_ref().is_some_and(|fd| !has_ended(fd)) {
                continue;
            }
            watched = None;
            if let Some(pid) = self.find_supervisor() {
                alone = None;
                // Checked after the open: from then on the descriptor cannot mean another process.
                watched = pidfd::open(pid).ok().filter(|_| self.holds_lifeline(pid));
            } else if alone.get_or_insert_with(Instant::now).elapsed() > self.patience {
                self.end_holders();
            }
        }
        self.end_marked();
        let Guarded { dir, marker, created_unix_ns, .. } = self.fleet;
        nested::remove_all(dir.parent().unwrap_or(dir), marker);
        // Without the directory, `clean` does not find them.
        if !dir.exists() {
            let _ = temporary::remove_of_fleet(&std::env::temp_dir(), created_unix_ns);
        }
        0
    }

    /// Waits until something happens, or for a moment if no supervisor is watched. True if no process of the fleet is left.
    fn is_over(&self, supervisor: Option<&OwnedFd>) -> bool {
        let mut fds = vec![PollFd::new(self.lifeline, PollFlags::POLLIN)];
        fds.extend(supervisor.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        let look = PollTimeout::from(LOOK.as_millis() as u16);
        let found = poll(&mut fds, if supervisor.is_some() { PollTimeout::NONE } else { look });
        // No process writes into it.
        matches!(found, Ok(1..)) && fds[0].revents().is_some_and(|events| !events.is_empty())
    }

    fn holds_lifeline(&self, pid: u32) -> bool {
        holds(self.lifeline, pid).unwrap_or(false)
    }

    /// The processes that hold the lifeline: those that the fleet has forked and that have executed no other program.
    fn holders(&self) -> impl Iterator<Item = u32> {
        let own = std::process::id();
        let all = procfs::process::all_processes().into_iter().flatten().flatten();
        all.map(|process| process.pid as u32).filter(move |pid| *pid != own && self.holds_lifeline(*pid))
    }

    /// The pid of the supervisor that has adopted the fleet.
    fn find_supervisor(&self) -> Option<u32> {
        let title = PlaceId::Supervisor.to_string();
        let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
        self.holders().find(|pid| name(pid).is_ok_and(|name| name.trim() == title))
    }

    /// Kills what is left of a fleet without a supervisor: coordinators that are stopped, or that hang.
    fn end_holders(&self) {
        for pid in self.holders() {
            let Ok(fd) = pidfd::open(pid) else { continue };
            if self.holds_lifeline(pid) {
                pidfd::kill(fd);
            }
        }
    }

    /// Kills every process that shows the marker, until none is left.
    fn end_marked(&self) {
        let (mut quiet, mut pause) = (0, AGAIN);
        while quiet < QUIET {
            if self.fleet.marker.end_all(self.fleet.since_ticks) == 0 {
                quiet += 1;
            } else {
                (quiet, pause) = (0, (pause * 2).min(AGAIN_MAX));
            }
            std::thread::sleep(pause);
        }
    }
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
}
