//! `harness run`: which runs there are, one after the other, and the recap of several. A run itself is in [`one`].

mod detach;
mod one;
mod recap;
mod resume;
mod swarm;

use super::args::RunArgs;
use super::usual::RUNS;
use super::{load, output};
use crate::conduct::{self, Options, Place};
use crate::exit::ExitCode;
use crate::host::PreflightError;
use crate::private_shm::Namespace;
use crate::scenario::Plan;
use crate::system::own_program;
use coordinator::cli::limits::{self, TooLow};
use notation::shell::quoted;
use one::Show;
use recap::{Line, Recap};
use reports::compare::{Difference, Side, Terms};
pub(crate) use resume::resume;
use rustix::fs::Mode;
use rustix::process::umask;
use std::path::{Path, PathBuf};
pub(crate) use swarm::swarm;

/// Memory that the threads and the verdict of the smallest run take, with as much again to spare.
const ROOM_MIN: u64 = 32 << 20;

/// A scenario that is to be run.
struct Job {
    file: PathBuf,
    plan: Plan,
    /// It is one of several scenarios of its file.
    is_cell: bool,
}

/// The limits of this process, as `run` needs them; `doctor` asks the same.
pub(super) fn allowed() -> Result<(), TooLow> {
    limits::check(ROOM_MIN)
}

pub(crate) fn run(args: &RunArgs) -> ExitCode {
    output::begin_runs();
    if let Err(TooLow { what, remedy }) = allowed() {
        output::error(&format!("{what}; nothing was started"), Some(remedy));
        return ExitCode::HostUnfit;
    }
    keep_from_others();
    let jobs = match jobs(args) {
        Ok(jobs) => jobs,
        Err(code) => return code,
    };
    let baseline = match args.baseline.as_deref().map(|name| baseline(name, &jobs)).transpose() {
        Ok(baseline) => baseline,
        Err(code) => return code,
    };
    if args.detach {
        return detach::detach(args);
    }
    if args.detached {
        detach::leave_terminal();
    }
    let namespace = match namespace(jobs.iter().map(|job| &job.plan)) {
        Ok(namespace) => namespace,
        Err(code) => return code,
    };
    let mut came = match watch() {
        Ok(came) => came,
        Err(code) => return code,
    };
    let repeated = jobs.iter().flat_map(|job| std::iter::repeat_n(job, args.runs as usize));
    let total = jobs.len() * args.runs as usize;
    let mut recap = Recap::new(total);
    for (index, job) in repeated.enumerate() {
        if total > 1 && !args.quiet {
            output::report(&format!("run {} of {total}: {}", index + 1, job.plan.name()));
        }
        let line = until_decided(job, args, namespace, &mut came);
        let is_stopped = line.is_stopped;
        recap.push(line);
        if is_stopped {
            break;
        }
    }
    recap.show(args.json, baseline)
}

/// What the runs are to be compared with. It is looked at before anything starts: it must be of what will run.
fn baseline(name: &Path, jobs: &[Job]) -> Result<Side, ExitCode> {
    let side = super::baseline::side(name)?;
    let Some((terms, _)) = side.runs.first() else { return Ok(side) };
    for job in jobs {
        let mut now = Terms::of_header(&conduct::header_here(&job.plan, &load::shm_dir()));
        // A `/dev/shm` of the run's own is part of the class of host, and is not there yet.
        if job.plan.private_shm().is_some() {
            now.fingerprint.clone_from(&terms.fingerprint);
        }
        let found: Vec<Difference> = terms.differences(&now);
        if !found.is_empty() {
            let what: Vec<String> = found.iter().map(|difference| difference.what.clone()).collect();
            let message = format!(
                "{} is not of `{}` as it would run now: they differ in {}; nothing was started",
                side.label,
                job.plan.name(),
                what.join("; ")
            );
            let hint = if found.iter().all(Difference::is_of_host) {
                "compare with a baseline that was made on this host"
            } else {
                "compare with a baseline of this file, profile, --set and build; `harness baseline show` says what it is of"
            };
            output::error(&message, Some(hint));
            return Err(ExitCode::Usage);
        }
    }
    Ok(side)
}

/// The signals of this process. To be called before it has a second thread.
fn watch() -> Result<one::Came, ExitCode> {
    one::watch().map_err(|error| {
        let hint = "see `ulimit -u` and `ulimit -v`, and `pids.max` of the control group";
        output::error(&format!("cannot start the threads of a run: {error}"), Some(hint));
        ExitCode::HostUnfit
    })
}

/// Where runs can mount what is theirs alone, if one of them does. To be called before this process has a second thread.
fn namespace<'a>(plans: impl Iterator<Item = &'a Plan>) -> Result<Option<Namespace>, ExitCode> {
    let (mut has_shm, mut has_disks) = (false, false);
    for plan in plans {
        has_shm |= plan.private_shm().is_some();
        has_disks |= plan.covers_disks();
    }
    if !has_shm && !has_disks {
        return Ok(None);
    }
    Namespace::enter().map(Some).map_err(|error| {
        output::unfit(&PreflightError::no_namespace(has_shm, error.to_string()));
        ExitCode::HostUnfit
    })
}

/// Runs it, and again as often as is allowed while it is INCONCLUSIVE.
fn until_decided(job: &Job, args: &RunArgs, namespace: Option<Namespace>, came: &mut one::Came) -> Line {
    let show = Show { quiet: args.quiet, summary: !args.json };
    let mut line = Line::new(&job.plan);
    loop {
        let options = Options {
            shm_dir: load::shm_dir(),
            undo_dir: load::undo_dir(),
            command: command(args, job),
            program: own_program(),
            namespace,
            place: Place::Below(args.out.clone()),
        };
        line.push(one::run(job.plan.clone(), options, show, came));
        let again = line.exit == ExitCode::Inconclusive && line.retries() < args.retry_inconclusive;
        if !again || line.is_stopped {
            return line;
        }
        output::report(&format!(
            "{} is INCONCLUSIVE: run again ({} of {})",
            job.plan.name(),
            line.retries() + 1,
            args.retry_inconclusive
        ));
    }
}

/// All that is to be run. All files are checked first: a mistake in the last one is found before the first one has run
/// for a day.
fn jobs(args: &RunArgs) -> Result<Vec<Job>, ExitCode> {
    let mut jobs = Vec::new();
    let mut refused = None;
    for file in &args.files {
        match load::plans(file, &args.variant) {
            Ok(plans) => {
                let is_cell = plans.len() > 1;
                jobs.extend(plans.into_iter().map(|plan| Job { file: file.clone(), plan, is_cell }));
            }
            Err(code) => refused = Some(code),
        }
    }
    if let Some(code) = refused {
        return Err(code);
    }
    if let Some(filter) = &args.filter {
        jobs = filtered(jobs, filter)?;
    }
    for job in &jobs {
        if job.plan.is_undecidable() {
            return Err(refuse_undecidable(&job.plan));
        }
        if !args.quiet {
            for note in load::notes(&job.plan) {
                output::warn(&note);
            }
        }
    }
    Ok(jobs)
}

/// Those of that name; if there is none, those whose names contain it.
fn filtered(mut jobs: Vec<Job>, filter: &str) -> Result<Vec<Job>, ExitCode> {
    let names: Vec<String> = jobs.iter().map(|job| job.plan.name().to_owned()).collect();
    let is_name = names.iter().any(|name| name == filter);
    jobs.retain(|job| if is_name { job.plan.name() == filter } else { job.plan.name().contains(filter) });
    if jobs.is_empty() {
        let message = format!("no scenario has `{filter}` in its name");
        output::error(&message, Some(&format!("there are {}", names.join(", "))));
        return Err(ExitCode::Usage);
    }
    Ok(jobs)
}

/// Hours that could only end INCONCLUSIVE are not spent.
fn refuse_undecidable(plan: &Plan) -> ExitCode {
    let why: Vec<&str> = plan.undecidable().iter().map(|found| found.note.as_str()).collect();
    let message = format!("no run of `{}` could be decided, so it is not started", plan.name());
    output::error(&message, Some(&why.join("\nhint: ")));
    ExitCode::Usage
}

/// A run is evidence: whatever the umask, only its owner may change its files.
fn keep_from_others() {
    let others = Mode::WGRP | Mode::WOTH;
    let before = umask(others);
    umask(before | others);
}

/// The command line that repeats the run, its seed named.
fn command(args: &RunArgs, job: &Job) -> String {
    let mut words = vec!["harness".to_owned(), "run".to_owned(), quoted(&path(&job.file))];
    if let Some(profile) = &args.variant.profile {
        words.extend(["--profile".to_owned(), quoted(profile)]);
    }
    for set in &args.variant.sets {
        words.extend(["--set".to_owned(), quoted(set)]);
    }
    if let Some(factor) = &args.variant.rehearse {
        words.extend(["--rehearse".to_owned(), factor.to_string()]);
    }
    if job.is_cell {
        words.extend(["--filter".to_owned(), quoted(job.plan.name())]);
    }
    words.extend(["--seed".to_owned(), job.plan.seed().to_string()]);
    words.extend(out(&args.out));
    words.join(" ")
}

/// What a command line adds to write to the directory of runs that is not the usual one.
pub(super) fn out(runs: &Path) -> Option<String> {
    (runs != Path::new(RUNS)).then(|| format!("--out {}", quoted(&path(runs))))
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
