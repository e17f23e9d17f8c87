//! `harness status` and `harness stop`: runs in other terminals.
//!
//! The harness that writes a run has its first log locked; the kernel says which process that is.

use super::args::{StatusArgs, StopArgs};
use super::{output, progress};
use crate::engine::writer::Writer;
use crate::exit::ExitCode;
use notation::visible;
use reports::run_dir::layout::RUN_LOG;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) fn status(args: &StatusArgs) -> ExitCode {
    let is_run = args.run.join(RUN_LOG).is_file();
    let found = if is_run { Ok(vec![args.run.clone()]) } else { runs(&args.run) };
    let runs = match found {
        Ok(runs) => runs,
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", args.run.display());
            output::error(&message, Some("name a run, or a directory of runs"));
            return ExitCode::Usage;
        }
    };
    let (mut text, mut objects) = (String::new(), Vec::new());
    for run in runs {
        let writer = match Writer::of(&run) {
            Ok(Writer::None) if !is_run => continue,
            // Why a log cannot be read is said when it is described.
            found => found.unwrap_or(Writer::None),
        };
        let (lines, object) = describe(&run, writer);
        text.push_str(&lines);
        objects.push(object);
    }
    if args.json {
        return output::data_only(&format!("{:#}\n", serde_json::Value::Array(objects)));
    }
    if text.is_empty() {
        output::report(&format!("no run is under way in `{}`", args.run.display()));
        return ExitCode::Pass;
    }
    output::data(&text).err().unwrap_or(ExitCode::Pass)
}

/// All of a directory that holds a directory for each scenario. Links are not followed.
fn runs(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let directories = |path: &Path| -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(path)?.flatten();
        let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let mut paths: Vec<PathBuf> = entries.filter(is_directory).map(|entry| entry.path()).collect();
        paths.sort();
        Ok(paths)
    };
    let mut found = Vec::new();
    for scenario in directories(directory)? {
        // One that cannot be read hides none of the others.
        let runs = directories(&scenario).unwrap_or_default();
        found.extend(runs.into_iter().filter(|run| run.join(RUN_LOG).is_file()));
    }
    Ok(found)
}

/// How far a run is, in lines and as JSON.
fn describe(run: &Path, writer: Writer) -> (String, serde_json::Value) {
    let path = run.display();
    let (pid, who) = match writer {
        Writer::None => (None, "no harness writes it".to_owned()),
        Writer::Killed => (None, "its harness was killed, and its fleet is ending".to_owned()),
        Writer::Unknown => (None, "its harness cannot be seen from here".to_owned()),
        Writer::Process(pid) => (Some(pid), format!("pid {pid}")),
    };
    // What is being written may end in the middle of a line.
    let case = match reports::unfinished(run) {
        Ok(unfinished) => unfinished.case,
        Err(error) => {
            let text = format!("{path} ({who})\n  {}\n", visible::line(&error.to_string()));
            return (text, json!({ "run": run, "pid": pid, "state": error.to_string() }));
        }
    };
    let (facts, view) = (case.facts(), case.facts().live());
    let plan = &facts.header.plan;
    let left_ns = match facts.load_start_ns() {
        None => plan.warm_up_ns.saturating_add(plan.duration_ns),
        Some(_) => plan.duration_ns.saturating_sub(facts.load_ns()),
    };
    let line = progress::line(&view, Duration::from_nanos(facts.last_ns), Duration::from_nanos(left_ns));
    let mut text = format!("{path} ({who})\n  {line}\n");
    let is_ongoing = matches!(writer, Writer::Process(_) | Writer::Unknown);
    if !is_ongoing {
        let _ = writeln!(text, "  it was interrupted or killed; `harness resume {path}` goes on with it");
    }
    for (_, alert) in facts.alerts.items.iter().rev().take(3).rev() {
        let _ = writeln!(text, "  alert: {}", visible::line(&alert.text));
    }
    // What an ended run has left crossed has not gone on since.
    let open: Vec<_> = facts.crossed.values().filter(|_| is_ongoing).collect();
    for step in &open {
        let since = Duration::from_nanos(facts.last_ns.saturating_sub(step.since_ns));
        let since = reports::units::seconds(since.as_secs_f64());
        let _ = writeln!(text, "  open for {since}: {}", visible::line(&step.text));
    }
    let object = json!({
        "run": run,
        "pid": pid,
        "scenario": facts.header.scenario.name,
        "state": if is_ongoing { "running" } else { "interrupted" },
        "segments": facts.segments,
        "rounds": view.rounds,
        "rounds_planned": view.rounds_planned,
        "load_ns": facts.load_ns(),
        "duration_ns": plan.duration_ns,
        "tasks": view.tasks,
        "answered": view.answered,
        "failed": view.failed,
        "coordination_p99_ns": view.coordination_p99_ns,
        "agents_live": view.agents_live,
        "alerts": view.alerts,
        "alerts_open": open,
    });
    (text, object)
}

pub(crate) fn stop(args: &StopArgs) -> ExitCode {
    let refuse = |message: &str, hint: &str| {
        output::error(message, Some(hint));
        ExitCode::Usage
    };
    let path = args.run.display();
    let pid = match Writer::of(&args.run) {
        Ok(Writer::Process(pid)) => pid,
        Ok(Writer::None | Writer::Killed) => {
            return refuse(&format!("{path} is not running"), "`harness status` lists the runs that are");
        }
        Ok(Writer::Unknown) => {
            let hint = "it runs in another container or as another user: stop it there";
            return refuse(&format!("{path} is running, and its harness cannot be seen from here"), hint);
        }
        Err(error) => {
            let hint = "give the directory of a run, such as runs/SCENARIO/latest";
            return refuse(&format!("{path} cannot be read: {error}"), hint);
        }
    };
    if let Err(error) = end(&args.run, pid) {
        let message = format!("pid {pid} cannot be asked to end {path}: {error}");
        return refuse(&message, "stop it as its user");
    }
    if args.json {
        return output::data_only(&format!("{:#}\n", json!({ "run": args.run, "pid": pid, "ended": true })));
    }
    output::report(&format!("ended; `harness resume {path}` goes on with it"));
    ExitCode::Pass
}

/// Asks a process to end its run, and waits until it has.
fn end(run: &Path, pid: i32) -> io::Result<()> {
    let gone = || io::Error::other("it has ended just now");
    let process = Pid::from_raw(pid).ok_or_else(gone)?;
    let fd = pidfd_open(process, PidfdFlags::empty())?;
    // The pid may have become another process's before it was opened.
    if Writer::of(run)? != Writer::Process(pid) {
        return Err(gone());
    }
    pidfd_send_signal(&fd, Signal::TERM)?;
    output::report(&format!("pid {pid} was asked to end; it judges the run first"));
    let mut ended = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    while let Err(error) = poll(&mut ended, None) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}
