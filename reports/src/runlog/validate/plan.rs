//! What a header must say about the run that follows. Pure.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::ops::RangeInclusive;

use super::since::SOURCES_SINCE;
use crate::runlog::event::{
    Arrivals, Header, HostFacts, LoadModel, PlanFacts, Resized, Role, Scaled, StageFacts, number,
    worker_place,
};
use crate::sha256;

/// More rounds than this are never on their way at once.
const ROUNDS_IN_FLIGHT_MAX: u32 = 1_000_000;

/// The error is a sentence fragment.
pub(super) fn check(header: &Header) -> Result<(), String> {
    if let Some(factor) = header.rehearsal
        && !(factor.is_finite() && factor > 1.0)
    {
        return Err(format!("a rehearsal that is {factor} times as fast as the run"));
    }
    let words = words(&header.command);
    if header.rehearsal.is_none() && values(&words, "--rehearse").next().is_some() {
        return Err("the command asks for a rehearsal, and the header has none".into());
    }
    if let Some(seed) = values(&words, "--seed").next_back().and_then(|seed| seed.parse::<u64>().ok())
        && seed != header.seed
    {
        return Err(format!("the command has seed {seed}, and the header {}", header.seed));
    }
    variant(header, &words)?;
    sources(header)?;
    if header.run_id.is_empty() || header.scenario.name.is_empty() {
        return Err("a run without a name".into());
    }
    let sha256 = &header.scenario.sha256;
    if sha256.len() != 64 || !sha256.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("`{sha256}` is no SHA-256"));
    }
    utc(&header.started_utc)?;
    shape(&header.plan)?;
    schedule(&header.plan)?;
    let PlanFacts { workload, pss_every_ns, sample_every_ns, .. } = &header.plan;
    if workload.is_empty() {
        return Err("a plan that does not say what its tasks are".into());
    }
    if (1..*sample_every_ns).contains(pss_every_ns) {
        return Err(format!(
            "PSS is read every {pss_every_ns} ns, and there is a sweep every {sample_every_ns} ns"
        ));
    }
    host(&header.host)
}

/// The words of a command as a shell reads them; a word may hold spaces, and options of another program.
fn words(command: &str) -> Vec<String> {
    shlex::split(command).unwrap_or_else(|| command.split_whitespace().map(str::to_owned).collect())
}

/// What an option is given, each time, in the word after it or behind `=`.
fn values<'a>(words: &'a [String], option: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
    words.iter().enumerate().filter_map(move |(at, word)| match word.strip_prefix(option)? {
        "" => words.get(at + 1).map(String::as_str),
        behind => behind.strip_prefix('='),
    })
}

/// What the command lays over the scenario's file, the header names.
fn variant(header: &Header, words: &[String]) -> Result<(), String> {
    let overrides = &header.scenario.overrides;
    let sets = values(words, "--set").count();
    if sets > overrides.len() {
        return Err(format!(
            "the command sets {sets} keys, and the header names {} overrides",
            overrides.len()
        ));
    }
    match (values(words, "--profile").next_back(), header.scenario.profile.as_deref()) {
        (Some(asked), None) => {
            Err(format!("the command asks for the profile {asked}, and the header has none"))
        }
        (Some(asked), Some(had)) if asked != had => {
            Err(format!("the command asks for the profile {asked}, and the header has {had}"))
        }
        _ => Ok(()),
    }
}

/// The texts of the scenario's files are those that the header names and that its digest is of.
fn sources(header: &Header) -> Result<(), String> {
    let Header { format, scenario, sources, .. } = header;
    if sources.is_empty() {
        return if format.has(SOURCES_SINCE) {
            Err("the text of the scenario is missing".into())
        } else {
            Ok(())
        };
    }
    let named = std::iter::once(&scenario.file).chain(&scenario.extends);
    if !sources.iter().map(|source| &source.name).eq(named) {
        return Err("the texts of the scenario are not those of its files".into());
    }
    // Parted by a byte that no text has.
    let texts: Vec<&[u8]> = sources.iter().map(|source| source.text.as_bytes()).collect();
    let sha256 = sha256::hex(&Sha256::digest(texts.join(&0xff)));
    if sha256 == scenario.sha256 {
        return Ok(());
    }
    Err(format!("the text of the scenario has the SHA-256 {sha256}, and not {}", scenario.sha256))
}

/// A date as the log writes it.
pub(super) fn utc(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("`{text}` is not a date in UTC"))
}

fn shape(plan: &PlanFacts) -> Result<(), String> {
    let workers = workers(plan);
    if workers == 0 {
        return Err("a plan without workers".into());
    }
    if plan.tasks_per_round == Some(0) {
        return Err("rounds without tasks".into());
    }
    let sizes = plan.stages.iter().map(|stage| stage.workers).chain(plan.workers_at_start);
    if sizes.chain(plan.workers_least).any(|size| size == 0 || u64::from(size) > workers) {
        return Err(format!("a part of the run has no worker, or more than the {workers} there is room for"));
    }
    coordinators(plan)?;
    if plan.workers_asked.is_some_and(|asked| u64::from(asked) <= workers) {
        return Err("a fleet that is smaller than what was asked for, and has as many workers".into());
    }
    if !plan.stages.is_empty() && plan.workers_least.is_none() {
        return Err("stages, and the number of workers never changes".into());
    }
    let later = |stage: &StageFacts| stage.at_ns >= plan.duration_ns;
    if plan.stages.iter().any(later) || !plan.stages.is_sorted_by(|a, b| a.at_ns < b.at_ns) {
        return Err("stages out of order, or beyond the end of the load".into());
    }
    if u64::from(plan.processes) != 1 + u64::from(plan.coordinators) + workers {
        return Err(format!(
            "{} processes are planned, and 1 supervisor, {} coordinators and {workers} workers",
            plan.processes, plan.coordinators
        ));
    }
    if plan.messages_per_task == 0 {
        return Err("a task without messages".into());
    }
    if plan.cpu_per_task_ns == Some(0) {
        return Err("a task that computes for no time".into());
    }
    Ok(())
}

/// Where their number changes.
fn coordinators(plan: &PlanFacts) -> Result<(), String> {
    let (start, least) = match (plan.coordinators_at_start, plan.coordinators_least) {
        (None, None) => return Ok(()),
        (Some(start), Some(least)) => (start, least),
        _ => return Err("a number of coordinators that changes, from or to an unknown one".into()),
    };
    if least == 0 || start < least || start > plan.coordinators || least >= plan.coordinators {
        return Err(format!(
            "{start} coordinators at the start and {least} at least, of {} that there is room for",
            plan.coordinators
        ));
    }
    if plan.workers_at_start.is_none() || plan.workers_least.is_none() || !plan.stages.is_empty() {
        return Err("coordinators come and go, and the number of workers does not follow the load".into());
    }
    Ok(())
}

/// As many as the plan has places for.
pub(super) fn workers(plan: &PlanFacts) -> u64 {
    u64::from(plan.coordinators) * u64::from(plan.workers_per_coordinator)
}

/// Of a round: as many as planned, or one to every worker that is there.
pub(super) fn tasks(plan: &PlanFacts) -> RangeInclusive<u64> {
    match (plan.tasks_per_round, plan.workers_least) {
        (Some(tasks), _) => tasks.into()..=tasks.into(),
        (None, None) => workers(plan)..=workers(plan),
        (None, Some(_)) => 1..=workers(plan),
    }
}

/// The error is a sentence fragment.
pub(super) fn scaled(scaled: &Scaled, plan: &PlanFacts) -> Result<(), String> {
    let Scaled { stage, from, to, processes, ordered_ns, reached_ns } = scaled;
    if !plan.stages.iter().any(|planned| planned.name == *stage) {
        return Err(format!("the fleet was scaled in a stage `{stage}`, which was not planned"));
    }
    if [from, to].into_iter().any(|size| *size == 0 || u64::from(*size) > workers(plan)) {
        return Err(format!("the fleet was scaled from {from} to {to} workers, and has no room for that"));
    }
    if *processes != 1 + plan.coordinators + to {
        return Err(format!("{to} workers are wanted, and {processes} processes"));
    }
    if reached_ns.is_some_and(|reached_ns| reached_ns < *ordered_ns) {
        return Err(format!("the fleet had {to} workers before it was asked to"));
    }
    Ok(())
}

/// The error is a sentence fragment.
pub(super) fn resized(resized: &Resized, plan: &PlanFacts) -> Result<(), String> {
    let Resized { name, from, to, decided_ns, reached_ns } = resized;
    let decides = |role| has_place(plan, role, name);
    let most = if decides(Role::Coordinator) {
        plan.workers_per_coordinator
    } else if decides(Role::Supervisor) {
        plan.coordinators
    } else {
        return Err(format!("{name} decided how many processes there are, and was not planned"));
    };
    if plan.workers_least.is_none() || !plan.stages.is_empty() {
        return Err(format!("{name} followed the load, and the plan says how many processes there are"));
    }
    if from == to || [from, to].into_iter().any(|size| *size == 0 || *size > most) {
        return Err(format!("{name} went from {from} to {to} processes, and has room for {most}"));
    }
    if reached_ns < decided_ns {
        return Err(format!("{name} had {to} processes before it wanted them"));
    }
    Ok(())
}

/// The fewest there may be before the first round: a fleet that follows its load may have begun to.
pub(super) fn fewest_at_start(plan: &PlanFacts) -> u64 {
    plan.processes_by_load().unwrap_or_else(|| plan.processes_at_start()).into()
}

/// Whether rounds follow each other at one distance.
pub(super) fn has_one_pace(plan: &PlanFacts) -> bool {
    plan.arrivals == Arrivals::Constant
        && plan.stages.iter().all(|stage| stage.round_every_ns == plan.round_every_ns)
}

/// Rounds of an open loop that are due at equal distances, which begin anew with each stage that has another one.
fn constant_rounds(plan: &PlanFacts) -> u64 {
    let (mut rounds, mut from_ns, mut every_ns) = (0_u64, 0, plan.round_every_ns);
    let changes = plan.stages.iter().map(|stage| (stage.at_ns, stage.round_every_ns));
    for (at_ns, next_ns) in changes.chain([(plan.duration_ns, 0)]) {
        if next_ns != every_ns {
            rounds = rounds.saturating_add((at_ns - from_ns).div_ceil(every_ns));
            (from_ns, every_ns) = (at_ns, next_ns);
        }
    }
    rounds
}

fn schedule(plan: &PlanFacts) -> Result<(), String> {
    for (what, value) in [
        ("load", plan.duration_ns),
        ("time-out of a task", plan.task_timeout_ns),
        ("time between two sweeps", plan.sample_every_ns),
        ("number of rounds in flight", u64::from(plan.rounds_in_flight_max)),
    ] {
        if value == 0 {
            return Err(format!("the planned {what} is 0"));
        }
    }
    if plan.rounds_in_flight_max > ROUNDS_IN_FLIGHT_MAX {
        return Err(format!("{} rounds in flight at once", plan.rounds_in_flight_max));
    }
    let due = match plan.load {
        LoadModel::Open if plan.round_every_ns == 0 => {
            return Err("an open loop with no time between its rounds".into());
        }
        LoadModel::Open if plan.stages.iter().any(|stage| stage.round_every_ns == 0) => {
            return Err("a stage of an open loop with no time between its rounds".into());
        }
        LoadModel::Open => constant_rounds(plan),
        LoadModel::Closed if plan.round_every_ns > 0 => {
            return Err("a closed loop with a time between its rounds".into());
        }
        LoadModel::Closed => 0,
    };
    // How many were drawn only the harness knows; there is always a first.
    if plan.arrivals == Arrivals::Poisson {
        return match (plan.load, plan.rounds_planned) {
            (LoadModel::Closed, _) => Err("a closed loop whose rounds arrive at random".into()),
            (LoadModel::Open, 0) => Err("an open loop without rounds".into()),
            (LoadModel::Open, _) => Ok(()),
        };
    }
    if plan.rounds_planned != due {
        return Err(format!("{} rounds are planned, and the load has room for {due}", plan.rounds_planned));
    }
    Ok(())
}

fn host(host: &HostFacts) -> Result<(), String> {
    if host.cpus == 0 || host.memory_bytes == 0 {
        return Err("a host without processors or memory".into());
    }
    if host.pids_max == 0 || host.nofile_hard == 0 {
        return Err("a host on which no process may be started, or may open a file".into());
    }
    if !(host.load1_at_start.is_finite() && host.load1_at_start >= 0.0) {
        return Err(format!("a load average of {}", host.load1_at_start));
    }
    Ok(())
}

/// The place that a process's name says, if the plan has it and its role fits.
pub(super) fn has_place(plan: &PlanFacts, role: Role, name: &str) -> bool {
    match role {
        Role::Harness => name == "harness",
        Role::Supervisor => name == "supervisor",
        Role::Coordinator => {
            name.strip_prefix("coord/").and_then(number).is_some_and(|c| c < plan.coordinators)
        }
        Role::Worker => {
            worker_place(name).is_some_and(|(c, w)| c < plan.coordinators && w < plan.workers_per_coordinator)
        }
    }
}
