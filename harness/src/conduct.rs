//! One run from its plan to its verdict: preflight, carry out, judge.
//!
//! A library call that never prints. It gives an observer each [`Notice`] as it comes up, publishes the live
//! view, obeys the stop switch ([`Controls`]), and returns everything else as a value; the caller chooses the
//! words. The three steps share nothing but values, and only the first two need the host of the fleet: a log can
//! be judged anywhere.
//! Deliberately absent: signals, standard streams, the environment and the command line.

mod left;

use crate::disk::Covers;
use crate::engine::live::Live;
use crate::engine::run_dir::{RunDir, RunDirError};
use crate::engine::sink::{FileSink, Held};
use crate::engine::stop::{Stop, StopMode};
use crate::engine::{self, Ended, EngineError, Follows, Request};
use crate::exit::ExitCode;
use crate::fault::undo::{self, Replayed};
use crate::host::{self, Capability, PreflightError};
use crate::private_shm::{Namespace, PrivateShm};
use crate::provenance;
use crate::run_index::{self, Log};
use crate::scenario::Plan;
use crate::system::{Home, Program};
use jiff::{Timestamp, Unit};
use reports::run_dir::Unfinished;
use reports::runlog::event::{BuildFacts, Header};
use reports::{Case, JudgeError, Judged};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What a run needs beside its plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where fleets keep their shared memory.
    pub shm_dir: PathBuf,
    /// Where journals of what faults make are: what dead harnesses have left is undone first.
    pub undo_dir: PathBuf,
    /// The command line that repeats this run, for its log.
    pub command: String,
    /// How to start the supervisor.
    pub program: Program,
    /// Where a file system of the run's own can be mounted; needed by plans that have one.
    pub namespace: Option<Namespace>,
    pub place: Place,
}

/// Where a run is written.
#[derive(Debug, Clone)]
pub enum Place {
    /// A new one, in `<directory>/<scenario>/<time>-<id>`.
    Below(PathBuf),
    /// Where it was begun.
    Resumes(Resumes),
}

/// A run that was interrupted, and its directory, which no other harness writes into.
#[derive(Debug, Clone)]
pub struct Resumes {
    pub directory: RunDir,
    pub run: Box<Unfinished>,
}

/// How a run is followed and ended from other threads.
#[derive(Debug, Clone, Default)]
pub struct Controls {
    pub stop: Stop,
    pub live: Live,
}

/// What comes up on the way, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The host has no room for all workers, and the scenario allows fewer than the `asked`: what is run.
    Smaller { fitted: Box<Plan>, asked: u32 },
    /// What faults of harnesses that were killed had left is gone now, or not. Not empty.
    Undone(Replayed),
    /// Processes of a segment whose harness was killed that had outlived it, and were killed. Not empty.
    Left(Vec<String>),
    /// The host can carry out the plan, but this may make the figures worse. Never empty.
    Warnings(Vec<Capability>),
    /// The run's directory exists, and the fleet is about to be launched.
    Starting { directory: PathBuf },
    /// The fleet is gone and the log is complete; it is judged next.
    Ended(Ended),
}

/// A run that was started, and what became of it.
#[derive(Debug)]
pub struct Conducted {
    pub directory: PathBuf,
    /// What the preflight warned of.
    pub warnings: Vec<Capability>,
    pub ended: Ended,
    /// Absent if the run was killed: its log is left for `harness report`.
    pub judged: Option<Result<Judged, JudgeError>>,
    /// Why the run is not in the index of runs, in a sentence; absent if it is, or has no directory of runs.
    pub unindexed: Option<String>,
}

impl Conducted {
    /// What the run amounts to, as an exit code. [`ExitCode::Interrupted`] if it was killed.
    pub fn exit(&self) -> ExitCode {
        match &self.judged {
            None => ExitCode::Interrupted,
            Some(_) if self.ended.recording_error.is_some() => ExitCode::Inconclusive,
            // There was a run, and its log is not what was written: no mistake of the caller.
            Some(Err(
                JudgeError::NoRun { .. } | JudgeError::CannotRead { .. } | JudgeError::NotARunLog { .. },
            )) => ExitCode::Inconclusive,
            Some(judged) => ExitCode::of_judged(judged),
        }
    }
}

/// There was no run to judge.
#[derive(Debug, Error)]
pub enum ConductError {
    /// Nothing was started.
    #[error(transparent)]
    Unfit(#[from] PreflightError),
    /// Nothing was started.
    #[error(transparent)]
    Directory(#[from] RunDirError),
    /// Nothing was started: the run cannot go on here.
    #[error("{}: {why}", directory.display())]
    Differs { directory: PathBuf, why: String },
    /// The log could not even be begun.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl ConductError {
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Unfit(_) | Self::Directory(_) | Self::Differs { .. } => ExitCode::HostUnfit,
            Self::Engine(EngineError::Recording(_)) => ExitCode::Inconclusive,
        }
    }
}

/// Carries `plan` out on this host and judges it; blocks until then.
pub fn conduct(
    plan: Plan,
    options: Options,
    controls: &Controls,
    mut observe: impl FnMut(Notice),
) -> Result<Conducted, ConductError> {
    // First: it is what the preflight looks at. It lasts until the run is judged.
    let _private_shm = private_shm(&plan, &options)?;
    let replayed = undo::replay(&options.undo_dir, true);
    if replayed != Replayed::default() {
        observe(Notice::Undone(replayed));
    }
    let covers = Covers::new(options.namespace);
    let plan = host::fitted(plan, &options.shm_dir);
    let warnings = preflight(&plan, &options)?;
    prepare_undo(&plan, &options.undo_dir)?;
    if let Some(asked) = plan.workers_asked() {
        observe(Notice::Smaller { fitted: Box::new(plan.clone()), asked });
    }
    if !warnings.is_empty() {
        observe(Notice::Warnings(warnings.clone()));
    }
    let program = options.program.clone();
    let runs = named_runs(&options.place);
    let (mut request, directory) = prepare(plan, options)?;
    cover(&request, &directory, &covers)?;
    request.covers = covers.clone();
    if let Some(follows) = request.follows.as_ref().filter(|follows| !follows.left.is_empty()) {
        observe(Notice::Left(follows.left.clone()));
    }
    observe(Notice::Starting { directory: directory.path().to_owned() });
    clear(&request, &directory)?;
    let launcher = request.plan.system().launcher(Home {
        program,
        shm_dir: request.shm_dir.clone(),
        run_id: fleet_name(&request),
        traps_calls: request.plan.traps_calls(),
        stderr: directory.fleet_stderr(),
    });
    let sink = FileSink::create(&directory.log()).map_err(EngineError::Recording)?;
    let held = sink.hold(&directory.log()).map_err(EngineError::Recording)?;
    if let (Some(disk), Some(log)) = (covers.of(None), directory.log().file_name()) {
        disk.lock(Path::new(log)).map_err(EngineError::Recording)?;
    }
    let runs = runs.or_else(|| run_index::home_of(directory.path(), request.plan.name()));
    let begun = runs
        .as_ref()
        .and_then(|runs| run_index::begin(runs, directory.path(), &engine::header(&request)).err());
    let (ended, case) = engine::run(&request, &*launcher, Box::new(sink), &controls.stop, &controls.live)?;
    let killed = controls.stop.mode() == StopMode::Kill;
    observe(Notice::Ended(ended.clone()));
    let (judged, log) = (!killed).then(|| judge(directory.path(), held, &case)).unzip();
    let at_its_end = judged.as_ref().zip(log).zip(runs).and_then(|((judged, log), runs)| {
        run_index::add(&runs, directory.path(), &judged.as_ref().ok()?.judgement, log).err()
    });
    // What keeps its end out as a rule kept its beginning out as well, and is said once.
    let unindexed = at_its_end.or(begun);
    Ok(Conducted { directory: directory.path().to_owned(), warnings, ended, judged, unindexed })
}

/// The directory of runs, if the command names it; that of a resumed run is found from the run's own directory.
fn named_runs(place: &Place) -> Option<PathBuf> {
    match place {
        Place::Below(runs) => Some(runs.clone()),
        Place::Resumes(_) => None,
    }
}

/// What may make the run's figures or its end worse here.
fn preflight(plan: &Plan, options: &Options) -> Result<Vec<Capability>, PreflightError> {
    let mut warnings = host::preflight(plan, &options.shm_dir)?;
    // A resumed run has written part of it already, and how much is not known.
    if let Place::Below(runs) = &options.place {
        warnings.extend(host::preflight_room(plan, runs)?);
    }
    Ok(warnings)
}

/// Faults that the kernel does not undo need a journal.
fn prepare_undo(plan: &Plan, undo_dir: &Path) -> Result<(), PreflightError> {
    if plan.faults().iter().any(|fault| fault.action().kind().is_of_groups()) {
        undo::prepare(undo_dir).map_err(|error| PreflightError::no_journal(undo_dir, &error))?;
    }
    Ok(())
}

fn private_shm(plan: &Plan, options: &Options) -> Result<Option<PrivateShm>, PreflightError> {
    let Some(room) = plan.private_shm() else { return Ok(None) };
    let refused = |why: &str| PreflightError::no_private_shm(why.to_owned());
    let namespace = options.namespace.ok_or_else(|| refused("this process is in no namespace of its own"))?;
    PrivateShm::mount(namespace, &options.shm_dir, room)
        .map(Some)
        .map_err(|error| refused(&format!("{}: {error}", options.shm_dir.display())))
}

/// Covers the directories that faults are done to, before anything is written into them. Those of commands, only if no set-up is
/// to make them.
fn cover(request: &Request, directory: &RunDir, covers: &Covers) -> Result<(), PreflightError> {
    let plan = &request.plan;
    let is_disturbed = plan.faults().iter().any(|fault| fault.covers() == Some(None));
    let own = if is_disturbed { covers.cover(None, directory.path(), &[]).map(drop) } else { Ok(()) };
    let of_commands = |()| match plan.setup() {
        [] => covers.cover_commands(plan, &[directory.path(), &request.shm_dir]),
        [..] => Ok(()),
    };
    own.and_then(of_commands).map_err(|why| {
        directory.discard();
        PreflightError::no_disk(why)
    })
}

/// From the log; if that is not what was written any more, from what its records amounted to.
fn judge(directory: &Path, held: Held, case: &Case) -> (Result<Judged, JudgeError>, Log) {
    match judge_log(directory, held) {
        (
            Err(
                error @ (JudgeError::Damaged { .. }
                | JudgeError::NotARunLog { .. }
                | JudgeError::NoRun { .. }
                | JudgeError::CannotRead { .. }),
            ),
            _,
        ) => {
            let why = format!("the log was changed during the run, which is judged from memory: {error}");
            (Ok(reports::report_remembered(directory, case, &why)), Log::Lost)
        }
        judged => judged,
    }
}

/// From the log in its place; if it is not there any more, from the file that was written.
fn judge_log(directory: &Path, held: Held) -> (Result<Judged, JudgeError>, Log) {
    let lost = match held.lost() {
        Some(lost) => lost,
        None => match reports::report(directory, provenance::contradiction) {
            // It went just now.
            Err(JudgeError::NoRun { source, .. } | JudgeError::CannotRead { source, .. }) => {
                format!("the run log cannot be read any more: {source}")
            }
            judged => return (judged, Log::Own),
        },
    };
    let path = directory.to_owned();
    let read = held.read().map_err(|source| JudgeError::CannotRead { path, source });
    (read.and_then(|log| reports::report_lost(directory, log, &lost)), Log::Lost)
}

fn fleet_name(request: &Request) -> String {
    left::fleet_name(&request.run_id, request.follows.as_ref().map_or(0, |follows| follows.run.segment))
}

/// Gives the run its name, its start and its directory.
fn prepare(plan: Plan, options: Options) -> Result<(Request, RunDir), ConductError> {
    let now = Timestamp::now();
    let (run_id, started_utc, directory, before) = match options.place {
        Place::Below(runs) => {
            let id = format!("{:08x}", rand::random::<u32>());
            let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
            let directory = RunDir::create(&runs, plan.name(), &stamp, &id)?;
            let started_utc = now.round(Unit::Millisecond).unwrap_or(now).to_string();
            (format!("{}-{id}", plan.name()), started_utc, directory, None)
        }
        Place::Resumes(Resumes { directory, run }) => {
            let Header { run_id, started_utc, .. } = run.header();
            (run_id.clone(), started_utc.clone(), directory.at_segment(run.segment), Some(run))
        }
    };
    let mut request = Request {
        host: host::facts(&options.shm_dir),
        build: build(),
        command: options.command,
        started_utc,
        run_id,
        commands_output: directory.commands_output(),
        shm_dir: options.shm_dir,
        undo_dir: options.undo_dir,
        plan,
        covers: Covers::default(),
        follows: None,
    };
    if let Some(run) = before {
        request.follows = Some(Box::new(follow(*run, &request, &directory)?));
    }
    Ok((request, directory))
}

/// Removes what is left of a segment that says nothing, in whose place another one is written. Only just before that: a segment that had begun and
/// is gone is one that was taken away.
fn clear(request: &Request, directory: &RunDir) -> Result<(), ConductError> {
    let Some(follows) = &request.follows else { return Ok(()) };
    for path in follows.run.begun.iter().chain(&[directory.fleet_stderr()]) {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = "remove what is left of a segment that says nothing";
                return Err(RunDirError { path: path.clone(), what, error }.into());
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// What the segment of `request` follows, if it can.
fn follow(run: Unfinished, request: &Request, directory: &RunDir) -> Result<Follows, ConductError> {
    if let Some(why) = run.stands_against(&engine::header(request)) {
        return Err(ConductError::Differs { directory: directory.path().to_owned(), why });
    }
    let left = left::end(&run, &request.host, left::PATIENCE + request.plan.fleet_policy().stop.grace);
    // That has taken its time, which is of the gap. The wall clock may have been set back meanwhile; the run's goes on.
    let now = Timestamp::now();
    let newest_ns = run.case.facts().last_ns.saturating_add(1);
    let since =
        request.started_utc.parse::<Timestamp>().map(|start| now.as_nanosecond() - start.as_nanosecond());
    let elapsed_ns = since.ok().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0).max(newest_ns);
    Ok(Follows { run, elapsed_ns, left })
}

/// The first line of the log of a run of `plan` on this host, without what only the run gives it: its id, its start and its command.
pub fn header_here(plan: &Plan, shm_dir: &Path) -> Header {
    // Of a `/dev/shm` of its own, what there will be room for is not known yet.
    let plan = if plan.private_shm().is_some() { plan.clone() } else { host::fitted(plan.clone(), shm_dir) };
    engine::header(&Request {
        plan,
        host: host::facts(shm_dir),
        build: build(),
        command: String::new(),
        started_utc: String::new(),
        run_id: String::new(),
        shm_dir: shm_dir.to_owned(),
        undo_dir: PathBuf::new(),
        commands_output: PathBuf::new(),
        covers: Covers::default(),
        follows: None,
    })
}

/// This build, as `build.rs` has found it.
pub fn build() -> BuildFacts {
    BuildFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git: env!("HARNESS_GIT").to_owned(),
        dirty: env!("HARNESS_DIRTY") == "true",
        profile: env!("HARNESS_PROFILE").to_owned(),
        rustc: env!("HARNESS_RUSTC").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{PlanOptions, Scenario, Selection, Source};
    use std::path::Path;

    fn plan() -> Plan {
        let text = include_str!("../../scenarios/smoke.toml").to_owned();
        let source = Source::new("scenarios/smoke.toml", text);
        let scenario = Scenario::parse(&source, &Selection::default()).unwrap();
        Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None })
    }

    /// The error, and how many notices there were before it.
    fn refused(shm_dir: &Path, out: &Path) -> (ConductError, usize) {
        let options = Options {
            shm_dir: shm_dir.to_owned(),
            undo_dir: out.join("undo"),
            command: String::new(),
            program: Program::own(&[]),
            namespace: None,
            place: Place::Below(out.to_owned()),
        };
        let mut notices = 0;
        let error = conduct(plan(), options, &Controls::default(), |notice| {
            assert!(matches!(notice, Notice::Warnings(_)), "{notice:?}");
            notices += 1;
        });
        (error.unwrap_err(), notices)
    }

    #[test]
    fn a_host_without_shared_memory_starts_nothing_and_makes_no_directory() {
        let out = tempfile::tempdir().unwrap();
        let (error, notices) = refused(Path::new("/nowhere"), out.path());
        assert!(matches!(error, ConductError::Unfit(_)), "{error:?}");
        assert_eq!((error.exit(), notices), (ExitCode::HostUnfit, 0));
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_refused_before_anything_starts() {
        let (error, _) = refused(Path::new(host::SHM_DIR), Path::new("/proc/nowhere"));
        assert!(matches!(error, ConductError::Directory(_)), "{error:?}");
        assert_eq!(error.exit(), ExitCode::HostUnfit);
    }
}
