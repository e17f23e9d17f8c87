//! Starts a fleet as a child of this process, and makes sure that it is gone afterwards.

use crate::bus::directory::{control_path, fleet_dir, remove};
use crate::bus::view::{Control, peek_owner};
use crate::cli::policy::arguments;
use crate::config::{FleetShape, Policy};
use crate::os::identity::Identity;
use crate::process::reap::reap_any;
use crate::process::reset::temporary;
use crate::process::supervisor::{children_of, try_children_of};
use crate::wire::place::PlaceId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use thiserror::Error;

/// From the start of the supervisor to its word that everyone is there. More than it gives itself.
const START_MAX: Duration = Duration::from_secs(90);
/// What a supervisor gets to take its fleet down. More than it gives its coordinators.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// How to start the program that is the supervisor: `coordinator`, or `harness coordinator`.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This very program.
    pub fn own(arguments: &[&str]) -> Self {
        // The link, not what it points to: it works even if the file has been replaced meanwhile.
        Self { path: "/proc/self/exe".into(), arguments: arguments.iter().map(Into::into).collect() }
    }
}

#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("cannot start the supervisor: {0}")]
    Spawn(io::Error),
    #[error("the fleet did not come up: {said}")]
    Failed { said: String, status: Option<ExitStatus> },
    #[error("stopped while the fleet came up")]
    Cancelled,
}

/// A running fleet. Dropped without [`Fleet::stop`], it is killed.
#[derive(Debug)]
pub struct Fleet {
    supervisor: Child,
    dir: PathBuf,
    /// Device and inode of that directory: another fleet's may have its name afterwards.
    made: Option<(u64, u64)>,
    ended: Option<ExitStatus>,
    /// Children that this process had before: nobody's business here.
    spared: Vec<u32>,
}

/// How a fleet went down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// In words; `None` if it ended as asked.
    pub how: Option<String>,
    /// What its own end had left and was killed or removed by this process.
    pub cleaned: Vec<String>,
}

/// Starts a fleet whose owner is this process, and waits until every worker is there.
///
/// `errors` gets the fleet's stderr. `cancelled` is asked while waiting. From here on this process
/// adopts its descendants' orphans, and ends and reaps them with the fleet: it must start no other children.
pub fn launch(
    program: &Program,
    root: &Path,
    id: &str,
    (shape, policy): (&FleetShape, &Policy),
    errors: &Path,
    cancelled: impl Fn() -> bool,
) -> Result<Fleet, LaunchError> {
    // Orphans of a supervisor that is killed come to this process, and can be ended.
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| LaunchError::Spawn(errno.into()))?;
    let spared = try_children_of(std::process::id()).map_err(|errno| LaunchError::Spawn(errno.into()))?;
    let own = Identity::own();
    let said = std::fs::File::create(errors).map_err(LaunchError::Spawn)?;
    let mut command = Command::new(&program.path);
    command
        .arg0("coordinator-fleet-supervisor-with-room-for-its-title")
        .args(&program.arguments)
        .arg("up")
        .args(["--name", id])
        .args(arguments(shape, policy))
        .args(["--owner", &format!("{}:{}", own.pid, own.start_ticks)])
        .arg("--shm-dir")
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(said)
        // Ctrl-C on the terminal is this process's business.
        .process_group(0);
    let supervisor = command.spawn().map_err(LaunchError::Spawn)?;
    let mut fleet = Fleet { supervisor, dir: fleet_dir(root, id), made: None, ended: None, spared };
    match fleet.wait_until_ready(&cancelled) {
        Ok(true) => {
            fleet.made = fleet.directory();
            Ok(fleet)
        }
        Ok(false) => {
            fleet.stop();
            Err(LaunchError::Cancelled)
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            fleet.kill();
            let said = format!("no word from the supervisor within {START_MAX:?}");
            Err(LaunchError::Failed { said, status: fleet.ended })
        }
        Err(_) => {
            fleet.stop();
            let said = std::fs::read_to_string(errors).unwrap_or_default();
            let said = said.trim();
            let said = if said.is_empty() {
                fleet.ended.map_or_else(|| "no word from it".to_owned(), |status| status.to_string())
            } else {
                said.strip_prefix("error: ").unwrap_or(said).to_owned()
            };
            Err(LaunchError::Failed { said, status: fleet.ended })
        }
    }
}

impl Fleet {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor.id()
    }

    /// `Ok(false)` if cancelled; an error if the supervisor ended instead.
    fn wait_until_ready(&mut self, cancelled: &impl Fn() -> bool) -> io::Result<bool> {
        let mut pipe = self.supervisor.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut said = Vec::new();
        let deadline = Instant::now() + START_MAX;
        while !said.contains(&b'\n') {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if cancelled() {
                return Ok(false);
            }
            let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(50_u16)).unwrap_or(0) == 0 {
                continue;
            }
            let mut buffer = [0; 256];
            match pipe.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => said.extend_from_slice(&buffer[..n]),
            }
        }
        if said.starts_with(b"ready ") { Ok(true) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn directory(&self) -> Option<(u64, u64)> {
        let found = std::fs::symlink_metadata(&self.dir).ok()?;
        Some((found.dev(), found.ino()))
    }

    /// The exit status of the supervisor that was started here, if it has ended. Another one may have adopted its
    /// fleet.
    pub fn poll_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.supervisor.try_wait().ok().flatten();
        } else {
            // What it left without a parent comes here.
            while reap_any().is_some() {}
        }
        self.ended
    }

    /// The supervisor that has adopted this fleet, if there is one; `patience` long one that is to come is waited
    /// for, as long as a coordinator lives.
    fn adopter(&self, patience: Duration) -> Option<Identity> {
        if self.made.is_none() || self.made != self.directory() {
            return None;
        }
        let control = Control::attach(&control_path(&self.dir)).ok()?;
        let deadline = Instant::now() + patience;
        loop {
            let owner = control.owner();
            if owner.is_alive() {
                return Some(owner);
            }
            while reap_any().is_some() {}
            if !control.has_living_coordinator() || Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks the fleet to end, and makes sure of it.
    pub fn stop(&mut self) -> Stopped {
        self.end(Some(Signal::SIGTERM), STOP_GRACE)
    }

    /// Ends the fleet at once.
    pub fn kill(&mut self) -> Stopped {
        self.end(None, Duration::ZERO)
    }

    fn end(&mut self, ask: Option<Signal>, grace: Duration) -> Stopped {
        // Not reaped yet, so the pid is still the supervisor's.
        let pid = Pid::from_raw(self.supervisor.id() as i32);
        let mut how = None;
        if self.poll_ended().is_some() {
            how = self.ended.map(|status| format!("the supervisor had ended already ({status})"));
            if let Some(adopter) = self.adopter(grace) {
                let words = end_adopter(adopter, ask, grace);
                how = how.map(|how| format!("{how}; {words}"));
                // It came here when it was forked, and so did what it left.
                while reap_any().is_some() {}
            }
        } else {
            if let Some(signal) = ask {
                let _ = kill(pid, signal);
            }
            let deadline = Instant::now() + grace;
            while self.poll_ended().is_none() {
                if Instant::now() >= deadline {
                    let _ = kill(pid, Signal::SIGKILL);
                    self.ended = self.supervisor.wait().ok();
                    how = Some("the supervisor had to be killed".to_owned());
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            if how.is_none() && self.ended.is_some_and(|status| !status.success()) {
                how = self.ended.map(|status| format!("the supervisor ended with {status}"));
            }
        }
        let mut cleaned = end_orphans(&self.spared);
        // Only what this fleet's supervisor made: the name may have been another's.
        let own = self.dir.exists()
            && (self.made.is_some() && self.made == self.directory()
                || peek_owner(&control_path(&self.dir))
                    .is_ok_and(|(owner, ..)| owner.pid == self.supervisor.id()));
        if own && remove_with_temporary(&self.dir).is_ok() {
            cleaned.push(self.dir.display().to_string());
        }
        Stopped { how, cleaned }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

/// Removes a dead fleet's directory, and what its workers had made beside it.
pub(crate) fn remove_with_temporary(dir: &Path) -> std::io::Result<()> {
    if let Ok(control) = Control::attach(&control_path(dir)) {
        // What cannot be removed is in nobody's way.
        let _ = temporary::remove_of_fleet(control.stamped().created_unix_ns);
    }
    remove(dir)
}

/// Ends a supervisor that is not this process's child; how, in words.
fn end_adopter(adopter: Identity, ask: Option<Signal>, grace: Duration) -> String {
    let pid = adopter.pid;
    let opened = rustix::process::Pid::from_raw(pid as i32)
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let fd = match opened {
        // After the open: the pid cannot be given to somebody else any more.
        Ok(fd) if adopter.is_alive() => fd,
        Ok(_) | Err(rustix::io::Errno::SRCH) => {
            return format!("process {pid}, which adopted its fleet, has too");
        }
        Err(errno) => {
            return format!("process {pid}, which adopted its fleet, cannot be told to end: {errno}");
        }
    };
    let signal = if ask.is_some() { rustix::process::Signal::TERM } else { rustix::process::Signal::KILL };
    let _ = pidfd_send_signal(&fd, signal);
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let ended = poll(&mut fds, PollTimeout::from(grace.as_millis() as u16)).unwrap_or(0) > 0;
    if ended && ask.is_some() {
        return format!("process {pid} had adopted its fleet, and ended as asked");
    }
    let _ = pidfd_send_signal(&fd, rustix::process::Signal::KILL);
    format!("process {pid}, which had adopted its fleet, was killed")
}

/// Ends and reaps the fleet's orphans: with the supervisor gone they are the children of this process
/// that it did not have before. Bounded, since SIGKILL cannot be refused, only delayed.
fn end_orphans(spared: &[u32]) -> Vec<String> {
    let mut ended = Vec::new();
    let deadline = Instant::now() + STOP_GRACE;
    while Instant::now() < deadline {
        let mut orphans = children_of(std::process::id());
        orphans.retain(|pid| !spared.contains(pid));
        if orphans.is_empty() {
            break;
        }
        for pid in orphans {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = name.trim();
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
            // Coordinators and workers die with their parents; here they are only reaped.
            let dies_by_itself = matches!(name.parse(), Ok(PlaceId::Coordinator(_) | PlaceId::Worker(_)));
            let word = format!("{pid} {name}");
            if !dies_by_itself && !ended.contains(&word) {
                ended.push(word);
            }
        }
        while reap_any().is_some() {}
        std::thread::sleep(Duration::from_millis(2));
    }
    ended
}
