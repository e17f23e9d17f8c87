//! The start of a command: its pipes and files, retries of what the kernel refuses for now, and explanations of what it
//! refuses for good.

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
    pub(super) stdout: Option<PathBuf>,
    pub(super) stderr: Option<PathBuf>,
}

/// Starts `job` in a session of its own.
pub(super) fn start(job: &Job<'_>, watcher: &mut impl Watcher) -> Result<Started, ExecError> {
    if let Some(cwd) = job.cwd {
        // The kernel's error for a missing directory is the same as for a missing program.
        enter(cwd).map_err(|source| ExecError::Directory { path: cwd.to_owned(), source })?;
    }
    let (stdout, out) = output(job, Stream::Stdout)?;
    let (stderr, err) = match &stdout {
        // One file for both streams: one position, so that neither overwrites the other.
        Some((path, file)) if job.stderr_file == job.stdout_file => {
            let file = file.try_clone().map_err(|source| unwritable(Stream::Stderr, path, source))?;
            (None, Stdio::from(file))
        }
        _ => output(job, Stream::Stderr).map(|(at, stdio)| (at.map(|(path, _)| path), stdio))?,
    };
    let stdout = stdout.map(|(path, _)| path);
    let mut command = Command::new(job.argv.first().copied().unwrap_or_default());
    command.args(job.argv.iter().skip(1)).stdout(out).stderr(err);
    command.stdin(if job.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    surroundings(&mut command, job);
    own_session(&mut command);
    let child = spawn(&mut command, job.argv[0], || watcher.stop().is_some())?;
    Ok(Started { child, stdout, stderr })
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
fn enter(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, open};
    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?)
}

type Opened = (Option<(PathBuf, File)>, Stdio);

/// A pipe, or the file that the command names.
fn output(job: &Job<'_>, stream: Stream) -> Result<Opened, ExecError> {
    let named = match stream {
        Stream::Stdout => job.stdout_file,
        Stream::Stderr => job.stderr_file,
    };
    let Some(named) = named else { return Ok((None, Stdio::piped())) };
    let path = job.cwd.map_or_else(|| named.to_owned(), |cwd| cwd.join(named));
    let open = || -> io::Result<(File, File)> {
        // Appending, so that other writers and the command do not overwrite each other; and without waiting for a
        // reader, should it be a pipe.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let file = open_named_with(&path, OpenOptions::new().create(true).append(true), flags)?;
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
        Ok((file.try_clone()?, file))
    };
    let (ours, its) = open().map_err(|source| unwritable(stream, &path, source))?;
    Ok((Some((path, ours)), Stdio::from(its)))
}

fn unwritable(stream: Stream, path: &Path, source: io::Error) -> ExecError {
    ExecError::Output { stream, path: path.to_owned(), source }
}
