//! Carries a plan out and writes the run log.
//!
//! set-up → launch → warm up → load and samples → drain → ledger → stop → verify → tear-down. One thread drives the load
//! ([`load`]), one sweeps `/proc` ([`sampling`]), one owns the log ([`recorder`]); they share nothing
//! but the recorder's channel and the stop switch. What is due when is decided by one calendar
//! ([`schedule`]), who is alive by one watch ([`watch`]). The system under test is behind
//! [`crate::system`]. Deliberately absent: any opinion about the figures, and any word to the user.

mod alarms;
mod clock;
mod deaths;
mod failure;
mod faults;
mod follows;
mod herald;
mod incidents;
pub mod live;
mod load;
mod payload;
mod reconcile;
pub mod recorder;
pub mod run_dir;
mod sampling;
pub mod schedule;
pub(crate) mod setup;
pub mod sink;
mod stillness;
pub mod stop;
mod thresholds;
mod watch;
pub mod writer;
mod written;

#[cfg(test)]
pub(crate) mod tests;

use crate::disk::Covers;
use crate::fault::Places;
use crate::sample::own_usage;
use crate::scenario::{Plan, Step};
use crate::system::{LaunchError, Launcher, PlaceId, System};
use alarms::Alarms;
use clock::Clock;
use deaths::Ends;
use failure::Failures;
pub use follows::Follows;
use incidents::Incidents;
use live::Live;
pub(crate) use load::written;
use load::{LoadEnded, Loader, Tools};
use recorder::{Handle, Recorder};
use reports::Case;
use reports::criterion::MetricId;
use reports::runlog::event::{
    Agents, Alert, BuildFacts, CommandDone, End, EndReason, Event, Header, HostFacts, Phase, PhaseBegan,
    Resumes, Severity, When,
};
use sampling::Sampling;
use schedule::Position;
use sink::Sink;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stop::{Stop, StopMode};
use thiserror::Error;
use watch::Watch;
use written::Written;

/// A single reading of bare forks is as long as the host's other programs make it.
const BARE_FORKS_TIMES: usize = 3;

/// What a run needs beside its plan.
#[derive(Debug, Clone)]
pub struct Request {
    pub plan: Plan,
    pub host: HostFacts,
    pub build: BuildFacts,
    /// The command line that repeats this run.
    pub command: String,
    /// RFC 3339, UTC.
    pub started_utc: String,
    pub run_id: String,
    /// The file system whose use is sampled: where systems keep their shared memory.
    pub shm_dir: PathBuf,
    /// Where journals of what faults make are written, so that it is undone if the harness is killed.
    pub undo_dir: PathBuf,
    /// The file that gets the output of the commands before and after the run.
    pub commands_output: PathBuf,
    /// The directories that faults are done to.
    pub covers: Covers,
    pub follows: Option<Box<Follows>>,
}

#[derive(Debug, Error)]
pub enum EngineError {
    #[error("cannot write the run log: {0}")]
    Recording(#[source] io::Error),
}

/// How the run ended, before it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub reason: EndReason,
    pub detail: Option<String>,
    /// A command of the set-up failed, and nothing was started.
    pub unprepared: bool,
    /// The log could not be written to its end.
    pub recording_error: Option<String>,
}

/// Runs `request` on what `launcher` starts, until its end or until `stop` says so. Its events go into `sink`; `live` is
/// kept fresh meanwhile.
///
/// Beside how it ended, the value has what its records amount to: whatever becomes of the log, that is kept.
///
/// An error only if the log could not even be begun; whatever happens later ends in the log, as far as
/// that can still be written, and in the value returned.
pub fn run(
    request: &Request,
    launcher: &dyn Launcher,
    sink: Box<dyn Sink>,
    stop: &Stop,
    live: &Live,
) -> Result<(Ended, Case), EngineError> {
    let elapsed_ns = request.follows.as_ref().map_or(0, |follows| follows.elapsed_ns);
    run_by(Clock::resumed(elapsed_ns), request, launcher, sink, (stop, live))
}

fn run_by(
    clock: Clock,
    request: &Request,
    launcher: &dyn Launcher,
    sink: Box<dyn Sink>,
    (stop, live): (&Stop, &Live),
) -> Result<(Ended, Case), EngineError> {
    let case = request.follows.as_ref().map(|follows| follows.run.case.clone());
    let header = header(request);
    let alarms =
        Alarms::new(&request.plan, &header, request.commands_output.parent().unwrap_or(Path::new(".")));
    let recorder =
        Recorder::start(sink, (&header, case, alarms), &clock, stop, live).map_err(EngineError::Recording)?;
    let log = recorder.handle();
    // This process may have carried out other runs before.
    let before = own_usage().cpu;
    let mut run = Run {
        request,
        launcher,
        stop,
        log: log.clone(),
        clock,
        rounds: 0,
        failures: Failures::new(),
        written: Written::default(),
        unprepared: false,
    };
    let (reason, detail) = run.carry_out();
    let usage = own_usage();
    log.record(Event::End(End {
        reason,
        detail: detail.clone(),
        rounds: run.rounds + request.follows.as_ref().map_or(0, |follows| follows.rounds()),
        harness_cpu_ns: usage.cpu.saturating_sub(before).as_nanos() as u64,
        harness_rss_max_kib: usage.rss_max_kib,
        task_failures_unwritten: run.failures.unwritten(),
        ended_utc: Some(run.clock.utc()),
    }));
    let unprepared = run.unprepared;
    drop(run);
    drop(log);
    let (recorded, case) = recorder.finish();
    let recording_error = recorded.err().map(|error| error.to_string());
    let reason = if recording_error.is_some() { EndReason::RecordingFailed } else { reason };
    Ok((Ended { reason, detail, unprepared, recording_error }, case))
}

/// The first line of the log of this run.
pub(crate) fn header(request: &Request) -> Header {
    let plan = &request.plan;
    let follows = request.follows.as_ref().map(|follows| &follows.run);
    Header {
        format: reports::runlog::event::FORMAT,
        run_id: request.run_id.clone(),
        segment: follows.map_or(0, |run| run.segment),
        resumes: request
            .follows
            .as_ref()
            .map(|follows| Resumes { left: Some(follows.left.clone()), ..follows.run.resumes.clone() }),
        started_utc: request.started_utc.clone(),
        scenario: plan.scenario_facts().clone(),
        sources: plan.sources().to_vec(),
        command: request.command.clone(),
        seed: plan.seed(),
        rehearsal: plan.rehearsal().map(crate::scenario::Rehearsal::factor),
        plan: plan.facts(),
        criteria: plan.criteria().to_vec(),
        host: request.host.clone(),
        build: request.build.clone(),
    }
}

struct Run<'a> {
    request: &'a Request,
    launcher: &'a dyn Launcher,
    stop: &'a Stop,
    log: Handle,
    clock: Clock,
    rounds: u64,
    failures: Failures,
    /// By the faults of the load.
    written: Written,
    /// The set-up failed.
    unprepared: bool,
}

type Outcome = (EndReason, Option<String>);

impl Run<'_> {
    fn phase(&self, phase: Phase) {
        tracing::debug!(?phase, "begins");
        self.log.record(Event::Phase(PhaseBegan { phase }));
    }

    fn carry_out(&mut self) -> Outcome {
        for left in self.request.follows.iter().flat_map(|follows| &follows.left) {
            // The header has them, and they are judged by that.
            let text = format!("{left} of an earlier segment had outlived its harness, and was killed");
            self.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
        }
        let guard = match self.guard() {
            Ok(guard) => guard,
            Err(outcome) => return outcome,
        };
        if self.request.follows.as_ref().is_some_and(|follows| !follows.is_torn_down()) {
            // Of the segment before, whose harness was killed: a set-up finds what it found the first time.
            self.tear_down();
        }
        let outcome = match self.set_up().or_else(|| self.cover()) {
            None => self.launch_and_serve(),
            Some(outcome) => outcome,
        };
        // A tear-down finds what a set-up has made.
        self.request.covers.uncover_commands();
        self.tear_down();
        drop(guard);
        outcome
    }

    /// Of what commands may leave running; how the run has ended, if there can be none.
    fn guard(&mut self) -> Result<Option<setup::Guard>, Outcome> {
        if self.request.plan.setup().is_empty() {
            return Ok(None);
        }
        setup::Guard::start(&self.request.run_id).map(Some).map_err(|error| {
            self.unprepared = true;
            (EndReason::LaunchFailed, Some(format!("the guard of the set-up cannot be started: {error}")))
        })
    }

    /// Runs the commands before the launch; how the run has ended, if it ends with them.
    fn set_up(&mut self) -> Option<Outcome> {
        let stopped = || self.stop.mode() != StopMode::Run;
        for step in self.request.plan.setup() {
            let ended = self.command(When::SetUp, step, &stopped);
            if stopped() {
                return Some(self.stop.outcome());
            }
            if ended.failed {
                self.unprepared = true;
                let lines = ended.output.join(" | ");
                let lines = if lines.is_empty() { lines } else { format!("; its last lines: {lines}") };
                let why = format!("the set-up command {} {}{lines}", step.words, ended.how);
                return Some((EndReason::LaunchFailed, Some(why)));
            }
        }
        None
    }

    /// Covers the directories of commands that faults are done to, which the set-up may have made; how the run has ended, if one
    /// cannot be.
    fn cover(&mut self) -> Option<Outcome> {
        let Request { plan, covers, shm_dir, commands_output, .. } = self.request;
        let run = commands_output.parent().unwrap_or(Path::new("."));
        let why = covers.cover_commands(plan, &[run, shm_dir]).err()?;
        self.unprepared = true;
        Some((EndReason::LaunchFailed, Some(why)))
    }

    /// Runs the commands after the end, however the run has ended, and ends what commands have left running.
    fn tear_down(&self) {
        let plan = &self.request.plan;
        let killed = || self.stop.mode() == StopMode::Kill || self.stop.is_hurried();
        for step in plan.teardown() {
            self.command(When::TearDown, step, &killed);
        }
        if plan.setup().is_empty() && plan.teardown().is_empty() {
            return;
        }
        let left = setup::end_the_rest(&self.request.run_id);
        if !left.is_empty() {
            let text =
                format!("set-up or tear-down had left running, and it was killed: {}", left.join(", "));
            // After the load, and ended: it casts no doubt on the run.
            self.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
        }
    }

    fn command(&self, when: When, step: &Step, stopped: &dyn Fn() -> bool) -> setup::Ended {
        tracing::debug!(when = when.name(), command = step.words, "begins");
        let started_ns = self.clock.now_ns();
        let ended = if stopped() {
            let how = "was not started, since the run was stopped".to_owned();
            setup::Ended { how, failed: true, output: Vec::new() }
        } else {
            setup::run(step, &self.request.run_id, &self.request.commands_output, stopped)
        };
        self.log.record(Event::Command(CommandDone {
            when,
            command: step.words.clone(),
            started_ns,
            finished_ns: self.clock.now_ns(),
            how: ended.how.clone(),
            failed: ended.failed,
            output: ended.output.clone(),
        }));
        ended
    }

    fn launch_and_serve(&mut self) -> Outcome {
        self.phase(Phase::Launch);
        let bare_forks_ns = self.bare_forks();
        let began_ns = self.clock.now_ns();
        let cancelled = || self.stop.mode() != StopMode::Run;
        let launched = self.launcher.launch(self.clock.zero_ns(), &cancelled);
        let mut system = match launched {
            Ok(system) => system,
            Err(LaunchError::Cancelled) => return self.stop.outcome(),
            Err(LaunchError::Failed(why)) => return (EndReason::LaunchFailed, Some(why)),
        };
        let system = system.as_mut();
        match Watch::begin(system, self.request.plan.follows_load()) {
            Ok(mut watch) => {
                let launch_ns = self.clock.now_ns().saturating_sub(began_ns);
                self.log.record(Event::Agents(Agents {
                    agents: watch.agents().to_vec(),
                    launch_ns,
                    bare_forks_ns,
                }));
                if self.request.plan.workers_least().is_some() {
                    watch.expect_changes(launch_ns);
                }
                let outcome = self.serve(system, &mut watch);
                self.take_down(system, watch, outcome)
            }
            Err(why) => self.take_down(system, Watch::empty(), (EndReason::LaunchFailed, Some(why))),
        }
    }

    /// What as many bare forks take as the launch makes processes, if a criterion asks for it: the median of a few times.
    fn bare_forks(&self) -> Option<u64> {
        let plan = &self.request.plan;
        if !plan.asks_for(MetricId::LaunchRatio) {
            return None;
        }
        let processes = 1 + plan.coordinators_at_start() + plan.workers_at_start();
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..BARE_FORKS_TIMES {
            if self.stop.mode() != StopMode::Run {
                return None;
            }
            times.extend(self.launcher.bare_forks(processes));
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2)?;
        u64::try_from(median.as_nanos()).ok()
    }

    fn serve(&mut self, system: &mut dyn System, watch: &mut Watch) -> Outcome {
        let incidents = Incidents::new(self.log.clone(), self.clock.now_ns());
        let sampling = match Sampling::start(
            &self.request.plan,
            watch.agents(),
            (system.dir(), &self.request.shm_dir),
            (self.log.clone(), incidents.clone()),
            self.clock.clone(),
        ) {
            Ok(sampling) => sampling,
            Err(error) => return (EndReason::LaunchFailed, Some(error.to_string())),
        };
        let ends = self.ends(watch);
        let tools = Tools {
            ends: ends.as_ref(),
            plan: &self.request.plan,
            places: Places {
                shm_dir: &self.request.shm_dir,
                undo_dir: &self.request.undo_dir,
                covers: &self.request.covers,
            },
            clock: &self.clock,
            log: &self.log,
            sampling: sampling.orders(),
            incidents: &incidents,
            from: self.from(),
        };
        let mut loader = Loader::new(tools, system, watch, &mut self.failures);
        let ended = loader.run(self.stop);
        self.rounds = loader.rounds();
        self.written = loader.take_written();
        let (refused, rejected) = (loader.refused(), loader.rejected());
        let is_cut = loader.is_cut();
        // With its end of the sampling thread's channel.
        drop(loader);
        sampling.finish();
        incidents.finish();
        drop(incidents);
        if self.stop.mode() != StopMode::Kill && !is_cut {
            self.log.record(Event::Ledger(reconcile::ledger(system, refused, rejected)));
        }
        match ended {
            LoadEnded::Completed => (EndReason::Completed, None),
            LoadEnded::Stopped => self.stop.outcome(),
            LoadEnded::SystemLost(why) => (EndReason::FleetLost, Some(why)),
        }
    }

    /// Where the load begins, and with which number of a round.
    fn from(&self) -> (Position, u64) {
        let follows = self.request.follows.as_ref();
        follows.map_or_else(Default::default, |follows| (follows.position(), follows.run.next_round))
    }

    /// Watches the ends of processes, if a criterion asks how soon the fleet notices them.
    fn ends(&self, watch: &Watch) -> Option<Ends> {
        if !self.request.plan.asks_for(MetricId::DeathDetection) {
            return None;
        }
        let ends = Ends::start(&self.clock);
        if let Err(error) = &ends {
            // The criterion has no value then.
            let text = format!("the ends of processes cannot be watched: {error}");
            self.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
        }
        let ends = ends.ok()?;
        ends.watch(watch.agents());
        Some(ends)
    }

    /// Ends the system and looks what is left of it.
    fn take_down(&mut self, system: &mut dyn System, mut watch: Watch, outcome: Outcome) -> Outcome {
        self.phase(Phase::Verify);
        // In a hurry, processes are not waited for that may hang.
        let how = if self.stop.is_hurried() { StopMode::Kill } else { self.stop.mode() };
        let stopped = system.stop(how);
        if let Some(how) = &stopped.how
            && outcome.0 != EndReason::FleetLost
        {
            // The exits are judged.
            self.log.record(Event::Alert(Alert { severity: Severity::Info, text: how.clone() }));
        }
        let mut told_last = stopped.told_last.clone();
        told_last.retain(|notice| match self.written.explains(notice) {
            Some(text) => {
                self.log.record(Event::Alert(Alert { severity: Severity::Info, text }));
                false
            }
            None => true,
        });
        let supervisor = watch.agents().get(watch.id_of(PlaceId::Supervisor) as usize);
        let supervisor = supervisor.filter(|agent| agent.id != 0);
        Incidents::new(self.log.clone(), 0).noticed(self.clock.now_ns(), &told_last, |_| supervisor);
        for text in stopped.adopted.iter().chain(&stopped.strangers) {
            self.log.record(Event::Alert(Alert { severity: Severity::Info, text: text.clone() }));
        }
        // A second interrupt may have come while the system was asked to end.
        let mode = self.stop.mode().max(how);
        for event in watch.after_stop(system, stopped.how.as_deref(), mode, self.clock.now_ns()) {
            self.log.record(event);
        }
        self.log.record(Event::Verify(reconcile::verify(&watch, system, stopped)));
        outcome
    }
}
