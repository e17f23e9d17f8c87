//! What came with which version of the format.
//!
//! An older log has fewer checks to pass, since it has less to show. So a log must not claim to be older than what is in it: no
//! writer knew an event or a field before its version. The versions are those of the table in `docs/run-log.md`.

use crate::runlog::event::{
    Agents, Arrivals, Event, FORMAT, FaultFacts, FaultKind, FaultStep, FaultStepKind, FormatVersion, Header,
    Incident, IncidentKind, KEPT_OUT, Ledger, LedgerEvidence, PlanFacts, Round, Sample,
};

/// The minor version of the format from which on a round says when its first answer came, when its last was made, and who
/// shared it.
pub(super) const ANSWERS_SINCE: u16 = 3;
/// From this minor version on, an alert's severity says whether the run may have missed something.
pub(super) const ALERTS_GRADED_SINCE: u16 = 4;
/// From this minor version on, a round says whose its late and second answers were, and how many tasks were tried again.
pub(super) const STRAYS_SINCE: u16 = 5;
/// From this minor version on, `pool` may not be left out; it came with 2.1.
pub(super) const POOL_SINCE: u16 = 5;
/// From this minor version on, the text of the scenario is in the log.
pub(super) const SOURCES_SINCE: u16 = 7;

/// From this minor version on, a coordinator that could not open its memory when it started has an end of its own.
pub(super) const ALL_ENDS_SINCE: u16 = 9;

/// From this minor version on, the counts of both ends are in the log while the load goes on.
const CHECKPOINTS_SINCE: u16 = 10;

/// From this minor version on, what a killed segment has left running is looked for before the next.
const LEFT_SINCE: u16 = 11;

/// From this minor version on, the log says what each worker did.
const WORKERS_SINCE: u16 = 12;

/// Whether it is there, the minor version of format 2 that it came with, and its name.
type Feature = (bool, u16, &'static str);

/// The error is a sentence fragment.
pub(super) fn check(event: &Event, format: FormatVersion) -> Result<(), String> {
    // A current log may have whatever this program knows.
    if format.has(FORMAT.minor) {
        return Ok(());
    }
    let newest =
        features(event).into_iter().filter(|(is_there, ..)| *is_there).max_by_key(|(_, minor, _)| *minor);
    match newest {
        Some((_, minor, what)) if !format.has(minor) => Err(format!(
            "{what} came with format 2.{minor}, and the header says that the log is of format {}.{}",
            format.major, format.minor
        )),
        _ => Ok(()),
    }
}

fn features(event: &Event) -> Vec<Feature> {
    match event {
        Event::Header(header) => of_header(header),
        Event::Agents(Agents { agents, bare_forks_ns, .. }) => vec![
            (agents.iter().any(|agent| agent.incarnation > 1), 0, "the incarnation of an agent"),
            (bare_forks_ns.is_some(), 3, "`bare_forks_ns` of agents"),
        ],
        Event::AgentExit(exit) => vec![
            (exit.incarnation > 1, 0, "the incarnation of an exit"),
            (exit.how == KEPT_OUT, ALL_ENDS_SINCE, "an end of a coordinator that is started again"),
        ],
        Event::AgentReplaced(_) => vec![(true, 0, "the event agent-replaced")],
        Event::Clock(_) => vec![(true, 0, "the event clock")],
        Event::Command(_) => vec![(true, 2, "the event command")],
        Event::DeathNoticed(_) => vec![(true, 5, "the event death-noticed")],
        Event::Scaled(_) => vec![(true, 2, "the event scaled")],
        Event::Resized(_) => vec![(true, 5, "the event resized")],
        Event::WorkloadLatency(_) => vec![(true, 2, "the event workload-latency")],
        Event::Incident(incident) => of_incident(incident),
        Event::Fault(step) => of_step(step),
        Event::Round(round) => of_round(round),
        Event::TaskFailed(failed) => vec![(failed.workload.is_some(), 2, "`workload` of a failed task")],
        Event::Sample(sample) => of_sample(sample),
        Event::Threshold(_) => vec![(true, 11, "the event threshold")],
        Event::Workers(_) => vec![(true, WORKERS_SINCE, "the event workers")],
        Event::Checkpoint(_) => vec![(true, CHECKPOINTS_SINCE, "the event checkpoint")],
        Event::Ledger(ledger) => of_ledger(ledger),
        Event::End(end) => vec![(end.ended_utc.is_some(), 0, "`ended_utc` of the end")],
        Event::Phase(_) | Event::Latency(_) | Event::SampleMissed(_) | Event::Alert(_) | Event::Verify(_) => {
            Vec::new()
        }
    }
}

fn of_header(header: &Header) -> Vec<Feature> {
    let host = &header.host;
    let limits =
        host.cgroup_memory_bytes.is_some() || host.cgroup_pids.is_some() || host.cgroup_cpus.is_some();
    let mut features = vec![
        (header.segment > 0 || header.resumes.is_some(), 0, "a segment that resumes a run"),
        (!host.machine.is_empty() || limits, 0, "`machine` or the limits of the host"),
        (
            header.resumes.as_ref().is_some_and(|resumes| resumes.counted_to.is_some()),
            CHECKPOINTS_SINCE,
            "`counted_to` of the header",
        ),
        (
            header.resumes.as_ref().is_some_and(|resumes| resumes.left.is_some()),
            LEFT_SINCE,
            "`left` of the header",
        ),
        (!header.scenario.matrix.is_empty(), 1, "`matrix` of the scenario"),
        (!header.scenario.extends.is_empty(), 1, "`extends` of the scenario"),
        (
            header.criteria.iter().any(|criterion| criterion.informational),
            1,
            "`informational` of a criterion",
        ),
        (!header.sources.is_empty(), SOURCES_SINCE, "`sources` of the header"),
    ];
    features.extend(of_plan(&header.plan));
    features
}

fn of_plan(plan: &PlanFacts) -> Vec<Feature> {
    let mut features = vec![
        (plan.cpu_per_task_ns.is_some(), 1, "`cpu_per_task_ns` of the plan"),
        (!plan.workloads.is_empty(), 2, "`workloads` of the plan"),
        (!plan.setup.is_empty() || !plan.teardown.is_empty(), 2, "the commands of the plan"),
        (plan.task_least_ns.is_some(), 2, "`task_least_ns` of the plan"),
        (plan.arrivals != Arrivals::Constant, 2, "`arrivals` of the plan"),
        (plan.tasks_per_round.is_some(), 2, "`tasks_per_round` of the plan"),
        (plan.workers_at_start.is_some(), 2, "`workers_at_start` of the plan"),
        (plan.workers_least.is_some(), 2, "`workers_least` of the plan"),
        (!plan.stages.is_empty(), 2, "`stages` of the plan"),
        (plan.private_shm.is_some(), 2, "`private_shm` of the plan"),
        (plan.workers_asked.is_some(), 3, "`workers_asked` of the plan"),
        (plan.coordinators_at_start.is_some(), 6, "`coordinators_at_start` of the plan"),
        (plan.coordinators_least.is_some(), 6, "`coordinators_least` of the plan"),
    ];
    features.extend(plan.faults.iter().flat_map(of_fault));
    features
}

fn of_fault(fault: &FaultFacts) -> [Feature; 4] {
    let firings = || fault.firings.iter();
    [
        (true, kind_since(fault.kind), "a kind of fault in the plan"),
        (firings().any(|firing| !firing.words.is_empty()), 6, "`words` of a firing"),
        (firings().any(|firing| firing.moment.is_some()), 8, "`moment` of a firing"),
        (fault.may_meet_nothing, 8, "`may_meet_nothing` of a fault"),
    ]
}

fn kind_since(kind: FaultKind) -> u16 {
    match kind {
        FaultKind::Kill | FaultKind::Stop | FaultKind::Pause | FaultKind::Limit => 2,
        FaultKind::Cpus
        | FaultKind::ShmLimit
        | FaultKind::ShmFill
        | FaultKind::ShmInodes
        | FaultKind::ShmReadOnly => 3,
        FaultKind::SegmentUnlink
        | FaultKind::SegmentTruncate
        | FaultKind::SegmentScribble
        | FaultKind::CpuHogs
        | FaultKind::Memory => 6,
        FaultKind::ShmErrors
        | FaultKind::CgroupMemory
        | FaultKind::CgroupCpu
        | FaultKind::CgroupPids
        | FaultKind::Oom
        | FaultKind::DiskSlow
        | FaultKind::DiskFail
        | FaultKind::DiskFull => 8,
    }
}

fn of_step(step: &FaultStep) -> Vec<Feature> {
    let is_of_moment = matches!(step.step, FaultStepKind::MomentShown | FaultStepKind::MomentMissed);
    vec![
        (true, 2, "the event fault"),
        (step.moment.is_some() || is_of_moment, 8, "the moment of a fault"),
        (step.met.is_some(), 8, "`met` of a fault"),
    ]
}

fn of_incident(incident: &Incident) -> Vec<Feature> {
    vec![(true, incident_since(incident.kind), "this kind of incident")]
}

fn incident_since(kind: IncidentKind) -> u16 {
    match kind {
        IncidentKind::Hung | IncidentKind::Stopped | IncidentKind::Suspected | IncidentKind::Scaled => 1,
        IncidentKind::Silent | IncidentKind::Paused => 3,
        IncidentKind::Exit => 7,
    }
}

fn of_round(round: &Round) -> Vec<Feature> {
    vec![
        (round.contradicted > 0, 1, "`contradicted` of a round"),
        (round.causes.total() > 0, 1, "`causes` of a round"),
        (!round.workloads.is_empty(), 2, "`workloads` of a round"),
        (round.first_ns.is_some(), ANSWERS_SINCE, "`first_ns` of a round"),
        (round.made_ns.is_some(), ANSWERS_SINCE, "`made_ns` of a round"),
        (!round.coordinators.is_empty(), ANSWERS_SINCE, "`coordinators` of a round"),
        (round.retried > 0, STRAYS_SINCE, "`retried` of a round"),
        (!round.strays.is_empty(), STRAYS_SINCE, "`strays` of a round"),
    ]
}

fn of_sample(sample: &Sample) -> Vec<Feature> {
    let host = &sample.host;
    let rows = || sample.agents.iter();
    vec![
        (host.cpu_ticks.is_some() || host.steal_ticks.is_some(), 1, "the host's processor time in a sweep"),
        (rows().any(|row| row.state.is_some()), 1, "the column `state`"),
        (rows().any(|row| row.commands.is_some()), 1, "the columns of commands"),
        (host.idle_ticks.is_some(), 3, "`idle_ticks` of a sweep"),
    ]
}

fn of_ledger(ledger: &Ledger) -> Vec<Feature> {
    vec![
        (ledger.evidence != LedgerEvidence::Workers, 0, "`evidence` of the ledger"),
        (ledger.pool.is_some(), 1, "`pool` of the ledger"),
        (ledger.batches.is_some(), 5, "`batches` of the ledger"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runlog::Reader;
    use crate::runlog::event::{Clock, DeathNoticed, Resized, Workers};

    fn of(major: u16, minor: u16) -> FormatVersion {
        FormatVersion { major, minor }
    }

    #[test]
    fn an_event_is_in_no_log_of_a_version_before_it() {
        let death =
            Event::DeathNoticed(DeathNoticed { name: "coord/0".into(), pid: 7, ended_ns: 1, noticed_ns: 2 });
        assert_eq!(check(&death, of(2, 5)), Ok(()));
        assert_eq!(
            check(&death, of(2, 4)).unwrap_err(),
            "the event death-noticed came with format 2.5, and the header says that the log is of format 2.4"
        );
        let clock = Event::Clock(Clock { utc: String::new() });
        assert!(check(&clock, of(1, 1)).is_err(), "what came with 2.0 is in no log of 1.x");
        assert_eq!(check(&clock, of(2, 0)), Ok(()));
    }

    #[test]
    fn the_newest_that_a_log_can_have_came_with_the_current_format() {
        let rich: &[u8] = include_bytes!("../../../tests/fixtures/v2/rich/run.log");
        let staged: &[u8] = include_bytes!("../../../tests/fixtures/v2/staged/run.log");
        let resized =
            Event::Resized(Resized { name: "coord/0".into(), from: 1, to: 2, decided_ns: 1, reached_ns: 2 });
        let events = [rich, staged].into_iter().flat_map(|log| Reader::new(log).map(|r| r.unwrap().event));
        let workers = Event::Workers(Workers::default());
        let events: Vec<Event> = events.chain([resized, workers]).collect();
        let of_events = events.iter().flat_map(features).map(|(_, minor, _)| minor);
        let of_kinds =
            FaultKind::ALL.map(kind_since).into_iter().chain(IncidentKind::ALL.map(incident_since));
        let checked = [ANSWERS_SINCE, ALERTS_GRADED_SINCE, STRAYS_SINCE, POOL_SINCE, SOURCES_SINCE];
        // An older version is held to what came after it, and the current one to nothing.
        assert_eq!(of_events.chain(of_kinds).chain(checked).max(), Some(FORMAT.minor));
    }
}
