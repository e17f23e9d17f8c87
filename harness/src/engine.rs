//! Carries a plan out and writes the run log.
//!
//! launch → warm up → load and samples → drain → ledger → stop → verify. One thread drives the load
//! ([`load`]), one sweeps `/proc` ([`sampling`]), one owns the log ([`recorder`]); they share nothing
//! but the recorder's channel and the stop switch. Deliberately absent: any opinion about the figures,
//! and any word to the user.

mod books;
mod failure;
mod load;
mod payload;
pub mod recorder;
mod roster;
pub mod run_dir;
mod sampling;
pub mod stop;

use crate::sample::own_usage;
use crate::scenario::Plan;
use coordinator::client::launch::{Fleet, LaunchError, Program, launch};
use coordinator::client::{Client, now_ns};
use coordinator::config::Policy;
use failure::Failures;
use load::{LoadEnd, Loader};
use recorder::{Handle, LiveSlot, Recorder};
use reports::runlog::event::{
    Agents, Alert, BuildFacts, End, EndReason, Event, Header, HostFacts, Phase, PhaseBegan, Severity,
};
use roster::Roster;
use run_dir::RunDir;
use sampling::Sweeps;
use std::io;
use std::path::PathBuf;
use stop::{Stop, Wish};
use thiserror::Error;

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
    /// Where fleets keep their shared memory.
    pub shm_dir: PathBuf,
    /// How to start the supervisor.
    pub program: Program,
}

#[derive(Debug, Error)]
pub enum EngineError {
    #[error("{path}: cannot write the run log: {error}")]
    Recording { path: PathBuf, error: io::Error },
}

/// How the run ended, before anybody has judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub reason: EndReason,
    pub detail: Option<String>,
    /// The log could not be written to its end.
    pub recording_error: Option<String>,
}

/// Runs `request` in `dir` until its end or until `stop` says so; `live` is kept fresh meanwhile.
///
/// An error only if the log could not even be begun; whatever happens later ends in the log, as far as
/// that can still be written, and in the value returned.
pub fn run(request: &Request, dir: &RunDir, stop: &Stop, live: &LiveSlot) -> Result<Ended, EngineError> {
    let header = header(request);
    let path = dir.log();
    let start_ns = now_ns();
    let recorder = Recorder::start(&path, &header, start_ns, stop.clone(), live.clone())
        .map_err(|error| EngineError::Recording { path, error })?;
    let log = recorder.handle();
    let mut run =
        Run { request, dir, stop, log: log.clone(), start_ns, rounds: 0, failures: Failures::new() };
    let (reason, detail) = run.carry_out();
    let usage = own_usage();
    log.record(Event::End(End {
        reason,
        detail: detail.clone(),
        rounds: run.rounds,
        harness_cpu_ns: usage.cpu.as_nanos() as u64,
        harness_rss_max_kib: usage.rss_max_kib,
        task_failures_unwritten: run.failures.unwritten(),
        ended_utc: None,
    }));
    drop(run);
    drop(log);
    let recording_error = recorder.finish().err().map(|error| error.to_string());
    let reason = if recording_error.is_some() { EndReason::RecordingFailed } else { reason };
    Ok(Ended { reason, detail, recording_error })
}

fn header(request: &Request) -> Header {
    let plan = &request.plan;
    Header {
        format: reports::runlog::event::FORMAT,
        run_id: request.run_id.clone(),
        segment: 0,
        resumes: None,
        started_utc: request.started_utc.clone(),
        scenario: plan.scenario_facts().clone(),
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
    dir: &'a RunDir,
    stop: &'a Stop,
    log: Handle,
    start_ns: u64,
    rounds: u64,
    failures: Failures,
}

type Outcome = (EndReason, Option<String>);

impl Run<'_> {
    fn phase(&self, phase: Phase) {
        tracing::debug!(?phase, "begins");
        self.log.record(Event::Phase(PhaseBegan { phase }));
    }

    fn alert(&self, severity: Severity, text: String) {
        self.log.record(Event::Alert(Alert { severity, text }));
    }

    fn carry_out(&mut self) -> Outcome {
        self.phase(Phase::Launch);
        let mut fleet = match self.launch() {
            Ok(fleet) => fleet,
            Err(outcome) => return outcome,
        };
        let outcome = self.with_fleet(&mut fleet);
        // Whatever `with_fleet` did, the fleet is down; what is left is judged by the kernel's word.
        drop(fleet);
        outcome
    }

    fn launch(&self) -> Result<Fleet, Outcome> {
        let Request { plan, shm_dir, run_id, program, .. } = self.request;
        let errors = self.dir.fleet_stderr();
        let cancelled = || self.stop.wish() != Wish::GoOn;
        match launch(program, shm_dir, run_id, (plan.shape(), &Policy::default()), &errors, cancelled) {
            Ok(fleet) => {
                tracing::debug!(supervisor = fleet.supervisor_pid(), dir = %fleet.dir().display(), "fleet is up");
                Ok(fleet)
            }
            Err(LaunchError::Cancelled) => Err(self.stop.outcome()),
            Err(error) => Err((EndReason::LaunchFailed, Some(error.to_string()))),
        }
    }

    fn with_fleet(&mut self, fleet: &mut Fleet) -> Outcome {
        let failed = |error: String| (EndReason::LaunchFailed, Some(error));
        let mut client = match Client::attach(fleet.dir()) {
            Ok(client) => client,
            Err(error) => return self.take_down(fleet, None, failed(error.to_string())),
        };
        let mut roster = match Roster::seen(&client.status()) {
            Ok(roster) => roster,
            Err(error) => return self.take_down(fleet, None, failed(error)),
        };
        let launch_ns = now_ns() - self.start_ns;
        self.log.record(Event::Agents(Agents { agents: roster.agents().to_vec(), launch_ns }));
        let outcome = self.serve(fleet, &mut client, &mut roster);
        self.take_down(fleet, Some((client, roster)), outcome)
    }

    fn serve(&mut self, fleet: &mut Fleet, client: &mut Client, roster: &mut Roster) -> Outcome {
        let sweeps = match Sweeps::start(
            &self.request.plan,
            roster.agents(),
            fleet.dir(),
            &self.request.shm_dir,
            self.log.clone(),
            self.start_ns,
        ) {
            Ok(sweeps) => sweeps,
            Err(error) => return (EndReason::LaunchFailed, Some(error.to_string())),
        };
        let mut loader = Loader::new(
            &self.request.plan,
            client,
            roster,
            sweeps.replaced(),
            &self.log,
            self.start_ns,
            &mut self.failures,
        );
        let end = loader.run(self.stop);
        self.rounds = loader.rounds();
        let (refused, rejected) = (loader.refused(), loader.rejected());
        // With its end of the sweeps' news.
        drop(loader);
        sweeps.finish();
        if self.stop.wish() != Wish::Now {
            self.log.record(Event::Ledger(books::ledger(client, refused, rejected)));
        }
        match end {
            LoadEnd::Completed => (EndReason::Completed, None),
            LoadEnd::Stopped => self.stop.outcome(),
            LoadEnd::FleetLost(why) => (EndReason::FleetLost, Some(why)),
        }
    }

    /// Ends the fleet and looks what is left of it.
    fn take_down(&mut self, fleet: &mut Fleet, known: Option<(Client, Roster)>, outcome: Outcome) -> Outcome {
        self.phase(Phase::Verify);
        let stopped = if self.stop.wish() == Wish::Now { fleet.kill() } else { fleet.stop() };
        if let Some(how) = &stopped.how
            && outcome.0 != EndReason::FleetLost
        {
            self.alert(Severity::Critical, how.clone());
        }
        let roster = known.map_or_else(Roster::empty, |(client, mut roster)| {
            let forced = self.stop.wish() == Wish::Now;
            for exit in
                roster.after_stop(&client.status(), stopped.how.as_deref(), forced, now_ns() - self.start_ns)
            {
                self.log.record(Event::AgentExit(exit));
            }
            roster
        });
        let verify =
            books::verify(&roster, fleet.dir(), &self.request.shm_dir, &self.request.run_id, stopped.cleaned);
        self.log.record(Event::Verify(verify));
        outcome
    }
}
