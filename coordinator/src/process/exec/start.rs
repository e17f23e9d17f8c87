//! The start of a command: its pipes and files, retries of what the kernel refuses for now, and explanations of what it
//! refuses for good.

use super::spool::Growing;
use super::{ExecError, Job, Stream, Watcher, pause};
use crate::os::named::open_named_with;
use crate::process::descent;
use crate::process::fork::own_session;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A start that the host has no resources for at the moment is tried this many times in all,
pub(super) const TRIES: u32 = 6;
/// the second time after this long, then twice as long each time: 310 ms in all.
const AGAIN: Duration = Duration::from_millis(10);

/// A running command, and where its output goes.
pub(super) struct Started {
    pub(super) child: Child,
    /// The files that have its stdout and its stderr instead of a pipe.
    pub(super) read_back: [Option<PathBuf>; 2],
    /// The files that what comes out of the pipes is copied into.
    pub(super) kept: [Option<Growing>; 2],
}

/// Starts `job` in a session of its own. If its output is to be `whole`, the files that get it are written by this process,
/// which sees whether that fails: many a command does not.
pub(super) fn start(job: &Job<'_>, whole: bool, watcher: &mut impl Watcher) -> Result<Started, ExecError> {
    if let Some(cwd) = job.cwd {
        // The kernel's error for a missing directory is the same as for a missing program.
        enter(cwd).map_err(|source| ExecError::Directory { path: cwd.to_owned(), source })?;
    }
    let shared = job.stderr_file.is_some() && job.stderr_file == job.stdout_file;
    let out = output(job, Stream::Stdout, whole && !shared)?;
    let err = match &out {
        // One file for both streams: one position, so that neither overwrites the other.
        Opened::Direct(path, file) if shared => {
            let file = file.try_clone().map_err(|source| unwritable(Stream::Stderr, path, source))?;
            Opened::Shared(file)
        }
        _ => output(job, Stream::Stderr, whole)?,
    };
    let ((out, out_back, out_kept), (err, err_back, err_kept)) = (out.parts(), err.parts());
    let mut command = Command::new(job.argv.first().copied().unwrap_or_default());
    command.args(job.argv.iter().skip(1)).stdout(out).stderr(err);
    command.stdin(if job.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    surroundings(&mut command, job);
    own_session(&mut command);
    let child = spawn(&mut command, job.argv[0], || watcher.stop().is_some())?;
    Ok(Started { child, read_back: [out_back, err_back], kept: [out_kept, err_kept] })
}

fn surroundings(command: &mut Command, job: &Job<'_>) {
    if job.clear_env {
        command.env_clear();
    }
    if let Some(temporary) = job.temporary {
        command.env("TMPDIR", temporary);
    }
    command.envs(job.env.iter().copied());
    // It proves that the command is the fleet's. A task cannot do without it.
    command.envs(std::env::var_os(descent::VARIABLE).map(|markers| (descent::VARIABLE, markers)));
    if let Some(cwd) = job.cwd {
        command.current_dir(cwd);
    }
}

/// Tries up to [`TRIES`] times: a host that is out of processes or memory may have some in a moment.
pub(in crate::process) fn spawn(
    command: &mut Command,
    program: &OsStr,
    mut stop: impl FnMut() -> bool,
) -> Result<Child, ExecError> {
    let mut again = AGAIN;
    for tries in 1.. {
        let error = match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) => error,
        };
        if !is_temporary(&error) || tries == TRIES || stop() {
            return Err(ExecError::Start { program: program.to_owned(), tries, source: error });
        }
        pause(again);
        again *= 2;
    }
    unreachable!("the last try returns")
}

fn is_temporary(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::TXTBSY))
}

/// What the kernel's error means, and what to do.
pub(super) fn explain(error: &io::Error) -> String {
    let words = match Errno::from_io_error(error) {
        Some(Errno::AGAIN) => {
            "this user may not start more processes (see `ulimit -u`, and `pids.max` of the cgroup)"
        }
        Some(Errno::NOMEM) => "the host has no memory left",
        Some(Errno::MFILE) => "the worker may not open more files (see `ulimit -n`)",
        Some(Errno::NFILE) => "the host has reached its limit of open files (see `fs.file-max`)",
        Some(Errno::TXTBSY) => "another process still writes into the program's file",
        Some(Errno::NOENT) => "there is no such program, or its `#!` line names one that does not exist",
        Some(Errno::ACCESS) => "it may not be executed, or is a directory",
        Some(Errno::NOEXEC) => "it is not a program for this machine, and has no `#!` line",
        Some(Errno::TOOBIG) => "its arguments and environment are too long",
        _ => return error.to_string(),
    };
    format!("{error}: {words}")
}

/// Checks that a directory can be entered.
pub(in crate::process) fn enter(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, open};
    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Where a stream goes.
enum Opened {
    Pipe,
    /// Into a pipe, and from there into a file.
    Copied(Growing),
    Direct(PathBuf, File),
    /// Into the file of the other one.
    Shared(File),
}

impl Opened {
    /// What the command gets, the file to be read back, and the file to be copied into.
    fn parts(self) -> (Stdio, Option<PathBuf>, Option<Growing>) {
        match self {
            Self::Pipe => (Stdio::piped(), None, None),
            Self::Copied(file) => (Stdio::piped(), None, Some(file)),
            Self::Direct(path, file) => (Stdio::from(file), Some(path), None),
            Self::Shared(file) => (Stdio::from(file), None, None),
        }
    }
}

/// Opens the file that the command names for a stream, if it names one.
fn output(job: &Job<'_>, stream: Stream, copied: bool) -> Result<Opened, ExecError> {
    let named = match stream {
        Stream::Stdout => job.stdout_file,
        Stream::Stderr => job.stderr_file,
    };
    let Some(named) = named else { return Ok(Opened::Pipe) };
    let path = job.cwd.map_or_else(|| named.to_owned(), |cwd| cwd.join(named));
    let open = || -> io::Result<(File, bool)> {
        // Appending, so that other writers and the command do not overwrite each other; and without waiting for a
        // reader, should it be a pipe.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let file = open_named_with(&path, OpenOptions::new().create(true).append(true), flags)?;
        let is_file = file.metadata()?.is_file();
        if is_file {
            file.set_len(0)?;
        }
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
        Ok((file, is_file))
    };
    let (file, is_file) = open().map_err(|source| unwritable(stream, &path, source))?;
    Ok(if copied && is_file {
        Opened::Copied(Growing::of_user(file, path, 0))
    } else {
        Opened::Direct(path, file)
    })
}

fn unwritable(stream: Stream, path: &Path, source: io::Error) -> ExecError {
    ExecError::Output { stream, path: path.to_owned(), source }
}
