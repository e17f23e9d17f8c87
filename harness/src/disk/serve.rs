//! The process that serves a directory: the kernel's calls on one descriptor, the orders of its harness on another.

use super::beneath::Beneath;
use super::harm::Harms;
use super::later::Later;
use super::order::{DONE, LOADED, Order, READY, SERVE, met};
use super::through::Through;
use crate::companion::dies_with;
use fuser::{Config, Session, SessionACL};
use reports::runlog::event::Met;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, getrlimit, setrlimit, umask};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

/// Threads that take calls; what takes long is left to others.
const THREADS: usize = 2;

/// Serves the working directory until its harness has gone or has closed its end of `control`. `device` is /dev/fuse, and is mounted
/// when the harness says so.
///
/// # Errors
/// In words, for the harness as well: it cannot be served.
pub fn serve(parent: u32, device: OwnedFd, control: OwnedFd) -> io::Result<()> {
    if !dies_with(parent)? {
        return Ok(());
    }
    let mut control = UnixStream::from(control);
    let mut orders = BufReader::new(control.try_clone()?);
    let harms = Arc::new(Mutex::new(Harms::default()));
    let session = through(&harms).and_then(|through| {
        writeln!(control, "{LOADED}")?;
        let mut said = String::new();
        orders.read_line(&mut said)?;
        if said.trim_end() != SERVE {
            return Err(io::Error::other("the directory was not mounted"));
        }
        session(through, device)
    });
    let session = match session {
        Ok(session) => session,
        Err(error) => {
            writeln!(control, "{error}")?;
            return Err(error);
        }
    };
    // It ends with the mount.
    std::thread::Builder::new().name("calls".to_owned()).spawn(move || session.run())?;
    writeln!(control, "{READY}")?;
    for line in orders.lines() {
        let said = obey(&line?, &harms);
        writeln!(control, "{said}")?;
    }
    Ok(())
}

/// What serves the working directory.
fn through(harms: &Arc<Mutex<Harms>>) -> io::Result<Through> {
    // The kernel has taken the mask of the caller into account.
    umask(Mode::empty());
    let limit = getrlimit(Resource::Nofile);
    // A descriptor for each that is open through the mount. As many as there may be; fewer do for most.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    let root = rustix::fs::open(".", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Through::new(Beneath::new(root)?, Arc::clone(harms), Later::start()?))
}

/// The kernel has been told that the directory is served, when it returns.
fn session(through: Through, device: OwnedFd) -> io::Result<Session<Through>> {
    let mut config = Config::default();
    config.n_threads = Some(THREADS);
    Session::from_fd(through, device, SessionACL::All, config)
}

/// Carries an order out; what the harness is told.
fn obey(line: &str, harms: &Mutex<Harms>) -> String {
    let mut harms = harms.lock().unwrap_or_else(PoisonError::into_inner);
    match Order::parse(line) {
        Some(Order::Arm { id, what, seed }) => {
            harms.arm(id, what, seed);
            DONE.to_owned()
        }
        Some(Order::Disarm { id }) => match harms.disarm(id) {
            Some((of, hit)) => format!("{DONE} {}", met(&Met { hit, of })),
            None => format!("nothing is armed as {id}"),
        },
        None => format!("no order: {line}"),
    }
}
