//! What else a run can hold: deaths, declared faults, a mix of workloads, a fleet that follows its load.

use super::{LAUNCH_NS, MS_NS, Synthetic, begins, exit, pid};
use reports::runlog::event::{
    AgentId, AgentInfo, AgentReplaced, Agents, DeathNoticed, EndReason, Event, FaultFacts, FaultKind,
    FaultStep, FaultStepKind, FaultTarget, FiringFacts, Header, Phase, Resized, WorkloadFacts, WorkloadRound,
};

/// The first worker, which overlays and bends are done to.
pub const WORKER: &str = "worker/0.0";
/// From the death of a process to its successor.
const BACK_NS: u64 = 50 * MS_NS;

/// The number of an agent.
pub fn agent(run: &Synthetic, name: &str) -> AgentId {
    run.agents().iter().find(|agent| agent.name == name).map_or(1, |agent| agent.id)
}

/// A process is killed, and another has its place.
pub fn die(run: &mut Synthetic, name: &str, (died_ns, back_ns): (u64, u64)) {
    let Some(before) = run.agents().iter().find(|agent| agent.name == name).cloned() else { return };
    let after_ticks = before.start_ticks + back_ns / (10 * MS_NS);
    run.add(died_ns, Event::AgentExit(exit(&before, died_ns, false)));
    let successor = AgentReplaced {
        agent: before.id,
        incarnation: 2,
        name: before.name.clone(),
        pid: pid(before.id, 2),
        start_ticks: after_ticks,
        seen_ns: back_ns,
    };
    run.add(back_ns, Event::AgentReplaced(successor));
    run.each(|event| match event {
        Event::Sample(sample) if sample.started_ns >= back_ns => {
            for row in sample.agents.iter_mut().filter(|row| row.agent == before.id) {
                row.incarnation = 2;
            }
        }
        Event::Sample(sample) if sample.started_ns >= died_ns => {
            sample.agents.retain(|row| row.agent != before.id);
            sample.live = sample.agents.len() as u32 - 1;
        }
        Event::AgentExit(exit) if exit.agent == before.id && exit.expected => {
            (exit.incarnation, exit.pid) = (2, pid(before.id, 2));
        }
        _ => {}
    });
}

/// The first worker dies, undeclared, and is replaced at once.
pub fn die_in_the_middle(run: &mut Synthetic) {
    let died_ns = run.middle_ns();
    die(run, WORKER, (died_ns, died_ns + MS_NS));
}

/// The run is interrupted in the middle of its load, and so long after that it goes on with another fleet.
pub fn resumed(run: &mut Synthetic, gap_ns: u64) {
    let middle_ns = run.middle_ns();
    // No round is under way there.
    let cut_ns = run
        .load_rounds()
        .map(|(_, round)| round.scheduled_ns)
        .find(|at_ns| *at_ns >= middle_ns)
        .unwrap_or(middle_ns);
    let is_before = |(at_ns, event): &(u64, Event)| match event {
        Event::Round(round) => round.scheduled_ns < cut_ns,
        Event::Sample(sample) => sample.due_ns < cut_ns,
        _ => *at_ns < cut_ns,
    };
    let fleet = run.agents().to_vec();
    let header = run.header().clone();
    let (before, after): (_, Vec<_>) = std::mem::take(&mut run.events).into_iter().partition(is_before);
    run.events = before;
    run.conclude(&fleet, cut_ns, EndReason::Interrupted);
    run.settle();
    let mut events = begun_again(header, &fleet, cut_ns + gap_ns);
    events.extend(after.into_iter().map(|(at_ns, mut event)| {
        later(&mut event, gap_ns);
        (at_ns + gap_ns, event)
    }));
    let mut next = Synthetic { events, next: None };
    next.settle();
    run.next = Some(Box::new(next));
}

/// What a second segment begins with: the same fleet in other processes.
fn begun_again(mut header: Header, fleet: &[AgentInfo], at_ns: u64) -> Vec<(u64, Event)> {
    header.segment = 1;
    let again = |agent: &AgentInfo| AgentInfo {
        pid: pid(agent.id, 2),
        start_ticks: agent.start_ticks + at_ns / (10 * MS_NS),
        incarnation: 2,
        ..agent.clone()
    };
    let agents =
        Agents { agents: fleet.iter().map(again).collect(), launch_ns: LAUNCH_NS, bare_forks_ns: None };
    [Event::Header(Box::new(header)), begins(Phase::Launch), Event::Agents(agents), begins(Phase::Load)]
        .map(|event| (at_ns, event))
        .into()
}

/// The same of the second segment's fleet, with its times so much later.
fn later(event: &mut Event, by_ns: u64) {
    match event {
        Event::Round(round) => {
            for time in [&mut round.scheduled_ns, &mut round.started_ns, &mut round.finished_ns] {
                *time += by_ns;
            }
            for time in [&mut round.first_ns, &mut round.made_ns].into_iter().flatten() {
                *time += by_ns;
            }
        }
        Event::Sample(sample) => {
            (sample.due_ns, sample.started_ns) = (sample.due_ns + by_ns, sample.started_ns + by_ns);
            for row in sample.agents.iter_mut().filter(|row| row.agent != 0) {
                row.incarnation = 2;
            }
        }
        Event::AgentExit(exit) => {
            (exit.incarnation, exit.pid) = (2, pid(exit.agent, 2));
            exit.seen_ns += by_ns;
        }
        _ => {}
    }
}

/// A sweep lacks a process.
pub fn one_unseen(run: &mut Synthetic) {
    for sample in run.sweeps().filter(|sample| sample.sweep == 100) {
        sample.agents.pop();
        sample.live -= 1;
    }
}

/// A declared kill of a worker in the middle of the load, proven at once; how long after it the log has its end, and its
/// successor.
pub fn killed(run: &mut Synthetic, (died_ns, back_ns): (u64, u64)) {
    let at_ns = declare(run, FaultKind::Kill, None);
    step(run, FaultStepKind::Injected, at_ns);
    step(run, FaultStepKind::Proven, at_ns + MS_NS);
    die(run, WORKER, (at_ns + died_ns, at_ns + back_ns));
}

/// As [`killed`], with a successor at once.
pub fn killed_and_back(run: &mut Synthetic) {
    killed(run, (2 * MS_NS, BACK_NS));
}

/// A fault of the scenario, one firing in the middle of the load; when that is.
pub fn declare(run: &mut Synthetic, kind: FaultKind, lasts_ns: Option<u64>) -> u64 {
    let plan = &mut run.header().plan;
    let at_ns = plan.duration_ns / 2;
    let firing = FiringFacts {
        firing: 0,
        at_ns,
        lasts_ns,
        targets: vec![WORKER.to_owned()],
        words: Vec::new(),
        moment: None,
    };
    plan.faults = vec![FaultFacts {
        name: "fault".to_owned(),
        kind,
        words: format!("{} of 1 worker", kind.name()),
        firings: vec![firing],
        may_meet_nothing: false,
    }];
    run.middle_ns()
}

/// A step of that firing.
pub fn step(run: &mut Synthetic, kind: FaultStepKind, at_ns: u64) {
    let target = run.agents().iter().find(|agent| agent.name == WORKER).map(|agent| FaultTarget {
        agent: agent.id,
        incarnation: agent.incarnation,
        name: agent.name.clone(),
        pid: agent.pid,
        start_ticks: agent.start_ticks,
    });
    let targets = target.into_iter().filter(|_| kind == FaultStepKind::Injected).collect();
    let how = kind.name().to_owned();
    run.add(
        at_ns,
        Event::Fault(FaultStep { firing: 0, step: kind, at_ns, targets, how, moment: None, met: None }),
    );
}

/// The fleet says when it noticed the death.
pub fn noticed(run: &mut Synthetic, after_ns: u64) {
    killed_and_back(run);
    let ended_ns = run.middle_ns() + MS_NS;
    let noticed_ns = ended_ns + after_ns;
    let worker = agent(run, WORKER);
    let death = DeathNoticed { name: WORKER.to_owned(), pid: pid(worker, 1), ended_ns, noticed_ns };
    run.add(noticed_ns, Event::DeathNoticed(death));
}

/// A fleet that follows its load, and had another number of workers after so long.
pub fn resized(run: &mut Synthetic, after_ns: u64) {
    let plan = &mut run.header().plan;
    let most = plan.workers_per_coordinator;
    (plan.workers_least, plan.workers_at_start) = (Some(plan.coordinators), Some(plan.places()));
    let decided_ns = run.middle_ns();
    let reached_ns = decided_ns + after_ns;
    let name = "coord/0".to_owned();
    run.add(reached_ns, Event::Resized(Resized { name, from: most, to: most - 1, decided_ns, reached_ns }));
}

/// Two workloads, `a` and `b`: each has half of the tasks of a round.
pub fn mixed(run: &mut Synthetic) {
    let part = |name: &str| WorkloadFacts {
        name: name.to_owned(),
        weight: 1,
        workload: "echo 256 B".to_owned(),
        cpu_per_task_ns: None,
    };
    let plan = &mut run.header().plan;
    "1 of 2 a (echo 256 B), 1 of 2 b (echo 256 B)".clone_into(&mut plan.workload);
    plan.workloads = vec![part("a"), part("b")];
    run.each(|event| {
        let Event::Round(round) = event else { return };
        let half = round.tasks / 2;
        round.workloads = [round.tasks - half, half]
            .map(|tasks| WorkloadRound {
                tasks,
                answered: tasks,
                task_p50_ns: round.task_p50_ns,
                task_p99_ns: round.task_p99_ns,
                task_max_ns: round.task_max_ns,
                ..WorkloadRound::default()
            })
            .to_vec();
    });
    run.settle();
}

/// Rounds of the load are answered so late from this one on, as if the fleet had slept.
pub fn sleep(run: &mut Synthetic, first: u64, for_ns: u64) {
    let mut until_ns = 0;
    for (number, round) in run.load_rounds() {
        if number == first {
            until_ns = round.scheduled_ns + for_ns;
        }
        if number >= first && round.finished_ns < until_ns {
            // The fleet goes on with the oldest.
            let took_ns = until_ns + (number - first) * MS_NS - round.scheduled_ns;
            super::settle::took(round, took_ns);
        }
    }
    run.settle();
}
