//! A directory whose disk can be made slow, full or failing, for this run alone.
//!
//! A file system that passes every call through lies over it, in the mount namespace of this process ([`crate::private_shm`]): its fleet, being its
//! children, sees it, and no other process of the host does. What is written is in the directory beneath, where the host sees it.
//! A process of its own serves it ([`serve`]), and dies with the harness by the kernel's doing, as the mount does with the
//! namespace: whatever becomes of a run, nothing is left of this. Deliberately absent: when it is disturbed.

mod beneath;
mod covers;
mod harm;
mod later;
mod names;
mod order;
mod probe;
mod serve;
mod through;

use crate::companion::{Companion, Line};
use crate::private_shm::Namespace;
use crate::scenario::fault::DiskFault;
pub use covers::Covers;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use order::{DONE, LOADED, Order, READY, SERVE, read_met};
use probe::At;
pub use probe::{Found, Probe, Tally, Wanted};
use reports::runlog::event::Met;
use rustix::fs::{Mode, OFlags};
pub use serve::serve;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The device that file systems of processes are served by.
pub const DEVICE: &str = "/dev/fuse";
/// What users are told who may not use it.
pub const REMEDY: &str = "modprobe fuse if it is not there; if it may not be opened, install fuse3, or as root: chmod 666 /dev/fuse \
                          (docker: --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined)";

/// How long a process may take to serve a directory,
const READY_WITHIN: Duration = Duration::from_secs(10);
/// and to obey. The thread of the load waits for it.
const OBEYS_WITHIN: Duration = Duration::from_millis(500);

/// Whether this process may serve file systems at all.
///
/// # Errors
/// The device is not there, or not for this user.
pub fn is_to_be_had() -> io::Result<()> {
    File::options().read(true).write(true).open(DEVICE).map(drop)
}

/// Starts the process that serves a directory.
fn start_server(dir: &OwnedFd, device: OwnedFd, control: OwnedFd) -> io::Result<Companion> {
    Companion::start(|command| {
        command.args(["disk", "--parent", &std::process::id().to_string()]);
        command.stdin(Stdio::from(device)).stdout(Stdio::from(control));
        // By the descriptor: by its name, it would be what lies over it.
        command.current_dir(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    })
}

/// The line to a server.
#[derive(Debug)]
struct Control {
    line: Line,
    /// Faults that were armed so far.
    armed: u32,
}

impl Control {
    fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self { line: Line::new(stream, "the process that serves the directory")?, armed: 0 })
    }

    /// Waits for this line at the start; what the server says instead is why it cannot serve.
    fn expect(&mut self, line: &str) -> io::Result<()> {
        let said = self.line.hear(READY_WITHIN)?;
        if said == line { Ok(()) } else { Err(io::Error::other(said)) }
    }

    /// What the server has to say of an order that it has carried out.
    fn order(&mut self, order: Order) -> io::Result<String> {
        let said = self.line.ask(&order.to_string(), OBEYS_WITHIN)?;
        match said.strip_prefix(DONE) {
            Some(rest) => Ok(rest.trim_start().to_owned()),
            None => Err(io::Error::other(said)),
        }
    }
}

/// A directory that can be disturbed. Dropped, it is what it was.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    /// The directory beneath.
    beneath: OwnedFd,
    control: Mutex<Control>,
    probe: Arc<File>,
    /// What others look for, locked beneath, where they see it.
    locked: Mutex<Vec<File>>,
    /// Absent in tests.
    _server: Option<Companion>,
    mounted: Option<Mounted>,
}

/// A mount. Dropped, it is taken away.
#[derive(Debug)]
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // What still has a file open in it keeps that until it closes it.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

impl Disk {
    /// Lays it over `dir`, for this process and its children alone.
    ///
    /// # Errors
    /// The directory or the device cannot be opened, or the kernel or the process that is to serve it refuses; it is what it was then.
    pub fn cover(_: Namespace, dir: &Path) -> io::Result<Self> {
        let named = |what: &Path| {
            let what = what.display().to_string();
            move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"))
        };
        // It is mounted by its name, which must stay its own wherever this process goes.
        let dir = dir.canonicalize().map_err(named(dir))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let beneath =
            rustix::fs::open(&dir, flags, Mode::empty()).map_err(|errno| named(&dir)(errno.into()))?;
        let device = File::options().read(true).write(true).open(DEVICE).map_err(named(Path::new(DEVICE)))?;
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let options = format!(
            "fd={},rootmode=40000,user_id={uid},group_id={gid},default_permissions,allow_other",
            device.as_raw_fd()
        );
        let (ours, its) = UnixStream::pair()?;
        // Before the mount: what it is started from may lie in the directory, and would wait for it.
        let server = start_server(&beneath, device.try_clone()?.into(), its.into())?;
        let mut control = Control::new(ours)?;
        control.expect(LOADED)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("harness"), &dir, Some("fuse.harness"), flags, Some(&*options))
            .map_err(|errno| named(&dir)(errno.into()))?;
        let mounted = Mounted(dir.clone());
        // The server's is the only one then: with it, the mount is dead.
        drop(device);
        control.line.say(SERVE)?;
        control.expect(READY)?;
        let probe = Arc::new(probe::file(&dir).map_err(named(&dir))?);
        let (control, locked) = (Mutex::new(control), Mutex::default());
        Ok(Self { dir, beneath, control, probe, locked, _server: Some(server), mounted: Some(mounted) })
    }

    /// Locks a file of the directory for as long as it is covered, where processes that do not see the cover see that: the kernel
    /// names this process to them, and not the one that serves it. A file system without locks does without.
    pub fn lock(&self, name: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::openat(&self.beneath, name, flags, Mode::empty())?);
        if file.try_lock().is_ok() {
            self.locked.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        }
        Ok(())
    }

    /// Lets it befall every call from now on; by which number it is known.
    ///
    /// # Errors
    /// The process that serves the directory has gone, or does not answer.
    pub fn arm(&self, what: DiskFault, seed: u64) -> io::Result<u32> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control.armed += 1;
        let id = control.armed;
        control.order(Order::Arm { id, what, seed })?;
        Ok(id)
    }

    /// No more of it; how many calls it has befallen, those of probes among them.
    ///
    /// # Errors
    /// As of [`Self::arm`], or the process says something else.
    pub fn disarm(&self, id: u32) -> io::Result<Met> {
        let said = self.control.lock().unwrap_or_else(PoisonError::into_inner).order(Order::Disarm { id })?;
        read_met(&said).ok_or_else(|| io::Error::other(format!("it says {said:?}")))
    }

    /// Looks for the effect, or its end, on a thread of its own, and counts its calls.
    pub fn probe(&self, what: DiskFault, wanted: Wanted, tally: &Arc<Tally>) -> io::Result<Probe> {
        let at = At { dir: self.dir.clone(), file: Arc::clone(&self.probe), tally: Arc::clone(tally) };
        Probe::start(at, what, wanted)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// One that obeys and does nothing: a directory as any other, behind a line that says yes.
    #[cfg(test)]
    pub fn idle(dir: &Path) -> Self {
        use std::io::{BufRead as _, BufReader, Write as _};
        let (ours, its) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut answers = its.try_clone().unwrap();
            for _ in BufReader::new(its).lines().map_while(Result::ok) {
                let _ = writeln!(answers, "{DONE} 0 of 0");
            }
        });
        Self {
            dir: dir.to_owned(),
            beneath: rustix::fs::open(dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap(),
            control: Mutex::new(Control::new(ours).unwrap()),
            probe: Arc::new(probe::file(dir).unwrap()),
            locked: Mutex::default(),
            _server: None,
            mounted: None,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Before its server: until then, a call would wait.
        self.mounted = None;
    }
}
