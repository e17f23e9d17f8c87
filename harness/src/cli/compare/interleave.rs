//! `harness compare --interleave OLD NEW SCENARIO`: two programs in turn on this host, in random order, each run in a directory of
//! its own; then the runs are compared.
//!
//! The two of a pair have one seed and follow each other at once, so that the host is as alike for both as it can be. Which
//! of them goes first is drawn anew for each pair. A run that fails is named, and its pair is left out of what is compared in pairs.

use super::{judge, show, sides};
use crate::cli::compare_args::CompareArgs;
use crate::cli::output;
use crate::exit::ExitCode;
use crate::scenario::seed;
use coordinator::cli::{outlet, signals};
use jiff::Timestamp;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reports::compare::{Pair, Side};
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

/// One of the two programs, and its runs.
struct Program<'a> {
    name: &'static str,
    path: &'a Path,
    side: Side,
    /// For each pair, where its run is in the side.
    runs: Vec<Option<usize>>,
}

pub(super) fn interleave(args: &CompareArgs) -> ExitCode {
    output::start_tracing();
    let (Some(scenario), [old, new]) =
        (args.sides.first().filter(|_| args.sides.len() == 1), &args.interleave[..])
    else {
        let hint = "write `harness compare --interleave OLD NEW -n 10 SCENARIO`";
        output::error("--interleave takes two programs and one scenario", Some(hint));
        return ExitCode::Usage;
    };
    let (sender, came) = channel();
    let heard = sender.clone();
    if let Err(error) = signals::watch(move |number| drop(heard.send(Came::Signal(number)))) {
        output::error(&format!("cannot watch for signals: {error}"), Some("see `ulimit -u` and `ulimit -v`"));
        return ExitCode::HostUnfit;
    }
    outlet::hurry();
    let root = args.variant.seed.unwrap_or_else(rand::random);
    let out = match directory(&args.out, root) {
        Ok(out) => out,
        Err(error) => {
            let message = format!("cannot make a directory in `{}`: {error}", args.out.display());
            output::error(&message, Some("name one that you may write to with --out"));
            return ExitCode::HostUnfit;
        }
    };
    output::report(&format!("{} pairs, seed {root}; runs in {}", args.pairs, out.display()));
    let mut turns = Turns { args, scenario, root, out, sender, came };
    let mut programs = [program("old", old), program("new", new)];
    match turns.take(&mut programs) {
        Ok(()) => conclude(&programs, args),
        Err(code) => code,
    }
}

fn program<'a>(name: &'static str, path: &'a Path) -> Program<'a> {
    let side = Side::new(format!("{name} ({})", path.display()));
    Program { name, path, side, runs: Vec::new() }
}

fn directory(out: &Path, root: u64) -> io::Result<PathBuf> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let path = out.join(format!("{stamp}-{:08x}", seed::child(root, "directory") as u32));
    fs::create_dir_all(out)?;
    fs::create_dir(&path)?;
    Ok(path)
}

fn conclude(programs: &[Program; 2], args: &CompareArgs) -> ExitCode {
    let [old, new] = programs;
    let pairs: Vec<Pair> =
        old.runs.iter().zip(&new.runs).filter_map(|(old, new)| Some(((*old)?, (*new)?))).collect();
    let sides = [old.side.clone(), new.side.clone()];
    match judge(&sides, Some(&pairs), &args.judge) {
        Ok(found) => show(&found, &args.report, args.json),
        Err(code) => code,
    }
}

struct Turns<'a> {
    args: &'a CompareArgs,
    scenario: &'a Path,
    root: u64,
    out: PathBuf,
    sender: Sender<Came>,
    came: Receiver<Came>,
}

impl Turns<'_> {
    fn take(&mut self, programs: &mut [Program; 2]) -> Result<(), ExitCode> {
        let mut order = ChaCha8Rng::seed_from_u64(seed::child(self.root, "order"));
        let total = self.args.pairs * 2;
        for pair in 0..self.args.pairs {
            let first = (order.next_u32() & 1) as usize;
            for (turn, at) in [first, 1 - first].into_iter().enumerate() {
                if let Ok(Came::Signal(_)) = self.came.try_recv() {
                    return Err(ExitCode::Interrupted);
                }
                let program = &mut programs[at];
                let number = pair * 2 + turn as u32 + 1;
                output::report(&format!("run {number} of {total}: {} (pair {})", program.name, pair + 1));
                let run = self.one(program, pair)?;
                program.runs.push(run);
            }
        }
        Ok(())
    }

    /// Where the run is in its side, if it can be compared.
    fn one(&mut self, program: &mut Program, pair: u32) -> Result<Option<usize>, ExitCode> {
        let name = format!("{}/{:03}", program.name, pair + 1);
        let home = self.out.join(&name);
        let log = home.join("standard-error");
        let started = fs::create_dir_all(&home)
            .and_then(|()| File::create_new(&log))
            .and_then(|errors| self.command(program.path, pair, &home, errors).spawn());
        let child = started.map_err(|error| {
            output::error(
                &format!("cannot start {}: {error}", program.path.display()),
                Some("name two harness programs, such as target/release/harness"),
            );
            if error.kind() == io::ErrorKind::NotFound { ExitCode::Usage } else { ExitCode::HostUnfit }
        })?;
        let status = self.wait(child)?;
        if status.code() == Some(REFUSED) {
            let message = format!("{} refused to run {}", program.path.display(), self.scenario.display());
            output::error(&message, Some(&said(&log)));
            return Err(ExitCode::Usage);
        }
        let found = sides::runs(&home).unwrap_or_default();
        if let [run] = &found[..] {
            let taken = sides::take(run, &mut program.side, &mut Vec::new())?;
            if taken.is_none() {
                output::warn(&format!("{name} cannot be compared: it did not come to its end ({status})"));
            }
            return Ok(taken);
        }
        output::warn(&format!("{name} made no run ({status}): {}", said(&log)));
        program.side.leave_out(&name, format!("it made no run ({status})"));
        Ok(None)
    }

    fn command(&self, program: &Path, pair: u32, home: &Path, errors: File) -> Command {
        let variant = &self.args.variant;
        // A bare name without a slash is a file here, and not one of the search path.
        let here =
            if program.components().count() == 1 { Path::new(".").join(program) } else { program.to_owned() };
        let mut command = Command::new(here);
        command.arg("run").arg(self.scenario).arg("--quiet").arg("--out").arg(home);
        if let Some(profile) = &variant.profile {
            command.arg("--profile").arg(profile);
        }
        for set in &variant.sets {
            command.arg("--set").arg(set);
        }
        if let Some(factor) = &variant.rehearse {
            command.arg("--rehearse").arg(factor.to_string());
        }
        command.arg("--seed").arg(seed::child(self.root, &format!("pair {pair}")).to_string());
        // A group of its own: a signal of the terminal reaches it once, through this process.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        command
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
