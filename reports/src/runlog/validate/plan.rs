//! What a header must say about the run that follows. Pure.

use jiff::Timestamp;

use crate::runlog::event::{Arrivals, Header, HostFacts, LoadModel, PlanFacts, Role};

/// More rounds than this are never on their way at once.
const ROUNDS_IN_FLIGHT_MAX: u32 = 1_000_000;

/// The error is a sentence fragment.
pub(super) fn check(header: &Header) -> Result<(), String> {
    if let Some(factor) = header.rehearsal
        && !(factor.is_finite() && factor >= 1.0)
    {
        return Err(format!("a rehearsal that is {factor} times as fast as the run"));
    }
    if header.rehearsal.is_none() && header.command.split_whitespace().any(|word| word == "--rehearse") {
        return Err("the command asks for a rehearsal, and the header has none".into());
    }
    let mut words = header.command.split_whitespace().skip_while(|word| *word != "--seed").skip(1);
    if let Some(seed) = words.next().and_then(|seed| seed.parse::<u64>().ok())
        && seed != header.seed
    {
        return Err(format!("the command has seed {seed}, and the header {}", header.seed));
    }
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
    host(&header.host)
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

/// As many as the plan has places for.
pub(super) fn workers(plan: &PlanFacts) -> u64 {
    u64::from(plan.coordinators) * u64::from(plan.workers_per_coordinator)
}

/// Of a round: as many as planned, or one to every worker.
pub(super) fn tasks(plan: &PlanFacts) -> u64 {
    plan.tasks_per_round.map_or_else(|| workers(plan), u64::from)
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
        LoadModel::Open => plan.duration_ns.div_ceil(plan.round_every_ns),
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
    if !(host.load1_at_start.is_finite() && host.load1_at_start >= 0.0) {
        return Err(format!("a load average of {}", host.load1_at_start));
    }
    Ok(())
}

/// The place that a process's name says, if the plan has it and its role fits.
pub(super) fn has_place(plan: &PlanFacts, role: Role, name: &str) -> bool {
    // As the fleet writes it: no sign, no leading zero.
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| n.to_string() == text);
    match role {
        Role::Harness => name == "harness",
        Role::Supervisor => name == "supervisor",
        Role::Coordinator => {
            name.strip_prefix("coord/").and_then(number).is_some_and(|c| c < plan.coordinators)
        }
        Role::Worker => name
            .strip_prefix("worker/")
            .and_then(|place| place.split_once('.'))
            .and_then(|(c, w)| Some((number(c)?, number(w)?)))
            .is_some_and(|(c, w)| c < plan.coordinators && w < plan.workers_per_coordinator),
    }
}
