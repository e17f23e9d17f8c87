//! Starts a fleet as a child of this process, and makes sure that nothing of it is left afterwards.

use crate::bus::directory::{Held, Integrity, control_path, fleet_dir, region_path, remove_half_made};
use crate::bus::error::Cause;
use crate::bus::slot::Stage;
use crate::bus::view::Control;
use crate::cli::policy::arguments;
use crate::config::{FleetShape, Policy};
use crate::os::identity::Identity;
use crate::os::nameless::nameless;
use crate::process::descent::{self, Descent, Marker, Stranger};
use crate::process::guard;
use crate::process::nested::{self, remove_with_temporary};
use crate::process::reap::reap_any;
use crate::process::supervisor::{children_of, try_children_of};
use crate::wire::place::PlaceId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Signal, getpid, getrlimit, kill_process, pidfd_open, pidfd_send_signal,
    set_child_subreaper,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use thiserror::Error;

/// From the start of the supervisor until it reports that the fleet is ready. Longer than its own limit.
pub const START_MAX: Duration = Duration::from_secs(90);
/// How long a supervisor may take to stop its fleet, beside the grace that a command gets. Longer than it gives its
/// coordinators.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// Bytes of a supervisor's words that are passed on if it does not start.
const ERRORS_MAX: usize = 64 * 1024;
/// After so many looks at which no orphan of the fleet was found, the others are not of the fleet. (A process shows no
/// environment for a moment while it executes a program.)
const QUIET_LOOKS: u32 = 5;

/// How to start the supervisor's program: `coordinator`, or `harness coordinator`.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Program {
    /// The program of this process.
    pub fn own(arguments: &[&str]) -> Self {
        // The link, not its target: it works even if the file has been replaced meanwhile.
        Self { path: "/proc/self/exe".into(), arguments: arguments.iter().map(Into::into).collect() }
    }
}

/// How often to check whether the launch was cancelled.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("cannot start the supervisor: {0}")]
    Spawn(io::Error),
    #[error("the fleet did not start: {message}")]
    Failed { message: String, status: Option<ExitStatus> },
    #[error("stopped while the fleet was starting")]
    Cancelled,
}

/// The file of a coordinator's region in the directory of its fleet.
pub fn segment(dir: &Path, coordinator: u32) -> PathBuf {
    region_path(dir, coordinator)
}

/// A running fleet. Dropped without [`Fleet::stop`], it is killed.
#[derive(Debug)]
pub struct Fleet {
    supervisor: Child,
    dir: PathBuf,
    /// That very directory, once the fleet is ready: its name may lead to another one later.
    held: Option<Held>,
    integrity: Integrity,
    /// `None` until the fleet is ready.
    control: Option<Control>,
    /// Of `supervisor`.
    made_by: Option<Identity>,
    ended: Option<ExitStatus>,
    /// Of a command of the fleet.
    grace: Duration,
    /// What proves that a process descends from this fleet: no other is ever killed.
    marker: Marker,
    /// Children that this process had before: that they are not of the fleet needs no mention.
    before: Vec<u32>,
}

/// How a fleet ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// In words; `None` if it ended as asked.
    pub how: Option<String>,
    /// In words: under which supervisor, if another one had adopted it.
    pub adopted: Option<String>,
    /// Processes and files that the fleet left behind, and that this process killed or removed.
    pub cleaned: Vec<String>,
    /// Processes that became children of this one meanwhile, and are not proven to be of the fleet: they were left alone.
    pub strangers: Vec<Stranger>,
}

/// Starts a fleet whose owner is this process, and waits until every worker is ready.
///
/// The file `errors`, which must not exist yet, gets the fleet's stderr; without one it is kept only until the fleet ends.
/// `cancelled` is polled while waiting. From now on this process adopts its descendants' orphans. It kills those that
/// prove to be of the fleet with it, and reaps all that have ended: it must not wait for other children.
pub fn launch(
    program: &Program,
    root: &Path,
    id: &str,
    (shape, policy): (&FleetShape, &Policy),
    errors: Option<&Path>,
    cancelled: impl Fn() -> bool,
) -> Result<Fleet, LaunchError> {
    // Orphans of a killed supervisor become children of this process, which can kill them.
    set_child_subreaper(Some(getpid())).map_err(|errno| LaunchError::Spawn(errno.into()))?;
    let before = try_children_of(std::process::id()).map_err(|errno| LaunchError::Spawn(errno.into()))?;
    let errors = has_room_in_files(shape).and_then(|()| open_errors(errors).map_err(LaunchError::Spawn))?;
    let stderr = errors.try_clone().map_err(LaunchError::Spawn)?;
    let marker = Marker::new(id);
    let mut command = supervisor_command(program, root, id, (shape, policy), &marker);
    let supervisor = command.stderr(stderr).spawn().map_err(LaunchError::Spawn)?;
    // Not reaped yet, so the pid is its own.
    let made_by = Identity::of(supervisor.id());
    let mut fleet = Fleet {
        supervisor,
        dir: fleet_dir(root, id),
        held: None,
        integrity: Integrity::default(),
        control: None,
        made_by,
        ended: None,
        grace: policy.stop.grace,
        marker,
        before,
    };
    match fleet.wait_until_ready(&cancelled) {
        Ok(true) => {
            fleet.held = fleet.own_directory();
            fleet.control = Control::attach(&control_path(&fleet.dir)).ok();
            fleet.altered();
            Ok(fleet)
        }
        Ok(false) => {
            fleet.stop();
            Err(LaunchError::Cancelled)
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            fleet.kill();
            let message = format!("the supervisor did not report within {START_MAX:?}");
            Err(LaunchError::Failed { message, status: fleet.ended })
        }
        Err(_) => {
            fleet.stop();
            let output = beginning(&errors);
            let message = if output.is_empty() {
                fleet
                    .ended
                    .map_or_else(|| "its supervisor gave no reason".to_owned(), |status| status.to_string())
            } else {
                output.strip_prefix("error: ").unwrap_or(&output).to_owned()
            };
            Err(LaunchError::Failed { message, status: fleet.ended })
        }
    }
}

/// Where files may not be as long as the fleet's, the supervisor could not even write down why it has not started.
fn has_room_in_files(shape: &FleetShape) -> Result<(), LaunchError> {
    let wanted = shape.file_bytes();
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < wanted => {
            let cause = Cause::FileSize { wanted, limit: Some(limit) };
            Err(LaunchError::Failed { message: format!("its shared memory: {cause}"), status: None })
        }
        _ => Ok(()),
    }
}

/// How long so many bare forks take on this host, one after the other, until the last is reaped: in a process of their own, which
/// is started before.
///
/// # Errors
/// It cannot be started, or the host refuses so many forks: the error says so.
pub fn bare_forks(program: &Program, count: u32) -> io::Result<Duration> {
    let output = Command::new(&program.path)
        .args(&program.arguments)
        .args(["floor", "--processes", &count.to_string()])
        .stdin(Stdio::null())
        .process_group(0)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().parse() {
        Ok(ns) if output.status.success() => Ok(Duration::from_nanos(ns)),
        _ => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Everything but its stderr.
fn supervisor_command(
    program: &Program,
    root: &Path,
    id: &str,
    (shape, policy): (&FleetShape, &Policy),
    marker: &Marker,
) -> Command {
    let own = Identity::own();
    let mut command = Command::new(&program.path);
    command
        .env(descent::VARIABLE, marker.appended())
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
        // Ctrl-C on the terminal is for this process to handle.
        .process_group(0);
    command
}

/// For reading too. What has the name already, a link above all, is refused and not followed.
fn open_errors(path: Option<&Path>) -> io::Result<File> {
    let Some(path) = path else { return nameless() };
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Of what the supervisor has written, whose position it shares.
fn beginning(errors: &File) -> String {
    let mut bytes = vec![0; ERRORS_MAX];
    let read = errors.read_at(&mut bytes, 0).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).trim().to_owned()
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
        let mut line = Vec::new();
        let deadline = Instant::now() + START_MAX;
        while !line.contains(&b'\n') {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if cancelled() {
                return Ok(false);
            }
            if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&LOOK)).unwrap_or(0) == 0 {
                continue;
            }
            let mut buffer = [0; 256];
            match pipe.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => line.extend_from_slice(&buffer[..n]),
            }
        }
        if line.starts_with(b"ready ") { Ok(true) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// The directory that this fleet's supervisor has made; another fleet may have had the name.
    fn own_directory(&self) -> Option<Held> {
        let held = Held::open(&self.dir).ok()?;
        let owner = held.head().ok()?.owner;
        (Some(owner) == self.made_by).then_some(held)
    }

    /// What has been done to the fleet's directory and files since the last look, in words, by others than the fleet.
    pub fn altered(&mut self) -> Vec<String> {
        let Some(held) = &self.held else { return Vec::new() };
        let found = self.integrity.look(held);
        // A fleet that ends itself removes its files.
        if !found.is_empty() && (self.poll_ended().is_some() || self.is_stopping()) {
            return Vec::new();
        }
        found
    }

    /// Whether the file of a coordinator's region is being changed on purpose from now on: [`Self::altered`] leaves it out
    /// until it is not any more, and must be again what it was.
    pub fn declare_altered(&mut self, coordinator: u32, is_changed: bool) {
        self.integrity.declare(coordinator, is_changed);
    }

    fn is_stopping(&self) -> bool {
        self.control.is_some_and(|control| matches!(control.stage(), Stage::Stopping | Stage::Stopped))
    }

    /// True if the directory that the fleet's supervisor made is still there.
    pub fn is_left(&self) -> bool {
        self.held.as_ref().is_some_and(Held::exists)
    }

    /// The exit status of the supervisor that this process started, if it has ended. Another supervisor may have adopted
    /// its fleet.
    pub fn poll_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.supervisor.try_wait().ok().flatten();
        } else {
            // Processes that it left behind are children of this process now.
            while reap_any().is_some() {}
        }
        self.ended
    }

    /// The supervisor that has adopted this fleet, if there is one. Waits up to `patience` for it, as long as a coordinator
    /// is alive.
    fn adopter(&self, patience: Duration) -> Option<Identity> {
        if !self.held.as_ref().is_some_and(Held::is_in_place) {
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

    /// Asks the fleet to stop, and makes sure that it does.
    pub fn stop(&mut self) -> Stopped {
        self.end(Some(Signal::TERM), STOP_GRACE + self.grace)
    }

    /// Kills the fleet at once.
    pub fn kill(&mut self) -> Stopped {
        self.end(None, Duration::ZERO)
    }

    fn end(&mut self, ask: Option<Signal>, grace: Duration) -> Stopped {
        // Not reaped yet, so the pid is still the supervisor's.
        let pid = Pid::from_child(&self.supervisor);
        let (mut how, mut adopted) = (None, None);
        if self.poll_ended().is_some() {
            how = self.ended.map(|status| format!("the supervisor had already ended ({status})"));
            if let Some(adopter) = self.adopter(grace) {
                match end_adopter(adopter, ask, grace) {
                    Ok(words) => adopted = how.take().map(|how| format!("{how}; {words}")),
                    Err(words) => how = how.map(|how| format!("{how}; {words}")),
                }
                // It is a child of this process since it was forked, and so are the processes that it left.
                while reap_any().is_some() {}
            }
        } else {
            if let Some(signal) = ask {
                let _ = kill_process(pid, signal);
            }
            let deadline = Instant::now() + grace;
            while self.poll_ended().is_none() {
                if Instant::now() >= deadline {
                    let _ = kill_process(pid, Signal::KILL);
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
        let (mut cleaned, strangers) = self.end_orphans();
        let own = self.own_directory();
        let held = self.held.as_ref().or(own.as_ref()).filter(|held| held.exists());
        if held.is_some_and(|held| remove_with_temporary(held, |_, _| ()).is_ok()) {
            cleaned.push(self.dir.display().to_string());
        }
        // A supervisor that was killed while it made the directory.
        let half_made = self.made_by.and_then(|owner| remove_half_made(&self.dir, owner));
        cleaned.extend(half_made.map(|path| path.display().to_string()));
        if let Some(root) = self.dir.parent() {
            nested::remove_all(root, &self.marker);
        }
        Stopped { how, adopted, cleaned, strangers }
    }

    /// Kills and reaps the fleet's orphans: once the supervisor is gone, they are children of this process that show the
    /// fleet's marker. Returns what was killed, and the children that do not show it. Bounded, since SIGKILL cannot be
    /// refused, only delayed.
    fn end_orphans(&self) -> (Vec<String>, Vec<Stranger>) {
        let (mut ended, mut strangers) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + STOP_GRACE;
        // It ends by itself when nothing else of the fleet is left.
        let patience = Instant::now() + STOP_GRACE / 2;
        let mut quiet = 0;
        while Instant::now() < deadline && quiet < QUIET_LOOKS {
            while reap_any().is_some() {}
            let mut children = children_of(std::process::id());
            children.retain(|pid| !self.before.contains(pid));
            strangers.clear();
            let mut any = false;
            for pid in children {
                let Stranger { name, .. } = Stranger::new(pid);
                if name == guard::TITLE && self.marker.of(pid) == Descent::Proven && Instant::now() < patience
                {
                    any = true;
                    continue;
                }
                match self.marker.end(pid) {
                    Descent::Unproven => strangers.push(Stranger { pid, name }),
                    Descent::Ended => any = true,
                    Descent::Proven => {
                        any = true;
                        // Coordinators and workers die with their parents, and only need to be reaped.
                        let dies_by_itself =
                            matches!(name.parse(), Ok(PlaceId::Coordinator(_) | PlaceId::Worker(_)));
                        let word = format!("{pid} {name}");
                        if !dies_by_itself && !ended.contains(&word) {
                            ended.push(word);
                        }
                    }
                }
            }
            if !any && strangers.is_empty() {
                break;
            }
            quiet = if any { 0 } else { quiet + 1 };
            std::thread::sleep(Duration::from_millis(2));
        }
        (ended, strangers)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

/// Stops a supervisor that is not a child of this process; returns how, in words.
///
/// # Errors
/// It has not stopped as asked: in words.
fn end_adopter(adopter: Identity, ask: Option<Signal>, grace: Duration) -> Result<String, String> {
    let pid = adopter.pid;
    let opened = Pid::from_raw(pid as i32)
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let fd = match opened {
        // Checked after the open: from then on the descriptor cannot mean another process.
        Ok(fd) if adopter.is_alive() => fd,
        Ok(_) | Err(rustix::io::Errno::SRCH) => {
            return Err(format!("process {pid}, which adopted its fleet, has ended too"));
        }
        Err(errno) => {
            return Err(format!("process {pid}, which adopted its fleet, cannot be stopped: {errno}"));
        }
    };
    let _ = pidfd_send_signal(&fd, ask.unwrap_or(Signal::KILL));
    let grace = Timespec::try_from(grace).ok();
    let ended = poll(&mut [PollFd::new(&fd, PollFlags::IN)], grace.as_ref()).unwrap_or(0) > 0;
    if ended && ask.is_some() {
        return Ok(format!("process {pid} had adopted its fleet, and stopped as asked"));
    }
    let _ = pidfd_send_signal(&fd, Signal::KILL);
    Err(format!("process {pid}, which had adopted its fleet, was killed"))
}
