//! Runs of a scenario by programs of their own, one after the other, and what comes meanwhile.
//!
//! Each run is in a directory of its own, with what the program wrote to standard error. A signal is passed on to the run that goes on, and
//! no other one begins.

use super::output;
use super::variant_args::VariantArgs;
use crate::cli::compare::sides;
use crate::exit::ExitCode;
use crate::scenario::seed;
use coordinator::cli::signals;
use jiff::Timestamp;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What a program says that could not read its command line or the scenario: no run of it would go better.
const REFUSED: i32 = 64;

/// What ends the wait for a run.
enum Came {
    Signal(i32),
    Ended(io::Result<ExitStatus>),
}

/// Which run is wanted.
pub(super) struct Order<'a> {
    pub program: &'a Path,
    /// What messages call it.
    pub name: &'a str,
    pub scenario: &'a Path,
    pub variant: &'a VariantArgs,
    /// `--set` arguments beside those of the variant.
    pub sets: Vec<String>,
    pub seed: u64,
    /// Its directory, which must not hold another run.
    pub home: PathBuf,
}

/// What became of it.
pub(super) struct Made {
    pub status: ExitStatus,
    /// The directory of the run; what the program said last if it has made none.
    pub run: Result<PathBuf, String>,
}

pub(super) struct InTurn {
    sender: Sender<Came>,
    came: Receiver<Came>,
}

impl InTurn {
    /// From here on, signals are taken by what this returns. An error has been explained.
    pub(super) fn begin() -> Result<Self, ExitCode> {
        let (sender, came) = channel();
        let heard = sender.clone();
        if let Err(error) = signals::watch(move |number| drop(heard.send(Came::Signal(number)))) {
            output::error(
                &format!("cannot watch for signals: {error}"),
                Some("see `ulimit -u` and `ulimit -v`"),
            );
            return Err(ExitCode::HostUnfit);
        }
        Ok(Self { sender, came })
    }

    /// The next run, to its end. An error has been explained, and ends the whole.
    pub(super) fn make(&mut self, order: &Order<'_>) -> Result<Made, ExitCode> {
        if let Ok(Came::Signal(_)) = self.came.try_recv() {
            return Err(ExitCode::Interrupted);
        }
        let log = order.home.join("standard-error");
        let errors =
            fs::create_dir_all(&order.home).and_then(|()| File::create_new(&log)).map_err(|error| {
                output::error(
                    &format!("cannot write to `{}`: {error}", order.home.display()),
                    Some("free some space, or name another directory with --out"),
                );
                ExitCode::HostUnfit
            })?;
        let child = order.command(errors).spawn().map_err(|error| {
            let (hint, exit) = match error.kind() {
                io::ErrorKind::NotFound => {
                    ("name a harness program, such as target/release/harness", ExitCode::Usage)
                }
                _ => ("see `ulimit -u` and `ulimit -v`", ExitCode::HostUnfit),
            };
            output::error(&format!("cannot start {}: {error}", order.name), Some(hint));
            exit
        })?;
        let status = self.wait(child)?;
        if status.code() == Some(REFUSED) {
            let message = format!("{} refused to run {}", order.name, order.scenario.display());
            output::error(&message, Some(&said(&log)));
            return Err(ExitCode::Usage);
        }
        let run = match &sides::runs(&order.home).unwrap_or_default()[..] {
            [run] => Ok(run.clone()),
            _ => Err(said(&log)),
        };
        Ok(Made { status, run })
    }

    /// Until the run is over. A signal is passed on, and after it no other run begins.
    fn wait(&mut self, mut child: Child) -> Result<ExitStatus, ExitCode> {
        let pid = rustix::process::Pid::from_child(&child);
        // Opened before the child is waited for: it is this process and never another one of that number.
        let handle = pidfd_open(pid, PidfdFlags::empty());
        let sender = self.sender.clone();
        let spawned = std::thread::Builder::new().name("wait".to_owned()).spawn(move || {
            // Without a receiver the process is about to end.
            let _ = sender.send(Came::Ended(child.wait()));
        });
        if let Err(error) = spawned {
            output::error(&format!("cannot start a thread: {error}"), Some("see `ulimit -u`"));
            return Err(ExitCode::HostUnfit);
        }
        let mut signals = Vec::new();
        loop {
            match self.came.recv() {
                Ok(Came::Signal(number)) => {
                    signals.push(number);
                    output::report("asked to end: the run that goes on is ended, and no other one begins");
                    if let Ok(handle) = &handle {
                        // One that has just ended needs no signal.
                        let _ = pidfd_send_signal(handle, named(number));
                    }
                }
                Ok(Came::Ended(status)) => {
                    return match &signals[..] {
                        [] => status.map_err(|error| {
                            output::error(&format!("cannot wait for a run: {error}"), None);
                            ExitCode::HostUnfit
                        }),
                        [_] => Err(ExitCode::Interrupted),
                        [.., last] => Err(ExitCode::Signal(*last as u8)),
                    };
                }
                Err(_) => unreachable!("this process holds a sender"),
            }
        }
    }
}

impl Order<'_> {
    fn command(&self, errors: File) -> Command {
        // A bare name without a slash is a file here, and not one of the search path.
        let here = if self.program.components().count() == 1 {
            Path::new(".").join(self.program)
        } else {
            self.program.to_owned()
        };
        let mut command = Command::new(here);
        command.arg("run").arg(self.scenario).arg("--quiet").arg("--out").arg(&self.home);
        if let Some(profile) = &self.variant.profile {
            command.arg("--profile").arg(profile);
        }
        for set in self.variant.sets.iter().chain(&self.sets) {
            command.arg("--set").arg(set);
        }
        if let Some(factor) = &self.variant.rehearse {
            command.arg("--rehearse").arg(factor.to_string());
        }
        command.arg("--seed").arg(self.seed.to_string());
        // A group of its own: a signal of the terminal reaches it once, through this process.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        command
    }
}

/// A new directory in `out`, named by the time and the seed. An error has been explained.
pub(super) fn directory(out: &Path, root: u64) -> Result<PathBuf, ExitCode> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let path = out.join(format!("{stamp}-{:08x}", seed::child(root, "directory") as u32));
    fs::create_dir_all(out).and_then(|()| fs::create_dir(&path)).map_err(|error| {
        let message = format!("cannot make a directory in `{}`: {error}", out.display());
        output::error(&message, Some("name one that you may write to with --out"));
        ExitCode::HostUnfit
    })?;
    Ok(path)
}

fn named(signal: i32) -> Signal {
    match signal {
        1 => Signal::HUP,
        2 => Signal::INT,
        _ => Signal::TERM,
    }
}

/// The last line that a run wrote to standard error.
fn said(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let last =
        text.lines().rev().find(|line| line.starts_with("error:")).or_else(|| text.lines().next_back());
    format!("{} ({})", last.unwrap_or("it said nothing"), log.display())
}
