//! Starts a fleet as a child of this process, and makes sure that it is gone afterwards.

use crate::bus::directory::{control_path, fleet_dir, remove};
use crate::bus::view::peek_owner;
use crate::cli::policy::arguments;
use crate::config::{FleetShape, Policy};
use crate::process::identity::Identity;
use crate::process::reap::reap_any;
use crate::process::supervisor::{children_of, try_children_of};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
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
    let mut fleet = Fleet { supervisor, dir: fleet_dir(root, id), ended: None, spared };
    match fleet.wait_until_ready(&cancelled) {
        Ok(true) => Ok(fleet),
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

    /// The supervisor's exit status, if it has ended.
    pub fn poll_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.supervisor.try_wait().ok().flatten();
        }
        self.ended
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
            && peek_owner(&control_path(&self.dir))
                .is_ok_and(|(owner, ..)| owner.pid == self.supervisor.id());
        if own && remove(&self.dir).is_ok() {
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
            let dies_by_itself = name.starts_with("coord/") || name.starts_with("worker/");
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
